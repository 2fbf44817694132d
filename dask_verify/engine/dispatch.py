"""Tasks in flight: a bounded number in each domain, each with a deadline."""

from __future__ import annotations

import contextlib
import time
from collections import defaultdict, deque
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from queue import Empty, SimpleQueue
from typing import Any

from dask_verify.engine.attendance import Attendance
from dask_verify.engine.domainpool import DomainPool, Future
from dask_verify.engine.examiner import Question
from dask_verify.engine.pace import Pace
from dask_verify.engine.traffic import TRAFFIC, Queued
from dask_verify.protocol.messages import MAP, REDUCE, Challenge, Run

Errand = Run | Challenge  #: what is submitted for a domain
Landing = tuple[Errand, Future]

_AHEAD = 2.0  #: seconds of work that a domain is given ahead
_WIDEST = 64  #: tasks in flight for each worker at the most
_TICK = 0.25  #: seconds between looks at deadlines
_TOGETHER = 0.5  #: seconds for which a result waits for others at the most
_IDLE = 1.0  #: seconds without a result after which a look at a domain's workers pays
#: Times that a task is submitted again when its connection broke. A client that is back before its
#: scheduler has cleared away the old connection is dropped once more, perhaps several times.
_AGAIN = 10
_IN_VAIN = 2.0  #: times as long as it may take that a task is in flight so before; then no more


@dataclass
class Flight:
    """One task, or one challenge, that a domain has been asked to execute.

    Parameters
    ----------
    run : Errand
        What was asked.
    relay : bool
        Whether the coordinator passes on all sections that the task reads.
    started : float
        When, on a monotonic clock.
    future : Future or None, optional
        The future of the answer.
    question : Question or None, optional
        What an auditor was given.
    ahead : int, optional
        How many tasks each of the domain's workers had before it.
    behind : float, optional
        Seconds that other jobs give to what each of these workers had of theirs before it.
    dropped : bool, optional
        Whether it was taken back.
    """

    run: Errand
    relay: bool
    started: float
    future: Future | None = None
    question: Question | None = None
    ahead: int = 0
    behind: float = 0.0
    dropped: bool = False


@dataclass(eq=False)
class Dispatcher:
    """Decides when a task may start, and when it is late.

    Parameters
    ----------
    pool : DomainPool
    window : int
        Tasks in flight for each worker of a domain; more where `_AHEAD` seconds hold more.
    pace : Pace
        How long a task may take, see `overdue`.
    launch : callable
        Starts flights of one domain and stage.
    wanted : callable
        Whether a queued task still waits for its domain.
    places : mapping of str to Hashable, optional
        What the workers of each domain are called, so that jobs of this process know of each other
        there.
    flying : dict of Errand to Flight, optional
        What is in flight (made by the dispatcher itself).
    """

    pool: DomainPool
    window: int
    pace: Pace
    launch: Callable[[str, str, list[Flight]], None]
    wanted: Callable[[Run], bool]
    places: Mapping[str, Hashable] = field(default_factory=dict)
    flying: dict[Errand, Flight] = field(default_factory=dict)
    _waiting: dict[str, deque[tuple[Run, bool]]] = field(default_factory=lambda: defaultdict(deque))
    _given_up: list[Flight] = field(default_factory=list)
    _landings: dict[str, deque[float]] = field(default_factory=lambda: defaultdict(_first_moment))
    _heard: dict[str, float] = field(default_factory=dict)
    _cut: dict[Errand, int] = field(default_factory=lambda: defaultdict(int))
    _in_vain: dict[Errand, float] = field(default_factory=lambda: defaultdict(float))

    def __post_init__(self) -> None:
        self._attendance = Attendance(self.pool)
        self.taken_at = time.monotonic()
        TRAFFIC.join(self)

    def add(self, run: Run, relay: bool = False) -> None:
        """Queue a task for its domain; audits of maps go first, since the reduces wait for them.

        Parameters
        ----------
        run : Run
            The task.
        relay : bool, optional
            Whether the coordinator passes on all sections that the task reads.
        """
        queue = self._waiting[run.domain]
        (queue.appendleft if run.audit and run.task.stage == MAP else queue.append)((run, relay))

    def pump(self) -> None:
        """Start as many waiting tasks as the windows allow, in batches by domain and stage."""
        counts: dict[str, int] = defaultdict(int)
        for run in self.flying:
            counts[run.domain] += isinstance(run, Run)
        for domain, queue in self._waiting.items():
            window = self._window(domain) if queue else 0
            room = window - counts[domain]
            # Refilling one by one costs a round trip each; wait until a batch fits.
            if room * 4 < min(len(queue), window):
                continue
            # Nothing waits for an audit of a reduce but the end: they gather while others run.
            if counts[domain] and all(map(_checks_reduce, queue)):
                continue
            self._start(domain, counts[domain], list(islice(self._taken(queue), room)))

    def next_of(self, events: SimpleQueue[Any]) -> list[Any]:
        """Wait for something to do, then take all that is there, and results that come soon.

        Fetching results one by one costs more than computing small ones.

        Parameters
        ----------
        events : SimpleQueue
            The queue of the driver.

        Returns
        -------
        list
        """
        taken: list[Any] = []
        with contextlib.suppress(Empty):
            taken.append(events.get(timeout=_TICK))
            flying, end = len(self.flying), time.monotonic()
            if isinstance(taken[0], tuple) and flying > 1:
                end += self._patience()
            # As long as only results come, and more of them will.
            while isinstance(taken[-1], tuple) and len(taken) < flying:
                taken.append(events.get(timeout=max(0.0, end - time.monotonic())))
            while True:
                taken.append(events.get_nowait())
        self.taken_at = time.monotonic()
        return taken

    def _patience(self) -> float:
        """Return the seconds for which results may wait for others.

        No longer than a quarter of what the least busy domain still has to do, so that none of
        them runs out of work meanwhile.
        """
        busy: dict[str, int] = defaultdict(int)
        for run in self.flying:
            busy[run.domain] += 1
        ahead = (flying / self._rate(domain) for domain, flying in busy.items())
        return min(_TOGETHER, *(seconds / 4 for seconds in ahead))

    def _taken(self, queue: deque[tuple[Run, bool]]) -> Iterator[tuple[Run, bool]]:
        """Take tasks off a queue, skipping those that went to somebody else meanwhile."""
        while queue:
            item = queue.popleft()
            if self.wanted(item[0]):
                yield item

    def _window(self, domain: str) -> int:
        """Return the tasks that a domain may have in flight: about `_AHEAD` seconds of its work."""
        size = self._attendance.size(domain)
        rate = self._rate(domain) / size
        return size * max(self.window, min(round(rate * _AHEAD), _WIDEST))

    def _rate(self, domain: str) -> float:
        """Return the tasks that a domain has done in a second of late."""
        landings = self._landings[domain]
        return max(1, len(landings) - 1) / max(time.monotonic() - landings[0], _AHEAD)

    def _start(self, domain: str, flying: int, taken: Iterable[tuple[Run, bool]]) -> None:
        batches: dict[str, list[Flight]] = defaultdict(list)
        size, behind = self._attendance.size(domain), self._behind(domain)
        for ahead, (run, relay) in enumerate(taken, flying):
            # What is read for it is not its own time.
            flight = Flight(run, relay, float("inf"), ahead=ahead // size, behind=behind)
            self.flying[run] = flight
            batches[run.task.stage].append(flight)
        for stage, flights in batches.items():
            self.launch(domain, stage, flights)

    def challenge(self, challenge: Challenge, question: Question) -> Flight:
        """Note a challenge as in flight: inputs are held for it, so no window holds it up.

        Parameters
        ----------
        challenge : Challenge
            The challenge.
        question : Question
            What the auditor is given.

        Returns
        -------
        Flight
        """
        queued = sum(run.domain == challenge.domain for run in self.flying)
        flight = Flight(challenge, False, time.monotonic(), question=question)
        flight.ahead = queued // self._attendance.size(challenge.domain)
        flight.behind = self._behind(challenge.domain)
        self.flying[challenge] = flight
        return flight

    def landed(self, run: Errand) -> Flight | None:
        """Take a task out of flight; None if it was given up before.

        Parameters
        ----------
        run : Errand
            The task or the challenge.

        Returns
        -------
        Flight or None
        """
        flight = self.flying.pop(run, None)
        if flight is not None and flight.started < float("inf"):
            self._heard[run.domain] = time.monotonic()
            if isinstance(run, Run):
                self._landings[run.domain].append(self._heard[run.domain])
        return flight

    def done(self, flight: Flight) -> None:
        """Learn from a task that was done how long one may take; from no other.

        Who fails at once, or answers garbage, must not make others look late. And what came of it
        may have taken long to fetch: that says nothing of how long tasks take.

        Parameters
        ----------
        flight : Flight
            The task, out of flight.
        """
        if flight.started < float("inf"):
            seconds = max(0.0, self.taken_at - flight.started)
            self.pace.note(flight.run.task.stage, flight.run.domain, seconds)

    def cut_off(self, run: Errand) -> bool:
        """Take a task out of flight whose connection broke; whether to submit it once more.

        A client whose scheduler drops it forgets all that was submitted: nobody was silent. But a
        scheduler that drops it just before each deadline must not hold the job up for long.

        Parameters
        ----------
        run : Errand
            The task or the challenge.

        Returns
        -------
        bool
        """
        flight = self.flying.get(run)
        if flight is None or self._cut[run] >= _AGAIN or self._in_vain[run] >= _IN_VAIN:
            return False
        limit = self.pace.limit(run.task.stage) * (1 + flight.ahead)
        self._in_vain[run] += max(0.0, time.monotonic() - flight.started) / limit
        self._cut[run] += 1
        del self.flying[run]
        return True

    def give_up(self, run: Errand) -> bool:
        """Count a task as unanswered; its answer is still welcome. False if it had landed.

        Parameters
        ----------
        run : Errand
            The task or the challenge.

        Returns
        -------
        bool
        """
        flight = self.flying.pop(run, None)
        if flight is not None:
            self._given_up.append(flight)
        return flight is not None

    def underway(self) -> dict[Hashable, Queued]:
        """Return what is in flight, by place: other jobs may have to wait behind it.

        Returns
        -------
        dict of Hashable to Queued
        """
        flying, given = list(self.flying), defaultdict(list)
        limits = {stage: self.pace.limit(stage) for stage in {r.task.stage for r in flying}}
        for run in flying:
            given[run.domain].append(limits[run.task.stage])
        found: dict[Hashable, Queued] = {}
        for name, place in self.places.items():
            heard = self._heard.get(name, float("-inf"))
            found[place] = Queued(max(given[name], default=0.0), sum(given[name]), heard)
        return found

    def _behind(self, domain: str) -> float:
        """Return the seconds that other jobs give to what each of a domain's workers has to do."""
        queued = TRAFFIC.beside(self).get(self.places.get(domain), Queued())
        return queued.together / self._attendance.size(domain)

    def overdue(self) -> dict[Errand, str]:
        """Return the tasks that should have been answered by now, and why; they stay in flight.

        Waiting behind other work of its own domain, be it another job's, does not make a task late,
        as long as this work gets done; but nobody may go on with that and leave one task aside. Nor
        does whatever kept us from taking what has arrived.

        Returns
        -------
        dict of Errand to str
        """
        now = self.taken_at
        limits = {stage: self.pace.limit(stage) for stage in {r.task.stage for r in self.flying}}
        late: dict[Errand, str] = {}
        others: Mapping[Hashable, Queued] | None = None
        for run, flight in self.flying.items():
            limit, flown = limits[run.task.stage], now - flight.started
            idle = now - self._heard.get(run.domain, flight.started)
            if flown > limit and others is None:
                others = TRAFFIC.beside(self)
            queued = (others or {}).get(self.places.get(run.domain), Queued())
            if self._silent(flight, limit, idle, queued) or self._left_aside(flight, limit):
                late[run] = f"not answered within {_seconds(flown)}"
            elif absent := self._deserted(run.domain, min(flown, idle)):
                late[run] = f"not answered, and without a worker for {_seconds(absent)}"
        return late

    def _silent(self, flight: Flight, limit: float, idle: float, queued: Queued) -> bool:
        """Whether nothing has come from a domain for longer than one of its tasks may take."""
        waited = min(self.taken_at - flight.started, idle, self.taken_at - queued.heard)
        return waited > max(limit, queued.longest)

    def _left_aside(self, flight: Flight, limit: float) -> bool:
        """Whether a domain had more time than for all that it was given before a task."""
        return self.taken_at - flight.started > limit * (1 + flight.ahead) + flight.behind

    def _deserted(self, domain: str, waited: float) -> float:
        """Return for how long a domain has had no worker, if it is as good as silent; else 0."""
        if waited < _IDLE:
            return 0.0
        absent = self._attendance.absent(domain)
        enough = self.pace.absence(self._attendance.others(domain))
        return absent if min(waited, absent) > enough else 0.0

    def drop(self, unwanted: Callable[[Errand], bool]) -> list[Flight]:
        """Forget tasks, waiting or in flight; return the flights, to be cancelled.

        Parameters
        ----------
        unwanted : callable
            Tells what is to be forgotten.

        Returns
        -------
        list of Flight
        """
        for domain, queue in self._waiting.items():
            self._waiting[domain] = deque(item for item in queue if not unwanted(item[0]))
        dropped = [f for f in self._given_up if unwanted(f.run)]
        self._given_up = [f for f in self._given_up if not unwanted(f.run)]
        dropped += [self.flying.pop(run) for run in list(self.flying) if unwanted(run)]
        for flight in dropped:
            flight.dropped = True
            # Whoever asks for the same again begins anew.
            self._cut.pop(flight.run, None)
            self._in_vain.pop(flight.run, None)
        return dropped


def _seconds(seconds: float) -> str:
    return f"{seconds:.3g} s" if seconds < 100 else f"{seconds:,.0f} s"


def _first_moment() -> deque[float]:
    return deque([time.monotonic()], maxlen=_WIDEST)


def _checks_reduce(waiting: tuple[Run, bool]) -> bool:
    return waiting[0].audit and waiting[0].task.stage == REDUCE


def done(future: Future) -> bool:
    """Whether a future holds an answer, which counts however late it is.

    Parameters
    ----------
    future : Future
        The future.

    Returns
    -------
    bool
    """
    return bool(future.status == "finished")


def forgotten(future: Future) -> bool:
    """Whether a scheduler has forgotten what it was given, or its client could not tell it.

    Parameters
    ----------
    future : Future
        The future.

    Returns
    -------
    bool
    """
    return bool(future.status == "cancelled")
