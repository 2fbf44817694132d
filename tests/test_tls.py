"""TLS with a certificate authority for each domain: a gated scheduler, and clusters apart."""

from __future__ import annotations

import dask.bag as db
import pytest
from commands import PATIENCE

from dask_verify import Policy, Verdict, verified_map_reduce
from dask_verify.engine.pool import open_pool

LINES = ["to be or not to be", "that is the question"] * 5


def words(line):
    return [(word, 1) for word in line.split()]


def total(word, counts):
    return sum(counts)


@pytest.mark.cluster
def test_a_job_behind_the_gate_is_relayed_by_the_coordinator(gated):
    """Each domain maps a part, and neither can read the other's: nobody trusts both."""
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
    assert "Refused" not in gated.log("scheduler")
