"""Divergences as a report has them: plain values that can also be looked at."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Any

from dask_verify.engine.exhibits import KeptExhibit
from dask_verify.protocol.divergence import Divergence
from dask_verify.views.divergence import divergence_html

_LARGEST = 32 << 20  #: bytes that a job kept of a divergence that is part of a page


@dataclass(frozen=True)
class SeenDivergence(Divergence):
    """A divergence that a notebook shows with its records, as long as the job keeps them.

    Parameters
    ----------
    kept : KeptExhibit, optional
        Not part of what is compared, printed or pickled.
    """

    kept: KeptExhibit | None = field(default=None, repr=False, compare=False)

    @classmethod
    def of(cls, kept: KeptExhibit) -> SeenDivergence:
        """Return the divergence of an exhibit.

        Parameters
        ----------
        kept : KeptExhibit
            What the job keeps of it.

        Returns
        -------
        SeenDivergence
        """
        return cls(**_values(kept.divergence), kept=kept)

    @property
    def showable(self) -> bool:
        """Whether what was kept of it is small enough for a page."""
        return self.kept is not None and self.kept.nbytes <= _LARGEST

    def _repr_html_(self) -> str:
        return divergence_html(self, None if self.kept is None else self.kept.exhibit)

    def __reduce__(self) -> tuple[Any, ...]:
        # What was kept belongs to the job in this process.
        return type(self), tuple(_values(self).values())


def bare(divergence: Divergence) -> Divergence:
    """Return a divergence without what can be looked at.

    Parameters
    ----------
    divergence : Divergence
        The divergence, also one that has been seen.

    Returns
    -------
    Divergence
    """
    return Divergence(**_values(divergence))


def _values(divergence: Divergence) -> dict[str, Any]:
    return {part.name: getattr(divergence, part.name) for part in fields(Divergence)}
