"""What is started when, and for how long results wait for each other."""

from __future__ import annotations

import queue
from collections import Counter
from types import SimpleNamespace
from typing import Any

import pytest

from dask_verify.core.canonical import encode
from dask_verify.engine import dispatch
from dask_verify.engine.carrier import Carrier
from dask_verify.engine.dispatch import _TOGETHER, Dispatcher, Flight
from dask_verify.engine.pace import Pace
from dask_verify.engine.reader import UnservedError
from dask_verify.engine.tasks import COMMITTED, FAILED
from dask_verify.protocol.messages import MAP, REDUCE, Challenge, Run, Task


class Started:
    """A dispatcher of one worker a domain, and what it has started."""

    def __init__(self, window: int = 2, places: Any = ()) -> None:
        self.batches: list[list[Run]] = []
        pool: Any = SimpleNamespace(workers=lambda: {"a": ["tcp://a"], "b": ["tcp://b"]})
        pace = Pace(None, 60.0, 0)
        self.of = Dispatcher(pool, window, pace, self._launch, lambda run: True, dict(places))

    def _launch(self, domain: str, stage: str, flights: list[Flight]) -> None:
        for flight in flights:
            flight.started = dispatch.time.monotonic()
        self.batches.append([f.run for f in flights if isinstance(f.run, Run)])

    def overdue(self) -> list[Any]:
        """Return what is late now that everything that has arrived is taken."""
        self.of.taken_at = dispatch.time.monotonic()
        return list(self.of.overdue())

    def finish(self, run: Run) -> None:
        """Let a task land, and be done."""
        flight = self.of.landed(run)
        assert flight is not None
        self.of.done(flight)

    def pump(self) -> list[list[Run]]:
        self.batches.clear()
        self.of.pump()
        return list(self.batches)


def run(stage: str, partition: int, audit: bool = False, domain: str = "a") -> Run:
    return Run(Task(stage, partition), domain, b"in", audit=audit)


def test_audits_of_maps_go_before_what_waits() -> None:
    started = Started(window=1)
    for i in range(3):
        started.of.add(run(MAP, i))
    audit = run(MAP, 9, audit=True)
    started.of.add(audit)
    assert started.pump() == [[audit]]


def test_audits_of_reduces_gather_while_their_domain_is_busy() -> None:
    started = Started(window=4)
    own = run(REDUCE, 0)
    started.of.add(own)
    assert started.pump() == [[own]]
    audits = [run(REDUCE, i, audit=True) for i in (1, 2)]
    for audit in audits:
        started.of.add(audit)
    other = run(REDUCE, 3, audit=True, domain="b")
    started.of.add(other)
    assert started.pump() == [[other]]
    started.of.landed(own)
    assert started.pump() == [audits]


def test_audits_of_reduces_hold_up_nothing_that_comes_after_them() -> None:
    """A reduce in flight may wait for a map that is made again."""
    started = Started(window=4)
    started.of.add(run(REDUCE, 0))
    started.pump()
    started.of.add(run(REDUCE, 1, audit=True))
    again = run(MAP, 0)
    started.of.add(again)
    assert again in [r for batch in started.pump() for r in batch]


def test_results_wait_less_for_each_other_the_less_there_is_to_do() -> None:
    started = Started(window=400)
    for i in range(400):
        started.of.add(run(MAP, i))
    started.pump()
    for i in range(200):
        started.of.landed(run(MAP, i))
    longest = started.of._patience()
    assert longest == _TOGETHER
    for i in range(200, 399):
        started.of.landed(run(MAP, i))
    assert 0 < started.of._patience() < longest


@pytest.mark.parametrize("flying", [1, 2, 3])
def test_results_are_taken_together_until_all_have_landed(flying: int) -> None:
    """Nobody waits once nothing flies, or once something else has come."""
    started = Started(window=flying)
    landings = [(run(MAP, i), None) for i in range(flying)]
    for landed, _ in landings:
        started.of.add(landed)
    started.pump()
    started.of._patience = lambda: 1000.0  # type: ignore[method-assign]
    events: queue.SimpleQueue[Any] = queue.SimpleQueue()
    for landing in landings:
        events.put(landing)
    assert started.of.next_of(events) == landings
    acts = [landings[0], print]
    for item in acts:
        events.put(item)
    assert started.of.next_of(events) == acts


def parked(carrier: Any, actions: queue.SimpleQueue[Any], flights: list[Flight]) -> None:
    """Check that what waits gives up its place, and comes back when it is served."""
    started, waiting = Started(window=3), []
    for flight in flights:
        assert isinstance(flight.run, Run)
        started.of.add(flight.run)
    started.pump()
    started.of.flying = {flight.run: flight for flight in flights}
    carrier.dispatcher = started.of
    carrier._waiting = SimpleNamespace(until_served=lambda error, action: waiting.append(action))
    while not actions.empty():
        actions.get_nowait()()
    assert [r.task.partition for r in started.of.flying] == [0, 2]
    needed = run(MAP, 7)
    started.of.add(needed)
    assert started.pump() == [[needed]]
    started.of.landed(needed)
    waiting[0]()
    assert started.pump() == [[flights[1].run]]
    assert started.of.flying[flights[1].run].relay


def test_what_never_started_says_nothing_of_how_long_tasks_take() -> None:
    started = Started(window=9)
    for i in range(3):
        started.of.add(run(REDUCE, i))
    started.pump()
    started.of.flying[run(REDUCE, 0)].started = float("inf")
    started.finish(run(REDUCE, 0))
    assert not started.of.pace._took[REDUCE]
    started.finish(run(REDUCE, 1))
    assert len(started.of.pace._took[REDUCE]["a"]) == 1


@pytest.mark.parametrize(("wires", "noted"), [((b"wire",), True), ((), False)])
def test_only_a_task_that_was_done_says_how_long_one_takes(
    wires: tuple[bytes, ...], noted: bool
) -> None:
    """Who lacks a module fails at once, and others must not look late by that."""
    started = Started()
    started.of.add(run(MAP, 0))
    started.pump()
    flight = started.of.landed(run(MAP, 0))
    carrier: Any = object.__new__(Carrier)
    carrier.dispatcher = started.of
    carrier._replied = carrier._signed = lambda *reply: None
    carrier._driver = SimpleNamespace(reader=SimpleNamespace(moved=Counter()), apply=print)
    carrier._answered(run(MAP, 0), encode((COMMITTED, "tcp://a", wires, (), 0)), flight)
    carrier._answered(run(MAP, 0), encode((FAILED, "no module")), flight)
    carrier._answered(run(MAP, 0), b"garbage", flight)
    assert bool(started.of.pace._took[MAP]) is noted


@pytest.mark.parametrize("error", [UnservedError(Task(MAP, 7)), ValueError("whatever")])
def test_one_reduce_that_has_to_wait_holds_up_no_other(error: Exception) -> None:
    sent: list[int] = []
    flights = [Flight(run(REDUCE, i), False, 0.0) for i in range(3)]

    def reduces(domain: str, wanted: list[tuple[Run, bool]]) -> list[Any]:
        if any(r.task.partition == 1 for r, _ in wanted):
            raise error
        sent.extend(r.task.partition for r, _ in wanted)
        return [SimpleNamespace(add_done_callback=lambda act: None) for _ in wanted]

    late: list[Run] = []
    carrier: Any = object.__new__(Carrier)
    carrier._launcher = SimpleNamespace(reduces=reduces)
    carrier._unanswered = lambda flight, reason: late.append(flight.run)
    actions: queue.SimpleQueue[Any] = queue.SimpleQueue()
    carrier._put = actions.put
    carrier._launch_reduces(("a", flights))
    assert sent == [0, 2]
    unserved = isinstance(error, UnservedError)
    assert late == ([] if unserved else [flights[1].run])
    if unserved:
        parked(carrier, actions, flights)
    assert [f.future is not None for f in flights] == [True, False, True]


def test_a_domain_that_takes_nothing_is_not_tried_with_every_task() -> None:
    """Each try may have to wait for a worker that holds no data any more."""
    tried: list[int] = []

    def reduces(domain: str, wanted: list[tuple[Run, bool]]) -> list[Any]:
        tried.extend(r.task.partition for r, _ in wanted)
        raise UnservedError(Task(MAP, 7)) if tried[-1] == 0 else TimeoutError

    late: list[tuple[int, str]] = []
    carrier: Any = object.__new__(Carrier)
    carrier._launcher = SimpleNamespace(reduces=reduces)
    carrier._unanswered = lambda flight, why: late.append((flight.run.task.partition, why))
    carrier._put = lambda action: None
    carrier._launch_reduces(("a", [Flight(run(REDUCE, i), False, 0.0) for i in range(5)]))
    assert tried == [0, 1, 2, 3, 4, 0, 1, 2]
    untried = "those before it were not taken"
    assert late == [(1, "TimeoutError()"), (2, "TimeoutError()"), (3, untried), (4, untried)]


@pytest.mark.parametrize(("stage", "looks"), [(MAP, 0), (REDUCE, 2)])
def test_only_reducers_bring_evidence(stage: str, looks: int) -> None:
    seen: list[Any] = []
    carrier: Any = object.__new__(Carrier)
    carrier._driver = SimpleNamespace(
        reader=SimpleNamespace(moved=Counter()),
        arbiter=SimpleNamespace(examine=None),
        beside=lambda function, item: seen.append(item),
    )
    carrier.dispatcher = SimpleNamespace(flying={})
    carrier._replied = carrier._signed = lambda *reply: None
    carrier._answered(
        run(stage, 3), encode((COMMITTED, "tcp://a", (b"wire",), (b"one", b"two"), 0)), None
    )
    assert [evidence for _, evidence in seen] == [b"one", b"two"][:looks]


# --- who is late ----------------------------------------------------------------------------


class Clock:
    """A clock that tests set."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 0.0
        monkeypatch.setattr(dispatch.time, "monotonic", lambda: self.now)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


@pytest.mark.parametrize("deadline", [None, 60.0])
def test_waiting_behind_own_work_that_gets_done_makes_nothing_late(
    clock: Clock, deadline: float | None
) -> None:
    """Fast tasks first, then slow ones: a window full of these takes long, and nobody is late."""
    started = Started(window=60)
    started.of.pace.deadline = deadline
    for i in range(60):
        started.of.add(run(MAP, i))
    started.pump()
    for i in range(60):
        clock.now += 5.0
        assert started.overdue() == []
        started.finish(run(MAP, i))
    assert clock.now > 4 * 60.0


def challenge(partition: int) -> Challenge:
    return Challenge(Task(MAP, partition), b"in", b"digest", "units", (0,), holder="b", domain="a")


def test_challenges_wait_behind_each_other(clock: Clock) -> None:
    """All are put at once, and an auditor that works through them is not late."""
    started = Started()
    started.of.pace.deadline = 60.0
    question: Any = None
    for i in range(60):
        started.of.challenge(challenge(i), question)
    for i in range(60):
        clock.now += 5.0
        assert started.overdue() == []
        started.of.landed(challenge(i))
    started.of.challenge(challenge(60), question)
    started.of.challenge(challenge(61), question)
    clock.now += 121.0
    assert [late.task.partition for late in started.overdue()] == [60, 61]


def test_who_does_nothing_any_more_is_late(clock: Clock) -> None:
    started = Started(window=4)
    for i in range(4):
        started.of.add(run(MAP, i))
        started.of.add(run(MAP, i, domain="b"))
    started.pump()
    clock.now = 1.0
    started.finish(run(MAP, 0))
    clock.now = 60.5
    assert {late.domain for late in started.overdue()} == {"b"}
    clock.now = 61.5
    assert {late.domain for late in started.overdue()} == {"a", "b"}


class Two:
    """Two jobs on the same workers: one whose tasks take long, and one with a short deadline."""

    def __init__(self) -> None:
        here = {"a": object()}
        self.long, self.short = Started(4, here), Started(1, here)
        self.long.of.pace.deadline, self.short.of.pace.deadline = 600.0, 60.0
        for i in range(4):
            self.long.of.add(run(MAP, i))
        self.long.pump()
        self.short.of.add(run(MAP, 0))
        self.short.pump()


def test_tasks_wait_behind_those_of_another_job_and_are_not_late(clock: Clock) -> None:
    two = Two()
    for i in range(4):
        clock.now += 100.0
        assert two.short.overdue() == []
        two.long.finish(run(MAP, i))
    clock.now += 59.0
    assert two.short.overdue() == []
    clock.now += 2.0
    assert two.short.overdue() == [run(MAP, 0)]  # it has begun, and others have nothing there


def test_who_works_for_another_job_may_not_leave_a_task_aside_for_ever(clock: Clock) -> None:
    two = Two()
    late = False
    for i in range(4, 40):
        two.long.of.add(run(MAP, i))
        two.long.pump()
        clock.now += 100.0
        two.long.finish(run(MAP, i - 4))
        late = two.short.overdue() == [run(MAP, 0)]
        assert late == (clock.now > 60.0 + 4 * 600.0)
    assert late


def test_a_domain_that_answers_no_job_is_late_in_all(clock: Clock) -> None:
    two = Two()
    clock.now = 599.0
    assert two.short.overdue() == two.long.overdue() == []
    clock.now = 601.0
    assert two.short.overdue() == [run(MAP, 0)]
    assert len(two.long.overdue()) == 4


def test_a_job_that_is_over_holds_up_no_other(clock: Clock) -> None:
    two = Two()
    two.long.of.drop(lambda run: True)
    assert two.short.of._behind("a") == 0
    clock.now = 61.0
    assert two.short.overdue() == [run(MAP, 0)]


def test_a_task_that_is_left_aside_is_late_however_busy_its_domain_is(clock: Clock) -> None:
    started = Started(window=3)
    started.of.pace.deadline = 60.0
    for i in range(40):
        started.of.add(run(MAP, i))
    started.pump()
    for i in range(40):
        if i != 2:  # two were ahead of it
            clock.now += 10.0
            started.finish(run(MAP, i))
            started.pump()
        late = [r.task.partition for r in started.overdue()]
        assert late == ([2] if clock.now > 3 * 60.0 else [])
    assert clock.now > 3 * 60.0


def test_the_window_follows_the_latest_tasks(clock: Clock) -> None:
    started = Started(window=2)
    for i in range(200):
        started.of.add(run(MAP, i))
    started.pump()
    wide = 0
    for i in range(100):
        clock.now += 0.01 if i < 64 else 5.0
        started.finish(run(MAP, i))
        started.pump()
        wide = max(wide, started.of._window("a"))
    assert wide > 60
    assert started.of._window("a") == 2


def test_a_stage_of_which_nothing_lands_has_an_end(clock: Clock) -> None:
    """Whoever is asked first, alone, and never answers."""
    started = Started(window=1)
    started.of.add(run(REDUCE, 0))
    started.pump()
    clock.now = 120 * 60.0
    assert started.overdue() == []
    clock.now += 1
    assert started.overdue() == [run(REDUCE, 0)]


def test_a_domain_without_workers_is_late_long_before_the_others(clock: Clock) -> None:
    started = Started(window=1)
    for domain in "ab":
        started.of.add(run(MAP, 0, domain=domain))
    started.pump()
    workers = {"a": [], "b": ["tcp://b"]}
    started.of.pool.workers = lambda: workers
    for clock.now in (3.0, 22.0):
        assert started.overdue() == []
    clock.now = 24.0
    assert [late.domain for late in started.overdue()] == ["a"]
    workers["a"] = ["tcp://a"]
    clock.now = 26.0
    assert started.overdue() == []


def test_without_any_workers_nobody_has_to_be_quick(clock: Clock) -> None:
    started = Started(window=1)
    started.of.add(run(MAP, 0))
    started.pump()
    started.of.pool.workers = lambda: {"a": [], "b": []}
    for clock.now in (3.0, 60.0):
        assert started.overdue() == []
    clock.now = 64.0
    assert started.overdue() == [run(MAP, 0)]


def test_a_task_for_a_domain_that_is_away_has_its_time_too(clock: Clock) -> None:
    started = Started(window=1)
    started.of.pool.workers = lambda: {"a": [], "b": ["tcp://b"]}
    assert started.of._attendance.absent("a") == 0
    clock.now = 100.0
    started.of.add(run(MAP, 0))
    started.pump()
    clock.now = 115.0
    assert started.overdue() == []
    clock.now = 121.0
    assert started.overdue() == [run(MAP, 0)]
    assert list(started.of.overdue().values()) == ["not answered, and without a worker for 121 s"]


def test_time_in_which_nobody_looked_makes_nothing_late(clock: Clock) -> None:
    """Its answer may have come while the job's thread waited for somebody else."""
    started = Started(window=1)
    started.of.pace.deadline = 60.0
    started.of.add(run(MAP, 0))
    started.pump()
    events: queue.SimpleQueue[Any] = queue.SimpleQueue()
    events.put(print)
    started.of.next_of(events)
    clock.now = 61.0
    assert not started.of.overdue()
    events.put(print)
    started.of.next_of(events)
    assert started.of.overdue() == {run(MAP, 0): "not answered within 61 s"}


def test_what_a_broken_connection_took_along_is_submitted_again_but_not_forever() -> None:
    started = Started(window=1)
    for _ in range(10):
        started.of.add(run(MAP, 0))
        assert started.pump() == [[run(MAP, 0)]]
        assert started.of.cut_off(run(MAP, 0))
        assert not started.of.flying
    started.of.add(run(MAP, 0))
    started.pump()
    assert not started.of.cut_off(run(MAP, 0))
    assert run(MAP, 0) in started.of.flying
    assert not started.of.pace._took[MAP]


def test_what_is_asked_again_after_it_was_taken_back_may_lose_its_connection_anew() -> None:
    started = Started(window=1)
    for _ in range(2):
        for _ in range(10):
            started.of.add(run(MAP, 0))
            started.pump()
            assert started.of.cut_off(run(MAP, 0))
        started.of.add(run(MAP, 0))
        started.pump()
        (flight,) = started.of.drop(lambda run: True)
        assert flight.dropped


def test_a_connection_that_breaks_before_every_deadline_buys_little_time(clock: Clock) -> None:
    """A scheduler decides when it drops its client."""
    started = Started(window=1)
    started.of.pace.deadline = 60.0
    cut = True
    while cut:
        started.of.add(run(MAP, 0))
        started.pump()
        clock.now += 59.0
        assert started.overdue() == []
        cut = started.of.cut_off(run(MAP, 0))
    assert clock.now == 4 * 59.0
    assert run(MAP, 0) in started.of.flying


def test_a_connection_that_breaks_late_may_break_again_while_it_is_made(clock: Clock) -> None:
    started = Started(window=1)
    started.of.pace.deadline = 60.0
    for flown in (59.0, *[0.5] * 9):
        started.of.add(run(MAP, 0))
        started.pump()
        clock.now += flown
        assert started.of.cut_off(run(MAP, 0))


def test_a_slow_fetch_does_not_count_as_a_slow_task(clock: Clock) -> None:
    """Who keeps its results to itself must not buy everybody else's tasks more time by that."""
    started = Started(window=1)
    started.of.add(run(MAP, 0))
    started.pump()
    clock.now = 1.0
    events: queue.SimpleQueue[Any] = queue.SimpleQueue()
    events.put(print)
    started.of.next_of(events)
    clock.now = 21.0
    started.finish(run(MAP, 0))
    assert list(started.of.pace._took[MAP]["a"]) == [1.0]
