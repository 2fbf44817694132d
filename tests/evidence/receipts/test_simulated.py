"""Receipts of all kinds of jobs: each holds exactly if the job has an answer."""

from __future__ import annotations

import pytest
from made import answered, checked, closed, ran
from test_audited_simulation import simulate

from dask_verify.core.seal import Commitment
from dask_verify.errors import EvidenceError
from dask_verify.evidence.receipts.values import Receipt


@pytest.mark.parametrize("block", range(8))
def test_the_receipt_of_an_answered_job_holds_and_convicts_whom_the_job_exposed(block: int) -> None:
    verdicts = set()
    for seed in range(block * 60, block * 60 + 60):
        simulation = simulate(seed)
        taken = ran(simulation)
        refusing = ("alice", "bob")[: seed % 3]
        receipt = closed(taken, refusing)
        verdicts.add(receipt.verdict)
        if not answered(receipt):
            with pytest.raises(EvidenceError, match="verdict"):
                checked(receipt)
            continue
        if by_coordinator_alone(receipt):
            with pytest.raises(EvidenceError, match="the coordinator's own word"):
                checked(receipt)
            continue
        found = checked(receipt)
        assert found.exposed == simulation.job.exposed, f"seed {seed}"
        assert found.exposed <= set(simulation.behaviours)
    assert {"sampled", "corrected"} <= verdicts


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
