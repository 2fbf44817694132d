from __future__ import annotations

import asyncio
from types import SimpleNamespace

import dask
import pytest
from distributed import Event, Worker, wait
from distributed import Scheduler as DistributedScheduler
from distributed.core import connect

from dask_verify.engine import membership
from dask_verify.engine import plugin as plugins
from dask_verify.engine.cluster import LocalDomainCluster
from dask_verify.engine.membership import PROOF
from dask_verify.engine.plugin import NOWHERE, DomainPlugin, claimed_domain
from dask_verify.engine.worker import VerifyWorker
from dask_verify.errors import InputError
from dask_verify.protocol.domain import Domain, Identity


async def registered(comm, client):
    """Take a client in, as schedulers do."""


class Scheduler(SimpleNamespace):
    """As much of a scheduler as the plugin touches."""

    def __init__(self, **workers):
        super().__init__(
            workers={
                address: SimpleNamespace(resources=resources)
                for address, resources in workers.items()
            },
            tasks={},
            handlers={"register-client": registered},
            stream_handlers={},
            plugins={},
            stream_comms={},
            address="tcp://10.0.0.9:8786",
            id="Scheduler-1",
        )

    def add(self, plugin, address, *hints):
        self.workers[address] = SimpleNamespace(resources=dict.fromkeys(hints, 1))
        plugin.add_worker(self, address)

    def task(self, key, **annotations):
        self.tasks[key] = SimpleNamespace(
            annotations=annotations,
            worker_restrictions=None,
            host_restrictions={"anywhere"},
            loose_restrictions=True,
        )
        return self.tasks[key]


@pytest.fixture
def plugin():
    return DomainPlugin()


@pytest.fixture
def scheduler(plugin):
    scheduler = Scheduler()
    asyncio.run(plugin.start(scheduler))
    return scheduler


@pytest.mark.parametrize(
    ("hints", "domain"),
    [
        (["domain:alice"], "alice"),
        (["GPU", "domain:alice", "domains:bob"], "alice"),
        (["domain:domain:x"], "domain:x"),
        ([], None),
        (["GPU"], None),
        (["domain:"], None),
        (["domain:alice", "domain:bob"], None),
    ],
)
def test_claimed_domain(hints, domain):
    assert claimed_domain(dict.fromkeys(hints, 1)) == domain


def test_workers_that_came_before_the_plugin_count(plugin):
    asyncio.run(plugin.start(Scheduler(w1={"domain:alice": 1}, w2={"GPU": 1})))
    assert plugin.domains() == {"alice": ["w1"]}


def test_lost_workers_leave_an_empty_domain(plugin, scheduler):
    scheduler.add(plugin, "w1", "domain:alice")
    plugin.remove_worker(scheduler, "w1", stimulus_id="x")
    plugin.remove_worker(scheduler, "never seen", stimulus_id="x")
    assert plugin.domains() == {"alice": []}


def test_restrictions_follow_the_domain_and_are_never_empty(plugin, scheduler):
    task = scheduler.task("x")
    plugin.update_graph(scheduler, annotations={"verify_domain": {"x": "alice"}}, keys={"x"})
    assert task.worker_restrictions == {NOWHERE}
    assert task.loose_restrictions is False
    assert task.host_restrictions is None
    scheduler.add(plugin, "w1", "domain:alice")
    scheduler.add(plugin, "w2", "domain:bob")
    scheduler.add(plugin, "w3", "domain:alice", "domain:bob")
    assert task.worker_restrictions == {NOWHERE, "w1"}
    plugin.remove_worker(scheduler, "w1", stimulus_id="x")
    assert task.worker_restrictions == {NOWHERE}


@pytest.mark.parametrize("name", [None, 3, ["alice"], {"alice"}, "nobody"])
def test_a_strange_annotation_leads_nowhere(plugin, scheduler, name):
    scheduler.add(plugin, "w1", "domain:alice")
    task = scheduler.task("x")
    plugin.update_graph(scheduler, annotations={"verify_domain": {"x": name}})
    assert task.worker_restrictions == {NOWHERE}
    assert plugin.domains() == {"alice": ["w1"]}


def test_other_tasks_are_left_alone(plugin, scheduler):
    task = scheduler.task("x")
    plugin.update_graph(scheduler, annotations={"priority": {"x": 1}})
    assert task.worker_restrictions is None


def test_provenance_is_bounded_and_about_finished_annotated_tasks(scheduler):
    plugin = DomainPlugin(history=2)
    asyncio.run(plugin.start(scheduler))
    scheduler.add(plugin, "w1", "domain:alice")
    for key in ("a", "b", "c"):
        scheduler.task(key, verify_domain="alice")
        plugin.transition(key, "processing", "memory", worker="w1")
    scheduler.task("other")
    plugin.transition("other", "processing", "memory", worker="w1")
    scheduler.task("erred", verify_domain="alice")
    plugin.transition("erred", "processing", "erred", worker="w1")
    plugin.transition("unknown", "processing", "memory", worker="w1")
    found = plugin.provenance(["a", "b", "c", "other", "erred", "unknown"])
    assert found == [None, ("w1", "alice"), ("w1", "alice"), None, None, None]


# --- with enrolled domains --------------------------------------------------------------------

ALICE, BOB = (Identity.generate(name) for name in ("alice", "bob"))


@pytest.fixture
def strict():
    return DomainPlugin(domains=[Domain(i.name, i.public_key) for i in (ALICE, BOB)])


def test_a_claim_alone_gives_no_domain(strict, monkeypatch):
    """Nor do tasks that wait for the domain go to who merely claims it."""
    asked = []

    async def tell(scheduler, address, message):
        asked.append((address, message["nonce"]))

    monkeypatch.setattr(membership, "tell", tell)
    offered = []
    monkeypatch.setattr(plugins, "offer_waiting", lambda scheduler, worker: offered.append(worker))

    async def story():
        scheduler = Scheduler(early={"domain:alice": 1})
        await strict.start(scheduler)
        scheduler.add(strict, "late", "domain:bob")
        scheduler.add(strict, "stranger", "domain:mallory")
        scheduler.add(strict, "nobody", "GPU")
        scheduler.add(strict, "both", "domain:alice", "domain:bob")
        task = scheduler.task("x")
        strict.update_graph(scheduler, annotations={"verify_domain": {"x": "alice"}})
        await asyncio.sleep(0)
        assert [address for address, _ in asked] == ["early", "late"]
        assert strict.domains() == {}
        assert task.worker_restrictions == {NOWHERE}

        strict._admit("early", "alice")
        assert strict.domains() == {"alice": ["early"]}
        assert task.worker_restrictions == {NOWHERE, "early"}
        assert offered == ["early"]

        strict.remove_worker(scheduler, "late")
        strict.remove_worker(scheduler, "early")
        assert strict.domains() == {"alice": []}
        scheduler.add(strict, "early", "domain:alice")
        assert task.worker_restrictions == {NOWHERE}
        await strict.close()
        assert await strict.settled() == {"alice": []}

    asyncio.run(story())
    assert asked[0][1] != asked[1][1]


def test_who_is_separated_says_so():
    assert not DomainPlugin().separated()
    assert DomainPlugin(separated=True).separated()


def test_a_plugin_without_domains_waits_for_nobody(plugin, scheduler):
    scheduler.add(plugin, "w1", "domain:alice")
    assert asyncio.run(scheduler.handlers["verify_settled"]()) == {"alice": ["w1"]}
    asyncio.run(plugin.close())


@pytest.mark.parametrize("domains", [[], [Domain("alice", i.public_key) for i in (ALICE, BOB)]])
def test_enrolled_domains_have_distinct_names(domains):
    with pytest.raises(InputError, match="at least one domain"):
        DomainPlugin(domains=domains)


def test_a_second_plugin_is_no_quiet_way_to_go_without_proofs(plugin, strict):
    """Dask drops an idempotent one without a word, and replaces what is not by what is new."""
    assert plugin.idempotent
    assert not strict.idempotent
    there = Scheduler()
    there.plugins["of any name"] = plugin
    with pytest.raises(InputError, match="expected a scheduler without a DomainPlugin"):
        asyncio.run(strict.start(there))
    assert there.handlers == {"register-client": registered}
    assert there.stream_handlers == {}


# --- on a real scheduler ----------------------------------------------------------------------


def domains_of(client, keys):
    found = client.sync(client.scheduler.verify_provenance, keys=list(keys))
    return [entry and entry[1] for entry in found]


def run_in(client, domain, graph, keys):
    with dask.annotate(verify_domain=domain):
        return client.get(graph, list(keys), sync=False)


@pytest.mark.cluster
def test_every_task_of_a_graph_stays_in_its_domain(shared_cluster):
    client = shared_cluster.get_client()
    graph = {("chain", 0): (int, "1")}
    graph |= {("chain", i): (max, ("chain", i - 1), i) for i in range(1, 20)}
    graph |= {f"wide-{i}": (max, ("chain", 19), i) for i in range(50)}
    futures = run_in(client, "bob", graph, [k for k in graph if isinstance(k, str)])
    assert [future.result() for future in futures] == [max(19, i) for i in range(50)]
    assert set(domains_of(client, graph)) == {"bob"}


@pytest.mark.cluster
def test_an_idle_domain_steals_nothing(shared_cluster):
    def busy(i):
        return sum(range(200_000)) + i

    client = shared_cluster.get_client()
    graph = {f"steal-{i}": (busy, i) for i in range(100)}
    wait(run_in(client, "carol", graph, graph))
    assert set(domains_of(client, graph)) == {"carol"}


@pytest.mark.cluster
def test_a_domain_that_nobody_is_in_keeps_its_task_waiting(shared_cluster):
    client = shared_cluster.get_client()
    (lost,) = run_in(client, "mallory", {"lost": (int, "1")}, ["lost"])
    # Later tasks of every domain finish; this one is not even sent out.
    for name in ("alice", "bob", "carol"):
        wait(run_in(client, name, {f"later-{name}": (int, "1")}, [f"later-{name}"]))
    states = client.run_on_scheduler(lambda dask_scheduler: dask_scheduler.tasks["lost"].state)
    assert states == "no-worker"
    assert not lost.done()


@pytest.mark.cluster
def test_workers_that_die_and_workers_that_come():
    def work(name):
        Event(name).wait()
        return name

    with LocalDomainCluster(["alice", "bob"], dashboard_address=None) as cluster:
        client = cluster.get_client()
        first = run_in(
            client,
            "alice",
            {f"first-{i}": (work, "go") for i in range(4)},
            [f"first-{i}" for i in range(4)],
        )
        killed = cluster.kill_worker("alice")
        cluster.add_worker("alice")
        Event("go").set()
        assert [future.result() for future in first] == ["go"] * 4
        assert domains_of(client, [future.key for future in first]) == ["alice"] * 4
        workers = client.sync(client.scheduler.verify_domains)
        assert killed not in workers["alice"]

        cluster.stop_domain("alice")
        (late,) = run_in(client, "alice", {"late": (work, "go")}, ["late"])
        wait(run_in(client, "bob", {"meanwhile": (work, "go")}, ["meanwhile"]))
        assert not late.done()
        cluster.add_worker("alice")
        assert late.result() == "go"
        assert domains_of(client, ["late", "meanwhile"]) == ["alice", "bob"]


def names(dask_scheduler):
    return {worker.name: worker.address for worker in dask_scheduler.workers.values()}


@pytest.mark.cluster
def test_an_impostor_gets_neither_the_domain_nor_a_task(monkeypatch):
    """It declares alice's resource: with another key, with bob's, or with no plugin at all."""
    # The one without a plugin says nothing: it is waited for until the deadline.
    monkeypatch.setattr(membership, "DEADLINE", 3)
    keys = [Identity.generate("alice"), BOB]
    plugins = [(), *((VerifyWorker("alice", key.private_bytes()),) for key in keys)]
    with LocalDomainCluster(["alice", "bob"], dashboard_address=None) as cluster:
        for i, with_plugins in enumerate(plugins):
            spec = cluster._worker("alice")
            spec["options"]["plugins"] = with_plugins
            cluster._clusters["all domains"].worker_spec[f"impostor-{i}"] = spec
        cluster.add_worker("alice")
        client = cluster.get_client()
        workers = client.run_on_scheduler(names)
        assert len(workers) == 6
        members = client.sync(client.scheduler.verify_domains)
        assert {name: sorted(found) for name, found in members.items()} == {
            "alice": sorted([workers["alice-0"], workers["alice-1"]]),
            "bob": [workers["bob-0"]],
        }
        graph = {f"task-{i}": (max, i, 0) for i in range(200)}
        wait(run_in(client, "alice", graph, graph))
        where = client.sync(client.scheduler.verify_provenance, keys=list(graph))
        assert {tuple(entry) for entry in where} <= {(a, "alice") for a in members["alice"]}


@pytest.mark.cluster
def test_a_relayed_proof_lets_nobody_in():
    """Alice's worker serves a scheduler of bob's, too; he registers here with its address there.

    What it proves over there reaches bob, and he sends it here, on his own connection.
    """

    async def story():
        alice = Domain("alice", ALICE.public_key)
        quiet = {"port": 0, "dashboard_address": ":0", "host": "127.0.0.1"}
        here = DistributedScheduler(plugins=[DomainPlugin(domains=[alice])], **quiet)
        bobs = DistributedScheduler(**quiet)
        member = VerifyWorker("alice", ALICE.private_bytes())
        async with here, bobs:
            got = asyncio.Queue()
            bobs.stream_handlers[PROOF] = lambda worker="", **proof: got.put_nowait(proof)
            options = {"host": "127.0.0.1", "plugins": [member], "dashboard_address": ":0"}
            async with Worker(bobs.address, **options) as worker:
                comm = await connect(here.address)
                await comm.write(registration(worker.address))
                assert (await comm.read())["status"] == "OK"
                proof = await asyncio.wait_for(got.get(), 10)
                assert proof["reached"] == bobs.address
                await comm.write([{"op": PROOF, **proof}])
                members = await asyncio.wait_for(here.plugins[plugins.NAME].settled(), 10)
                assert members == {}
                comm.abort()

    asyncio.run(story())


def registration(address):
    metrics = {
        "bandwidth": {"total": 1, "workers": {}, "types": {}},
        "spilled_bytes": {"memory": 0, "disk": 0},
        "event_loop_interval": 0.02,
        "task_counts": {},
        "digests_total_since_heartbeat": {},
        "host_disk_io": {},
    } | dict.fromkeys(("memory", "managed_bytes", "cpu", "time", "num_fds"), 0)
    return {
        "op": "register-worker", "reply": False, "address": address, "status": "running",
        "nthreads": 1, "name": "bobs", "now": 0, "resources": {"domain:alice": 1},
        "memory_limit": 1 << 30, "local_directory": "/tmp", "services": {}, "nanny": "",
        "pid": 1, "versions": {}, "extra": {}, "metrics": metrics, "server_id": "bobs",
        "stimulus_id": "x",
    }  # fmt: skip


@pytest.mark.cluster
def test_a_registered_plugin_is_not_replaced_by_one_with_domains(shared_cluster):
    client = shared_cluster.get_client()
    before = client.sync(client.scheduler.verify_domains)
    client.register_plugin(DomainPlugin())  # ignored by Dask: there is one
    with pytest.raises(InputError, match="expected a scheduler without a DomainPlugin"):
        client.register_plugin(DomainPlugin(domains=shared_cluster.domains))
    assert client.sync(client.scheduler.verify_domains) == before
