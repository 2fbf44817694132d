"""Reports of a job that runs or has ended: what its protocol knows, at one moment."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from dask_verify.core.seal import Commitment
from dask_verify.engine.driver import Driver
from dask_verify.engine.exhibits import KeptExhibit
from dask_verify.engine.report import DomainReport, Report
from dask_verify.engine.seen import SeenDivergence
from dask_verify.protocol.draws import seed_digest
from dask_verify.protocol.messages import Standing, Verdict
from dask_verify.protocol.minutes import Entry
from dask_verify.protocol.pairs import agreement
from dask_verify.protocol.promise import odds_of


def report_of(
    driver: Driver,
    verdict: Verdict | None,
    status: str,
    kept: tuple[KeptExhibit, ...],
    saved: tuple[str, ...] = (),
    brief: bool = False,
) -> Report:
    """Return what is known about a job.

    Parameters
    ----------
    driver : Driver
    verdict : Verdict or None
    status : str
    kept : tuple of KeptExhibit
        One for each divergence.
    saved : tuple of str
        Where these were saved.
    brief : bool
        Whether to leave out the log and the agreement, which grow with the job.

    Returns
    -------
    Report
    """
    state = driver.state
    tasks = [(list(s.ballot.claims), s.unanswered) for s in state.tasks()]
    claims = [claim for said, _ in tasks for claim in said]
    commitments = Counter(claim.domain for claim in claims)
    nbytes: Counter[str] = Counter()
    for claim in claims:
        nbytes[claim.domain] += claim.said.nbytes
    finished, audited = driver.finished, driver.plan.policy.audited
    answered = finished is not None and finished.verdict.answered
    log: tuple[Entry, ...] = () if brief else tuple(state.minutes.log)
    return Report(
        job=driver.plan.job.hex(),
        verdict=verdict,
        cause=finished.cause if finished else (driver.crashed if driver.crash else ""),
        domains={
            name: DomainReport(
                standing,
                commitments[name],
                nbytes[name],
                state.reasons.get(name, "") if standing is Standing.SUSPECTED else "",
            )
            for name, standing in state.standing.items()
        },
        agreement={} if brief else agreement(tasks, state.standing),
        divergences=tuple(map(SeenDivergence.of, kept)),
        exhibits=saved,
        bytes_moved=dict(driver.reader.moved),
        bytes_compared=driver.reader.moved["answers"],
        bytes_computed=nbytes.total(),
        recomputed=tuple((*task, unit) for task, unit in driver.arbiter.recomputed),
        progress=state.progress,
        trust_input=driver.plan.policy.trust_input,
        audits=tuple(state.audits.made),
        odds=odds_of(driver.plan, state.audits, _accepted(driver)) if answered else None,
        log=log,
        seed_digest=seed_digest(driver.plan.seed).hex() if audited else "",
        # From the verdict on nothing is sampled any more: the seed is no secret then.
        seed=driver.plan.seed.hex() if audited and finished else "",
        status=status,
        failure=finished.text if finished else driver.crash,
        couriers=dict(driver.pool.in_force),
    )


def _accepted(driver: Driver) -> Iterator[Commitment]:
    for state in driver.state.tasks():
        claim = state.ballot.of(state.accepted)
        if claim is not None:
            yield claim.commitment
