"""Divergences, rule by rule: who is blamed, who is not, and what becomes of the job."""

from __future__ import annotations

import pytest
from script import M0, M1, R0, Script, diverged, kinds, runs

from dask_verify.protocol.board import Plan
from dask_verify.protocol.domain import Domain
from dask_verify.protocol.messages import (
    MAP,
    Arbitrate,
    Finding,
    Standing,
    Verdict,
)
from dask_verify.protocol.policy import Policy
from dask_verify.testing.simulation.enrolment import identity

# --- divergence -----------------------------------------------------------------------------


def test_a_divergence_is_arbitrated_and_accuses_nobody() -> None:
    script = diverged("a", "b")
    assert kinds(script.log[2:]) == [Arbitrate]
    assert script.log[2].recompute
    assert script.ended is None
    assert set(script.job.standing.values()) == {Standing.TRUSTED}


def test_only_whom_the_referee_contradicts_is_exposed_and_the_other_suffices() -> None:
    script = diverged("a", "b")
    script.found(M0, "lie")
    assert script.job.exposed == {"b"}
    assert script.job.accepted(M0) is not None
    script.says(R0, "a")
    assert script.ended == (Verdict.CORRECTED, "")
    assert script.job.divergences[0].culprits == ("b",)


def test_a_duplicate_or_foreign_finding_is_ignored() -> None:
    script = Script("a", "b", maps=2)
    for task in (M0, M1):
        script.says(task, "a")
        script.says(task, "b", "lie")
    foreign = Finding(M1, script.inputs(M1), MAP, stable=False, number=script.question)
    assert script.feed(foreign) == []  # M0 is being arbitrated
    script.found(M0, "lie")
    assert script.found(M0, "") == []
    assert script.job.exposed == {"b"}


def test_what_an_exposed_domain_disputed_elsewhere_is_settled_without_recomputing() -> None:
    script = Script("a", "b", maps=2)
    for task in (M0, M1):
        script.says(task, "a")
        script.says(task, "b", "lie")
    script.found(M0, "lie")
    assert kinds(script.log).count(Arbitrate) == 1
    assert [d.settled for d in script.job.divergences] == ["referee", "exposed elsewhere"]
    assert script.job.progress[MAP] == (2, 2)


def test_what_an_exposed_domain_signed_elsewhere_is_redone_while_the_answer_stands() -> None:
    script = Script("a", "b", "c", maps=2)
    script.agree(M0, "a", "b")  # agreed with the later culprit
    script.says(M1, "b", "lie")
    script.says(M1, "c")
    got = script.found(M1, "lie")
    assert (M0, "c") in runs(got)
    assert script.job.accepted(M0) is not None
    script.says(M1, "a")
    script.agree(R0, "a", "c")
    assert script.ended is None  # until M0 is redone
    script.says(M0, "c")
    assert script.ended == (Verdict.CORRECTED, "")


def test_a_job_does_not_wait_for_a_redo_that_does_not_come() -> None:
    script = Script("a", "b", "c", maps=2)
    script.agree(M0, "a", "b")
    script.says(M1, "b", "lie")
    script.says(M1, "c")
    script.found(M1, "lie")
    script.late(M0, "c")
    script.says(M1, "a")
    script.agree(R0, "a", "c")
    assert script.ended == (Verdict.CORRECTED, "")


def test_an_exposed_domain_counts_for_nothing_any_more() -> None:
    script = diverged("a", "b", "c", maps=2)
    script.found(M0, "lie")
    script.says(M1, "c")
    script.says(M1, "b")
    assert script.job.accepted(M1) is None
    assert script.fails(M1, "b") == []
    assert runs(script.log)[-1] != (M1, "b")


def test_an_unstable_referee_ends_the_job_and_exposes_nobody() -> None:
    script = diverged("a", "b")
    script.found(M0, stable=False)
    assert script.ended == (Verdict.NONDETERMINISTIC, "nondeterministic")
    assert not script.job.exposed
    assert not script.job.divergences[0].culprits


def test_a_referee_that_contradicts_more_than_f_domains_has_found_non_determinism() -> None:
    script = diverged("a", "b")
    script.found(M0, "lie", "")
    assert script.ended == (Verdict.NONDETERMINISTIC, "nondeterministic")
    assert not script.job.exposed
    assert not script.job.divergences[0].culprits


def test_non_determinism_takes_back_earlier_blame() -> None:
    script = diverged("a", "b", "c", maps=2)
    script.found(M0, "lie")
    script.says(M1, "c", "other")
    script.says(M0, "c")
    script.says(M1, "a")
    script.found(M1, "other")
    assert script.ended == (Verdict.NONDETERMINISTIC, "nondeterministic")
    assert not script.job.exposed
    assert not any(d.culprits for d in script.job.divergences)


def test_a_referee_that_contradicts_the_coordinators_own_run_has_found_non_determinism() -> None:
    script = Script("a", "b")
    script.late(M0, "a")
    script.says(M0, "b")
    script.stood_in(M0, "other")
    script.found(M0, "other")
    assert script.ended == (Verdict.NONDETERMINISTIC, "nondeterministic")


def test_a_failed_arbitration_blames_nobody_and_lets_others_decide() -> None:
    script = diverged("a", "b", "c")
    got = script.found(M0, failure="no access")
    assert runs(got) == [(M0, "c")]
    assert not script.job.exposed
    script.says(M0, "c")
    assert script.job.accepted(M0).digest == script.commitment(M0, "a").digest


def test_a_failed_arbitration_without_others_is_inconclusive() -> None:
    script = diverged("a", "b", stand_in=False)
    script.found(M0, failure="no access")
    assert script.ended == (Verdict.INCONCLUSIVE, "referee")


@pytest.mark.parametrize("stable", [True, False])
def test_a_changed_source_makes_suspects_at_most(stable: bool) -> None:
    script = diverged("a", "b", stand_in=False)
    salts = ("lie",) if stable else ()
    wrong = frozenset(script.commitment(M0, "x", s).digest for s in salts)
    script.feed(
        Finding(M0, script.inputs(M0), "read", wrong=wrong, stable=stable, read=True,
                source_ok=False, number=script.question)
    )  # fmt: skip
    assert not script.job.exposed
    assert script.job.standing["b"] is (Standing.SUSPECTED if stable else Standing.TRUSTED)
    assert script.ended == (Verdict.INCONCLUSIVE, "source")


def test_equal_commitments_decide_although_the_source_changed() -> None:
    script = diverged("a", "b", "c")
    script.found(M0, "lie", read=True, source_ok=False)
    script.says(M0, "c")
    assert script.job.accepted(M0) is not None
    assert not script.job.exposed


def environments(**of: str) -> tuple[Domain, ...]:
    return tuple(Domain(n, identity(n).public_key, {"cpu": cpu}) for n, cpu in of.items())


def in_environments(own: str, **of: str) -> Script:
    plan = Plan(b"job", Policy(replicas=2, stand_in=False), environments(**of), 1, 1, {"cpu": own})
    return Script(plan=plan)


def test_a_domain_of_another_environment_is_not_exposed() -> None:
    script = in_environments("x", a="x", b="y")
    script.says(M0, "a")
    script.says(M0, "b", "lie")
    script.found(M0, "lie")
    assert not script.job.exposed
    assert script.ended == (Verdict.INCONCLUSIVE, "environment")


def test_another_environment_does_not_shield_a_liar_of_the_coordinators_own() -> None:
    script = in_environments("x", a="x", b="y", c="y")
    script.says(M0, "a", "lie")
    script.says(M0, "b", "other")
    script.found(M0, "lie", "other")
    assert script.job.exposed == {"a"}


def test_votes_of_another_environment_expose_nobody() -> None:
    plan = Plan(
        b"job",
        Policy(replicas=3, faults=1, referee="domains", stand_in=False),
        environments(a="x", b="x", c="y"),
        1,
        1,
        {"cpu": "x"},
    )
    script = Script(plan=plan)
    script.says(M0, "c", "lie")
    script.agree(M0, "a", "b")
    script.found(M0)
    assert script.job.accepted(M0) is not None
    assert not script.job.exposed
    script.says(M0, "c", "lie")  # and the same divergence is not disputed again
    script.agree(R0, "a", "b")
    assert script.ended == (Verdict.CORRECTED, "")


def test_honest_domains_of_one_environment_that_all_differ_are_not_deterministic() -> None:
    script = Script("a", "b", "c", referee="domains", stand_in=False)
    for name in "abc":
        script.says(M0, name, name)
    (asked,) = (i for i in script.log if isinstance(i, Arbitrate))
    assert not asked.recompute  # what was read is compared, nothing else
    script.found(M0)
    assert script.ended == (Verdict.NONDETERMINISTIC, "nondeterministic")


def test_what_domains_read_of_a_source_that_changed_does_not_make_them_non_deterministic() -> None:
    script = Script("a", "b", "c", referee="domains", stand_in=False)
    for name in "abc":
        script.says(M0, name, name, input_root=name.encode() * 32)
    script.found(M0, source_ok=False)
    assert script.ended == (Verdict.INCONCLUSIVE, "source")


def test_a_source_that_changed_does_not_excuse_who_read_the_same() -> None:
    script = Script("a", "b", "c", referee="domains", stand_in=False)
    for name in "abc":
        script.says(M0, name, name)
    script.found(M0, source_ok=False)
    assert script.ended == (Verdict.NONDETERMINISTIC, "nondeterministic")


def test_where_reduce_tasks_all_differ_no_source_is_to_blame() -> None:
    script = Script("a", "b", "c", referee="domains", stand_in=False)
    for name in "abc":
        script.says(M0, name)
    for name in "abc":
        script.says(R0, name, name)
    assert not [i for i in script.log if isinstance(i, Arbitrate)]
    assert script.ended == (Verdict.NONDETERMINISTIC, "nondeterministic")


@pytest.mark.parametrize("referee", ["coordinator", "domains"])
@pytest.mark.parametrize("source_ok", [True, False])
def test_votes_expose_a_liar_but_nobody_who_read_a_source_that_changed(
    referee: str, source_ok: bool
) -> None:
    script = Script("a", "b", "c", "d", replicas=4, faults=1, referee=referee)
    for name in "ab":
        script.says(M0, name)
    script.says(M0, "c", "lie")
    script.says(M0, "d", input_root=b"d" * 32)  # an honest one, that came later
    script.found(M0, source_ok=source_ok)
    assert script.job.exposed == ({"c"} if not source_ok else {"c", "d"})
    if not source_ok:
        script.found(M0, source_ok=False)  # the next question: about the other one
        assert script.job.divergences[-1].settled == "withheld: source"
        for name in "abd":
            script.says(R0, name)
        assert script.ended == (Verdict.CORRECTED, "")
        assert script.job.standing["d"] is Standing.TRUSTED


def test_votes_expose_nobody_whose_reading_nothing_shows() -> None:
    """A partition that is one unit has no input root: the source may explain all of it."""
    script = Script("a", "b", "c", replicas=3, faults=1, unit_records=0)
    for name in "ab":
        script.says(M0, name)
    script.says(M0, "c", "lie")
    script.found(M0, source_ok=False)
    assert not script.job.exposed
    assert script.job.divergences[-1].settled == "withheld: source"


def test_domains_of_several_environments_that_all_differ_are_inconclusive() -> None:
    plan = Plan(
        b"job",
        Policy(replicas=2, referee="domains", stand_in=False),
        environments(a="x", b="y", c="z"),
        1,
        1,
    )
    script = Script(plan=plan)
    for name in "abc":
        script.says(M0, name, name)
    assert script.ended == (Verdict.INCONCLUSIVE, "environment")


def test_the_verdict_waits_for_the_arbitration_of_what_is_already_agreed() -> None:
    script = Script("a", "b", "c", replicas=3, faults=1)
    script.agree(M0, "a", "b", "c")
    script.says(R0, "c", "lie")
    script.agree(R0, "a", "b")
    assert script.job.accepted(R0) is not None
    assert script.ended is None
    script.found(R0, "lie")
    assert script.ended == (Verdict.CORRECTED, "")
    assert script.job.exposed == {"c"}


# --- voting ---------------------------------------------------------------------------------


def test_with_domains_as_referee_further_domains_are_asked_and_votes_expose() -> None:
    script = diverged("a", "b", "c", referee="domains", stand_in=False)
    assert runs(script.log)[-1] == (M0, "c")
    got = script.says(M0, "c")
    arbitrate = next(i for i in got if isinstance(i, Arbitrate))
    assert not arbitrate.recompute
    script.found(M0)
    assert script.job.exposed == {"b"}
    assert script.job.divergences[0].settled == "votes"


def test_f_plus_1_signatures_against_a_late_lie_spare_the_referee() -> None:
    script = Script("a", "b", "c", replicas=3, faults=1)
    script.agree(M0, "a", "b")
    got = script.says(M0, "c", "lie")
    assert [i.recompute for i in got if isinstance(i, Arbitrate)] == [False]
    script.found(M0)
    assert script.job.exposed == {"c"}


def test_one_signature_and_a_stand_in_expose_nobody() -> None:
    script = diverged("a", "b", referee="domains")
    script.stood_in(M0)
    script.found(M0)
    assert script.job.accepted(M0).digest == script.commitment(M0, "a").digest
    assert not script.job.exposed


# --- equivocation ---------------------------------------------------------------------------


def test_a_domain_that_signs_two_things_counts_for_neither() -> None:
    script = Script("a", "b", "c", referee="domains", stand_in=False)
    script.says(M0, "a", "lie")
    script.says(M0, "a")
    script.says(M0, "b")
    assert script.job.accepted(M0) is None


@pytest.mark.parametrize("lies", [2, 3, 20])
def test_a_lone_self_contradictor_is_exposed_by_a_stable_referee(lies: int) -> None:
    script = Script("a", "b")
    for n in range(lies):
        script.says(M0, "b", f"lie {n}")
    script.says(M0, "a")
    assert len(script.job.state(M0).ballot.claims) == 3  # what is kept of it stays bounded
    script.found(M0, "lie 0", "lie 1")
    assert script.job.exposed == {"b"}
    assert script.job.accepted(M0) is not None


def test_equivocation_after_agreement_does_not_undo_it() -> None:
    script = Script("a", "b", "c")
    script.agree(M0, "a", "b")
    got = script.says(M0, "b", "lie")
    assert Arbitrate in kinds(got)
    assert script.job.accepted(M0) is not None
    script.found(M0, "lie")
    assert script.job.exposed == {"b"}
    assert script.job.accepted(M0) is not None
