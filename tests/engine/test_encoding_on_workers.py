"""Canonical bytes are the same after a value has been through Dask, and wherever they are made."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pandas as pd
import pytest

from dask_verify.core.canonical import encode_frame, encode_records

if TYPE_CHECKING:
    from dask_verify.engine.cluster import LocalDomainCluster

pytestmark = pytest.mark.cluster

RECORDS: list[Any] = [
    ("word", 1),
    {"b": {3, 1, 2}, "a": [None, -0.0, float("nan")]},
    frozenset({"x", "y", "zed", "w"}),
    2**70,
]


def frame() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "text": ["a", None, "c"],
            "kind": pd.Categorical(["u", "v", "u"], categories=["v", "u", "unused"]),
            "whole": pd.array([1, None, 3], dtype="Int64"),
            "when": pd.date_range("2026-01-01", periods=3, tz="Europe/Berlin"),
            "any": [1, "one", (1.0, None)],
        },
        index=pd.Index([5, 3, 9], name="id"),
    )


@pytest.mark.parametrize("name", ["alice", "bob", "carol"])
def test_bytes_survive_dask_and_another_hash_seed(
    separate_cluster: LocalDomainCluster, name: str
) -> None:
    client = separate_cluster.get_client()[name]
    there = client.submit(encode_records, RECORDS, pure=False), client.submit(encode_frame, frame())
    back = client.submit(lambda value: value, (RECORDS, frame()), pure=False).result()
    here = encode_records(RECORDS), encode_frame(frame())
    assert tuple(future.result() for future in there) == here
    assert (encode_records(back[0]), encode_frame(back[1])) == here
