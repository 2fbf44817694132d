"""`verified_map_reduce`: fixes what a job is, and starts it."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import dask.bag
import dask.dataframe as dd
import pandas as pd
from distributed import Client, get_client
from distributed.security import Security

from dask_verify.config import Policy, setting
from dask_verify.engine.courier.remote import Remote, remotes
from dask_verify.engine.dossier import Dossier, Recorder
from dask_verify.engine.enrolment import coordinator_of, domains_of, is_throw_away
from dask_verify.engine.graphs import Upstream, source_digest
from dask_verify.engine.handle import Job
from dask_verify.engine.journal import Journal
from dask_verify.engine.pool import open_pool
from dask_verify.engine.starting import start
from dask_verify.errors import InputError, PolicyError, one_of
from dask_verify.execution.work import Shipped, Work
from dask_verify.protocol.domain import Domain, Identity
from dask_verify.protocol.draws import seed_digest
from dask_verify.protocol.terms import Terms
from dask_verify.requesting import Request, requested

__all__ = ["Job", "verified_map_reduce"]


def verified_map_reduce(
    collection: dask.bag.Bag | dd.DataFrame,
    mapper: Callable[..., Any],
    reducer: Callable[..., Any],
    *,
    by: str | Sequence[str] | None = None,
    combiner: Callable[..., Any] | None = None,
    map_meta: pd.DataFrame | None = None,
    meta: pd.DataFrame | None = None,
    sort: bool = False,
    policy: Policy | None = None,
    npartitions: int | None = None,
    client: Client | Mapping[str, Client | Remote | str | tuple[str, Security]] | None = None,
    journal: str | os.PathLike[str] | None = None,
) -> Job:
    """Run a map-reduce in several administrative domains and accept only what they agree on.

    Parameters
    ----------
    collection : dask.bag.Bag or dask.dataframe.DataFrame
        The input. Its whole graph is executed in each domain by itself.
    mapper : callable
        Bag: ``mapper(record)`` gives an iterable of ``(key, value)`` tuples. DataFrame:
        ``mapper(df)`` gives a DataFrame.
    reducer : callable
        Bag: ``reducer(key, [values])`` gives a value. DataFrame: ``reducer(df)`` gets all rows
        of some keys and gives a DataFrame; it is not called where there are no rows.
    by : str or list of str
        DataFrame only: key columns or index levels of what the mapper gives.
    combiner : callable, optional
        Applied inside each map unit: ``combiner(key, [values])`` gives a value, or
        ``combiner(df)`` gives a DataFrame like the mapper's.
    map_meta, meta : pandas.DataFrame, optional
        DataFrame only: empty frames like what mapper and reducer give; inferred if not given.
    sort : bool
        DataFrame only: sort the result by its keys. Otherwise the order is fixed, but unspecified.
    policy : Policy, optional
        What must hold for an answer; default: ``Policy()``, from the configuration.
    npartitions : int, optional
        Reduce partitions; default: one for every eight input partitions, of more than 64 their
        square root.
    client : distributed.Client, or dict of str to distributed.Client or address, optional
        One client of a scheduler with `DomainPlugin`, or one client for each domain; default:
        the current client. For domains that may attack: the address of each domain's scheduler,
        or a tuple of it and a ``Security``, or a `Remote`; then no domain is connected to from
        this process.
    journal : path or URL, optional
        Where to write down what happens, so that `dask_verify.resume` can go on with the job after
        this process is gone. There must be nothing yet. It holds the secret seed of the audits and
        the pickled functions: keep it where nobody else reads or writes.

    Returns
    -------
    Job
        Already running; ``job.result()`` waits for the verified answer.

    Raises
    ------
    InputError
        If an argument cannot be used; nothing has been started then.
    MetaError
        If no meta can be inferred, or the keys are not in it.
    PolicyError
        If the domains at hand cannot satisfy the policy.
    JournalError
        If no journal can be made there.

    Examples
    --------
    >>> from dask_verify import LocalDomainCluster, Policy  # doctest: +SKIP
    >>> with LocalDomainCluster(["alice", "bob"]) as cluster:  # doctest: +SKIP
    ...     client = cluster.get_client()
    ...     words = dask.bag.from_sequence(["to be or not to be"])
    ...     job = verified_map_reduce(
    ...         words, lambda line: [(word, 1) for word in line.split()],
    ...         lambda word, ones: sum(ones))
    ...     sorted(job.result())
    [('be', 2), ('not', 1), ('or', 1), ('to', 2)]
    """
    request = requested(
        collection, mapper, reducer, by=by, combiner=combiner, map_meta=map_meta, meta=meta,
        sort=sort, policy=policy, npartitions=npartitions,
    )  # fmt: skip
    return launched(request, client, journal)


def launched(request: Request, client: Any, journal: Any = None) -> Job:
    """Start what was requested in the domains of a client.

    Parameters
    ----------
    request : Request
    client, journal
        As for `verified_map_reduce`.

    Returns
    -------
    Job
        Already running.

    Raises
    ------
    InputError, PolicyError, JournalError
        As `verified_map_reduce` does.
    """
    client, domains = enrolled_domains(remotes(client))
    policy = _checked_policy(request, domains, client)
    coordinator, seed = coordinator_of(client), os.urandom(32)
    source, work, shipped = request.source, request.work, request.shipped
    terms = _terms(policy, domains, source, work, shipped, seed, coordinator)
    dossier = Dossier(
        terms=terms,
        domains=domains,
        seed=seed,
        shipped=shipped,
        source=source,
        sort_by=request.sort_by,
        floor=float(setting("deadline-floor")),
        began=datetime.now(UTC),
        coordinator=coordinator.private_bytes() if is_throw_away(coordinator) else b"",
    )
    pool = open_pool(client, domains)
    try:
        return start(dossier, work, pool, coordinator, _recorder(journal, dossier))
    except BaseException:
        pool.close()
        raise


# --- who computes it ------------------------------------------------------------------------


def enrolled_domains(client: Any) -> tuple[Any, tuple[Domain, ...]]:
    """Return the client to use, or the dict of clients, and the domains that may be used there.

    Parameters
    ----------
    client : object
        The client or clients that the user passed; None for the current one.

    Returns
    -------
    tuple of (object, tuple of Domain)

    Raises
    ------
    InputError
        If there is no client, it is none, or nobody is enrolled.
    """
    if client is None:
        try:
            client = get_client()
        except ValueError as error:
            raise InputError(
                "client: expected a current Dask client, got none; start a LocalDomainCluster"
                " and call get_client(), or pass client="
            ) from error
    clients = client if isinstance(client, Mapping) else {None: client}
    found: dict[str, Domain] = {}
    for name, one in clients.items():
        if not isinstance(one, (Client, *([Remote] if name is not None else []))):
            raise InputError(
                f"client: expected a distributed.Client, or a dict of them or of addresses,"
                f" got {type(one).__name__}; of a cluster, pass cluster.get_client()"
            )
        for domain in domains_of(one, name):
            found[domain.name] = domain
    if not found:
        raise InputError(
            "client: expected one with enrolled domains, got one that nobody enrolled; use the"
            " client of a LocalDomainCluster, dask_verify.engine.enrolment.enrol(client, ...), or"
            " a trust file in the configuration (verify.trust)"
        )
    return client, tuple(found.values())


def check_staffing(policy: Policy, names: Collection[str], external: bool = False) -> None:
    """Refuse domains that are too few for a policy.

    Parameters
    ----------
    policy : Policy
    names : collection of str
        The domains.
    external : bool
        Whether the input was computed earlier.

    Raises
    ------
    PolicyError

    Examples
    --------
    >>> check_staffing(Policy(replicas=2), ["alice", "bob"])
    """
    if policy.audited and len(names) <= policy.replicas and policy.referee != "coordinator":
        raise PolicyError(
            f"audit={policy.audit!r}: expected a domain that audits besides the {policy.replicas}"
            f" that compute, or referee='coordinator', got {one_of(names)} and"
            f" referee={policy.referee!r}"
        )
    if policy.audited and policy.replicas == 1 and 1 < len(names) <= policy.faults:
        raise PolicyError(
            f"faults={policy.faults}: expected fewer than the {len(names)} domains, because an"
            " audit needs one that is not faulty; enrol more domains or lower faults"
        )
    if policy.audited and len(names) <= policy.replicas and external:
        raise PolicyError(
            f"audit={policy.audit!r}: expected a domain that audits besides the {policy.replicas}"
            " that compute, because the coordinator cannot read data that were computed earlier;"
            " enrol more domains, or pass the collection as it was before persist()"
        )
    if len(names) < policy.replicas:
        raise PolicyError(
            f"replicas={policy.replicas}: expected at least as many domains, got {len(names)}"
            f" ({one_of(names)}); enrol more domains or lower replicas"
        )


def _checked_policy(request: Request, domains: tuple[Domain, ...], client: Any) -> Policy:
    policy, source = request.policy, request.source
    check_staffing(policy, [domain.name for domain in domains], bool(source.external))
    if not source.external:
        return policy
    if isinstance(client, Mapping):
        raise InputError(
            "collection: expected one that every domain can compute, got one that holds data of"
            " a single cluster; pass it as it was before persist()"
        )
    # Held data live on the cluster only, so the coordinator cannot compute from them.
    return dataclasses.replace(policy, stand_in=False)


def _terms(
    policy: Policy,
    domains: tuple[Domain, ...],
    source: Upstream,
    work: Work,
    shipped: Shipped,
    seed: bytes,
    coordinator: Identity,
) -> Terms:
    """Fix the job's identity: nothing can be replayed into it, and its seed is bound by hash."""
    return Terms(
        nonce=os.urandom(32),
        seed_digest=seed_digest(seed),
        coordinator=coordinator.public_key,
        policy=policy,
        domains=tuple((d.name, d.public_key) for d in domains),
        functions=shipped.digest,
        sources=source_digest(source),
        maps=len(source.keys),
        reduces=work.partitions,
        buckets=work.buckets,
        unit_records=work.unit_records or 0,
    )


def _recorder(journal: Any, dossier: Dossier) -> Recorder:
    """Begin a journal, if one is wanted."""
    if journal is None:
        return Recorder()
    if not isinstance(journal, str | os.PathLike):
        raise InputError(f"journal: expected a path or URL, got {type(journal).__name__}")
    if dossier.source.external:
        raise InputError(
            "journal: expected a collection that can be computed again, got one that holds data of"
            " a cluster; pass it as it was before persist(), or leave journal= out"
        )
    recorder = Recorder(Journal.create(journal))
    try:
        recorder.begin(dossier)
    except BaseException:
        recorder.close()
        raise
    return recorder
