"""What a view reads of a report: the report itself is made above, where jobs are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from dask_verify.core.odds import Odds
from dask_verify.protocol.audit import Audit
from dask_verify.protocol.divergence import Divergence
from dask_verify.protocol.messages import Standing, Verdict
from dask_verify.protocol.pairs import Pair


class DomainTold(Protocol):
    """One domain's part in a job."""

    @property
    def standing(self) -> Standing:
        """How it stands."""

    @property
    def commitments(self) -> int:
        """Partitions that it signed for."""

    @property
    def nbytes(self) -> int:
        """Canonical bytes of those partitions."""

    @property
    def reason(self) -> str:
        """Why it is suspected; empty otherwise."""


class Told(Protocol):
    """What is known about a job at one moment; see `dask_verify.engine.report.Report`."""

    @property
    def job(self) -> str:
        """Job id, hexadecimal."""

    @property
    def verdict(self) -> Verdict | None:
        """None while the job runs."""

    @property
    def status(self) -> str:
        """``"running"``, ``"cancelled"``, ``"interrupted"``, or the value of the verdict."""

    @property
    def cause(self) -> str:
        """Why there is no answer; empty otherwise."""

    @property
    def failure(self) -> str:
        """Traceback of what ended the job; empty if nothing did."""

    @property
    def domains(self) -> Mapping[str, DomainTold]:
        """The part of each, by name."""

    @property
    def agreement(self) -> Mapping[tuple[str, str], Pair]:
        """What every two domains said of the same partitions."""

    @property
    def divergences(self) -> Sequence[Divergence]:
        """What differed, in order."""

    @property
    def exhibits(self) -> Sequence[str]:
        """Where the exhibits of the divergences are, in their order; empty where there is none."""

    @property
    def audits(self) -> Sequence[Audit]:
        """What was challenged."""

    @property
    def odds(self) -> Odds | None:
        """What the audits promise; None without audits, and without an answer."""

    @property
    def progress(self) -> Mapping[str, tuple[int, int]]:
        """Accepted and total partitions by stage."""

    @property
    def bytes_moved(self) -> Mapping[str, int]:
        """Bytes that reached the coordinator, by purpose."""

    @property
    def bytes_compared(self) -> int:
        """Bytes of the commitments that were compared."""

    @property
    def bytes_computed(self) -> int:
        """Canonical bytes of all partitions, every replica counted."""

    @property
    def recomputed(self) -> Sequence[tuple[str, int, int | None]]:
        """Stage, partition and unit (None: all) that the referee computed again."""

    @property
    def trust_input(self) -> bool:
        """Whether input computed earlier, by whomever, was accepted as it was."""

    @property
    def couriers(self) -> Mapping[str, tuple[str, ...]]:
        """By hostile domain, what confines the process that reaches it."""

    @property
    def seed(self) -> str:
        """The secret seed, hexadecimal; empty until the verdict, and without audits."""

    @property
    def seed_digest(self) -> str:
        """What the job bound of its seed before it started; empty without audits."""
