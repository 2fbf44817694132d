"""Audits through whole jobs: rates, shapes, counts, stages that start again, and the verdict."""

from __future__ import annotations

from typing import Any

import pytest
from challenging import Challenged, challenged
from script import M0, M1, R0, kinds, runs

from dask_verify.protocol import sampling
from dask_verify.protocol.domain import COORDINATOR
from dask_verify.protocol.messages import (
    MAP,
    READ,
    Arbitrate,
    Committed,
    Finding,
    Recount,
    Recounted,
    Run,
    ServedWrong,
    StandIn,
    Standing,
    StartReduce,
    Unaudited,
    Unopened,
    Verdict,
)
from dask_verify.protocol.policy import Detect
from dask_verify.protocol.quorum import sign
from dask_verify.testing.simulation.enrolment import identity

# --- size, shape and small jobs -------------------------------------------------------------


def test_a_rate_that_depends_on_the_size_waits_for_it() -> None:
    script = Challenged("a", "b", "c", maps=2, audit=Detect(1, 0.5))
    script.says(M0, "a")
    assert not script.challenges()
    assert script.job.audits.rate is None
    script.says(M1, "b")
    assert script.job.audits.rate == pytest.approx(0.5 / 1.0, abs=0.3)
    assert script.challenges(M0) or script.challenges(M1)


@pytest.mark.parametrize("more", [1, 1_000])
def test_claiming_more_units_does_not_lower_the_rate(more: int) -> None:
    script = Challenged("a", "b", maps=2, audit=Detect(0.5, 0.9))
    script.says(M0, "a", units=12 * more, records_in=12 * more)
    script.says(M1, "b")
    honest = script.plan.policy.audit.rate(24, 2, 1)  # type: ignore[union-attr]
    assert script.job.audits.rate == honest


@pytest.mark.parametrize(
    "changes", [{"units": 11}, {"units": 13}, {"records_in": 24}, {"input_root": b""}], ids=str
)
def test_units_that_are_not_cut_as_planned_are_refused(changes: dict[str, Any]) -> None:
    script = Challenged("a", "b", "c")
    script.says(M0, "a", **changes)
    assert script.job.state(M0).ballot.claims == []
    assert script.job.standing["a"] is Standing.SUSPECTED


def test_a_single_domain_is_audited_by_the_coordinator() -> None:
    script = challenged("a")
    assert {c.domain for c in script.challenges()} == {COORDINATOR}
    script.feed(script.audited(script.units))
    script.feed(script.audited(script.read))
    assert any(isinstance(i, StartReduce) for i in script.log)
    script.says(R0, "a")
    assert StandIn in kinds(script.log)
    script.stood_in(R0)
    assert script.ended == (Verdict.SAMPLED, "")


def test_a_single_domain_that_nobody_can_audit_is_inconclusive() -> None:
    script = challenged("a", referee="domains")
    assert script.ended == (Verdict.INCONCLUSIVE, "unaudited")


def test_two_replicas_are_audited_by_a_third() -> None:
    script = Challenged("a", "b", "c", replicas=2)
    script.agree(M0, "a", "b")
    assert {c.domain for c in script.challenges()} == {"c"}


# --- restarts, counts, and what comes after the verdict -------------------------------------


def started(**options: Any) -> Challenged:
    script = challenged(**options)
    script.feed(script.audited(script.units))
    script.feed(script.audited(script.read))
    return script


def test_a_map_that_is_replaced_starts_the_reduce_audits_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sampling, "_SMALL", 0)
    script = Challenged("a", "b", "c")
    script.says(M0, "a", "lie")
    script.feed(script.audited(script.read))
    script.feed(script.audited(script.units))
    script.says(R0, "a")
    (old,) = script.challenges(R0)
    got = script.feed(ServedWrong(M0, "a"))
    assert {task for task, _ in runs(got)} == {M0, R0}
    script.says(M0, "b")
    script.feed(script.audited(script.units))
    script.feed(script.audited(script.read))
    assert script.inputs(R0) != old.inputs
    assert script.feed(Unopened(old)) == []
    assert not script.job.state(R0).checks
    script.says(R0, "b")
    new = script.challenges(R0)[-1]
    assert new.inputs == script.inputs(R0)


def test_counts_that_nobody_asked_for_blame_nobody() -> None:
    script = started()
    assert script.feed(Recounted(R0, script.inputs(R0), (0,), 5)) == []
    assert not script.job.exposed


def test_whoever_signed_another_number_of_records_is_exposed() -> None:
    script = started()
    emitted = script.job.accepted(M0).counts[0]
    got = script.says(R0, "a", records_in=emitted + 1)
    assert Recount(R0, script.inputs(R0)) in got
    script.feed(Recounted(R0, script.inputs(R0), (), emitted))
    assert script.job.exposed == {"a"}
    assert "counts" in [d.settled for d in script.job.divergences]


def test_counts_of_a_map_that_is_being_replaced_blame_nobody() -> None:
    script = started()
    script.says(R0, "b", records_in=1)
    script.feed(ServedWrong(M0, "a"))
    script.feed(Recounted(R0, script.inputs(R0), (0,), 77))
    assert script.job.exposed == {"a"}
    script.says(M0, "b")
    while script.job.state(M0).checks:
        reading = script.job.state(M0).checks[0].kind == READ
        script.feed(script.audited(script.read if reading else script.units))
    assert [i.task for i in script.log if isinstance(i, Recount)] == [R0, R0]
    assert script.job.exposed == {"a"}


def test_after_the_verdict_the_seed_is_known_and_only_a_quorum_replaces_work() -> None:
    script = started()
    script.says(R0, "a")
    (auditor,) = [i.domain for i in script.log if isinstance(i, Run) and i.audit]
    script.says(R0, auditor)
    assert script.ended == (Verdict.SAMPLED, "")
    before = len(script.challenges())
    script.feed(ServedWrong(M0, "a"))
    others = "bc"
    script.says(M0, others[0])
    assert len(script.challenges()) == before
    assert script.job.state(M0).doubted
    script.says(M0, others[1])
    assert script.job.accepted(M0) is not None


def test_a_commitment_that_was_not_asked_for_is_not_audited_by_its_author() -> None:
    script = challenged("a", "b", "c", "d")
    one = script.units
    wire = sign(identity(one.domain), script.commitment(M0, one.domain))
    script.feed(Committed(M0, one.domain, script.inputs(M0), wire))
    script.feed(Unaudited(one, "late"))
    assert script.units.domain not in ("a", one.domain)


def test_a_reduce_stage_that_starts_again_after_the_verdict_needs_a_quorum() -> None:
    script = Challenged("a", "b", "c")
    script.says(M0, "a", "lie")
    script.feed(script.audited(script.units))
    script.feed(script.audited(script.read))
    script.says(R0, "a")
    (auditor,) = [i.domain for i in script.log if isinstance(i, Run) and i.audit]
    script.says(R0, auditor)
    assert script.ended == (Verdict.SAMPLED, "")
    old = script.inputs(R0)
    script.feed(ServedWrong(M0, "a"))
    script.agree(M0, "b", "c")
    assert script.inputs(R0) != old
    script.says(R0, "b")
    assert script.job.accepted(R0) is None
    script.says(R0, "c")
    assert script.job.accepted(R0) is not None


def test_without_a_referee_a_contradiction_is_on_record_once_votes_have_settled_it() -> None:
    script = challenged("a", "b", "c", unit_records=0, audit=1.0, referee="domains", stand_in=False)
    (auditor,) = [i.domain for i in script.log if isinstance(i, Run) and i.audit]
    script.says(M0, auditor, "lie")
    assert script.job.divergences == []
    assert script.job.accepted(M0) is None
    script.says(M0, next(n for n in "bc" if n != auditor))
    (asked,) = [i for i in script.log if isinstance(i, Arbitrate)]
    assert not asked.recompute
    script.feed(Finding(M0, script.inputs(M0), MAP, number=asked.number))
    assert script.job.exposed == {auditor}
    assert [d.settled for d in script.job.divergences] == ["votes"]


@pytest.mark.parametrize("size", [{"records_in": 2**41}, {"nbytes": 2**41}, {"counts": (2**41,)}])
def test_sizes_beyond_reason_are_refused(size: dict[str, Any]) -> None:
    script = Challenged("a", "b", "c", unit_records=0)
    script.says(M0, "a", **size)
    assert script.job.state(M0).ballot.claims == []


def test_one_domain_cannot_make_a_reduce_stage_look_large() -> None:
    script = Challenged("a", "b", maps=2)
    script.says(M0, "a", counts=(10**9,))
    script.says(M1, "b")
    assert script.job.audits.small


def test_one_partition_of_a_single_domain_does_not_dilute_the_rate() -> None:
    script = Challenged("a", maps=3, audit=Detect(0.5, 0.9))
    script.says(M0, "a", units=1 << 20, records_in=1 << 20)
    for partition in (1, 2):
        script.says(M0._replace(partition=partition), "a")
    assert script.job.audits.rate == script.plan.policy.audit.rate(36, 1, 1)  # type: ignore[union-attr]
