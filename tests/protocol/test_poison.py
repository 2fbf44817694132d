"""Reduces that fail, or never end: on what a liar emitted, or because the function fails."""

from __future__ import annotations

import pytest
from challenging import Challenged
from script import M0, R0, runs

from dask_verify.protocol.domain import COORDINATOR
from dask_verify.protocol.messages import REDUCE, Arbitrate, Finished, Standing, Task, Verdict


def failing(salt: str) -> Challenged:
    """A job whose map passed its audit, and on whose result two domains fail."""
    script = Challenged("a", "b", "c")
    script.says(M0, "a", salt)
    script.feed(script.audited(script.read))
    script.feed(script.audited(script.units))
    script.fails(R0, "a")
    script.fails(R0, "b")
    return script


def test_what_reduces_fail_on_is_computed_by_a_full_quorum() -> None:
    script = failing("poison")
    old = script.inputs(R0)
    assert script.ended is None
    assert script.job.accepted(M0) is None
    script.late(R0, "c")  # nothing about the old inputs ends the job meanwhile
    assert script.ended is None
    got = script.says(M0, "b")
    assert any(isinstance(i, Arbitrate) for i in got)
    script.found(M0, "poison")
    script.says(M0, "c")
    assert script.job.exposed == {"a"}
    assert script.inputs(R0) != old
    assert not script.job.state(R0).failures
    assert script.ended is None


def test_failures_on_inputs_that_a_quorum_confirms_are_the_function_s_own() -> None:
    script = failing("")
    assert script.ended is None
    asked = [name for task, name in runs(script.log) if task == M0 and name != "a"]
    got = script.says(M0, asked[0])
    assert Finished(Verdict.INCONCLUSIVE, "error", "b raised") in got


@pytest.mark.parametrize("stand_in", [True, False])
def test_two_replicas_need_no_second_look(stand_in: bool) -> None:
    script = Challenged("a", "b", "c", replicas=2, audit=0.0, stand_in=stand_in)
    script.agree(M0, "a", "b")
    script.fails(R0, "a")
    script.fails(R0, "b")
    assert script.ended == (Verdict.INCONCLUSIVE, "error")


def hanging(salt: str, **options: object) -> Challenged:
    """A job whose map passed its audit, and whose result nobody reduces in time."""
    script = Challenged("a", "b", "c", **options)
    script.says(M0, "a", salt)
    script.feed(script.audited(script.read))
    script.feed(script.audited(script.units))
    for _ in "abc":
        state = script.job.state(R0)
        if script.job.accepted(M0) is None:
            break
        script.late(R0, next(iter(state.running)))
    return script


@pytest.mark.parametrize("stand_in", [True, False])
def test_what_reduces_hang_on_is_computed_by_a_full_quorum(stand_in: bool) -> None:
    script = hanging("poison", stand_in=stand_in)
    old = script.inputs(R0)
    assert script.ended is None
    assert script.job.accepted(M0) is None
    assert COORDINATOR not in script.job.state(R0).tried  # it would hang there, too
    assert any(isinstance(i, Arbitrate) for i in script.says(M0, "b"))
    script.found(M0, "poison")
    script.says(M0, "c")
    assert script.job.exposed == {"a"}
    assert script.inputs(R0) != old
    asked = [name for task, name in runs(script.log) if task == R0 and name != "a"]
    script.says(R0, asked[-1])
    for name in script.job.state(R0).running - {COORDINATOR}:
        script.says(R0, name)
    assert script.ended == (Verdict.CORRECTED, "")
    assert script.job.standing["b"] is script.job.standing["c"] is Standing.TRUSTED
    assert not script.job.reasons.keys() & {"b", "c"}


def test_who_is_late_on_inputs_that_a_quorum_confirms_stays_suspected() -> None:
    script = hanging("", stand_in=False)
    assert script.ended is None
    assert Finished(Verdict.INCONCLUSIVE, "unanswered", "") in script.says(M0, "b")
    assert {*script.job.standing.values()} == {Standing.SUSPECTED}
    assert script.job.reasons["b"] == "reduce partition 0: late"


def test_who_was_late_with_a_map_too_is_not_excused_by_what_it_could_not_reduce() -> None:
    script = hanging("poison")
    script.late(M0, "b")
    script.says(M0, "c")
    script.found(M0, "poison")
    assert script.job.exposed == {"a"}
    assert script.job.standing["b"] is Standing.SUSPECTED
    assert script.job.standing["c"] is Standing.TRUSTED


def test_who_has_hung_on_several_reduces_still_makes_the_maps_sure() -> None:
    """What it loses for being late is of the stage that it was late with."""
    script = hanging("poison", reduces=3)
    assert "b" in script.job.state(M0).running
    for task in (Task(REDUCE, 1), Task(REDUCE, 2)):
        if "b" in script.job.state(task).running:
            script.late(task, "b")
    assert "b" in script.job.state(M0).running
