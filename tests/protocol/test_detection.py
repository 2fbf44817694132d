"""How often corruption is noticed, against theory: exactly, with fixed seeds.

With ``k`` of all ``n`` units corrupt and a rate ``p``, ``(1 - p) ** k * (1 - k / n)`` escape: the
second factor is the unit that is always drawn.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest
from scipy.stats import binomtest

from dask_verify.core.seal import Commitment
from dask_verify.protocol.audit import Audits
from dask_verify.protocol.board import Plan, TaskState
from dask_verify.protocol.messages import MAP, Task
from dask_verify.protocol.quorum import Claim
from dask_verify.protocol.staffing import Crew
from dask_verify.testing.simulation.enrolment import enrol, make_plan
from dask_verify.testing.simulation.partitions import commit
from dask_verify.testing.simulation.world import Simulation

NAMES = ("alice", "bob", "carol", "dave")
DOMAINS = enrol(*NAMES)
UNLIKELY = 1e-4


def seed(number: int) -> bytes:
    return number.to_bytes(32, "big")


def plan_of(number: int, maps: int, rate: float, faults: int = 1) -> Plan:
    policy = {"replicas": 1, "audit": rate, "faults": faults}
    shape = {"maps": maps, "reduces": 1, "domains": DOMAINS}
    return make_plan(**shape, **policy, seed=seed(number), unit_records=1)


def drawn(plan: Plan, claims: Sequence[Commitment], covering: frozenset[str]) -> set[int]:
    """Units, over all partitions, that somebody audits who does not cover for the others."""
    audits, found = Audits(plan, Crew(plan)), set()
    for partition, claim in enumerate(claims):
        state = TaskState(claim.inputs)
        state.ballot.add(Claim(claim.domain, claim))
        state.accepted = claim.digest
        task = Task(MAP, partition)
        audits.accepted(task, state)
        audits.pursue(task, state)
        for check in state.checks:
            if check.auditor not in covering:
                found |= {partition * claim.units + unit for unit in check.units}
    return found


def claims_of(maps: int, units: int) -> list[Commitment]:
    """Commitments of the second domain to partitions of so many units."""
    plan = plan_of(0, maps, 0.5)
    tasks = [Task(MAP, i) for i in range(maps)]
    own = [commit(plan, t, "bob", plan.map_inputs(t.partition)) for t in tasks]
    return [replace(c, units=units, records_in=units, root=seed(i)) for i, c in enumerate(own)]


CASES = [
    (1, 40, 1, 0.02),
    (2, 60, 3, 0.1),
    (3, 100, 10, 0.05),
    (1, 30, 1, 0.5),
    (2, 500, 125, 0.01),
]
SIZES = [600, pytest.param(20_000, marks=[pytest.mark.soak, pytest.mark.timeout(900)])]


@pytest.mark.parametrize("jobs", SIZES)
@pytest.mark.parametrize(("maps", "units", "corrupt", "rate"), CASES)
def test_detection_equals_theory(
    maps: int, units: int, corrupt: int, rate: float, jobs: int
) -> None:
    claims, bad = claims_of(maps, units), set(range(corrupt))
    caught = sum(
        not bad.isdisjoint(drawn(plan_of(number, maps, rate), claims, frozenset()))
        for number in range(jobs)
    )
    theory = 1 - (1 - rate) ** corrupt * (1 - corrupt / (maps * units))
    assert binomtest(caught, jobs, theory).pvalue > UNLIKELY, (caught / jobs, theory)


@pytest.mark.parametrize("jobs", SIZES)
@pytest.mark.parametrize(("faults", "corrupt"), [(1, 4), (2, 4), (3, 4), (2, 30)])
def test_colluding_auditors_lower_the_rate_unit_by_unit(
    faults: int, corrupt: int, jobs: int
) -> None:
    rate, units = 0.1, 40
    claims, bad = claims_of(1, units), set(range(corrupt))
    covering = frozenset(("bob", "carol", "dave")[:faults])
    caught = sum(
        not bad.isdisjoint(drawn(plan_of(number, 1, rate, faults), claims, covering))
        for number in range(jobs)
    )
    honest = (len(NAMES) - faults) / (len(NAMES) - 1)
    # The drawn units are audited one by one; the extra one is drawn beside them.
    theory = 1 - _escape(rate, honest, corrupt, units)
    assert binomtest(caught, jobs, theory).pvalue > UNLIKELY, (caught / jobs, theory)


def _escape(rate: float, honest: float, corrupt: int, units: int) -> float:
    each = 1 - rate * honest
    # The extra unit is an honest one, or a corrupt one whose auditor covers for it.
    return (1 - corrupt / units) * each**corrupt + corrupt / units * each ** (corrupt - 1) * (
        1 - honest
    )


@pytest.mark.parametrize("jobs", [200, pytest.param(2_000, marks=pytest.mark.soak)])
def test_whole_jobs_notice_a_corrupted_unit_as_often_as_theory_says(jobs: int) -> None:
    rate, caught = 0.3, 0
    for number in range(jobs):
        plan = plan_of(number, 3, rate)
        simulation = Simulation(plan, {"bob": "mapper"}, number)
        simulation.run()
        assert simulation.job.exposed <= {"bob"}
        assert bool(simulation.wrong()) != bool(simulation.job.exposed)
        caught += bool(simulation.job.exposed)
    # One unit of the twelve of one partition of three is corrupt.
    theory = 1 - (1 - rate) * (1 - 1 / 36)
    assert binomtest(caught, jobs, theory).pvalue > UNLIKELY, (caught / jobs, theory)
