"""The same events in the same order give the same state: what resuming a job rests on."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from dask_verify.protocol.board import Plan, TaskState
from dask_verify.protocol.job import JobState
from dask_verify.protocol.messages import Event


def replay(plan: Plan, events: Iterable[Event], protocol: type[JobState] = JobState) -> JobState:
    """Return a new state that was told all of this; what it asks for was carried out before."""
    job = protocol(plan)
    job.start()
    for event in events:
        job.handle(event)
    return job


def snapshot(job: JobState) -> tuple[Any, ...]:
    """Return all that a job has decided and waits for, in a form that can be compared."""
    tasks = tuple(_task(state) for state in job.tasks())
    decided = (job.finished, job.standing, job.reasons, job.reduce_inputs, job.progress)
    return (*decided, tasks, job.minutes.log, job.divergences, job.audits.made)


def _task(state: TaskState) -> tuple[Any, ...]:
    said = tuple((claim.domain, claim.digest) for claim in state.ballot.claims)
    asked = (sorted(state.running), sorted(state.late), sorted(state.lost), tuple(state.tried))
    doubts = (state.disputed, state.doubted, state.voting, sorted(state.blameless))
    return (state.inputs, state.accepted, said, asked, doubts, dict(state.failures))
