"""What the protocol is told (events) and what it asks for (instructions): plain frozen values."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import NamedTuple, NoReturn

MAP, REDUCE = "map", "reduce"


class Task(NamedTuple):
    """One partition of one stage."""

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
    """What a domain is in one job."""

    TRUSTED = "trusted"
    SUSPECTED = "suspected"
    EXPOSED = "exposed"


# --- events ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class Committed:
    """A domain answered a task; the bytes are whatever it sent."""

    task: Task
    domain: str
    inputs: bytes
    wire: bytes


@dataclass(frozen=True)
class StoodIn:
    """The coordinator computed a task itself."""

    task: Task
    inputs: bytes
    commitment: bytes


@dataclass(frozen=True)
class Failed:
    """The user's function raised; the text is what the executor says of it."""

    task: Task
    domain: str
    inputs: bytes
    text: str


@dataclass(frozen=True)
class Late:
    """A task was not answered in time, or cannot be any more: it was lost with its workers."""

    task: Task
    domain: str
    inputs: bytes
    reason: str


@dataclass(frozen=True)
class Unserved:
    """A holder no longer has the bytes of a partition that it committed to."""

    task: Task
    domain: str


@dataclass(frozen=True)
class ServedWrong:
    """A holder signed an opening that contradicts the accepted root (checked by the caller)."""

    task: Task
    domain: str


@dataclass(frozen=True)
class Sample:
    """The first differing record of two leaves, as text."""

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


Event = Committed | StoodIn | Failed | Late | Unserved | ServedWrong | Finding


# --- instructions ---------------------------------------------------------------------------


@dataclass(frozen=True)
class Run:
    """Execute a task in a domain."""

    task: Task
    domain: str
    inputs: bytes


@dataclass(frozen=True)
class StandIn:
    """Execute a task in the coordinator."""

    task: Task
    inputs: bytes


@dataclass(frozen=True)
class Arbitrate:
    """Find where two claims on a task differ and, if ``recompute``, which one is wrong.

    ``vouched`` says whether an honest domain must be among those who signed their inputs.
    """

    task: Task
    inputs: bytes
    one: bytes
    other: bytes
    recompute: bool
    vouched: bool = True


@dataclass(frozen=True)
class StartReduce:
    """Every map root is accepted: these are the inputs of the reduce stage."""

    inputs: bytes


@dataclass(frozen=True)
class Accepted:
    """A partition's commitment is agreed."""

    task: Task


@dataclass(frozen=True)
class Finished:
    """The job is over."""

    verdict: Verdict
    cause: str
    text: str = ""


Instruction = Run | StandIn | Arbitrate | StartReduce | Accepted | Finished
