"""What a job has to show afterwards: divergences, and what happened in which order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from dask_verify.protocol.board import TaskState
from dask_verify.protocol.divergence import Divergence, Proof
from dask_verify.protocol.messages import Finding, Task


@dataclass(frozen=True)
class Entry:
    """One thing that happened; the position in the log is its time.

    Parameters
    ----------
    what : str
        ``"committed"``, ``"accepted"``, ``"challenged"``, ``"audited"``, ``"doubted"``,
        ``"settled"`` or ``"exposed"``.
    stage : str
        ``"read"`` where a challenge is to produce an input partition again.
    partition : int
    domain : str
        Who committed, audits, answered or is exposed; empty for what concerns nobody alone.
    units : tuple of int
        Challenged units.
    digest : str
        Of the commitment, hexadecimal.
    inputs : str
        Digest of what was assigned, hexadecimal: a stage that starts again has others.
    """

    what: str
    stage: str
    partition: int
    domain: str = ""
    units: tuple[int, ...] = ()
    digest: str = ""
    inputs: str = ""


class Minutes:
    """The record of one job.

    There are some entries for each partition, so they are kept in columns, and share the values
    that they are about.

    Attributes
    ----------
    divergences : list of Divergence
    """

    def __init__(self) -> None:
        self.divergences: list[Divergence] = []
        self._what: list[str] = []
        self._task: list[Task] = []
        self._domain: list[str] = []
        self._digest: list[bytes] = []
        self._inputs: list[bytes] = []
        self._rare: dict[int, tuple[str, tuple[int, ...]]] = {}

    def __len__(self) -> int:
        return len(self._what)

    @property
    def log(self) -> list[Entry]:
        """What happened, in order."""
        # Another thread may be writing an entry: it is there once its last column is.
        whole = len(self._inputs)
        columns = (self._what, self._task, self._domain, self._digest, self._inputs)
        rows = zip(*(column[:whole] for column in columns), strict=True)
        return [self._entry(i, *row) for i, row in enumerate(rows)]

    def _entry(
        self, at: int, what: str, task: Task, domain: str, digest: bytes, inputs: bytes
    ) -> Entry:
        stage, units = self._rare.get(at, (task.stage, ()))
        where = (stage, task.partition, domain, units)
        return Entry(what, *where, digest.hex(), inputs.hex())

    def write(
        self,
        what: str,
        task: Task,
        domain: str = "",
        units: tuple[int, ...] = (),
        digest: bytes | None = b"",
        stage: str = "",
        inputs: bytes = b"",
    ) -> None:
        """Add an entry to the log.

        Parameters
        ----------
        what : str
            Kind of the entry.
        task : Task
            The task.
        domain : str, optional
            Name of the domain that it is about.
        units : tuple of int, optional
            Numbers of the units that it is about.
        digest : bytes or None, optional
            Digest of what was signed.
        stage : str, optional
            Stage that the entry is about, where that is not the task's.
        inputs : bytes, optional
            Digest of what the task is assigned; empty for what it is assigned now.
        """
        if units or stage:
            self._rare[len(self._what)] = (stage or task.stage, units)
        self._what.append(what)
        self._task.append(task)
        self._domain.append(domain)
        self._digest.append(digest or b"")
        self._inputs.append(inputs)

    def diverged(
        self,
        finding: Finding,
        sides: Sequence[str],
        culprits: tuple[str, ...],
        settled: str,
        state: TaskState,
        opening: bytes = b"",
    ) -> None:
        """Note a divergence and how it was settled, with all that was signed about it.

        Parameters
        ----------
        finding : Finding
            What the arbitration found.
        sides : sequence of str
            Who differed.
        culprits : tuple of str
            Who is proven wrong.
        settled : str
            How it was settled.
        state : TaskState
            What is known about the task.
        opening : bytes, optional
            A wrong opening that was signed.
        """
        proof = Proof(
            inputs=state.inputs,
            accepted=state.accepted or b"",
            claims=tuple(state.ballot.claims),
            answers=tuple(state.wires),
            wrong=tuple(sorted(finding.wrong)),
            liars=tuple(sorted(finding.liars)),
            opening=opening,
            material=finding.material,
        )
        sides = tuple(dict.fromkeys(sides))
        what = (*finding.task, finding.units, sides, culprits, finding.cause, settled)
        self.divergences.append(Divergence(*what, finding.sample, proof))
        for name in culprits:
            self.write("exposed", finding.task, name)

    def acquit(self) -> None:
        """Take back all blame: the function is not deterministic."""
        self.divergences = [d.without_blame() for d in self.divergences]
