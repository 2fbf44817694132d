"""Receipts of all kinds of jobs: each holds exactly if the job has an answer."""

from __future__ import annotations

from dataclasses import replace

import pytest
from made import TRUST, about, answered, closed, envelope, ran, terms_of

from dask_verify.core.seal import Commitment
from dask_verify.errors import EvidenceError
from dask_verify.evidence.enrolment.trust import Entry, Trust
from dask_verify.evidence.receipts.checking import check_receipt
from dask_verify.evidence.receipts.drafting import draft
from dask_verify.evidence.receipts.values import Receipt
from dask_verify.protocol.messages import REDUCE, Task
from dask_verify.protocol.policy import Detect
from dask_verify.testing.simulation import Simulation, identity, make_plan
from dask_verify.testing.simulation.mixes import MIXES, NAMES, scenario

TRUSTED = Trust(tuple(Entry(name, identity(name).public_key) for name in NAMES), TRUST.coordinator)
LIKE = list(MIXES)
TOO_FEW = "the coordinator's own word|distinct trusted domains"
LATER = [pytest.param(block, marks=pytest.mark.matrix) for block in range(2, 8)]


@pytest.mark.parametrize("block", [0, 1, *LATER])
def test_the_receipt_of_an_answered_job_holds_and_convicts_whom_the_job_exposed(block: int) -> None:
    verdicts = {held(simulate(seed)) for seed in range(block * 60, block * 60 + 60)}
    assert {"sampled", "corrected"} <= verdicts


def test_a_receipt_holds_where_all_domains_but_one_were_exposed() -> None:
    lonely = Simulation(make_plan("alice", audit=1.0, replicas=1, unit_records=3), {}, 1)
    assert held(lonely) == "sampled"
    cheat = Simulation(lonely.plan, {"alice": "all"}, 1)
    assert held(cheat) == "corrected"
    assert cheat.job.exposed == {"alice"}


@pytest.mark.parametrize("seed", range(8))
def test_a_receipt_holds_where_the_rate_came_from_a_lie(seed: int) -> None:
    rate = {"audit": Detect(1, 0.9), "replicas": 1, "maps": 1, "unit_records": 1}
    cheat = Simulation(make_plan("alice", "bob", **rate), {"alice": "misshapen"}, seed)
    assert held(cheat) == "corrected"
    assert cheat.job.audits.basis == 13  # where there are 12


@pytest.mark.parametrize("seed", [34734, 34980])
def test_a_receipt_holds_where_an_auditor_was_asked_the_same_twice(seed: int) -> None:
    """Of two commitments to one partition, with the same answer."""
    simulation = simulate(seed)
    assert held(simulation) == "corrected"
    given = [divergence.proof.answers for divergence in simulation.job.divergences]
    assert any(len(set(answers)) < len(answers) for answers in given)


@pytest.mark.parametrize("seed", [1384, 2277])
def test_a_receipt_holds_where_somebody_served_wrong_what_comes_out_differently_each_time(
    seed: int,
) -> None:
    simulation = simulate(seed)
    assert "serves_wrong" in simulation.behaviours.values()
    assert held(simulation) == "corrected"


def test_what_is_being_made_again_is_no_answer() -> None:
    """As where the coordinator dies after a holder was found out, and before that was mended."""
    simulation = Simulation(make_plan("alice", "bob", replicas=2), {}, 1)
    assert answered(ran(simulation).receipt)
    simulation.job._recounts.add(Task(REDUCE, 0))
    made = draft(simulation.job, about(terms_of(simulation.plan))).receipt
    assert (made.verdict, made.cause, made.stages) == ("inconclusive", "crash", ())


def simulate(seed: int) -> Simulation:
    """A job of any mix, with units of a size that its terms name."""
    simulation = scenario(seed, LIKE[seed % len(LIKE)])
    if simulation.plan.unit_records is None:
        simulation.plan = replace(simulation.plan, unit_records=5)
    return simulation


def held(simulation: Simulation) -> str:
    """Check the receipt of one job; return its verdict."""
    receipt = closed(ran(simulation), ("alice", "bob")[: simulation.seed % 3])
    if not answered(receipt):
        with pytest.raises(EvidenceError, match="verdict"):
            check_receipt(envelope(receipt), TRUSTED)
    elif by_coordinator_alone(receipt):
        with pytest.raises(EvidenceError, match=TOO_FEW):
            check_receipt(envelope(receipt), TRUSTED)
    else:
        found = check_receipt(envelope(receipt), TRUSTED)
        assert found.exposed == simulation.job.exposed, f"seed {simulation.seed}"
        assert found.exposed <= set(simulation.behaviours)
    return receipt.verdict


def by_coordinator_alone(receipt: Receipt) -> bool:
    """Whether nobody else who counts has computed some partition: that is no evidence."""
    exposed = {party.name for party in receipt.parties if party.standing == "exposed"}
    for stage in receipt.stages:
        twice = {(o.domain, Commitment.from_bytes(o.payload).partition) for o in stage.others}
        signers = [
            {n for n, at in stage.signers.items() if i in at and (n, i) not in twice}
            for i in range(len(stage))
        ]
        if any(names <= {"coordinator", *exposed} for names in signers):
            return True
    return False
