from __future__ import annotations

import pandas as pd
import pytest
from dask.dataframe import methods
from pandas.testing import assert_frame_equal

from dask_verify.core.canonical import decode_frame, encode_frame
from dask_verify.core.keys import frame_buckets
from dask_verify.errors import InputError
from dask_verify.execution import frame
from dask_verify.execution.work import Work
from dask_verify.testing import Saboteur

ROWS = pd.DataFrame({"k": list("abcabcab"), "x": range(8)})


def work(rows=ROWS, **changes):
    options = {
        "kind": "frame",
        "mapper": lambda d: d,
        "reducer": lambda d: d,
        "combiner": None,
        "buckets": 4,
        "partitions": 2,
        "unit_records": None,
        "by": ("k",),
        "map_meta": rows.iloc[:0],
        "meta": rows.iloc[:0],
    }
    return Work(**{**options, **changes})


@pytest.mark.parametrize("size", [1, 3, 8, 9, None])
def test_units_are_runs_of_all_rows_in_order(size):
    runs = frame.units(ROWS, size)
    assert_frame_equal(pd.concat(runs), ROWS)
    assert all(size is None or len(run) <= size for run in runs)


def test_no_rows_are_one_empty_unit():
    assert list(map(len, frame.units(ROWS.iloc[:0], 3))) == [0]


def test_every_row_goes_to_the_cell_of_its_key():
    cells, counts = frame.map_unit(work(), 0, 0, ROWS, None)
    buckets = frame_buckets(ROWS, ["k"], 4)
    for b, cell in enumerate(cells):
        assert_frame_equal(decode_frame(cell), ROWS[buckets == b])
    assert counts == [int((buckets == b).sum()) for b in range(4)]


def test_one_bucket_is_not_cut():
    (cell,), counts = frame.map_unit(work(buckets=1, partitions=1), 0, 0, ROWS, None)
    assert_frame_equal(decode_frame(cell), ROWS)
    assert counts == [8]


def test_mapper_and_combiner_are_cast_to_the_meta():
    job = work(
        mapper=lambda d: d.astype({"x": float}),
        combiner=lambda d: d.groupby("k", as_index=False).x.sum().astype({"x": float}),
        buckets=1,
        partitions=1,
    )
    (cell,), _ = frame.map_unit(job, 0, 0, ROWS, None)
    assert_frame_equal(decode_frame(cell), ROWS.groupby("k", as_index=False).x.sum())


def test_a_reducer_is_not_called_without_rows():
    def reducer(d):
        raise AssertionError("called")

    leaf, consumed, produced = frame.reduce_bucket(
        work(reducer=reducer), 0, 0, [encode_frame(ROWS.iloc[:0])] * 2, None
    )
    assert_frame_equal(decode_frame(leaf), ROWS.iloc[:0])
    assert (consumed, produced) == (0, 0)


def test_cells_are_reduced_in_their_order():
    cells = [encode_frame(ROWS.iloc[i : i + 3]) for i in (6, 3, 0)]
    leaf, consumed, _ = frame.reduce_bucket(work(), 0, 0, cells, None)
    assert decode_frame(leaf).x.tolist() == [6, 7, 3, 4, 5, 0, 1, 2]
    assert consumed == 8


def test_categories_of_cells_are_united():
    parts = [pd.DataFrame({"k": pd.Categorical([k])}) for k in "ab"]
    out = frame.concat(parts, parts[0].iloc[:0])
    assert out.k.tolist() == ["a", "b"]
    assert isinstance(out.k.dtype, pd.CategoricalDtype)


class Loud(Saboteur):
    def map_output(self, partition, unit, records):
        return records.assign(x=partition * 10 + unit)

    reduce_output = map_output


def test_hooks_see_where_they_are_and_change_what_is_sealed():
    (cell,), _ = frame.map_unit(work(buckets=1, partitions=1), 5, 7, ROWS, Loud())
    assert set(decode_frame(cell).x) == {57}
    leaf, _, _ = frame.reduce_bucket(work(), 5, 7, [encode_frame(ROWS)], Loud())
    assert set(decode_frame(leaf).x) == {57}


@pytest.mark.parametrize("role", ["mapper", "combiner", "reducer"])
def test_what_is_no_frame_is_named(role):
    job = work(**{role: lambda d: d.x})

    def execute():
        frame.map_unit(job, 0, 0, ROWS, None)
        frame.reduce_bucket(job, 0, 0, [encode_frame(ROWS)], None)

    with pytest.raises(InputError, match=f"{role}: expected a pandas DataFrame, got Series"):
        execute()


# --- categories without rows ----------------------------------------------------------------

CATEGORIES = ROWS.assign(k=pd.Categorical(ROWS.k, categories=list("abcd")))


def reduced(reducer, rows=CATEGORIES, meta=None):
    meta = reducer(rows).iloc[:0] if meta is None else meta
    job = work(rows, reducer=reducer, meta=meta)
    return decode_frame(frame.reduce_bucket(job, 0, 0, [encode_frame(rows)], None)[0])


@pytest.mark.parametrize("as_index", [True, False])
def test_groups_of_categories_without_rows_are_dropped(as_index):
    out = reduced(lambda d: d.groupby("k", observed=False, as_index=as_index)[["x"]].sum())
    assert_frame_equal(out, CATEGORIES.groupby("k", observed=True, as_index=as_index)[["x"]].sum())


def test_missing_keys_stay():
    rows = CATEGORIES.assign(k=CATEGORIES.k.where(CATEGORIES.x > 1))
    out = reduced(lambda d: d.groupby("k", observed=False, dropna=False)[["x"]].sum(), rows)
    assert_frame_equal(out, rows.groupby("k", observed=True, dropna=False)[["x"]].sum())


def test_keys_that_the_reducer_renames_stay():
    def renamed(d):
        out = d.groupby("k", observed=True, as_index=False).x.sum()
        return out.assign(k=out.k.cat.rename_categories(list("wxyz")))

    assert reduced(renamed).k.tolist() == list("wxy")


def test_a_reducer_may_drop_its_keys():
    assert reduced(lambda d: d[["x"]]).x.tolist() == list(range(8))


def test_cells_that_no_mapper_gave_are_refused_before_they_cost_memory():
    made_up = bytearray(encode_frame(pd.DataFrame(index=range(3))))
    made_up[1:9] = (1 << 40).to_bytes(8, "little")
    with pytest.raises(InputError, match="expected the columns"):
        frame.reduce_bucket(work(), 0, 0, [bytes(made_up)], None)


def with_categories(values, index=None):
    rows = pd.DataFrame({"k": pd.Categorical(values), "n": range(len(values))})
    return rows if index is None else rows.set_axis(index(values), axis=0)


@pytest.mark.parametrize(
    "index",
    [
        None,
        lambda values: pd.CategoricalIndex(values, name="i"),
        lambda values: pd.MultiIndex.from_arrays(
            [pd.CategoricalIndex(values), range(len(values))], names=["i", "j"]
        ),
        lambda values: pd.Index(values, name="i"),
    ],
    ids=["range", "categorical", "levels", "plain"],
)
def test_frames_with_other_categories_are_joined_as_dask_joins_them(index):
    frames = [with_categories(list(values), index) for values in ("ba", "c", "ad")]
    before = [rows.copy() for rows in frames]
    expected = methods.concat([rows.copy() for rows in frames])
    joined = frame.concat(frames, frames[0].iloc[:0])
    assert_frame_equal(joined, expected)
    assert encode_frame(joined) == encode_frame(expected)
    for rows, was in zip(frames, before, strict=True):
        assert_frame_equal(rows, was)


@pytest.mark.parametrize("labels", [["a", None], ["a", "b"], [1, 2], [1, "a"]], ids=repr)
def test_labels_that_are_objects_stay_what_they_are(labels):
    index = pd.Index(labels, dtype=object, name="i")
    rows = pd.DataFrame({"n": [1, 2]}, index=index)
    joined = frame.concat([rows, rows], rows.iloc[:0])
    assert joined.index.dtype == object
    assert joined.index.name == "i"
    assert list(map(repr, joined.index)) == list(map(repr, labels * 2))
    again = [joined.iloc[:2], joined.iloc[2:]]
    assert [encode_frame(half) for half in again] == [encode_frame(rows)] * 2
