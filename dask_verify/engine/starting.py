"""Setting a job going: a new one, and one that is taken up again."""

from __future__ import annotations

from dask_verify.engine.domainpool import DomainPool
from dask_verify.engine.dossier import Dossier, Past, Recorder
from dask_verify.engine.driver import Driver
from dask_verify.engine.handle import Job
from dask_verify.engine.notary import Notary
from dask_verify.execution.work import Work
from dask_verify.protocol.domain import Identity


def start(
    dossier: Dossier,
    work: Work,
    pool: DomainPool,
    coordinator: Identity,
    recorder: Recorder,
    past: Past | None = None,
) -> Job:
    """Start a job, or go on with it, and return the user's handle on it.

    Parameters
    ----------
    dossier : Dossier
    work : Work
        What the dossier ships.
    pool : DomainPool
    coordinator : Identity
        Who signs receipts.
    recorder : Recorder
    past : Past, optional
        What has become of the job so far.

    Returns
    -------
    Job
    """
    plan, source = dossier.plan, dossier.source
    what = (plan, dossier.terms, work, dossier.shipped, source, pool, dossier.floor)
    driver = Driver(*what, past, recorder)
    driver.began = dossier.began
    driver.start()
    return Job(driver, list(dossier.sort_by), Notary(driver, coordinator, source))
