"""The same answer from plain Dask and from plain Python, without a cluster."""

from __future__ import annotations

from collections import Counter

import dask
import pandas as pd
import pytest

from benchmarks import bags, data, frames
from benchmarks.measuring import BenchmarkError
from benchmarks.tasks import pairs, rows
from benchmarks.workloads import PARTITIONS, WORKLOADS, chosen
from dask_verify.demo import words
from dask_verify.engine.graphs import upstream


@pytest.fixture(autouse=True)
def one_process():
    # p2p, Dask's default while another test's client is about, needs workers.
    with dask.config.set({"scheduler": "synchronous", "dataframe.shuffle.method": "tasks"}):
        yield


def mapped_and_reduced(task):
    """Run the functions of a task over all of its data at once, in this process."""
    whole = task.mapper(task.collection.compute())
    return task.reducer(whole)


def test_words(tmp_path):
    task = bags.words_task(tmp_path, 20_000, 3)
    files = tmp_path.glob("*/*.txt")
    expected = Counter(word for path in files for word in words(path.read_text()))
    assert task.collection.npartitions == 3
    assert task.normal(task.plain().compute()) == expected
    assert task.normal(task.others["frequencies"]().compute()) == expected
    assert task.facts["bytes"] >= 20_000 - 3


def test_files_are_made_once(tmp_path):
    first = data.text_files(tmp_path, 1_000, 2)
    times = [path.stat().st_mtime_ns for path in first]
    assert data.text_files(tmp_path, 1_000, 2) == first
    assert [path.stat().st_mtime_ns for path in first] == times
    assert first[0].read_bytes() != first[1].read_bytes()


# Dask's own reader uses what pandas will drop.
@pytest.mark.filterwarnings("ignore:The inplace keyword")
@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_flights(tmp_path, kind):
    task = frames.flights_task(tmp_path, 600, 3, kind)
    assert task.collection.npartitions == 3
    assert len(task.collection) == 600
    assert task.same(task.plain().compute(), mapped_and_reduced(task))


def test_numeric_and_shuffle():
    for task in (frames.numeric_task(1_000, 4), frames.shuffle_task(1_000, 50, 4, reduces=2)):
        assert task.collection.npartitions == 4
        assert task.same(task.plain().compute(), mapped_and_reduced(task))


def test_busy_and_tiny():
    for task in (bags.busy_task(5, 3, microseconds=1), bags.tiny_task(4)):
        records = task.collection.compute()
        expected = Counter(key for record in records for key, _ in task.mapper(record))
        assert task.normal(task.plain().compute()) == expected
        assert task.collection.npartitions == task.facts["partitions"]


def test_the_same_means_the_same():
    task = frames.numeric_task(100, 2)
    one = pd.DataFrame({"key": [1, 2], "far": [0.1 + 0.2, 1.0], "angle": [0.0, 1.0]})
    assert task.same(one, one.iloc[::-1].set_index("key").assign(far=[1.0, 0.3]))
    assert not task.same(one, one.assign(far=[0.3, 1.1]))
    assert not task.same(one, one.iloc[:1])


def test_answers_are_normal():
    assert pairs([("a", 1), ("b", 2)]) == pairs([("b", 2), ("a", 1)])
    assert pairs([("a", 1), ("a", 1)]) != pairs([("a", 1)])
    assert rows(["k"])(pd.DataFrame({"k": [2, 1], "a": [0, 1]})).k.tolist() == [1, 2]


def test_every_workload_has_a_hundred_partitions(tmp_path):
    for workload in WORKLOADS.values():
        task = workload.prepare(tmp_path, 1e-5)
        assert len(upstream(task.collection).keys) == task.facts["partitions"] >= PARTITIONS


def test_unknown_workloads_are_refused():
    with pytest.raises(BenchmarkError, match="expected some of words"):
        chosen(("nothing",))
