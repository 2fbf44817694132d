"""All contenders give the answer of plain Dask, and one that does not is caught."""

from __future__ import annotations

import dask
import pytest

from benchmarks import bags, contenders, frames, growth
from benchmarks.measuring import BenchmarkError

pytestmark = pytest.mark.cluster


@pytest.fixture(scope="module")
def arena():
    with contenders.arena() as started:
        yield started


@pytest.mark.parametrize("kind", ["bag", pytest.param("frame", marks=pytest.mark.matrix)])
def test_every_contender(arena, kind):
    task = bags.tiny_task(4) if kind == "bag" else frames.numeric_task(400, 4)
    match = contenders.Match(arena, task)
    for each in contenders.chosen((), task):
        sample = match.turn(each)
        assert sample.wall > 0
        assert (sample.moved is None) == (each.verdict is None)


def test_a_wrong_answer_is_caught(arena):
    match = contenders.Match(arena, bags.tiny_task(2))
    plain = contenders.CONTENDERS["plain"]
    match.turn(plain)
    wrong = contenders.Contender("wrong", "wrong", lambda arena, task: contenders.Run(list))
    with pytest.raises(BenchmarkError, match="not that of plain Dask"):
        match.turn(wrong)


def test_memory_that_a_job_holds_is_counted(arena):
    found = []
    for partitions in (5, 25):
        job = contenders.start(arena, bags.tiny_task(partitions), replicas=2)
        job.wait(progress=False)
        found.append(growth.held(job._driver))
        job.cancel()
    few, many = found
    assert 0 < few < many


def test_what_is_held_is_counted_once_and_dask_not_at_all():
    data = bytes(1000)
    one, other = growth.held([data, [data]]), growth.held([data])
    assert other < one < other + 200
    assert growth.held([data, dask.delayed(data)]) < other + 100


def test_each_domain_has_a_worker_of_its_own(arena):
    (alice,), (bob,) = arena.workers["alice"], arena.workers["bob"]
    assert alice != bob


def test_unknown_contenders_are_refused():
    with pytest.raises(BenchmarkError, match="contender: expected"):
        contenders.chosen(["nobody"], bags.tiny_task(1))


def test_plain_dask_is_always_there():
    names = [c.name for c in contenders.chosen(["audit"], bags.tiny_task(1))]
    assert names == ["plain", "audit"]
