"""A coordinator that dies after any event goes on as if it had not: the same decisions, no more."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
from script import M0, Script

from dask_verify.errors import JournalError
from dask_verify.protocol.domain import COORDINATOR
from dask_verify.protocol.job import JobState
from dask_verify.protocol.messages import (
    Arbitrate,
    Challenge,
    Event,
    Finished,
    Recount,
    Run,
    StandIn,
    StartReduce,
    Unserved,
    Verdict,
)
from dask_verify.protocol.recording import decisions
from dask_verify.protocol.replay import losses, replay
from dask_verify.testing.simulation import Simulation
from dask_verify.testing.simulation.mixes import scenario
from dask_verify.testing.simulation.promises import play
from dask_verify.testing.simulation.replaying import snapshot

MIXES = ("restarting", "everything", "lying", "auditors", "churning")
JOBS = [60, pytest.param(1_000, marks=pytest.mark.soak)]


class Looked(Simulation):
    """A simulated job that is compared with its replay after some of its events."""

    stops: frozenset[int] = frozenset()
    looks = 0

    def feed(self, event: Event) -> None:
        super().feed(event)
        if len(self.events) in self.stops:
            self.looks += 1
            again, owed = self.taken_up()
            assert snapshot(again) == snapshot(self.job)
            assert {type(i) for i in owed} <= KINDS
            for given in owed:
                if isinstance(given, Run):
                    assert given.domain in self.job.state(given.task).running


KINDS = {Run, StandIn, Challenge, Arbitrate, Recount, StartReduce, Finished}


@pytest.mark.parametrize("mix", MIXES)
def test_replaying_any_beginning_of_a_job_gives_the_job_as_it_was(mix: str) -> None:
    looks = 0
    for seed in range(30):
        drawn = scenario(seed, mix)
        calm = replace(drawn.weather, restarts=0)
        world = Looked(drawn.plan, drawn.behaviours, seed, calm, drawn.nature, drawn.protocol)
        world.stops = frozenset(random.Random(seed).sample(range(1, 25), 6))
        world.run()
        looks += world.looks
        assert snapshot(world.taken_up()[0]) == snapshot(world.job)
    assert looks > 30


@pytest.mark.parametrize("jobs", JOBS)
def test_a_coordinator_that_dies_again_and_again_breaks_no_promise(jobs: int) -> None:
    restarts = 0
    for seed in range(jobs):
        world = scenario(seed, "restarting")
        outcome = play(world)
        assert outcome.broken == (), (seed, outcome)
        restarts += world.restarts
    assert restarts > jobs


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
    assert [(i.task, i.domain) for i in job.handle(Unserved(M0, "a"))] == [(M0, "a")]


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
