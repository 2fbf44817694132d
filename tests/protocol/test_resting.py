"""A job rests once there is a verdict, and nothing of its answer is made or checked once more."""

from __future__ import annotations

from challenging import Challenged
from script import M0, R0

from dask_verify.protocol.messages import Challenge, Run, ServedWrong, StandIn, Verdict
from dask_verify.testing.simulation.mixes import scenario

SEEDS = 300


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
