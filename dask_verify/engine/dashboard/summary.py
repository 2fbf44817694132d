"""What a coordinator tells a scheduler about a job: counts, and nothing that would help a cheat.

Whoever works for a scheduler can read what its dashboard shows. So this holds for a summary:

* No partition, unit, digest, auditor or reason is in it: only how many there are of something.
* What was drawn, and how much of it, is not in it before the verdict. One partition of each stage
  is always drawn: who saw that this had happened could lie in the rest at the plain rate.
* Of a job with audits it tells, before the verdict, which share was ever accepted and who is
  exposed, alone: what is withdrawn, suspected, or differs without blame would tell of audits.
* A job that ended without a verdict may be resumed with the same seed, so it is no different.

A test holds each of them; see also docs/dashboard.md.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from dask_verify.protocol.messages import MAP, REDUCE, Standing

if TYPE_CHECKING:
    from dask_verify.protocol.board import Plan
    from dask_verify.protocol.job import JobState
    from dask_verify.protocol.messages import Task

VERSION = 1
RUNNING = "running"


class Teller:
    """Makes the summaries of one job.

    Parameters
    ----------
    plan : Plan
    state : JobState
        Of the job, as it goes on.
    """

    def __init__(self, plan: Plan, state: JobState) -> None:
        self._plan, self._state = plan, state
        self._accepted: dict[str, set[int]] = {MAP: set(), REDUCE: set()}
        for task in state.assigned():
            if state.accepted(task) is not None:
                self.accepted(task)

    def accepted(self, task: Task) -> None:
        """Note that a partition was accepted, whatever becomes of that.

        Parameters
        ----------
        task : Task
            The stage and the partition.
        """
        self._accepted[task.stage].add(task.partition)

    def summary(self, status: str, settled: bool) -> dict[str, Any]:
        """Return what may be told of the job, as plain values.

        Parameters
        ----------
        status : str
            As `Job.status` has it.
        settled : bool
            Whether there is a verdict, and it is written down: from then on nothing is sampled.

        Returns
        -------
        dict
            In a form that `read_notice` takes.
        """
        plan, state = self._plan, self._state
        audited = plan.policy.audited
        everything = settled or not audited
        told = [d for d in state.divergences if everything or d.culprits]
        return {
            "version": VERSION,
            "job": plan.job.hex(),
            "status": status,
            "replicas": plan.policy.replicas,
            "audited": audited,
            "progress": self._progress(everything),
            "divergences": dict(Counter(d.cause for d in told)),
            "audits": dict(Counter(a.outcome for a in state.audits.made)) if settled else {},
            "standing": {n: _told(s, everything).value for n, s in state.standing.items()},
        }

    def _progress(self, everything: bool) -> dict[str, list[int]]:
        progress = self._state.progress
        # An objection withdraws what was accepted, long before it is settled who is right.
        ever = {stage: [len(self._accepted[stage]), progress[stage][1]] for stage in progress}
        return {s: list(counts) for s, counts in progress.items()} if everything else ever


def _told(standing: Standing, everything: bool) -> Standing:
    return standing if everything or standing is Standing.EXPOSED else Standing.TRUSTED
