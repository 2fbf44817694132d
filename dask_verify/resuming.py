"""`resume`: goes on with a job whose coordinator is gone."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from typing import Any

from distributed import Client
from distributed.security import Security

from dask_verify.engine.courier.remote import Remote, remotes
from dask_verify.engine.dossier import Dossier, Past, Recorder, importing
from dask_verify.engine.enrolment import coordinator_of
from dask_verify.engine.handle import Job
from dask_verify.engine.journal import Journal
from dask_verify.engine.pool import open_pool
from dask_verify.engine.starting import start
from dask_verify.errors import InputError, JournalError, one_of
from dask_verify.execution.work import unship
from dask_verify.mapreduce import enrolled_domains
from dask_verify.protocol.domain import Domain, Identity

__all__ = ["Job", "resume"]

_log = logging.getLogger("distributed.dask_verify")


def resume(
    journal: str | os.PathLike[str],
    client: Client | Mapping[str, Client | Remote | str | tuple[str, Security]] | None = None,
) -> Job:
    """Go on with a job from its journal, after the process that ran it is gone.

    What was accepted stays accepted, challenges that were drawn stay drawn, and whoever was exposed
    stays so. Partitions that workers still hold are not computed again; others are.

    Parameters
    ----------
    journal : path or URL
        As it was passed to `verified_map_reduce`. It is unpickled: only resume what is your own.
    client : distributed.Client, or dict of str to distributed.Client or address, optional
        As for `verified_map_reduce`; of the same domains, in any clusters.

    Returns
    -------
    Job
        Already running, with the id, the seed and the terms that it had; its answer, if it had come
        to one, can be read as far as workers hold it, and is computed again otherwise.

    Raises
    ------
    JournalError
        If there is no journal, it was changed, or another process writes it; or if this process is
        not one in which its decisions come out the same, or cannot import the job's functions.
    InputError
        If the client's domains are not those of the job.

    Examples
    --------
    >>> import dask_verify  # doctest: +SKIP
    >>> job = dask_verify.verified_map_reduce(..., journal="count.journal")  # doctest: +SKIP
    >>> job = dask_verify.resume("count.journal")  # in another process  # doctest: +SKIP
    >>> job.result()  # doctest: +SKIP
    """
    if not isinstance(journal, str | os.PathLike):
        raise InputError(f"journal: expected a path or URL, got {type(journal).__name__}")
    client, domains = enrolled_domains(remotes(client))
    opened, records = Journal.reopen(journal)
    try:
        return _resumed(opened, records, client, domains)
    except BaseException:
        opened.close()
        raise


def _resumed(
    journal: Journal, records: list[bytes], client: Any, domains: tuple[Domain, ...]
) -> Job:
    """Take a job up.

    1. Read what the job is, and check that this process may go on with it.
    2. Make its decisions again.
    3. Write down that it goes on; from here on it is as any other.
    """
    dossier = Dossier.from_record(records[0])
    _check_domains(dossier, domains)
    coordinator = _coordinator(dossier, client)
    with importing():
        work = unship(dossier.shipped.data)
    past = Past.read(dossier.plan, records[1:])
    # A domain may have died together with the coordinator: the others go on.
    pool = open_pool(client, dossier.domains, staffed=False)
    try:
        if not any(pool.workers().values()):
            raise InputError(
                "client: expected a domain of the journal's job that has a worker, got none; start"
                " workers first: what is not answered would end the job"
            )
        recorder = Recorder(journal)
        recorder.resumed()
        past.epoch += 1
        # An orderly end let workers close the job; what they computed would not be kept any more.
        pool.broadcast("verify_reopen", job=dossier.terms.job)
        done = ", ".join(f"{n} of {m} {stage}" for stage, (n, m) in past.state.progress.items())
        _log.info("Resumed job %s: %s partitions are accepted", dossier.terms.job.hex()[:12], done)
        return start(dossier, work, pool, coordinator, recorder, past)
    except BaseException:
        pool.close()
        raise


def _check_domains(dossier: Dossier, domains: tuple[Domain, ...]) -> None:
    """Refuse other domains: who signed, and who may be blamed, is part of what was decided."""
    there = {domain.name: domain for domain in domains}
    for domain in dossier.domains:
        found = there.get(domain.name)
        if found is None:
            raise InputError(
                f"client: expected domain {domain.name!r} of the journal's job, got one with"
                f" {one_of(there)}; enrol all of them"
            )
        if found.public_key != domain.public_key:
            raise InputError(
                f"client: expected domain {domain.name!r} with the key"
                f" {domain.public_key.hex()[:16]}..., got {found.public_key.hex()[:16]}...; a job"
                " ends with the keys that it began with"
            )
        if dict(found.environment) != dict(domain.environment):
            raise JournalError(
                f"journal: expected domain {domain.name!r} in the environment that it enrolled when"
                " the job began, got another; run the job again"
            )


def _coordinator(dossier: Dossier, client: Any) -> Identity:
    """Return the key that the job id binds."""
    expected = dossier.terms.coordinator
    for identity in (dossier.own_key, coordinator_of(client)):
        if identity is not None and identity.public_key == expected:
            return identity
    raise InputError(
        f"coordinator: expected the key {expected.hex()[:16]}... that the journal's job was begun"
        " with, got another; pass its file to enrol(coordinator=), or set verify.coordinator-key"
    )
