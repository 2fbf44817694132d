"""What a coordinator must know of a job to go on with it: what its journal begins with, and more.

What holds:

* A dossier is checked against the job id before anything of it is used: the id is a digest of the
  terms, and they have digests of the rest.
* What is decided when events are replayed must be what was decided then. So the version of this
  package, the coordinator's environment and the domains' enrolments have to be the same.
* A journal is unpickled: it is the coordinator's own, and worth as much trust as its program.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

import cloudpickle

from dask_verify.core.canonical import decode, encode
from dask_verify.engine.graphs import Upstream, source_digest
from dask_verify.engine.journal import Journal
from dask_verify.errors import DecodingError, JournalError
from dask_verify.execution.work import Shipped
from dask_verify.protocol.board import Plan
from dask_verify.protocol.domain import COORDINATOR, Domain, Identity, environment
from dask_verify.protocol.draws import seed_digest
from dask_verify.protocol.job import JobState
from dask_verify.protocol.messages import Committed, Event, Finding, Instruction, Task
from dask_verify.protocol.recording import decisions, read_event, write_event
from dask_verify.protocol.replay import losses, replay
from dask_verify.protocol.terms import Terms
from dask_verify.version import VERSION

_JOB, _EVENT, _PLACE, _RESUMED = "job", "event", "place", "resumed"
_FORMAT = "dask_verify journal v1"


@dataclass(frozen=True)
class Dossier:
    """What a job is.

    Parameters
    ----------
    terms : Terms
    domains : tuple of Domain
        As they were enrolled.
    seed : bytes
        What challenges are drawn with.
    shipped : Shipped
    source : Upstream
    sort_by : tuple of str
        Keys that the result is sorted by.
    floor : float
        Least seconds before a task is late.
    began : datetime
    coordinator : bytes
        Private key, if it would be gone with the process; else empty.
    here : dict of str to str
        The coordinator's environment.
    """

    terms: Terms
    domains: tuple[Domain, ...]
    seed: bytes
    shipped: Shipped
    source: Upstream
    sort_by: tuple[str, ...]
    floor: float
    began: datetime
    coordinator: bytes = b""
    here: dict[str, str] = field(default_factory=environment)

    @property
    def plan(self) -> Plan:
        """The plan of the protocol."""
        terms = self.terms
        return Plan(
            job=terms.job,
            policy=terms.policy,
            domains=self.domains,
            maps=terms.maps,
            buckets=terms.buckets,
            reduces=terms.reduces,
            environment=self.here,
            unit_records=terms.unit_records,
            seed=self.seed,
        )

    @property
    def own_key(self) -> Identity | None:
        """The coordinator's key, if the journal keeps it."""
        return Identity(COORDINATOR, self.coordinator) if self.coordinator else None

    def to_record(self) -> bytes:
        """Return the first record of a journal.

        Returns
        -------
        bytes
        """
        domains = tuple((d.name, d.public_key, dict(d.environment)) for d in self.domains)
        # What the graph was made from is not needed to compute it.
        known = vars(self) | {"domains": domains, "source": self.source.without_collection()}
        return encode((_JOB, _FORMAT, VERSION, self.terms.job, cloudpickle.dumps(known)))

    @classmethod
    def from_record(cls, record: bytes) -> Dossier:
        """Return what `to_record` wrote.

        Parameters
        ----------
        record : bytes
            The first record of a journal.

        Returns
        -------
        Dossier

        Raises
        ------
        JournalError
            If it is of another version, or does not belong to the job that it names.
        """
        version, job, pickled = _opened(record)
        if version != VERSION:
            raise JournalError(
                f"journal: expected one of dask_verify {VERSION}, got one of {version}; resume it"
                " with that version"
            )
        with importing():
            known = cloudpickle.loads(pickled)
        known["domains"] = tuple(Domain(*one) for one in known["domains"])
        dossier = cls(**known)
        dossier._check(job)
        return dossier

    def _check(self, job: bytes) -> None:
        terms, here = self.terms, environment()
        for what, expected, got in (
            ("job", job, terms.job),
            ("functions", terms.functions, self.shipped.digest),
            ("sources", terms.sources, source_digest(self.source)),
            ("seed", terms.seed_digest, seed_digest(self.seed)),
            ("domains", terms.domains, tuple((d.name, d.public_key) for d in self.domains)),
        ):
            if expected != got:
                raise JournalError(f"journal, {what}: expected {expected!r:.80}, got {got!r:.80}")
        if self.here != here:
            changed = sorted(k for k in {*here, *self.here} if here.get(k) != self.here.get(k))
            raise JournalError(
                "journal: expected the environment that its job began in, got another"
                f" {', '.join(changed)}: what this process computes could differ from what it did;"
                " resume it where it ran"
            )


@dataclass
class Past:
    """What has become of a job so far.

    Parameters
    ----------
    state : JobState
    owed : list of Instruction
        What is still to be carried out.
    places : list of (Task, str, str)
        Tasks, domains and addresses of workers that said they keep a partition.
    spent : Counter
        Nanoseconds of CPU time by domain.
    answered : int
        Bytes of commitments that have arrived.
    epoch : int
        How often the job was taken up before.
    """

    state: JobState
    owed: list[Instruction]
    places: list[tuple[Task, str, str]] = field(default_factory=list)
    spent: Counter[str] = field(default_factory=Counter)
    answered: int = 0
    epoch: int = 0

    @classmethod
    def none(cls, plan: Plan) -> Past:
        """Return the past of a job that has none.

        Parameters
        ----------
        plan : Plan
            What the job is.

        Returns
        -------
        Past
        """
        state = JobState(plan)
        return cls(state, state.start())

    @classmethod
    def read(cls, plan: Plan, records: Iterable[bytes]) -> Past:
        """Return the past that records tell, all but the first of a journal.

        Parameters
        ----------
        plan : Plan
            What the job is.
        records : iterable of bytes
            The records.

        Returns
        -------
        Past

        Raises
        ------
        JournalError
            If they tell none, or decisions come out otherwise.
        """
        events: list[tuple[Event, bytes]] = []
        past = cls(JobState(plan), [])
        for record in records:
            past._take(record, events)
        past.state, past.owed = replay(plan, events)
        return past

    @property
    def losses(self) -> list[Event]:
        """What the coordinator held, and lost with its process."""
        return losses(self.state) if self.epoch else []

    def _take(self, record: bytes, events: list[tuple[Event, bytes]]) -> None:
        match _decoded(record):
            case [str(kind), bytes(mark), bytes(wire)] if kind == _EVENT:
                try:
                    event = read_event(wire)
                except DecodingError as error:
                    raise JournalError(f"journal: {error}") from None
                self.answered += len(event.wire) if isinstance(event, Committed) else 0
                events.append((_without_material(event), mark))
            case [str(kind), stage, int(partition), str(domain), str(address), int(cpu)] if (
                kind == _PLACE
            ):
                self.places.append((Task(stage, partition), domain, address))
                self.spent[domain] += cpu
            case [str(kind)] if kind == _RESUMED:
                self.epoch += 1
            case _:
                raise JournalError("journal: expected a record of a job, got something else")


class Recorder:
    """Writes down what happens in a job, if somebody wants that.

    Parameters
    ----------
    journal : Journal, optional
    """

    def __init__(self, journal: Journal | None = None) -> None:
        self._journal = journal

    @property
    def keeps(self) -> bool:
        """Whether there is a journal."""
        return self._journal is not None

    def begin(self, dossier: Dossier) -> None:
        """Write down what a job is; it is on disk when this returns.

        Parameters
        ----------
        dossier : Dossier
            What the job is.
        """
        self._write(dossier.to_record)
        self.sync()

    def resumed(self) -> None:
        """Write down that a job is taken up once more."""
        self._write(lambda: encode((_RESUMED,)))
        self.sync()

    def happened(self, event: Event, instructions: Sequence[Instruction]) -> None:
        """Write down an event and what was decided.

        Parameters
        ----------
        event : Event
            What happened.
        instructions : sequence of Instruction
            What was decided.
        """
        self._write(lambda: encode((_EVENT, decisions(instructions), write_event(event))))

    def found_at(self, task: Task, domain: str, address: str, cpu: int) -> None:
        """Write down where a partition is said to be.

        Parameters
        ----------
        task : Task
            The task.
        domain : str
            Name of the domain.
        address : str
            Address of the worker.
        cpu : int
            Nanoseconds of CPU time that the worker claims.
        """
        self._write(lambda: encode((_PLACE, *task, domain, address, cpu)))

    def sync(self) -> None:
        """Force everything to disk.

        Raises
        ------
        JournalError
            If that fails.
        """
        if self._journal is not None:
            self._journal.sync()

    def close(self) -> None:
        """Close the journal."""
        if self._journal is not None:
            self._journal.close()

    def _write(self, record: Callable[[], bytes]) -> None:
        if self._journal is not None:
            self._journal.write(record())


@contextmanager
def importing() -> Iterator[None]:
    """Say in words of our own that something which a journal names cannot be imported here.

    Yields
    ------
    None

    Raises
    ------
    JournalError
        If it is so within.

    Examples
    --------
    >>> with importing():
    ...     import no_such_words  # doctest: +ELLIPSIS
    Traceback (most recent call last):
        ...
    dask_verify.errors.JournalError: journal: expected module 'no_such_words', which its job ...
    """
    try:
        yield
    except (ImportError, AttributeError) as error:
        # Unpickled by its name, a function that its module lacks is an AttributeError.
        name = getattr(error, "name", None) if isinstance(error, ImportError) else None
        raise JournalError(
            f"journal: expected {f'module {name!r}' if name else 'the functions'}, which its job"
            f" needs, to be importable here, got {type(error).__name__}: {error}; resume where it"
            " can be imported, such as with its folder in PYTHONPATH"
        ) from error


def _without_material(event: Event) -> Event:
    """Return a finding whose exhibit shows what was signed alone: the rest is gone."""
    return replace(event, material="") if isinstance(event, Finding) else event


def _opened(record: bytes) -> tuple[str, bytes, bytes]:
    match _decoded(record):
        case [str(kind), str(form), str(version), bytes(job), bytes(pickled)] if (kind, form) == (
            _JOB,
            _FORMAT,
        ):
            return version, job, pickled
    raise JournalError(f"journal: expected one of the format {_FORMAT!r}, got something else")


def _decoded(record: bytes) -> list[Any]:
    try:
        said = decode(record)
    except DecodingError as error:
        raise JournalError(f"journal: {error}") from None
    return list(said) if isinstance(said, tuple) else [said]
