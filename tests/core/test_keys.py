from __future__ import annotations

import json
import subprocess
import sys
from collections import namedtuple
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from enum import Enum, IntEnum
from fractions import Fraction
from pathlib import Path
from uuid import UUID
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dask_verify.core import keys
from dask_verify.core.keys import KeyBuckets, group_records, key_bucket, normal_key
from dask_verify.core.normal_keys import key_bytes
from dask_verify.errors import EncodingError, InputError

VECTORS = json.loads((Path(__file__).parent / "vectors" / "keys.json").read_text())
Point = namedtuple("Point", "x y")
Level = IntEnum("Level", "LOW HIGH")
Colour = Enum("Colour", "RED")

offsets = st.integers(-840, 840).map(lambda minutes: timezone(timedelta(minutes=minutes)))
python_numbers = st.one_of(
    st.integers(),
    st.integers(-3, 3),
    st.booleans(),
    st.floats(allow_nan=False),
    st.floats(-3, 3, width=16),
    st.decimals(allow_nan=False).filter(lambda d: d.is_infinite() or abs(d.adjusted()) < 400),
    st.fractions(),
    st.integers(-3, 3).map(Fraction),
    st.complex_numbers(allow_nan=False),
    st.integers(-3, 3).map(complex),
)
numbers = st.one_of(
    python_numbers,
    st.floats(allow_nan=False).map(np.float64),
    st.integers(-(2**63), 2**63 - 1).map(np.int64),
    st.integers(0, 255).map(np.uint8),
    st.booleans().map(np.bool_),
)
scalars = st.one_of(
    python_numbers,
    st.text(max_size=3),
    st.binary(max_size=3),
    st.none(),
    st.datetimes(),
    st.datetimes(datetime(2000, 1, 1), datetime(2000, 1, 2), timezones=offsets),
    st.dates(),
    st.times(),
    st.times(timezones=offsets),
    st.timedeltas(),
    st.uuids(),
)
plain_keys = st.recursive(
    scalars,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3).map(tuple), st.frozensets(inner, max_size=3)
    ),
    max_leaves=4,
)

NANS = [float("nan"), -float("nan"), np.nan, np.float32("nan"), np.float64("nan")]
NANS += [Decimal("NaN"), Decimal("sNaN"), Decimal("-NaN12"), complex(float("nan"), 1)]

SAME = {
    "one": [
        1,
        1.0,
        True,
        np.int8(1),
        np.uint64(1),
        np.float16(1),
        np.longdouble(1),
        np.bool_(True),
        Decimal(1),
        Decimal("1.00"),
        Fraction(1),
        1 + 0j,
        np.complex64(1),
        Level.LOW,
    ],
    "zero": [0, 0.0, -0.0, False, Decimal("-0"), Decimal("0e999999"), Fraction(0), complex(-0.0)],
    "half": [0.5, Fraction(1, 2), Decimal("0.5"), np.float32(0.5), complex(0.5, -0.0)],
    "inf": [float("inf"), Decimal("inf"), np.float32("inf"), np.longdouble("inf")],
    "big": [10**400, Decimal("1e400"), Fraction(10**400)],
    "tiny": [Fraction(1, 10**400), Decimal("1e-400")],
    "nan": NANS,
    "nan in a tuple": [(nan, "a") for nan in NANS],
    "text": ["a", np.str_("a")],
    "bytes": [b"a", np.bytes_(b"a")],
    "pair": [(1, 2), (1.0, True + 1), Point(1, 2), (np.int64(1), Decimal(2))],
    "set": [frozenset({1, 2}), frozenset({2.0, True})],
    "instant": [
        datetime(2026, 1, 1, 12, tzinfo=UTC),
        datetime(2026, 1, 1, 13, tzinfo=timezone(timedelta(hours=1))),
        datetime(2026, 1, 1, 7, tzinfo=ZoneInfo("America/New_York")),
        pd.Timestamp("2026-01-01 12:00", tz="UTC"),
        pd.Timestamp("2026-01-01 13:00", tz="Europe/Berlin"),
    ],
    "naive": [
        datetime(2026, 1, 1),
        pd.Timestamp("2026-01-01"),
        pd.Timestamp("2026-01-01").as_unit("s"),
        *(np.datetime64("2026-01-01", unit) for unit in ("D", "h", "s", "us", "ns")),
        np.datetime64("2026-01", "M"),
        np.datetime64("2026", "Y"),
    ],
    "span": [
        timedelta(days=7),
        pd.Timedelta(days=7),
        np.timedelta64(1, "W"),
        np.timedelta64(7, "D"),
        np.timedelta64(604_800_000, "ms"),
    ],
    "NaT": [pd.NaT, np.datetime64("NaT"), np.timedelta64("NaT", "s")],
    "NA": [pd.NA],
    "None": [None],
    "date": [date(2026, 1, 1)],
    "noon": [time(12, tzinfo=UTC), time(13, tzinfo=timezone(timedelta(hours=1)))],
    "naive noon": [time(12)],
    "uuid": [UUID(int=1)],
    "month": [pd.Period("2026-01", "M")],
    "quarter": [pd.Period("2026Q1", "Q")],
    "bin": [pd.Interval(0, 1), pd.Interval(0.0, 1.0)],
    "open bin": [pd.Interval(0, 1, closed="left")],
    "tag of nan": [("nan",)],
    "tag of a tuple": [("tuple", 1, 2)],
    "empty": [()],
    "empty set": [frozenset()],
    "a tenth": [0.1],
    "a decimal tenth": [Decimal("0.1"), Fraction(1, 10)],
    "a short tenth": [np.float32(0.1), float(np.float32(0.1))],
    "nanosecond": [pd.Timestamp("2026-01-01 00:00:00.000000001")],
    "autumn": [
        datetime(2026, 10, 25, 2, 30, tzinfo=ZoneInfo("Europe/Berlin")),
        datetime(2026, 10, 25, 0, 30, tzinfo=UTC),
    ],
    "autumn again": [datetime(2026, 10, 25, 2, 30, tzinfo=ZoneInfo("Europe/Berlin"), fold=1)],
    "picosecond": [np.datetime64(1, "ps")],
    "surrogate": ["\ud800"],
}


def test_classes_are_groups():
    records = [(key, name) for name, members in SAME.items() for key in members]
    groups = group_records(records)
    assert [values for _, values in groups] == [[name] * len(SAME[name]) for name in SAME]
    assert all(key is SAME[values[0]][0] for key, values in groups)


@pytest.mark.parametrize("name", SAME)
def test_classes_share_bytes_and_buckets(name):
    forms = [normal_key(key) for key in SAME[name]]
    assert len({key_bytes(form) for form in forms}) == len(set(forms)) == 1
    assert len({key_bucket(key, 10**9) for key in SAME[name]}) == 1
    assert len({KeyBuckets(10**9)(key) for key in SAME[name]}) == 1


@given(plain_keys, plain_keys)
def test_normal_forms_are_equal_exactly_if_keys_are(a, b):
    assert (normal_key(a) == normal_key(b)) == (a == b)


@given(numbers, numbers)
def test_normal_forms_of_numbers_are_equal_exactly_if_numbers_are(a, b):
    # NumPy cannot compare its scalars with some Python numbers; their items are equal to them.
    equal = getattr(a, "item", lambda: a)() == getattr(b, "item", lambda: b)()
    assert (normal_key(a) == normal_key(b)) == equal
    assert (key_bytes(normal_key(a)) == key_bytes(normal_key(b))) == equal


@given(plain_keys, plain_keys)
def test_bytes_are_equal_exactly_if_normal_forms_are(a, b):
    a, b = normal_key(a), normal_key(b)
    assert (key_bytes(a) == key_bytes(b)) == (a == b)


@given(st.lists(st.one_of(plain_keys, st.sampled_from(NANS)), max_size=30), st.integers(1, 5))
def test_groups_do_not_depend_on_the_buckets(found, buckets):
    records = [(key, at) for at, key in enumerate(found)]
    whole = group_records(records)
    bucket = KeyBuckets(buckets)
    parts = [group_records(r for r in records if bucket(r[0]) == b) for b in range(buckets)]
    by_first = sorted((group for part in parts for group in part), key=lambda group: group[1][0])
    assert [(id(key), values) for key, values in by_first] == [
        (id(key), values) for key, values in whole
    ]


@given(st.lists(st.tuples(plain_keys, st.integers()), max_size=20))
def test_groups_are_those_of_a_slow_search(records):
    slow: list[tuple[object, list[int]]] = []
    for key, value in records:
        for seen, values in slow:
            if seen == key:
                values.append(value)
                break
        else:
            slow.append((key, [value]))
    assert group_records(records) == slow


@given(plain_keys, st.integers(1, 2**70))
def test_buckets_are_in_range(key, buckets):
    assert 0 <= key_bucket(key, buckets) < buckets
    assert KeyBuckets(buckets)(key) == key_bucket(key, buckets)


def test_buckets_are_even():
    counts = np.bincount([key_bucket(f"word {i}", 8) for i in range(8000)], minlength=8)
    assert counts.min() > 850
    assert counts.max() < 1150


@pytest.mark.parametrize("buckets", [0, -1, True, 1.0, "4", None])
def test_bad_bucket_counts(buckets):
    for call in (lambda: key_bucket("a", buckets), lambda: KeyBuckets(buckets)):
        with pytest.raises(InputError, match="positive int"):
            call()


def test_the_cache_is_bounded_and_only_for_safe_keys(monkeypatch):
    monkeypatch.setattr(keys, "CACHE_LIMIT", 10)
    bucket = KeyBuckets(4)
    for at in range(1000):
        assert bucket(at) == key_bucket(at, 4)
        bucket(float("nan"))
        bucket((at, float("nan")))
        assert len(bucket._cache) <= 10
    first, again = SAME["autumn"][0], SAME["autumn again"][0]
    assert first == again  # to Python, within one zone
    large = KeyBuckets(2**60)
    assert large(first) != large(again)


REFUSED = [
    ([1], "", "list", "tuple"),
    ((1, [2]), "[1]", "list", "tuple"),
    ((1, ("a", {"b": 1})), "[1][1]", "dict", "sorted items"),
    ({1}, "", "set", "frozenset"),
    (bytearray(b"a"), "", "bytearray", "bytes"),
    (np.array([1]), "", "ndarray", "tuple"),
    (object(), "", "object", "string"),
    (frozenset({object()}), "{...}", "object", "string"),
    (Colour.RED, "", "Colour", "string"),
    (Decimal("1e1000000"), "", "Decimal", "exponent"),
    (Decimal("1e-1000000"), "", "Decimal", "exponent"),
    ((Decimal("1e999999999"),), "[0]", "Decimal", "exponent"),
    (np.timedelta64(1, "M"), "", "timedelta64", "no fixed length"),
    (np.timedelta64(1), "", "timedelta64", "no fixed length"),
    (np.datetime64(2**62, "Y"), "", "datetime64", "too far"),
    (np.void(b"a"), "", "void", "string"),
    (range(3), "", "range", "string"),
]


@pytest.mark.parametrize(("key", "path", "type_name", "advice"), REFUSED, ids=repr)
def test_refused_keys(key, path, type_name, advice):
    for call in (normal_key, lambda k: key_bucket(k, 4), lambda k: group_records([(k, 1)])):
        with pytest.raises(EncodingError, match=advice) as caught:
            call(key)
        assert (caught.value.path, caught.value.type_name) == (path, type_name)


def test_a_class_with_its_own_equality_is_refused():
    class Lower(str):
        __slots__ = ()

        def __eq__(self, other):
            return self.lower() == str(other).lower()

        __hash__ = str.__hash__

    class Plain(str):
        __slots__ = ()

    assert type(normal_key(Plain("a"))) is str
    with pytest.raises(EncodingError):
        normal_key(Lower("a"))


def test_deep_keys_are_refused():
    key: object = ()
    for _ in range(100_000):
        key = (key,)
    with pytest.raises(EncodingError, match="nested more than 100 deep"):
        normal_key(key)


# Pinned vectors; the same in any process.


def test_vectors():
    assert list(VECTORS) == list(SAME)
    for name, members in SAME.items():
        expected = VECTORS[name]
        assert key_bytes(normal_key(members[0])).hex() == expected["bytes"], name
        assert key_bucket(members[0], 2**64) == int(expected["hash"]), name


SCRIPT = """
from dask_verify.core.keys import key_bucket
found = [frozenset({"a", "b", "c", "d", (1, "x")}), ("a", frozenset("xyz")), "word", b"w", 1, 2.5]
print([key_bucket(key, 2**64) for key in found])
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


@pytest.mark.parametrize("key", ["x" * 1000, b"x" * 1000, 2**5000])
def test_long_keys_are_not_kept(key):
    bucket = KeyBuckets(8)
    assert bucket(key) == bucket(key) == key_bucket(key, 8)
    assert not bucket._cache
    assert bucket("short") == key_bucket("short", 8)
    assert list(bucket._cache) == ["short"]


@pytest.mark.parametrize(
    "record", ["ab", ["a", 1], ("a",), ("a", 1, 2), (), 5, None, b"ab", {1, 2}]
)
def test_what_is_no_pair_is_not_grouped(record):
    with pytest.raises(InputError, match=rf"pairs, got {type(record).__name__}"):
        group_records([("a", 1), record])
