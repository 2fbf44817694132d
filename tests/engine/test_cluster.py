from __future__ import annotations

import asyncio
import logging
import multiprocessing
import os
import signal
from contextlib import ExitStack
from dataclasses import replace

import dask
import dask.bag as db
import pytest
from distributed import Client, Nanny
from distributed.core import Status

from dask_verify import verified_map_reduce
from dask_verify.engine import cluster_arguments
from dask_verify.engine.cluster import LocalDomainCluster
from dask_verify.engine.compat import DomainNanny, DomainWorker, unheard
from dask_verify.engine.enrolment import coordinator_of, domains_of, enrolled
from dask_verify.errors import InputError
from dask_verify.evidence.enrolment.trust import Entry, load_trust, save_trust
from dask_verify.protocol.domain import Identity
from dask_verify.testing import Saboteur


def parity(number):
    return [(number % 2, number)]


def total(key, numbers):
    return sum(numbers)


def seed_and_hash():
    return os.environ["PYTHONHASHSEED"], hash("dask_verify")


def private_keys(dask_worker):
    return {p.domain: p._private_key for p in dask_worker.plugins.values() if hasattr(p, "domain")}


def saboteur(dask_worker):
    return repr(dask_worker.plugins["dask-verify"].saboteur)


def names_and_domains(client):
    workers = client.scheduler_info(n_workers=-1)["workers"].values()
    return {(w["name"], *w["resources"]) for w in workers}


def test_what_a_saboteur_is_known_by_are_all_of_its_hooks():
    hooks = {name for name in vars(Saboteur) if not name.startswith("_")}
    assert set(cluster_arguments._HOOKS) == hooks


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"domains": []}, "at least one"),
        ({"domains": "alice"}, "list of domain names"),
        ({"domains": ["alice", ""]}, "non-empty"),
        ({"domains": ["alice", 3]}, "non-empty"),
        ({"domains": ["alice", "alice"]}, "must differ"),
        ({"domains": ["alice", "e\u0301"]}, r"name: expected a name in Unicode's composed form"),
        ({"domains": ["alice\ufe0f"]}, "without control or invisible characters"),
        ({"domains": ["x" * 300]}, "at most 200 bytes"),
        ({"domains": ["alice"], "saboteurs": {"bob": object()}}, "saboteur for 'bob'"),
        (
            {"domains": ["bob"], "saboteurs": {"bob": "x"}},
            "saboteur of 'bob': expected a Saboteur or None, got str 'x'; take one",
        ),
        ({"domains": ["bob"], "saboteurs": {"bob": Saboteur}}, r"class; write Saboteur\(\)"),
        ({"domains": ["alice"], "n_workers": 0}, "n_workers"),
        ({"domains": ["alice"], "n_workers": True}, "n_workers"),
        ({"domains": ["alice"], "threads_per_worker": 0}, "threads_per_worker"),
    ],
)
def test_bad_input_starts_nothing(arguments, message):
    before = multiprocessing.active_children()
    with pytest.raises(InputError, match=message):
        LocalDomainCluster(**arguments)
    assert multiprocessing.active_children() == before


@pytest.mark.cluster
class TestShared:
    def test_client_is_one_and_enrolled(self, shared_cluster):
        client = shared_cluster.get_client()
        assert client is shared_cluster.get_client() is Client.current()
        assert enrolled(client) == shared_cluster.domains
        assert [d.name for d in shared_cluster.domains] == ["alice", "bob", "carol"]
        assert all(d.environment for d in shared_cluster.domains)

    def test_workers_are_named_and_tagged(self, shared_cluster):
        assert names_and_domains(shared_cluster.get_client()) == {
            (f"{name}-0", f"domain:{name}") for name in ("alice", "bob", "carol")
        }

    def test_every_domain_hashes_differently(self, shared_cluster):
        before = os.environ.get("PYTHONHASHSEED")
        seen = shared_cluster.get_client().run(seed_and_hash).values()
        assert len({seed for seed, _ in seen}) == 3
        assert len({value for _, value in seen}) == 3
        assert os.environ.get("PYTHONHASHSEED") == before

    def test_a_worker_has_only_its_own_domains_key(self, shared_cluster):
        found = shared_cluster.get_client().run(private_keys).values()
        assert sorted(name for keys in found for name in keys) == ["alice", "bob", "carol"]
        assert len({key for keys in found for key in keys.values()}) == 3

    def test_no_key_reaches_the_scheduler(self, shared_cluster):
        client = shared_cluster.get_client()
        keys = [k for keys in client.run(private_keys).values() for k in keys.values()]
        known = client.run_on_scheduler(lambda dask_scheduler: repr(dask_scheduler.worker_plugins))
        told = repr(client.scheduler_info(n_workers=-1)) + known
        assert keys
        assert not any(repr(key)[2:-1] in told or key.hex() in told for key in keys)

    def test_workers_have_proved_their_keys_by_the_time_there_is_a_client(self, shared_cluster):
        client = shared_cluster.get_client()
        members = client.sync(client.scheduler.verify_domains)
        assert {name: len(found) for name, found in members.items()} == dict.fromkeys(
            ("alice", "bob", "carol"), 1
        )

    def test_its_trust_file_is_of_its_keys(self, shared_cluster, tmp_path):
        path = tmp_path / "domains.toml"
        shared_cluster.write_trust(path)
        trust = load_trust(path)
        assert trust.domains == shared_cluster.domains
        assert trust.coordinator.public_key == shared_cluster.coordinator.public_key
        client = shared_cluster.get_client()
        assert coordinator_of(client) is shared_cluster.coordinator
        data = path.read_bytes()
        keys = [k for found in client.run(private_keys).values() for k in found.values()]
        secrets = [*keys, shared_cluster.coordinator.private_bytes()]
        assert not any(key.hex().encode() in data for key in secrets)

    def test_a_configured_trust_file_serves_who_enrolled_nobody(self, shared_cluster, tmp_path):
        """Of its domains those are used that have a worker; so the fourth is no obstacle."""
        path = tmp_path / "domains.toml"
        shared_cluster.write_trust(path)
        dave = Entry("dave", Identity.generate("dave").public_key)
        save_trust(path, replace(load_trust(path), coordinator=None).with_entry(dave))
        address = shared_cluster.get_client().scheduler.address
        with (
            Client(address, set_as_default=False) as stranger,
            dask.config.set({"verify.trust": str(path)}),
        ):
            assert domains_of(stranger) == shared_cluster.domains
            job = verified_map_reduce(
                db.from_sequence(range(10), npartitions=2), parity, total, client=stranger
            )
            assert sorted(job.result(timeout=60)) == [(0, 20), (1, 25)]


@pytest.mark.cluster
def test_a_configured_trust_file_serves_separate_clients(separate_cluster, tmp_path):
    path = tmp_path / "domains.toml"
    separate_cluster.write_trust(path)
    save_trust(path, replace(load_trust(path), coordinator=None))
    addresses = {
        name: client.scheduler.address for name, client in separate_cluster.get_client().items()
    }
    with ExitStack() as stack, dask.config.set({"verify.trust": str(path)}):
        strangers = {
            name: stack.enter_context(Client(address, set_as_default=False))
            for name, address in addresses.items()
            if name != "carol"
        }
        bag = db.from_sequence(range(10), npartitions=2)
        job = verified_map_reduce(bag, parity, total, client=strangers)
        assert sorted(job.result(timeout=60)) == [(0, 20), (1, 25)]
        assert set(job.report.domains) == {"alice", "bob"}


@pytest.mark.cluster
def test_separate_clients_are_enrolled_one_by_one(separate_cluster):
    clients = separate_cluster.get_client()
    assert list(clients) == ["alice", "bob", "carol"]
    assert len({client.scheduler.address for client in clients.values()}) == 3
    for domain in separate_cluster.domains:
        assert enrolled(clients[domain.name]) == (domain,)
        assert names_and_domains(clients[domain.name]) == {
            (f"{domain.name}-0", f"domain:{domain.name}")
        }


@pytest.mark.cluster
@pytest.mark.filterwarnings("error")
def test_a_cluster_from_start_to_end():
    class Unpicklable(Saboteur):
        def __init__(self):
            self.items = (item for item in ())

    class Tamper(Saboteur):  # known to no module that a worker could import
        def __repr__(self):
            return "tampering"

    with LocalDomainCluster(
        ["alice", "bob"], saboteurs={"bob": Tamper()}, dashboard_address=None
    ) as cluster:
        client = cluster.get_client()
        folder = cluster._folder

        def saboteurs():
            return sorted(client.run(saboteur).values())

        assert saboteurs() == ["None", "tampering"]
        cluster.sabotage("bob", None)
        cluster.sabotage("bob", None)
        assert saboteurs() == ["None", "None"]
        cluster.sabotage("alice", Tamper())
        assert saboteurs() == ["None", "tampering"]
        with pytest.raises(InputError, match="no domain 'carol'"):
            cluster.sabotage("carol", None)
        with pytest.raises(InputError, match=r"got the class; write dict\(\)"):
            cluster.sabotage("alice", dict)
        with pytest.raises(InputError, match="expected a Saboteur or None, got int 3"):
            cluster.sabotage("alice", 3)
        with pytest.raises(InputError, match="cannot be pickled"):
            cluster.sabotage("alice", Unpicklable())
        assert saboteurs() == ["None", "tampering"]

        assert cluster.add_worker("alice") == "alice-1"
        client.wait_for_workers(3)
        assert ("alice-1", "domain:alice") in names_and_domains(client)
        seeds = client.run(seed_and_hash)
        assert len(seeds) == 3
        assert len(set(seeds.values())) == 2

        cluster.stop_domain("alice")
        assert names_and_domains(client) == {("bob-0", "domain:bob")}
        with pytest.raises(InputError, match="no running worker"):
            cluster.kill_worker("alice")
    cluster.close()
    assert client.status == "closed"
    assert not folder.exists()


@pytest.mark.parametrize("shared", [True, False])
def test_a_closed_cluster_says_so(monkeypatch, shared):
    monkeypatch.setattr(LocalDomainCluster, "_start", lambda self, n_workers: None)
    with LocalDomainCluster(["alice", "bob"], shared=shared) as cluster:
        pass
    asked = {
        "get_client": (),
        "sabotage": ("bob", None),
        "add_worker": ("bob",),
        "kill_worker": ("bob",),
        "stop_domain": ("bob",),
    } | ({} if shared else {"get_remotes": ()})
    for name, arguments in asked.items():
        with pytest.raises(InputError, match="got one that is closed: start another"):
            getattr(cluster, name)(*arguments)


@pytest.mark.cluster
def test_a_failed_start_leaves_nothing(monkeypatch):
    children = set(multiprocessing.active_children())
    monkeypatch.setattr(
        LocalDomainCluster, "_scheduler_options", lambda self, names: {"port": "no port"}
    )
    with pytest.raises(RuntimeError, match="did not start"):
        LocalDomainCluster(["alice"], dashboard_address=None)
    assert set(multiprocessing.active_children()) == children


@pytest.fixture
def signalled(monkeypatch):
    """A cluster of one worker process, and the signals that it is sent."""
    sent = []

    def kill(pid, number):
        sent.append((pid, number))
        if number == signal.SIGCONT:
            raise ProcessLookupError  # it has just died

    class Nanny:
        pid, worker_address = 7, "tcp://there"

    monkeypatch.setattr(os, "kill", kill)
    monkeypatch.setattr(LocalDomainCluster, "_nannies", lambda self, domain: {"alice-0": Nanny()})
    return object.__new__(LocalDomainCluster), sent


def test_kill_means_sigkill(signalled):
    """The process gets no chance to hand anything over."""
    cluster, sent = signalled
    assert cluster.kill_worker("alice") == "tcp://there"
    assert sent == [(7, signal.SIGKILL)]


def test_who_is_paused_stops_in_its_tracks_until_it_is_resumed(signalled):
    cluster, sent = signalled
    assert cluster.pause_worker("alice") == "tcp://there"
    cluster.resume_worker("alice")
    assert sent == [(7, signal.SIGSTOP), (7, signal.SIGCONT)]


def test_a_worker_has_time_to_remove_what_it_spilled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of gigabytes, Dask's five seconds are not enough: closing the cluster would fail."""
    given: list[float] = []

    async def close(self: Nanny, timeout: float = 5, reason: str = "") -> None:
        given.append(timeout)

    monkeypatch.setattr(Nanny, "close", close)
    asyncio.run(object.__new__(DomainNanny).close())
    assert given == [20]


def blocked_signals():
    return signal.pthread_sigmask(signal.SIG_BLOCK, ())


@pytest.mark.cluster
def test_workers_hear_of_no_ctrl_c(shared_cluster):
    """Of a terminal's it is for the program, which closes its cluster; they would say a lot."""
    masks = shared_cluster.get_client().run(blocked_signals).values()
    assert all(signal.SIGINT in mask for mask in masks)

    async def own() -> set[int]:
        return blocked_signals()

    # Whoever starts them goes on as it was.
    assert signal.SIGINT not in shared_cluster._cluster("alice").sync(own)


def test_a_worker_logs_only_while_it_runs():
    worker, record = object.__new__(DomainWorker), logging.makeLogRecord({})
    assert not worker._heard(record)
    heard = {}
    for status in Status:
        worker._status = status
        heard[status] = worker._heard(record)
    assert {status for status in heard if heard[status]} == {Status.running, Status.paused}


def test_what_dask_logs_meanwhile_is_not_seen_whatever_level_is_set():
    """Nannies set the level of the handlers when they start."""
    seen = []
    handler = logging.Handler()
    handler.emit = seen.append
    logger = logging.getLogger("distributed")
    logger.addHandler(handler)
    try:
        with unheard():
            handler.setLevel(logging.DEBUG)
            logger.error("Failed to start process")
            logger.critical("worse")
        logger.error("Task failed")
    finally:
        logger.removeHandler(handler)
    assert [record.getMessage() for record in seen] == ["worse", "Task failed"]
