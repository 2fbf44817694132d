"""Reduces that fail: on what a liar emitted, or because the function fails."""

from __future__ import annotations

import pytest
from challenging import Challenged
from script import M0, R0, runs

from dask_verify.protocol.messages import Arbitrate, Finished, Verdict


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
