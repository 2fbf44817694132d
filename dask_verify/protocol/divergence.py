"""A disagreement: what was signed about it, how it was settled, and who was wrong."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from dask_verify.protocol.messages import Sample
from dask_verify.protocol.quorum import Claim


@dataclass(frozen=True)
class Proof:
    """What was signed about a divergence, and what a recomputation contradicts.

    Parameters
    ----------
    inputs : bytes
        Digest of what the task was assigned.
    accepted : bytes
        Digest of the commitment that was accepted at that time; empty if there was none.
    claims : tuple of Claim
        All commitments to the task, each with its signature.
    answers : tuple of bytes
        What auditors answered about the task, as it was signed.
    wrong : tuple of bytes
        Digests of the commitments that the referee contradicts, ascending.
    liars : tuple of str
        Auditors whose answers the referee contradicts, ascending.
    opening : bytes
        A signed wrong opening, as `serving.convicts` takes it.
    material : str
        What the arbitration has seen, as `Finding` names it.
    """

    inputs: bytes = b""
    accepted: bytes = b""
    claims: tuple[Claim, ...] = ()
    answers: tuple[bytes, ...] = ()
    wrong: tuple[bytes, ...] = ()
    liars: tuple[str, ...] = ()
    opening: bytes = b""
    material: str = ""


@dataclass(frozen=True)
class Divergence:
    """One disagreement, as the report shows it.

    Parameters
    ----------
    stage : str
    partition : int
    units : tuple of int
        Differing unit; empty where no single unit was named.
    domains : tuple of str
        Who disagreed.
    culprits : tuple of str
        Who was proven wrong.
    cause : str
        ``"read"``, ``"map"``, ``"reduce"`` or ``"serve"``.
    settled : str
        By what: ``"referee"``, ``"votes"``, ``"exposed elsewhere"``, ``"opening"``, or
        ``"withheld: ..."`` where nobody is blamed.
    sample : Sample, optional
        First differing record as each side has it.
    proof : Proof
        What was signed about it.
    """

    stage: str
    partition: int
    units: tuple[int, ...]
    domains: tuple[str, ...]
    culprits: tuple[str, ...]
    cause: str
    settled: str
    sample: Sample | None = None
    proof: Proof = field(default_factory=lambda: Proof(), repr=False)

    def without_blame(self) -> Divergence:
        """Return the record as it stands once the function is known not to be deterministic.

        Returns
        -------
        Divergence
        """
        if not self.culprits:
            return self
        return replace(self, culprits=(), settled="withheld: not deterministic")


def settled_for_people(settled: str) -> str:
    """Return by what a divergence was settled, as people are told.

    Parameters
    ----------
    settled : str
        As `Divergence.settled` has it.

    Returns
    -------
    str

    Examples
    --------
    >>> settled_for_people("exposed elsewhere"), settled_for_people("votes")
    ('exposed in another divergence', 'votes')
    """
    return "exposed in another divergence" if settled == "exposed elsewhere" else settled
