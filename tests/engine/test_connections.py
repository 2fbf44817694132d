"""Connections that break, and schedulers that do not answer."""

from __future__ import annotations

import asyncio
import queue
from collections import Counter
from concurrent.futures import CancelledError
from types import SimpleNamespace
from typing import Any

import pytest
from distributed.comm import CommClosedError

from dask_verify import LocalDomainCluster
from dask_verify.core.canonical import encode
from dask_verify.engine import pool
from dask_verify.engine.carrier import Carrier
from dask_verify.engine.compat import RawConnections, let_clients_return
from dask_verify.engine.dispatch import Dispatcher, Flight
from dask_verify.engine.pool import SeparatePool
from dask_verify.engine.reader import GoneError, UnservedError
from dask_verify.engine.tasks import COMMITTED, FAILED, MISSING, UNKEPT
from dask_verify.protocol.messages import MAP, READ, REDUCE, Challenge, Committed, Run, Task

RUN = Run(Task(MAP, 0), "alice", b"in")
AUDIT = Challenge(Task(MAP, 1), b"in", b"digest", READ, (), "alice", "bob")


@pytest.mark.parametrize("broken", [1, 2])
def test_a_connection_that_was_dead_already_is_replaced_once(broken: int) -> None:
    said: list[Any] = [CommClosedError("dead")] * broken + ["answer"]

    async def ask(message: Any) -> Any:
        answer = said.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    raw: Any = object.__new__(RawConnections)
    raw._address, raw._ask = "tcp://there", ask
    if broken == 1:
        assert asyncio.run(raw.ask({}, 60.0)) == "answer"
    else:
        with pytest.raises(CommClosedError):
            asyncio.run(raw.ask({}, 60.0))


class Silence:
    """A pool of one domain, whose scheduler answers with whatever is next."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now, self.asked, self.takes = 100.0, 0, 0.0
        self.says: Any = TimeoutError("no answer")
        monkeypatch.setattr(pool, "time", self)
        self.pool: Any = object.__new__(SeparatePool)
        self.pool._slow, self.pool._ask = {}, self.ask

    def monotonic(self) -> float:
        return self.now

    def ask(self, *question: Any) -> Any:
        self.asked += 1
        self.now += self.takes
        if isinstance(self.says, Exception):
            raise self.says
        return self.says

    def workers(self) -> list[str]:
        found: list[str] = self.pool._workers("alice")
        return found


def test_a_silent_scheduler_is_asked_less_and_less_often(monkeypatch: pytest.MonkeyPatch) -> None:
    of = Silence(monkeypatch)
    of.takes, times = 5.0, []
    while of.now < 240:
        assert of.workers() == []
        times += [of.now] * (of.asked - len(times))
        of.now += 1.0
    assert times == [105, 115, 130, 155, 190, 225]
    of.says = {"tcp://a": 1}
    of.takes = 0.0
    of.now += 30.0
    assert of.workers() == ["tcp://a"]
    of.says, of.takes = TimeoutError("no answer"), 5.0
    of.workers()
    of.now += 5.0
    of.says, of.takes = {"tcp://a": 1}, 0.0
    assert of.workers() == ["tcp://a"]  # it had answered since: this was a first time again


def test_who_says_no_at_once_may_be_asked_again_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    of = Silence(monkeypatch)
    of.says = ConnectionError("the client is closed")
    assert of.workers() == []
    of.says = {"tcp://a": 1}
    assert of.workers() == ["tcp://a"]


def test_a_scheduler_that_answers_late_is_asked_less_often_and_its_workers_stay_known(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    of = Silence(monkeypatch)
    of.says, of.takes, times = {"tcp://a": 1}, 4.9, []
    while of.now < 200:
        assert of.workers() == ["tcp://a"]
        times += [round(of.now)] * (of.asked - len(times))
        of.now += 1.0
    assert times == [105, 115, 130, 155, 190]
    of.now += 30.0
    of.says = TimeoutError("no answer")
    assert of.workers() == []
    of.now += 1.0
    assert of.workers() == []  # what it named before it fell silent is no news
    of.now += 30.0
    of.says, of.takes = {"tcp://b": 1}, 0.0
    assert of.workers() == ["tcp://b"]
    of.says = {}
    assert of.workers() == []


def test_who_says_no_at_once_is_not_asked_more_often_for_that(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    of = Silence(monkeypatch)
    of.takes = 5.0
    of.workers()
    of.now += 5.0
    of.takes = 0.0
    of.workers()
    of.takes = 5.0
    of.workers()
    of.now += 9.0
    assert (of.workers(), of.asked) == ([], 3)


def test_a_look_whether_a_worker_is_lost_neither_uses_nor_changes_what_is_known(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    of = Silence(monkeypatch)
    of.says, of.takes = {"tcp://a": 1}, 4.9
    assert of.workers() == ["tcp://a"]
    of.says, of.takes = {"tcp://b": 1}, 0.0
    assert of.pool._lost("alice", "tcp://a")
    assert of.workers() == ["tcp://a"]
    assert of.asked == 2


class Carrying:
    """A carrier with one task in flight."""

    def __init__(self, errand: Any, may: bool = True) -> None:
        self.done: list[Any] = []
        self.of: Any = object.__new__(Carrier)
        flight = SimpleNamespace(relay=True, question="question")
        self.of.dispatcher = SimpleNamespace(
            flying={errand: flight},
            cut_off=lambda run: may,
            add=lambda run, relay: self.done.append(("add", run, relay)),
        )
        auditor = SimpleNamespace(submit=lambda *what: self.done.append(("submit", *what)))
        self.of._driver = SimpleNamespace(auditor=auditor)

    def again(self, errand: Any, status: str) -> bool:
        future = SimpleNamespace(status=status)
        for flight in self.of.dispatcher.flying.values():
            flight.future = future
        return bool(self.of._submitted_again(errand, future))


def test_what_a_client_forgot_with_its_connection_is_submitted_again() -> None:
    task, audit = Carrying(RUN), Carrying(AUDIT)
    assert task.again(RUN, "cancelled")
    assert task.done == [("add", RUN, True)]
    assert audit.again(AUDIT, "cancelled")
    assert audit.done == [("submit", AUDIT, "question")]


@pytest.mark.parametrize("status", ["finished", "error", "lost", "pending"])
def test_what_was_answered_or_lost_by_others_is_not(status: str) -> None:
    task = Carrying(RUN)
    assert not task.again(RUN, status)
    assert not task.done


def test_nor_is_what_we_took_back_or_has_been_tried_enough() -> None:
    assert not Carrying(RUN).again(AUDIT, "cancelled")
    assert not Carrying(RUN, may=False).again(RUN, "cancelled")


class Rerun:
    """A carrier that gives one task up, and asks for the very same again."""

    def __init__(self) -> None:
        self.told: list[Any] = []
        self.of: Any = object.__new__(Carrier)
        flying: dict[Any, Any] = {}
        self.of.dispatcher = SimpleNamespace(
            flying=flying,
            cut_off=self.cut_off,
            add=lambda run, relay: self.told.append("added"),
            landed=lambda run: flying.pop(run, None),
        )
        pool = SimpleNamespace(results=lambda asked: [CancelledError("key") for _ in asked])
        self.of._driver = SimpleNamespace(pool=pool, apply=self.told.append)

    def cut_off(self, run: Run) -> bool:
        self.told.append("cut off")
        return True

    def flies(self, future: Any) -> None:
        self.of.dispatcher.flying[RUN] = SimpleNamespace(future=future, relay=False)


@pytest.mark.parametrize("status", ["cancelled", "lost", "error"])
@pytest.mark.parametrize("submitted", [True, False])
def test_what_we_took_back_says_nothing_of_what_we_asked_again(
    status: str, submitted: bool
) -> None:
    """It would be asked a third time, or its domain be late with what it still computes."""
    carrier, taken_back = Rerun(), SimpleNamespace(status=status)
    carrier.flies(SimpleNamespace(status="pending") if submitted else None)
    carrier.of.landed([(RUN, taken_back)])
    assert not carrier.told
    assert RUN in carrier.of.dispatcher.flying


def test_a_connection_that_breaks_while_answers_are_fetched_takes_along_its_own_alone() -> None:
    carrier, overtaken = Rerun(), SimpleNamespace(status="finished")
    carrier.flies(SimpleNamespace(status="pending"))

    def results(asked: Any) -> list[Any]:
        overtaken.status = "cancelled"
        return [b"garbage" for _ in asked]

    carrier.of._driver.pool.results = results
    carrier.of._driver.reader = SimpleNamespace(moved=Counter())
    carrier.of.landed([(RUN, overtaken)])
    assert not carrier.told
    assert RUN in carrier.of.dispatcher.flying


def test_what_is_under_way_is_heard() -> None:
    carrier, future = Rerun(), SimpleNamespace(status="cancelled")
    carrier.flies(future)
    carrier.of.landed([(RUN, future)])
    assert carrier.told == ["cut off", "added"]


# --- launches that are taken back while they are under way --------------------------------------


class Launching:
    """A carrier whose first try was taken back in the middle; the very same is asked for again."""

    def __init__(self, launch: Any) -> None:
        self.told: list[Any] = []
        self.cancelled: list[Any] = []
        self.actions: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self.of: Any = object.__new__(Carrier)
        self.of._put = self.actions.put
        self.of._launcher = SimpleNamespace(reduces=launch)
        self.first, self.second = (Flight(REDUCING, False, float("inf")) for _ in range(2))
        self.first.dropped = True
        self.of.dispatcher = dispatcher = object.__new__(Dispatcher)
        dispatcher.flying, dispatcher._given_up = {REDUCING: self.second}, []
        self.of._waiting = SimpleNamespace(until_served=lambda *what: self.told.append("parked"))
        self.of._driver = SimpleNamespace(
            apply=self.told.append, pool=SimpleNamespace(cancel=self.cancelled.extend)
        )

    def run(self) -> None:
        self.of._launch_reduces(("alice", [self.first]))
        while not self.actions.empty():
            self.actions.get()()


REDUCING = Run(Task(REDUCE, 0), "alice", b"in")


@pytest.mark.parametrize("error", [OSError("dragged"), UnservedError(Task(MAP, 0)), GoneError()])
def test_how_a_try_that_was_taken_back_fails_says_nothing_of_the_next(error: Exception) -> None:
    def launch(domain: str, wanted: Any) -> Any:
        raise error

    launching = Launching(launch)
    launching.run()
    assert not launching.told
    assert launching.of.dispatcher.flying == {REDUCING: launching.second}


def test_a_try_that_was_taken_back_while_it_was_submitted_is_cancelled() -> None:
    """Nobody could before; it would keep a thread of an honest domain busy with a lie."""
    future = SimpleNamespace(add_done_callback=lambda act: None)
    launching = Launching(lambda domain, wanted: [future])
    launching.run()
    assert launching.cancelled == [future]
    launching.first.dropped = False
    launching.cancelled.clear()
    launching.run()
    assert not launching.cancelled


class Answering:
    """A carrier that hears an answer to a try which was taken back."""

    def __init__(self, inputs: bytes) -> None:
        self.told: list[Any] = []
        self.places: list[Any] = []
        self.of: Any = object.__new__(Carrier)
        now = Flight(REDUCING, True, 0.0, SimpleNamespace(status="pending"))
        self.of.dispatcher = object.__new__(Dispatcher)
        self.of.dispatcher.flying = {REDUCING: now}
        self.of._recorder = SimpleNamespace(found_at=lambda *where: None)
        self.of._driver = SimpleNamespace(
            apply=self.told.append,
            spent=Counter(),
            reader=SimpleNamespace(
                moved=Counter(), found_at=lambda *where: self.places.append(where)
            ),
            state=SimpleNamespace(state=lambda task: SimpleNamespace(inputs=inputs)),
            pool=SimpleNamespace(results=lambda asked: [self.answer for _ in asked]),
        )

    def hears(self, *answer: Any) -> list[Any]:
        self.answer = encode(answer) if answer else b"garbage"
        self.of.landed([(REDUCING, SimpleNamespace(status="finished"))])
        assert REDUCING in self.of.dispatcher.flying
        return self.told


@pytest.mark.parametrize("answer", [(MISSING, (0,), ()), (FAILED, "raised"), (UNKEPT, "full"), ()])
def test_of_a_try_that_was_taken_back_only_what_was_signed_counts(answer: Any) -> None:
    """The next one is under way: it has not failed, refused anything, or been late."""
    assert Answering(b"in").hears(*answer) == []
    said = (COMMITTED, "tcp://alice:2", (b"wire",), (), 0)
    assert Answering(b"in").hears(*said) == [Committed(REDUCING.task, "alice", b"in", b"wire")]


@pytest.mark.parametrize("inputs", [b"in", b"newer"])
def test_where_an_older_partition_is_says_nothing_of_the_newer(inputs: bytes) -> None:
    answering = Answering(inputs)
    answering.hears(COMMITTED, "tcp://alice:2", (b"wire",), (), 0)
    there = [(REDUCING.task, "alice", "tcp://alice:2")]
    assert answering.places == (there if inputs == b"in" else [])


# --- clients that their scheduler drops ---------------------------------------------------------


@pytest.mark.cluster
def test_a_client_that_is_back_before_its_old_connection_is_cleared_away_is_not_forgotten() -> None:
    """Dask forgot it, with the old one: nobody told it of anything any more."""
    with LocalDomainCluster(["alice"], dashboard_address=None) as cluster:
        client, scheduler = cluster.get_client(), cluster._cluster("alice").scheduler
        back, register = asyncio.Event(), scheduler.handlers["register-client"]
        old = scheduler.client_comms[client.id]
        close = old.close

        async def registers(comm: Any, **said: Any) -> Any:
            back.set()
            return await register(comm, **said)

        async def closes_late() -> None:
            await back.wait()
            await close()

        scheduler.handlers["register-client"] = registers
        old.close = closes_late
        scheduler.loop.add_callback(old.comm.abort)
        back_in_time = client.sync(_reached, back, scheduler)
        assert back_in_time
        assert client.submit(max, 1, 2).result(timeout=30) == 2


async def _reached(event: asyncio.Event, scheduler: Any) -> bool:
    """Wait, in another loop than the event's, until a client is back."""
    waiting = asyncio.run_coroutine_threadsafe(event.wait(), scheduler.loop.asyncio_loop)
    return await asyncio.wrap_future(waiting)


def test_a_scheduler_lets_clients_return_once_only() -> None:
    async def register(comm: Any, client: str) -> str:
        return client

    scheduler: Any = SimpleNamespace(handlers={"register-client": register}, client_comms={})
    let_clients_return(scheduler)
    first = scheduler.handlers["register-client"]
    let_clients_return(scheduler)
    assert scheduler.handlers["register-client"] is first
    assert asyncio.run(first(None, client="me")) == "me"
