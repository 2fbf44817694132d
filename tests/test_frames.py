"""Results of dataframe jobs look as pandas makes them: dtypes, columns, index, groups."""

from __future__ import annotations

import dask.dataframe as dd
import numpy as np
import pandas as pd
import pytest
from pandas.testing import assert_frame_equal

from dask_verify import Policy, Verdict, verified_map_reduce
from dask_verify.errors import TaskError

pytestmark = pytest.mark.cluster

N = 60


@pytest.fixture(scope="session")
def client(shared_cluster):
    return shared_cluster.get_client()


def frame():
    rng = np.random.default_rng(7)
    text = pd.Series([f"k{i % 7}" for i in range(N)]).astype("string[pyarrow]")
    return pd.DataFrame(
        {
            "k": text,
            "j": [i % 3 for i in range(N)],
            "f": rng.integers(0, 100, N) / 4,
            "n": pd.array([None if i % 11 == 0 else i for i in range(N)], dtype="Int64"),
            "b": pd.array([None if i % 13 == 0 else i % 2 == 0 for i in range(N)], "boolean"),
            "c": pd.Categorical([f"c{i % 4}" for i in range(N)], [f"c{i}" for i in range(5)]),
            "t": pd.date_range("2013-03-30 22:00", periods=N, freq="h", tz="Europe/Berlin"),
        }
    )  # fmt: skip


def same(frame):
    return frame


def run(pdf, mapper, reducer, client, parts=3, **options):
    ddf = dd.from_pandas(pdf, npartitions=parts, sort=False)
    return verified_map_reduce(ddf, mapper, reducer, client=client, **options)


def check(pdf, mapper, reducer, by, client, **options):
    """Compare with pandas for several numbers of reduce partitions."""
    keys = [by] if isinstance(by, str) else by
    for npartitions in (1, 2, 5):
        job = run(
            pdf, mapper, reducer, client, by=by, sort=True, npartitions=npartitions, **options
        )
        answer = job.result(60)
        expected = reducer(mapper(pdf)).sort_values(keys, kind="stable")
        if expected.index.name is None and expected.index.nlevels == 1:
            expected = expected.reset_index(drop=True)
        assert_frame_equal(answer, expected, check_freq=False)
        assert job.verdict is Verdict.AGREED


# --- the same as pandas ---------------------------------------------------------------------

AGG = {"f": "sum", "n": "max", "t": "min"}

REDUCERS = {
    "keys in the index": ("k", lambda d: d.groupby("k").agg(AGG)),
    "keys as columns": ("k", lambda d: d.groupby("k", as_index=False).agg(AGG)),
    "two keys in the index": (["k", "j"], lambda d: d.groupby(["k", "j"]).agg(AGG)),
    "two keys as columns": (["j", "k"], lambda d: d.groupby(["j", "k"], as_index=False).agg(AGG)),
    "nullable means": ("j", lambda d: d.groupby("j")[["n"]].mean()),
    "nullable flags": ("j", lambda d: d.groupby("j")[["b"]].any()),
    "observed categories": ("c", lambda d: d.groupby("c", observed=True)[["f"]].sum()),
    "categories as columns": (
        "c", lambda d: d.groupby("c", observed=True, as_index=False)[["f"]].sum()),
    "zoned days": ("day", lambda d: d.groupby("day")[["f"]].sum()),
    "other column order": ("k", lambda d: d.groupby("k", as_index=False).agg(AGG)[["t", "k", "f"]]),
    "named aggregation": ("k", lambda d: d.groupby("k").agg(top=("f", "max"), rows=("j", "size"))),
    "whole rows": ("k", lambda d: d.sort_values(["k", "t"]).drop_duplicates("k")),
}  # fmt: skip


@pytest.mark.parametrize("name", REDUCERS)
def test_the_result_is_that_of_pandas(client, name):
    by, reducer = REDUCERS[name]
    mapper = (lambda d: d.assign(day=d.t.dt.normalize())) if by == "day" else same
    check(frame(), mapper, reducer, by, client)


def test_a_key_may_be_an_index_level(client):
    check(
        frame(),
        lambda d: d[["k", "f"]].set_index("k"),
        lambda d: d.groupby(level="k").sum(),
        "k",
        client,
    )


def test_a_combiner_shortens_the_cells_only(client):
    def totals(d):
        return d.groupby("k", as_index=False).f.sum()

    check(frame(), lambda d: d[["k", "f"]], totals, "k", client, combiner=totals)


def test_small_units_change_nothing(client):
    policy = Policy(unit_records=4, buckets=3)
    by, reducer = REDUCERS["keys in the index"]
    check(frame(), same, reducer, by, client, policy=policy)


def test_categories_without_rows_are_no_groups(client):
    """Whatever the number of buckets, as with ``observed=True``."""
    for by in ("c", ["c", "j"]):
        for npartitions in (1, 3):
            job = run(
                frame(), same, lambda d, by=by: d.groupby(by, observed=False)[["f"]].sum(), client,
                by=by, sort=True, npartitions=npartitions,
            )  # fmt: skip
            expected = frame().groupby(by, observed=True)[["f"]].sum()
            assert_frame_equal(job.result(60), expected)


def test_unsorted_results_have_the_same_groups(client):
    job = run(frame(), same, lambda d: d.groupby("k")[["f"]].sum(), client, by="k", npartitions=4)
    answer = job.result(60)
    assert_frame_equal(answer.sort_index(), frame().groupby("k")[["f"]].sum())


# --- keys -----------------------------------------------------------------------------------


@pytest.mark.parametrize("npartitions", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("dropna", [True, False])
def test_missing_keys_are_left_to_the_reducer(client, npartitions, dropna):
    pdf = pd.DataFrame({"k": [1.0, None, 2.0, np.nan, 1.0], "x": [1, 2, 3, 4, 5]})
    job = run(
        pdf, same, lambda d: d.groupby("k", dropna=dropna, as_index=False).x.sum(), client,
        by="k", sort=True, npartitions=npartitions,
    )  # fmt: skip
    assert_frame_equal(job.result(60), pdf.groupby("k", dropna=dropna, as_index=False).x.sum())


@pytest.fixture
def mixed_csv(tmp_path):
    """Two files: pandas reads the keys of the first as int64, of the second as float64."""
    (tmp_path / "0.csv").write_text("k,x\n1,1\n2,2\n")
    (tmp_path / "1.csv").write_text("k,x\n1.0,10\n2.0,20\n")
    (tmp_path / "2.csv").write_text("k,x\n3.5,100\n")
    return tmp_path


def by_key(d):
    return d.groupby("k", as_index=False).x.sum()


@pytest.mark.parametrize("npartitions", [1, 2, 5])
def test_csv_keys_of_two_dtypes_are_one_key(client, mixed_csv, npartitions):
    ddf = dd.from_map(pd.read_csv, [mixed_csv / "0.csv", mixed_csv / "1.csv"])
    job = verified_map_reduce(
        ddf, same, by_key, by="k", sort=True, client=client, npartitions=npartitions
    )
    expected = pd.DataFrame({"k": [1, 2], "x": [11, 22]})
    assert_frame_equal(job.result(60), expected)


def test_csv_keys_that_do_not_fit_the_meta_are_refused(client, mixed_csv):
    ddf = dd.from_map(pd.read_csv, [mixed_csv / "0.csv", mixed_csv / "2.csv"])
    job = verified_map_reduce(ddf, same, by_key, by="k", client=client)
    with pytest.raises(TaskError, match="expected dtype int64, got float64"):
        job.result(60)


def test_read_csv_groups_as_pandas(client, tmp_path):
    path = tmp_path / "flights.csv"
    frame()[["k", "j", "f"]].to_csv(path, index=False)
    ddf = dd.read_csv(str(path), blocksize=150)
    assert ddf.npartitions > 2
    job = verified_map_reduce(
        ddf, same, lambda d: d.groupby("k")[["j", "f"]].sum(), by="k", sort=True, client=client
    )
    expected = pd.read_csv(path).groupby("k")[["j", "f"]].sum()
    assert_frame_equal(job.result(60), expected, check_index_type=False)


# --- nothing --------------------------------------------------------------------------------


@pytest.mark.parametrize("npartitions", [1, 3])
def test_no_rows_give_an_empty_frame_of_the_right_dtypes(client, npartitions):
    by, reducer = REDUCERS["two keys in the index"]
    job = run(frame().iloc[:0], same, reducer, client, parts=1, by=by, npartitions=npartitions)
    answer = job.result(60)
    assert_frame_equal(answer, reducer(frame()).iloc[:0], check_freq=False)
    assert job.verdict is Verdict.AGREED


def test_a_mapper_may_drop_everything(client):
    job = run(frame(), lambda d: d[d.f < 0], lambda d: d.groupby("k")[["f"]].sum(), client, by="k")
    assert len(job.result(60)) == 0


# --- what a function gives against its meta -------------------------------------------------


def test_a_given_meta_decides_the_dtypes(client):
    meta = pd.DataFrame({"k": pd.Series(dtype="string[pyarrow]"), "j": pd.Series(dtype="int64")})
    job = run(
        frame(), same, lambda d: d.groupby("k", as_index=False).j.sum().astype({"j": "float64"}),
        client, by="k", meta=meta,
    )  # fmt: skip
    assert job.result(60).dtypes.to_dict() == meta.dtypes.to_dict()


def test_output_that_does_not_fit_its_meta_is_refused(client):
    meta = pd.DataFrame({"k": pd.Series(dtype="string[pyarrow]"), "f": pd.Series(dtype="int64")})
    job = run(
        frame(), same, lambda d: d.groupby("k", as_index=False).f.mean(), client, by="k", meta=meta
    )
    with pytest.raises(TaskError, match="reducer, column 'f': expected dtype int64"):
        job.result(60)


def test_a_mapper_that_gives_no_frame_is_named(client):
    job = run(frame(), lambda d: d.f, same, client, by="k", map_meta=frame().iloc[:0], meta=frame())
    with pytest.raises(TaskError, match="expected a pandas DataFrame, got Series"):
        job.result(60)


def test_a_mapper_that_spoils_its_input_changes_nothing(client):
    def mapper(d):
        d["f"] = 1.0
        return d

    job = run(frame(), mapper, lambda d: d.groupby("j")[["f"]].sum(), client, by="j", sort=True)
    assert job.result(60).f.tolist() == [20.0, 20.0, 20.0]
    assert job.verdict is Verdict.AGREED
