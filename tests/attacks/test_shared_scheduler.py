"""What anybody who may connect to a stock scheduler can do: why there are gates and couriers.

Each test shows a hole of Dask that stays open in this mode; if one fails, Dask has mended it, and
`SECURITY.md` has to say so.
"""

from __future__ import annotations

from threading import Event

import cloudpickle
import pytest
from asking import asked, run
from dask._task_spec import Task
from distributed.protocol.serialize import Serialize
from hostile import Evil, Impostor, greeted

from dask_verify.engine.pool import open_pool

pytestmark = pytest.mark.cluster


@pytest.fixture
def client(shared_cluster):
    return shared_cluster.get_client()


@pytest.fixture
def address(client):
    return client.scheduler.address


@pytest.fixture
def places(client, shared_cluster):
    names = [domain.name for domain in shared_cluster.domains]
    with open_pool(client, names) as pool:
        return {name: addresses[0] for name, addresses in pool.workers().items()}


def test_a_handshake_runs_code_in_the_scheduler(address, tmp_path):
    mark = tmp_path / "unpickled"
    assert run(greeted(address, None, mark))
    assert mark.exists()


def test_anybody_runs_functions_in_the_scheduler(address, tmp_path):
    mark = tmp_path / "run"
    function = cloudpickle.dumps(mark.touch)
    answer = run(asked(address, None, op="run_function", function=function, args=[], kwargs={}))
    assert answer["status"] == "OK"
    assert mark.exists()


def test_anybody_runs_functions_in_the_worker_of_another_domain(places):
    """And so has its key, and can sign in its name."""

    def key(dask_worker):
        return dask_worker.plugins["dask-verify"]._private_key

    function = cloudpickle.dumps(key)
    answer = run(asked(places["alice"], None, op="run", function=function, args=[], kwargs={}))
    assert answer["status"] == "OK"


def test_anybody_reads_the_results_of_another_domain(client, address, shared_cluster):
    """So it can copy an answer instead of computing one; it signs what it copies."""
    names = [domain.name for domain in shared_cluster.domains]
    with open_pool(client, names) as pool:
        future = pool.submit("alice", {"secret": Task("secret", bytes, 3)}, ["secret"])["secret"]
        assert future.result(timeout=60) == bytes(3)
        answer = run(asked(address, None, op="gather", keys=["secret"]))
        assert answer["status"] == "OK"
        assert b"".join(answer["data"]["secret"].frames) == bytes(3)


def test_a_worker_claims_data_of_another_domain(client, address, places, shared_cluster):
    names = [domain.name for domain in shared_cluster.domains]

    async def tried():
        async with Impostor(address) as impostor:
            assert (await impostor.register())["status"] == "OK"
            await impostor.say(op="add-keys", keys=["forged"], stimulus_id="made-up")
            await impostor.heard()
            who = await asked(address, None, op="who_has")
            return set(who["forged"]) == {places["alice"], impostor.server.address}

    with open_pool(client, names) as pool:
        future = pool.submit("alice", {"forged": Task("forged", bytes, 3)}, ["forged"])["forged"]
        assert future.result(timeout=60) == bytes(3)
        assert run(tried())


def test_a_worker_speaks_as_another(client, address, places):
    async def tried():
        async with Impostor(address) as impostor:
            assert (await impostor.register())["status"] == "OK"
            for status in ("paused", "running"):
                await impostor.say(
                    op="worker-status-change", worker=places["alice"], status=status,
                    stimulus_id="made-up",
                )  # fmt: skip
                await impostor.heard()
                found = client.cluster.scheduler.workers[places["alice"]].status.name
                assert found == status

    run(tried())


def test_an_event_runs_code_in_the_coordinator(client, address, tmp_path):
    """As does a result, or an exception: Dask's client unpickles them."""
    mark = tmp_path / "unpickled"
    arrived = Event()
    client.subscribe_topic("evil", lambda event: arrived.set())

    async def tried():
        async with Impostor(address) as impostor:
            assert (await impostor.register())["status"] == "OK"
            await impostor.say(op="log-event", topic="evil", msg=Serialize(Evil(mark)))
            await impostor.heard()

    try:
        run(tried())
        assert arrived.wait(60)
    finally:
        client.unsubscribe_topic("evil")
    assert mark.exists()


def test_a_result_runs_code_in_the_coordinator(client, shared_cluster, tmp_path):
    names = [domain.name for domain in shared_cluster.domains]
    mark = tmp_path / "unpickled"
    with open_pool(client, names) as pool:
        future = pool.submit("bob", {"evil": Task("evil", lambda: Evil(mark))}, ["evil"])["evil"]
        future.result(timeout=60)
    assert mark.exists()


def test_anybody_tells_the_dashboard_of_jobs(address, shared_cluster):
    """What is shown there is what somebody says; nothing is decided by it."""
    made_up = {
        "version": 1, "job": "ab" * 32, "status": "agreed", "replicas": 3, "audited": False,
        "progress": {"map": [1, 1], "reduce": [1, 1]}, "divergences": {}, "audits": {},
        "standing": {"alice": "exposed", "nobody": "exposed"},
    }  # fmt: skip
    assert run(asked(address, None, op="verify_publish", notice=made_up)) == ""
    (cluster,) = shared_cluster._clusters.values()
    told = cluster.scheduler.plugins["dask-verify-domains"].facts()["jobs"][0]
    assert told["standing"] == {"alice": "exposed"}
