"""What travels through the coordinator, and what does not."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import dask.bag
import dask.dataframe
import pandas as pd
import pytest

from dask_verify import verified_map_reduce

if TYPE_CHECKING:
    from dask_verify.engine.cluster import LocalDomainCluster

pytestmark = pytest.mark.cluster


def count_words(cluster: LocalDomainCluster) -> Any:
    lines = [f"to be or not to be {i % 7}" for i in range(600)]
    job = verified_map_reduce(
        dask.bag.from_sequence(lines, npartitions=9),
        lambda line: [(word, 1) for word in line.split()],
        lambda word, ones: sum(ones),
        npartitions=3,
        client=cluster.get_client(),
    )
    assert dict(job.result(timeout=60))["be"] == 1200
    return job.report.bytes_moved


def test_workers_of_one_scheduler_fetch_sections_from_each_other(
    shared_cluster: LocalDomainCluster,
) -> None:
    assert "relayed" not in count_words(shared_cluster)


def test_sections_are_relayed_between_clusters(separate_cluster: LocalDomainCluster) -> None:
    assert count_words(separate_cluster)["relayed"] > 0


def test_what_partitions_share_upstream_is_computed_in_each_domain(
    shared_cluster: LocalDomainCluster,
) -> None:
    frame = pd.DataFrame({"key": [i % 5 for i in range(60)], "n": range(60)})
    names = pd.DataFrame({"key": range(5), "name": list("abcde")})
    left = dask.dataframe.from_pandas(frame, npartitions=4)
    right = dask.dataframe.from_pandas(names, npartitions=3)
    job = verified_map_reduce(
        left.merge(right, on="key", shuffle_method="tasks", broadcast=False),
        lambda part: part[["name", "n"]],
        lambda rows: rows.groupby("name", as_index=False).n.sum(),
        by="name",
        sort=True,
        client=shared_cluster.get_client(),
    )
    result = job.result(timeout=60)
    whole = frame.merge(names, on="key").groupby("name", as_index=False).n.sum()
    # Dask itself reads text as string[pyarrow].
    pd.testing.assert_frame_equal(result, whole.astype({"name": result.name.dtype}))
    assert job._driver._launcher._source.shared
