"""`dask scheduler` and `dask worker` with the preloads: real processes, and what starts none."""

from __future__ import annotations

import asyncio
import json
from contextlib import ExitStack
from types import SimpleNamespace
from urllib.request import urlopen

import dask.bag as db
import pytest
from commands import PATIENCE, ended, free_address, running, scheduler_command, worker_command
from distributed import Client

from dask_verify import Policy, Verdict, scheduler, verified_map_reduce, worker
from dask_verify.engine.enrolment import coordinator_of, enrol
from dask_verify.evidence.enrolment.keys import write_key
from dask_verify.evidence.enrolment.trust import Entry, Trust, load_trust, save_trust
from dask_verify.protocol.domain import COORDINATOR, Identity

IDENTITIES = {name: Identity.generate(name) for name in ("alice", "bob", COORDINATOR)}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Keys, an impostor's among them, and the trust file."""
    folder = tmp_path_factory.mktemp("keys")
    for name, identity in IDENTITIES.items():
        write_key(folder / f"{name}.key", identity)
    write_key(folder / "impostor.key", Identity.generate("alice"))
    write_key(folder / "open.key", IDENTITIES["alice"])
    (folder / "open.key").chmod(0o644)
    entries = {name: Entry(name, i.public_key) for name, i in IDENTITIES.items()}
    trust = Trust((entries["alice"], entries["bob"]), entries[COORDINATOR])
    save_trust(folder / "domains.toml", trust)
    return folder


def words(line):
    return [(word, 1) for word in line.split()]


def total(word, counts):
    return sum(counts)


def executors(dask_scheduler):
    """Names and domains of the workers that finished a verified task."""
    plugin = dask_scheduler.plugins["dask-verify-domains"]
    name = {address: state.name for address, state in dask_scheduler.workers.items()}
    return {(name[address], domain) for address, domain in plugin._executors.values()}


@pytest.mark.cluster
def test_a_job_on_a_cluster_of_commands(folder, tmp_path):
    """With a nanny and without, and with an impostor who has alice's name, and not her key."""
    address = free_address()
    workers = {
        "alice": ("alice.key",),
        "bob": ("bob.key", "--no-nanny"),
        "impostor": ("impostor.key", "--no-nanny"),
    }
    with ExitStack() as stack:
        command = scheduler_command(address, folder / "domains.toml", "--dashboard")
        stack.enter_context(running(*command, log=tmp_path / "scheduler"))
        for name, (key, *options) in workers.items():
            command = worker_command(address, folder / key, "--name", name, *options)
            stack.enter_context(running(*command, log=tmp_path / name))
        client = stack.enter_context(Client(address, timeout=PATIENCE, set_as_default=False))
        client.wait_for_workers(len(workers), timeout=PATIENCE)
        enrol(client, trust=folder / "domains.toml", coordinator=folder / "coordinator.key")
        assert coordinator_of(client).public_key == IDENTITIES[COORDINATOR].public_key

        lines = ["to be or not to be", "that is the question"] * 5
        bag = db.from_sequence(lines, npartitions=5)
        policy = Policy(replicas=2)
        job = verified_map_reduce(bag, words, total, policy=policy, client=client)
        assert dict(job.result(timeout=PATIENCE))["be"] == 10
        assert job.verdict is Verdict.AGREED
        assert client.run_on_scheduler(executors) == {("alice", "alice"), ("bob", "bob")}
        job.cancel()  # and so its last word has been sent
        port = client.scheduler_info(n_workers=-1)["services"]["dashboard"]
        with urlopen(f"http://127.0.0.1:{port}/verify.json", timeout=PATIENCE) as answer:
            told = json.load(answer)
        assert [job["status"] for job in told["jobs"]] == ["agreed"]
        assert {name: found["workers"] for name, found in told["domains"].items()} == {
            "alice": 1,
            "bob": 1,
        }
        with urlopen(f"http://127.0.0.1:{port}/verify", timeout=PATIENCE) as answer:
            assert b'href="verify"' in answer.read()
        info = client.scheduler_info(n_workers=-1)["workers"].values()
        resources = {found["name"]: found["resources"] for found in info}
        assert resources["impostor"] == resources["alice"] == {"domain:alice": 1.0}
    logs = {name: (tmp_path / name).read_text() for name in ("scheduler", *workers)}
    assert "is not of domain 'alice'" in logs["scheduler"]
    assert "domain 'bob': key proven" in logs["scheduler"]
    assert "Domain alice: key proven" in logs["alice"]
    assert "Domain bob: key proven" in logs["bob"]
    assert "Domain alice: not a member, 'its proof does not verify" in logs["impostor"]


# --- what does not start --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("key", "message"),
    [
        ("open.key", "expected a file for its owner alone"),
        ("nothing.key", "expected a file to read"),
        ("coordinator.key", "expected a domain's, got the coordinator's"),
        ("domains.toml", "a file for its owner alone"),
    ],
)
def test_a_worker_without_a_good_key_is_a_usage_error(folder, key, message):
    done = ended(*worker_command(free_address(), folder / key))
    assert done.returncode == 2
    assert message in done.stderr


def test_a_scheduler_without_a_good_trust_file_is_a_usage_error(folder):
    for trust in ("nothing.toml", "alice.key"):
        done = ended(*scheduler_command(free_address(), folder / trust))
        assert done.returncode == 2
        assert f"{trust}" in done.stderr
    done = ended("scheduler", "--preload", "dask_verify.scheduler")
    assert done.stderr.startswith("Usage: dask_verify.scheduler [OPTIONS]") or (
        "\nUsage: dask_verify.scheduler [OPTIONS]" in done.stderr
    )
    assert done.returncode == 2
    assert "Missing option '--trust'" in done.stderr


def test_a_scheduler_without_domains_ends_with_one_line(folder):
    save_trust(folder / "empty.toml", Trust())
    done = ended(*scheduler_command(free_address(), folder / "empty.toml"))
    assert done.returncode == 2
    assert "expected a trust file with at least one [[domain]], got one with none" in done.stderr
    assert "Traceback" not in done.stderr
    configured = {
        "DASK_DISTRIBUTED__SCHEDULER__PRELOAD": '["dask_verify.scheduler"]',
        "DASK_VERIFY__TRUST": str(folder / "empty.toml"),
    }
    quiet = ("--port", 0, "--no-dashboard", "--dashboard-address", ":0")
    done = ended("scheduler", *quiet, **configured)
    assert done.returncode == 1
    last = done.stderr.strip().splitlines()[-1]
    assert "dask_verify.scheduler: cannot start: " in last
    assert "at least one [[domain]]" in last


@pytest.mark.cluster
@pytest.mark.parametrize("nanny", [pytest.param("--nanny", marks=pytest.mark.matrix), "--no-nanny"])
def test_a_preload_from_the_configuration_is_as_strict(folder, tmp_path, nanny):
    """Dask reads the options of such a preload late, and would go on without it."""
    address = free_address()
    configured = {
        "DASK_DISTRIBUTED__WORKER__PRELOAD": '["dask_verify.worker"]',
        "DASK_DISTRIBUTED__WORKER__PRELOAD_ARGV": f'["--domain-key", "{folder / "open.key"}"]',
    }
    with running(*scheduler_command(address, folder / "domains.toml"), log=tmp_path / "scheduler"):
        quiet = ("--no-dashboard", "--dashboard-address", ":0")
        done = ended("worker", address, nanny, *quiet, **configured)
    assert done.returncode == 1
    assert "dask_verify.worker: cannot start: " in done.stderr
    assert "expected a file for its owner alone" in done.stderr
    assert "Register worker" not in (tmp_path / "scheduler").read_text()


def test_a_scheduler_takes_the_configured_trust_file(folder):
    configured = {"DASK_VERIFY__TRUST": str(folder / "alice.key")}
    done = ended("scheduler", "--preload", "dask_verify.scheduler", **configured)
    assert done.returncode == 2
    assert "alice.key, trust file: expected TOML" in done.stderr


# --- the set-up itself ----------------------------------------------------------------------


class Worker(SimpleNamespace):
    def __init__(self, *resources):
        held = dict.fromkeys(resources, 1.0)
        self.plugins = []
        super().__init__(
            state=SimpleNamespace(total_resources=held, available_resources=dict(held))
        )

    async def plugin_add(self, plugin, catch_errors):
        assert not catch_errors
        self.plugins.append(plugin)


def set_up(worker_, **options):
    asyncio.run(worker.dask_setup.callback(worker_, **options))


def test_a_worker_declares_its_domain_and_gets_the_plugin():
    there = Worker("GPU", "domain:alice")
    set_up(there, domain_key=IDENTITIES["alice"])
    assert there.state.total_resources == {"GPU": 1.0, "domain:alice": 1.0}
    assert there.state.available_resources == {"GPU": 1.0, "domain:alice": 1.0}
    assert [plugin.domain for plugin in there.plugins] == ["alice"]


def test_a_worker_that_declares_another_domain_does_not_start():
    there = Worker("domain:bob")
    with pytest.raises(SystemExit, match="expected no other domain"):
        set_up(there, domain_key=IDENTITIES["alice"])
    assert there.plugins == []


def test_a_worker_whose_plugin_fails_does_not_start():
    there = Worker()

    async def fails(plugin, catch_errors):
        raise OSError("no space left")

    there.plugin_add = fails
    with pytest.raises(SystemExit, match="cannot start: OSError: no space left"):
        set_up(there, domain_key=IDENTITIES["alice"])


def test_a_scheduler_gets_the_plugin_with_the_enrolled_domains(folder):
    plugins = []
    there = SimpleNamespace(add_plugin=plugins.append)
    scheduler.dask_setup.callback(there, trust=load_trust(folder / "domains.toml"))
    (plugin,) = plugins
    assert set(plugin._door._keys) == {"alice", "bob"}
    with pytest.raises(SystemExit, match="at least one domain"):
        scheduler.dask_setup.callback(there, trust=Trust())
