"""Many small leaves at once have the bytes that each has by itself."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dask_verify.core.canonical import encode_frame, encode_frames


@pytest.mark.parametrize("rows", [1, 2, 3, 64, 5_000])
@pytest.mark.parametrize(
    "index",
    [
        range(200), range(200, 0, -1), range(7, 1407, 7), range(2**62, 2**62 + 200),
        range(-(2**63), -(2**63) + 200), "scattered", "text",
    ],
)  # fmt: skip
@pytest.mark.parametrize("more", [{}, {"t": "text"}, {"n": pd.NA}])
def test_equal_runs_are_encoded_as_each_by_itself(rows, index, more):
    dice = np.random.default_rng(3)
    df = pd.DataFrame({"a": dice.random(200), "b": dice.integers(0, 9, 200, dtype="i2")})
    df = df.assign(**more)
    if index == "scattered":
        df.index = dice.permutation(200)
    elif index == "text":
        df.index = [f"row {i}" for i in range(200)]
    else:
        df.index = pd.RangeIndex(index.start, index.stop, index.step, name="i")
    bounds = [*range(0, 200, rows), 200]
    each = [encode_frame(df.iloc[a:b]) for a, b in pairwise(bounds)]
    assert encode_frames(df, bounds) == each
    assert encode_frames(df, [3, 4, 5, 6, 9, 12]) == [
        encode_frame(df.iloc[a:b]) for a, b in pairwise([3, 4, 5, 6, 9, 12])
    ]
    assert encode_frames(df, [0, 0, 0, 1, 2, 2]) == [
        encode_frame(df.iloc[a:b]) for a, b in pairwise([0, 0, 0, 1, 2, 2])
    ]


@given(
    st.lists(st.integers(-(2**63), 2**63 - 1), max_size=40),
    st.integers(-(2**63), 2**63 - 1),
    st.integers(-5, 5).filter(bool),
    st.integers(1, 7),
)
def test_equal_runs_of_any_numbers(values, start, step, rows):
    stop = min(max(start + step * len(values), -(2**63)), 2**63 - 1)
    index = pd.RangeIndex(start, stop, step)
    values = values[: len(index)]
    df = pd.DataFrame({"a": np.array(values, "i8")}, index=index[: len(values)])
    bounds = sorted({*range(0, len(df), rows), len(df)})
    assert encode_frames(df, bounds) == [encode_frame(df.iloc[a:b]) for a, b in pairwise(bounds)]
