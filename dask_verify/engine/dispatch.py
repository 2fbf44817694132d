"""Tasks in flight: a bounded number in each domain, each with a deadline."""

from __future__ import annotations

import contextlib
import statistics
import time
from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from queue import Empty, SimpleQueue
from typing import Any

from dask_verify.engine.domainpool import DomainPool, Future
from dask_verify.engine.examiner import Question
from dask_verify.protocol.messages import MAP, REDUCE, Challenge, Run

Errand = Run | Challenge  #: what is submitted for a domain
Landing = tuple[Errand, Future]

_AHEAD = 2.0  #: seconds of work that a domain is given ahead
_WIDEST = 64  #: tasks in flight for each worker at the most
_FRESH = 1.0  #: seconds for which the number of a domain's workers is taken as known
_TICK = 0.25  #: seconds between looks at deadlines
_TOGETHER = 0.5  #: seconds for which a result waits for others at the most
_REMEMBERED = 500  #: durations of a stage that its deadline is derived from, the latest
_SLACK = 10  #: times the median duration of a stage after which a task is late


@dataclass
class Flight:
    """One task, or one challenge, that a domain has been asked to execute.

    ``ahead`` says how many tasks each of the domain's workers had before it.
    """

    run: Errand
    relay: bool
    started: float
    future: Future | None = None
    question: Question | None = None
    ahead: int = 0


@dataclass
class Dispatcher:
    """Decides when a task may start, and when it is late.

    Parameters
    ----------
    pool : DomainPool
    window : int
        Tasks in flight for each worker of a domain; more where `_AHEAD` seconds hold more.
    deadline : float, optional
        Seconds a task may take, see `overdue`; None: derived from what the stage's tasks took.
    floor : float
        Seconds that every task is given, where the deadline is derived.
    launch : callable
        Starts flights of one domain and stage.
    wanted : callable
        Whether a queued task still waits for its domain.
    """

    pool: DomainPool
    window: int
    deadline: float | None
    floor: float
    launch: Callable[[str, str, list[Flight]], None]
    wanted: Callable[[Run], bool]
    flying: dict[Errand, Flight] = field(default_factory=dict)
    _waiting: dict[str, deque[tuple[Run, bool]]] = field(default_factory=lambda: defaultdict(deque))
    _given_up: list[Flight] = field(default_factory=list)
    _landings: dict[str, deque[float]] = field(default_factory=lambda: defaultdict(_first_moment))
    _took: dict[str, deque[float]] = field(default_factory=lambda: defaultdict(_recent))
    _workers: tuple[float, dict[str, list[str]]] = (float("-inf"), {})

    def add(self, run: Run, relay: bool = False) -> None:
        """Queue a task for its domain; audits of maps go first, since the reduces wait for them."""
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
        size = self._size(domain)
        rate = self._rate(domain) / size
        return size * max(self.window, min(round(rate * _AHEAD), _WIDEST))

    def _rate(self, domain: str) -> float:
        """Return the tasks that a domain has done in a second of late."""
        landings = self._landings[domain]
        return max(1, len(landings) - 1) / max(time.monotonic() - landings[0], _AHEAD)

    def _start(self, domain: str, flying: int, taken: Iterable[tuple[Run, bool]]) -> None:
        batches: dict[str, list[Flight]] = defaultdict(list)
        size = self._size(domain)
        for ahead, (run, relay) in enumerate(taken, flying):
            # What is read for it is not its own time.
            flight = Flight(run, relay, float("inf"), ahead=ahead // size)
            self.flying[run] = flight
            batches[run.task.stage].append(flight)
        for stage, flights in batches.items():
            self.launch(domain, stage, flights)

    def challenge(self, challenge: Challenge, question: Question) -> Flight:
        """Note a challenge as in flight: inputs are held for it, so no window holds it up."""
        flight = Flight(challenge, False, time.monotonic(), question=question)
        self.flying[challenge] = flight
        return flight

    def landed(self, run: Errand) -> Flight | None:
        """Take a task out of flight; None if it was given up before."""
        flight = self.flying.pop(run, None)
        if flight is not None and isinstance(run, Run) and flight.started < float("inf"):
            self._took[run.task.stage].append(time.monotonic() - flight.started)
            self._landings[run.domain].append(time.monotonic())
        return flight

    def give_up(self, run: Errand) -> bool:
        """Count a task as unanswered; its answer is still welcome. False if it had landed."""
        flight = self.flying.pop(run, None)
        if flight is not None:
            self._given_up.append(flight)
        return flight is not None

    def overdue(self) -> list[Errand]:
        """Return the tasks that should have been answered by now; they stay in flight.

        Waiting behind other work of its own domain does not make a task late, as long as this work
        gets done; but nobody may go on with that and leave one task aside.
        """
        now = time.monotonic()
        limits = {stage: self._limit(stage) for stage in {r.task.stage for r in self.flying}}
        late = []
        for run, flight in self.flying.items():
            limit, idle = limits[run.task.stage], now - self._landings[run.domain][-1]
            flown = now - flight.started
            if min(flown, idle) > limit or flown > limit * (1 + flight.ahead):
                late.append(run)
        return late

    def drop(self, unwanted: Callable[[Errand], bool]) -> list[Flight]:
        """Forget tasks, waiting or in flight; return the flights, to be cancelled."""
        for domain, queue in self._waiting.items():
            self._waiting[domain] = deque(item for item in queue if not unwanted(item[0]))
        late = [f for f in self._given_up if unwanted(f.run)]
        self._given_up = [f for f in self._given_up if not unwanted(f.run)]
        return late + [self.flying.pop(run) for run in list(self.flying) if unwanted(run)]

    def _limit(self, stage: str) -> float:
        if self.deadline is not None:
            return self.deadline
        took = self._took[stage]
        return max(self.floor, _SLACK * statistics.median(took)) if took else float("inf")

    def _size(self, domain: str) -> int:
        asked, workers = self._workers
        if time.monotonic() - asked > _FRESH:
            with contextlib.suppress(OSError):  # the last known number does for a window
                workers = self.pool.workers()
            self._workers = (time.monotonic(), workers)
        return max(1, len(workers.get(domain, ())))


def _first_moment() -> deque[float]:
    return deque([time.monotonic()], maxlen=_WIDEST)


def _recent() -> deque[float]:
    return deque(maxlen=_REMEMBERED)


def _checks_reduce(waiting: tuple[Run, bool]) -> bool:
    return waiting[0].audit and waiting[0].task.stage == REDUCE


def done(future: Future) -> bool:
    """Whether a future holds an answer, which counts however late it is."""
    return bool(future.status == "finished")
