"""Functions that are not functions of their input end a job; ones that merely look so do not."""

from __future__ import annotations

import random
import time

import dask.bag as db
import dask.dataframe as dd
import pandas as pd
import pytest

from dask_verify import Policy, Standing, Verdict, verified_map_reduce
from dask_verify.errors import NondeterministicError

pytestmark = pytest.mark.cluster
LINES = [f"to be or not to be {i % 7}" for i in range(60)]
POLICY = Policy(unit_records=7)


@pytest.fixture(params=["shared", pytest.param("separate", marks=pytest.mark.matrix)])
def client(request):
    return request.getfixturevalue(f"{request.param}_cluster").get_client()


def by_chance(line):
    return [(word, random.random()) for word in line.split()]


def by_clock(line):
    return [(word, time.time_ns()) for word in line.split()]


def by_set_order(line):
    return [("word", word) for word in {f"{word}{i}" for word in line.split() for i in range(9)}]


def by_hash(line):
    return [(word, hash(word)) for word in line.split()]


def ones(line):
    return [(word, 1) for word in line.split()]


def by_set_order_of_keys(word, numbers):
    return list({f"{word}{i}" for i in range(50)})


def nobody_is_exposed(job):
    with pytest.raises(NondeterministicError) as caught:
        job.result(timeout=100)
    report = caught.value.report
    assert report == job.report
    assert report.verdict is job.verdict is Verdict.NONDETERMINISTIC
    assert all(d.standing is not Standing.EXPOSED for d in report.domains.values())
    assert not any(d.culprits for d in report.divergences)
    return report


@pytest.mark.parametrize("mapper", [by_chance, by_clock, by_set_order, by_hash])
def test_a_mapper_that_is_no_function_exposes_nobody(client, mapper):
    bag = db.from_sequence(LINES, npartitions=4)
    job = verified_map_reduce(bag, mapper, lambda k, values: values, policy=POLICY, client=client)
    report = nobody_is_exposed(job)
    assert {d.stage for d in report.divergences} == {"map"}


def test_a_reducer_that_is_no_function_exposes_nobody(client):
    bag = db.from_sequence(LINES, npartitions=4)
    job = verified_map_reduce(bag, ones, by_set_order_of_keys, policy=POLICY, client=client)
    report = nobody_is_exposed(job)
    assert {d.stage for d in report.divergences} == {"reduce"}


@pytest.mark.parametrize("unit_records", [None, 10])
def test_a_dataframe_mapper_that_is_no_function_exposes_nobody(shared_cluster, unit_records):
    ddf = dd.from_pandas(pd.DataFrame({"k": list("abcd") * 10, "x": range(40)}), npartitions=4)
    job = verified_map_reduce(
        ddf,
        lambda df: df.assign(x=df.x + random.random()),
        lambda df: df.groupby("k", as_index=False).x.sum(),
        by="k",
        policy=Policy(unit_records=unit_records),
        client=shared_cluster.get_client(),
    )
    nobody_is_exposed(job)


# --- what only looks non-deterministic -------------------------------------------------------


def agreed(job):
    result = job.result(timeout=100)
    report = job.report
    assert report.verdict is Verdict.AGREED, str(report)
    assert not report.divergences
    return result


def test_a_mapper_may_change_its_input(client):
    def consume(record):
        record["words"].reverse()
        yield from ((record["words"].pop(), 1) for _ in range(2))

    records = [{"words": line.split()} for line in LINES]
    bag = db.from_sequence(records, npartitions=4)
    job = verified_map_reduce(bag, consume, lambda k, v: sum(v), policy=POLICY, client=client)
    assert dict(agreed(job)) == {"to": 60, "be": 60}


def test_a_dataframe_mapper_may_change_its_input(client):
    def double(df):
        df["x"] *= 2
        df.loc[df.index[0], "x"] += 1
        return df

    pdf = pd.DataFrame({"k": list("abcd") * 10, "x": range(40)})
    job = verified_map_reduce(
        dd.from_pandas(pdf, npartitions=4, sort=False),
        double,
        lambda df: df.groupby("k", as_index=False).x.sum(),
        by="k",
        policy=Policy(unit_records=5),
        client=client,
    )
    assert agreed(job).x.sum() == 2 * pdf.x.sum() + 8


def test_the_order_of_a_dict_is_the_same_everywhere(client):
    """Its order comes from a set, so every domain reads another one."""

    def scrambled(line):
        return dict.fromkeys(set(line.split()), 1)

    def first(record):
        return [(next(iter(record)), list(record))]

    bag = db.from_sequence(LINES, npartitions=4).map(scrambled)
    job = verified_map_reduce(bag, first, lambda k, v: v, policy=POLICY, client=client)
    assert sum(len(values) for _, values in agreed(job)) == len(LINES)


def test_the_order_of_a_set_is_its_readers_business(client):
    bag = db.from_sequence(LINES, npartitions=4).map(lambda line: set(line.split()))
    job = verified_map_reduce(
        bag, lambda words: [(len(words), words)], lambda k, v: v, policy=POLICY, client=client
    )
    assert sum(len(values) for _, values in agreed(job)) == len(LINES)


def test_unused_categories_are_part_of_the_value(client):
    dtype = pd.CategoricalDtype(["a", "b", "c", "never"])
    pdf = pd.DataFrame({"k": pd.Categorical(list("abc") * 12, dtype=dtype), "x": range(36)})

    def unused(df):
        return df.assign(x=df.x + len(df.k.cat.categories) + df.k.nunique())

    job = verified_map_reduce(
        dd.from_pandas(pdf, npartitions=3),
        unused,
        lambda df: df.groupby("k", as_index=False, observed=True).x.sum(),
        by="k",
        policy=Policy(unit_records=6),
        client=client,
    )
    assert agreed(job).x.sum() == pdf.x.sum() + 36 * (4 + 3)
