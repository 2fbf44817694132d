"""The state machine while copies are served, lost and made again, before and after the verdict."""

from __future__ import annotations

import pytest
from challenging import Challenged
from script import M0, R0, Script, kinds, runs

from dask_verify.protocol.messages import (
    MAP,
    Accepted,
    ServedWrong,
    Standing,
    Task,
    Unserved,
    Verdict,
)


def test_a_signed_wrong_opening_exposes_its_holder_once() -> None:
    script = Script("a", "b", "c")
    script.agree(M0, "a", "b")
    script.feed(ServedWrong(M0, "a"))
    assert script.feed(ServedWrong(M0, "a")) == []
    assert script.job.exposed == {"a"}
    assert script.job.holders(M0) == ["b"]
    assert [(d.cause, d.settled) for d in script.job.divergences] == [("serve", "opening")]


def test_more_exposed_than_may_be_faulty_is_inconclusive() -> None:
    script = Script("a", "b", "c")
    script.agree(M0, "a", "b")
    script.feed(ServedWrong(M0, "a"))
    script.feed(ServedWrong(M0, "b"))
    assert script.ended == (Verdict.INCONCLUSIVE, "faults")


def test_a_lost_copy_blames_nobody_and_the_last_is_made_again() -> None:
    script = Script("a", "b", "c")
    script.agree(M0, "a", "b")
    assert script.feed(Unserved(M0, "a")) == []
    # By another one first: who has lost it may have done so on purpose.
    assert runs(script.feed(Unserved(M0, "b"))) == [(M0, "c")]
    assert set(script.job.standing.values()) == {Standing.TRUSTED}
    assert kinds(script.says(M0, "c")) == [Accepted]
    assert script.job.holders(M0) == ["c"]


def test_a_copy_of_another_commitment_says_nothing_of_the_accepted_one() -> None:
    script = Script("a", "b", "c")
    script.agree(M0, "a", "b")
    script.feed(Unserved(M0, "a", b"replaced meanwhile"))
    script.feed(Unserved(M0, "b", b"replaced meanwhile"))
    assert script.job.holders(M0) == ["a", "b"]


def test_a_copy_made_by_another_domain_is_announced_too() -> None:
    script = Script("a", "b", "c")
    script.agree(M0, "a", "b")
    for name in ("a", "b"):
        script.feed(Unserved(M0, name))
    script.late(M0, "a")
    script.late(M0, "b")
    assert runs(script.log)[-1] == (M0, "c")
    assert Accepted(M0) in script.says(M0, "c")
    assert script.job.holders(M0) == ["c"]


@pytest.mark.parametrize("how", ["late", "fails"])
def test_a_partition_that_nobody_can_make_again_ends_the_job(how: str) -> None:
    script = Script("a", "b", stand_in=False)
    script.agree(M0, "a", "b")
    for name in ("a", "b"):
        script.feed(Unserved(M0, name))
    getattr(script, how)(M0, "a")
    assert script.ended is None
    getattr(script, how)(M0, "b")
    assert script.ended == (Verdict.INCONCLUSIVE, "unserved")


def test_a_copy_that_came_out_differently_serves_nothing() -> None:
    script = Script("a", "b", "c")
    script.agree(M0, "a", "b")
    for name in ("a", "b"):
        script.feed(Unserved(M0, name))
    script.says(M0, "a", "other")
    assert "a" not in script.job.holders(M0)


def test_a_result_that_is_lost_after_the_verdict_is_made_again_or_withdrawn() -> None:
    script = Script("a", "b", stand_in=False)
    script.agree(M0, "a", "b")
    script.agree(R0, "a", "b")
    assert script.ended == (Verdict.AGREED, "")
    script.feed(Unserved(R0, "a"))
    assert runs(script.feed(Unserved(R0, "b"))) == [(R0, "a")]
    script.late(R0, "a")
    script.late(R0, "b")
    assert script.ended == (Verdict.INCONCLUSIVE, "unserved")


def test_a_wrong_opening_after_the_verdict_is_on_record() -> None:
    script = Script("a", "b")
    script.agree(M0, "a", "b")
    script.agree(R0, "a", "b")
    script.feed(ServedWrong(R0, "b"))
    assert script.ended == (Verdict.CORRECTED, "")
    assert script.job.holders(R0) == ["a"]
    assert script.job.accepted(R0) is not None


def test_no_arbitration_starts_after_the_verdict() -> None:
    script = Script("a", "b", "c", replicas=3, faults=1)
    script.agree(M0, "a", "b", "c")
    script.agree(R0, "a", "b")
    assert script.says(R0, "c", "lie") == []
    assert script.ended == (Verdict.AGREED, "")


def test_whoever_signed_nothing_for_a_task_served_nothing_wrong_of_it() -> None:
    script = Script("a", "b", "c", maps=2)
    script.agree(M0, "a", "b")
    script.feed(ServedWrong(M0, "c"))
    assert not script.job.exposed
    assert script.job.divergences == []


def test_a_lost_partition_is_made_again_by_the_trusted_before_the_silent() -> None:
    """Who lets us wait would do so for each of many, at a time that others choose by a loss."""
    script = Challenged("a", "b", "c", maps=6)
    maps = [Task(MAP, i) for i in range(6)]
    while asked := [task for task in maps if "b" in script.job.state(task).running]:
        script.late(asked[0], "b")
    for task in maps:
        for name in sorted(script.job.state(task).running):
            script.says(task, name)
    lost = next(task for task in maps if script.job.holders(task) == ["a"])
    accepted = script.job.accepted(lost)
    assert accepted is not None
    script.feed(Unserved(lost, "a", accepted.digest))
    assert script.job.state(lost).running == {"c"}
    script.late(lost, "c")
    assert script.job.state(lost).running == {"a"}  # which is trusted, although it lost it
    script.late(lost, "a")
    assert script.job.state(lost).running == {"b"}
