"""A domain whose environment explains its differences: the referee is not asked without end."""

from __future__ import annotations

from collections.abc import Callable

from script import Script

from dask_verify.protocol.board import Plan
from dask_verify.protocol.domain import Domain
from dask_verify.protocol.messages import MAP, Arbitrate, Run, StandIn, Standing, Task
from dask_verify.protocol.policy import Policy
from dask_verify.testing.simulation.enrolment import identity

TIMES = 3  #: that the referee contradicts one domain in vain
LAST = Task(MAP, 6)  #: alice and bob are asked first

FAR = Task(MAP, 10)  #: of a job of five domains


def lies(task: Task, name: str) -> str | None:
    return "lie" if name == "bob" else ""


def plan(maps: int, cpus: dict[str, str], **options: bool) -> Plan:
    """A plan whose coordinator is of the environment x."""
    domains = [Domain(n, identity(n).public_key, {"cpu": cpu}) for n, cpu in cpus.items()]
    return Plan(b"job", Policy(replicas=2, **options), tuple(domains), maps, 1, {"cpu": "x"})


def played(
    job: Plan, answers: Callable[[Task, str], str | None] = lies, *wrong: str
) -> tuple[Script, list[Task]]:
    """A job whose maps were answered, but for those with None, and what the referee recomputed."""
    script, seen = Script(plan=job), 0
    recomputed: list[Task] = []
    while seen < len(script.log):
        match script.log[seen]:
            case Run(task, name) if task.stage == MAP:
                if (salt := answers(task, name)) is not None:
                    script.says(task, name, salt)
            case StandIn(task) if task.stage == MAP:
                script.stood_in(task)
            case Arbitrate() as asked if script.job.arbitrated == asked:
                recomputed += [asked.task] * asked.recompute
                script.found(asked.task, *(wrong or ("lie",)) * asked.recompute)
        seen += 1
    return script, recomputed


def last(**options: bool) -> Script:
    """A job in which bob's differences were explained often enough, and one map is unanswered."""
    script, recomputed = played(
        plan(7, {"alice": "x", "bob": "y", "carol": "x"}, **options),
        lambda task, name: None if task == LAST else lies(task, name),
    )
    assert len(recomputed) == TIMES
    assert script.job.standing["bob"] is Standing.SUSPECTED
    return script


def test_who_lies_in_another_environment_is_recomputed_a_few_times_only() -> None:
    script, recomputed = played(plan(60, {"alice": "x", "bob": "y", "carol": "x"}))
    assert len(recomputed) == TIMES
    assert script.job.standing["bob"] is Standing.SUSPECTED
    assert "may not blame" in script.job.reasons["bob"]
    assert not script.job.exposed
    for partition in range(60):
        task = Task(MAP, partition)
        assert script.job.state(task).accepted == script.commitment(task, "alice").digest
    # Every difference is in the report, whoever settled it.
    differ = {p for p in range(60) if "bob" in script.job.state(Task(MAP, p)).ballot.domains()}
    assert {d.partition for d in script.job.divergences} == differ


def test_a_referee_that_is_the_odd_one_out_makes_nobody_suspected_whom_votes_confirm() -> None:
    """It contradicts the honest as well as the liar, and may blame none of them."""
    job = plan(12, dict.fromkeys(("alice", "bob", "carol"), "y"), stand_in=False)
    script, recomputed = played(job, lies, "", "lie")
    assert len(recomputed) <= TIMES + 1
    assert script.job.standing["alice"] is script.job.standing["carol"] is Standing.TRUSTED
    assert script.job.standing["bob"] is not Standing.TRUSTED
    assert not script.job.exposed & {"alice", "carol"}
    for partition in range(12):
        task = Task(MAP, partition)
        assert script.job.state(task).accepted == script.commitment(task, "alice").digest


def test_in_the_same_environment_once_is_enough() -> None:
    script, recomputed = played(plan(60, {"alice": "x", "bob": "x", "carol": "x"}))
    assert len(recomputed) == 1
    assert script.job.exposed == {"bob"}


def test_peers_of_its_environment_still_expose_whom_the_referee_leaves_to_votes() -> None:
    cpus = {"alice": "x", "bob": "y", "carol": "x", "dave": "y", "eve": "y"}
    script, recomputed = played(plan(11, cpus), lambda t, n: lies(t, n) if t != FAR else None)
    assert len(recomputed) == TIMES
    for name in ("bob", "dave", "eve"):
        script.says(FAR, name, "lie" if name == "bob" else "")
    asked = script.job.arbitrated
    assert asked is not None
    assert not asked.recompute
    script.found(FAR)
    assert script.job.exposed == {"bob"}


def test_it_still_counts_and_a_liar_whom_others_outvote_with_it_is_exposed() -> None:
    script = last()
    script.says(LAST, "alice", "lie")
    script.says(LAST, "bob")
    assert script.job.arbitrated is None
    script.says(LAST, "carol")
    assert script.job.accepted(LAST) == script.commitment(LAST, "bob")
    asked = script.job.arbitrated
    assert asked is not None
    assert asked.recompute
    script.found(LAST, "lie")
    assert script.job.exposed == {"alice"}


def test_where_votes_do_not_suffice_the_referee_is_asked_after_all() -> None:
    script = last(stand_in=False)
    script.says(LAST, "alice", "lie")
    script.says(LAST, "bob")
    script.late(LAST, "carol")
    asked = script.job.arbitrated
    assert script.ended is None
    assert asked is not None
    assert asked.recompute
    script.found(LAST, "lie")
    assert script.job.exposed == {"alice"}
    assert script.job.state(LAST).accepted == script.commitment(LAST, "bob").digest


def test_nothing_is_accepted_on_the_word_of_one_whom_it_contradicts() -> None:
    script = last(stand_in=False)
    script.says(LAST, "alice")
    script.says(LAST, "bob", "lie")
    assert script.job.accepted(LAST) is None
    script.late(LAST, "carol")
    script.found(LAST, "lie")
    assert script.job.accepted(LAST) is None
    assert script.ended is not None
    assert script.ended[1] == "environment"
    assert not script.job.exposed
