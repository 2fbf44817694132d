"""Arrow tables: types, physical variants, garbage under nulls, refusals."""

from __future__ import annotations

from decimal import Decimal
from itertools import combinations

import numpy as np
import pyarrow as pa
import pytest
from canonical_cases import tables

from dask_verify.core.canonical import decode_table, encode_table
from dask_verify.core.canonical.arrow_types import plain_type
from dask_verify.errors import EncodingError

UNITS = ("s", "ms", "us", "ns")
PRIMITIVES = [
    *(pa.int8(), pa.int16(), pa.int32(), pa.int64()),
    *(pa.uint8(), pa.uint16(), pa.uint32(), pa.uint64(), pa.float32(), pa.float64()),
    *(pa.timestamp(unit) for unit in UNITS),
    *(pa.timestamp("us", zone) for zone in ("UTC", "Europe/Paris", "+01:00")),
    *(pa.duration(unit) for unit in UNITS),
    *(pa.time32("s"), pa.time32("ms"), pa.time64("us"), pa.time64("ns"), pa.date32()),
]
COLUMNS = {
    **{str(kind): pa.array([1, None, 2], kind) for kind in PRIMITIVES},
    "date64": pa.array([0, None, 86_400_000], pa.date64()),
    "half": pa.array([np.float16(1), None, np.float16(2)], pa.float16()),
    "bool": pa.array([True, None, False]),
    "null": pa.nulls(3),
    "interval": pa.array([(1, 2, 3), None, (4, 5, 6)], pa.month_day_nano_interval()),
    "decimal32": pa.array([Decimal("1.2"), None, Decimal(3)], pa.decimal32(5, 2)),
    "decimal64": pa.array([Decimal("1.2"), None, Decimal(3)], pa.decimal64(9, 2)),
    "decimal128": pa.array([Decimal("1.2"), None, Decimal(3)], pa.decimal128(10, 2)),
    "decimal128 scale": pa.array([Decimal("1.2"), None, Decimal(3)], pa.decimal128(10, 3)),
    "decimal256": pa.array([Decimal("1.2"), None, Decimal(3)], pa.decimal256(50, 2)),
    "string": pa.array(["a", None, "é"]),
    "binary": pa.array([b"a", None, b""]),
    "fixed binary": pa.array([b"ab", None, b"cd"], pa.binary(2)),
    "list": pa.array([[1, None], None, []]),
    "list of lists": pa.array([[["a"], None], None, [[]]]),
    "fixed list": pa.array([[1, 2], None, [3, None]], pa.list_(pa.int64(), 2)),
    "struct": pa.array([{"a": 1, "b": "x"}, None, {"a": None, "b": "y"}]),
    "struct names": pa.array([{"a": 1, "c": "x"}, None, {"a": None, "c": "y"}]),
    "empty struct": pa.array([{}, None, {}], pa.struct([])),
    "map": pa.array([[("k", 1)], None, []], pa.map_(pa.string(), pa.int64())),
    "list of nulls": pa.array([[None], None, []]),
}


def _encode(column):
    return encode_table(pa.table({"x": column}))


@pytest.mark.parametrize("name", COLUMNS)
def test_every_type_round_trips(name):
    column = COLUMNS[name]
    again = decode_table(_encode(column))["x"]
    assert again.type == plain_type(column.type)
    assert again.cast(column.type).to_pylist() == column.to_pylist()
    assert _encode(again) == _encode(column)


def test_all_types_differ_from_one_another():
    assert len({_encode(column) for column in COLUMNS.values()}) == len(COLUMNS)


@pytest.mark.parametrize("name", COLUMNS)
def test_chunks_and_slices_do_not_matter(name):
    column = COLUMNS[name]
    whole = _encode(column)
    chunked = pa.chunked_array([column[:1], column[1:1], column[1:]])
    assert _encode(chunked) == whole
    assert _encode(pa.concat_arrays([column, column, column])[3:6]) == whole
    assert _encode(pa.chunked_array([column[:0]], column.type)) == _encode(
        pa.chunked_array([], column.type)
    )


@pytest.mark.parametrize(
    ("column", "variants"),
    [
        ("string", [pa.large_string(), pa.string_view()]),
        ("binary", [pa.large_binary(), pa.binary_view()]),
        ("list", [pa.large_list(pa.int64()), pa.list_view(pa.int64())]),
        ("list of lists", [pa.large_list(pa.list_(pa.string_view()))]),
    ],
)
def test_physical_variants_are_one_type(column, variants):
    column = COLUMNS[column]
    assert {_encode(pa.array(column.to_pylist(), kind)) for kind in variants} == {_encode(column)}


def test_dictionaries_and_runs_are_their_values():
    plain = pa.array(["a", None, "b", "b"])
    one = pa.DictionaryArray.from_arrays([0, None, 1, 1], ["a", "b"])
    other = pa.DictionaryArray.from_arrays([2, 1, 0, 0], ["b", None, "a", "unused"])
    runs = pa.RunEndEncodedArray.from_arrays([1, 2, 4], ["a", None, "b"])
    chunks = pa.chunked_array([one[:1], other[1:]])
    assert {_encode(x) for x in (one, other, runs, chunks)} == {_encode(plain)}
    nested = pa.array([["a"], None, ["b", "a"]])
    coded = nested.cast(pa.list_(pa.dictionary(pa.int8(), pa.string())))
    assert _encode(coded) == _encode(nested)
    assert _encode(pa.chunked_array([coded[:1], coded[1:]])) == _encode(nested)


def test_metadata_and_nullability_do_not_matter():
    table = pa.table({"a": [1]})
    field = pa.field("a", pa.int64(), nullable=False, metadata={"k": "v"})
    other = pa.table([[1]], schema=pa.schema([field], metadata={"x": "y"}))
    assert encode_table(table) == encode_table(other)


def _garbage(kind, data, nulls=b"\x05"):
    """Return [x, null, y] with whatever ``data`` says under the null."""
    return pa.Array.from_buffers(kind, 3, [pa.py_buffer(nulls), *map(pa.py_buffer, data)])


def test_garbage_under_nulls_does_not_matter():
    ints = [_garbage(pa.int32(), [np.array([1, x, 2], "i4")]) for x in (0, 9)]
    bools = [_garbage(pa.bool_(), [bytes([bits])]) for bits in (0b001, 0b011)]
    texts = [
        _garbage(pa.string(), [np.array(ends, "i4"), text])
        for ends, text in [([0, 1, 1, 2], b"ab"), ([0, 1, 4, 5], b"axxxb"), ([2, 3, 3, 4], b"--ab")]
    ]
    for group in (ints, bools, texts):
        assert len({_encode(column) for column in group}) == 1
    structs = [
        pa.StructArray.from_arrays([column], ["a"], mask=pa.array([False, True, False]))
        for column in (pa.array([1, 2, 3]), pa.array([1, None, 3]), pa.array([1, 7, 3]))
    ]
    assert len({_encode(column) for column in structs}) == 1
    lists = [
        pa.ListArray.from_arrays(offsets, items, mask=pa.array([False, True, False]))
        for offsets, items in [([0, 1, 1, 2], [1, 2]), ([0, 1, 3, 4], [1, 8, 9, 2])]
    ]
    assert len({_encode(column) for column in lists}) == 1
    fixed = [
        pa.FixedSizeListArray.from_arrays(items, 2, mask=pa.array([False, True, False]))
        for items in ([1, 2, 0, 0, 3, 4], [1, 2, 8, 9, 3, 4], pa.array([1, 2, None, None, 3, 4]))
    ]
    assert len({_encode(column) for column in fixed}) == 1
    inside = [pa.ListArray.from_arrays([0, 1, 3], column) for column in structs]
    assert len({_encode(column) for column in inside}) == 1


def test_nan_payloads_are_one_and_zeros_differ():
    odd = pa.array(np.array([0x7FF8000000000001], "u8").view("f8"))
    assert _encode(odd) == _encode(pa.array([float("nan")]))
    assert _encode(pa.array([odd[0].as_py()])) != _encode(pa.array([None], pa.float64()))
    assert _encode(pa.array([0.0])) != _encode(pa.array([-0.0]))


@pytest.mark.parametrize("name", tables())
def test_published_tables_round_trip(name):
    table = tables()[name]
    again = decode_table(encode_table(table))
    assert (again.num_rows, again.to_pylist()) == (table.num_rows, table.to_pylist())


def test_names_and_order_are_part_of_the_value():
    made = [
        pa.table({"a": [1], "b": [2]}),
        pa.table({"b": [2], "a": [1]}),
        pa.table([[1], [2]], names=["a", "a"]),
        pa.table({"a": [1]}),
        pa.table({"a": [1]}).select([]),
        pa.table({}),
    ]
    for one, other in combinations(made, 2):
        assert encode_table(one) != encode_table(other)
    for table in made:
        assert decode_table(encode_table(table)).column_names == table.column_names


def _union():
    return pa.UnionArray.from_sparse(pa.array([0], pa.int8()), [pa.array([1])])


@pytest.mark.parametrize(
    ("column", "path"),
    [
        (_union(), "['x']"),
        (pa.array([b"0" * 16]).cast(pa.binary(16)).cast(pa.uuid()), "['x']"),
        (pa.StructArray.from_arrays([_union()], ["inner"]), "['x']['inner']"),
        (pa.array([b""], pa.binary(0)), "['x']"),
        (pa.array([[None]], pa.list_(pa.null(), 1)), "['x']"),
    ],
    ids=["union", "extension", "union in struct", "no bytes", "list without bytes"],
)
def test_refused_types_name_the_path(column, path):
    with pytest.raises(EncodingError, match="cast the column") as caught:
        _encode(column)
    assert caught.value.path == path


def test_invalid_arrays_are_refused():
    broken = pa.Array.from_buffers(
        pa.string(), 1, [None, pa.py_buffer(np.array([0, 1], "i4")), pa.py_buffer(b"\xff")]
    )
    with pytest.raises(EncodingError, match="UTF"):
        _encode(broken)
    with pytest.raises(EncodingError, match=r"pyarrow\.Table"):
        encode_table([1])
