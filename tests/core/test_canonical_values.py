"""Single values: round trips, injectivity, refusals."""

from __future__ import annotations

import collections
import datetime as dt
import enum
import subprocess
import sys
from fractions import Fraction
from itertools import combinations

import cbor2
import numpy as np
import pandas as pd
import pytest
from canonical_cases import VALUES, same, values
from hypothesis import given

from dask_verify.core.canonical import decode, encode
from dask_verify.errors import EncodingError

CASES = values()


@pytest.mark.parametrize("name", CASES)
def test_every_type_round_trips(name):
    data = encode(CASES[name])
    assert same(decode(data), CASES[name])
    assert encode(decode(data)) == data


@given(VALUES)
def test_round_trip(value):
    assert same(decode(encode(value)), value)


@given(VALUES, VALUES)
def test_bytes_are_equal_exactly_for_same_values(one, other):
    assert (encode(one) == encode(other)) == same(one, other)


def test_all_cases_differ_from_one_another():
    assert len({encode(value) for value in CASES.values()}) == len(CASES)


@pytest.mark.parametrize(
    "different",
    [
        [1, 1.0, True, np.int64(1), np.int32(1), np.uint8(1), np.float64(1), np.bool_(True), "1"],
        [0.0, -0.0, 0, complex(0.0, 0.0), complex(-0.0, 0.0), np.float32(0), np.float32(-0.0)],
        [[1], (1,), {1}, frozenset([1]), {1: 1}, [[1]], np.array([1])],
        ["a", b"a", bytearray(b"a"), np.str_("a"), np.bytes_(b"a")],
        [dt.datetime(2024, 1, 1), dt.date(2024, 1, 1), pd.Timestamp("2024-01-01")],
        [dt.time(1), dt.time(1, fold=1), dt.time(1, tzinfo=dt.UTC)],
        [dt.UTC.utcoffset(None), pd.Timedelta(0)],
        [pd.Timestamp("2024-01-01").as_unit(unit) for unit in ("s", "ms", "us", "ns")],
        [np.datetime64(1, "s"), np.datetime64(1, "ms"), np.timedelta64(1, "s")],
        [np.zeros((2, 0)), np.zeros((0, 2)), np.zeros(0), np.zeros(0, "f4"), np.array(0.0)],
        [None, pd.NA, pd.NaT, float("nan"), np.datetime64("NaT")],
    ],
    ids=lambda items: type(items[0]).__name__,
)
def test_alike_values_differ(different):
    for one, other in combinations(different, 2):
        assert encode(one) != encode(other), (one, other)


@pytest.mark.parametrize("zone", [dt.UTC, dt.timezone(dt.timedelta(0), "x")])
def test_named_offsets_are_kept(zone):
    moment = dt.datetime(2024, 1, 1, tzinfo=zone)
    assert decode(encode(moment)).tzname() == moment.tzname()


def test_equal_values_built_differently():
    assert encode({"a": 1, "b": 2}) == encode({"b": 2, "a": 1})
    assert encode({8, 0}) == encode({0, 8})
    payload = np.array([0x7FF8000000000001], dtype="u8").view("f8")
    assert encode(payload[0].item()) == encode(float("nan"))
    assert encode(payload) == encode(np.array([np.nan]))
    assert encode(np.asfortranarray(np.eye(3))) == encode(np.eye(3))
    assert encode(np.arange(6)[::2]) == encode(np.array([0, 2, 4]))


def test_decoded_order_is_that_of_encoded_keys():
    assert list(decode(encode({"b": 1, "a": 2, 10: 3, 9: 4}))) == [9, 10, "a", "b"]


def test_decoded_arrays_can_be_written():
    array = decode(encode(np.zeros(2)))
    array[0] = 1
    assert array[0] == 1


def _plain(value):
    """Slow reference of the format: tags made by hand, written by another CBOR library."""
    if type(value) is tuple:
        return cbor2.CBORTag(0xDA00, [_plain(item) for item in value])
    if type(value) is list:
        return [_plain(item) for item in value]
    return value


@pytest.mark.parametrize(
    "value", [[], 1, -5, 2**64, -(2**70), "é", b"x", True, None, 1.1, (1, [("a",)], 500)]
)
def test_bytes_are_the_cbor_of_another_library(value):
    assert encode(value)[1:] == cbor2.dumps(_plain(value))


class Colour(enum.IntEnum):
    RED = 1


class Word(str):
    __slots__ = ()


Point = collections.namedtuple("Point", "x y")


class Zone(dt.tzinfo):
    """A zone of unknown type."""


@pytest.mark.parametrize(
    ("value", "path", "name"),
    [
        (object(), "", "object"),
        ([1, 2, 3, {"a": object()}], "[3]['a']", "object"),
        ((1, (2, Colour.RED)), "[1][1]", "Colour"),
        ({"k": Word("x")}, "['k']", "Word"),
        ([Point(1, 2)], "[0]", "Point"),
        ({"d": dt.datetime(2024, 1, 1, tzinfo=Zone())}, "['d']", "Zone"),
        ([np.array([1], dtype=">i4")], "[0]", "ndarray"),
        ([np.array([object()])], "[0]", "ndarray"),
        ([np.longdouble(1)], "[0]", "longdouble"),
        (np.zeros(2, dtype="i4,i4"), "", "ndarray"),
        (np.ma.masked_array([1]), "", "MaskedArray"),
        (range(3), "", "range"),
        (print, "", "builtin"),
        (pd.Period("2024"), "", "Period"),
        ({float("nan"), float("nan")}, "", "set"),
        ({float("nan"): 1, float("nan"): 2}, "", "dict"),
        (Fraction(1, 1 << 600_000), "", "Fraction"),
    ],
)
def test_refused_with_type_and_path(value, path, name):
    with pytest.raises(EncodingError) as caught:
        encode(value)
    assert caught.value.path == path
    assert name in caught.value.type_name


def test_cycles_and_deep_nesting_are_refused():
    cycle = []
    cycle.append(cycle)
    with pytest.raises(EncodingError, match="contains itself"):
        encode(cycle)
    deep = None
    for _ in range(100):
        deep = [deep]
    assert decode(encode(deep)) == deep
    with pytest.raises(EncodingError, match="deeper"):
        encode([deep])


def test_subclass_advice_names_the_base():
    with pytest.raises(EncodingError, match=r"subclass of int.*register_type"):
        encode(Colour.RED)


def test_package_does_not_import_pandas():
    code = (
        "import sys; from dask_verify.core.canonical import encode, decode, encode_table;"
        "decode(encode([1, 'a', (2.0,)])); assert 'pandas' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
