"""What to do where a job has no answer, by its cause."""

from __future__ import annotations

ADVICE = {
    "unchecked": "replicas=1 without an audit checks nothing; use audit=0.01 or replicas=2",
    "unaudited": "nobody is left to audit what was committed; add domains, or use"
    " referee='coordinator'",
    "unanswered": "too few domains answered in time; raise the deadline, or add domains",
    "domains": "too few domains agree; add domains, or allow stand_in=True",
    "environment": "domains differ in software or machine and no faults + 1 of them agree",
    "source": "the input changed, or its identity cannot be pinned, and no faults + 1 agree",
    "referee": "the coordinator could not recompute the disputed partition",
    "faults": "more domains were proven wrong than the policy allows for",
    "unserved": "nobody can serve a partition that was agreed on",
    "crash": "the coordinator failed; this is a defect of dask_verify",
    "journal": "the journal cannot be written; make room, and go on with dask_verify.resume()",
}
