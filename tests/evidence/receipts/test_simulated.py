"""Receipts of all kinds of jobs: each holds exactly if the job has an answer."""

from __future__ import annotations

import pytest
from made import answered, checked, closed, ran
from test_audited_simulation import simulate

from dask_verify.errors import EvidenceError


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
        found = checked(receipt)
        assert found.exposed == simulation.job.exposed, f"seed {seed}"
        assert found.exposed <= set(simulation.behaviours)
    assert {"sampled", "corrected"} <= verdicts
