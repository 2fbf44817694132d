"""While a job runs, workers are killed, stopped, starved and cut off: the roots stay the same."""

from __future__ import annotations

import pytest
from chaotic import (
    MEMORY,
    MODES,
    FullDisk,
    Glutton,
    Telling,
    cut_opening,
    drop_client,
    drop_worker,
    ends_well,
    pids,
    start,
    told,
)

from dask_verify.testing import Crash

pytestmark = [
    pytest.mark.chaos,
    pytest.mark.cluster,
    pytest.mark.timeout(90),
    pytest.mark.parametrize("mode", MODES),
    pytest.mark.parametrize("stage", ["map", "reduce"]),
]


def test_a_worker_is_killed(cluster, undisturbed, mode, stage, tmp_path):
    with told(cluster, "alice", tmp_path, Telling, stage) as started:
        job = start(cluster, mode)
        started()
        cluster.kill_worker("alice")
    ends_well(job, undisturbed[mode])


def test_a_worker_is_killed_again_and_again(cluster, undisturbed, mode, stage):
    cluster.sabotage("alice", Crash(stage=stage))
    ends_well(start(cluster, mode), undisturbed[mode])


def test_a_domain_goes_for_good(cluster, undisturbed, mode, stage, tmp_path):
    with told(cluster, "alice", tmp_path, Telling, stage) as started:
        job = start(cluster, mode)
        started()
        cluster.stop_domain("alice")
    ends_well(job, undisturbed[mode])


def test_a_domain_goes_and_comes_back(cluster, undisturbed, mode, stage, tmp_path):
    with told(cluster, "alice", tmp_path, Telling, stage) as started:
        job = start(cluster, mode)
        started()
        cluster.stop_domain("alice")
    cluster.add_worker("alice")
    ends_well(job, undisturbed[mode])


def test_a_worker_stops_and_goes_on(cluster, undisturbed, mode, stage, tmp_path):
    with told(cluster, "alice", tmp_path, Telling, stage) as started:
        job = start(cluster, mode)
        started()
        cluster.pause_worker("alice")
    cluster.resume_worker("alice")
    ends_well(job, undisturbed[mode])


def test_a_worker_stops_for_good(cluster, undisturbed, mode, stage, tmp_path):
    with told(cluster, "alice", tmp_path, Telling, stage) as started:
        job = start(cluster, mode)
        started()
        cluster.pause_worker("alice")
    ends_well(job, undisturbed[mode])


def test_a_worker_has_too_little_memory(cluster, undisturbed, mode, stage, tmp_path):
    before = pids(cluster, "alice")
    with told(cluster, "alice", tmp_path, Glutton, stage, MEMORY) as started:
        job = start(cluster, mode)
        started()
        ends_well(job, undisturbed[mode])
    assert not before & pids(cluster, "alice")


def test_a_disk_is_full(cluster, undisturbed, mode, stage, tmp_path):
    with told(cluster, "alice", tmp_path, FullDisk, stage) as started:
        job = start(cluster, mode)
        started()
        ends_well(job, undisturbed[mode])
    assert "disk" in job.report.domains["alice"].reason


def test_a_scheduler_drops_a_worker(cluster, undisturbed, mode, stage, tmp_path):
    with told(cluster, "alice", tmp_path, Telling, stage) as started:
        job = start(cluster, mode)
        started()
        drop_worker(cluster, "alice")
    try:
        ends_well(job, undisturbed[mode])
    finally:
        cluster.stop_domain("alice")  # Dask closes a worker that was dropped, with its nanny


def test_a_scheduler_drops_the_client(cluster, undisturbed, mode, stage, tmp_path):
    with told(cluster, "alice", tmp_path, Telling, stage) as started:
        job = start(cluster, mode)
        started()
        drop_client(cluster, "alice")
    ends_well(job, undisturbed[mode])


def test_a_connection_breaks_in_the_middle_of_an_opening(
    cluster, undisturbed, mode, stage, tmp_path
):
    with told(cluster, "alice", tmp_path, Telling, stage) as started:
        job = start(cluster, mode)
        started()
        cut_opening(cluster, "alice", True)
    try:
        ends_well(job, undisturbed[mode])
    finally:
        cut_opening(cluster, "alice", False)
