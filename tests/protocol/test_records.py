"""Records as text: the first that differs, of leaves that a liar may have made."""

from __future__ import annotations

import tracemalloc
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dask_verify.core.canonical import encode_frame, encode_records
from dask_verify.protocol import records
from dask_verify.protocol.messages import Sample
from dask_verify.protocol.records import READABLE, TEXT, Records, compare_leaves


@given(st.lists(st.integers(0, 2), max_size=4), st.lists(st.integers(0, 2), max_size=4))
def test_the_first_differing_record_is_shown(one: list[int], other: list[int]) -> None:
    sample = compare_leaves(encode_records(one), encode_records(other))
    if one == other:
        return
    padded = [[*map(repr, x), *["(no record)"] * (4 - len(x))] for x in (one, other)]
    at = next(i for i in range(4) if padded[0][i] != padded[1][i])
    assert sample == Sample(at, padded[0][at], padded[1][at])


def test_frames_are_compared_row_by_row() -> None:
    one = pd.DataFrame({"x": [1, 2], "y": ["a", "b"]})
    other = one.assign(y=["a", "c"])
    sample = compare_leaves(encode_frame(one), encode_frame(other))
    assert sample == Sample(1, "1: x=2, y='b'", "1: x=2, y='c'")


def test_frames_that_look_alike_are_told_apart_by_their_dtypes() -> None:
    one = pd.DataFrame({"x": np.array([1], dtype="int32")})
    sample = compare_leaves(encode_frame(one), encode_frame(one.astype("int8")))
    assert sample is not None
    assert "int32" in sample.one
    assert "int8" in sample.other


@pytest.mark.parametrize("leaf", [b"", b"garbage", b"\xff" * 40])
def test_leaves_that_cannot_be_read_have_no_sample(leaf: bytes) -> None:
    assert compare_leaves(encode_records(["a"]), leaf) is None


def test_a_leaf_of_more_rows_than_anybody_can_read_has_no_sample() -> None:
    endless = encode_frame(pd.DataFrame(index=pd.RangeIndex(2**40)))
    assert compare_leaves(endless, encode_frame(pd.DataFrame({"x": [1]}))) is None


# --- little bytes that would be much text ------------------------------------------------------


def repeated(what: str) -> pd.DataFrame:
    """A frame of 20,000 rows, each of which would be 40,000 characters if it were written out."""
    rows, long = 20_000, "x" * 40_000
    if what == "label":
        return pd.DataFrame({long: np.zeros(rows, "int8")})
    codes = np.zeros(rows, "int8")
    codes[-1] = 1
    return pd.DataFrame({"a": pd.Categorical.from_codes(codes, [long, "y"])})


@pytest.mark.parametrize("what", ["label", "category"])
def test_what_is_in_every_row_is_not_written_out_for_each(what: str) -> None:
    bomb = encode_frame(repeated(what))
    assert len(bomb) < 200_000
    other = encode_frame(repeated(what).iloc[:-1])
    tracemalloc.start()
    compare_leaves(encode_frame(pd.DataFrame({"a": [1]})), bomb)
    compare_leaves(other, bomb)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 32 << 20


def test_a_long_label_is_cut_off_where_it_is_shown() -> None:
    sample = compare_leaves(encode_frame(pd.DataFrame({"a": [1]})), encode_frame(repeated("label")))
    assert sample is not None
    assert (sample.one, sample.other[:7], len(sample.other)) == ("0: a=1", "0: xxxx", TEXT)


def test_texts_without_end_are_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(records, "_COMPARED", 1000)
    one = encode_records(["a"] * 500)
    assert compare_leaves(one, encode_records(["a"] * 501)) is None
    assert compare_leaves(one, encode_records(["b"])) == Sample(0, "'a'", "'b'")


def test_records_are_made_up_to_the_first_difference_only(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Any] = []
    frames = records._keys

    def spied(rows: pd.DataFrame) -> Any:
        for key in frames(rows):
            seen.append(key)
            yield key

    monkeypatch.setattr(records, "_keys", spied)
    one = pd.DataFrame({"x": range(5000)})
    assert compare_leaves(encode_frame(one), encode_frame(one + 1)) is not None
    assert len(seen) == 4  # one pair to compare, and the same to show


def test_a_leaf_that_is_too_large_is_not_decoded() -> None:
    with pytest.raises(records.UnreadableError, match="too many"):
        Records.of(bytes(READABLE + 1))
