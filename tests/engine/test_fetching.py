"""Fetching what finished tasks have returned, from workers that may be gone or keep it."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Any

import distributed
import pytest
from distributed import LocalCluster

from dask_verify.engine import fetching
from dask_verify.engine.compat import gathered, waited
from dask_verify.engine.fetching import Fetcher


class Clock:
    now = 1024.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(fetching, "time", clock)
    return clock


@dataclass(eq=False)
class Client:
    """A client that waits for each domain as long as that takes, or raises what it is told to."""

    clock: Clock
    takes: dict[str, float] = field(default_factory=dict)
    raises: dict[str, list[Exception]] = field(default_factory=dict)
    fetched: list[tuple[list[str], float]] = field(default_factory=list)

    def sync(
        self, function: Any, futures: list[Future], callback_timeout: float
    ) -> dict[str, bytes]:
        assert function is gathered
        self.fetched.append(([f.key for f in futures], callback_timeout))
        domains = [f.key.split("-")[0] for f in futures]
        for domain in domains:
            if self.raises.get(domain):
                raise self.raises[domain].pop(0)
        took = max(self.takes.get(domain, 0.0) for domain in domains)
        self.clock.now += min(took, callback_timeout)
        if took > callback_timeout:
            raise TimeoutError
        return {f.key: f.key.encode() for f in futures if f.status == "finished"}

    def asked(self) -> list[tuple[list[str], float]]:
        asked, self.fetched = self.fetched, []
        return asked


@dataclass(eq=False)
class Future:
    key: str
    client: Client
    status: str = "finished"

    def exception(self, timeout: float) -> Exception:
        assert timeout == fetching._AT_ONCE
        if self.status == "error":
            return ValueError("as the function raised it")
        raise TimeoutError


def landings(client: Client, *domains: str) -> list[Any]:
    return [(domain, Future(f"{domain}-{i}", client)) for i, domain in enumerate(domains)]


@pytest.fixture
def client(clock: Clock) -> Client:
    return Client(clock)


FOREVER = 1e9


def test_everything_of_a_client_is_fetched_at_once(client: Client) -> None:
    there = landings(client, "alice", "bob", "alice")
    there[1][1].status = "lost"
    alice, bob, again = Fetcher().results(there)
    assert (alice, again) == (b"alice-0", b"alice-2")
    assert isinstance(bob, ConnectionError)
    assert client.asked() == [(["alice-0", "alice-2"], fetching._GATHER)]
    Fetcher().results(landings(client, "alice", "bob"))
    assert client.asked() == [(["alice-0", "bob-1"], fetching._AT_ONCE)]


def test_who_keeps_its_results_is_given_time_of_its_own(client: Client) -> None:
    client.takes["alice"] = FOREVER
    alice, bob, again = Fetcher().results(landings(client, "alice", "bob", "alice"))
    assert bob == b"bob-1"
    assert isinstance(alice, TimeoutError)
    assert isinstance(again, TimeoutError)
    assert client.asked()[1:] == [
        (["alice-0", "alice-2"], fetching._GATHER),
        (["bob-1"], fetching._GATHER),
    ]


def test_who_keeps_its_results_again_and_again_has_less_and_less_time(client: Client) -> None:
    client.takes["alice"] = FOREVER
    fetcher, began, times = Fetcher(), client.clock.now, []
    for _ in range(8):
        results = fetcher.results(landings(client, "alice", "bob", "carol"))
        assert results[1:] == [b"bob-1", b"carol-2"]
        asked = client.asked()
        times += [seconds for keys, seconds in asked if keys == ["alice-0"]]
        # Nor is it the others' fault.
        assert [seconds for keys, seconds in asked if keys == ["bob-1"]] == [fetching._GATHER]
    assert times[0] == fetching._GATHER
    assert times == sorted(times, reverse=True)
    assert times[-1] == fetching._LEAST
    assert client.clock.now - began < 25


def test_who_has_been_silent_is_left_out_of_what_is_fetched_at_once(client: Client) -> None:
    fetcher = Fetcher()
    client.takes["alice"] = FOREVER
    fetcher.results(landings(client, "alice", "bob", "carol"))
    client.asked()
    client.clock.now += 4 * 60  # what is fetched at once may be tried again
    fetcher.results(landings(client, "alice", "bob", "carol"))
    (first, _), (second, seconds) = client.asked()
    assert (first, second) == (["bob-1", "carol-2"], ["alice-0"])
    assert seconds == 7.0


def test_a_domain_that_hands_over_everything_but_late_is_no_better(client: Client) -> None:
    client.takes["alice"] = 2.9
    fetcher, began = Fetcher(), client.clock.now
    for _ in range(100):
        fetcher.results(landings(client, "alice", "bob"))
    spent = client.clock.now - began
    assert spent < 25 + 100 * fetching._LEAST
    assert client.asked()[-1] == (["bob-1"], fetching._GATHER)


def test_what_is_held_against_a_domain_is_forgiven_in_time(client: Client) -> None:
    client.takes["alice"] = FOREVER
    fetcher = Fetcher()
    for _ in range(100):
        fetcher.results(landings(client, "alice"))
    client.asked()
    client.takes.clear()
    client.clock.now += 20 * 60
    assert fetcher.results(landings(client, "alice", "bob")) == [b"alice-0", b"bob-1"]
    assert client.asked() == [(["alice-0", "bob-1"], fetching._AT_ONCE)]


def test_garbage_before_silence_gives_no_domain_more_time(client: Client) -> None:
    client.takes["alice"] = FOREVER
    client.raises["alice"] = [ValueError("garbage"), ValueError("garbage")]
    began = client.clock.now
    *alice, bob = Fetcher().results(landings(client, *["alice"] * 20, "bob"))
    assert bob == b"bob-20"
    assert {type(error) for error in alice} == {TimeoutError}
    assert client.clock.now - began == fetching._GATHER


def test_one_result_that_cannot_be_read_costs_no_other(client: Client) -> None:
    client.raises["alice"] = [ValueError("garbage")] * 2
    broken, whole = Fetcher().results(landings(client, "alice", "alice"))
    assert whole == b"alice-1"
    assert isinstance(broken, ConnectionError)
    assert "ValueError" in str(broken)


@pytest.mark.parametrize(
    "error", [UnboundLocalError("result"), asyncio.CancelledError(), KeyError("alice-0")]
)
def test_what_goes_wrong_on_the_way_is_no_failure_of_a_function(
    client: Client, error: Exception
) -> None:
    client.raises["alice"] = [error]
    (found,) = Fetcher().results(landings(client, "alice"))
    assert isinstance(found, ConnectionError)


def test_what_the_function_raised_counts_whatever_went_wrong_on_the_way(client: Client) -> None:
    class Failing(Client):
        def sync(self, function: Any, futures: list[Future], callback_timeout: float) -> Any:
            futures[0].status = "error"
            raise UnboundLocalError

    (found,) = Fetcher().results(landings(Failing(client.clock), "alice"))
    assert isinstance(found, ValueError)


def test_an_exception_that_cannot_be_had_is_no_failure_of_a_function(client: Client) -> None:
    class Ending(Future):
        def exception(self, timeout: float) -> Exception:
            raise UnboundLocalError

    (found,) = Fetcher().results([("alice", Ending("alice-0", client, "error"))])  # type: ignore[list-item]
    assert isinstance(found, ConnectionError)


# --- what a scheduler answers -------------------------------------------------------------------


class Scheduler:
    """A scheduler with an answer for each question; where it has none left, it is silent."""

    def __init__(self, *answers: Any, before: Any = lambda: None) -> None:
        self.answers, self.asked, self.before = list(answers), [], before
        self.cancelled = 0
        self.scheduler = self

    async def gather(self, keys: list[str]) -> Any:
        self.asked.append(keys)
        self.before()
        if self.answers and self.answers[0] is not None:
            return self.answers.pop(0)
        self.answers = self.answers[1:]
        try:
            await asyncio.Event().wait()
        finally:
            self.cancelled += 1


DATA = {"status": "OK", "data": {"a": b"a", "b": b"b"}}


def of(scheduler: Any, *keys: str) -> list[Any]:
    return [Future(key, scheduler) for key in keys]


def test_what_a_scheduler_has_not_is_left_out() -> None:
    there = Scheduler({"status": "error", "keys": ["a"]}, DATA)
    assert asyncio.run(gathered(of(there, "a", "b"))) == {"b": b"b"}
    assert there.asked == [["a", "b"], ["b"]]
    twice = Scheduler({"status": "error", "keys": ["a"]}, {"status": "error", "keys": ["c"]}, DATA)
    assert asyncio.run(gathered(of(twice, "a", "b", "c"))) == {"b": b"b"}
    assert twice.asked == [["a", "b", "c"], ["b", "c"], ["b"]]
    nothing = Scheduler({"status": "error", "keys": ["a", "b"]})
    assert asyncio.run(gathered(of(nothing, "a", "b"))) == {}


def test_a_scheduler_that_does_not_say_what_it_has_not_is_not_asked_again() -> None:
    there = Scheduler({"status": "error", "keys": ["c"]})
    with pytest.raises(ConnectionError, match="does not say"):
        asyncio.run(gathered(of(there, "a", "b")))


def test_what_goes_with_its_worker_is_not_waited_for() -> None:
    """A scheduler tries for half a minute to reach a worker that it has given up."""
    there = Scheduler(None, DATA)
    futures = of(there, "a", "b")
    there.before = lambda: setattr(futures[0], "status", "lost")
    assert asyncio.run(gathered(futures)) == {"b": b"b"}
    assert (there.asked, there.cancelled) == ([["a", "b"], ["b"]], 1)


def test_who_gives_up_leaves_nothing_behind() -> None:
    there = Scheduler()

    async def given_up() -> None:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(gathered(of(there, "a")), 0.01)
        await asyncio.sleep(0)
        assert there.cancelled == 1

    asyncio.run(given_up())


# --- Dask's own client --------------------------------------------------------------------------


class Keeping:
    """A worker that keeps what it has, until it is told to let go."""

    def __init__(self, worker: Any) -> None:
        self.asked, self.free = asyncio.Queue[bool](), asyncio.Event()
        self._get_data, worker.handlers["get_data"] = worker.handlers["get_data"], self.keep

    async def keep(self, *args: Any, **kwargs: Any) -> Any:
        self.asked.put_nowait(True)
        await self.free.wait()
        return await self._get_data(*args, **kwargs)

    async def let_go(self) -> None:
        self.free.set()


@pytest.mark.cluster
@pytest.mark.parametrize("given_up", [False, True])
def test_who_waits_for_others_results_with_the_same_client_costs_nobody_its_own(
    given_up: bool,
) -> None:
    """Dask has five places for all of them; the sixth waits, and breaks the client if it stops."""
    with (
        LocalCluster(
            n_workers=2, threads_per_worker=1, processes=False, dashboard_address=None
        ) as cluster,
        distributed.Client(cluster, set_as_default=False) as client,
    ):
        keeps, gives = cluster.workers.values()
        kept = client.map(bytes, range(6), pure=False, workers=[keeps.address])
        given = client.submit(bytes, 7, pure=False, workers=[gives.address])
        assert {future.exception() for future in [*kept, given]} == {None}
        keeping = Keeping(keeps)

        async def waiting() -> list[asyncio.Task[Any]]:
            asked = []
            for future in kept:
                # The sixth of them has no place.
                asked.append(asyncio.create_task(client.gather([future], asynchronous=True)))
                if len(asked) < 6:
                    await keeping.asked.get()
            await asyncio.sleep(0)
            return asked

        asked = client.sync(waiting)
        try:
            if given_up:
                client.sync(_cancelled, asked)
            assert Fetcher().results([("bob", given)]) == [bytes(7)]
        finally:
            client.sync(_cancelled, asked)
            client.sync(keeping.let_go)


async def _cancelled(tasks: list[asyncio.Task[Any]]) -> None:
    for task in reversed(tasks):
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@pytest.mark.cluster
def test_what_is_cancelled_while_a_client_waits_is_a_broken_connection() -> None:
    async def cancelled() -> None:
        task = asyncio.current_task()
        assert task is not None
        task.cancel()
        await asyncio.Event().wait()

    async def fails() -> None:
        raise RuntimeError("as it is")

    with (
        LocalCluster(n_workers=0, processes=False, dashboard_address=None) as cluster,
        distributed.Client(cluster, set_as_default=False) as client,
    ):
        with pytest.raises(ConnectionError, match="cancelled"):
            waited(client, cancelled, seconds=60)
        with pytest.raises(RuntimeError, match="as it is"):
            waited(client, fails, seconds=60)
    with pytest.raises(ConnectionError, match="closed"):
        waited(client, fails, seconds=60)
