"""What a job is to its user: answers, states, errors and the report."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import math
import os

import dask.bag as db
import pytest

from dask_verify import Policy, Standing, Verdict, requesting, verified_map_reduce
from dask_verify.core.canonical import register_type
from dask_verify.errors import (
    InconclusiveError,
    JobCancelledError,
    NondeterministicError,
    TaskError,
)

pytestmark = pytest.mark.cluster

TEXT = ["to", "be", "or", "not", "to", "be", "that", "is", "the", "question"]


@pytest.fixture(params=["shared", "separate"])
def any_client(request):
    return request.getfixturevalue(f"{request.param}_cluster").get_client()


@pytest.fixture(scope="session")
def client(shared_cluster):
    return shared_cluster.get_client()


@pytest.fixture
def gate(tmp_path):
    """Hold up all who come to it until it is opened."""
    gate = Gate(tmp_path / "gate")
    yield gate
    gate.open()


def one(record):
    return [(record, 1)]


def total(key, values):
    return sum(values)


def run(records, mapper, reducer, client, parts=3, **options):
    bag = db.from_sequence(records, npartitions=parts)
    return verified_map_reduce(bag, mapper, reducer, client=client, **options)


class Gate:
    """A pipe without a word in it: who reads waits until its other end is closed."""

    def __init__(self, path):
        self.path = str(path)
        os.mkfifo(path)
        self._end = os.open(path, os.O_RDWR)

    def open(self):
        if os.path.exists(self.path):
            os.unlink(self.path)
            os.close(self._end)


def waiting(gate):
    path = gate.path

    def mapper(record):
        with contextlib.suppress(FileNotFoundError), open(path) as pipe:
            pipe.read()
        return [(record, 1)]

    return mapper


# --- answers --------------------------------------------------------------------------------


def test_counts_words_in_every_kind_of_pool(any_client):
    job = run(TEXT, one, total, any_client)
    assert dict(job.result(timeout=60)) == {word: TEXT.count(word) for word in TEXT}
    assert job.verdict is Verdict.AGREED
    assert job.status == "agreed"
    assert {d.standing for d in job.report.domains.values()} == {Standing.TRUSTED}


def test_every_partition_is_computed_in_two_domains(client):
    job = run(TEXT, one, total, client, parts=3)
    job.result(timeout=60)
    report = job.report
    assert report.progress == {"map": (3, 3), "reduce": (1, 1)}
    assert sum(d.commitments for d in report.domains.values()) == 2 * (3 + 1)
    assert report.bytes_compared > 0
    assert report.bytes_computed == sum(d.nbytes for d in report.domains.values())


@pytest.mark.parametrize("npartitions", [1, 2, 5])
def test_the_answer_does_not_depend_on_reduce_partitions(client, npartitions):
    job = run(TEXT, one, total, client, npartitions=npartitions)
    other = run(TEXT, one, total, client, npartitions=2)
    assert sorted(job.result(60)) == sorted(other.result(60))


@pytest.mark.parametrize("npartitions", [1, 3])
def test_keys_that_python_calls_equal_are_one_group(client, npartitions):
    records = [1, 1.0, True, 0.0, -0.0, math.nan, float("nan"), None, "1"]
    job = run(records, one, total, client, npartitions=npartitions, policy=Policy(buckets=3))
    groups = job.result(60)
    assert sorted(((str(k), n) for k, n in groups), key=str) == sorted(
        [("1", 3), ("0.0", 2), ("nan", 2), ("None", 1), ("1", 1)], key=str
    )
    assert job.verdict is Verdict.AGREED


def test_values_arrive_in_the_order_of_the_input(client):
    job = run(list(range(50)), lambda n: [(n % 3, n)], lambda key, values: list(values), client)
    assert dict(job.result(60)) == {k: list(range(k, 50, 3)) for k in range(3)}


def test_a_combiner_changes_bytes_but_not_the_answer(client):
    plain = run(TEXT * 50, one, total, client)
    combined = run(TEXT * 50, one, total, client, combiner=total)
    assert sorted(plain.result(60)) == sorted(combined.result(60))
    assert combined.report.bytes_computed < plain.report.bytes_computed


def test_an_empty_bag_gives_an_empty_answer(client):
    job = run([], one, total, client, parts=1)
    assert job.result(60) == []
    assert job.verdict is Verdict.AGREED


def test_a_mapper_may_emit_nothing_or_use_yield(client):
    def mapper(word):
        if len(word) > 2:
            yield word, 1

    assert dict(run(TEXT, mapper, total, client).result(60)) == dict.fromkeys(
        ["not", "that", "the", "question"], 1
    )


def test_lone_surrogates_survive(client):
    records = ["\ud800", "a\udfff", "\ud800"]
    assert dict(run(records, one, total, client).result(60)) == {"\ud800": 2, "a\udfff": 1}


@dataclasses.dataclass(frozen=True)
class Point:
    x: int
    y: int


def test_registered_classes_pass_through(client):
    register_type(Point, name="tests.test_mapreduce.Point")

    def corner(key, points):
        return Point(max(p.x for p in points), max(p.y for p in points))

    job = run([(1, 5), (4, 2)], lambda p: [("corner", Point(*p))], corner, client)
    assert job.result(60) == [("corner", Point(4, 5))]


def test_side_inputs_are_closures(client):
    weights = {"to": 10, "be": 100}
    job = run(TEXT, lambda w: [(w, weights.get(w, 0))], total, client)
    assert dict(job.result(60))["be"] == 200


def test_a_mapper_that_spoils_its_input_changes_nothing(client):
    def mapper(record):
        record.append("spoilt")
        return [(record[0], len(record))]

    job = run([["a"], ["b"]], mapper, total, client)
    assert dict(job.result(60)) == {"a": 2, "b": 2}
    assert job.verdict is Verdict.AGREED


# --- states ---------------------------------------------------------------------------------


def test_a_job_runs_until_it_has_a_verdict(client, gate):
    job = run(TEXT, waiting(gate), total, client)
    assert job.status == "running"
    assert job.verdict is None
    assert job.wait(timeout=0) is None
    with pytest.raises(TimeoutError, match="still runs"):
        job.result(timeout=0.01)
    assert job.report.verdict is None
    assert "running" in str(job.report)
    gate.open()
    assert job.wait(60) is Verdict.AGREED
    assert "agreed" in repr(job)


def test_a_cancelled_job_has_no_result(client, gate):
    job = run(TEXT, waiting(gate), total, client)
    job.cancel()
    assert job.status == "cancelled"
    with pytest.raises(JobCancelledError):
        job.result(timeout=60)
    assert job.wait(0) is None
    assert str(job.report).startswith("verdict      cancelled")


def test_ctrl_c_cancels(client, gate, monkeypatch):
    job = run(TEXT, waiting(gate), total, client)

    def interrupted(timeout=None):
        raise KeyboardInterrupt

    monkeypatch.setattr(job._driver.decided, "wait", interrupted)
    with pytest.raises(KeyboardInterrupt):
        job.result()
    assert job.status == "cancelled"


def test_a_verdict_is_neither_true_nor_false(client):
    job = run(TEXT, one, total, client)
    with pytest.raises(TypeError, match="neither"):
        bool(job.wait(60))


# --- no answer ------------------------------------------------------------------------------


def test_an_error_of_the_function_comes_with_its_traceback(any_client):
    def mapper(record):
        raise ZeroDivisionError(f"no {record} today")

    job = run(["bread"], mapper, total, any_client)
    with pytest.raises(TaskError, match="no bread today") as caught:
        job.result(60)
    assert "Traceback" in caught.value.traceback_text
    assert "in mapper" in caught.value.traceback_text
    assert {d.standing for d in job.report.domains.values()} == {Standing.TRUSTED}


def test_an_error_of_the_reducer_comes_with_its_traceback(client):
    job = run(TEXT, one, lambda key, values: 1 // 0, client)
    with pytest.raises(TaskError, match="ZeroDivisionError"):
        job.result(60)


@pytest.mark.parametrize(
    ("mapper", "words"),
    [
        (lambda r: [(object(), 1)], ["object", "cannot encode"]),
        (lambda r: [(("a", {"b": 1}), 1)], ["dict", "[1]"]),
        (lambda r: [(r, [1, iter([])])], ["list_iterator", "[0]"]),
        (lambda r: 5, ["iterable of (key, value)", "int"]),
        (lambda r: [r], ["(key, value)", "str"]),
        (lambda r: [[r, 1]], ["(key, value)", "list"]),
    ],
    ids=["key", "inside a key", "inside a value", "no iterable", "no pair", "list for a pair"],
)
def test_what_a_mapper_may_not_emit_is_named(client, mapper, words):
    with pytest.raises(TaskError) as caught:
        run(["a"], mapper, total, client).result(60)
    assert [word for word in words if word not in str(caught.value)] == []


def test_a_random_mapper_blames_nobody(client):
    import random

    def mapper(record):
        return [(record, random.random())]

    job = run(TEXT, mapper, total, client)
    with pytest.raises(NondeterministicError, match="nobody can be blamed") as caught:
        job.result(60)
    assert caught.value.report.verdict is Verdict.NONDETERMINISTIC
    assert all(d.standing is not Standing.EXPOSED for d in caught.value.report.domains.values())


def test_one_replica_checks_nothing(client):
    job = run(TEXT, one, total, client, policy=Policy(replicas=1))
    with pytest.raises(InconclusiveError, match="replicas=2"):
        job.result(60)
    assert job.verdict is Verdict.INCONCLUSIVE


# --- report and held input ------------------------------------------------------------------


def test_the_report_is_plain_data(client):
    job = run(TEXT, one, total, client)
    job.result(60)
    plain = json.loads(json.dumps(job.report.to_dict()))
    assert plain["verdict"] == "agreed"
    assert plain["domains"]["alice"]["standing"] == "trusted"
    assert plain["trust_input"] is False
    assert plain["agreement"] == [
        {"domains": ["alice", "bob"], "agreed": 2, "diverged": 0, "pending": 0},
        {"domains": ["alice", "carol"], "agreed": 1, "diverged": 0, "pending": 0},
        {"domains": ["bob", "carol"], "agreed": 1, "diverged": 0, "pending": 0},
    ]
    assert "Verified job" in job._repr_html_()


def test_persisted_input_is_accepted_on_demand_and_reported(client):
    held = db.from_sequence(TEXT, npartitions=3).persist(scheduler=client)
    job = verified_map_reduce(held, one, total, client=client, policy=Policy(trust_input=True))
    assert dict(job.result(60))["to"] == 2
    assert job.report.trust_input is True
    assert "trust_input=True" in str(job.report)


# --- defaults -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("maps", "records"), [(1, 1024), (10, 1024), (11, 2048), (100, 10_240), (10_000, 1_024_000)]
)
def test_units_of_a_bag_grow_with_its_partitions(maps, records):
    assert requesting._unit_records(maps) == records


@pytest.mark.parametrize(
    ("maps", "reduces"), [(0, 1), (1, 1), (9, 2), (64, 8), (100, 10), (1_024, 32), (10_000, 32)]
)
def test_reduce_partitions_where_nobody_says(maps, reduces):
    assert requesting._partitions(None, maps) == reduces


@pytest.mark.parametrize(
    ("maps", "partitions", "buckets"),
    [(0, 1, 1), (1, 1, 1), (8, 1, 8), (64, 8, 8), (320, 17, 15), (10_000, 32, 8), (4, 16, 1)],
)
def test_a_bucket_of_a_dataframe_is_about_as_large_as_a_partition(maps, partitions, buckets):
    assert requesting._frame_buckets(maps, partitions, combined=False) == buckets
    assert requesting._frame_buckets(maps, partitions, combined=True) == 1
