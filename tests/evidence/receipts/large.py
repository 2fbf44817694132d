"""Receipts of jobs with thousands of partitions, made without computing anything."""

from __future__ import annotations

from dataclasses import replace
from hashlib import blake2b
from typing import Any

from made import about, closed, terms_of

from dask_verify.core.seal import Answer, Commitment
from dask_verify.evidence.receipts.drafting import draft
from dask_verify.evidence.receipts.values import Receipt
from dask_verify.protocol.domain import COORDINATOR
from dask_verify.protocol.job import JobState
from dask_verify.protocol.messages import MAP, Audited, Challenge, Committed, Event, Run
from dask_verify.protocol.quorum import sign
from dask_verify.testing.simulation.auditing import signed
from dask_verify.testing.simulation.enrolment import identity, make_plan

REDUCES = 32
NAMES = ("alice", "bob", "carol")


def large(maps: int, **policy: Any) -> Receipt:
    """The receipt of a job with 10,240 records in each of many partitions."""
    shape = {"maps": maps, "reduces": REDUCES, "unit_records": 0 if "audit" in policy else 10_240}
    plan = make_plan(*NAMES, **shape, **policy)
    terms = terms_of(plan)
    plan = replace(plan, job=terms.job, buckets=terms.buckets)
    job = JobState(plan)
    waiting = job.start()
    while waiting:
        said = [_event(job, one) for one in waiting if isinstance(one, Run | Challenge)]
        waiting = [got for event in said for got in job.handle(event)]
    assert job.finished is not None
    assert job.finished.verdict.answered
    return closed(draft(job, about(terms)))


def _event(job: JobState, asked: Run | Challenge) -> Event:
    return _committed(job, asked) if isinstance(asked, Run) else _audited(job, asked)


def _audited(job: JobState, challenge: Challenge) -> Audited:
    """What an auditor says that finds the very hashes which were expected."""
    hashes = (bytes(32),) * len(challenge.units)
    answer = Answer(
        job=job.plan.job,
        stage=challenge.stage,
        partition=challenge.task.partition,
        domain=challenge.domain,
        inputs=challenge.inputs,
        units=challenge.units,
        questions=hashes,
        hashes=hashes,
        counts=(),
    )
    own = challenge.domain == COORDINATOR
    wire = answer.to_bytes() if own else signed(identity(challenge.domain), answer)
    return Audited(challenge, wire, hashes, hashes)


def _committed(job: JobState, run: Run) -> Committed:
    return Committed(run.task, run.domain, run.inputs, sign(identity(run.domain), _said(job, run)))


def _said(job: JobState, run: Run) -> Commitment:
    plan, mapping = job.plan, run.task.stage == MAP
    hashes = [blake2b(b"%d %r" % (n, tuple(run.task)[1]), digest_size=32).digest() for n in (1, 2)]
    buckets = plan.buckets or 0
    counts = (131,) * plan.reduces if mapping else (77,) * (buckets // plan.reduces)
    return Commitment(
        job=plan.job,
        stage=run.task.stage,
        partition=run.task.partition,
        domain=run.domain,
        inputs=run.inputs,
        buckets=buckets if mapping else buckets // plan.reduces,
        units=1,
        records_in=10_240 if mapping else 131 * plan.maps,
        counts=counts,
        nbytes=123_456,
        input_root=hashes[1] if mapping and plan.unit_records else b"",
        root=hashes[0],
    )
