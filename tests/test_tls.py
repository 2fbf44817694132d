"""TLS with a certificate authority for each domain: a gated scheduler, and clusters apart."""

from __future__ import annotations

from contextlib import ExitStack

import dask.bag as db
import pytest
from asking import asked_aloud, run
from commands import PATIENCE, ended, free_address, running, scheduler_command, worker_command
from distributed import Client

from dask_verify import Policy, Verdict, verified_map_reduce
from dask_verify.engine.enrolment import enrol
from dask_verify.engine.pool import open_pool

LINES = ["to be or not to be", "that is the question"] * 5


def words(line):
    return [(word, 1) for word in line.split()]


def total(word, counts):
    return sum(counts)


@pytest.mark.cluster
def test_a_job_behind_the_gate_is_relayed_by_the_coordinator(gated):
    """Each domain maps a part, and neither can read the other's: nobody trusts both."""
    before = gated.log("scheduler")
    bag = db.from_sequence(LINES, npartitions=6)
    policy = Policy(replicas=1, audit=0.01)
    job = verified_map_reduce(bag, words, total, policy=policy, npartitions=2, client=gated.client)
    assert dict(job.result(timeout=PATIENCE))["be"] == 10
    assert job.verdict is Verdict.SAMPLED
    assert job.report.bytes_moved["relayed"] > 0
    with open_pool(gated.client, gated.names) as pool:
        assert not pool.connected
    assert "Domain alice: key proven" in gated.log("alice")
    assert "Domain bob: key proven" in gated.log("bob")
    during = gated.log("scheduler").removeprefix(before)
    assert "Refused" not in gated.beginning + during


@pytest.mark.cluster
def test_a_cluster_for_each_domain(gated, tmp_path):
    """With the same certificates; the domains have nothing to do with each other."""
    tls, folder = gated.certified, gated.folder
    with ExitStack() as stack:
        clients = {}
        for name in gated.names:
            address, options = free_address("tls"), tls.options(name)
            command = scheduler_command(address, gated.trust, *options)
            stack.enter_context(running(*command, log=tmp_path / f"{name}-scheduler"))
            command = worker_command(address, folder / f"{name}.key", "--no-nanny", *options)
            stack.enter_context(running(*command, log=tmp_path / name))
            security = tls.security("coordinator", believes=tls.path(name, "ca"))
            how = {"timeout": PATIENCE, "set_as_default": False}
            clients[name] = stack.enter_context(Client(address, security=security, **how))
        for client in clients.values():
            client.wait_for_workers(1, timeout=PATIENCE)
            enrol(client, trust=gated.trust, coordinator=folder / "coordinator.key")
        bag = db.from_sequence(LINES, npartitions=4)
        job = verified_map_reduce(bag, words, total, policy=Policy(replicas=2), client=clients)
        assert dict(job.result(timeout=PATIENCE))["be"] == 10
        assert job.verdict is Verdict.AGREED
        bob = tls.security("bob", believes=tls.path("alice", "ca"))
        with pytest.raises(OSError, match=r"alert|closed|reset"):
            run(asked_aloud(clients["alice"].scheduler.address, bob))


def test_a_scheduler_with_a_hole_in_its_gate_does_not_start(gated):
    """Without TLS, or with options that Dask reads when it listens already."""
    done = ended(*scheduler_command(free_address(), gated.trust, *gated.certified.authorities()))
    assert done.returncode == 1
    assert "cannot start: InputError: expected a scheduler that listens behind its gate" in (
        done.stderr
    )
    quiet = ("--port", 0, "--no-dashboard", "--dashboard-address", ":0")
    late = repr(["--trust", str(gated.trust), *gated.certified.authorities()]).replace("'", '"')
    configured = {
        "DASK_DISTRIBUTED__SCHEDULER__PRELOAD": '["dask_verify.scheduler"]',
        "DASK_DISTRIBUTED__SCHEDULER__PRELOAD_ARGV": late,
    }
    done = ended("scheduler", *quiet, *gated.certified.options("coordinator"), **configured)
    assert done.returncode == 1
    assert "on the command line" in done.stderr
