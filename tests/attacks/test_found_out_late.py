"""Lies that no sample found, and whose author is found out while the answer is read."""

from __future__ import annotations

import dask.bag
import pytest

from dask_verify import LocalDomainCluster, Policy, Standing, Verdict, verified_map_reduce
from dask_verify.engine.handle import Job
from dask_verify.protocol.messages import REDUCE, Task
from dask_verify.testing import Saboteur, ServeOther

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(180)]

NUMBERS, KEYS, REDUCES = 1600, 8, 4
TRUTH = [(key, NUMBERS // KEYS) for key in range(KEYS)]
TRIES = 12  #: jobs; of three domains one is drawn in some of them, and does not serve in others


class Exaggerate(Saboteur):
    """Add to the count of one key."""

    def map_output(self, partition, unit, records):
        return [(key, count + 1000 if key == 3 else count) for key, count in records]


def ones(number: int) -> list[tuple[int, int]]:
    return [(number % KEYS, 1)]


def total(key: int, counts: list[int]) -> int:
    return sum(counts)


def undetected(cluster: LocalDomainCluster) -> Job:
    """A job in which bob lied, nobody noticed, and bob is the first to be asked for a partition."""
    bag = dask.bag.from_sequence(range(NUMBERS), npartitions=12)
    policy = Policy(replicas=1, audit=1e-9)
    for _ in range(TRIES):
        cluster.sabotage("bob", Exaggerate())
        client = cluster.get_client()
        job = verified_map_reduce(
            bag, ones, total, policy=policy, npartitions=REDUCES, client=client
        )
        verdict = job.wait(progress=False)
        holders = [job._driver.holders(Task(REDUCE, n))[0] for n in range(REDUCES)]
        if verdict is Verdict.SAMPLED and "bob" in holders:
            return job
        job.cancel()
    pytest.fail(f"bob was drawn, or served nothing, in all of {TRIES} jobs")


def test_the_answer_is_the_corrected_one_at_once(shared_cluster) -> None:
    """And so are its receipt and its file, from the first moment on."""
    job = undetected(shared_cluster)
    try:
        shared_cluster.sabotage("bob", ServeOther())
        assert sorted(job.result(timeout=60)) == TRUTH
        assert job.verdict is Verdict.CORRECTED
        assert job.report.domains["bob"].standing is Standing.EXPOSED
        roots = job._notary.receipt().stage(REDUCE).roots
        assert sorted(job.result(timeout=60)) == TRUTH
        assert job._notary.receipt().stage(REDUCE).roots == roots
    finally:
        shared_cluster.sabotage("bob", None)
        job.cancel()
