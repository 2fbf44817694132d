"""Frames: dtypes, labels, indexes, leaves, and everything that must not matter."""

from __future__ import annotations

import datetime as dt
from itertools import combinations, pairwise

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from canonical_cases import frames
from hypothesis import given, settings
from hypothesis import strategies as st
from pandas.testing import assert_frame_equal

from dask_verify.core.canonical import decode_frame, encode_frame, encode_frames, normalise_frame
from dask_verify.errors import EncodingError, InputError

HOUR = dt.timezone(dt.timedelta(hours=1))
FRAMES = frames()
ARROW = pd.ArrowDtype


def _columns():
    numbers = {
        kind: np.array([1, 2, 3], kind)
        for kind in ("i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f2", "c8")
    }
    times = {
        f"M8[{unit}]": np.array([1, 2, "NaT"], f"M8[{unit}]") for unit in ("s", "ms", "us", "ns")
    }
    spans = {
        f"m8[{unit}]": np.array([1, 2, "NaT"], f"m8[{unit}]") for unit in ("s", "ms", "us", "ns")
    }
    masked = {
        kind: pd.array([1, None, 0], dtype=kind)
        for kind in ("Int8", "Int16", "Int32", "Int64", "UInt8", "UInt16", "UInt32", "UInt64")
    }
    texts = {
        f"str {storage} {missing}": pd.array(
            ["a", None, "é"], dtype=pd.StringDtype(storage, na_value=missing)
        )
        for storage in ("python", "pyarrow")
        for missing in (pd.NA, np.nan)
    }
    arrow = {
        str(kind): pd.array(items, dtype=ARROW(kind))
        for kind, items in [
            (pa.string(), ["a", None, "b"]),
            (pa.large_string(), ["a", None, "b"]),
            (pa.int64(), [1, None, 2]),
            (pa.bool_(), [True, None, False]),
            (pa.list_(pa.int64()), [[1], None, []]),
            (pa.struct([("a", pa.int64())]), [{"a": 1}, None, {"a": None}]),
            (pa.timestamp("us", "UTC"), [1, None, 2]),
            (pa.date32(), [dt.date(2024, 1, 1), None, dt.date(2024, 1, 2)]),
            (pa.null(), [None, None, None]),
        ]
    }
    return {
        **numbers,
        **times,
        **spans,
        **masked,
        **texts,
        **arrow,
        "float": [0.5, np.nan, -0.0],
        "zeros": [0.5, np.nan, 0.0],
        "bool": [True, False, True],
        "zone": pd.date_range("2024-10-26", periods=3, tz="Europe/Paris"),
        "other zone": pd.date_range("2024-10-26", periods=3, tz="Europe/Paris").tz_convert("UTC"),
        "offset": pd.date_range("2024-01-01", periods=3, tz=HOUR),
        "category": pd.Categorical(["a", None, "b"], categories=["b", "a", "z"]),
        "ordered": pd.Categorical(["a", None, "b"], categories=["b", "a", "z"], ordered=True),
        "categories": pd.Categorical(["a", None, "b"], categories=["a", "b", "z"]),
        "used": pd.Categorical(["a", None, "b"], categories=["b", "a"]),
        "int categories": pd.Categorical([7, 5, 7]),
        "Float64": pd.array([0.5, None, -0.0], dtype="Float64"),
        "boolean": pd.array([True, None, False], dtype="boolean"),
        "objects": pd.Series([1, "a", None], dtype=object),
        "texts as objects": pd.Series(["a", "b", "c"], dtype=object),
        "ints as objects": pd.Series([1, 2, 3], dtype=object),
        "nested": pd.Series([{"b": 1, "a": [2]}, (1,), pd.NA], dtype=object),
    }


COLUMNS = _columns()


def _frame(name):
    return pd.DataFrame({"x": COLUMNS[name]})


@pytest.mark.parametrize("name", COLUMNS)
def test_every_dtype_round_trips(name):
    df = _frame(name)
    assert_frame_equal(decode_frame(encode_frame(df)), df)
    assert_frame_equal(normalise_frame(df), df)
    assert encode_frame(normalise_frame(df)) == encode_frame(df)


NESTED = {name for name in COLUMNS if name.startswith(("list", "struct"))}
INDEXABLE = [name for name in COLUMNS if name not in NESTED | {"nested", "null", "f2"}]


@pytest.mark.parametrize("name", INDEXABLE)
def test_every_dtype_round_trips_as_an_index(name):
    for df in (_frame(name).set_index("x"), _frame(name).assign(y=[3, 3, 5]).set_index(["y", "x"])):
        again = decode_frame(encode_frame(df))
        assert_frame_equal(again, df, check_freq=False)
        assert_frame_equal(normalise_frame(df), again)
        assert encode_frame(again) == encode_frame(df)


def test_all_dtypes_differ_from_one_another():
    assert len({encode_frame(_frame(name)) for name in COLUMNS}) == len(COLUMNS)


@pytest.mark.parametrize("name", COLUMNS)
@pytest.mark.parametrize("index", ["range", "runs", "texts"])
def test_leaves_are_the_frames_of_their_own_rows(name, index):
    df = pd.concat([_frame(name)] * 3, ignore_index=True)
    if index != "range":
        df.index = pd.Index(
            [5, 7, 9, 9, 9, -1, -2, -3, 4] if index == "runs" else list("abcdefghi")
        )
    bounds = [0, 1, 1, 3, 6, 9]
    leaves = [encode_frame(df.iloc[start:stop]) for start, stop in pairwise(bounds)]
    assert encode_frames(df, bounds) == leaves
    assert leaves[-1] == encode_frame(decode_frame(leaves[-1]))


@pytest.mark.parametrize("name", FRAMES)
def test_published_frames_round_trip(name):
    assert_frame_equal(decode_frame(encode_frame(FRAMES[name])), FRAMES[name])
    assert_frame_equal(normalise_frame(FRAMES[name]), FRAMES[name])


@pytest.mark.parametrize(
    "index",
    [
        [3],
        [3, 3],
        [3, 4, 6],
        [9, 7, 5],
        [-(2**63), 2**63 - 1],
        [2**63 - 1],
        [2**63 - 2, 2**63 - 1],
        [-(2**63), 0, -(2**63)],
        pd.RangeIndex(2**63 - 1, 2**63 - 3, -1),
        pd.RangeIndex(2**63 - 4, 2**63 - 1, 2),
        pd.RangeIndex(5, 5),
        pd.Index([], dtype="int64"),
        pd.RangeIndex(2**40),
    ],
    ids=str,
)
def test_integer_indexes(index):
    df = pd.DataFrame(index=pd.Index(index))
    df.index.names = [("n", 1)]
    again = decode_frame(encode_frame(df))
    assert again.index.equals(df.index)
    assert again.index.names == df.index.names
    assert encode_frame(again) == encode_frame(df)


@given(st.lists(st.sampled_from([0, 1, 2, 3, 2**63 - 1, -(2**63)]), max_size=6), st.data())
def test_progressions_depend_on_their_own_rows(values, data):
    df = pd.DataFrame(index=pd.Index(values, dtype="int64"))
    cut = data.draw(st.integers(0, len(values)))
    leaves = encode_frames(df, [0, cut, len(values)])
    assert leaves == [
        encode_frame(pd.DataFrame(index=pd.Index(part, dtype="int64")))
        for part in (values[:cut], values[cut:])
    ]
    assert decode_frame(leaves[0]).index.tolist() == values[:cut]


def test_range_and_equal_integers_are_one_value():
    assert encode_frame(pd.DataFrame(index=pd.RangeIndex(2, 8, 2))) == encode_frame(
        pd.DataFrame(index=pd.Index([2, 4, 6]))
    )
    assert isinstance(decode_frame(encode_frame(pd.DataFrame(index=[2, 4]))).index, pd.RangeIndex)


def test_labels_are_part_of_the_value():
    values = [[1, 2]]
    labels = [
        ["a", "b"],
        ["a", "a"],
        [0, 1],
        [0.0, 1.0],
        ["0", "1"],
        pd.MultiIndex.from_tuples([("a", 1), ("a", 2)]),
        pd.Index([("a", 1), ("a", 2)], tupleize_cols=False),
        pd.Index(["a", "b"], name="n"),
        pd.Index(["a", "b"], dtype=object),
        pd.CategoricalIndex(["a", "b"]),
        pd.to_datetime(["2024-01-01", "2024-01-02"]),
    ]
    made = [pd.DataFrame(values, columns=columns) for columns in labels]
    made += [df.rename_axis(index="i") for df in made[:1]]
    made += [df.set_axis(["r"]) for df in made[:1]]
    for df in made:
        assert_frame_equal(decode_frame(encode_frame(df)), df, check_freq=False)
    for one, other in combinations(made, 2):
        assert encode_frame(one) != encode_frame(other)


def test_how_a_frame_was_built_does_not_matter():
    whole = pd.DataFrame({"a": [1, 2, 3, 4], "f": [1.0, 2, 3, 4], "s": list("wxyz")})
    dtype = pd.StringDtype("pyarrow", na_value=np.nan)
    chunks = pa.chunked_array([["w"], ["x", "y"], ["z"]], pa.large_string())
    built = [
        pd.concat([whole[:1], whole[1:3], whole[3:]]),
        pd.concat([whole, whole], ignore_index=True)[:4],
        pd.concat([whole, whole], ignore_index=True).iloc[4:].reset_index(drop=True),
        whole[::-1][::-1],
        pa.Table.from_pandas(whole).to_pandas(),
        pd.DataFrame({"a": np.arange(8)[::2] // 2 + 1, "f": whole["f"], "s": whole["s"]}),
        whole.assign(s=dtype.__from_arrow__(chunks)),
        whole.assign(s=pd.array(["v", *"wxyz"], dtype=dtype)[1:]),
        whole.copy().set_flags(allows_duplicate_labels=False),
    ]
    built[0].attrs["note"] = "x"
    assert {encode_frame(df) for df in built} == {encode_frame(whole)}


def test_what_lies_under_a_mask_does_not_matter():
    mask = np.array([False, True])
    one = pd.arrays.IntegerArray(np.array([1, 2]), mask)
    other = pd.arrays.IntegerArray(np.array([1, 3]), mask)
    assert encode_frame(pd.DataFrame({"a": one})) == encode_frame(pd.DataFrame({"a": other}))


def test_nan_payloads_are_one():
    odd = np.array([0x7FF8000000000001, 0xFFF8000000000000], dtype="u8").view("f8")
    df = pd.DataFrame({"a": odd})
    assert encode_frame(df) == encode_frame(pd.DataFrame({"a": [np.nan, np.nan]}))
    assert normalise_frame(df)["a"].to_numpy().tobytes() == np.array([np.nan] * 2).tobytes()
    assert df["a"].to_numpy().tobytes() == odd.tobytes()


def test_normalising_drops_attributes_flags_and_freq():
    df = pd.DataFrame({"a": [1, 2]}, index=pd.date_range("2024-01-01", periods=2, freq="D"))
    df = df.set_flags(allows_duplicate_labels=False)
    df.attrs["x"] = 1
    normal = normalise_frame(df)
    assert (normal.attrs, normal.index.freq) == ({}, None)
    assert normal.flags.allows_duplicate_labels


@pytest.mark.parametrize(
    "labels",
    [
        [5, 3, 9, 1], [0, 1, 2, 3], [7, 7, 7, 7], [0, 1, 3, 3], [3, 2, 1, 0], [0, 5, 1, 15],
        [-(2**63), 2**63 - 1, 0, 1], [4, 1], [4], [],
    ],
)  # fmt: skip
def test_a_normal_index_of_whole_numbers_is_the_one_that_a_reader_gets(labels):
    index = pd.Index(labels, dtype="int64", name="n")
    df = pd.DataFrame({"a": np.arange(len(labels))}, index=index)
    normal, again = normalise_frame(df), decode_frame(encode_frame(df))
    assert_frame_equal(normal, again)
    assert type(normal.index) is type(again.index)
    assert normal.index.name == "n"
    assert not np.shares_memory(normal.index.to_numpy(), index.to_numpy())


@pytest.mark.parametrize("name", [name for name in COLUMNS if name not in NESTED])
def test_changing_a_normalised_frame_leaves_the_original(name):
    df = _frame(name)
    before = encode_frame(df)
    normal = normalise_frame(df)
    normal["x"].array[0] = df["x"].iloc[2]
    normal.iloc[1, 0] = df["x"].iloc[2]
    assert encode_frame(df) == before


def test_normalising_forgets_unused_levels():
    index = pd.MultiIndex.from_product([["a", "b"], [1, 2]], names=["k", "n"])
    df = pd.DataFrame({"v": range(4)}, index=index).iloc[:2]
    assert normalise_frame(df).index.levels[0].tolist() == ["a"]


def test_decoded_frames_can_be_written():
    for df in FRAMES.values():
        again = decode_frame(encode_frame(df))
        for place in range(again.shape[1]):
            again.iloc[0, place] = df.iloc[1, place]


def _sparse():
    return pd.arrays.SparseArray([0, 1])


@pytest.mark.parametrize(
    ("column", "advice"),
    [
        (pd.period_range("2024", periods=2, freq="D"), "to_timestamp"),
        (pd.interval_range(0, 2), "left"),
        (_sparse(), "to_dense"),
        (np.array([1, 2], dtype=">i8"), "big-endian"),
        (np.array([1, 2], dtype="g"), "float64"),
        (pd.array(["a", "b"], dtype=ARROW(pa.dictionary(pa.int8(), pa.string()))), "cast"),
    ],
    ids=["period", "interval", "sparse", "big-endian", "long double", "arrow dictionary"],
)
def test_refused_dtypes_name_the_column(column, advice):
    df = pd.DataFrame({"ok": [1, 2], "bad": column})
    for function in (encode_frame, normalise_frame, lambda df: encode_frames(df, [0, 2])):
        with pytest.raises(EncodingError, match=advice) as caught:
            function(df)
        assert caught.value.path == "column 'bad'"


def test_refused_values_name_column_and_row():
    df = pd.DataFrame({"o": pd.Series([1, 2, {"k": [object()]}, 3], dtype=object)})
    for function in (encode_frame, normalise_frame, lambda df: encode_frames(df, [0, 2, 4])):
        with pytest.raises(EncodingError) as caught:
            function(df)
        assert caught.value.path == "column 'o', row 2['k'][0]"


def test_refused_frames():
    class Sub(pd.DataFrame):
        """A subclass, such as a GeoDataFrame."""

    for bad in (Sub(), pd.Series([1]), [1], None):
        for function in (encode_frame, normalise_frame, lambda df: encode_frames(df, [0])):
            with pytest.raises(EncodingError, match="exactly a pandas"):
                function(bad)
    with pytest.raises(EncodingError, match="column labels"):
        encode_frame(pd.DataFrame({object(): [1]}))
    surrogate = pd.Series(["\ud800"], dtype=pd.StringDtype("python"))
    for function in (encode_frame, normalise_frame):
        with pytest.raises(EncodingError, match="surrogate"):
            function(pd.DataFrame({"a": surrogate}))


@pytest.mark.parametrize("bounds", [[0, 3], [2, 1], [-1, 1]])
def test_bounds_are_checked(bounds):
    with pytest.raises(InputError, match="ascend"):
        encode_frames(pd.DataFrame({"a": [1, 2]}), bounds)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.sampled_from(sorted(COLUMNS)), max_size=3), st.lists(st.integers(0, 9), max_size=4)
)
def test_mixed_frames_round_trip_in_leaves(names, cuts):
    df = pd.DataFrame({i: COLUMNS[name] for i, name in enumerate(names)}, index=range(3))
    df = pd.concat([df] * 3, ignore_index=True)
    bounds = [0, *sorted(cuts), 9]
    parts = [decode_frame(leaf) for leaf in encode_frames(df, bounds)]
    for part, (start, stop) in zip(parts, pairwise(bounds), strict=True):
        assert_frame_equal(part, df.iloc[start:stop])


@pytest.mark.parametrize("step", [2, -1, -3])
@pytest.mark.parametrize("zone", [None, "UTC", "Europe/Paris"])
def test_times_that_lie_apart_in_memory_are_encoded(zone, step):
    df = pd.DataFrame({"t": pd.date_range("2024-01-01", periods=9, freq="D", tz=zone)})
    apart = df.iloc[::step].set_index("t", drop=False)
    together = pd.DataFrame({"t": list(apart["t"])}, index=pd.Index(list(apart["t"]), name="t"))
    together = together.astype({"t": df["t"].dtype}).set_axis(
        together.index.astype(df["t"].dtype), axis=0
    )
    assert encode_frame(apart) == encode_frame(together)
