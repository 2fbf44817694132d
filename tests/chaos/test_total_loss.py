"""What cannot be survived ends a job all the same, and whole schedulers may be lost."""

from __future__ import annotations

import pytest
from chaotic import (
    NAMES,
    Jobs,
    Telling,
    ends_without,
    inner,
    new_cluster,
    nothing_lands,
    told,
)

pytestmark = [pytest.mark.chaos, pytest.mark.cluster, pytest.mark.timeout(150)]


@pytest.mark.parametrize("cluster", ["shared", "separate"], indirect=True)
def test_everybody_goes_before_anything_has_landed(cluster, undisturbed, tmp_path):
    """Nothing has told how long a task takes, and nobody is left to do it."""
    with nothing_lands(cluster, tmp_path) as job:
        for name in NAMES:
            cluster.stop_domain(name)
        ends_without(job, "unanswered", undisturbed["replicas"])


def test_a_scheduler_dies(undisturbed, tmp_path):
    with new_cluster(shared=False) as cluster:
        with told(cluster, "alice", tmp_path, Telling, "map") as started:
            jobs = Jobs(cluster, undisturbed)
            started()
            inner(cluster, "alice").close()
        jobs.end_well()


def test_the_only_scheduler_dies(undisturbed, tmp_path):
    with new_cluster(shared=True) as cluster, nothing_lands(cluster, tmp_path) as job:
        inner(cluster, "alice").close()
        ends_without(job, "unanswered", undisturbed["replicas"])
