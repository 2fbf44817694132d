"""Receipts of all kinds of jobs: each holds exactly if the job has an answer."""

from __future__ import annotations

from dataclasses import replace

import pytest
from made import answered, checked, closed, ran

from dask_verify.core.seal import Commitment
from dask_verify.errors import EvidenceError
from dask_verify.evidence.receipts.values import Receipt
from dask_verify.testing.simulation import Simulation
from dask_verify.testing.simulation.mixes import scenario

LATER = [pytest.param(block, marks=pytest.mark.matrix) for block in range(2, 8)]


@pytest.mark.parametrize("block", [0, 1, *LATER])
def test_the_receipt_of_an_answered_job_holds_and_convicts_whom_the_job_exposed(block: int) -> None:
    verdicts = {held(seed) for seed in range(block * 60, block * 60 + 60)}
    assert {"sampled", "corrected"} <= verdicts


@pytest.mark.parametrize("seed", [5083, 5187, 41065])
def test_receipts_that_had_been_refused_hold(seed: int) -> None:
    """Where all but the coordinator were exposed, and where the rate came from a lie."""
    held(seed)


def simulate(seed: int) -> Simulation:
    """A job of any mix, with units of a size that its terms name."""
    simulation = scenario(seed)
    if simulation.plan.unit_records is None:
        simulation.plan = replace(simulation.plan, unit_records=5)
    return simulation


def held(seed: int) -> str:
    """Check the receipt of one job; return its verdict."""
    simulation = simulate(seed)
    receipt = closed(ran(simulation), ("alice", "bob")[: seed % 3])
    if not answered(receipt):
        with pytest.raises(EvidenceError, match="verdict"):
            checked(receipt)
    elif by_coordinator_alone(receipt):
        with pytest.raises(EvidenceError, match="the coordinator's own word"):
            checked(receipt)
    else:
        found = checked(receipt)
        assert found.exposed == simulation.job.exposed, f"seed {seed}"
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
