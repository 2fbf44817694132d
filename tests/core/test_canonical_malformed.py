"""Decoders against bytes that nobody encoded: an error or the one value of those bytes."""

from __future__ import annotations

import struct
import sys
import tracemalloc
from typing import Any

import cbor2
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from canonical_cases import frames, record_leaves, tables, values
from hypothesis import given, settings
from hypothesis import strategies as st

from dask_verify.core.canonical import (
    decode,
    decode_frame,
    decode_records,
    decode_table,
    encode,
    encode_frame,
    encode_records,
    encode_table,
)
from dask_verify.errors import DecodingError

PAIRS = {
    "value": (encode, decode, [encode(value) for value in values().values()]),
    "records": (
        encode_records,
        decode_records,
        [encode_records(x) for x in record_leaves().values()],
    ),
    "table": (encode_table, decode_table, [encode_table(x) for x in tables().values()]),
    "frame": (encode_frame, decode_frame, [encode_frame(x) for x in frames().values()]),
}


def _check(kind, data):
    back, forth, _ = PAIRS[kind]
    try:
        value = forth(data)
    except DecodingError:
        return
    assert back(value) == data


def _tag(number, payload):
    return cbor2.dumps(cbor2.CBORTag(0xDA00 + number, payload))


VALUES = {
    "nothing": b"",
    "no value": b"\x11",
    "other kind": b"\x21\xf6",
    "other version": b"\x12\xf6",
    "trailing": b"\x11\xf6\xf6",
    "truncated head": b"\x11\x19\x01",
    "truncated text": b"\x11\x62a",
    "text is no UTF-8": b"\x11\x61\xff",
    "long head": b"\x11\x18\x01",
    "longer head": b"\x11\x1b\x00\x00\x00\x00\x00\x00\x01\x00",
    "indefinite list": b"\x11\x9f\xff",
    "indefinite text": b"\x11\x7f\x61a\xff",
    "reserved head": b"\x11\x1c",
    "break alone": b"\x11\xff",
    "undefined": b"\x11\xf7",
    "simple value": b"\x11\xf8\x20",
    "half float": b"\x11\xf9\x00\x00",
    "single float": b"\x11\xfa\x00\x00\x00\x00",
    "other nan": b"\x11\xfb\x7f\xf8\x00\x00\x00\x00\x00\x01",
    "negative nan": b"\x11\xfb\xff\xf8\x00\x00\x00\x00\x00\x00",
    "small bignum": b"\x11\xc2\x41\x01",
    "padded bignum": b"\x11\xc2\x49\x00" + b"\xff" * 8,
    "bignum of text": b"\x11\xc2\x61a",
    "giant list": b"\x11\x9b" + b"\xff" * 8,
    "giant map": b"\x11\xbb" + b"\xff" * 8,
    "giant text": b"\x11\x7b" + b"\x7f" * 8,
    "giant bytes": b"\x11\x5b\x00\x00\x00\xff" + b"\xff" * 4,
    "giant set": b"\x11\xd9\xda\x01\x9b\x00\x00\x00\xff" + b"\xff" * 4,
    "deep lists": b"\x11" + b"\x81" * 5000 + b"\xf6",
    "just too deep": b"\x11" + b"\x81" * 101 + b"\xf6",
    "deep tuples": b"\x11" + b"\xd9\xda\x00\x81" * 5000 + b"\xf6",
    "deep sets": b"\x11" + b"\xd9\xda\x02\x81" * 5000 + b"\xf6",
    "deep maps": b"\x11" + b"\xa1\xf6" * 5000 + b"\xf6",
    "deep tags": b"\x11" + b"\xd9\xda\x08" * 5000 + b"\xf6",
    "cycle": b"\x11\xd8\x1c\x81\xd8\x1d\x00",
    "shared reference": b"\x11\xd8\x1d\x00",
    "standard date": b"\x11" + cbor2.dumps(cbor2.CBORTag(1, 0)),
    "standard set": b"\x11" + cbor2.dumps(cbor2.CBORTag(258, [1])),
    "regular expression": b"\x11" + cbor2.dumps(cbor2.CBORTag(35, "(a+)+")),
    "unknown tag": b"\x11" + _tag(63, 1),
    "unknown late tag": b"\x11" + _tag(200, 1),
    "unsorted map": b"\x11\xa2\x02\xf6\x01\xf6",
    "repeated key": b"\x11\xa2\x01\xf6\x01\xf6",
    "equal keys": b"\x11\xa2\x01\xf6\xf5\xf6",
    "list as key": b"\x11\xa1\x80\xf6",
    "unsorted set": b"\x11" + _tag(1, [2, 1]),
    "repeated element": b"\x11" + _tag(1, [1, 1]),
    "equal elements": b"\x11" + _tag(1, [1, True]),
    "list in set": b"\x11" + _tag(1, [[]]),
    "tuple of text": b"\x11" + _tag(0, "ab"),
    "no surrogates": b"\x11" + _tag(3, b"plain"),
    "surrogates of text": b"\x11" + _tag(3, "a"),
    "unregistered": b"\x11" + _tag(5, ["os.system", "true"]),
    "object of one": b"\x11" + _tag(5, ["x"]),
    "object of list name": b"\x11" + _tag(5, [["x"], 1]),
    "decimal with spaces": b"\x11" + _tag(8, " 1"),
    "decimal too large": b"\x11" + _tag(8, "1E+99999999999999999999"),
    "decimal of int": b"\x11" + _tag(8, 1),
    "complex of ints": b"\x11" + _tag(9, [1, 2]),
    "fraction not reduced": b"\x11" + _tag(10, [2, 4]),
    "fraction by zero": b"\x11" + _tag(10, [1, 0]),
    "fraction too large": b"\x11" + _tag(10, [1, 1 << 600_000]),
    "month 13": b"\x11" + _tag(11, [2024, 13, 1]),
    "second as float": b"\x11" + _tag(12, [1, 2, 3.0, 0, 0, None]),
    "unknown zone": b"\x11" + _tag(12, [1, 2, 3, 0, 0, "../../etc/passwd"]),
    "zone module": b"\x11" + _tag(12, [1, 2, 3, 0, 0, "os/path"]),
    "span not normal": b"\x11" + _tag(14, [0, 100_000, 0]),
    "short uuid": b"\x11" + _tag(15, b"x"),
    "array of objects": b"\x11" + _tag(20, ["|O", [1], b"\0" * 8]),
    "array of pairs": b"\x11" + _tag(20, ["i4,i4", [1], b"\0" * 8]),
    "array big-endian": b"\x11" + _tag(20, [">i4", [1], b"\0" * 4]),
    "array too short": b"\x11" + _tag(20, ["<i4", [2], b"\0" * 4]),
    "array of negative shape": b"\x11" + _tag(20, ["<i4", [-1], b"\0" * 4]),
    "array without width": b"\x11" + _tag(20, ["<U0", [1 << 40], b""]),
    "array dtype by alias": b"\x11" + _tag(20, ["int32", [1], b"\0" * 4]),
    "array of no characters": b"\x11" + _tag(20, ["<U1", [1], b"\xff" * 4]),
    "array of bool 2": b"\x11" + _tag(20, ["|b1", [1], b"\x02"]),
    "array of other nan": b"\x11" + _tag(20, ["<f8", [1], b"\xff" * 8]),
    "scalar of two": b"\x11" + _tag(21, ["<i4", b"\0" * 8]),
    "scalar text": b"\x11" + _tag(21, ["<U1", b"a\0\0\0"]),
    "timestamp of nat": b"\x11" + _tag(64, ["ns", -(2**63), 0, None]),
    "timestamp in days": b"\x11" + _tag(64, ["D", 1, 0, None]),
    "timestamp with fold": b"\x11" + _tag(64, ["s", 1, 2, None]),
    "nat with payload": b"\x11" + _tag(66, 1),
    "frame of text": b"\x11" + _tag(68, "x"),
    "series of frame with two columns": b"\x11"
    + _tag(69, [None, encode_frame(pd.DataFrame([[1, 2]]))]),
}


def _records(count, body):
    return b"\x21" + struct.pack("<Q", count) + body


RECORDS = {
    "count beyond the bytes": _records(2**63, b"\x07"),
    "nones beyond the bytes": _records(2**40, b"\x07\0\0"),
    "bools beyond the bytes": _records(2**40, b"\x06\0\0"),
    "empty with a count": _records(1, b"\x00"),
    "kind without a record": _records(0, b"\x03"),
    "unknown kind": _records(1, b"\x09\0"),
    "bool of 2": _records(1, b"\x06\x02"),
    "none of 1": _records(1, b"\x07\x01"),
    "other nan": _records(1, b"\x04" + b"\xff" * 8),
    "short ints": _records(2, b"\x03" + b"\0" * 15),
    "trailing": _records(1, b"\x03" + b"\0" * 9),
    "length beyond the bytes": _records(1, b"\x02\xff\xff\xff\xff"),
    "text is no UTF-8": _records(1, b"\x02\x01\0\0\0\xff"),
    "character across records": _records(2, b"\x02\x01\0\0\0\x01\0\0\0\xc3\xa9"),
    "generic ints": _records(1, b"\x01\x01"),
    "generic texts": _records(1, b"\x01\x61a"),
    "generic pairs": _records(1, b"\x01\xd9\xda\x00\x81\x01"),
    "tuple of none": _records(1, b"\x08\0\0\0\0"),
    "giant arity": _records(1, b"\x08\xff\xff\xff\xff" + b"\x07\0" * 9),
    "tuples too deep": _records(1, b"\x08\x01\0\0\0" * 5 + b"\x07\0"),
    "tuples far too deep": _records(1, b"\x08\x01\0\0\0" * 5000 + b"\x07\0"),
    "decimal with spaces": _records(1, b"\x01" + _tag(8, " 1")),
}


def _table(count, header, body=b""):
    raw = cbor2.dumps(header)
    return b"\x31" + struct.pack("<QI", count, len(raw)) + raw + body


def _field(kind):
    return [["x", kind]]


BIG = 2**40
TABLES = {
    "header beyond the bytes": b"\x31" + struct.pack("<QI", 0, 2**32 - 1),
    "header too short": b"\x31" + struct.pack("<QI", 0, 1) + b"\x80\x80",
    "header no list": _table(0, 1),
    "unknown type": _table(0, _field("int65"), b"\0"),
    "unknown builder": _table(0, _field(["union", 1]), b"\0"),
    "variant": _table(0, _field("string"), b"\0"),
    "too many rows": _table(BIG, _field("int8"), b"\0\0"),
    "impossible rows": _table(2**64 - 1, _field("null")),
    "too many nulls": _table(BIG, _field("int8"), b"\1\0"),
    "null flag of 2": _table(1, _field("int8"), b"\2\0"),
    "mask without null": _table(1, _field("int8"), b"\1\0\5"),
    "mask with stray bits": _table(1, _field("int8"), b"\1\3\0"),
    "garbage under a null": _table(1, _field("int8"), b"\1\1\5"),
    "bool of 2": _table(1, _field("bool"), b"\0\2"),
    "other nan": _table(1, _field("double"), b"\0" + b"\xff" * 8),
    "text beyond the bytes": _table(1, _field("large_string"), b"\0\xff\xff\xff\xff"),
    "text is no UTF-8": _table(1, _field("large_string"), b"\0\1\0\0\0\xff"),
    "null text with length": _table(1, _field("large_string"), b"\1\1\1\0\0\0a"),
    "struct child under null": _table(
        1, _field(["struct", ["a", True, "int8"]]), b"\1\1" + b"\0\5"
    ),
    "list beyond the bytes": _table(
        1, _field(["large_list", ["item", True, "int8"]]), b"\0\xff\xff\xff\xff\0"
    ),
    "map beyond Arrow": _table(
        2,
        _field(["map", ["key", False, "null"], ["value", True, "null"], False]),
        b"\0" + b"\xff" * 9,
    ),
    "fixed list of nothing": _table(
        BIG, _field(["fixed_size_list", 2**31 - 1, ["item", True, "null"]]), b"\0"
    ),
    "fixed list of much": _table(
        BIG, _field(["fixed_size_list", 2**31 - 1, ["item", True, "int8"]]), b"\0\0"
    ),
    "bytes of no width": _table(BIG, _field(["fixed_size_binary", 0]), b"\0"),
    "decimal too precise": _table(1, _field(["decimal128", 2, 0]), b"\0" + b"\x7f" * 16),
    "item name": _table(1, _field(["large_list", ["other", True, "int8"]]), b"\0\0\0\0\0\0"),
    "item not nullable": _table(
        1, _field(["large_list", ["item", False, "int8"]]), b"\0\0\0\0\0\0"
    ),
}


def _frame(count, columns, index, body, labels=None):
    names = [[None], "int64"] if labels is None else labels
    first = b"\1" + struct.pack("<qq", 0, 1)
    raw = cbor2.dumps([names, first, columns, [[None], index]])
    return b"\x41" + struct.pack("<QI", count, len(raw)) + raw + body


RANGE = b"\1" + struct.pack("<qq", 0, 1)
FRAMES = {
    "header no list": b"\x41" + struct.pack("<QI", 0, 1) + b"\x01",
    "unknown column": _frame(0, [["bad"]], "int64", RANGE),
    "object as dtype": _frame(1, [["numpy", "|O"]], "int64", RANGE + b"\0" * 8),
    "structure as dtype": _frame(1, [["numpy", "i4,i4"]], "int64", RANGE + b"\0" * 8),
    "days as dtype": _frame(1, [["numpy", "<M8[D]"]], "int64", RANGE + b"\0" * 8),
    "too many rows": _frame(BIG, [["numpy", "<i8"]], "int64", RANGE + b"\0" * 8),
    "too many objects": _frame(BIG, [["object"]], "int64", RANGE + b"\7\0"),
    "too many nulls": _frame(BIG, [["masked", "Int8"]], "int64", RANGE + b"\0\0"),
    "not a nullable dtype": _frame(1, [["masked", "int8"]], "int64", RANGE + b"\0\0"),
    "garbage under a mask": _frame(1, [["masked", "Int8"]], "int64", RANGE + b"\1\1\5"),
    "step of zero": _frame(2, [], "int64", b"\1" + struct.pack("<qq", 0, 0)),
    "stop beyond 64 bits": _frame(2, [], "int64", b"\1" + struct.pack("<qq", 2**63 - 1, 1)),
    "many rows beyond 64 bits": _frame(BIG, [], "int64", b"\1" + struct.pack("<qq", 2**63 - 1, 1)),
    "values of a progression": _frame(2, [], "int64", b"\0" + struct.pack("<qq", 1, 2)),
    "flag of 2": _frame(0, [], "int64", b"\2" + struct.pack("<qq", 0, 1)),
    "category out of range": _frame(
        1, [["category", False, 1, [[None], "int64"], RANGE]], "int64", RANGE + b"\1\0\0\0"
    ),
    "categories repeated": _frame(
        1,
        [["category", False, 2, [[None], ["numpy", "<f8"]], b"\0" * 16]],
        "int64",
        RANGE + b"\0\0\0\0",
    ),
    "unknown storage": _frame(1, [["str", "gpu", True]], "int64", RANGE + b"\0\0\0\0\0"),
    "unknown zone": _frame(1, [["tz", "ns", "a/b"]], "int64", RANGE + b"\0" * 8),
    "level without bytes": _frame(BIG, [], [["arrow", "null"], ["arrow", "null"]], b""),
    "index without bytes": _frame(BIG, [], ["arrow", "null"], b""),
    "levels of nothing": _frame(BIG, [], [], b""),
    "unhashable name": _frame(0, [], "int64", RANGE, labels=[[[]], "int64"]),
    "one name too many": _frame(0, [], "int64", RANGE, labels=[[1, 2], "int64"]),
}

CORPUS = [
    (kind, name, data)
    for kind, cases in [
        ("value", VALUES),
        ("records", RECORDS),
        ("table", TABLES),
        ("frame", FRAMES),
    ]
    for name, data in cases.items()
]


@pytest.mark.parametrize(("kind", "name", "data"), CORPUS, ids=[f"{k}: {n}" for k, n, _ in CORPUS])
def test_malformed(kind, name, data):
    tracemalloc.start()
    try:
        with pytest.raises(DecodingError):
            PAIRS[kind][1](data)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 20_000_000


def test_hand_made_headers_are_right_where_nothing_is_wrong():
    table = _table(1, _field("int8"), b"\0\5")
    assert decode_table(table).to_pylist() == [{"x": 5}]
    frame = _frame(1, [["numpy", "<i8"]], "int64", RANGE + b"\5" + b"\0" * 7)
    assert decode_frame(frame).to_dict() == {0: {0: 5}}
    column = ["category", False, 1, [[None], "int64"], RANGE]
    assert decode_frame(_frame(1, [column], "int64", RANGE + b"\0" * 4)).iloc[0, 0] == 0
    assert decode_records(_records(1, b"\x08\1\0\0\0\x07\0")) == [(None,)]


def test_rows_without_bytes_take_no_memory():
    table = _table(BIG, [["x", "null"], ["y", ["struct", ["a", True, "null"]]]], b"\0")
    assert decode_table(table).num_rows == BIG
    assert len(decode_frame(_frame(BIG, [["arrow", "null"]], "int64", RANGE))) == BIG


def test_deep_arrow_types():
    kind = "int8"
    for _ in range(60):
        kind = ["large_list", ["item", True, kind]]
    with pytest.raises(DecodingError, match="deep"):
        decode_table(_table(0, _field(kind), b"\0" * 61))


@pytest.mark.parametrize(
    "frame",
    [
        pd.DataFrame(index=pd.RangeIndex(2**40)),
        pd.DataFrame({"a": pd.array([None], dtype=pd.ArrowDtype(pa.null()))}),
        pd.DataFrame({"c": pd.Categorical.from_codes([0], pd.RangeIndex(2**40))}),
    ],
)
def test_what_takes_no_bytes_takes_no_memory(frame):
    data = encode_frame(frame)
    tracemalloc.start()
    try:
        assert encode_frame(decode_frame(data)) == data
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 20_000_000


@pytest.mark.parametrize("kind", PAIRS)
@pytest.mark.parametrize("bad", [None, "text", 1, [1], np.zeros(1)], ids=repr)
def test_anything_but_bytes_is_refused(kind, bad):
    with pytest.raises(DecodingError, match="bytes"):
        PAIRS[kind][1](bad)


@pytest.mark.parametrize("kind", PAIRS)
def test_every_prefix_is_refused(kind):
    for data in PAIRS[kind][2]:
        for end in range(len(data)):
            with pytest.raises(DecodingError):
                PAIRS[kind][1](data[:end])


@pytest.mark.parametrize("kind", PAIRS)
def test_every_changed_byte_is_refused_or_another_value(kind):
    for data in PAIRS[kind][2]:
        for place in range(len(data)):
            for flip in (1, 128):
                _check(kind, data[:place] + bytes([data[place] ^ flip]) + data[place + 1 :])


@pytest.mark.parametrize("kind", PAIRS)
@settings(max_examples=300, deadline=None)
@given(data=st.data())
def test_mutations_are_refused_or_another_value(kind, data):
    raw = bytearray(data.draw(st.sampled_from(PAIRS[kind][2])))
    for _ in range(data.draw(st.integers(1, 3))):
        place = data.draw(st.integers(0, len(raw)))
        piece = data.draw(st.binary(max_size=4))
        raw[place : place + data.draw(st.integers(0, 4))] = piece
    _check(kind, bytes(raw))


@given(st.binary(max_size=30), st.sampled_from(sorted(PAIRS)))
def test_noise_is_refused_or_a_value(noise, kind):
    first = {"value": b"\x11", "records": b"\x21", "table": b"\x31", "frame": b"\x41"}[kind]
    _check(kind, first + noise)


@pytest.mark.parametrize("kind", [set, frozenset, lambda keys: dict.fromkeys(keys, 0)])
def test_members_made_to_have_equal_hashes_are_refused(kind: Any) -> None:
    prime = sys.hash_info.modulus
    crowd = encode(kind(prime * i for i in range(1, 2001)))
    with pytest.raises(DecodingError, match="share a few hashes"):
        decode(crowd)


def test_many_members_with_hashes_of_their_own_are_fine() -> None:
    members = set(range(5000))
    assert decode(encode(members)) == members
