"""Roots of a concatenated result are those that its leaves had, for real reducers."""

from __future__ import annotations

import io
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pandas.testing import assert_frame_equal

from dask_verify.core.canonical import decode_frame, encode_frame, encode_records
from dask_verify.core.keys import frame_buckets, key_bucket
from dask_verify.core.merkle import MerkleTree
from dask_verify.errors import DataError, VerifyError
from dask_verify.evidence.data import (
    ResultShape,
    compare,
    frame_shape,
    read_parquet,
    roots_of,
    write_parquet,
)
from dask_verify.execution import frame as execution
from dask_verify.execution.work import Work

# --- bags ------------------------------------------------------------------------------------


def bag_leaves(pairs, shape):
    leaves = [[] for _ in range(shape.buckets)]
    for pair in pairs:
        leaves[key_bucket(pair[0], shape.buckets)].append(pair)
    return leaves


def bag_roots(leaves, shape):
    encoded = list(map(encode_records, leaves))
    return [
        MerkleTree(encoded[start : start + shape.run]).root
        for start in range(0, shape.buckets, shape.run)
    ]


KEYS = st.one_of(
    st.none(), st.booleans(), st.integers(-5, 2**70), st.text(max_size=3), st.floats(), st.binary()
)


@given(st.lists(st.tuples(KEYS, KEYS), max_size=20), st.sampled_from([(1, 1), (2, 4), (3, 24)]))
def test_a_bag_has_the_roots_of_its_leaves(pairs, sizes):
    shape = ResultShape("bag", *sizes)
    leaves = bag_leaves(pairs, shape)
    result = [pair for leaf in leaves for pair in leaf]
    roots = bag_roots(leaves, shape)
    assert roots_of(result, shape) == roots
    compare(result, shape, roots)


PAIRS = [("the", 1), ("fox", 2), ("jumps", 3), ("over", 4), ("the", 5), ("dog", 6), ("and", 7)]
BAG = ResultShape("bag", 2, 8)
GENUINE = [pair for leaf in bag_leaves(PAIRS, BAG) for pair in leaf]
BAG_ROOTS = bag_roots(bag_leaves(PAIRS, BAG), BAG)


@pytest.mark.parametrize("place", range(len(GENUINE)))
def test_changed_pairs_name_their_partition(place):
    partition = key_bucket(GENUINE[place][0], 8) // 4
    key, value = GENUINE[place]
    changed = [(key, value + 0.0), (key, value == 0), (key, (value,))]
    for other in [*([pair] for pair in changed), [], [GENUINE[place]] * 2]:
        with pytest.raises(DataError, match=f"partition {partition} .pairs") as caught:
            compare(GENUINE[:place] + other + GENUINE[place + 1 :], BAG, BAG_ROOTS)
        assert caught.value.partition == partition
        assert caught.value.expected == BAG_ROOTS[partition] != caught.value.got


def test_pairs_in_another_order_are_told():
    with pytest.raises(DataError, match=r"pair \d: expected the order of a verified result"):
        compare(GENUINE[::-1], BAG, BAG_ROOTS)
    same = [("a", 1), ("a", 2)]
    one = ResultShape("bag", 1, 1)
    with pytest.raises(DataError, match="partition 0"):
        compare(same[::-1], one, roots_of(same, one))


@pytest.mark.parametrize(
    "bad", [None, (), {}, pd.DataFrame(), [1], [("a",)], [["a", 1]], [({}, 1)]]
)
def test_what_is_no_list_of_pairs(bad):
    with pytest.raises(DataError, match=r"expected a"):
        roots_of(bad, BAG)


def test_roots_must_be_as_many_as_partitions():
    with pytest.raises(DataError, match="roots of 2 partitions, got 1"):
        compare(GENUINE, BAG, BAG_ROOTS[:1])
    for bad in ([None, None], [b"", b""], ["a", "b"], BAG_ROOTS[::-1]):
        with pytest.raises(DataError, match="partition 0"):
            compare(GENUINE, BAG, bad)


# --- frames: real reducers -------------------------------------------------------------------

N = 60
RNG = np.random.default_rng(0)
ROWS = pd.DataFrame(
    {
        "k": RNG.choice(["a", "b", "c", None, "eé"], N),
        "n": RNG.integers(0, 4, N),
        "x": RNG.choice([0.5, -0.0, 0.0, np.nan, 1e300], N),
        "i": pd.array(RNG.choice([1, 2, None], N), dtype="Int16"),
        "t": pd.Series(pd.to_datetime(RNG.choice(["2024-03-31 01:00", "2024-10-27 00:30"], N)))
        .dt.tz_localize("UTC")
        .dt.tz_convert("Europe/Paris"),
        "d": pd.to_timedelta(RNG.integers(0, 9, N), unit="s"),
        "b": RNG.choice([True, False], N),
        "c": pd.Categorical(RNG.choice(["u", "v", None], N), categories=["w", "v", "u"]),
        "o": pd.Series(RNG.choice(["p", None], N), dtype=object),
    }
)

REDUCERS = {
    "identity": lambda d: d,
    "sum": lambda d: d.groupby("k")[["n", "x"]].sum(),
    "columns": lambda d: d.groupby("k", as_index=False, dropna=False)[["n", "i"]].sum(),
    "levels": lambda d: d.groupby(["k", "n"], dropna=False)[["x", "b"]].max(),
    "levels of categories": lambda d: d.groupby(["k", "c"], observed=True)[["n"]].sum(),
    "category index": lambda d: d.groupby("c", observed=True)[["n"]].sum(),
    "time index": lambda d: d.groupby("t")[["i", "d"]].max(),
    "filter": lambda d: d[d.n > 2],
    "reset": lambda d: d.sort_values("n").reset_index(drop=True),
    "none": lambda d: d.iloc[:0],
    "only some": lambda d: d[d.k == "a"],
    "duplicates": lambda d: pd.concat([d, d]),
    "statistics": lambda d: d.groupby("k")[["x"]].agg(["min", "max"]),
    "no columns": lambda d: d[[]],
    "number index": lambda d: d.set_index("n")[["x"]],
    "nullable index": lambda d: d.set_index("i")[["x"]],
}


def reduced(reducer, rows=ROWS, meta=None, by="k", partitions=3, buckets=6):
    """Run the stages on rows; return the leaves of each partition, and the result."""
    meta = reducer(rows).iloc[:0] if meta is None else meta
    work = Work(
        "frame", lambda d: d, reducer, None, buckets, partitions, None, (by,), rows.iloc[:0], meta
    )
    cells, _ = execution.map_unit(work, 0, 0, rows, None)
    leaves = [execution.reduce_bucket(work, 0, 0, [cell], None)[0] for cell in cells]
    result = execution.concat([decode_frame(leaf) for leaf in leaves], meta)
    run = buckets // partitions
    return [leaves[i : i + run] for i in range(0, buckets, run)], result


def roots(leaves):
    return [MerkleTree(part).root for part in leaves]


def reread(frame, meta):
    file = io.BytesIO()
    write_parquet(frame, file)
    return read_parquet(file, meta, len(frame))


@pytest.mark.parametrize("by", ["k", "n", "c"])
@pytest.mark.parametrize("name", REDUCERS)
def test_a_result_has_the_roots_of_its_leaves(name, by):
    for rows in (ROWS, ROWS.iloc[:1], ROWS.iloc[:0]):
        leaves, result = reduced(REDUCERS[name], rows, REDUCERS[name](ROWS).iloc[:0], by)
        shape = frame_shape(leaves, result)
        assert roots_of(result, shape) == roots(leaves)
        again = reread(result, shape.empty)
        assert_frame_equal(again, result, check_freq=False)
        compare(again, shape, roots(leaves))


def test_an_index_of_objects_is_kept():
    """In one leaf: pandas infers the dtype of an index of objects when it concatenates."""
    leaves, result = reduced(lambda d: d.set_index("o")[["b"]], partitions=1, buckets=1)
    shape = frame_shape(leaves, result)
    assert result.index.dtype == object
    compare(reread(result, shape.empty), shape, roots(leaves))


def test_leaves_with_categories_of_their_own_are_recovered():
    rows = ROWS[["k", "n"]].assign(k=ROWS.k.fillna("z").astype("category"))
    reducer = lambda d: d.assign(k=d.k.cat.remove_unused_categories())  # noqa: E731
    open_meta = rows.iloc[:0].assign(k=pd.Categorical([], ["__UNKNOWN_CATEGORIES__"]))
    for reducing in (reducer, lambda d: reducer(d).set_index("k")):
        meta = open_meta if reducing is reducer else open_meta.set_index("k")
        leaves, result = reduced(reducing, rows, meta)
        shape = frame_shape(leaves, result)
        assert len(shape.forms) > 1
        assert roots_of(result, shape) == roots(leaves)
        compare(reread(result, shape.empty), shape, roots(leaves))
        with pytest.raises(DataError, match=r"partition|categories"):
            compare(result, replace(shape, forms=(), formed=()), roots(leaves))


def test_a_sorted_file_is_compared_in_the_order_of_its_leaves():
    leaves, result = reduced(REDUCERS["identity"])
    order = result.reset_index(drop=True).sort_values(["n"], kind="stable").index
    ordered = result.sort_values("n", kind="stable")
    shape = frame_shape(leaves, result, order)
    compare(reread(ordered, shape.empty), shape, roots(leaves))
    with pytest.raises(DataError, match="of the verified order"):
        compare(result, shape, roots(leaves))


@pytest.mark.parametrize("name", ["identity", "sum", "levels"])
def test_any_change_of_a_frame_is_found_where_it_is(name):
    leaves, result = reduced(REDUCERS[name])
    shape = frame_shape(leaves, result)
    ends = np.cumsum([sum(part) for part in shape.rows])
    column = result.columns.get_loc("x")
    for row in range(len(result)):
        changed = result.copy()
        changed.iloc[row, column] = 77.0
        partition = int(np.searchsorted(ends, row, side="right"))
        with pytest.raises(DataError, match=f"partition {partition} .rows") as caught:
            compare(changed, shape, roots(leaves))
        assert caught.value.partition == partition


def test_other_forms_of_a_frame_are_refused():
    leaves, result = reduced(REDUCERS["identity"])
    shape = frame_shape(leaves, result)
    changes = {
        "dropped row": result.iloc[1:],
        "twice": pd.concat([result, result]),
        "dropped column": result.drop(columns="x"),
        "other name": result.rename(columns={"x": "y"}),
        "other order": result[list(result.columns[::-1])],
        "other dtype": result.astype({"n": "int32"}),
        "nullable": result.astype({"n": "Int64"}),
        "object": result.astype({"k": object}),
        "zone": result.assign(t=result.t.dt.tz_convert("UTC")),
        "new category": result.assign(c=result.c.cat.rename_categories({"u": "U"})),
        "ordered": result.assign(c=result.c.cat.as_ordered()),
        "index": result.reset_index(drop=True),
        "index name": result.rename_axis("i"),
        "reversed": result.iloc[::-1],
        "pairs": [(1, 2)],
        "series": result.x,
    }
    for changed in changes.values():
        with pytest.raises(DataError):
            compare(changed, shape, roots(leaves))
    with pytest.raises(DataError, match="written without its index"):
        compare(changes["index"], shape, roots(leaves))
    compare(result.assign(c=result.c.cat.reorder_categories(list("uvw"))), shape, roots(leaves))


def test_categories_that_python_calls_equal_are_not():
    genuine = pd.DataFrame({"c": pd.Categorical(np.array([1, "a"], dtype=object))})
    shape = frame_shape([[encode_frame(genuine)]], genuine)
    forged = pd.DataFrame({"c": pd.Categorical(np.array([True, "a"], dtype=object))})
    with pytest.raises(DataError, match="expected categories"):
        roots_of(forged, shape)


# --- shapes ----------------------------------------------------------------------------------

FRAME = ResultShape("frame", 2, 4, encode_frame(ROWS.iloc[:0]), ((1, 2), (0, 0)))


@pytest.mark.parametrize(
    "change",
    [
        {"kind": "table"}, {"kind": None}, {"partitions": 0}, {"partitions": -1}, {"buckets": 5},
        {"partitions": 2.0}, {"partitions": True}, {"buckets": 2**60}, {"buckets": None},
        {"meta": b""}, {"meta": b"x"}, {"meta": None}, {"meta": encode_frame(ROWS)},
        {"rows": ()}, {"rows": ((1, 2),)}, {"rows": ((1, 2), (0,))}, {"rows": ((1, 2), (0, -1))},
        {"rows": ((1, 2), (0, 2**60))}, {"rows": ((1, 2), (0, "1"))}, {"rows": None},
        {"rows": [[1, 2], [0, 0]]}, {"rows": ((2**48, 2**48), (0, 0))}, {"rows": ((1, 2), 3)},
        {"order": (0, 1)}, {"order": (0, 1, 1)}, {"order": (0, 1, 3)}, {"order": (0, 1, -1)},
        {"order": (0, 1, 2.0)}, {"order": [0, 1, 2]}, {"order": (0, 1, 2**70)},
        {"forms": (b"x",), "formed": ((0, 1), (0, 0))}, {"forms": (encode_frame(ROWS.iloc[:0]),)},
        {"formed": ((0, 1), (0, 0))}, {"forms": (b"",) * 5, "formed": ((0, 1), (0, 0))},
        {"nbytes": -1}, {"nbytes": None}, {"nbytes": 2**64},
        {"forms": None}, {"forms": 3, "formed": ((0, 1), (0, 0))},
        {"kind": "bag"}, {"kind": "bag", "meta": b"", "rows": (), "order": ()},
    ],
    ids=str,
)  # fmt: skip
def test_bad_shapes_are_refused(change):
    FRAME.check()
    bad = replace(FRAME, **change)
    for use in (bad.check, lambda: roots_of(ROWS.iloc[:3], bad), lambda: compare([], bad, [b""])):
        with pytest.raises(DataError, match="shape: expected"):
            use()


@settings(max_examples=30, deadline=None)
@given(st.data())
def test_any_cut_in_any_order_is_recovered(data):
    rows = ROWS.iloc[: data.draw(st.integers(0, 12))]
    cuts = sorted(data.draw(st.lists(st.integers(0, len(rows)), min_size=3, max_size=3)))
    bounds = [0, *cuts, len(rows)]
    parts = [encode_frame(rows.iloc[a:b]) for a, b in pairwise(bounds)]
    leaves = [parts[:2], parts[2:]]
    order = data.draw(st.permutations(range(len(rows))))
    shape = frame_shape(leaves, rows, order)
    assert roots_of(rows.take(order), shape) == roots(leaves)


def test_errors_are_the_packages_own():
    assert issubclass(DataError, VerifyError)
    assert frame_buckets(ROWS, ["k"], 2).max() == 1
