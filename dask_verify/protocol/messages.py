"""What the protocol is told (events) and what it asks for (instructions): plain frozen values."""

from __future__ import annotations

import enum
from dataclasses import dataclass, field
from typing import NamedTuple, NoReturn

from dask_verify.core.seal import Answer, Commitment

MAP, REDUCE = "map", "reduce"
READ = "read"  #: producing an input partition, as audits and causes name it


class Task(NamedTuple):
    """One partition of one stage.

    Parameters
    ----------
    stage : str
        Name of the stage.
    partition : int
        Number of the partition.
    """

    stage: str
    partition: int


class Verdict(enum.Enum):
    """How a job ended; an enum that refuses ``bool()``, since no verdict means simply "good".

    Examples
    --------
    >>> Verdict.AGREED.answered
    True
    >>> bool(Verdict.AGREED)
    Traceback (most recent call last):
        ...
    TypeError: a verdict is neither true nor false; compare it, or ask .answered
    """

    AGREED = "agreed"
    CORRECTED = "corrected"
    SAMPLED = "sampled"
    NONDETERMINISTIC = "nondeterministic"
    INCONCLUSIVE = "inconclusive"

    def __bool__(self) -> NoReturn:
        raise TypeError("a verdict is neither true nor false; compare it, or ask .answered")

    @property
    def answered(self) -> bool:
        """Whether the job has an answer that may be returned."""
        return self in (Verdict.AGREED, Verdict.CORRECTED, Verdict.SAMPLED)


class Standing(enum.Enum):
    """What a domain is in one job.

    Examples
    --------
    >>> [standing.name for standing in Standing]
    ['TRUSTED', 'SUSPECTED', 'EXPOSED']
    """

    TRUSTED = "trusted"
    SUSPECTED = "suspected"
    EXPOSED = "exposed"


@dataclass(frozen=True)
class Challenge:
    """Units of a committed partition that another domain is to recompute: an instruction.

    Parameters
    ----------
    task : Task
    inputs : bytes
        The inputs that the task was assigned.
    digest : bytes
        The commitment that is challenged.
    kind : {"read", "units"}
        Whether the input partition is produced again, or single units are computed again.
    units : tuple of int
        Which ones, ascending; empty for ``"read"``.
    holder : str
        Who has to open them.
    domain : str
        Who has to recompute them: the auditor.
    """

    task: Task
    inputs: bytes
    digest: bytes
    kind: str
    units: tuple[int, ...]
    holder: str
    domain: str

    @property
    def stage(self) -> str:
        """The stage that is computed again: reading is one of its own."""
        return READ if self.kind == READ else self.task.stage


@dataclass(frozen=True)
class Objection:
    """A signed answer of an auditor that contradicts a commitment.

    Parameters
    ----------
    answer : Answer
    digest : bytes
        The commitment.
    unit : int or None
        The first unit in which they differ; None for a whole input partition.
    """

    answer: Answer
    digest: bytes
    unit: int | None


# --- events ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class _AboutChallenge:
    """What has become of a challenge."""

    challenge: Challenge

    @property
    def task(self) -> Task:
        """The challenged task."""
        return self.challenge.task

    @property
    def inputs(self) -> bytes:
        """The inputs that it was assigned."""
        return self.challenge.inputs


@dataclass(frozen=True)
class Audited(_AboutChallenge):
    """An auditor answered.

    Parameters
    ----------
    challenge : Challenge
    wire : bytes
        Whatever it sent; from the coordinator itself, an unsigned answer.
    expected : tuple of bytes
        What the holder committed to, proven against its root by the caller.
    questions : tuple of bytes
        Digests of what the auditor was given for each unit.
    """

    wire: bytes
    expected: tuple[bytes, ...] = ()
    questions: tuple[bytes, ...] = ()


@dataclass(frozen=True)
class Unopened(_AboutChallenge):
    """The holder did not open what was challenged."""


@dataclass(frozen=True)
class Unaudited(_AboutChallenge):
    """The auditor gave no answer, or says that the function failed.

    Parameters
    ----------
    reason : str
        Why.
    failed : bool, optional
        Whether the function failed there.
    """

    reason: str
    failed: bool = False


@dataclass(frozen=True)
class Recounted:
    """The records of a reduce partition's cells were counted (by the caller).

    Parameters
    ----------
    task : Task
    inputs : bytes
    maps : tuple of int
        Map partitions that committed to another number than they have.
    consumed : int
        How many there are in all.
    """

    task: Task
    inputs: bytes
    maps: tuple[int, ...]
    consumed: int


@dataclass(frozen=True)
class Committed:
    """A domain answered a task; the bytes are whatever it sent.

    Parameters
    ----------
    task : Task
        The task.
    domain : str
        Name of the domain.
    inputs : bytes
        Digest of what the task was assigned.
    wire : bytes
        A commitment, if it is sound.
    """

    task: Task
    domain: str
    inputs: bytes
    wire: bytes


@dataclass(frozen=True)
class StoodIn:
    """The coordinator computed a task itself.

    Parameters
    ----------
    task : Task
        The task.
    inputs : bytes
        Digest of what the task was assigned.
    commitment : bytes
        What the coordinator would commit to.
    """

    task: Task
    inputs: bytes
    commitment: bytes


@dataclass(frozen=True)
class Failed:
    """The user's function raised; the text is what the executor says of it.

    Parameters
    ----------
    task : Task
        The task.
    domain : str
        Name of the domain.
    inputs : bytes
        Digest of what the task was assigned.
    text : str
        What happened, in words.
    """

    task: Task
    domain: str
    inputs: bytes
    text: str


@dataclass(frozen=True)
class Late:
    """A task was not answered in time, or cannot be any more: it was lost with its workers.

    Parameters
    ----------
    task : Task
        The task.
    domain : str
        Name of the domain.
    inputs : bytes
        Digest of what the task was assigned.
    reason : str
        Why.
    """

    task: Task
    domain: str
    inputs: bytes
    reason: str


@dataclass(frozen=True)
class Unserved:
    """A holder no longer has the bytes of a partition that it committed to.

    Parameters
    ----------
    task : Task
        The task.
    domain : str
        Name of the domain.
    digest : bytes, optional
        Of which commitment; empty for the accepted one, whichever that is.
    """

    task: Task
    domain: str
    digest: bytes = b""


@dataclass(frozen=True)
class ServedWrong:
    """A holder signed an opening that contradicts the accepted root (checked by the caller).

    Parameters
    ----------
    task : Task
        The task.
    domain : str
        Name of the domain.
    evidence : bytes, optional
        The signed opening, as `serving.convicts` takes it.
    """

    task: Task
    domain: str
    evidence: bytes = field(default=b"", repr=False, compare=False)


@dataclass(frozen=True)
class Sample:
    """The first differing record of two leaves, as text.

    Parameters
    ----------
    record : int
        Number of the record.
    one, other : str
        The record as each side has it.
    """

    record: int
    one: str
    other: str


@dataclass(frozen=True)
class Finding:
    """What the arbitration of one divergence found.

    Parameters
    ----------
    task : Task
        Where the commitments differ.
    inputs : bytes
        The assigned inputs that both commitments name.
    cause : str
        ``"read"``, ``"map"`` or ``"reduce"``.
    units : tuple of int
        Differing unit; empty where no single unit could be named.
    wrong : frozenset of bytes
        Commitment digests that the referee's recomputation contradicts; empty where nobody
        recomputed.
    stable : bool
        Whether the referee's own runs agreed with each other.
    read : bool
        Whether the referee had to produce the input partition, so that the source matters.
    source_ok : bool
        Whether that source was pinned and had not changed.
    failure : str
        Why nothing could be decided; empty otherwise.
    sample : Sample, optional
        The first differing record as each side has it.
    liars : frozenset of str
        Auditors whose signed answers the recomputation contradicts.
    material : str
        Name under which the caller kept what the arbitration has seen; empty if it kept nothing.
    number : int
        Of the question that it answers.
    """

    task: Task
    inputs: bytes
    cause: str
    units: tuple[int, ...] = ()
    wrong: frozenset[bytes] = frozenset()
    stable: bool = True
    read: bool = False
    source_ok: bool = True
    failure: str = ""
    sample: Sample | None = None
    liars: frozenset[str] = frozenset()
    material: str = ""
    number: int = 0


Event = (
    Committed
    | StoodIn
    | Failed
    | Late
    | Unserved
    | ServedWrong
    | Finding
    | Audited
    | Unopened
    | Unaudited
    | Recounted
)


# --- instructions ---------------------------------------------------------------------------


@dataclass(frozen=True)
class Run:
    """Execute a task in a domain, as an audit of somebody else's commitment or for its own.

    Parameters
    ----------
    task : Task
        The task.
    domain : str
        Name of the domain.
    inputs : bytes
        Digest of what the task was assigned.
    audit : bool, optional
        Whether it checks another domain's commitment.
    """

    task: Task
    domain: str
    inputs: bytes
    audit: bool = False


@dataclass(frozen=True)
class StandIn:
    """Execute a task in the coordinator.

    Parameters
    ----------
    task : Task
        The task.
    inputs : bytes
        Digest of what the task was assigned.
    """

    task: Task
    inputs: bytes


@dataclass(frozen=True)
class Arbitrate:
    """Find where two claims on a task differ and, if ``recompute``, which one is wrong.

    ``vouched`` says whether an honest domain must be among those who signed their inputs. With an
    ``objection`` there is no second claim, but an auditor's answer. ``answers`` are all that
    auditors have signed about the task.

    Parameters
    ----------
    task : Task
        The task.
    inputs : bytes
        Digest of what the task was assigned.
    one, other : bytes
        Digests of the two claims.
    recompute : bool
        Whether the coordinator may compute the unit itself.
    vouched : bool, optional
        Whether an honest domain must have signed the inputs.
    objection : Objection or None, optional
        What an auditor has against the first claim, where that is the question.
    answers : tuple of Answer, optional
        Auditors' answers about the task.
    number : int, optional
        Of the questions of a job, from 1.
    """

    task: Task
    inputs: bytes
    one: bytes
    other: bytes
    recompute: bool
    vouched: bool = True
    objection: Objection | None = None
    answers: tuple[Answer, ...] = field(default=(), repr=False)
    number: int = 0


@dataclass(frozen=True)
class StartReduce:
    """Every map root is accepted: the inputs of the reduce stage, and what they stand for.

    Whatever is done for these inputs reads these commitments, also if one is replaced meanwhile.

    Parameters
    ----------
    inputs : bytes
        Digest of what every reduce task is assigned.
    maps : tuple of Commitment, optional
        The accepted map commitments.
    """

    inputs: bytes
    maps: tuple[Commitment, ...] = field(default=(), repr=False)


@dataclass(frozen=True)
class Accepted:
    """A partition's commitment is agreed.

    Parameters
    ----------
    task : Task
        The task.
    """

    task: Task


@dataclass(frozen=True)
class Settled:
    """A partition is accepted, and nobody will be asked to open its inputs any more.

    Parameters
    ----------
    task : Task
        The task.
    """

    task: Task


@dataclass(frozen=True)
class Recount:
    """Count the records of a reduce partition's cells: map and reduce commit to other numbers.

    Parameters
    ----------
    task : Task
        The task.
    inputs : bytes
        Digest of what the task was assigned.
    """

    task: Task
    inputs: bytes


@dataclass(frozen=True)
class Finished:
    """The job is over.

    Parameters
    ----------
    verdict : Verdict
        The verdict.
    cause : str
        What it is due to.
    text : str, optional
        What happened, in words.
    """

    verdict: Verdict
    cause: str
    text: str = ""


Asked = Run | StandIn | Challenge
Instruction = (
    Run | StandIn | Arbitrate | Challenge | Recount | StartReduce | Accepted | Settled | Finished
)
