"""What a coordinator tells a scheduler about a job: counts, and nothing that would help a cheat.

Whoever works for a scheduler can read what its dashboard shows. So this holds for a summary:

* No partition, unit, digest, auditor or reason is in it: only how many there are of something.
* What was drawn, and how much of it, is not in it before the verdict. One partition of each stage
  is always drawn: who saw that this had happened could lie in the rest at the plain rate.
* Of a job with audits it tells, before the verdict, what was accepted and who is exposed, alone:
  suspicions and differences without blame come from audits there, and would tell of these.
* A job that ended without a verdict may be resumed with the same seed, so it is no different.

A test holds each of them; see also docs/dashboard.md.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from dask_verify.protocol.messages import Standing

if TYPE_CHECKING:
    from dask_verify.protocol.board import Plan
    from dask_verify.protocol.job import JobState

VERSION = 1
RUNNING = "running"


def summary(plan: Plan, state: JobState, status: str, settled: bool) -> dict[str, Any]:
    """Return what may be told of a job, as plain values.

    Parameters
    ----------
    plan : Plan
    state : JobState
    status : str
        As `Job.status` has it.
    settled : bool
        Whether there is a verdict, and it is written down: from then on nothing is sampled.
    """
    audited = plan.policy.audited
    everything = settled or not audited
    told = [d for d in state.divergences if everything or d.culprits]
    return {
        "version": VERSION,
        "job": plan.job.hex(),
        "status": status,
        "replicas": plan.policy.replicas,
        "audited": audited,
        "progress": {stage: list(counts) for stage, counts in state.progress.items()},
        "divergences": dict(Counter(d.cause for d in told)),
        "audits": dict(Counter(a.outcome for a in state.audits.made)) if settled else {},
        "standing": {n: _told(s, everything).value for n, s in state.standing.items()},
    }


def _told(standing: Standing, everything: bool) -> Standing:
    return standing if everything or standing is Standing.EXPOSED else Standing.TRUSTED
