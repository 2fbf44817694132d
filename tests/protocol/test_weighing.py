"""Weighing an auditor's answer: it, or the commitment that it contradicts, is the lie."""

from __future__ import annotations

from typing import Any

import pytest

from dask_verify.core.seal import Answer, map_question, reduce_question
from dask_verify.protocol.dispute import Query, Recompute, Recomputed
from dask_verify.protocol.messages import MAP, REDUCE, Finding, Objection, Task
from dask_verify.protocol.quorum import Claim
from dask_verify.protocol.weighing import weigh
from dask_verify.testing.simulation.enrolment import make_plan
from dask_verify.testing.simulation.partitions import commit, hashed, partition
from dask_verify.testing.simulation.refereeing import recompute, serve

PLAN = make_plan("a", "b")
M0, R0 = Task(MAP, 0), Task(REDUCE, 0)


def claimed(task: Task, salt: str = "") -> Claim:
    return Claim("a", commit(PLAN, task, "a", b"i", salt))


def objected(task: Task, claim: Claim, unit: int, salt: str = "") -> Objection:
    """What b found, who computes honestly unless there is a salt."""
    found = partition(PLAN, task, salt)
    column = found.leaves[unit :: found.units] if task.stage == MAP else found.leaves[unit:][:1]
    question = map_question(found.inputs[unit]) if task.stage == MAP else reduce_question([])
    said = (b"i", (unit,), (question,), hashed(column), ())
    return Objection(Answer(PLAN.job, *task, "b", *said), claim.digest, unit)


def weighed(
    task: Task, salt: str, lie: str, vouched: bool = True, **referee: Any
) -> tuple[Finding, list[Query]]:
    """Weigh the answer of an auditor with a salt against a claim with another one."""
    claim, store, asked = claimed(task, salt), partition(PLAN, task, salt), []
    unit = differing(task, salt or lie)
    steps = weigh(task, claim, objected(task, claim, unit, lie), vouched)
    query = next(steps)
    while True:
        asked.append(query)
        if isinstance(query, Recompute):
            runs = referee.get("runs", (recompute(PLAN, query, b"i"),) * 2)
            answer: Any = Recomputed(runs)
        else:
            answer = serve(store, query) if referee.get("opens", True) else None
        try:
            query = steps.send(answer)
        except StopIteration as stop:
            return stop.value, asked


def differing(task: Task, salt: str) -> int:
    """The first unit in which a partition with a salt is another one."""
    one, other = partition(PLAN, task), partition(PLAN, task, salt)
    at = next(i for i, (x, y) in enumerate(zip(one.leaves, other.leaves, strict=True)) if x != y)
    return at % one.units if task.stage == MAP else at


def units_of(asked: list[Query]) -> list[int | None]:
    return [query.unit for query in asked if isinstance(query, Recompute)]


@pytest.mark.parametrize("task", [M0, R0])
def test_whoever_the_recomputation_contradicts_has_lied(task: Task) -> None:
    finding, asked = weighed(task, "lie", "")
    assert (finding.wrong, finding.liars) == ({claimed(task, "lie").digest}, frozenset())
    assert units_of(asked) == [differing(task, "lie")]
    finding, asked = weighed(task, "", "lie")
    assert (finding.wrong, finding.liars) == (frozenset(), {"b"})
    assert finding.stable


def test_runs_that_differ_blame_nobody() -> None:
    finding, _ = weighed(M0, "", "lie", runs=((b"one",), (b"other",)))
    assert not finding.stable
    assert (finding.wrong, finding.liars) == (frozenset(), frozenset())


@pytest.mark.parametrize("options", [{"vouched": False}, {"opens": False}], ids=str)
def test_a_unit_that_may_be_made_up_or_is_not_opened_is_computed_with_all(options: Any) -> None:
    finding, asked = weighed(M0, "lie", "", **options)
    assert units_of(asked) == [None]
    assert finding.wrong == {claimed(M0, "lie").digest}
