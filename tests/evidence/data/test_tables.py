"""Parquet by value: whoever wrote the file, the frame is the one that its meta describes."""

from __future__ import annotations

import contextlib
import datetime as dt
import io
from decimal import Decimal

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pandas.testing import assert_frame_equal

from dask_verify.core.canonical import encode_frame
from dask_verify.errors import DataError
from dask_verify.evidence.data import read_parquet, write_parquet

HOUR = dt.timezone(dt.timedelta(hours=1))
ARROW = pd.ArrowDtype


def arrow_columns():
    items = [
        (pa.string(), ["a", None, "é"]),
        (pa.large_string(), ["a", None, "b"]),
        (pa.binary(), [b"a", None, b"\xff"]),
        (pa.binary(2), [b"ab", None, b"cd"]),
        (pa.int8(), [1, None, -2]),
        (pa.uint64(), [2**64 - 1, None, 0]),
        (pa.float64(), [0.5, None, float("nan")]),
        (pa.float32(), [0.5, None, -0.0]),
        (pa.float16(), [0.5, None, -0.0]),
        (pa.bool_(), [True, None, False]),
        (pa.list_(pa.int64()), [[1], None, [None]]),
        (pa.large_list(pa.string()), [["a"], None, []]),
        (pa.list_(pa.int8(), 2), [[1, 2], None, [3, None]]),
        (pa.list_(pa.field("zz", pa.int8(), nullable=False)), [[1, 2], None, []]),
        (pa.struct([("a", pa.int64())]), [{"a": 1}, None, {"a": None}]),
        (pa.struct([("a", pa.list_(pa.float64()))]), [{"a": [0.1]}, None, {"a": None}]),
        (pa.map_(pa.string(), pa.int64()), [[("k", 1)], None, []]),
        (pa.timestamp("us", "UTC"), [1, None, 2]),
        (pa.timestamp("s"), [1, None, 2]),
        (pa.timestamp("ns", "Europe/Paris"), [1, None, 2]),
        (pa.date32(), [dt.date(2024, 1, 1), None, dt.date(2024, 1, 2)]),
        (pa.date64(), [dt.date(2024, 1, 1), None, dt.date(2024, 1, 2)]),
        (pa.time32("s"), [dt.time(1), None, dt.time(2)]),
        (pa.time64("ns"), [1, None, 2]),
        (pa.duration("ms"), [1, None, 2]),
        (pa.decimal128(5, 2), [Decimal("1.00"), None, Decimal("-0.01")]),
        (pa.decimal256(50, 2), [Decimal("1.00"), None, Decimal("2.50")]),
        (pa.null(), [None, None, None]),
    ]
    return {str(kind): pd.array(pa.array(v, kind), dtype=ARROW(kind)) for kind, v in items}


def columns():
    plain = ("i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f2", "f4")
    times = (f"{kind}[{unit}]" for kind in ("M8", "m8") for unit in ("s", "ms", "us", "ns"))
    masked = ("Int8", "Int16", "Int32", "Int64", "UInt8", "UInt16", "UInt32", "UInt64", "Float32")
    zoned = pd.date_range("2024-10-26 12:00", periods=3, tz="Europe/Paris")
    texts = (pd.StringDtype(s, na_value=n) for s in ("python", "pyarrow") for n in (pd.NA, np.nan))
    return {
        **{kind: np.array([1, 2, 3], kind) for kind in plain},
        **{kind: np.array([1, 2, "NaT"], kind) for kind in times},
        **{kind: pd.array([1, None, 0], dtype=kind) for kind in masked},
        **{f"{t!r} {t.na_value}": pd.array(["a", None, "é"], dtype=t) for t in texts},
        **arrow_columns(),
        "u8 large": np.array([1, 2**64 - 1, 0], "u8"),
        "float": np.array([0.5, np.nan, -0.0]),
        "zeros": np.array([0.5, 1e-320, 0.0]),
        "infinities": np.array([np.inf, -np.inf, np.nan]),
        "bool": np.array([True, False, True]),
        "boolean": pd.array([True, None, False], dtype="boolean"),
        "Float64": pd.array([0.5, None, -0.0], dtype="Float64"),
        "Float64 nan": pd.arrays.FloatingArray(np.array([1, np.nan, 2]), np.array([0, 0, 1]) > 0),
        "zone": zoned,
        "utc": zoned.tz_convert("UTC").as_unit("ns"),
        "offset": zoned.tz_convert(HOUR),
        "old": pd.DatetimeIndex(["0001-01-01", None, "9999-12-31"], dtype="M8[us]"),
        "category": pd.Categorical(["a", None, "b"], categories=["b", "a", "z"]),
        "ordered": pd.Categorical(["a", None, "b"], categories=["b", "a", "z"], ordered=True),
        "no categories": pd.Categorical([None] * 3),
        "int categories": pd.Categorical([7, None, 5]),
        "float categories": pd.Categorical([0.5, None, -0.0]),
        "bool categories": pd.Categorical([True, None, False]),
        "time categories": pd.Categorical([zoned[0], None, zoned[2]]),
        "span categories": pd.Categorical(pd.to_timedelta([1, None, 5], unit="s")),
        "object categories": pd.Categorical(pd.Series(["b", None, "a"], dtype=object)),
        "null objects": pd.Series([None] * 3, dtype=object),
        "objects": pd.Series(["a", None, ""], dtype=object),
        "all str": pd.Series(["a", "b", ""], dtype=object),
        "byte objects": pd.Series([b"a", None, b"\xff"], dtype=object),
        "int objects": pd.Series([1, None, -(2**63)], dtype=object),
        "bool objects": pd.Series([True, None, False], dtype=object),
        "float objects": pd.Series([1.5, None, float("nan")], dtype=object),
        "date objects": pd.Series([dt.date(2024, 1, 1), None, dt.date(1, 1, 1)], dtype=object),
    }


COLUMNS = columns()
REFUSED = {
    "complex": np.array([1j, 2, 3]),
    "c8": np.array([1j, 2, 3], "c8"),
    "mixed": pd.Series([1, "a", None], dtype=object),
    "bool and int": pd.Series([1, True, 0], dtype=object),
    "nested": pd.Series([{"a": 1}, [2], None], dtype=object),
    "lists": pd.Series([[1], [2], []], dtype=object),
    "nan objects": pd.Series(["a", float("nan"), "b"], dtype=object),
    "na objects": pd.Series(["a", pd.NA, "b"], dtype=object),
    "tuples": pd.Series([(1,), (2,), None], dtype=object),
    "numpy objects": pd.Series([np.int64(1)] * 3, dtype=object),
    "decimals": pd.Series([Decimal("1.0"), Decimal("1.00"), None], dtype=object),
    "big objects": pd.Series([2**64, 1, 2], dtype=object),
    "surrogates": pd.Series(["\ud800", "a", None], dtype=object),
    "seconds": np.array([2**62, 0, 1], "M8[s]"),
    "arrow seconds": pd.array(
        pa.array([2**62, 0, 1], pa.timestamp("s")), dtype=ARROW(pa.timestamp("s"))
    ),
    "mixed categories": pd.Categorical(pd.Series([1, "a", None], dtype=object)),
    "period": pd.period_range("2024", periods=3, freq="D"),
    "interval": pd.interval_range(0, 3),
    "sparse": pd.arrays.SparseArray([0, 1, 0]),
}  # fmt: skip


def written(frame):
    file = io.BytesIO()
    write_parquet(frame, file)
    return file


def check(frame, file=None):
    again = read_parquet(file or written(frame), frame.iloc[:0], len(frame))
    assert encode_frame(again) == encode_frame(frame)
    assert_frame_equal(again, frame, check_freq=False)


@pytest.mark.parametrize("name", COLUMNS)
def test_every_dtype_survives(name):
    frame = pd.DataFrame({"x": COLUMNS[name], "n": [1, 2, 3]})
    for rows in (frame, frame.iloc[:0], frame.iloc[1:2], pd.concat([frame] * 3)):
        check(rows)


UNINDEXED = {"null", "f2", "halffloat", "time64[ns]"} | {name for name in COLUMNS if "<" in name}


@pytest.mark.parametrize("name", [n for n in COLUMNS if n not in UNINDEXED])
def test_every_dtype_survives_as_an_index(name):
    frame = pd.DataFrame({"x": COLUMNS[name], "n": [1, 1, 3], "v": [0.5, 1, 2]})
    check(frame.set_index("x"))
    check(frame.set_index(["n", "x"]))
    check(frame.set_index("x").iloc[:0])


@pytest.mark.parametrize("name", REFUSED)
def test_what_parquet_cannot_hold_is_refused_before_it_is_written(name):
    frame = pd.DataFrame({"ok": [1, 2, 3], "bad": REFUSED[name]})
    for bad in (frame, frame.set_index("bad")):
        file = io.BytesIO()
        with pytest.raises(DataError, match=r"'bad'|seconds|cast|Parquet"):
            write_parquet(bad, file)
        assert file.getvalue() == b""


INDEXES = {
    "range": pd.RangeIndex(3),
    "named range": pd.RangeIndex(3, name="r"),
    "shifted": pd.RangeIndex(5, 8),
    "steps": pd.RangeIndex(9, 0, -3, name=("a", 1)),
    "numbers": pd.Index([5, 5, -1]),
    "restarted": pd.Index([0, 1, 0]),
    "texts": pd.Index(["b", "a", None], name="x"),
    "number name": pd.Index([1.5, np.nan, -0.0], name=7),
    "levels": pd.MultiIndex.from_tuples([("a", 1), ("b", 2), ("a", 1)], names=["k", None]),
    "no names": pd.MultiIndex.from_tuples([("a", 1), ("b", 2), (None, 1)]),
}
LABELS = {
    "texts": ["a", "b"],
    "numbers": [0, 1],
    "floats": [0.5, 1.5],
    "bools": [True, False],
    "mixed": [1, "b"],
    "none": [None, "b"],
    "tuples": pd.Index([("a", 1), ("a", 2)], tupleize_cols=False),
    "levels": pd.MultiIndex.from_tuples([("a", 1), ("a", 2)], names=["u", None]),
    "times": pd.to_datetime(["2024-01-01", "2024-01-02"]),
    "bytes": [b"a", b"\xff"],
    "category": pd.CategoricalIndex(["b", "a"], categories=["c", "a", "b"]),
    "named": pd.Index(["a", "b"], name="n"),
    "like an index": ["__index_level_0__", "b"],
    "empty": ["", "b"],
    "none at all": [],
}


@pytest.mark.parametrize("labels", LABELS)
@pytest.mark.parametrize("index", INDEXES)
def test_labels_and_indexes_survive(index, labels):
    values = np.arange(3 * len(LABELS[labels])).reshape(3, -1)
    frame = pd.DataFrame(values, INDEXES[index], columns=LABELS[labels])
    if labels == "like an index" and frame.index.names[0] is None:
        with pytest.raises(DataError, match="twice"):
            written(frame)
    else:
        check(frame)
        check(frame.iloc[:0])


@pytest.mark.parametrize(
    "labels", [["a", "a"], [1, "1"], [1.5, "1.5"], ["a\ud800", "b"]], ids=ascii
)
def test_names_that_are_one_in_a_file_are_refused(labels):
    file = io.BytesIO()
    with pytest.raises(DataError, match=r"twice|UTF-8"):
        write_parquet(pd.DataFrame([[1, 2]], columns=pd.Index(labels, dtype=object)), file)
    assert file.getvalue() == b""


def test_a_column_and_a_level_may_share_a_name():
    check(pd.DataFrame({"k": [1, 2]}, index=pd.Index(["a", "b"], name="k")))
    with pytest.raises(DataError, match="twice"):
        written(
            pd.DataFrame({"v": [1]}, index=pd.MultiIndex.from_tuples([(1, 2)], names=["k", "k"]))
        )


def test_attributes_do_not_matter():
    frame = pd.DataFrame({"a": [1]}, index=pd.date_range("2024-01-01", periods=1, freq="D"))
    frame.attrs["x"] = object()
    check(frame)
    assert read_parquet(written(frame), frame.iloc[:0]).attrs == {}


class Sub(pd.DataFrame):
    """A subclass."""


@pytest.mark.parametrize("bad", [Sub(), None, [1], pd.Series([1])], ids=lambda b: type(b).__name__)
def test_what_is_no_frame_is_refused(bad):
    with pytest.raises(DataError, match=r"expected a pandas.DataFrame"):
        written(bad)


# --- other writers ---------------------------------------------------------------------------

COMMON = pd.DataFrame(
    {
        "s": ["a", None, "é"] * 40,
        "i": np.arange(120, dtype="i2"),
        "f": [0.5, np.nan, -0.0] * 40,
        "b": [True, False, True] * 40,
        "t": pd.date_range("2024-01-01", periods=120, freq="h"),
        "z": pd.date_range("2024-01-01", periods=120, freq="h", tz="Europe/Paris"),
        "c": pd.Categorical(["u", None, "v"] * 40, categories=["v", "w", "u"]),
        "n": pd.array([1, None, 3] * 40, dtype="Int32"),
        "d": pd.to_timedelta(np.arange(120), unit="s"),
    }
)
WRITERS = {
    "defaults": {},
    "groups": {"row_group_size": 7},
    "zstd": {"compression": "zstd", "use_dictionary": False},
    "gzip pages": {"compression": "gzip", "data_page_size": 64, "data_page_version": "2.0"},
    "old": {"version": "1.0", "compression": "none"},
    "2.4": {"version": "2.4"},
    "plain schema": {"store_schema": False},
    "split": {"use_byte_stream_split": ["f"], "use_dictionary": ["s"]},
}


@pytest.mark.parametrize("options", WRITERS)
@pytest.mark.parametrize("kept", ["index", "no index", "all columns"])
@pytest.mark.parametrize("metadata", [True, False])
def test_other_writers_change_nothing(options, kept, metadata):
    frame = COMMON if options not in ("plain schema",) else COMMON.drop(columns="d")
    keep = {"index": None, "no index": False, "all columns": True}[kept]
    table = pa.Table.from_pandas(frame, preserve_index=keep)
    if not metadata:
        table = table.replace_schema_metadata(None)
    file = io.BytesIO()
    pq.write_table(table, file, **WRITERS[options])
    check(frame, file)


@pytest.mark.parametrize("index", INDEXES)
def test_files_of_pandas_are_read(index):
    frame = COMMON.iloc[:3].set_axis(INDEXES[index], axis=0)
    if not all(isinstance(name, str | None) for name in frame.index.names):
        frame = frame.rename_axis(index=["x"] * frame.index.nlevels)
    file = io.BytesIO()
    frame.to_parquet(file)
    check(frame, file)


def test_pandas_reads_what_is_written():
    for index in INDEXES.values():
        frame = COMMON.iloc[:3].set_axis(index, axis=0)
        if all(isinstance(name, str | None) for name in frame.index.names):
            file = written(frame)
            assert_frame_equal(pd.read_parquet(file), frame, check_freq=False)


VARIANTS = {
    "large": (["a", None], pa.large_string(), "str"),
    "view": (["a", None], pa.string_view(), "str"),
    "dictionary": (["a", None], pa.dictionary(pa.int8(), pa.string()), "str"),
    "narrow": ([1, 2], pa.int8(), "int64"),
    "wide": ([1, 2], pa.int64(), "uint8"),
    "whole floats": ([1.0, 2.0], pa.float64(), "int32"),
    "floats of whole": ([1, 2**53], pa.int64(), "float64"),
    "exact": ([0.5, None], pa.float64(), "float32"),
    "null ints": ([1.0, None], pa.float64(), "Int8"),
    "units": ([1000, None], pa.timestamp("us"), "M8[ms]"),
    "wider units": ([1, None], pa.timestamp("s"), "M8[ns]"),
    "zones": ([1, None], pa.timestamp("us", "Asia/Tokyo"), "datetime64[ns, Europe/Paris]"),
    "spans": ([1000, None], pa.duration("us"), "m8[ms]"),
    "nothing": ([None, None], pa.null(), "str"),
    "null floats": ([None, None], pa.null(), "float64"),
    "categories": (["a", None], pa.string(), pd.CategoricalDtype(["b", "a"])),
    "number categories": ([1.0, None], pa.float64(), pd.CategoricalDtype([2, 1])),
    "lists": ([[1], None], pa.large_list(pa.int32()), ARROW(pa.list_(pa.int64()))),
}


@pytest.mark.parametrize("name", VARIANTS)
def test_variants_of_one_type_are_one(name):
    values, kind, dtype = VARIANTS[name]
    shown = pa.large_string() if pa.types.is_string_view(kind) else kind
    expected = pd.DataFrame({"x": pd.array(pa.array(values, shown), dtype=ARROW(shown))})
    file = io.BytesIO()
    pq.write_table(pa.table({"x": pa.array(values, kind)}), file)
    again = read_parquet(file, pd.DataFrame({"x": pd.Series(dtype=dtype)}))
    assert again["x"].dtype == pd.Series(dtype=dtype).dtype
    assert again["x"].isna().tolist() == expected["x"].isna().tolist()
    assert again["x"].dropna().iloc[:1].tolist() in (
        expected["x"].dropna().iloc[:1].tolist(),
        [pd.Timestamp(1000, unit="us")], [pd.Timestamp(1, unit="s")], [pd.Timedelta("1ms")],
        [pd.Timestamp(1, unit="us", tz="UTC")],
    )  # fmt: skip


LOSSES = {
    "too large": ([300, 1], pa.int64(), "int8"),
    "negative": ([-1, 1], pa.int64(), "uint64"),
    "fraction": ([1.5, 2.0], pa.float64(), "int64"),
    "rounded": ([2**53 + 1, 2], pa.int64(), "float64"),
    "narrowed": ([0.1, 0.2], pa.float64(), "float32"),
    "narrowed to half": ([0.1, 0.2], pa.float32(), "float16"),
    "narrowed lists": ([[0.1], [0.2]], pa.list_(pa.float64()), ARROW(pa.list_(pa.float32()))),
    "null": ([1, None], pa.int64(), "int64"),
    "null bool": ([True, None], pa.bool_(), "bool"),
    "number of text": (["1", "2"], pa.string(), "int64"),
    "text of number": ([1, 2], pa.int64(), "str"),
    "bool of number": ([1, 0], pa.int64(), "bool"),
    "number of bool": ([True, False], pa.bool_(), "int64"),
    "text of bytes": ([b"a", b"b"], pa.binary(), "str"),
    "time of number": ([1, 2], pa.int64(), "M8[ns]"),
    "time of text": (["2024-01-01", "2024-01-02"], pa.string(), "M8[ns]"),
    "zone": ([1, 2], pa.timestamp("us"), "datetime64[us, UTC]"),
    "no zone": ([1, 2], pa.timestamp("us", "UTC"), "M8[us]"),
    "cut times": ([1, 2], pa.timestamp("ns"), "M8[s]"),
    "cut spans": ([1, 2], pa.duration("ns"), "m8[s]"),
    "far times": ([2**60, 2], pa.timestamp("ms"), "M8[ns]"),
    "other category": (["a", "x"], pa.string(), pd.CategoricalDtype(["a"])),
    "category of number": ([1, 2], pa.int64(), pd.CategoricalDtype(["1", "2"])),
    "category of bool": ([True, False], pa.bool_(), pd.CategoricalDtype([1, 0])),
    "dates of objects": ([1, 2], pa.timestamp("us"), "object"),
    "lists of objects": ([[1], [2]], pa.list_(pa.int64()), "object"),
    "float objects": ([0.5, 2], pa.float32(), "object"),
    "struct": (
        [{"a": 1}] * 2, pa.struct([("a", pa.int64())]), ARROW(pa.struct([("b", pa.int64())]))
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", LOSSES)
def test_values_that_would_change_are_refused(name):
    values, kind, dtype = LOSSES[name]
    file = io.BytesIO()
    pq.write_table(pa.table({"x": pa.array(values, kind)}), file)
    with pytest.raises(DataError, match=r"'x'.*expected"):
        read_parquet(file, pd.DataFrame({"x": pd.Series(dtype=dtype)}))


# --- what is wrong with files ----------------------------------------------------------------


def stored(table):
    file = io.BytesIO()
    pq.write_table(table, file)
    return file


META = pd.DataFrame({"a": pd.Series(dtype="int64"), "b": pd.Series(dtype="str")})
TABLE = pa.table({"a": [1, 2], "b": ["x", "y"]})


def test_columns_must_be_the_expected_ones():
    with pytest.raises(DataError, match=r"without .'b'"):
        read_parquet(stored(TABLE.select(["a"])), META)
    with pytest.raises(DataError, match=r"with .'c'"):
        read_parquet(stored(TABLE.append_column("c", [[1, 2]])), META)
    with pytest.raises(DataError, match="one twice"):
        read_parquet(stored(pa.table([[1], [2], ["x"]], names=["a", "a", "b"])), META)
    named = META.rename_axis(index="k").set_axis(pd.Index([], dtype="str", name="k"), axis=0)
    with pytest.raises(DataError, match=r"without .'k'"):
        read_parquet(stored(TABLE), named)
    again = read_parquet(stored(TABLE.select(["b", "a"])), META)
    assert_frame_equal(again, TABLE.to_pandas())


def test_rows_are_counted_before_they_are_read():
    with pytest.raises(DataError, match="expected 3 rows, got 2"):
        read_parquet(stored(TABLE), META, 3)
    huge = pa.table({"a": pa.chunked_array([np.zeros(10**6, "i8")]), "b": ["x"] * 10**6})
    with pytest.raises(DataError, match="expected 1 rows, got 1000000"):
        read_parquet(stored(huge), META, 1)


@pytest.mark.parametrize("word", ["x" * 10**7, b"x" * 10**7], ids=["text", "bytes"])
def test_long_texts_for_every_row_are_refused_before_they_are_spelled_out(word):
    words = pa.DictionaryArray.from_arrays(np.zeros(10**5, "i4"), pa.array([word]))
    for column in (words, words.slice(0, 20).dictionary_decode()):
        file = stored(pa.table({"a": np.arange(len(column)), "b": column}))
        meta = META.astype({"b": "str" if isinstance(word, str) else ARROW(pa.binary())})
        with pytest.raises(DataError, match="expected columns of at most 100000000 bytes"):
            read_parquet(file, meta, len(column), 10**8)
    small = stored(TABLE)
    assert len(read_parquet(small, META, 2, 1000)) == 2


@pytest.mark.parametrize(
    "described",
    [
        b"", b"{", b"[]", b"null", b'{"index_columns": []}', b'{"index_columns": 3}',
        b'{"index_columns": [{"start": 0, "stop": 9, "step": 1}]}',
        b'{"index_columns": [{"start": 0, "stop": 2, "step": 0}]}',
        b'{"index_columns": [{"start": 0, "stop": "2", "step": 1}]}',
        b'{"index_columns": [{"start": 0.5, "stop": 2, "step": 1}]}',
        b'{"index_columns": [{"start": 0, "stop": 1' + b"0" * 40 + b', "step": 1}]}',
        b'{"index_columns": [{"start": 1' + b"0" * 30 + b', "stop": 2, "step": 1}]}',
        b"[" * 10**5, b"\xff",
    ],
    ids=lambda b: b[:60].decode("latin-1"),
)  # fmt: skip
def test_metadata_that_says_nothing_of_use_is_no_index(described):
    file = stored(TABLE.replace_schema_metadata({b"pandas": described}))
    assert read_parquet(file, META, 2).index.equals(pd.RangeIndex(2))


@pytest.mark.parametrize(
    "data", [b"", b"PAR1", b"PAR1PAR1", b"PAR1" + b"\xff" * 40 + b"PAR1", b"x" * 99]
)
def test_what_is_no_parquet_is_refused(data):
    with pytest.raises(DataError, match="expected a Parquet file"):
        read_parquet(io.BytesIO(data), META)


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_damaged_files_are_read_or_refused(data):
    damaged = bytearray(written(COMMON.iloc[:6]).getvalue())
    for _ in range(data.draw(st.integers(1, 4))):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    end = data.draw(st.integers(len(damaged) // 2, len(damaged)) | st.just(len(damaged)))
    with contextlib.suppress(DataError):
        read_parquet(io.BytesIO(bytes(damaged[:end])), COMMON.iloc[:0], 6)
