"""What a domain cannot do to a gated scheduler, though it has its certificate and its key."""

from __future__ import annotations

import asyncio
import contextlib
import os
import pickle

import pytest
from asking import asked, asked_aloud, run
from certified import Certified
from dask._task_spec import Task
from distributed import get_worker
from distributed.comm import CommClosedError
from distributed.protocol.serialize import Serialize, ToPickle
from hostile import Evil, Impostor, greeted

from dask_verify.engine.pool import open_pool

pytestmark = pytest.mark.cluster

ALLOWED = {
    "close", "heartbeat_worker", "log_event", "register-worker", "register_nanny",
    "retire_workers", "unregister",
}  # fmt: skip


@pytest.fixture(scope="module")
def bob(gated):
    return gated.certified.security("bob")


@pytest.fixture(scope="module")
def places(gated):
    """Where the workers of each domain are."""
    with open_pool(gated.client, gated.names) as pool:
        return {name: addresses[0] for name, addresses in pool.workers().items()}


def refused(answer):
    """Whether an answer says that the gate refused what it answers."""
    return answer is None or "PermissionError" in answer["exception_text"]


def handlers(dask_scheduler):
    return sorted(dask_scheduler.handlers)


# --- who connects -------------------------------------------------------------------------------


def test_a_handshake_with_a_pickle_is_not_read(gated, bob, tmp_path):
    mark = tmp_path / "unpickled"
    assert not run(greeted(gated.address, bob, mark))
    assert not mark.exists()


def test_a_message_with_a_pickle_is_not_read(gated, bob, tmp_path):
    mark = tmp_path / "unpickled"
    message = {"op": "log_event", "topic": "t", "msg": ToPickle(Evil(mark))}
    assert run(asked(gated.address, bob, **message)) is None
    assert not mark.exists()


def test_the_coordinator_may_do_what_dask_allows(gated):
    coordinator = gated.certified.security("coordinator")
    answer = run(asked(gated.address, coordinator, op="ncores"))
    assert len(answer) == 2


def test_a_certificate_of_another_authority_is_refused(gated, tmp_path):
    """Of a stranger that calls itself as alice's authority does: it is its key that counts."""
    stranger = Certified(tmp_path, ["alice"])
    believes = gated.certified.path("coordinator", "trusts")
    with pytest.raises(OSError, match=r"alert|closed|reset"):
        run(asked_aloud(gated.address, stranger.security("alice", believes)))


# --- what a worker may say ----------------------------------------------------------------------


def test_no_operation_but_those_of_a_worker(gated, bob):
    """Not run_function, not broadcast, not shutdown: a list of what may be, not of what may not."""
    others = set(gated.client.run_on_scheduler(handlers)) - ALLOWED
    assert {"run_function", "register-client", "add_keys", "proxy", "terminate", "gather"} < others

    async def tried(some):
        return await asyncio.gather(*(asked(gated.address, bob, op=op) for op in some))

    ops, answers = sorted(others), {}
    for some in (ops[i : i + 16] for i in range(0, len(ops), 16)):
        answers |= zip(some, run(tried(some)), strict=True)
    assert [op for op, answer in answers.items() if answer is None or not refused(answer)] == []


def test_a_worker_cannot_tell_the_dashboard_of_jobs(gated, bob):
    """What it says there is the coordinator's alone."""
    assert refused(run(asked(gated.address, bob, op="verify_publish", notice=None)))
    coordinator = gated.certified.security("coordinator")
    answer = run(asked(gated.address, coordinator, op="verify_publish", notice=None))
    assert answer.startswith("notice: expected a dict")


@pytest.mark.parametrize("claim", [{}, {"domain:alice": 1.0}, {"domain:alice": 1, "domain:bob": 1}])
def test_a_worker_of_no_or_another_domain_is_not_registered(gated, bob, claim):
    async def tried():
        async with Impostor(gated.address, bob) as impostor:
            await impostor.register(resources=claim)
            return await impostor.cut_off(), impostor.server.address

    ended, address = run(tried())
    assert ended
    assert address not in gated.client.scheduler_info(n_workers=-1)["workers"]


BOBS = {"domain:bob": 1.0}


@pytest.mark.parametrize("what", ["address", "nanny", "name"])
def test_a_worker_cannot_take_the_place_of_another_domains(gated, bob, places, what):
    """Dask would send there what is for the other, or send the other what is for this one."""

    async def tried():
        async with Impostor(gated.address, bob) as impostor:
            await impostor.register(resources=BOBS, **{what: places["alice"]})
            return await impostor.cut_off()

    assert run(tried())
    with open_pool(gated.client, gated.names) as pool:
        assert {name: found[0] for name, found in pool.workers().items()} == places


@pytest.mark.parametrize("op", ["heartbeat_worker", "unregister", "retire_workers"])
def test_a_worker_speaks_for_no_worker_of_another_domain(gated, bob, places, op):
    other = places["alice"]
    about = {"workers": [other]} if op == "retire_workers" else {"address": other}
    answer = run(asked(gated.address, bob, op=op, stimulus_id="made-up", **about))
    assert refused(answer)
    assert other in gated.client.scheduler_info(n_workers=-1)["workers"]


def test_a_worker_retires_only_workers_that_it_names(gated, bob):
    """Without names Dask takes those that it likes best to lose."""
    for choice in ({}, {"names": ["alice"]}, {"workers": None, "n": 1}):
        assert refused(run(asked(gated.address, bob, op="retire_workers", **choice)))


@contextlib.asynccontextmanager
async def a_worker_of_bobs(gated, bob):
    """A worker with bob's certificate that says what it likes, and has been told all is well."""
    async with Impostor(gated.address, bob) as impostor:
        answer = await impostor.register(resources=BOBS)
        assert answer["status"] == "OK"
        yield impostor


@pytest.fixture(scope="module")
def held_by_alice(gated):
    """A result of a task of alice's domain."""
    with open_pool(gated.client, gated.names) as pool:
        future = pool.submit("alice", {"alices": Task("alices", bytes, 3)}, ["alices"])["alices"]
        assert future.result(timeout=60) == bytes(3)
        yield future


def test_a_worker_cannot_claim_data_of_another_domain(gated, bob, places, held_by_alice):
    """Dask would fetch them from there: see test_a_shared_scheduler."""

    async def tried():
        async with a_worker_of_bobs(gated, bob) as impostor:
            await impostor.say(op="add-keys", keys=["alices"], stimulus_id="made-up")
            finished = {"key": "alices", "run_id": 0, "nbytes": 1, "metadata": {}, "startstops": []}
            await impostor.say(op="task-finished", stimulus_id="made-up", **finished)
            await impostor.heard()
            who = await asked(gated.address, gated.certified.security("coordinator"), op="who_has")
            return who["alices"]

    assert run(tried()) == (places["alice"],)
    assert "Domain 'bob' is not heard about 'alices'" in gated.log("scheduler")


@pytest.mark.parametrize(
    "message",
    [
        {"op": "release-worker-data", "key": "alices"},
        {"op": "task-erred", "key": "alices", "exception_text": "no"},
        {"op": "worker-status-change", "status": "paused"},
    ],
)
def test_a_worker_cannot_speak_as_another(gated, bob, places, held_by_alice, message):
    """Dask believes whatever worker a message names, not the one whose connection it is."""

    async def tried():
        async with a_worker_of_bobs(gated, bob) as impostor:
            await impostor.say(**message, worker=places["alice"], stimulus_id="made-up")
            return await impostor.cut_off()

    assert run(tried())
    assert held_by_alice.result(timeout=60) == bytes(3)


@pytest.mark.parametrize("op", ["update-graph", "client-releases-keys", "cancel-keys", "made-up"])
def test_a_worker_cannot_speak_as_a_client(gated, bob, held_by_alice, op):
    async def tried():
        async with a_worker_of_bobs(gated, bob) as impostor:
            await impostor.say(op=op, keys=["alices"], client=gated.client.id)
            return await impostor.cut_off()

    assert run(tried())
    assert held_by_alice.result(timeout=60) == bytes(3)


# --- what goes on to the coordinator ------------------------------------------------------------


def test_an_event_with_a_pickle_does_not_reach_the_coordinator(gated, bob, tmp_path):
    """Neither as what Dask calls serialized, nor as bytes where every client unpickles them."""
    mark = tmp_path / "unpickled"

    async def tried():
        async with a_worker_of_bobs(gated, bob) as impostor:
            evil = {"message": pickle.dumps(Evil(mark))}
            await impostor.say(op="log-event", topic="warn", msg=evil)
            await impostor.heard()
            await impostor.say(op="log-event", topic="mine", msg=Serialize(Evil(mark)))
            return await impostor.cut_off()

    assert run(tried())
    assert gated.client.get_events("warn") == gated.client.get_events("mine") == ()
    assert not mark.exists()


def test_the_result_of_a_task_is_bytes_or_nothing(gated, tmp_path):
    mark = tmp_path / "unpickled"
    with open_pool(gated.client, gated.names) as pool:
        tasks = {"evil": Task("evil", lambda: Evil(mark)), "good": Task("good", bytes, 100_000)}
        futures = pool.submit("bob", tasks, list(tasks))
        assert futures["good"].result(timeout=60) == bytes(100_000)
        with pytest.raises(Exception, match="expected the bytes of verified tasks"):
            futures["evil"].result(timeout=60)
    assert not mark.exists()


def fails(folder):
    code = f"__import__('pathlib').Path({str(folder)!r}, str(__import__('os').getpid())).touch()"

    class EvilError(Exception):
        def __reduce__(self):
            return exec, (code,)

    def fail():
        raise EvilError("it was me")

    return fail


def test_the_exception_of_a_task_is_text(gated, tmp_path):
    """The worker that it comes from unpickles it once, to see whether that works."""
    with open_pool(gated.client, gated.names) as pool:
        future = pool.submit("bob", {"fails": Task("fails", fails(tmp_path))}, ["fails"])["fails"]
        error = future.exception(timeout=60)
    assert type(error) is Exception
    assert "it was me" in str(error)
    unpickled = {int(mark.name) for mark in tmp_path.iterdir()}
    assert not unpickled & {os.getpid(), gated.client.run_on_scheduler(os.getpid)}


def put_evil(mark):
    def put():
        handlers = get_worker().handlers
        handlers["verify_serialized"] = lambda: Serialize(Evil(mark))
        handlers["verify_pickled"] = lambda: ToPickle(Evil(mark))
        return b"put"

    return put


@pytest.mark.parametrize("kind", ["serialized", "pickled"])
def test_an_answer_with_a_pickle_does_not_reach_the_coordinator(gated, places, tmp_path, kind):
    mark = tmp_path / "unpickled"
    with open_pool(gated.client, gated.names) as pool:
        key = f"put-{kind}"
        put = pool.submit("bob", {key: Task(key, put_evil(mark))}, [key])[key]
        assert put.result(timeout=60) == b"put"
        with pytest.raises((ConnectionError, CommClosedError)):
            pool.call(places["bob"], "bob", f"verify_{kind}")
    assert not mark.exists()


def test_a_client_does_not_run_functions_behind_the_gate(gated):
    """It would unpickle any bytes that a worker answers."""
    with pytest.raises(Exception, match=r"got Client\.run"):
        gated.client.run(bytes)


# --- between workers ----------------------------------------------------------------------------


def test_no_worker_reaches_one_of_another_domain(gated, places):
    """Whoever may connect to a worker may run code in it, and so has its domain's key."""

    hostile = gated.certified.security("bob", gated.certified.path("coordinator", "trusts"))
    with pytest.raises(OSError, match=r"alert|closed|reset"):
        run(asked_aloud(places["alice"], hostile))


# --- what remains -------------------------------------------------------------------------------


def test_a_worker_can_take_a_name_that_another_domain_wants(gated, bob):
    """A denial of service: Dask refuses the second of a name. Use one cluster per domain."""
    alice = gated.certified.security("alice")

    async def tried():
        async with Impostor(gated.address, bob) as first, Impostor(gated.address, alice) as second:
            assert (await first.register(resources=BOBS, name="wanted"))["status"] == "OK"
            return await second.register(resources={"domain:alice": 1.0}, name="wanted")

    assert run(tried()) == {"status": "error", "message": "name taken, wanted"} | {
        "time": pytest.approx(0, abs=1e12)
    }


def kept(dask_scheduler):
    return sum(len(event[1]["junk"]) for event in dask_scheduler.get_events("junk"))


def test_a_worker_can_fill_the_schedulers_memory(gated, bob):
    """A denial of service: nothing bounds what a worker has kept there. Limit the process."""

    async def tried():
        async with a_worker_of_bobs(gated, bob) as impostor:
            for _ in range(8):
                await impostor.say(op="log-event", topic="junk", msg={"junk": bytes(1 << 20)})
            await impostor.heard()

    run(tried())
    assert gated.client.run_on_scheduler(kept) == 8 << 20
