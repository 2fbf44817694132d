"""In which order divergences are arbitrated, and which answers count."""

from __future__ import annotations

from dataclasses import replace

import pytest
from challenging import Challenged
from script import M0, M1, R0, Script

from dask_verify.protocol.messages import (
    MAP,
    REDUCE,
    Arbitrate,
    Finding,
    Instruction,
    Task,
    Unserved,
    Verdict,
)

R1 = Task(REDUCE, 1)


def asked(log: list[Instruction]) -> list[Arbitrate]:
    return [i for i in log if isinstance(i, Arbitrate)]


def disputed() -> Challenged:
    """A reduce is disputed, and the only holder of the map that it read withholds that."""
    script = Challenged("a", "b", "c", reduces=2)
    script.says(M0, "a", "lie")
    script.feed(script.audited(script.read))
    script.feed(script.audited(script.units))
    script.says(R0, "b")
    assert [i.task for i in asked(script.says(R0, "a", "lie"))] == [R0]
    accepted = script.job.accepted(M0)
    assert accepted is not None
    script.feed(Unserved(M0, "a", accepted.digest))
    return script


def test_a_map_comes_before_the_reduce_that_cannot_be_read_without_it() -> None:
    """They waited for each other: the referee for the map, and the map for the referee."""
    script = disputed()
    (question,) = asked(script.says(M0, "b"))
    assert question.task == M0
    script.found(M0, "lie")
    assert script.job.exposed == {"a"}
    script.says(M0, "c")
    for task in (R0, R1):
        for name in "bc":
            script.says(task, name)
    assert script.job.arbitrated is None
    for challenge in script.challenges():
        if script.job.is_challenged(challenge):
            script.feed(script.audited(challenge))
    assert script.job.finished is not None
    assert script.job.finished.verdict is Verdict.CORRECTED


def test_what_was_overtaken_is_asked_again_and_only_that_answer_counts() -> None:
    script = Script("a", "b", "c", "d", faults=1, maps=2, reduces=1, replicas=2)
    script.agree(M0, "a", "b")
    script.agree(M1, "a", "b")
    script.says(R0, "a")
    (first,) = asked(script.says(R0, "b", "lie"))
    inputs = script.inputs(R0)
    (second,) = asked(script.says(M1, "c", "other"))
    assert (first.task, second.task) == (R0, M1)
    lie = frozenset({script.commitment(R0, "x", "lie").digest})
    assert script.feed(Finding(R0, inputs, REDUCE, wrong=lie, number=first.number)) == []
    (third,) = asked(script.found(M1, failure="nobody could tell"))
    assert replace(third, number=first.number) == first
    assert script.feed(Finding(R0, inputs, REDUCE, wrong=lie, number=first.number)) == []
    assert "b" not in script.job.exposed
    script.feed(Finding(R0, inputs, REDUCE, wrong=lie, number=third.number))
    assert script.job.exposed == {"b"}


@pytest.mark.parametrize("number", [0, 2, -1])
def test_an_answer_to_no_question_is_none(number: int) -> None:
    script = Script("a", "b")
    script.says(M0, "a")
    (question,) = asked(script.says(M0, "b", "lie"))
    assert question.number == 1
    lie = frozenset({script.commitment(M0, "x", "lie").digest})
    said = Finding(M0, script.inputs(M0), MAP, wrong=lie, number=number)
    assert script.feed(said) == []
    script.feed(replace(said, number=1))
    assert script.job.exposed == {"b"}


def test_maps_wait_for_maps_in_their_order() -> None:
    script = Script("a", "b", "c", maps=3)
    tasks = [Task(MAP, i) for i in (2, 0, 1)]
    for task in tasks:
        script.says(task, "a")
        script.says(task, "b", "lie")
    assert [i.task for i in asked(script.log)] == tasks[:1]
    script.found(tasks[0])  # nobody is contradicted: the next one may show who is
    assert [i.task for i in asked(script.log)] == tasks[:2]
