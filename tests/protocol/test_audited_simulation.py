"""Whole jobs with sampled audits under every mix of faults: what must hold, over many seeds."""

from __future__ import annotations

import random
from hashlib import sha256

import pytest
from simulator import AUDIT_LIES, AUDITORS, FAULTS, LIES, Simulation, make_plan

from dask_verify.protocol import sampling
from dask_verify.protocol.messages import MAP, Standing, Task, Verdict
from dask_verify.protocol.policy import Detect

NAMES = ("alice", "bob", "carol", "dave")
JOBS = 2_000
FEW_OR_MANY = [500, pytest.param(3_000, marks=pytest.mark.matrix)]
ALL = sorted({*FAULTS, *AUDIT_LIES, *AUDITORS, "fewer"})
HARMLESS = {"silent", "slow", "failing", "garbage", "lost_store", "fewer", "silent_auditor",
            "failing_auditor", "garbage_auditor"}  # fmt: skip
OUTCOMES = {"agreed", "contradicted", "unopened", "failed", "moot"}


def simulate(seed: int, **fixed: object) -> Simulation:
    """A job with a random shape and at most as many faulty domains as its policy allows for."""
    draw = random.Random(seed)
    faults = draw.choice([1, 1, 1, 2])
    referee = draw.choice(["coordinator", "coordinator", "domains"])
    least = 1 if referee == "coordinator" else 2 * faults + 1
    names = NAMES[: draw.randint(min(4, max(2, least)), 4)]
    policy = {
        "replicas": draw.choice([1, 1, min(faults + 1, len(names))]),
        "faults": faults,
        "referee": referee,
        "stand_in": draw.random() < 0.7,
        "audit": draw.choice([1e-9, 0.2, 0.6, 1.0, 1, Detect(0.5, 0.9), Detect(1, 0.99)]),
    }
    if policy["replicas"] not in (1, faults + 1):
        policy["replicas"] = 1
    policy |= fixed
    shape = {"maps": draw.randint(1, 4), "reduces": draw.randint(1, 3)}
    plan = make_plan(
        *names,
        **shape,
        seed=sha256(b"%d" % seed).digest(),
        unit_records=draw.choice([0, 1, 3, 5, 12]),
        **policy,
    )
    liars = draw.sample(names, draw.randint(0, min(plan.policy.faults, len(names))))
    behaviours = {name: draw.choice(ALL) for name in liars}
    return Simulation(plan, behaviours, seed, losses=draw.choice([0, 0, 0.1]))


def check(simulation: Simulation, verdict: Verdict | None, context: str) -> None:
    state, behaviours = simulation.job, simulation.behaviours
    assert verdict is not None, f"no verdict and nothing under way: {context}"
    assert verdict is not Verdict.NONDETERMINISTIC, context
    assert state.exposed <= {n for n, b in behaviours.items() if b not in HARMLESS}, context
    for name, standing in state.standing.items():
        assert name in behaviours or standing is Standing.TRUSTED, (name, context)
    if verdict.answered:
        made = state.audits.made
        assert {check.outcome for check in made} <= OUTCOMES, context
        hit = any(check.outcome == "contradicted" for check in made)
        assert verdict is Verdict.CORRECTED if hit else True, context
        assert bool(state.divergences) == (verdict is Verdict.CORRECTED), context
        for task in {Task(c.stage if c.stage != "read" else MAP, c.partition) for c in made}:
            assert not state.state(task).checks, context
    if not behaviours:
        sampled = simulation.plan.policy.replicas == 1
        assert verdict is (Verdict.SAMPLED if sampled else Verdict.AGREED), context
    check_order(simulation, context)


def check_order(simulation: Simulation, context: str) -> None:
    """A challenge comes after the commitment that it tests, and goes to somebody else."""
    signed: dict[tuple[str, int, str, str], set[str]] = {}
    for entry in simulation.job.minutes.log:
        stage = MAP if entry.stage == "read" else entry.stage
        what = (stage, entry.partition, entry.inputs, entry.digest)
        signers = signed.setdefault(what, set())
        if entry.what == "committed":
            signers.add(entry.domain)
        elif entry.what == "challenged":
            assert signers, (entry, context)
            assert entry.domain not in signers, (entry, context)


@pytest.fixture(params=[10_000, 0], ids=["small", "large"])
def _size(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sampling, "_SMALL", request.param)


@pytest.mark.usefixtures("_size")
@pytest.mark.parametrize("block", range(10))
def test_audited_jobs_end_and_blame_nobody_wrongly(block: int) -> None:
    size = JOBS // 10
    for seed in range(block * size, (block + 1) * size):
        simulation = simulate(seed)
        context = f"seed {seed}: {simulation.behaviours}, {simulation.plan}"
        check(simulation, simulation.run(), context)
        if simulation.plan.policy.replicas > 1 and simulation.job.finished.verdict.answered:
            assert not simulation.wrong(), context


@pytest.mark.parametrize("jobs", FEW_OR_MANY)
def test_everything_audited_and_one_faulty_domain_never_give_a_wrong_answer(jobs: int) -> None:
    for seed in range(jobs):
        simulation = simulate(seed, faults=1, replicas=1, audit=1.0)
        verdict = simulation.run()
        context = f"seed {seed}: {simulation.behaviours}, {simulation.plan}"
        check(simulation, verdict, context)
        assert not (verdict.answered and simulation.wrong()), context


@pytest.mark.parametrize("jobs", FEW_OR_MANY)
def test_one_faulty_domain_a_referee_and_a_stand_in_always_bring_an_answer(jobs: int) -> None:
    for seed in range(jobs):
        replicas = 1 + seed % 2
        fixed = {"faults": 1, "replicas": replicas, "referee": "coordinator", "stand_in": True}
        simulation = simulate(seed, **fixed)
        verdict = simulation.run()
        context = f"seed {seed}: {simulation.behaviours}, {simulation.plan}"
        check(simulation, verdict, context)
        assert verdict.answered, (simulation.job.finished, context)


@pytest.mark.parametrize("fault", sorted({*LIES, *AUDIT_LIES} - {"recommits"}))
@pytest.mark.parametrize("unit_records", [0, 1, 12])
def test_a_lie_that_everything_audited_meets_is_corrected(fault: str, unit_records: int) -> None:
    for seed in range(5):
        plan = make_plan("alice", "bob", replicas=1, audit=1.0, unit_records=unit_records)
        simulation = Simulation(plan, {"bob": fault}, seed)
        verdict = simulation.run()
        if fault == "misshapen" and not unit_records:
            assert verdict in (Verdict.CORRECTED, Verdict.SAMPLED)
        else:
            assert verdict is Verdict.CORRECTED, simulation.job.finished
            assert simulation.job.exposed == {"bob"}
        assert not simulation.wrong()
