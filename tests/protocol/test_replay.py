"""A coordinator that dies after any event goes on as if it had not: the same decisions, no more."""

from __future__ import annotations

import random
from hashlib import sha256
from typing import Any

import pytest
from script import M0, Script
from simulator import AUDIT_LIES, AUDITORS, FAULTS, Simulation, make_plan

from dask_verify.errors import JournalError
from dask_verify.protocol.domain import COORDINATOR
from dask_verify.protocol.job import JobState
from dask_verify.protocol.messages import (
    Event,
    Finished,
    Instruction,
    Run,
    StandIn,
    Standing,
    StartReduce,
    Unserved,
    Verdict,
)
from dask_verify.protocol.recording import decisions, read_event, write_event
from dask_verify.protocol.replay import losses, replay

NAMES = ("alice", "bob", "carol", "dave")
ALL = sorted({*FAULTS, *AUDIT_LIES, *AUDITORS})
JOBS = [120, pytest.param(2_000, marks=pytest.mark.matrix)]


class Recorded(Simulation):
    """A simulated job that keeps its events, as bytes, and can be killed and taken up again."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.past: list[tuple[bytes, bytes]] = []
        self.crashes = 0

    def _happen(self, event: Event) -> None:
        instructions = self.job.handle(event)
        self.past.append((write_event(event), decisions(instructions)))
        self._carry_out(instructions)

    def again(self) -> tuple[JobState, list[Instruction]]:
        return replay(self.plan, ((read_event(wire), mark) for wire, mark in self.past))

    def crash(self) -> None:
        """Lose all that is under way, and all that the coordinator holds, and go on."""
        self.crashes += 1
        self.job, owed = self.again()
        self.pending.clear()
        for task, holder in list(self.stores):
            if holder == COORDINATOR:
                del self.stores[task, holder]
        for event in losses(self.job):
            self._happen(event)
        # What the stage reads is as it was: a map that is being replaced is not counted again.
        self._carry_out([i for i in owed if not isinstance(i, StartReduce)])


def recorded(seed: int, **fixed: Any) -> Recorded:
    draw = random.Random(seed)
    policy = {
        "replicas": draw.choice([1, 2]),
        "faults": 1,
        "referee": draw.choice(["coordinator", "coordinator", "domains"]),
        "audit": draw.choice([0.3, 1.0]),
    } | fixed
    names = NAMES[: draw.randint(2 if policy["referee"] == "coordinator" else 3, 4)]
    plan = make_plan(
        *names,
        maps=draw.randint(1, 4),
        reduces=draw.randint(1, 3),
        seed=sha256(b"%d" % seed).digest(),
        unit_records=draw.choice([0, 3, 12]),
        **policy,
    )
    behaviours = {draw.choice(names): draw.choice(ALL)} if draw.random() < 0.8 else {}
    return Recorded(plan, behaviours, seed, losses=draw.choice([0, 0.1]))


def known(job: JobState) -> Any:
    """All that a job has decided, and what it waits for."""
    tasks = [
        (task, state.inputs, state.accepted, state.running, state.late, state.lost, state.tried)
        for task, state in ((task, job.state(task)) for task in job.assigned())
    ]
    return (
        tasks,
        job.standing,
        job.reasons,
        job.divergences,
        job.minutes.log,
        job.audits.made,
        job.finished,
        job.arbitrated,
        job.progress,
    )


@pytest.mark.parametrize("seed", range(40))
def test_replaying_any_beginning_of_a_job_gives_the_job_as_it_was(seed: int) -> None:
    job = recorded(seed)
    stops = set(random.Random(seed).sample(range(60), 6))

    class Looked(Recorded):
        def _happen(self, event: Event) -> None:
            super()._happen(event)
            if len(self.past) in stops:
                assert known(self.again()[0]) == known(self.job)

    watched = Looked(job.plan, job.behaviours, job.seed, job.losses)
    watched.run()
    assert known(watched.again()[0]) == known(watched.job)


@pytest.mark.parametrize("jobs", JOBS)
def test_a_coordinator_that_dies_again_and_again_ends_as_promised(jobs: int) -> None:
    crashes = answered = 0
    for seed in range(jobs):
        job = recorded(seed)
        at = random.Random(seed).sample(range(1, 30), 3)

        class Dying(Recorded):
            moments = at

            def _happen(self, event: Event) -> None:
                super()._happen(event)
                if len(self.past) in self.moments and self.job.finished is None:
                    self.moments = [m for m in self.moments if m > len(self.past)]
                    self.crash()

        dying = Dying(job.plan, job.behaviours, job.seed, job.losses)
        verdict = dying.run()
        context = f"seed {seed}: {dying.behaviours}, {dying.plan}"
        assert verdict is not None, f"nothing under way: {context}"
        assert verdict is not Verdict.NONDETERMINISTIC, context
        assert dying.job.exposed <= set(dying.behaviours), context
        for name, standing in dying.job.standing.items():
            assert name in dying.behaviours or standing is Standing.TRUSTED, context
        if verdict.answered and dying.plan.policy.replicas > 1:
            assert not dying.wrong(), context
        if not dying.behaviours and not dying.losses:
            assert verdict in (Verdict.AGREED, Verdict.SAMPLED), context
        crashes, answered = crashes + dying.crashes, answered + verdict.answered
    assert crashes > jobs
    assert answered > jobs / 2


def test_what_was_answered_is_not_asked_again() -> None:
    script = Script("a", "b", "c", maps=2)
    script.says(M0, "a")
    _, owed = replay(script.plan, [])
    assert len([i for i in owed if isinstance(i, Run)]) == 4
    _, owed = replay(script.plan, past(script, 1))
    left = [(i.task, i.domain) for i in owed if isinstance(i, Run)]
    assert (M0, "a") not in left
    assert len(left) == 3


def past(script: Script, number: int) -> list[tuple[Event, bytes]]:
    """What a script was fed, with what it decided: the last of its log."""
    job, found = JobState(script.plan), []
    job.start()
    for event in script.fed[:number]:
        found.append((event, decisions(job.handle(event))))
    return found


def test_other_decisions_are_refused() -> None:
    script = Script("a", "b")
    script.says(M0, "a")
    script.says(M0, "b")
    [(one, mark), (other, decided)] = past(script, 2)
    replay(script.plan, [(one, mark), (other, decided)])
    with pytest.raises(JournalError, match="event 1, Committed: expected the decisions"):
        replay(script.plan, [(one, mark), (other, bytes(8))])


def test_the_reduce_stage_is_started_before_its_tasks_are_asked_for() -> None:
    script = Script("a", "b")
    script.agree(M0, "a", "b")
    _, owed = replay(script.plan, past(script, 2))
    assert isinstance(owed[0], StartReduce)
    assert all(isinstance(i, Run) for i in owed[1:])
    assert len(owed) == 3


def test_a_job_without_an_answer_owes_nothing_but_its_end() -> None:
    script = Script("a", "b", stand_in=False)
    script.late(M0, "a")
    script.late(M0, "b")
    assert script.ended == (Verdict.INCONCLUSIVE, "unanswered")
    _, owed = replay(script.plan, past(script, 2))
    assert owed == [Finished(Verdict.INCONCLUSIVE, "unanswered")]


def test_what_only_the_coordinator_held_is_made_again() -> None:
    script = Script("a", "b")
    script.says(M0, "a")
    script.late(M0, "b")
    script.stood_in(M0)
    job, _ = replay(script.plan, past(script, 3))
    assert losses(job) == [Unserved(M0, COORDINATOR, job.state(M0).accepted)]
    assert job.handle(losses(job)[0]) == []  # there is another copy
    assert [(i.task, i.domain) for i in job.handle(Unserved(M0, "a"))] == [(M0, "b")]


def test_the_coordinator_makes_its_lost_copy_once_more_and_no_more() -> None:
    script = Script("a", "b")
    script.says(M0, "a")
    script.late(M0, "b")
    script.stood_in(M0)
    script.expose("a")
    asked = len(script.log)
    for _ in range(4):
        for holder in script.job.holders(M0):
            script.feed(Unserved(M0, holder))
        for executor in sorted(script.job.state(M0).running):
            script.stood_in(M0) if executor == COORDINATOR else script.late(M0, executor)
    assert [i.task for i in script.log[asked:] if isinstance(i, StandIn)] == [M0]
    assert script.ended == (Verdict.INCONCLUSIVE, "unserved")
