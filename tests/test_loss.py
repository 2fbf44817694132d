"""Workers die and jobs are cancelled: no root changes, nobody is blamed, nothing stays behind."""

from __future__ import annotations

import contextlib
import os

import dask.bag as db
import numpy as np
import pytest

from dask_verify import Policy, Standing, Verdict, verified_map_reduce
from dask_verify.core.canonical import encode
from dask_verify.errors import JobCancelledError
from dask_verify.testing import Saboteur, Slow

pytestmark = pytest.mark.cluster
LINES = [f"to be or not to be {i}" for i in range(60)]
RIGHT = {"to": 120, "be": 120, "or": 60, "not": 60} | {str(i): 1 for i in range(60)}
NAMES = ("alice", "bob", "carol")


@pytest.fixture(params=["shared", "separate"])
def cluster(request):
    cluster = request.getfixturevalue(f"{request.param}_cluster")
    yield cluster
    for name in NAMES:
        cluster.sabotage(name, None)
    ready(cluster)


def ready(cluster):
    """Wait until every domain has a worker with a free thread."""
    clients = cluster.get_client()
    futures = [
        (clients[name] if isinstance(clients, dict) else clients).submit(
            int, resources={f"domain:{name}": 1}, pure=False
        )
        for name in NAMES
    ]
    for future in futures:
        future.result(timeout=60)


class Hold(Saboteur):
    """Say through a pipe that a task of a stage has started, and hold it up."""

    def __init__(self, path, stage):
        self.path, self.stage = path, stage

    def delay(self, stage, partition):
        if stage != self.stage:
            return 0
        with open(self.path, "w") as pipe:
            pipe.write("started")
        return 1000


@contextlib.contextmanager
def held(cluster, domain, stage, folder):
    """Hold a domain up in a stage; give a function that returns once it has started on it."""
    path = folder / "pipe"
    os.mkfifo(path)
    pipe = os.open(path, os.O_RDWR)  # so that neither end ever waits for the other to open
    cluster.sabotage(domain, Hold(str(path), stage))
    try:
        yield lambda: os.read(pipe, 1)
    finally:
        cluster.sabotage(domain, None)
        os.close(pipe)


def count(cluster, **policy):
    bag = db.from_sequence(LINES, npartitions=6)
    return verified_map_reduce(
        bag,
        lambda line: [(word, 1) for word in line.split()],
        lambda word, found: sum(found),
        npartitions=3,
        policy=Policy(**{"deadline": 60, "stand_in": False} | policy),
        client=cluster.get_client(),
    )


def right_and_nobody_blamed(job):
    result = job.result(timeout=90)
    assert len(result) == len(RIGHT)
    assert dict(result) == RIGHT
    assert job.verdict is Verdict.AGREED
    assert Standing.EXPOSED not in {d.standing for d in job.report.domains.values()}
    job.cancel()


# A read through a scheduler that has not noticed yet takes up to half a minute.
@pytest.mark.parametrize(
    "cluster", ["shared", pytest.param("separate", marks=pytest.mark.matrix)], indirect=True
)
@pytest.mark.parametrize("stage", ["map", "reduce"])
@pytest.mark.parametrize("victim", ["alice", "bob"])
def test_a_worker_is_lost_while_a_job_runs(cluster, tmp_path, stage, victim):
    with held(cluster, "alice", stage, tmp_path) as started:
        job = count(cluster)
        started()
        cluster.kill_worker(victim)
    right_and_nobody_blamed(job)


def test_lost_results_are_made_again(cluster):
    job = count(cluster)
    assert job.wait(60) is Verdict.AGREED
    for name in NAMES:
        cluster.kill_worker(name)
    # A scheduler that has not noticed yet tries for half a minute to reach the dead ones.
    ready(cluster)
    right_and_nobody_blamed(job)


def test_dropped_results_are_made_again(cluster):
    job = count(cluster)
    assert job.wait(60) is Verdict.AGREED
    driver = job._driver
    driver.pool.broadcast("verify_forget", job=driver.plan.job, stage="reduce")
    right_and_nobody_blamed(job)


def test_a_cancelled_job_holds_no_worker(cluster):
    cluster.sabotage("alice", Slow(1000))
    job = count(cluster, deadline=None)
    job.cancel()
    assert job.status == "cancelled"
    with pytest.raises(JobCancelledError):
        job.result(timeout=5)
    cluster.sabotage("alice", Saboteur())
    right_and_nobody_blamed(count(cluster))


def test_cancelling_releases_a_held_task(cluster, tmp_path):
    """The saboteur stays: only that the job is closed ends its hold."""
    with held(cluster, "alice", "map", tmp_path) as started:
        job = count(cluster)
        started()
        job.cancel()
        ready(cluster)


def test_an_interrupted_result_cancels(cluster, tmp_path, monkeypatch):
    def interrupt(timeout):
        raise KeyboardInterrupt

    with held(cluster, "alice", "map", tmp_path) as started:
        job = count(cluster)
        started()
        with monkeypatch.context() as patch:
            patch.setattr(job._driver.decided, "wait", interrupt)
            with pytest.raises(KeyboardInterrupt):
                job.result()
        assert job.status == "cancelled"
        ready(cluster)


def raises(request):
    raise ValueError("not today")


def strange(request):
    return [None, 3, "text"]


def garbage(request):
    return b"garbage"


def forgetful(request):
    return None


def arrays(request):
    return encode(((np.zeros(2),), bytes(64)))


@contextlib.contextmanager
def answering(cluster, answer):
    """Let alice's workers answer to all who want to read from them."""
    clients = cluster.get_client()
    client = clients["alice"] if isinstance(clients, dict) else clients

    def swap(dask_worker, strange):
        side = dask_worker.plugins["dask-verify"]
        if side.domain == "alice":
            dask_worker.handlers["verify_open"] = strange or side.open

    client.run(lambda dask_worker: swap(dask_worker, answer))
    try:
        yield
    finally:
        client.run(lambda dask_worker: swap(dask_worker, None))


@pytest.mark.parametrize("answer", [raises, strange, garbage, forgetful, arrays])
def test_a_holder_answers_strangely(cluster, answer):
    """That is nobody else's failure: others are asked."""
    with answering(cluster, answer):
        right_and_nobody_blamed(count(cluster))


@pytest.mark.parametrize("answer", [garbage, arrays])
def test_what_waits_for_a_lost_partition_leaves_room_for_making_it_again(cluster, answer):
    with answering(cluster, answer):
        job = count(cluster, replicas=1, audit=0.5, window=1, stand_in=True)
        assert dict(job.result(timeout=90)) == RIGHT
        assert job.verdict is Verdict.SAMPLED
        standings = {name: d.standing for name, d in job.report.domains.items()}
        assert Standing.EXPOSED not in standings.values()
        assert Standing.SUSPECTED not in (standings["bob"], standings["carol"])
        job.cancel()
