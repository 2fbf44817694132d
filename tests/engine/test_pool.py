from __future__ import annotations

import asyncio
import threading
import time
import traceback
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import pytest
from distributed import Client, Event, LocalCluster

from dask_verify.engine import pool as pool_module
from dask_verify.engine.cluster import LocalDomainCluster
from dask_verify.engine.compat import DataNode, Task, TaskRef
from dask_verify.engine.plain import is_plain
from dask_verify.engine.plugin import DomainPlugin
from dask_verify.engine.pool import (
    ClientPool,
    DomainPool,
    SeparatePool,
    SharedPool,
    open_pool,
)
from dask_verify.errors import InputError

NAMES = ("alice", "bob", "carol")


KINDS = ["shared", "separate", "courier"]


def opened(cluster, kind="client"):
    reached = cluster.get_remotes() if kind == "courier" else cluster.get_client()
    return open_pool(reached, cluster.domains)


@pytest.fixture(scope="module", params=KINDS)
def kind(request):
    return request.param


@pytest.fixture(scope="module")
def cluster(kind, request):
    return request.getfixturevalue("shared_cluster" if kind == "shared" else "separate_cluster")


@pytest.fixture(scope="module")
def pool(cluster, kind):
    with opened(cluster, kind) as pool:
        yield pool


def ended(future):
    """Wait until there is a result, or never will be."""
    done = threading.Event()
    future.add_done_callback(lambda _: done.set())
    assert done.wait(60)
    return future


def results(pool, domain, futures):
    return list(pool.results([(domain, ended(future)) for future in futures.values()]))


def where(dask_worker):
    """Give a worker a handler that tests can ask, and say whose worker it is."""
    domain = dask_worker.plugins["dask-verify"].domain

    async def verify_echo(value=None):
        return {"domain": domain, "value": value}

    async def verify_fail():
        raise ValueError("not today")

    async def verify_strange():
        return {"value": {1, 2}}

    async def verify_never():
        await asyncio.Event().wait()

    for handler in (verify_echo, verify_fail, verify_strange, verify_never):
        dask_worker.handlers[handler.__name__] = handler
    return domain


@pytest.fixture
def answering(cluster, pool):
    clients = cluster.get_client()
    for client in clients.values() if isinstance(clients, dict) else [clients]:
        client.run(where)
    return pool


def hold(gate):
    def held():
        from distributed import Event

        Event(gate).wait()

    return held


def now():
    def clock():
        return str(time.monotonic()).encode()

    return clock


def waits(client, key):
    """Whether a task has come to where it waits: the scheduler's queue, or a worker's."""

    def state(dask_scheduler):
        return key in dask_scheduler.tasks and dask_scheduler.tasks[key].state

    def there(dask_worker):
        return key in dask_worker.state.tasks

    return client.run_on_scheduler(state) == "queued" or any(client.run(there).values())


# Made where they are called: workers may find another module of this name than this one.
def sizes():
    def size_of(data):
        return str(len(data)).encode()

    return size_of


def raising():
    def raises():
        raise ValueError("as it was written")

    return raises


def location():
    def domain():
        from distributed import get_worker

        return get_worker().plugins["dask-verify"].domain.encode()

    return domain


@pytest.mark.cluster
class TestContract:
    def test_names_and_workers(self, pool):
        assert pool.names == NAMES
        assert pool.connected is isinstance(pool, SharedPool)
        workers = pool.workers()
        assert list(workers) == list(NAMES)
        assert [len(addresses) for addresses in workers.values()] == [1, 1, 1]
        assert len({address for addresses in workers.values() for address in addresses}) == 3

    def test_tasks_run_in_their_domain(self, pool):
        for name in NAMES:
            keys = [(f"where-{name}", i) for i in range(10)]
            graph = {key: Task(key, location()) for key in keys}
            futures = pool.submit(name, graph, keys)
            assert list(futures) == keys
            assert set(results(pool, name, futures)) == {name.encode()}

    def test_intermediate_tasks_run_in_their_domain(self, pool):
        graph = {"in": Task("in", location()), "out": Task("out", bytes.upper, TaskRef("in"))}
        assert results(pool, "bob", pool.submit("bob", graph, ["out"])) == [b"BOB"]

    def test_retries(self, pool):
        def once(name):
            event = Event(name)
            if not event.is_set():
                event.set()
                raise ValueError("the first time")
            return 1

        for retries, failing in ((1, False), (0, True)):
            key = f"retry-{retries}-{type(pool).__name__}"
            future = pool.submit("bob", {key: Task(key, once, key)}, [key], retries=retries)[key]
            assert (ended(future).status == "error") is failing

    def test_a_higher_priority_starts_first(self, cluster, pool):
        kind = type(pool).__name__
        clients = cluster.get_client()
        client = clients["bob"] if isinstance(clients, dict) else clients

        def submitted(name, function, **options):
            key = f"{name}-{kind}"
            return pool.submit("bob", {key: Task(key, function)}, [key], **options)[key]

        blocking = submitted("block", hold(f"gate-{kind}"))
        futures = {
            priority: submitted(f"number-{priority}", now(), priority=priority)
            for priority in (3, 1, 5, 2, 0, 4)
        }
        while not waits(client, futures[4].key):
            assert blocking.status == "pending"
        Event(f"gate-{kind}", client=client).set()
        started = dict(zip(futures, map(float, results(pool, "bob", futures)), strict=True))
        order = sorted(started, key=started.get)
        # The worker may have been given the first tasks in advance, before there were others.
        assert [priority for priority in order if priority not in (3, 1)] == [5, 4, 2, 0]

    def test_what_was_submitted_first_starts_first(self, cluster, pool):
        """Else a stream of new tasks would make old ones late, and their domain suspected."""
        kind = type(pool).__name__
        clients = cluster.get_client()
        client = clients["bob"] if isinstance(clients, dict) else clients

        def submitted(names, function):
            keys = [f"{name}-{kind}" for name in names]
            return pool.submit("bob", {key: Task(key, function) for key in keys}, keys)

        submitted(["hold"], hold(f"queue-{kind}"))
        futures = {}
        for batch in (["z0", "y0", "x0"], ["m1"], ["a2"], ["f3"], ["c4"]):
            futures |= submitted(batch, now())
        while not waits(client, f"c4-{kind}"):
            assert {future.status for future in futures.values()} == {"pending"}
        Event(f"queue-{kind}", client=client).set()
        started = dict(zip(futures, map(float, results(pool, "bob", futures)), strict=True))
        order = sorted(started, key=started.get)
        assert [key[1] for key in order] == ["0", "0", "0", "1", "2", "3", "4"]

    def test_scattered_bytes_are_in_the_domain_and_usable(self, pool, cluster):
        clients = cluster.get_client()
        client = clients["carol"] if isinstance(clients, dict) else clients
        data = pool.scatter("carol", b"x" * 1000, "relay")
        assert data.key.startswith("relay-")
        holders = client.who_has()[data.key]
        assert set(holders) <= set(pool.workers()["carol"])
        graph = {"size": Task("size", sizes(), TaskRef(data.key))}
        assert results(pool, "carol", pool.submit("carol", graph, ["size"])) == [b"1000"]

    def test_large_graphs_give_no_warning(self, pool):
        key = f"large-{type(pool).__name__}"
        graph = {f"{key}-data": DataNode(f"{key}-data", bytes(12_000_000)),
                 key: Task(key, sizes(), TaskRef(f"{key}-data"))}  # fmt: skip
        assert results(pool, "alice", pool.submit("alice", graph, [key])) == [b"12000000"]

    def test_call(self, answering):
        for name, addresses in answering.workers().items():
            answer = answering.call(addresses[0], name, "verify_echo", value=[b"x", 1, None])
            assert answer == {"domain": name, "value": (b"x", 1, None)}

    def test_calls_from_many_threads(self, answering):
        address = answering.workers()["bob"][0]

        def ask(i):
            return answering.call(address, "bob", "verify_echo", value=i)["value"]

        with ThreadPoolExecutor(8) as threads:
            assert list(threads.map(ask, range(100))) == list(range(100))

    def test_a_failing_handler_is_an_os_error_without_its_exception(self, answering):
        address = answering.workers()["bob"][0]
        with pytest.raises(ConnectionError, match=r"verify_fail at .*not today"):
            answering.call(address, "bob", "verify_fail")

    def test_only_plain_answers_count(self, answering):
        address = answering.workers()["bob"][0]
        with pytest.raises(ConnectionError, match="not plain"):
            answering.call(address, "bob", "verify_strange")

    def test_no_handler_is_no_answer(self, pool):
        assert pool.call(pool.workers()["bob"][0], "bob", "verify_unheard_of") is None

    def test_a_worker_of_another_domain_is_not_there(self, pool):
        address = pool.workers()["alice"][0]
        with pytest.raises(ConnectionError, match="no worker at"):
            pool.call(address, "bob", "verify_echo")

    def test_late_answers_are_os_errors_and_do_not_answer_the_next_question(self, answering):
        address = answering.workers()["bob"][0]
        with pytest.raises(OSError, match="no answer"):
            answering.call(address, "bob", "verify_never", timeout=0.01)
        assert answering.call(address, "bob", "verify_echo", value=2)["value"] == 2

    def test_broadcast(self, answering):
        answers = answering.broadcast("verify_echo", value=7)
        expected = {a: name for name, addresses in answering.workers().items() for a in addresses}
        assert {address: answer["domain"] for address, answer in answers.items()} == expected
        assert answering.broadcast("verify_fail") == {}

    def test_what_a_task_raised_is_in_its_result(self, pool):
        key = f"raises-{type(pool).__name__}"
        futures = pool.submit("bob", {key: Task(key, raising())}, [key])
        [error] = results(pool, "bob", futures)
        assert isinstance(error, Exception)
        assert not isinstance(error, OSError)
        text = "".join(traceback.format_exception(error))
        assert text.strip().splitlines()[-1] == "ValueError: as it was written"

    def test_results_of_many_tasks(self, pool):
        keys = [f"many-{i}-{type(pool).__name__}" for i in range(150)]
        graph = {key: Task(key, key.encode) for key in keys}
        assert results(pool, "bob", pool.submit("bob", graph, keys)) == [k.encode() for k in keys]

    def test_cancel(self, pool, cluster):
        clients = cluster.get_client()
        client = clients["bob"] if isinstance(clients, dict) else clients
        gate = f"gate-{type(pool).__name__}"

        def blocked():
            Event(gate).wait()

        keys = [f"{gate}-{i}" for i in range(3)]
        futures = pool.submit("bob", {key: Task(key, blocked) for key in keys}, keys)
        pool.cancel(futures.values())
        assert all(future.status == "cancelled" for future in futures.values())
        Event(gate, client=client).set()
        pool.cancel([])

    def test_unknown_domains(self, pool):
        for ask in (
            lambda: pool.submit("mallory", {}, []),
            lambda: pool.scatter("mallory", b""),
            lambda: pool.call("tcp://there", "mallory", "verify_open"),
        ):
            with pytest.raises(InputError, match="no domain 'mallory'"):
                ask()

    def test_closing_twice_and_leaving_clients_open(self, cluster, kind):
        pool = opened(cluster, kind)
        assert isinstance(pool, DomainPool)
        pool.close()
        pool.close()
        assert bool(pool.workers()["alice"]) is (kind != "courier")
        pool.close()


@pytest.mark.cluster
@pytest.mark.parametrize(
    "kind", ["shared", "separate", pytest.param("courier", marks=pytest.mark.matrix)]
)
def test_a_lost_domain(kind):
    shared = kind == "shared"
    with (
        LocalDomainCluster(["alice", "bob"], shared=shared, dashboard_address=None) as cluster,
        opened(cluster, kind) as pool,
    ):
        (address,) = pool.workers()["bob"]
        cluster.pause_worker("bob")
        with pytest.raises(OSError, match=r"1 bytes in 0\.1 s"):
            pool.scatter("bob", b"x", timeout=0.1)
        cluster.resume_worker("bob")
        cluster.stop_domain("bob")
        assert pool.workers()["bob"] == []
        # At once, instead of after Dask's 30 s of trying to connect.
        with pytest.raises(OSError, match="no worker"):
            pool.call(address, "bob", "verify_open", request=b"")
        with pytest.raises(OSError, match="no worker"):
            pool.scatter("bob", b"x")
        assert list(pool.broadcast("verify_forget", job=b"x")) == pool.workers()["alice"]
        with pytest.raises(InputError, match="no worker of domain 'bob'"):
            opened(cluster, kind)
    if kind == "courier":
        with pytest.raises(OSError, match=r"there is no courier|no worker"):
            pool.call(address, "alice", "verify_open")
        return
    closed = pool._client("alice")
    with pytest.raises(InputError, match="closed"):
        SharedPool(closed, NAMES)
    with pytest.raises(OSError, match=r"closed|no worker"):
        pool.call(address, "alice", "verify_open")
    pool.cancel([])
    pool.close()


class Asking(ClientPool):
    """A pool of one worker, and of which it is known how long it is there, or is not known."""

    def __init__(self, loop, looks, answers=False):
        super().__init__()
        self.left, self.ended = looks, threading.Event()
        self._loop, self._answers = loop, answers
        self.silent = False

    names = ("bob",)

    def workers(self):
        return {"bob": self._workers("bob")}

    def close(self):
        pass

    def _workers(self, domain):
        return ["tcp://bob"]

    def _listed(self, domain, timeout):
        self.left -= 1
        if self.silent:
            raise TimeoutError
        return ["tcp://bob"] if self.left >= 0 else []

    def _client(self, domain):
        return SimpleNamespace(loop=SimpleNamespace(asyncio_loop=self._loop), status="running")

    def _connections(self, domain):
        return self

    def _placement(self, domain):
        return {}

    async def ask(self, request, timeout):
        try:
            if self._answers:
                while self.left > -5:
                    await asyncio.sleep(0)
                return 7
            await asyncio.wait_for(asyncio.Event().wait(), timeout)
        finally:
            self.ended.set()


@pytest.fixture
def loop(monkeypatch):
    monkeypatch.setattr(pool_module, "_LOOK", 0.001)
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    yield loop
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()


@pytest.mark.parametrize(
    ("looks", "timeout", "error"),
    [(3, 1000, "lost its worker"), (1, 1000, "lost its worker"), (10**6, 0.1, "^$")],
)
def test_a_worker_is_asked_for_as_long_as_it_is_there(loop, looks, timeout, error):
    """A scheduler goes on trying to reach one that it has lost."""
    pool = Asking(loop, looks)
    with pytest.raises(OSError, match=error):
        pool.call("tcp://bob", "bob", "verify_open", timeout=timeout)
    assert pool.ended.wait(10)
    assert pool.left == -1 or looks > 10


def test_a_loop_that_has_ended_keeps_nobody_waiting(monkeypatch):
    """Nothing that is asked there is ever answered, nor runs into a limit of its own."""
    monkeypatch.setattr(pool_module, "_LOOP", 0.01)
    ended = asyncio.new_event_loop()
    try:
        with pytest.raises(TimeoutError, match="'bob' does not answer any more"):
            Asking(ended, 10**6).call("tcp://bob", "bob", "verify_open", timeout=0.01)
        ended.run_until_complete(asyncio.sleep(0))  # what was asked ends unawaited otherwise
    finally:
        ended.close()


def test_a_scheduler_that_is_slow_to_say_who_is_there_costs_no_answer(loop):
    pool = Asking(loop, 0, answers=True)
    pool.silent = True
    assert pool.call("tcp://bob", "bob", "verify_open", timeout=1000) == 7
    assert pool.left <= -5


def test_data_that_arrive_too_late_are_not_kept(loop, monkeypatch):
    """Its scheduler would keep them for as long as the client is there."""
    made = []

    class Late:
        def __init__(self, key, client):
            made.append(key)

        def add_done_callback(self, fn):
            made.append(fn)

        def release(self):
            pass

    def sync(function, callback_timeout):
        assert callback_timeout == 7
        raise TimeoutError  # as Dask does, sometimes with words and sometimes without

    pool = Asking(loop, 10**6)
    client = SimpleNamespace(scatter=print, sync=sync)
    monkeypatch.setattr(pool_module, "Future", Late)
    monkeypatch.setattr(pool, "_client", lambda domain: client)
    with pytest.raises(TimeoutError, match="'bob' has not taken 4 bytes in 7 s"):
        pool.put("bob", "key", b"data", timeout=7)
    assert made == ["key", Late.release]


def test_a_client_whose_loop_has_ended_is_a_broken_connection():
    loop = asyncio.new_event_loop()
    loop.close()
    with pytest.raises(ConnectionError, match="is closed"):
        Asking(loop, 1).call("tcp://bob", "bob", "verify_open")


def test_a_client_that_closes_while_it_asks_is_a_broken_connection(loop):
    pool = Asking(loop, 10**6)
    with ThreadPoolExecutor(1) as threads:
        asking = threads.submit(pool.call, "tcp://bob", "bob", "verify_open", timeout=1000)
        while pool.left == 10**6:
            assert not asking.done()
        loop.call_soon_threadsafe(lambda: [task.cancel() for task in asyncio.all_tasks(loop)])
        with pytest.raises(ConnectionError, match="is closed"):
            asking.result()


@pytest.mark.parametrize("raised", [UnboundLocalError, asyncio.CancelledError, TimeoutError])
def test_a_scheduler_is_not_waited_for_when_the_clients_loop_has_ended(loop, monkeypatch, raised):
    """What asks it has an end of its own, but only while the loop runs."""
    said = []

    def sync(ask, request, timeout, callback_timeout):
        said.append((ask, timeout, callback_timeout))
        raise raised("result")

    pool = Asking(loop, 10**6)
    client = SimpleNamespace(sync=sync, status="running")
    monkeypatch.setattr(pool, "_client", lambda domain: client)
    with pytest.raises(TimeoutError if raised is TimeoutError else ConnectionError):
        pool._ask("bob", {"op": "ncores"}, 7.0)
    assert said == [(pool.ask, 7.0, 7.0 + pool_module._LOOP)]


def test_a_pool_remembers_who_kept_its_results(monkeypatch, loop):
    kept = []
    pool = Asking(loop, 10**6)
    monkeypatch.setattr(pool._fetcher, "results", kept.append)
    for number in range(2):
        pool.results([("bob", number)])
    assert kept == [[("bob", 0)], [("bob", 1)]]


@pytest.mark.cluster
def test_a_plain_scheduler_is_refused_until_it_keeps_domains_apart():
    with (
        LocalCluster(
            n_workers=1, processes=False, dashboard_address="127.0.0.1:0",
            resources={"domain:alice": 1},
        ) as cluster,
        Client(cluster, set_as_default=False) as client,
    ):  # fmt: skip
        with pytest.raises(InputError, match="register_plugin"):
            SharedPool(client, ["alice"])
        # Even then nothing would run: the pool fails closed.
        unsafe = object.__new__(SharedPool)
        unsafe._names, unsafe._only = ("alice",), client
        stuck = unsafe.submit("alice", {"stuck": Task("stuck", int)}, ["stuck"])["stuck"]
        assert client.submit(int).result() == 0
        assert not stuck.done()

        client.register_plugin(DomainPlugin())
        with SharedPool(client, ["alice"]) as pool:
            assert pool.submit("alice", {"free": Task("free", int)}, ["free"])["free"].result() == 0
        with pytest.raises(InputError, match="no worker of domain 'bob'"):
            SharedPool(client, ["alice", "bob"])
        with pytest.raises(InputError, match="same scheduler"):
            SeparatePool({"alice": client, "bob": client})


@pytest.mark.cluster
def test_wrong_clients(separate_cluster):
    clients = separate_cluster.get_client()
    with pytest.raises(InputError, match="but the domains are"):
        open_pool({"alice": clients["alice"]}, NAMES)
    with pytest.raises(InputError, match="client of domain 'bob' is no"):
        SeparatePool({"alice": clients["alice"], "bob": "tcp://there"})
    for bad, message in (({}, "at least one domain"), ("tcp://there", "expected a dict")):
        with pytest.raises(InputError, match=message):
            open_pool(bad, NAMES)


@pytest.mark.cluster
def test_an_asynchronous_client_is_refused(shared_cluster):
    client = shared_cluster.get_client()

    async def inside():
        with pytest.raises(InputError, match="asynchronous"):
            SharedPool(client, NAMES)

    client.sync(inside)


@pytest.mark.parametrize("domains", [[], ["alice", "alice"]])
def test_bad_names(domains):
    with pytest.raises(InputError, match="at least one domain"):
        SharedPool(None, domains)


@pytest.mark.parametrize(
    ("value", "plain"),
    [
        (None, True),
        ({"a": [1, 2.0, True, b"x", ("y", None)]}, True),
        ([{1: {"deep": object()}}], False),
        ({("a",): 1}, True),
        ({1, 2}, False),
        (bytearray(b"x"), False),
        (threading.Lock(), False),
        (type("Sub", (int,), {})(1), False),
    ],
)
def test_plain_values(value, plain):
    assert is_plain(value) is plain
