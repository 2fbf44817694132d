"""Which domains have workers, and for how long one has had none."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from dask_verify.engine.domainpool import DomainPool

_FRESH = 1.0  #: seconds for which what is known counts as known


@dataclass
class Attendance:
    """The workers of a pool, as of about now.

    Parameters
    ----------
    pool : DomainPool
    """

    pool: DomainPool
    _workers: dict[str, Sequence[str]] = field(default_factory=dict)
    _gone: dict[str, float] = field(default_factory=dict)
    _asked: float = float("-inf")

    def size(self, domain: str) -> int:
        """Return how many workers a domain has; at least one, so that it may be given work.

        Parameters
        ----------
        domain : str
            Name of the domain.

        Returns
        -------
        int
        """
        self._look()
        return max(1, len(self._workers.get(domain, ())))

    def absent(self, domain: str) -> float:
        """Return for how many seconds a domain has been known to have no worker; 0 if it has.

        Parameters
        ----------
        domain : str
            Name of the domain.

        Returns
        -------
        float
        """
        self._look()
        return self._asked - self._gone.get(domain, self._asked)

    def others(self, domain: str) -> bool:
        """Whether another domain has a worker.

        Parameters
        ----------
        domain : str
            Name of the domain.

        Returns
        -------
        bool
        """
        return any(workers for name, workers in self._workers.items() if name != domain)

    def _look(self) -> None:
        if time.monotonic() - self._asked <= _FRESH:
            return
        with contextlib.suppress(OSError):  # of a scheduler out of reach, the last is what is known
            self._workers = dict(self.pool.workers())
        self._asked = time.monotonic()
        empty = [name for name, found in self._workers.items() if not found]
        self._gone = {name: self._gone.get(name, self._asked) for name in empty}
