from __future__ import annotations

import pandas as pd
import pytest
from pandas.testing import assert_frame_equal

from dask_verify.errors import MetaError
from dask_verify.execution.cast import cast


def empty(dtype):
    return pd.DataFrame({"a": pd.Series(dtype=dtype)})


def frame(values, dtype=None):
    return pd.DataFrame({"a": pd.Series(values, dtype=dtype)})


NEW_YORK, BERLIN = "datetime64[ns, America/New_York]", "datetime64[ns, Europe/Berlin]"

SAME_VALUES = [
    ([1.0, 2.0], "float64", "int64"),
    ([1, 2], "int64", "float64"),
    ([1, 2], "int64", "Int64"),
    ([1, None], "Int64", "float64"),
    ([1, 2], "uint8", "int32"),
    (["x", None], object, "string[pyarrow]"),
    (["x", "y"], "string[pyarrow]", object),
    (["x", "y"], object, pd.CategoricalDtype(["y", "x"])),
    ([True, None], "boolean", object),
    ([True, False], "bool", "boolean"),
    ([None, None], object, "float64"),
    ([None, None], object, "datetime64[ns]"),
    (["2013-01-01"], "datetime64[s]", "datetime64[ns]"),
    ([], object, "int64"),
    ([], "float64", "string[pyarrow]"),
]


@pytest.mark.parametrize(("values", "have", "want"), SAME_VALUES)
def test_equal_values_get_the_dtype_of_the_meta(values, have, want):
    out = cast(frame(values, have), empty(want), "mapper")
    assert out.dtypes.tolist() == empty(want).dtypes.tolist()
    before, after = frame(values, have).a, out.a
    assert before.isna().tolist() == after.isna().tolist()
    assert before.dropna().astype(object).tolist() == after.dropna().astype(object).tolist()


LOSSES = [
    ([1.5], "float64", "int64"),
    ([1.0, None], "float64", "int64"),
    ([2**53 + 1], "int64", "float64"),
    ([300], "int64", "uint8"),
    ([-1], "int64", "uint64"),
    (["1"], object, "int64"),
    ([1], "int64", "string[pyarrow]"),
    ([1, "x"], object, "string[pyarrow]"),
    ([True], "bool", "int64"),
    ([1], "int64", "bool"),
    (["x"], object, pd.CategoricalDtype(["y"])),
    (["2013-01-01"], "datetime64[ns]", NEW_YORK),
    (["2013-01-01"], NEW_YORK, BERLIN),
    (["2013-01-01"], "datetime64[ns]", "int64"),
    (["2013-01-01 00:00:00.5"], "datetime64[ns]", "datetime64[s]"),
    ([1], "timedelta64[ns]", "int64"),
]


@pytest.mark.parametrize(("values", "have", "want"), LOSSES)
def test_what_would_change_is_refused(values, have, want):
    with pytest.raises(MetaError, match=r"reducer, column 'a': expected dtype .*, got .*cast in"):
        cast(frame(values, have), empty(want), "reducer")


def test_a_frame_that_fits_is_left_alone():
    assert_frame_equal(cast(frame([1]), empty("int64"), "mapper"), frame([1]))


@pytest.mark.parametrize("columns", [["b"], ["a", "b"], []])
def test_other_columns_are_refused(columns):
    out = pd.DataFrame({name: [1] for name in columns})
    with pytest.raises(MetaError, match=r"expected the columns \['a'\], got "):
        cast(out, empty("int64"), "mapper")


def test_the_order_of_columns_counts():
    meta = pd.DataFrame({"a": [1], "b": [1]}).iloc[:0]
    with pytest.raises(MetaError, match="in this order"):
        cast(pd.DataFrame({"b": [1], "a": [1]}), meta, "mapper")


def test_index_levels_are_cast_as_columns_are():
    have = frame([1.0]).set_index(pd.Index([3.0], name="k"))
    want = empty("int64").set_index(pd.Index([], name="k", dtype="int64"))
    out = cast(have, want, "mapper")
    assert out.index.dtype == "int64"
    assert out.index.names == ["k"]
    with pytest.raises(MetaError, match="index 'k': expected dtype int64"):
        cast(have.set_axis(pd.Index([3.5], name="k"), axis=0), want, "mapper")


def test_several_index_levels_are_cast():
    levels = [[1.0, 2.0], ["x", "y"]]
    have = frame([1, 2]).set_index(pd.MultiIndex.from_arrays(levels, names=["k", "j"]))
    want = frame([1, 2]).set_index(
        pd.MultiIndex.from_arrays([[1, 2], ["x", "y"]], names=["k", "j"])
    )
    out = cast(have, want.iloc[:0], "mapper")
    assert_frame_equal(out, want)


@pytest.mark.parametrize("names", [["x"], [None], ["k", "j"]])
def test_other_index_names_are_refused(names):
    levels = [[1]] * len(names)
    index = pd.MultiIndex.from_arrays(levels, names=names)
    have = frame([1]).set_axis(index if len(names) > 1 else index.get_level_values(0), axis=0)
    want = empty("int64").set_index(pd.Index([], name="k", dtype="int64"))
    with pytest.raises(MetaError, match=r"expected an index named \['k'\]"):
        cast(have, want, "mapper")


@pytest.mark.parametrize("categories", [[], ["__UNKNOWN_CATEGORIES__"]])
def test_a_meta_with_unknown_categories_takes_any(categories):
    meta = empty(pd.CategoricalDtype(categories))
    out = cast(frame(["x", "y"], "category"), meta, "mapper")
    assert out.a.cat.categories.tolist() == ["x", "y"]


def test_columns_of_one_name_are_each_cast():
    have = pd.DataFrame([[1.0, 2.0]], columns=["a", "a"])
    want = pd.DataFrame([[1, 2]], columns=["a", "a"]).iloc[:0]
    assert cast(have, want, "mapper").dtypes.tolist() == ["int64", "int64"]
