"""Clusters that the tests of one session share: starting processes is what takes the time."""

from __future__ import annotations

import gc
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import cloudpickle
import pytest
from hypothesis import settings

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gated import Gated

    from dask_verify.engine.cluster import LocalDomainCluster

sys.path.append(str(Path(__file__).parent))  # for what tests share

# How long an example takes says nothing on a machine that does other work as well.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")

NAMES = ("alice", "bob", "carol")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Send functions of test modules by value: workers cannot import those modules."""
    for module in {item.module for item in items if isinstance(item, pytest.Function)}:
        cloudpickle.register_pickle_by_value(module)


def pytest_collection_finish() -> None:
    """Spare the garbage collector the thousands of tests themselves: many of them let it run."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def shared_cluster() -> Iterator[LocalDomainCluster]:
    """Three domains on one scheduler; leave its workers running and unsabotaged."""
    from dask_verify.engine.cluster import LocalDomainCluster

    with LocalDomainCluster(NAMES, dashboard_address=None) as cluster:
        yield cluster


@pytest.fixture(scope="session")
def separate_cluster() -> Iterator[LocalDomainCluster]:
    """Three domains on three schedulers; leave their workers running and unsabotaged."""
    from dask_verify.engine.cluster import LocalDomainCluster

    with LocalDomainCluster(NAMES, shared=False, dashboard_address=None) as cluster:
        yield cluster


@pytest.fixture(scope="session")
def gated(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gated]:
    """Two domains behind the gate of one scheduler, in processes of their own, over TLS."""
    from gated import Gated

    with Gated(tmp_path_factory.mktemp("gated"), ["alice", "bob"]).running() as there:
        yield there
