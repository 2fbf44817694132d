"""Attacks on challenges, step by step: events are fed by hand, in every order that is wrong."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest
from challenging import Challenged, challenged
from script import M0, M1, R0, kinds, runs

from dask_verify.protocol import answers
from dask_verify.protocol.domain import COORDINATOR
from dask_verify.protocol.draws import Draws
from dask_verify.protocol.messages import (
    MAP,
    READ,
    Arbitrate,
    Audited,
    Challenge,
    Finding,
    Run,
    ServedWrong,
    Settled,
    Standing,
    StartReduce,
    Task,
    Unaudited,
    Unopened,
    Unserved,
    Verdict,
)

# --- an honest audit ------------------------------------------------------------------------


def test_nothing_is_challenged_before_the_commitment_and_reduce_waits_for_the_answers() -> None:
    script = Challenged("a", "b", "c")
    assert not script.challenges()
    script.says(M0, "a")
    assert {script.units.holder, script.read.holder} == {"a", ""}
    assert "a" not in {script.units.domain, script.read.domain}
    assert not script.feed(script.audited(script.units))
    assert kinds(script.feed(script.audited(script.read)))[:2] == [Settled, StartReduce]
    script.agree(R0, "a")
    (auditor,) = [i.domain for i in script.log if isinstance(i, Run) and i.audit]
    script.agree(R0, auditor)
    assert script.ended == (Verdict.SAMPLED, "")
    assert script.outcomes() == ["agreed"] * 3


def test_every_unit_has_the_auditor_that_was_drawn_for_it_alone() -> None:
    script = challenged("a", "b", "c", "d", audit=0.9)
    draws = Draws(script.plan.seed, script.plan.job)
    made = [check for check in script.job.audits.made if check.kind == "units"]
    for check in made:
        what = (M0, bytes.fromhex(check.inputs), bytes.fromhex(check.commitment), set("bcd"))
        assert {draws.auditors(*what, unit)[0] for unit in check.units} == {check.auditor}
    assert len(made) == 3
    assert sum(len(check.units) for check in made) > 6


def test_an_answer_is_compared_leaf_by_leaf() -> None:
    script = challenged("a", "b", "c", "d", audit=0.9)
    asked = next(c for c in script.challenges() if len(c.units) > 1)
    honest = script.audited(asked)
    claim = script.job.state(M0).ballot.of(asked.digest)
    assert claim is not None
    for at, leaf in enumerate(honest.expected):
        lie = (*honest.expected[:at], bytes([leaf[0] ^ 1]) + leaf[1:], *honest.expected[at + 1 :])
        event = script.audited(asked, hashes=lie)
        answer = answers.admit(event, script.plan.job, {d.name: d for d in script.plan.domains})
        found = answers.objection(event, answer, claim.commitment)
        assert found is not None
        assert found.unit == asked.units[at * len(asked.units) // len(lie)]


def test_reduce_waits_for_the_audits_of_every_map() -> None:
    script = Challenged("a", "b", "c", maps=2, audit=1.0)
    for task, domain in ((M0, "a"), (M1, "b")):
        script.says(task, domain)
    auditors = {i.task: i.domain for i in script.log if isinstance(i, Run) and i.audit}
    assert StartReduce not in kinds(script.says(M0, auditors[M0]))
    assert script.job.progress[MAP] == (2, 2)
    assert StartReduce in kinds(script.says(M1, auditors[M1]))


def test_draws_can_be_made_again_from_seed_job_and_log() -> None:
    script = challenged()
    draws = Draws(script.plan.seed, script.plan.job)
    for made in script.job.audits.made:
        what = (M0, bytes.fromhex(made.inputs), bytes.fromhex(made.commitment))
        if made.kind == "units":
            assert made.units == (draws.one(*what, 12),)
            order = draws.auditors(*what, set("abc") - {*made.domains}, made.units[0])
        else:
            order = draws.auditors(*what, set("abc") - {*made.domains}, made.kind)
        assert made.auditor == order[0]
    log = [(e.what, e.domain) for e in script.job.minutes.log if e.what == "challenged"]
    assert len(log) == len(script.job.audits.made) == 2


# --- answers that are none ------------------------------------------------------------------

FORGED = {
    "other units": {"units": (11,)},
    "other inputs": {"inputs": b"others"},
    "another job": {"job": b"another"},
    "another stage": {"stage": "reduce"},
    "another partition": {"partition": 1},
    "another domain": {"domain": "a"},
    "other questions": {"questions": (b"q" * 32,)},
    "too few hashes": {"hashes": (b"h" * 32,)},
    "too many hashes": {"hashes": (b"h" * 32,) * 3},
    "no hashes": {"hashes": ()},
    "counts": {"counts": (1,)},
}


@pytest.mark.parametrize("how", FORGED)
def test_an_answer_to_something_else_is_no_answer(how: str) -> None:
    script = challenged()
    one, honest = script.units, script.audited(script.units)
    changes = dict(FORGED[how])
    if changes.get("units") == one.units:
        changes["units"] = (0,)
    forged = script.audited(one, **{k: v for k, v in changes.items() if k != "questions"})
    if "questions" in changes:
        forged = replace(honest, questions=changes["questions"])
    got = script.feed(forged)
    assert script.job.standing[one.domain] is Standing.SUSPECTED
    (again,) = [i for i in got if isinstance(i, Challenge) and i.kind != READ]
    assert again.domain not in (one.domain, "a")
    assert script.feed(honest) == []  # too late
    assert not script.job.exposed


@pytest.mark.parametrize("wire", [b"", b"\x00" * 80, b"\x82" * 500])
def test_garbage_is_no_answer(wire: bytes) -> None:
    script = challenged()
    one = script.units
    script.feed(Audited(one, wire, (b"e" * 32,), (b"q" * 32,)))
    assert script.job.standing[one.domain] is Standing.SUSPECTED
    assert script.job.state(M0).accepted


def test_a_signature_of_another_domain_is_no_answer() -> None:
    script = challenged()
    one = script.units
    other = next(n for n in "bc" if n != one.domain)
    script.feed(script.audited(one, by=other))
    assert script.job.standing[one.domain] is Standing.SUSPECTED
    assert script.outcomes().count("agreed") == 0


def test_a_replayed_answer_counts_once_and_one_to_another_challenge_never() -> None:
    script = challenged()
    one = script.units
    honest = script.audited(one)
    stale = replace(one, digest=bytes(32))
    for challenge in (stale, replace(one, kind=READ), replace(one, units=(0, 1)),
                      replace(one, inputs=b"old"), replace(one, domain="a")):  # fmt: skip
        for event in (
            replace(honest, challenge=challenge), Unopened(challenge), Unaudited(challenge, "late")
        ):  # fmt: skip
            assert script.feed(event) == []
    script.feed(honest)
    assert script.outcomes().count("agreed") == 1
    for event in (honest, Unopened(one), Unaudited(one, "late"), Unaudited(one, "x", failed=True)):
        assert script.feed(event) == []
    assert set(script.job.standing.values()) == {Standing.TRUSTED}


def test_nobody_can_refuse_to_open_what_is_only_read() -> None:
    script = challenged()
    assert script.feed(Unopened(script.read)) == []
    assert script.outcomes() == ["pending", "pending"]


# --- who is out -----------------------------------------------------------------------------


def test_an_exposed_auditor_answers_nothing_and_another_is_asked() -> None:
    script = challenged()
    one = script.units
    got = script.expose(one.domain)
    again = [i for i in got if isinstance(i, Challenge) and i.units == one.units]
    assert [c.domain for c in again] == [next(n for n in "bc" if n != one.domain)]
    assert script.feed(script.audited(one)) == []
    script.feed(script.audited(script.units))
    assert script.outcomes().count("agreed") == 1


def test_what_an_exposed_auditor_passed_is_computed_by_a_quorum() -> None:
    script = challenged()
    one = script.units
    script.feed(script.audited(one))
    script.feed(script.audited(script.read))
    script.expose(one.domain)
    assert script.job.state(M0).doubted
    again = [i for i in script.log if isinstance(i, Run) and i.domain != "a" and i.task == M0]
    assert [i.domain for i in again] == [next(n for n in "bc" if n != one.domain)]
    script.says(M0, again[0].domain)
    assert script.job.accepted(M0) is not None
    assert "pending" not in [c.outcome for c in script.job.audits.made if c.stage == MAP]


def test_an_exposed_holder_leaves_nothing_pending_and_another_does_its_work() -> None:
    script = challenged()
    one = script.units
    got = script.feed(ServedWrong(M0, "a"))
    assert script.outcomes() == ["moot", "moot"]
    assert len(runs(got)) == 1
    assert script.feed(script.audited(one)) == script.feed(Unopened(one)) == []
    script.says(M0, runs(got)[0][1])
    assert {c.holder for c in script.challenges()[-2:]} == {runs(got)[0][1], ""}


def test_nobody_volunteers_to_confirm_what_is_produced_again() -> None:
    script = challenged("a", "b", "c", "d", unit_records=0, audit=1.0, faults=2)
    (auditor,) = [i.domain for i in script.log if isinstance(i, Run) and i.audit]
    accomplice = next(n for n in "bcd" if n != auditor)
    script.says(M0, accomplice)
    assert script.outcomes() == ["pending"]
    script.says(M0, auditor)
    assert script.outcomes()[0] == "agreed"


# --- silence, refusal, failure --------------------------------------------------------------


def test_a_holder_that_does_not_open_has_its_partition_computed_by_a_quorum() -> None:
    script = challenged()
    got = script.feed(Unopened(script.units))
    (run,) = [i for i in got if isinstance(i, Run)]
    assert not run.audit
    assert script.job.accepted(M0) is None
    assert run.domain != "a"
    assert script.job.standing["a"] is Standing.SUSPECTED
    script.says(M0, "a")  # says it again: no way back
    assert "unopened" in script.outcomes()
    got = script.says(M0, run.domain, "lie")
    assert Arbitrate in kinds(got)
    script.found(M0, "lie")
    assert script.job.exposed == {run.domain}


def test_losing_a_challenged_partition_does_not_bring_another_draw() -> None:
    script = challenged()
    script.feed(Unserved(M0, "a"))
    got = script.says(M0, "a", "another")
    assert Arbitrate in kinds(got)
    assert script.job.accepted(M0) is None
    assert set(script.outcomes()) == {"moot"}


@pytest.mark.parametrize("referee", ["coordinator", "domains"])
def test_nobody_is_drawn_again_for_an_auditor_that_is_silent(referee: str) -> None:
    script = challenged("a", "b", "c", "d", referee=referee, faults=1)
    first = script.units
    got = script.feed(Unaudited(first, "late"))
    again = [i for i in got if isinstance(i, Challenge) and i.units == first.units]
    if referee == "coordinator":
        assert [c.domain for c in again] == [COORDINATOR]
        got = script.feed(Unaudited(again[0], "the source changed"))
    assert not [i for i in got if isinstance(i, Challenge)]
    assert script.job.accepted(M0) is None
    (run,) = [i for i in got if isinstance(i, Run)]
    script.says(M0, run.domain)
    assert script.job.accepted(M0) is not None
    assert not script.job.state(M0).checks


def test_two_replicas_ask_silent_auditors_after_each_other() -> None:
    script = Challenged("a", "b", "c", "d", replicas=2, referee="domains", stand_in=False)
    script.agree(M0, "a", "b")
    first = script.units
    script.feed(Unaudited(first, "late"))
    assert {first.domain, script.units.domain} == {"c", "d"}
    script.feed(Unaudited(script.units, "late"))
    assert script.ended == (Verdict.INCONCLUSIVE, "unaudited")


def test_a_suspected_domain_audits_as_often_as_others() -> None:
    asked: Counter[str] = Counter()
    for number in range(200):
        options = {"maps": 3, "faults": 2, "seed": number.to_bytes(32, "big")}
        script = Challenged("a", "b", "c", "d", audit=0.5, **options)
        for task, name in ((M1, "b"), (Task(MAP, 2), "c")):
            script.late(task, name)
            assert script.job.standing[name] is Standing.SUSPECTED
        script.says(M0, "a")
        for challenge in script.challenges():
            asked[challenge.domain] += len(challenge.units)
    assert set(asked) == {"b", "c", "d"}
    assert all(abs(asked[n] - sum(asked.values()) / 3) < 100 for n in "bcd"), asked


def test_units_that_all_happen_to_be_drawn_keep_an_auditor_each() -> None:
    script = Challenged("a", "b", "c", audit=1 - 2**-40)
    script.says(M0, "a")
    (own,) = {tuple(sorted(u for c in script.challenges() for u in c.units))}
    assert own == tuple(range(12))
    assert {c.domain for c in script.challenges() if c.units} == {"b", "c"}


def test_a_failing_auditor_proves_nothing_but_a_quorum_is_needed() -> None:
    script = challenged()
    one = script.units
    got = script.feed(Unaudited(one, "it raised", failed=True))
    assert script.job.accepted(M0) is None
    (other,) = [name for _, name in runs(got)]
    script.says(M0, other)
    assert script.job.accepted(M0) is not None
    assert script.job.standing[one.domain] is Standing.SUSPECTED
    assert not script.job.exposed


def test_an_auditor_that_failed_on_what_was_made_up_is_excused() -> None:
    script = Challenged("a", "b", "c")
    script.says(M0, "a", "made up")
    one = script.units
    script.feed(Unaudited(one, "it raised", failed=True))
    for name in "bc":
        script.says(M0, name)
    script.found(M0, "made up")
    for name in "bc":
        script.says(M0, name)
    assert script.job.accepted(M0) is not None
    assert script.job.exposed == {"a"}
    assert script.job.standing[one.domain] is Standing.TRUSTED


# --- contradictions -------------------------------------------------------------------------


def test_a_contradiction_is_weighed_and_its_liar_exposed() -> None:
    for liar in ("holder", "auditor"):
        script = challenged()
        one = script.units
        got = script.feed(script.audited(one, hashes=(b"h" * 32,) * 2))
        (asked,) = [i for i in got if isinstance(i, Arbitrate)]
        assert asked.recompute
        assert not asked.vouched
        assert asked.objection is not None
        assert asked.objection.unit == one.units[0]
        assert script.job.accepted(M0) is None
        wrong = frozenset({one.digest} if liar == "holder" else ())
        liars = frozenset({one.domain} if liar == "auditor" else ())
        said = {"wrong": wrong, "liars": liars, "read": True, "number": asked.number}
        script.feed(Finding(M0, script.inputs(M0), MAP, **said))
        assert script.job.exposed == {"a" if liar == "holder" else one.domain}
        assert script.job.divergences[0].settled == "referee"


def test_without_a_referee_f_plus_1_signatures_overrule_an_auditor() -> None:
    script = challenged("a", "b", "c", "d", referee="domains", stand_in=False)
    one = script.units
    script.feed(script.audited(one, hashes=(b"h" * 32,) * 2))
    assert not script.job.exposed
    assert not any(isinstance(i, Arbitrate) for i in script.log)
    script.says(M0, next(n for n in "bcd" if n != one.domain))
    assert script.job.exposed == {one.domain}
    assert [d.settled for d in script.job.divergences] == ["votes"]


def test_a_misread_partition_is_found_by_reading_it_again() -> None:
    script = challenged()
    got = script.feed(script.audited(script.read, hashes=(b"r" * 32,)))
    (asked,) = [i for i in got if isinstance(i, Arbitrate)]
    assert asked.objection is not None
    assert asked.objection.unit is None


@pytest.mark.parametrize("seed", [0, 5, 8])
def test_who_is_late_to_open_a_former_copy_leaves_the_present_check_alone(seed: int) -> None:
    """The same auditor is drawn for the same units, and another holder is to open them now."""
    script = challenged("a", "b", "c", "d", "e", seed=bytes([seed]) * 32)
    former = script.units
    script.expose("a")
    for name in sorted(script.job.state(M0).running):
        script.says(M0, name)
    present = script.units
    assert replace(present, holder="a") == former != present
    assert script.feed(Unopened(former)) == []
    assert script.job.is_challenged(present)
    assert not script.job.state(M0).lost
