"""Two long-lived clusters that the tests disturb, and heal again."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import cloudpickle
import dask
import pytest

sys.path.append(str(Path(__file__).parent))

import chaotic

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dask_verify import LocalDomainCluster

cloudpickle.register_pickle_by_value(chaotic)


@pytest.fixture(scope="session", autouse=True)
def _quick() -> Iterator[None]:
    """Give no more time than needed, and keep every sealed partition on disk."""
    with dask.config.set({"verify.deadline-floor": chaotic.FLOOR, "verify.store-memory": 0}):
        yield


@pytest.fixture(scope="session")
def chaotic_shared(_quick: None) -> Iterator[LocalDomainCluster]:
    with chaotic.new_cluster(shared=True) as cluster:
        yield cluster


@pytest.fixture(scope="session")
def chaotic_separate(_quick: None) -> Iterator[LocalDomainCluster]:
    with chaotic.new_cluster(shared=False) as cluster:
        yield cluster


@pytest.fixture
def cluster(request: pytest.FixtureRequest) -> Iterator[LocalDomainCluster]:
    cluster: LocalDomainCluster = request.getfixturevalue(f"chaotic_{request.param}")
    yield cluster
    chaotic.heal(cluster)


@pytest.fixture(scope="session")
def undisturbed(chaotic_shared: LocalDomainCluster) -> chaotic.Undisturbed:
    """Roots of undisturbed jobs, by mode."""
    found = {}
    for mode in chaotic.MODES:
        job = chaotic.start(chaotic_shared, mode)
        assert dict(job.result(timeout=chaotic.BOUND)) == chaotic.RIGHT
        found[mode] = chaotic.roots(job)
        assert len(found[mode]) == 9
        job.cancel()
    return found
