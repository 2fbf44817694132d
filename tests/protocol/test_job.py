"""The state machine, rule by rule: events are fed by hand, instructions compared."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from script import M0, M1, R0, Script, kinds, runs

from dask_verify.protocol.domain import COORDINATOR
from dask_verify.protocol.messages import (
    MAP,
    REDUCE,
    Accepted,
    Arbitrate,
    Committed,
    Failed,
    Finding,
    Finished,
    Late,
    Run,
    ServedWrong,
    Settled,
    StandIn,
    Standing,
    StartReduce,
    Task,
    Verdict,
)
from dask_verify.protocol.quorum import sign
from dask_verify.testing.simulation.enrolment import enrol, identity, make_plan
from dask_verify.testing.simulation.partitions import commit

# --- agreement ------------------------------------------------------------------------------


def test_replicas_are_placed_by_rotation() -> None:
    script = Script("a", "b", "c", maps=2)
    assert runs(script.log) == [(M0, "a"), (M0, "b"), (M1, "b"), (M1, "c")]


def test_f_plus_1_equal_commitments_agree_and_start_the_reduce_stage() -> None:
    script = Script("a", "b")
    assert script.says(M0, "a") == []
    got = script.says(M0, "b")
    assert kinds(got) == [Accepted, Settled, StartReduce, Run, Run]
    script.agree(R0, "a", "b")
    assert script.ended == (Verdict.AGREED, "")
    assert script.job.progress == {MAP: (1, 1), REDUCE: (1, 1)}


def test_a_domain_counts_once_however_often_it_repeats_itself() -> None:
    script = Script("a", "b")
    for _ in range(5):
        assert script.says(M0, "a") == []
    assert script.job.accepted(M0) is None


@pytest.mark.parametrize(
    "changes",
    [{"job": b"other"}, {"stage": REDUCE}, {"partition": 1}, {"inputs": b"i"}, {"domain": "a"}],
    ids=lambda c: next(iter(c)),
)
def test_a_commitment_to_something_else_is_no_answer(changes: dict[str, Any]) -> None:
    script = Script("a", "b")
    script.says(M0, "a")
    script.says(M0, "b", **changes)
    assert script.job.accepted(M0) is None
    assert script.job.standing["b"] is Standing.SUSPECTED


def test_a_commitment_signed_by_another_domain_is_no_answer() -> None:
    script = Script("a", "b")
    script.says(M0, "a")
    script.wire(M0, "b", sign(identity("a"), script.commitment(M0, "b")))
    assert script.job.accepted(M0) is None


@pytest.mark.parametrize("wire", [b"", b"\x00" * 50, b"\xff" * 9, b"\x82" * 2000])
def test_garbage_is_silence(wire: bytes) -> None:
    script = Script("a", "b")
    got = script.wire(M0, "b", wire)
    assert script.job.standing["b"] is Standing.SUSPECTED
    assert kinds(got) == [StandIn]


@pytest.mark.parametrize(
    "changes",
    [{"counts": ()}, {"counts": (1, 2)}, {"units": 0}, {"buckets": 0}, {"units": 2**62},
     {"nbytes": 10**400}, {"counts": (-1,)}, {"root": b""}],
    ids=str,
)  # fmt: skip
def test_impossible_shapes_never_become_claims_even_of_a_majority(changes: dict[str, Any]) -> None:
    script = Script("a", "b", "c")
    for name in ("a", "b"):
        script.says(M0, name, **changes)
    assert script.job.accepted(M0) is None
    assert script.job.state(M0).ballot.claims == []


def test_buckets_that_the_plan_does_not_have_are_refused() -> None:
    plan = replace(make_plan("a", "b", maps=1, reduces=2), buckets=8)
    script = Script(plan=plan)
    script.agree(M0, "a", "b")  # the simulator's partitions have 4
    assert script.job.accepted(M0) is None


def test_events_about_unknown_tasks_domains_or_old_inputs_change_nothing() -> None:
    script = Script("a", "b")
    wire = sign(identity("a"), script.commitment(M0, "a"))
    for event in (
        Committed(Task(MAP, 7), "a", script.inputs(M0), wire),
        Committed(M0, "nobody", script.inputs(M0), wire),
        Committed(M0, COORDINATOR, script.inputs(M0), wire),
        Committed(M0, "a", b"old", wire),
        Late(M0, "b", b"old", ""),
        Failed(M0, "b", b"old", ""),
        Late(M0, "nobody", script.inputs(M0), ""),
        Failed(M0, "nobody", script.inputs(M0), ""),
        Failed(M0, COORDINATOR, script.inputs(M0), ""),
        ServedWrong(M0, "nobody"),
        ServedWrong(M0, COORDINATOR),
        Finding(M0, script.inputs(M0), MAP, stable=False),
    ):
        assert script.feed(event) == []
    assert script.ended is None
    assert script.job.divergences == []
    assert script.job.state(M0).ballot.claims == []
    assert script.job.state(M0).running == {"a", "b"}
    assert set(script.job.standing.values()) == {Standing.TRUSTED}


def test_one_replica_checks_nothing_and_is_inconclusive() -> None:
    script = Script("a", "b", replicas=1)
    script.says(M0, "a")
    script.says(R0, "a")
    assert script.ended == (Verdict.INCONCLUSIVE, "unchecked")


def test_more_replicas_than_faults_still_need_only_f_plus_1() -> None:
    script = Script("a", "b", "c", replicas=3, faults=1)
    assert len(runs(script.log)) == 3
    script.agree(M0, "a", "c")
    assert script.job.accepted(M0) is not None


# --- silence and failure --------------------------------------------------------------------


def test_a_late_domain_is_suspected_and_a_trusted_one_asked() -> None:
    script = Script("a", "b", "c")
    assert runs(script.late(M0, "a")) == [(M0, "c")]
    assert script.job.standing["a"] is Standing.SUSPECTED
    assert script.job.reasons == {"a": "map partition 0: late"}


def test_a_domain_that_is_late_twice_loses_all_that_it_has_not_answered() -> None:
    script = Script("a", "b", "c", maps=9)
    owed = [Task(MAP, i) for i in range(9) if "b" in script.job.state(Task(MAP, i)).running]
    script.late(owed[0], "b")
    assert all("b" in script.job.state(task).running for task in owed[1:])
    given = runs(script.late(owed[1], "b"))
    assert {task for task, _ in given} == set(owed[1:])
    assert "b" not in {domain for _, domain in given}
    assert all("b" in script.job.state(task).late for task in owed)


def arbitrations(script: Script) -> list[Arbitrate]:
    return [i for i in script.log if isinstance(i, Arbitrate)]


def test_inputs_that_two_domains_signed_are_vouched_for() -> None:
    script = Script("a", "b")
    script.says(M0, "a", input_root=b"r" * 32)
    script.says(M0, "b", "lie", input_root=b"r" * 32)
    assert [i.vouched for i in arbitrations(script)] == [True]


def test_inputs_that_one_liar_signed_twice_are_not() -> None:
    script = Script("a", "b")
    script.says(M0, "b", "lie", input_root=b"r" * 32)
    script.says(M0, "b", "other lie", input_root=b"r" * 32)
    assert [i.vouched for i in arbitrations(script)] == [False]


def test_the_coordinator_stands_in_before_suspected_domains_are_asked() -> None:
    script = Script("a", "b", "c", maps=2)
    script.late(M1, "c")  # suspected, though never asked for M0
    script.late(M0, "a")
    assert StandIn(M0, script.inputs(M0)) in script.log
    script.late(M0, "b")
    assert runs(script.log)[-1] == (M0, "c")


def test_an_answer_that_comes_late_still_counts() -> None:
    script = Script("a", "b")
    script.late(M0, "a")
    script.agree(M0, "a", "b")
    assert script.job.accepted(M0) is not None
    assert script.job.standing["a"] is Standing.SUSPECTED


def test_without_a_stand_in_missing_answers_are_inconclusive() -> None:
    script = Script("a", "b", stand_in=False)
    script.says(M0, "a")
    assert script.late(M0, "b") == [Finished(Verdict.INCONCLUSIVE, "unanswered")]


def test_lateness_counts_only_for_what_is_running() -> None:
    script = Script("a", "b", "c")
    script.says(M0, "a")
    assert script.late(M0, "a") == []
    assert script.late(M0, "c") == []
    assert set(script.job.standing.values()) == {Standing.TRUSTED}


def test_a_failing_domain_is_suspected_only_once_others_succeed() -> None:
    script = Script("a", "b", "c")
    assert runs(script.fails(M0, "a")) == [(M0, "c")]
    assert script.job.standing["a"] is Standing.TRUSTED
    script.agree(M0, "b", "c")
    assert script.job.standing["a"] is Standing.SUSPECTED


def test_more_failures_than_faults_are_the_functions_own_error() -> None:
    script = Script("a", "b")
    script.fails(M0, "a")
    assert script.fails(M0, "b") == [Finished(Verdict.INCONCLUSIVE, "error", "b raised")]


def test_a_repeated_failure_counts_once() -> None:
    script = Script("a", "b", "c")
    script.fails(M0, "a")
    script.fails(M0, "a")
    assert script.ended is None


def test_a_failure_of_somebody_who_was_not_asked_counts_for_nothing() -> None:
    script = Script("a", "b", "c", "d")
    script.fails(M0, "a")
    assert script.fails(M0, "d") == []
    assert script.ended is None


def test_a_failing_stand_in_alone_does_not_end_a_job_that_others_can_finish() -> None:
    script = Script("a", "b", "c", maps=2)
    script.late(M1, "c")
    script.late(M0, "a")
    assert runs(script.fails(M0, COORDINATOR)) == [(M0, "c")]
    script.agree(M0, "b", "c")
    assert script.job.accepted(M0) is not None


def test_a_failing_stand_in_with_nobody_left_is_an_error_with_its_text() -> None:
    script = Script("a", "b")
    script.says(M0, "b")
    script.late(M0, "a")
    got = script.fails(M0, COORDINATOR)
    assert got == [Finished(Verdict.INCONCLUSIVE, "error", "coordinator raised")]


def test_nothing_is_asked_for_after_the_end() -> None:
    script = Script("a", "b", maps=3, stand_in=False)
    script.late(M0, "a")
    assert kinds(script.late(M0, "b")) == [Finished]
    assert script.says(M1, "a") == []


# --- the reduce stage -----------------------------------------------------------------------


def replaced() -> Script:
    """With one replica the only signer of a map root can be exposed: the root is replaced."""
    script = Script("a", "b", replicas=1, faults=1)
    script.says(M0, "a", "lie")
    script.says(M0, "a")
    return script


def test_a_replaced_map_root_starts_the_reduce_stage_again() -> None:
    script = replaced()
    old = script.inputs(R0)
    got = script.found(M0, "lie")
    assert (M0, "b") in runs(got)
    assert script.job.accepted(M0) is None
    got = script.says(M0, "b")
    assert StartReduce in kinds(got)
    assert script.inputs(R0) != old
    assert script.job.progress[REDUCE] == (0, 1)


def test_answers_to_the_old_reduce_stage_do_not_count_for_the_new_one() -> None:
    script = replaced()
    old = script.inputs(R0)
    stale = commit(script.plan, R0, "b", old)
    script.found(M0, "lie")
    script.says(M0, "b")
    script.feed(Committed(R0, "b", old, sign(identity("b"), stale)))
    assert script.job.state(R0).ballot.claims == []
    script.wire(R0, "b", sign(identity("b"), stale))  # nor if it is passed off as new
    assert script.job.state(R0).ballot.claims == []


def test_a_finding_about_the_old_reduce_stage_decides_nothing_about_the_new_one() -> None:
    script = Script("a", "b", replicas=1, faults=1, reduces=2)
    script.says(M0, "a", "lie")
    script.says(R0, "a")
    script.says(R0, "a", "lie")
    old, question = script.inputs(R0), script.question
    assert kinds(script.log)[-1] is Arbitrate
    script.feed(ServedWrong(M0, "a"))
    script.says(M0, "b")
    assert script.inputs(R0) != old
    script.feed(Finding(R0, old, REDUCE, stable=False, number=question))
    assert script.ended is None
    script.agree(R0, "b")
    script.agree(Task(REDUCE, 1), "b")
    assert script.ended == (Verdict.INCONCLUSIVE, "unchecked")


def test_no_map_partitions_reduce_at_once() -> None:
    script = Script("a", "b", maps=0)
    assert kinds(script.log) == [StartReduce, Run, Run]


def test_domains_of_the_simulator_are_the_enrolled_ones() -> None:
    assert [d.public_key for d in enrol("a")] == [identity("a").public_key]
