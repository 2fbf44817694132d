"""Whole jobs under every mix of faults: the promises of the design, counted over many seeds."""

from __future__ import annotations

import random

import pytest
from simulator import FAULTS, Simulation, make_plan

from dask_verify.protocol.messages import Standing, Verdict

NAMES = ("alice", "bob", "carol", "dave", "eve")
JOBS = 3_000
PROVEN = {"wrong", "colluding", "misread", "misshapen", "equivocating", "refusing", "forged_root",
          "serves_wrong"}  # fmt: skip


def simulate(seed: int, **fixed: object) -> Simulation:
    """A job with a random shape and at most as many faulty domains as its policy allows for."""
    draw = random.Random(seed)
    faults = draw.choice([1, 1, 1, 2])
    referee = draw.choice(["coordinator", "coordinator", "domains"])
    least = faults + 1 if referee == "coordinator" else 2 * faults + 1
    names = NAMES[: draw.randint(least, 5)]
    policy = {
        "replicas": draw.randint(faults + 1, len(names)),
        "faults": faults,
        "referee": referee,
        "stand_in": draw.random() < 0.7,
    }
    plan = make_plan(*names, maps=draw.randint(1, 4), reduces=draw.randint(1, 3), **policy)
    liars = draw.sample(names, draw.randint(0, faults))
    behaviours = {name: draw.choice(FAULTS) for name in liars}
    return Simulation(plan, behaviours, seed, losses=draw.choice([0, 0, 0.1]), **fixed)


@pytest.mark.parametrize("block", range(10))
def test_at_most_f_faulty_domains_never_cause_a_wrong_answer_or_wrong_blame(block: int) -> None:
    size = JOBS // 10
    for seed in range(block * size, (block + 1) * size):
        simulation = simulate(seed)
        verdict = simulation.run()
        state = simulation.job
        context = f"seed {seed}: {simulation.behaviours}, {simulation.plan.policy}"
        assert verdict is not None, f"no verdict and nothing under way: {context}"
        assert verdict is not Verdict.NONDETERMINISTIC, context
        assert not simulation.wrong(), context
        assert state.exposed <= set(simulation.behaviours), context
        for name in state.exposed:
            assert simulation.behaviours[name] in PROVEN | {"flaky"}, context
        for name, standing in state.standing.items():
            if name not in simulation.behaviours:
                assert standing is Standing.TRUSTED, context


def test_spare_domains_or_a_stand_in_always_bring_an_answer() -> None:
    for seed in range(400):
        draw = random.Random(seed)
        stand_in = draw.random() < 0.5
        names = NAMES[: 2 if stand_in else 3]
        plan = make_plan(*names, replicas=2, stand_in=stand_in)
        behaviours = {draw.choice(names): draw.choice(FAULTS)}
        verdict = Simulation(plan, behaviours, seed).run()
        assert verdict is not None
        assert verdict.answered, (seed, stand_in, behaviours)


@pytest.mark.parametrize("fault", sorted(PROVEN - {"serves_wrong"}))
@pytest.mark.parametrize("seed", range(5))
def test_whoever_signs_a_lie_is_exposed_and_the_answer_corrected(fault: str, seed: int) -> None:
    simulation = Simulation(make_plan("alice", "bob", replicas=2), {"bob": fault}, seed)
    assert simulation.run() is Verdict.CORRECTED
    assert simulation.job.exposed == {"bob"}
    assert all(d.culprits == ("bob",) for d in simulation.job.divergences)


@pytest.mark.parametrize("seed", range(5))
def test_voting_among_2f_plus_1_domains_exposes_colluders(seed: int) -> None:
    plan = make_plan(*NAMES, replicas=3, faults=2, referee="domains", stand_in=False)
    simulation = Simulation(plan, {"alice": "colluding", "eve": "colluding"}, seed)
    assert simulation.run() is Verdict.CORRECTED
    assert simulation.job.exposed  # the job may end before the other's lies are in
    assert simulation.job.exposed <= {"alice", "eve"}
    assert not simulation.recomputed


@pytest.mark.parametrize("fault", ["silent", "failing", "garbage", "slow"])
def test_silence_failure_and_garbage_are_suspected_only(fault: str) -> None:
    simulation = Simulation(make_plan("alice", "bob", replicas=2), {"bob": fault}, seed=1)
    assert simulation.run() is Verdict.AGREED
    assert simulation.job.standing["bob"] is Standing.SUSPECTED
    assert not simulation.job.divergences


def test_a_cheat_is_recomputed_once_however_often_it_lies() -> None:
    plan = make_plan("alice", "bob", maps=30, replicas=2)
    simulation = Simulation(plan, {"bob": "wrong"}, seed=3)
    assert simulation.run() is Verdict.CORRECTED
    assert len(simulation.recomputed) == 1
    assert simulation.recomputed[0] is not None  # one unit, not the partition
