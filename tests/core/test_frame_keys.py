from __future__ import annotations

import json
import subprocess
import sys
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dask_verify.core.frame_keys import _hash_one, _mix
from dask_verify.core.keys import frame_buckets, normal_key
from dask_verify.errors import EncodingError, InputError

MANY = 2**62


def hashes(values, dtype=None) -> list[int]:
    frame = pd.DataFrame({"key": pd.Series(values, dtype=dtype)})
    return frame_buckets(frame, ["key"], MANY).tolist()


def agree(*columns) -> None:
    first = hashes(columns[0])
    for column in columns:
        assert hashes(column) == first, column.dtype


def test_numbers_agree_across_dtypes():
    numbers = [0, 1, -1, 7, 100]
    dtypes = ["int8", "int64", "float16", "float32", "float64", "Int32", "Int64", "Float64"]
    dtypes += ["object", "category", "complex128", "longdouble", "Sparse[int64]"]
    dtypes += ["int64[pyarrow]", "double[pyarrow]", "int8[pyarrow]"]
    agree(*(pd.Series(numbers, dtype=dtype) for dtype in dtypes))
    agree(
        pd.Series(numbers),
        pd.Series([Decimal(n) for n in numbers]),
        pd.Series([float(n) for n in numbers], dtype=object),
        pd.Series([Decimal(n) for n in numbers], dtype=pd.ArrowDtype(pa.decimal128(10, 2))),
        pd.Series([float(n) for n in numbers]).astype("category"),
    )


def test_bools_are_numbers():
    found = [True, False, True]
    agree(
        *(pd.Series(found, dtype=d) for d in ("bool", "boolean", "object", "category")),
        pd.Series(found, dtype="bool[pyarrow]"),
        pd.Series([1, 0, 1]),
    )


def test_the_ends_of_the_integers():
    ends = [-(2**63), 2**63 - 1, 2**64 - 1, 2**53 + 1]
    assert len(set(hashes(ends, object))) == len(ends)
    agree(pd.Series([2**63, 2**64 - 2048], dtype="uint64"), pd.Series([2.0**63, 2.0**64 - 2048]))
    agree(pd.Series([-(2**63), 2**62]), pd.Series([-(2.0**63), 2.0**62]))
    agree(
        pd.Series([2.0**64, -(2.0**70), 1e300]),
        pd.Series([2**64, -(2**70), int(1e300)], dtype=object),
    )
    agree(pd.Series([2**53 + 1, 1]), pd.Series([2**53 + 1, 1], dtype="Int64"))
    nullable = pd.Series([2**53 + 1, None], dtype="Int64")
    assert hashes(nullable)[0] == hashes([2**53 + 1])[0] != hashes([2**53])[0]
    assert len(set(hashes([10**400, 10**400 + 1], object))) == 2


def test_zeros_and_infinities():
    assert len(set(hashes([0.0, -0.0, 0]))) == 1
    agree(pd.Series([np.inf, -np.inf]), pd.Series([Decimal("inf"), float("-inf")]))
    assert len(set(hashes([np.inf, -np.inf, np.nan, 0.0]))) == 4


def test_missing_values_are_one_value():
    columns = [
        pd.Series([np.nan, None]),
        pd.Series([None, pd.NA, pd.NaT, Decimal("nan"), float("nan")], dtype=object),
        pd.Series([-np.nan, np.frombuffer(b"\1\0\0\0\0\0\xf8\x7f")[0]]),
        *(pd.Series([None, None], dtype=d) for d in ("Int64", "boolean", "Float64", "str")),
        *(pd.Series([None], dtype=d) for d in ("string", "category", "int64[pyarrow]")),
        pd.Series([None], dtype="datetime64[s]"),
        pd.Series([None], dtype="datetime64[ns, UTC]"),
        pd.Series([None], dtype="timedelta64[ms]"),
        pd.Series([None], dtype=pd.ArrowDtype(pa.timestamp("us"))),
        pd.Series([None, "a"], dtype="category")[:1],
        pd.Series([0, None], dtype="Int64")[1:] / 0,
    ]
    assert len({h for column in columns for h in hashes(column)}) == 1


def test_strings_agree_across_dtypes():
    words = ["a", "", "b", "a", "\N{GREEK SMALL LETTER PI}"]
    dtypes = ["object", "str", "string[python]", "string[pyarrow]", "category"]
    dtypes += [pd.ArrowDtype(pa.large_string()), pd.ArrowDtype(pa.string())]
    agree(*(pd.Series(words, dtype=dtype) for dtype in dtypes))
    with_number = pd.Series([*words, 1], dtype=object)
    assert hashes(with_number)[:-1] == hashes(words)
    assert hashes(with_number)[-1] == hashes([1])[0]


def test_unused_and_reordered_categories_change_nothing():
    plain = pd.Categorical(["b", "a"], categories=["a", "b"])
    other = pd.Categorical(["b", "a"], categories=["z", "b", "a"], ordered=True)
    agree(pd.Series(["b", "a"]), pd.Series(plain), pd.Series(other))


@pytest.mark.parametrize("zone", [None, "UTC", "America/New_York"])
def test_instants_agree_across_units(zone):
    texts = ["2026-01-01 00:00:00", "1969-12-31 23:59:59", "2026-07-01 12:00:00"]
    times = pd.Series(pd.to_datetime(texts)).dt.tz_localize(zone)
    arrow = [pd.ArrowDtype(pa.timestamp(unit, zone)) for unit in ("s", "us", "ns")]
    agree(
        *(times.dt.as_unit(unit) for unit in ("s", "ms", "us", "ns")),
        times.astype(object),
        times.astype("category"),
        pd.Series([time.to_pydatetime() for time in times], dtype=object),
        *(times.astype(dtype) for dtype in arrow),
    )
    if zone:
        agree(times, times.dt.tz_convert("Asia/Tokyo"))
        assert set(hashes(times)).isdisjoint(hashes(times.dt.tz_localize(None)))


def test_far_dates_in_coarse_units():
    far = pd.Series([datetime(9999, 12, 31), datetime(1, 1, 1)], dtype="datetime64[s]")
    agree(
        far,
        far.astype(object),
        pd.Series([datetime(9999, 12, 31), datetime(1, 1, 1)], dtype=object),
    )


def test_spans_agree_across_units():
    spans = pd.Series(pd.to_timedelta(["1 day", "-3 hours"]))
    agree(*(spans.dt.as_unit(unit) for unit in ("s", "us", "ns")), spans.astype(object))
    assert set(hashes(spans)).isdisjoint(hashes(spans.dt.as_unit("ns").astype("int64")))


def test_other_objects():
    values = [(1, "a"), date(2026, 1, 1), b"a", frozenset({1}), pd.Period("2026-01", "M")]
    assert len(set(hashes(values, object))) == len(values)
    bins = pd.cut(pd.Series([1, 5, 9]), [0, 4, 10])
    agree(bins, bins.astype(object))
    agree(
        pd.Series(pd.period_range("2026-01", periods=3, freq="M")),
        pd.Series(list(pd.period_range("2026-01", periods=3, freq="M")), dtype=object),
    )


mixed = st.one_of(
    st.integers(), st.floats(), st.text(max_size=3), st.booleans(), st.none(), st.datetimes(),
    st.tuples(st.integers(-2, 2), st.text(max_size=1)),
)  # fmt: skip


@given(st.lists(mixed, max_size=12), st.integers(0, 12), st.integers(1, 9))
def test_chunks_do_not_matter(values, cut, buckets):
    frame = pd.DataFrame({"key": pd.Series(values, dtype=object), "other": range(len(values))})
    whole = frame_buckets(frame, ["key", "other"], buckets)
    parts = [frame_buckets(part, ["key", "other"], buckets) for part in (frame[:cut], frame[cut:])]
    assert np.concatenate(parts).tolist() == whole.tolist()
    assert all(0 <= bucket < buckets for bucket in whole)
    shuffled = frame.sample(frac=1, random_state=0)
    assert frame_buckets(shuffled, ["key", "other"], buckets).tolist() == [
        whole[at] for at in shuffled["other"]
    ]


@given(st.lists(mixed, min_size=1, max_size=6))
def test_inferred_columns_agree_with_single_values(values):
    column = pd.Series(values).infer_objects()
    assert hashes(column) == hashes(column.astype(object))


@given(mixed, mixed)
def test_equal_keys_share_a_hash(a, b):
    if normal_key(a) == normal_key(b):
        assert _hash_one(a, "") == _hash_one(b, "")
    elif not (pd.isna([a]).any() and pd.isna([b]).any()):
        assert _hash_one(a, "") != _hash_one(b, "")


def slow_mix(state: int) -> int:
    """SplitMix64's finaliser as published."""
    mask = 2**64 - 1
    state = ((state ^ (state >> 30)) * 0xBF58476D1CE4E5B9) & mask
    state = ((state ^ (state >> 27)) * 0x94D049BB133111EB) & mask
    return state ^ (state >> 31)


@given(st.lists(st.integers(0, 2**64 - 1), max_size=5))
def test_mix_is_the_published_one(words):
    assert _mix(np.array(words, np.uint64)).tolist() == [slow_mix(word) for word in words]


def test_columns_levels_and_their_order():
    frame = pd.DataFrame({"a": [1, 2], "b": [2, 1]}, index=pd.Index([5, 6], name="i"))
    both = frame_buckets(frame, ["a", "b"], MANY)
    assert both[0] != both[1]
    assert frame_buckets(frame, ["b", "a"], MANY).tolist() == both[::-1].tolist()
    as_columns = frame.reset_index()
    for by in (["i"], ["i", "a"], ["a", "i"]):
        level, column = frame_buckets(frame, by, MANY), frame_buckets(as_columns, by, MANY)
        assert level.tolist() == column.tolist()
    deep = frame.set_index(["a", "b"])
    assert frame_buckets(deep, ["a", "b"], MANY).tolist() == both.tolist()


def test_empty_frames_have_no_buckets():
    for dtype in ("object", "int64", "str", "category", "datetime64[ns]", "Int64"):
        found = frame_buckets(pd.DataFrame({"a": pd.Series([], dtype=dtype)}), ["a"], 3)
        assert (found.dtype, len(found)) == (np.int64, 0)


def test_bad_names():
    frame = pd.DataFrame([[1, 2, 3]], columns=["a", "a", "b"], index=pd.Index([0], name="b"))
    for by in (["a"], ["b"]):
        with pytest.raises(InputError, match="ambiguous"):
            frame_buckets(frame, by, 2)
    with pytest.raises(InputError, match=r"no column or index level is named 'c'.*'a', 'a', 'b'"):
        frame_buckets(frame, ["c"], 2)
    for by in ("a", []):
        with pytest.raises(InputError, match="at least one key name"):
            frame_buckets(frame, by, 2)
    for buckets in (0, True, 2.0):
        with pytest.raises(InputError, match="positive int"):
            frame_buckets(frame, ["b"], buckets)


def test_refused_values_are_named():
    frame = pd.DataFrame({"a": ["x", (1, [2])]})
    with pytest.raises(EncodingError, match="use a tuple") as caught:
        frame_buckets(frame, ["a"], 2)
    assert caught.value.path == "['a'][1][1]"


def test_buckets_are_even():
    for column in (
        range(8000),
        [f"w{i}" for i in range(8000)],
        np.arange(8000) / 8,
        np.arange(0, 2**20, 2**7),
    ):
        counts = np.bincount(frame_buckets(pd.DataFrame({"a": column}), ["a"], 8), minlength=8)
        assert counts.min() > len(column) / 8 * 0.85


def test_frame_is_left_alone():
    frame = pd.DataFrame({"a": [1.0, np.nan], "b": pd.Series([1, None], dtype="Int64")})
    before = frame.copy(deep=True)
    frame_buckets(frame, ["a", "b"], 4)
    pd.testing.assert_frame_equal(frame, before)


def test_pinned():
    frame = pd.DataFrame(
        {
            "carrier": ["UA", "AA", None],
            "month": [1, 2, 3],
            "delay": [0.5, np.nan, -0.0],
            "day": pd.to_datetime(["2026-01-01", "2026-01-02", None]),
        }
    )
    vectors = json.loads((Path(__file__).parent / "vectors" / "frame_keys.json").read_text())
    found = {name: frame_buckets(frame, name.split(), 1000).tolist() for name in vectors}
    assert found == vectors


SCRIPT = """
import pandas as pd
from dask_verify.core.keys import frame_buckets
frame = pd.DataFrame({"a": ["x", "y", None], "b": [frozenset("xyz"), ("a", 1), "z"]})
print(frame_buckets(frame, ["a", "b"], 10**9).tolist())
"""


def test_buckets_do_not_depend_on_the_hash_seed():
    root = Path(__file__).parents[2]
    outputs = {
        subprocess.run(
            [sys.executable, "-c", SCRIPT],
            env={"PYTHONHASHSEED": seed, "PYTHONPATH": str(root)},
            check=True,
            capture_output=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(outputs) == 1
