"""What a job has come to, so that it can be compared with the job that a journal leads to."""

from __future__ import annotations

from typing import Any

from dask_verify.protocol.board import TaskState
from dask_verify.protocol.job import JobState


def snapshot(job: JobState) -> tuple[Any, ...]:
    """Return all that a job has decided and waits for, in a form that can be compared.

    Parameters
    ----------
    job : JobState
        The job.

    Returns
    -------
    tuple
    """
    tasks = tuple(_task(state) for state in job.tasks())
    decided = (job.finished, job.standing, job.reasons, job.reduce_inputs, job.progress)
    return (*decided, tasks, job.minutes.log, job.divergences, job.audits.made)


def _task(state: TaskState) -> tuple[Any, ...]:
    said = tuple((claim.domain, claim.digest) for claim in state.ballot.claims)
    asked = (sorted(state.running), sorted(state.late), sorted(state.lost), tuple(state.tried))
    doubts = (state.disputed, state.doubted, state.voting, sorted(state.blameless))
    return (state.inputs, state.accepted, said, asked, doubts, dict(state.failures))
