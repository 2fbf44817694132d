"""While jobs run, workers are killed, stopped, starved and cut off: the roots stay the same."""

from __future__ import annotations

import pytest
from chaotic import (
    MEMORY,
    FullDisk,
    Glutton,
    Jobs,
    Telling,
    cut_opening,
    drop_client,
    drop_worker,
    pids,
    told,
)

from dask_verify.testing import Crash

pytestmark = [pytest.mark.chaos, pytest.mark.cluster, pytest.mark.timeout(150)]


def places(*where: tuple[str, str]) -> pytest.MarkDecorator:
    """Try something on some kinds of pool, in some stages."""
    return pytest.mark.parametrize(("cluster", "stage"), where, indirect=["cluster"])


EVERYWHERE = places(*((p, s) for p in ("shared", "separate") for s in ("map", "reduce")))
# For what takes long: each kind of pool and each stage once.
ACROSS = places(("shared", "reduce"), ("separate", "map"))
STRAIGHT = places(("shared", "map"), ("separate", "reduce"))


@EVERYWHERE
def test_a_worker_is_killed(cluster, undisturbed, stage, tmp_path):
    with told(cluster, "alice", tmp_path, Telling, stage) as started:
        jobs = Jobs(cluster, undisturbed)
        started()
        cluster.kill_worker("alice")
    jobs.end_well()


@ACROSS
def test_a_worker_is_killed_again_and_again(cluster, undisturbed, stage):
    cluster.sabotage("alice", Crash(stage=stage))
    Jobs(cluster, undisturbed).end_well()


@EVERYWHERE
def test_a_domain_goes_for_good(cluster, undisturbed, stage, tmp_path):
    with told(cluster, "alice", tmp_path, Telling, stage) as started:
        jobs = Jobs(cluster, undisturbed)
        started()
        cluster.stop_domain("alice")
    jobs.end_well()


@EVERYWHERE
def test_a_domain_goes_and_comes_back(cluster, undisturbed, stage, tmp_path):
    with told(cluster, "alice", tmp_path, Telling, stage) as started:
        jobs = Jobs(cluster, undisturbed)
        started()
        cluster.stop_domain("alice")
    cluster.add_worker("alice")
    jobs.end_well()


@EVERYWHERE
def test_a_worker_stops_and_goes_on(cluster, undisturbed, stage, tmp_path):
    with told(cluster, "alice", tmp_path, Telling, stage) as started:
        jobs = Jobs(cluster, undisturbed)
        started()
        cluster.pause_worker("alice")
    cluster.resume_worker("alice")
    jobs.end_well()


@EVERYWHERE
def test_a_worker_stops_for_good(cluster, undisturbed, stage, tmp_path):
    with told(cluster, "alice", tmp_path, Telling, stage) as started:
        jobs = Jobs(cluster, undisturbed)
        started()
        cluster.pause_worker("alice")
    jobs.end_well()


@STRAIGHT
def test_a_worker_has_too_little_memory(cluster, undisturbed, stage, tmp_path):
    before = pids(cluster, "alice")
    with told(cluster, "alice", tmp_path, Glutton, stage, MEMORY) as started:
        jobs = Jobs(cluster, undisturbed)
        started(1)  # by the time the other job is there, the worker may be gone
        jobs.end_well()
    assert not before & pids(cluster, "alice")


@EVERYWHERE
def test_a_disk_is_full(cluster, undisturbed, stage, tmp_path):
    with told(cluster, "alice", tmp_path, FullDisk, stage) as started:
        jobs = Jobs(cluster, undisturbed)
        started()
        assert "disk" in "".join(jobs.end_well())


@ACROSS
def test_a_scheduler_drops_a_worker(cluster, undisturbed, stage, tmp_path):
    with told(cluster, "alice", tmp_path, Telling, stage) as started:
        jobs = Jobs(cluster, undisturbed)
        started()
        drop_worker(cluster, "alice")
    try:
        jobs.end_well()
    finally:
        cluster.stop_domain("alice")  # Dask closes a worker that was dropped, with its nanny


@EVERYWHERE
def test_a_scheduler_drops_the_client(cluster, undisturbed, stage, tmp_path):
    """Nobody is to blame for that, and nobody has to be asked instead."""
    with told(cluster, "alice", tmp_path, Telling, stage) as started:
        jobs = Jobs(cluster, undisturbed)
        started()
        drop_client(cluster, "alice")
    assert jobs.end_well() == ["", ""]


@EVERYWHERE
def test_connections_break_in_the_middle_of_openings(cluster, undisturbed, stage, tmp_path):
    with told(cluster, "alice", tmp_path, Telling, stage) as started:
        jobs = Jobs(cluster, undisturbed)
        started()
        cut_opening(cluster, "alice", True)
    try:
        jobs.end_well()
    finally:
        cut_opening(cluster, "alice", False)
