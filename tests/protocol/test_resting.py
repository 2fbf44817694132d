"""A job rests once there is a verdict, and nothing of its answer is made or checked once more."""

from __future__ import annotations

from challenging import Challenged
from script import M0, R0

from dask_verify.protocol.messages import (
    REDUCE,
    Audited,
    Challenge,
    Committed,
    Failed,
    Finished,
    Instruction,
    Late,
    Run,
    ServedWrong,
    StandIn,
    Task,
    Unaudited,
    Verdict,
)
from dask_verify.testing.simulation import Simulation
from dask_verify.testing.simulation.mixes import scenario

SEEDS = 300
#: Jobs whose verdict comes while domains are at work on what is lost afterwards, or was before.
AT_WORK = (3000524, 3001765, 3003500)
#: What comes of tasks and challenges, which are stopped with the verdict.
STOPPED = (Committed, Failed, Late, Audited, Unaudited)


def test_whatever_befalls_an_answered_job_it_comes_to_rest() -> None:
    answered = 0
    for seed in range(SEEDS):
        world = scenario(seed, "")
        world.run()
        if not (world.job.finished and world.job.finished.verdict.answered):
            continue
        answered += 1
        while world.pending or world.stir():
            if world.pending:
                world.linger()
        assert world.job.resting, seed
    assert answered > SEEDS / 2


def stopped_by_the_verdict(world: Simulation) -> Simulation:
    """Let what is under way at the verdict never be heard of again; what comes with it goes on."""
    carry_out = world._carry_out

    def until_the_verdict(instructions: list[Instruction]) -> None:
        ends = [isinstance(i, Finished) and i.verdict.answered for i in instructions]
        at = ends.index(True) if True in ends else 0
        carry_out(instructions[:at])
        if at or ends[:1] == [True]:
            world.pending = [p for p in world.pending if not isinstance(p.event, STOPPED)]
            world.blocked = [item for item in world.blocked if isinstance(item, StandIn)]
        carry_out(instructions[at:])

    world._carry_out = until_the_verdict  # type: ignore[method-assign]
    return world


def test_what_is_lost_after_the_verdict_is_made_again_by_whoever_it_stopped() -> None:
    """Nobody waits for an answer of a task that the verdict itself has stopped."""
    looked_at = 0
    for seed in (*AT_WORK, *range(SEEDS)):
        world = stopped_by_the_verdict(scenario(seed, ""))
        world.run()
        finished = world.job.finished
        # A restart feeds what the coordinator lost before it carries out what it owes.
        if world.restarts or finished is None or not finished.verdict.answered:
            continue
        if "alice" not in world.away:
            world.crash("alice")
        while world.pending or world.stir():
            if world.pending:
                world.linger()
        assert world.job.resting, seed
        if world.job.finished is not None and world.job.finished.verdict.answered:
            looked_at += 1
            parts = [Task(REDUCE, partition) for partition in range(world.plan.reduces)]
            assert all(world.job.holders(part) for part in parts), seed
    assert looked_at > SEEDS / 3


def answered(script: Challenged, seen: int = 0) -> int:
    """Answer whatever is asked, honestly; return how much of the log was seen."""
    while seen < len(script.log):
        asked, seen = script.log[seen], seen + 1
        match asked:
            case Run(task, name, inputs) if inputs == script.inputs(task):
                script.says(task, name)
            case StandIn(task, inputs) if inputs == script.inputs(task):
                script.stood_in(task)
            case Challenge() if script.job.is_challenged(asked):
                script.feed(script.audited(asked))
    return seen


def test_a_job_whose_only_holder_is_exposed_does_not_rest_until_all_is_made_again() -> None:
    script = Challenged("a", "b", "c")
    assert not script.job.resting
    script.says(M0, "a", "lie")  # what was drawn of it is right
    script.feed(script.audited(script.read))
    script.feed(script.audited(script.units))
    seen = answered(script, len(script.log) - 1)
    assert script.ended == (Verdict.SAMPLED, "")
    assert script.job.resting
    old = script.inputs(R0)
    script.feed(ServedWrong(M0, "a", b"a signed, wrong opening"))
    assert not script.job.resting
    for name in sorted(script.job.state(M0).running):
        assert not script.job.resting
        script.says(M0, name)
    assert script.inputs(R0) != old
    assert not script.job.resting
    answered(script, seen)
    assert script.ended == (Verdict.CORRECTED, "")
    assert script.job.resting
