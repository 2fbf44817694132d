from __future__ import annotations

from itertools import islice
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dask_verify.core.canonical import decode_frame, decode_frames, encode_frame, encode_frames
from dask_verify.errors import DecodingError

VALUES: dict[str, st.SearchStrategy[Any]] = {
    "int64": st.integers(-3, 3),
    "float64": st.floats(width=64),
    "bool": st.booleans(),
    "datetime64[us]": st.datetimes(pd.Timestamp(1990, 1, 1), pd.Timestamp(2030, 1, 1)),
    "str": st.one_of(st.none(), st.text(max_size=5)),
    "string[pyarrow]": st.one_of(st.none(), st.text(max_size=5)),
    "category": st.sampled_from(["a", "b", None]),
    "datetime64[us, UTC]": st.just(pd.Timestamp(2020, 1, 1, tz="UTC")),
    "object": st.one_of(st.none(), st.integers(), st.lists(st.integers(), max_size=2)),
    "Int64": st.one_of(st.none(), st.integers(-3, 3)),
}


@st.composite
def cut_frames(draw: st.DrawFn) -> tuple[pd.DataFrame, list[int]]:
    dtypes = draw(st.lists(st.sampled_from(sorted(VALUES)), max_size=4))
    rows = draw(st.integers(0, 12))
    columns = {}
    for place, dtype in enumerate(dtypes):
        values = draw(st.lists(VALUES[dtype], min_size=rows, max_size=rows))
        columns[f"c{place}"] = pd.Series(values, dtype=dtype)
    frame = pd.DataFrame(columns, index=range(rows))
    kind = draw(st.sampled_from(["range", "ints", "texts"]))
    if kind == "ints":
        frame.index = pd.Index(draw(st.lists(st.integers(-5, 5), min_size=rows, max_size=rows)),
                               dtype="int64", name="n")  # fmt: skip
    if kind == "texts":
        frame.index = pd.Index([f"r{i}" for i in range(rows)], dtype="str")
    cuts = sorted(draw(st.lists(st.integers(0, rows), max_size=5)))
    return frame, [0, *cuts, rows]


def rows_of(frames: list[pd.DataFrame]) -> tuple[int, list[bytes]]:
    """How many rows there are, and the first of them as bytes: labels, dtypes, index included.

    A changed leaf without columns may rightly have 2**60 rows: they take no bytes.
    """
    rows = (f.iloc[i : i + 1] for f in frames for i in range(len(f)))
    return sum(map(len, frames)), [encode_frame(row) for row in islice(rows, 50)]


@given(cut_frames())
@settings(max_examples=200, deadline=None)
def test_spliced_leaves_have_the_rows_of_leaves_decoded_one_by_one(
    case: tuple[pd.DataFrame, list[int]],
) -> None:
    leaves = encode_frames(*case)
    assert rows_of(decode_frames(leaves)) == rows_of([decode_frame(leaf) for leaf in leaves])


@given(cut_frames(), st.data())
@settings(max_examples=200, deadline=None)
def test_a_changed_leaf_is_refused_or_read_as_it_is_read_alone(
    case: tuple[pd.DataFrame, list[int]], data: st.DataObject
) -> None:
    leaves = encode_frames(*case)
    which = data.draw(st.integers(0, len(leaves) - 1))
    at = data.draw(st.integers(0, len(leaves[which]) - 1))
    changed = bytearray(leaves[which])
    changed[at] ^= 1 << data.draw(st.integers(0, 7))
    leaves[which] = bytes(changed)
    try:
        alone = rows_of([decode_frame(leaf) for leaf in leaves])
    except DecodingError:
        with pytest.raises(DecodingError):
            decode_frames(leaves)
    else:
        assert rows_of(decode_frames(leaves)) == alone


def test_leaves_with_equal_headers_become_one_frame_and_others_stay_apart() -> None:
    one = encode_frames(pd.DataFrame({"a": ["x", None, "y"]}, dtype="str"), [0, 1, 2, 3])
    other = encode_frame(pd.DataFrame({"a": [1]}))
    frames = decode_frames([*one, other, one[0]])
    assert [len(frame) for frame in frames] == [3, 1, 1]


def test_categories_with_other_values_stay_apart() -> None:
    ab = encode_frame(pd.DataFrame({"a": pd.Categorical(["a"], ["a", "b"])}))
    ba = encode_frame(pd.DataFrame({"a": pd.Categorical(["a"], ["b", "a"])}))
    assert [f["a"].tolist() for f in decode_frames([ab, ba, ab])] == [["a"], ["a"], ["a"]]


@pytest.mark.parametrize("frame", [pd.DataFrame(index=range(3)), pd.DataFrame({"a": [1]})])
def test_a_leaf_that_claims_more_rows_than_it_has_bytes_for_costs_no_memory(
    frame: pd.DataFrame,
) -> None:
    leaf = bytearray(encode_frame(frame))
    leaf[1:9] = (1 << 60).to_bytes(8, "little")
    try:
        rows = [len(f) for f in decode_frames([bytes(leaf)] * 2)]
    except DecodingError:
        return
    assert rows == [1 << 60] * 2  # rows without columns take no memory


def test_nothing_gives_no_frame() -> None:
    assert decode_frames([]) == []
    empty = encode_frame(pd.DataFrame({"a": np.array([], "f8")}))
    assert [len(f) for f in decode_frames([empty, empty])] == [0]
