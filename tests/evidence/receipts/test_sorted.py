"""The order of a saved dataframe: the coordinator says it, the check looks."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from made import closed, job

from dask_verify.core.canonical import encode_frame
from dask_verify.errors import DataError
from dask_verify.evidence.data import frame_shape, roots_of, row_order, write_parquet
from dask_verify.evidence.receipts.checking import compared_data
from dask_verify.evidence.receipts.values import Receipt

FRAME = pd.DataFrame({"k": [2, 1, 3], "n": [1, 3, 2]})


def saved(path: Path, claimed: str, order: list[int] | None) -> Receipt:
    """Write the frame in an order, and return a receipt that says by what it is sorted."""
    leaves = [[encode_frame(FRAME)]]
    shape = frame_shape(leaves, FRAME, order)
    with path.open("wb") as file:
        write_parquet(FRAME if order is None else FRAME.iloc[order], file)
    receipt = closed(job(replicas=2))
    roots = tuple(roots_of(FRAME, frame_shape(leaves, FRAME)))
    stages = (receipt.stages[0], replace(receipt.stages[1], roots=roots))
    return replace(receipt, result=shape, stages=stages, sorted_by=(claimed,))


def test_sorted_rows_are_what_they_are_said_to_be(tmp_path: Path) -> None:
    order = row_order(FRAME, ["k"]).tolist()
    value = compared_data(tmp_path / "a", saved(tmp_path / "a", "k", order))
    assert value.k.tolist() == [1, 2, 3]


@pytest.mark.parametrize(("claimed", "order"), [("k", None), ("n", [1, 0, 2]), ("k", [2, 0, 1])])
def test_rows_in_another_order_are_not_sorted(
    tmp_path: Path, claimed: str, order: list[int] | None
) -> None:
    receipt = saved(tmp_path / "a", claimed, order)
    with pytest.raises(DataError, match=f"rows that are sorted by {claimed}, got others"):
        compared_data(tmp_path / "a", receipt)
