"""Small files that would take much memory or time: refused before they do."""

from __future__ import annotations

import io
import pickle
import re
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pandas.testing import assert_frame_equal

from dask_verify.core.canonical import encode_frame, encode_records
from dask_verify.core.merkle import MerkleTree
from dask_verify.errors import DataError
from dask_verify.evidence.data import (
    ResultShape,
    compare,
    frame_shape,
    page_headers,
    read_data,
    read_json_lines,
    read_parquet,
    roots_of,
    write_json_lines,
    write_parquet,
)
from dask_verify.evidence.data import shape as shape_module

ARROW = pd.ArrowDtype
FRAME = pd.DataFrame(
    {
        "i": np.arange(4),
        "s": ["a", "b", "c", "d"],
        "b": pd.array([b"x"] * 4, dtype=ARROW(pa.binary())),
        "l": pd.array([[1]] * 4, dtype=ARROW(pa.list_(pa.int8()))),
        "t": pd.array([["a"]] * 4, dtype=ARROW(pa.list_(pa.string()))),
        "c": pd.Categorical(["u", "v", "u", "u"]),
    }
)
SHAPE = frame_shape([[encode_frame(FRAME)]], FRAME)
N = 40_000_000


def lists(values):
    quarter = len(values) // 4
    return pa.ListArray.from_arrays(pa.array(np.arange(5, dtype="i4") * quarter), values)


def words(count, word):
    return pa.DictionaryArray.from_arrays(np.zeros(count, "i4"), pa.array([word]))


BOMBS = {
    "numbers in lists": ("l", lambda: lists(pa.array(np.zeros(N, "i1")))),
    "nulls in lists": ("l", lambda: lists(pa.nulls(N, pa.int8()))),
    "padding": ("l", lambda: pa.nulls(4, pa.list_(pa.int8(), 30_000_000))),
    "padding in lists": (
        "l", lambda: pa.array([[None]] * 4, pa.list_(pa.list_(pa.int8(), 30_000_000)))
    ),
    "words in lists": ("t", lambda: lists(words(10**6, "x" * 1000))),
    "long texts": ("s", lambda: pa.array(["x" * 10**8] * 4)),
    "long categories": ("c", lambda: pa.array(["x" * 10**8] * 4)),
    "wide bytes": ("b", lambda: pa.array([bytes(10**8)] * 4, pa.binary(10**8))),
    "lists for numbers": ("i", lambda: pa.array([[1]] * 4)),
    "lists for categories": ("c", lambda: pa.array([["u"]] * 4)),
}  # fmt: skip


def bomb(name, column, **options):
    table = pa.table(FRAME).set_column(FRAME.columns.get_loc(name), name, column)
    file = io.BytesIO()
    pq.write_table(table, file, compression="zstd", **options)
    return file


REFUSED = r"(expected (columns of )?at most|bytes at most|cannot become it)"


@pytest.mark.parametrize("kind", BOMBS)
def test_bombs_are_refused_before_they_are_read(kind, tmp_path, monkeypatch):
    name, make = BOMBS[kind]
    data = bomb(name, make()).getvalue()
    assert len(data) < 100_000
    (tmp_path / "r.parquet").write_bytes(data)
    for name in ("read", "read_row_group", "iter_batches"):
        monkeypatch.setattr(pq.ParquetFile, name, lambda *_: pytest.fail("it was read"))
    if kind != "words in lists":  # these are short until they are spelled out
        with pytest.raises(DataError, match=REFUSED):
            read_data(tmp_path / "r.parquet", SHAPE)
    monkeypatch.undo()
    with pytest.raises(DataError, match=REFUSED):
        read_data(tmp_path / "r.parquet", SHAPE)


_LIMITED = """
import resource, sys, pandas, pickle
from dask_verify.errors import DataError
from dask_verify.evidence.data import read_data
shape = pickle.load(open(sys.argv[2], "rb"))
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
try:
    read_data(sys.argv[1], shape)
except DataError as error:
    print(error)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


@pytest.mark.parametrize("kind", ["numbers in lists", "texts that repeat their beginnings"])
@pytest.mark.matrix
def test_bombs_take_little_memory(kind, tmp_path):
    options = {"column_encoding": {"s": "DELTA_BYTE_ARRAY"}, "use_dictionary": ["c"]}
    if kind == "numbers in lists":
        file = bomb("l", BOMBS[kind][1]())
    else:
        file = bomb("s", pa.array(["x" * 30_000_000] * 4), **options)
    (tmp_path / "r.parquet").write_bytes(file.getvalue())
    (tmp_path / "shape").write_bytes(pickle.dumps(SHAPE))
    command = [sys.executable, "-c", _LIMITED, str(tmp_path / "r.parquet"), str(tmp_path / "shape")]
    out = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
    assert int(out[-1]) < 300_000  # kB


@pytest.mark.matrix
def test_texts_that_repeat_their_beginnings_are_read_few_rows_at_a_time():
    """One page of 3 MB that holds 3 GB."""
    meta = pd.DataFrame({"s": pd.Series(dtype="str")})
    column = pa.array(["x" * 10**6] * 300)
    file = io.BytesIO()
    pq.write_table(
        pa.table({"s": column}), file, use_dictionary=False, data_page_size=1 << 30,
        column_encoding={"s": "DELTA_BYTE_ARRAY"}, compression="zstd",
    )  # fmt: skip
    with pytest.raises(DataError, match="expected columns of at most 200000000 bytes"):
        read_parquet(file, meta, 300, 2 * 10**8)
    assert read_parquet(file, meta, 300, 4 * 10**8).s.str.len().tolist() == [10**6] * 300
    nested = io.BytesIO()
    pq.write_table(
        pa.table({"s": lists(column)}), nested, use_dictionary=False, data_page_size=1 << 30,
        column_encoding={"s.list.element": "DELTA_BYTE_ARRAY"}, compression="zstd",
    )  # fmt: skip
    listed = pd.DataFrame({"s": pd.Series(dtype=ARROW(pa.list_(pa.string())))})
    with pytest.raises(DataError, match="DELTA_BYTE_ARRAY"):
        read_parquet(nested, listed, 4, 10**9)


# --- files that lie about themselves ---------------------------------------------------------


def varint(number):
    out = bytearray()
    while number > 127:
        out.append(number & 127 | 128)
        number >>= 7
    return bytes([*out, number])


@pytest.mark.matrix
def test_the_metadata_are_not_believed():
    """The sizes at the end of the file are made small; those of the pages are what they are."""
    big = 10**8
    data = bomb("s", pa.array(["x" * big] * 4), use_dictionary=False).getvalue()
    parquet = pq.ParquetFile(io.BytesIO(data))
    claimed = parquet.metadata.row_group(0).column(1).total_uncompressed_size
    total = parquet.metadata.row_group(0).total_byte_size
    end = len(data) - 8 - int.from_bytes(data[-8:-4], "little")
    footer = data[end:]
    for number in (claimed, total):
        was = varint(number * 2)
        footer = footer.replace(was, b"\x82" + b"\x80" * (len(was) - 2) + b"\x00")
    lie = data[:end] + footer
    small = pq.ParquetFile(io.BytesIO(lie)).metadata.row_group(0).column(1)
    assert small.total_uncompressed_size == 1
    with pytest.raises(DataError, match="expected columns of at most"):
        read_parquet(io.BytesIO(lie), FRAME.iloc[:0], 4, 1 << 26)


def test_metadata_of_many_bytes_are_not_parsed():
    table = pa.table({"i": np.arange(4)}).replace_schema_metadata({"x": "y" * (1 << 23)})
    file = io.BytesIO()
    pq.write_table(table, file)
    with pytest.raises(DataError, match="expected metadata of at most"):
        read_parquet(file, FRAME.iloc[:0][["i"]], 4, 1000)


def test_row_groups_without_rows_are_few():
    file, table = io.BytesIO(), pa.table({"i": np.arange(4)})
    with pq.ParquetWriter(file, table.schema) as writer:
        for _ in range(30):
            writer.write_table(table.slice(0, 0), row_group_size=1)
        writer.write_table(table)
    assert pq.ParquetFile(file).num_row_groups == 31, "pyarrow left such groups out: make them"
    with pytest.raises(DataError, match="row groups that hold rows"):
        read_parquet(file, FRAME.iloc[:0][["i"]], 4, 1000)


HEADER = b"\x15\x00\x15\x10\x15\x10\x2c\x15\x08\x15\x00\x15\x06\x15\x06\x00\x00"


def page(header):
    column = type(
        "Column", (),
        {"data_page_offset": 0, "has_dictionary_page": False, "dictionary_page_offset": None,
         "total_compressed_size": 1 << 20, "num_values": 4},
    )  # fmt: skip
    data = header + b"\0" * 8
    return list(page_headers.read_pages(io.BytesIO(data), column, len(data)))


def test_a_page_header_is_what_readers_take_it_for():
    assert page(HEADER) == [page_headers.Pages(8, 4, 8, False)]
    assert page(HEADER.replace(b"\x15\x08\x15\x00", b"\x15\x08\x15\x0e"))[0].delta
    long = HEADER[:-1] + b"\x88" + varint(5000) + b"s" * 5000 + b"\x00"
    assert page(long) == page(HEADER)


@pytest.mark.parametrize(
    "header",
    {
        "cut to 32 bits": b"\x15\x00\x15" + varint(2**32 + 16) + HEADER[4:],
        "negative": b"\x15\x00\x15\x11" + HEADER[4:],
        "another kind": b"\x15\x00\x16\x10" + HEADER[4:],
        "twice": HEADER[:-1] + b"\x05\x04\x02" + b"\x00",
        "name of 17 bits": HEADER[:-1] + b"\x05" + varint(2 * (65536 + 2)) + b"\x02" + b"\x00",
        "no header of data": HEADER[:6] + b"\x00",
        "unknown kind": HEADER[:-1] + b"\x1f\x00",
        "deep": b"\x1c" * 50,
        "deep lists": b"\x19" * 50,
        "no end": HEADER[:-1] + b"\x15",
        "long number": b"\x15" + b"\xff" * 20,
        "behind the end": HEADER.replace(b"\x15\x10\x2c", b"\x15\x40\x2c"),
        "long text": b"\x18\xff\xff\xff\xff\x07",
    }.items(),
    ids=lambda item: item[0],
)
def test_page_headers_that_two_readers_could_take_in_two_ways_are_refused(header):
    with pytest.raises(DataError):
        page(header[1])


@given(st.binary(max_size=60))
def test_any_page_header_is_read_or_refused(data):
    try:
        pages = page(data)
    except DataError:
        return
    assert all(one.nbytes >= 0 and one.values >= 0 for one in pages)


# --- genuine files ---------------------------------------------------------------------------

ROWS = 20_000
LONG = "a category of many letters " * 20
GENUINE = pd.DataFrame(
    {
        "flag": np.arange(ROWS) % 3 == 0,
        "small": np.zeros(ROWS, "i1"),
        "none": pd.array([None] * ROWS, dtype="Int8"),
        "nan": np.full(ROWS, np.nan, "f4"),
        "long": pd.Categorical.from_codes(np.arange(ROWS) % 2, [LONG, LONG + "b"]),
        "when": pd.Categorical(pd.to_datetime(np.arange(ROWS) % 5, unit="s")),
        "text": [f"word {i % 7}" for i in range(ROWS)],
        "lists": pd.array([[None, True]] * ROWS, dtype=ARROW(pa.list_(pa.bool_()))),
        "empty": pd.array([[]] * ROWS, dtype=ARROW(pa.list_(pa.string()))),
        "pairs": pd.array([[1, 2], None] * (ROWS // 2), dtype=ARROW(pa.list_(pa.int8(), 2))),
        "fixed": pd.array([b"ab" * 20, None] * (ROWS // 2), dtype=ARROW(pa.binary(40))),
        "maps": pd.array(
            [[("k", "v")], None] * (ROWS // 2), dtype=ARROW(pa.map_(pa.string(), pa.string()))
        ),
    }
)
TEXTS = ["long", "text"]
WRITERS = {
    "ours": None,
    "no dictionaries": {"use_dictionary": False},
    "delta": {
        "use_dictionary": False, "store_schema": False,
        "column_encoding": dict.fromkeys(TEXTS, "DELTA_BYTE_ARRAY"),
    },
    "small groups": {"row_group_size": 100},
    "delta groups": {
        "row_group_size": 3000, "use_dictionary": ["maps.key_value.value"], "store_schema": False,
        "column_encoding": dict.fromkeys(TEXTS, "DELTA_BYTE_ARRAY"),
    },
    "small pages": {"data_page_size": 1, "write_batch_size": 10},
    "uncompressed": {"compression": "none"},
    "int96": {"use_deprecated_int96_timestamps": True},
    "second version": {"data_page_version": "2.0", "write_page_index": True},
    "checked": {"write_page_checksum": True},
}  # fmt: skip


@pytest.mark.parametrize("writer", WRITERS)
@pytest.mark.parametrize("kept", [None, True])
def test_genuine_files_are_within_the_budget_without_any_slack(writer, kept):
    frame, options = GENUINE, WRITERS[writer]
    file = io.BytesIO()
    if options is None:
        write_parquet(frame, file)
    else:
        if "store_schema" in options:
            frame = frame.drop(columns=["pairs", "fixed"])
        table = pa.Table.from_pandas(frame, preserve_index=kept)
        if writer in ("no dictionaries", "delta", "delta groups"):
            at = table.schema.get_field_index("long")
            table = table.set_column(at, "long", table.column(at).cast(pa.string()))
        pq.write_table(table, file, **options)
    again = read_parquet(file, frame.iloc[:0], ROWS, 8 * len(encode_frame(frame)))
    assert_frame_equal(again, frame)


# --- forms -----------------------------------------------------------------------------------


def form(letter, columns=3):
    empty = pd.Categorical([], categories=[letter])
    return pd.DataFrame({f"c{n}": empty for n in range(columns)})


def alternating(leaves, rows=0):
    counts = tuple(rows * (n % 5 == 0) for n in range(leaves))
    meta = form("a").astype(pd.CategoricalDtype(["a", "b"]))
    return ResultShape(
        "frame", 1, leaves, encode_frame(meta), (counts,), None,
        (encode_frame(form("a")), encode_frame(form("b"))),
        (tuple(n % 2 + 1 for n in range(leaves)),),
    )  # fmt: skip


def test_each_form_is_decoded_once_however_often_it_changes(monkeypatch):
    calls = []
    genuine = shape_module.decode_frame
    monkeypatch.setattr(shape_module, "decode_frame", lambda data: calls.append(1) or genuine(data))
    shape = alternating(5_000)
    roots = roots_of(shape.empty, shape)
    compare(shape.empty, shape, roots)
    assert len(calls) <= 10
    assert roots == [MerkleTree([encode_frame(form("a")), encode_frame(form("b"))] * 2_500).root]


def test_leaves_of_alternating_forms_have_their_own_roots():
    shape = alternating(40, rows=2)
    letters = ["ab"[n % 2] for n in range(40) if n % 5 == 0 for _ in range(2)]
    frame = pd.DataFrame(dict.fromkeys(("c0", "c1", "c2"), pd.Categorical(letters)))
    leaves, start = [], 0
    for n in range(40):
        stop = start + 2 * (n % 5 == 0)
        leaf = frame.iloc[start:stop].astype(pd.CategoricalDtype(["ab"[n % 2]]))
        leaves.append(encode_frame(leaf))
        start = stop
    assert roots_of(frame, shape) == [MerkleTree(leaves).root]
    with pytest.raises(DataError, match="categories"):
        roots_of(frame.iloc[::-1].reset_index(drop=True), shape)


def test_forms_of_too_many_columns_are_refused(monkeypatch):
    monkeypatch.setattr(shape_module, "_FORM_COLUMNS", 8)
    alternating(4).check()
    more = replace(alternating(4), forms=(encode_frame(form("a")),) * 3)
    with pytest.raises(DataError, match="at most 8 columns of forms"):
        more.check()
    wide = replace(alternating(4), forms=(encode_frame(form("a", 4)),) * 2)
    with pytest.raises(DataError, match="4 columns and levels in form 1"):
        wide.check()


# --- JSON lines ------------------------------------------------------------------------------


def test_no_more_pairs_are_read_than_there_may_be():
    lines = b'["a", 1]\n\n["b", 2]\nthis is never looked at\n'
    with pytest.raises(DataError, match="line 4: expected at most 2 pairs"):
        read_json_lines(io.BytesIO(lines), 2)
    assert read_json_lines(io.BytesIO(lines[:19]), 2) == [("a", 1), ("b", 2)]
    assert read_json_lines(io.BytesIO(b"\n \n"), 0) == []
    with pytest.raises(DataError, match="line 1: expected at most 0 pairs"):
        read_json_lines(io.BytesIO(lines), 0)


def test_no_more_bytes_are_read_than_there_may_be():
    class Endless(io.RawIOBase):
        taken = 0

        def readline(self, most):
            self.taken += most
            return b" " * most

    endless = Endless()
    with pytest.raises(DataError, match="line 1: expected 1000 bytes in all"):
        read_json_lines(endless, None, 1000)
    assert endless.taken == 1001
    with pytest.raises(DataError, match=re.escape("line 11: expected 1000 bytes in all")):
        read_json_lines(io.BytesIO((b" " * 99 + b"\n") * 11), None, 1000)


@pytest.mark.parametrize("item", ["[]", "{}", "0", '{"$tuple": []}'])
def test_values_of_few_bytes_are_counted_before_they_are_made(item, monkeypatch):
    from dask_verify.evidence.data import json_lines

    monkeypatch.setattr(json_lines, "_loads", lambda _: pytest.fail("it was parsed"))
    line = f'["a", [{",".join([item] * 10_000)}]]'.encode()
    with pytest.raises(DataError, match=r"line 1: expected (at most|\d+ bytes in all)"):
        read_json_lines(io.BytesIO(line), 1, 20_000)


def test_shapes_of_bags_bound_what_is_read(tmp_path):
    path = tmp_path / "r.jsonl"
    path.write_bytes(b'["a", 1]\n' * 3)
    shape = ResultShape("bag", 1, 1, nbytes=40, records=3)
    assert len(read_data(path, shape)) == 3
    with pytest.raises(DataError, match="at most 2 pairs"):
        read_data(path, replace(shape, records=2))
    path.write_bytes(b'["a", "' + b"x" * (1 << 21) + b'"]\n')
    with pytest.raises(DataError, match="bytes in all"):
        read_data(path, shape)
    for bad in ({"records": -1}, {"records": 1.0}, {"nbytes": -1}, {"nbytes": None}):
        with pytest.raises(DataError, match="shape: expected"):
            replace(shape, **bad).check()
    with pytest.raises(DataError, match="records of a bag only"):
        replace(SHAPE, records=4).check()


SMALL = st.recursive(
    st.sampled_from([None, True, False, 0, "", ",", "[", "{,[", "\x00", "é", b"", b"x", ()]),
    lambda inner: (
        st.lists(inner) | st.lists(inner).map(tuple) | st.dictionaries(st.text(max_size=2), inner)
    ),
    max_leaves=30,
)


@given(st.lists(st.tuples(SMALL, SMALL), max_size=4), st.integers(1, 50))
def test_genuine_lines_are_within_the_budget_without_any_slack(pairs, times):
    file = io.BytesIO()
    write_json_lines(pairs * times, file)
    file.seek(0)
    limit = 16 * len(encode_records(pairs * times))
    assert read_json_lines(file, len(pairs) * times, limit) == pairs * times
