"""The values of the published vectors, and strategies for the codecs, shared by several tests."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from fractions import Fraction
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pyarrow as pa
from hypothesis import strategies as st

HOUR = dt.timezone(dt.timedelta(hours=1))


def values() -> dict[str, Any]:
    """Return one value for nearly every supported type."""
    return {
        "none": None,
        "true": True,
        "one": 1,
        "one float": 1.0,
        "minus one": -1,
        "largest head": 2**64 - 1,
        "big": 2**64,
        "big negative": -(2**64) - 1,
        "zero float": 0.0,
        "negative zero": -0.0,
        "nan": float("nan"),
        "infinity": float("inf"),
        "text": "naïve",
        "lone surrogate": "\udcff",
        "bytes": b"\x00\xff",
        "bytearray": bytearray(b"ab"),
        "list": [1, "a", None],
        "tuple": (1, "a", None),
        "set": {1, "a", (2, 3)},
        "frozenset": frozenset(["x", "y"]),
        "dict": {"b": 1, "a": {"z": 1, 2: 3}},
        "decimal": Decimal("1.0"),
        "decimal longer": Decimal("1.00"),
        "decimal signalling": Decimal("-sNaN12"),
        "complex": complex(0.0, -0.0),
        "fraction": Fraction(-1, 3),
        "date": dt.date(2024, 2, 29),
        "time": dt.time(1, 2, 3, 4, fold=1),
        "datetime": dt.datetime(2024, 2, 29, 12),
        "datetime offset": dt.datetime(2024, 2, 29, 12, tzinfo=HOUR),
        "datetime zone": dt.datetime(2024, 10, 27, 2, fold=1, tzinfo=ZoneInfo("Europe/Paris")),
        "timedelta": dt.timedelta(-1, 2, 3),
        "uuid": UUID(int=7),
        "numpy int8": np.int8(-1),
        "numpy float32": np.float32(1.5),
        "numpy bool": np.bool_(True),
        "numpy str": np.str_("a\0"),
        "numpy datetime": np.datetime64("2024-02-29", "s"),
        "numpy array": np.arange(6, dtype="i2").reshape(2, 3),
        "numpy text": np.array(["a", "bc"]),
        "timestamp": pd.Timestamp("2024-02-29 12:00", tz="Europe/Paris"),
        "pandas timedelta": pd.Timedelta("1s"),
        "nat": pd.NaT,
        "na": pd.NA,
        "frame inside": [pd.DataFrame({"a": [1.5]})],
        "series inside": {"s": pd.Series(["x"], name=("n", 1))},
    }


def record_leaves() -> dict[str, list[Any]]:
    """Return a leaf of every kind of column."""
    return {
        "empty": [],
        "texts": ["a", "", "é"],
        "ints": [1, -1, 2**63 - 1],
        "floats": [0.5, float("nan"), -0.0],
        "bools": [True, False],
        "bytes": [b"", b"ab"],
        "pairs": [("a", (1, None)), ("b", (2, None))],
        "generic": [1, "a", [2.0], {"k": b"v"}],
        "large ints": [2**63, 1],
    }


def frames() -> dict[str, pd.DataFrame]:
    """Return frames that cover the dtypes."""
    index = pd.MultiIndex.from_tuples([("x", 1), ("y", 2)], names=["k", None])
    columns = pd.MultiIndex.from_tuples([("a", 1), ("a", 2)])
    return {
        "empty": pd.DataFrame(),
        "rows only": pd.DataFrame(index=pd.RangeIndex(2, 8, 3, name="i")),
        "numbers": pd.DataFrame({"i": [1, 2], "f": [0.5, np.nan], "b": [True, False]}),
        "texts": pd.DataFrame({"s": ["a", None], "o": pd.Series(["a", (1,)], dtype=object)}),
        "labels": pd.DataFrame(np.ones((2, 2), dtype="i1"), index=index, columns=columns),
        "times": pd.DataFrame(
            {
                "t": pd.to_datetime(["2024-02-29", None]),
                "z": pd.to_datetime(["2024-02-29", None]).tz_localize("Europe/Paris"),
                "d": pd.to_timedelta([1, 2], unit="s"),
            }
        ),
        "nullable": pd.DataFrame(
            {
                "c": pd.Categorical(["a", None], categories=["b", "a"], ordered=True),
                "n": pd.array([1, None], dtype="Int16"),
                "l": pd.array([[1], None], dtype=pd.ArrowDtype(pa.list_(pa.int64()))),
            },
            index=[5, 5],
        ),
    }


def tables() -> dict[str, pa.Table]:
    """Return tables that cover the layouts of columns."""
    return {
        "flat": pa.table(
            {"i": pa.array([1, None], pa.int32()), "b": [True, None], "n": [None] * 2}
        ),
        "texts": pa.table(
            {"s": ["a", None, "é"], "d": pa.array(["x", "y", "x"]).dictionary_encode()}
        ),
        "nested": pa.table(
            {
                "l": [[1, None], None, []],
                "s": [{"a": 1, "b": "x"}, None, {"a": None, "b": None}],
                "m": pa.array([[("k", 1)], None, []], pa.map_(pa.string(), pa.int64())),
                "f": pa.array([[1, 2], None, [3, 4]], pa.list_(pa.int8(), 2)),
            }
        ),
        "no columns": pa.table({"a": [1, 2]}).select([]),
    }


_TEXT = st.text(st.characters(exclude_categories=[]), max_size=5)
_ZONES = st.sampled_from([None, dt.UTC, HOUR, ZoneInfo("Europe/Paris")])
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**70), 2**70),
    st.integers(-2, 2),
    st.floats(),
    _TEXT,
    st.binary(max_size=5),
    st.decimals(),
    st.complex_numbers(allow_nan=False),
    st.fractions(),
    st.dates(),
    st.times(timezones=st.sampled_from([None, dt.UTC, HOUR])),
    st.datetimes(timezones=_ZONES),
    st.timedeltas(),
    st.uuids(),
    st.sampled_from([np.int64(1), np.int8(1), np.float64(1), np.uint64(1), np.bool_(True)]),
    st.sampled_from([pd.NaT, pd.NA, pd.Timestamp(1), pd.Timedelta(1), np.datetime64(1, "s")]),
)
KEYS = st.one_of(
    st.integers(-3, 3), _TEXT, st.booleans(), st.tuples(st.integers(0, 2)), st.binary(max_size=2)
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.lists(inner, max_size=4).map(tuple),
        st.dictionaries(KEYS, inner, max_size=4),
        st.sets(KEYS, max_size=4),
        st.frozensets(KEYS, max_size=4),
    ),
    max_leaves=12,
)
RECORDS = st.one_of(
    st.lists(VALUES, max_size=5),
    st.lists(_TEXT, max_size=5),
    st.lists(st.integers(), max_size=5),
    st.lists(st.integers(-(2**63), 2**63 - 1), max_size=5),
    st.lists(st.floats(), max_size=5),
    st.lists(st.booleans(), max_size=5),
    st.lists(st.binary(max_size=3), max_size=5),
    st.lists(st.none(), max_size=5),
    st.lists(st.tuples(_TEXT, st.integers()), max_size=5),
    st.lists(st.tuples(_TEXT, st.tuples(st.floats(), VALUES)), max_size=5),
)


def same(one: Any, other: Any) -> bool:
    """Compare exactly: types, signs of zero, NaN equal to NaN; slow and obvious."""
    if type(one) is not type(other):
        return False
    if isinstance(one, (list, tuple)):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, dict):
        pairs = [(key, one[key]) for key in one]
        return len(one) == len(other) and all(
            any(same(key, k) and same(item, v) for k, v in other.items()) for key, item in pairs
        )
    if isinstance(one, (set, frozenset)):
        return len(one) == len(other) and all(any(same(x, y) for y in other) for x in one)
    if isinstance(one, (dt.datetime, dt.time)):
        return repr(one) == repr(other) and one.fold == other.fold
    if isinstance(one, np.ndarray):
        return one.dtype == other.dtype and same(one.tolist(), other.tolist())
    if isinstance(one, pd.DataFrame):
        pd.testing.assert_frame_equal(one, other)
        return True
    if isinstance(one, pd.Series):
        pd.testing.assert_series_equal(one, other)
        return True
    return repr(one) == repr(other)
