"""Saved results: their names, what lies beside them, and the order of sorted rows."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dask_verify.engine.saving import check_name, check_place, discard, exhibit_name, remove_old
from dask_verify.errors import DataError, InputError
from dask_verify.evidence.data import row_order
from dask_verify.evidence.loading import RECEIPT, presented


@pytest.mark.parametrize(
    ("name", "kind"),
    [("a.parquet", "bag"), ("a.csv", "bag"), ("a.jsonl", "frame"), ("s3://b/A.CSV", "frame")],
)
def test_a_name_promises_no_other_format(name: str, kind: str) -> None:
    with pytest.raises(InputError, match="the name of a file"):
        check_name(name, kind)


@pytest.mark.parametrize("name", ["a", "a.pq", "a.parquet", "a.b/c", "a.data"])
def test_other_names_are_fine(name: str) -> None:
    check_name(name, "frame")


def test_what_is_no_file_is_neither_written_nor_removed(tmp_path: Path) -> None:
    """What does not read back as it was written is removed: as root, /dev/null would be."""
    (tmp_path / "null").symlink_to("/dev/null")
    for place in (str(tmp_path), "/dev/null", "file:///dev/null", str(tmp_path / "null")):
        with pytest.raises(InputError, match="expected a file, or"):
            check_place(place)
    for place in (str(tmp_path / "counts.jsonl"), "memory://dev/null", "s3://bucket/key", "a"):
        check_place(place)


def test_a_folder_that_is_not_there_is_told_of_before_the_answer_is_read(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="make the folder"):
        check_place(str(tmp_path / "none" / "counts.jsonl"))


def test_what_was_saved_before_goes_with_all_its_evidence(tmp_path: Path) -> None:
    place = str(tmp_path / "counts.jsonl")
    others = [tmp_path / "counts.jsonl", tmp_path / "other.jsonl.exhibit-0.json"]
    old = [Path(place + RECEIPT), *(Path(exhibit_name(place, n)) for n in range(3))]
    for path in (*old, *others):
        path.write_text("old")
    remove_old(place)
    assert not any(path.exists() for path in old)
    assert all(path.exists() for path in others)
    assert discard(place)
    assert not discard(place)


@given(st.lists(st.tuples(st.integers(0, 3), st.sampled_from("ab")), max_size=12))
def test_rows_are_ordered_as_pandas_sorts_them(rows: list[tuple[int, str]]) -> None:
    frame = pd.DataFrame(rows, columns=["n", "k"])
    for by in (["n"], ["k", "n"]):
        expected = frame.sort_values(by, kind="stable")
        pd.testing.assert_frame_equal(frame.iloc[row_order(frame, by)], expected)
        indexed = frame.set_index("k")
        if by == ["k", "n"]:
            again = indexed.iloc[row_order(indexed, by)]
            pd.testing.assert_frame_equal(again, indexed.sort_values(by, kind="stable"))


def test_a_key_that_is_not_there_sorts_nothing() -> None:
    with pytest.raises(DataError, match="keys"):
        row_order(pd.DataFrame({"a": [1]}), ["b"])


def test_an_index_that_only_counts_is_counted_anew() -> None:
    frame = pd.DataFrame({"k": [1, 2]}, index=[5, 3])
    assert presented(frame, ("k",)).index.equals(pd.RangeIndex(2))
    named = frame.rename_axis("i")
    assert presented(named, ("k",)) is named
    keyed = pd.DataFrame({"n": np.arange(2)}, index=pd.Index([1, 2], name="k"))
    assert presented(keyed, ("k",)) is keyed
