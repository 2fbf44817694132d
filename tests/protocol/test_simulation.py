"""Whole jobs against simulated domains: what faults come to; and the simulator can fail."""

from __future__ import annotations

import random

import pytest

from dask_verify.protocol import blame, sampling
from dask_verify.protocol.agreement import Agreement
from dask_verify.protocol.challenges import Challenges
from dask_verify.protocol.job import JobState
from dask_verify.protocol.messages import Late, Standing, Verdict
from dask_verify.protocol.staffing import Crew
from dask_verify.testing.simulation import ALL, Simulation, behaviours, make_plan
from dask_verify.testing.simulation.behaviours import COLLUDERS, HARMLESS, LIARS
from dask_verify.testing.simulation.mixes import MIXES, NAMES, scenario
from dask_verify.testing.simulation.promises import play
from dask_verify.testing.simulation.report import Report
from dask_verify.testing.simulation.running import reports, simulate_range

PROVEN = ("wrong", "colluding", "misread", "misshapen", "equivocating", "refusing", "forged_root",
          "one", "all")  # fmt: skip
#: Jobs of each mix that every run of the tests plays.
FEW = 60

#: A machine that does much else needs more than the usual two minutes for them.
pytestmark = pytest.mark.timeout(600)


@pytest.fixture(scope="module")
def few() -> Report:
    report = Report()
    for part in reports(range(FEW * len(MIXES))):
        report.merge(part)
    return report


def test_no_promise_is_broken(few: Report) -> None:
    assert few.sound, few.to_text()


#: How many of the jobs of a mix end like this, at least: else its faults do not matter.
ENDS = {
    "honest": {"agreed": 0.4, "sampled": 0.2},
    "silent": {"inconclusive": 0.05},
    "slow": {"agreed": 0.3, "inconclusive": 0.05},
    "accusing": {"agreed": 0.3, "sampled": 0.2},
    "churning": {"inconclusive": 0.2, "corrected": 0.1},
    "environments": {"inconclusive": 0.2, "corrected": 0.2},
    "sources": {"inconclusive": 0.1, "corrected": 0.2},
    "nondeterministic": {"nondeterministic": 0.6},
}


@pytest.mark.parametrize("mix", MIXES)
def test_every_mix_matters(few: Report, mix: str) -> None:
    """Honest jobs have nothing to settle; in all others there is something to be noticed."""
    tally = few.tallies[mix]
    assert tally.jobs == FEW
    for verdict, share in ENDS.get(mix, {"corrected": 0.15}).items():
        assert tally.verdicts[verdict] >= share * FEW, tally
    noticed = tally.diverged + tally.exposed + tally.suspected
    assert noticed == 0 if mix == "honest" else noticed > FEW / 5, tally


@pytest.mark.parametrize("fault", sorted({*ALL} - {"accusing"}))
def test_every_fault_matters(fault: str) -> None:
    """Each way of being faulty shows in some job, but for an accusation that nobody believes."""
    shown = 0
    for seed in range(12):
        units, replicas = seed % 2 * 5, 1 + seed % 3 % 2
        plan = make_plan("alice", "bob", "carol", replicas=replicas, audit=0.6, unit_records=units)
        simulation = Simulation(plan, {"bob": fault}, seed)
        simulation.run()
        harmed = simulation.job.standing["bob"] is not Standing.TRUSTED
        shown += harmed or simulation.job.finished.verdict is Verdict.CORRECTED
        shown += any("Unserved" in type(event).__name__ for event in simulation.events)
        shown += bool(simulation.excused)
    assert shown


def test_honest_domains_give_clean_verdicts(few: Report) -> None:
    assert few.tallies["honest"].verdicts.keys() == {"agreed", "sampled"}


def test_only_samples_let_wrong_answers_through(few: Report) -> None:
    assert 0 < few.tallies["sampled"].escaped < FEW // 3
    assert few.tallies["audited"].escaped == 0


@pytest.mark.soak
@pytest.mark.timeout(600)
def test_no_promise_is_broken_in_a_slice_of_the_million() -> None:
    report = Report()
    for part in reports(range(100_000, 130_000), jobs=2):
        report.merge(part)
    assert report.sound, report.to_text()
    assert report.jobs == 30_000


@pytest.mark.parametrize("mix", ["lying", "audited", "auditors", "sampled", "serving"])
def test_large_jobs_are_no_different(mix: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the reduce stage is too large to be audited whole, whatever the rate."""
    monkeypatch.setattr(sampling, "_SMALL", 0)
    report = simulate_range(range(100), mix)
    assert report.sound, report.to_text()


# --- what each fault comes to ---------------------------------------------------------------


@pytest.mark.parametrize("fault", ALL)
def test_spare_domains_or_a_stand_in_always_bring_an_answer(fault: str) -> None:
    for seed in range(16):
        draw = random.Random(seed)
        stand_in = draw.random() < 0.5
        names = NAMES[: 2 if stand_in else 3]
        plan = make_plan(*names, replicas=2, stand_in=stand_in, unit_records=draw.choice([0, 5]))
        simulation = Simulation(plan, {draw.choice(names): fault}, seed)
        verdict = simulation.run()
        assert verdict is not None
        assert verdict.answered, (seed, stand_in)
        assert fault not in HARMLESS or not simulation.job.exposed


@pytest.mark.parametrize("fault", ALL)
@pytest.mark.parametrize("replicas", [1, 2])
def test_one_faulty_domain_a_referee_and_a_stand_in_always_bring_an_answer(
    fault: str, replicas: int
) -> None:
    for seed in range(16):
        draw = random.Random(seed)
        names, audit = NAMES[: draw.randint(2, 4)], draw.choice([1e-9, 0.3, 1.0])
        units = draw.choice([0, 1, 3, 12])
        plan = make_plan(*names, replicas=replicas, faults=1, audit=audit, unit_records=units)
        verdict = Simulation(plan, {draw.choice(names): fault}, seed).run()
        assert verdict is not None
        assert verdict.answered, seed


@pytest.mark.parametrize("fault", PROVEN)
@pytest.mark.parametrize("seed", range(5))
def test_whoever_signs_a_lie_is_exposed_and_the_answer_corrected(fault: str, seed: int) -> None:
    simulation = Simulation(make_plan("alice", "bob", replicas=2), {"bob": fault}, seed)
    assert simulation.run() is Verdict.CORRECTED
    assert simulation.job.exposed == {"bob"}
    assert all(d.culprits == ("bob",) for d in simulation.job.divergences)


@pytest.mark.parametrize("fault", [*sorted({*LIARS, *COLLUDERS} - {"poison"}), "dodging"])
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


@pytest.mark.parametrize("seed", range(5))
def test_voting_among_2f_plus_1_domains_exposes_colluders(seed: int) -> None:
    plan = make_plan(*NAMES, replicas=3, faults=2, referee="domains", stand_in=False)
    simulation = Simulation(plan, {"alice": "colluding", "eve": "colluding"}, seed)
    assert simulation.run() is Verdict.CORRECTED
    assert simulation.job.exposed  # the job may end before the other's lies are in
    assert simulation.job.exposed <= {"alice", "eve"}
    assert not simulation.recomputed


@pytest.mark.parametrize("fault", ["silent", "failing", "garbage", "slow", "returning", "fewer"])
def test_silence_failure_and_garbage_are_suspected_only(fault: str) -> None:
    plan = make_plan("alice", "bob", replicas=2, unit_records=5)
    simulation = Simulation(plan, {"bob": fault}, seed=1)
    assert simulation.run() is Verdict.AGREED
    assert simulation.job.standing["bob"] is Standing.SUSPECTED
    assert not simulation.job.divergences


def test_a_cheat_is_recomputed_once_however_often_it_lies() -> None:
    plan = make_plan("alice", "bob", maps=30, replicas=2)
    simulation = Simulation(plan, {"bob": "wrong"}, seed=3)
    assert simulation.run() is Verdict.CORRECTED
    assert len(simulation.recomputed) == 1
    assert simulation.recomputed[0] is not None  # one unit, not the partition


# --- the simulator can fail -----------------------------------------------------------------


def one_vote(crew: Crew, doubted: bool) -> int:
    return 1


def blame_the_late(state: JobState, task: object, held: object, domain: str, reason: str) -> None:
    state._crew.expose([domain])


def never_done(state: Agreement) -> bool:
    return True


def nothing(*args: object) -> None:
    return None


def blame_all(finding: object, state: object, plan: object, exposed: object) -> blame.Ruling:
    return blame.Ruling("votes", tuple(state.ballot.domains(exposed)))  # type: ignore[attr-defined]


DEFECTS = {
    "one vote suffices": ((Crew, "_quorum", one_vote), "colluding", "wrong"),
    "whoever is late is exposed": ((JobState, "_lost", blame_the_late), "network", "blamed"),
    "no verdict is ever given": ((Agreement, "_busy", never_done), "honest", "endless"),
    "challenges are forgotten": ((Challenges, "_checked", nothing), "auditors", "endless"),
    "both sides are to blame": ((blame, "rule", blame_all), "lying", "blamed"),
    "evidence is believed": ((behaviours, "convicts", lambda *_: True), "accusing", "blamed"),
    "lost copies are not made again": ((Crew, "restore", lambda *_: []), "crashing", ""),
}


@pytest.mark.parametrize("defect", DEFECTS)
def test_a_broken_protocol_is_caught_in_few_seeds(
    defect: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    patch, mix, promise = DEFECTS[defect]
    sound = simulate_range(range(60), mix)
    monkeypatch.setattr(*patch)
    broken = simulate_range(range(60), mix)
    if promise:
        assert broken.broken[promise], broken.to_text()
        assert any(promise in names for _, _, names in broken.failures)
    else:  # no answer is safe, too; but it is one that could have been given
        ends = "inconclusive"
        assert broken.verdicts[ends] > sound.verdicts[ends]


def test_what_never_ends_is_told_from_what_does(monkeypatch: pytest.MonkeyPatch) -> None:
    world = scenario(0, "honest")
    assert play(world).broken == ()
    monkeypatch.setattr(JobState, "_claimed", nothing)
    assert "endless" in play(scenario(0, "honest")).broken


def test_events_that_lead_elsewhere_are_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A state that depends on more than its events cannot be replayed."""
    seen: list[None] = []
    genuine = JobState._lost

    def moody(state: JobState, *args: object) -> None:
        seen.append(None)
        if len(seen) % 2:
            genuine(state, *args)  # type: ignore[arg-type]

    monkeypatch.setattr(JobState, "_lost", moody)
    assert simulate_range(range(0, 480, 16), "silent").broken["replay"]


def test_the_coordinator_goes_on_where_it_died() -> None:
    for seed in range(20):
        world = scenario(seed, "restarting")
        assert play(world).broken == ()
        if world.restarts > 2 and any(isinstance(event, Late) for event in world.events):
            return
    pytest.fail("no job was restarted and had something late")
