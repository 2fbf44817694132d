"""`verified_map_reduce`: checks what it is given, fixes what the job is, and starts it."""

from __future__ import annotations

import dataclasses
import math
import os
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import cloudpickle
import dask.bag
import dask.dataframe as dd
import pandas as pd
from dask.dataframe.utils import meta_nonempty
from distributed import Client, get_client
from distributed.security import Security

from dask_verify.config import Policy, setting
from dask_verify.core.canonical import encode_frame, registered_types
from dask_verify.core.keys import frame_buckets
from dask_verify.engine.courier.remote import Remote, remotes
from dask_verify.engine.dossier import Dossier, Recorder
from dask_verify.engine.enrolment import coordinator_of, domains_of, is_throw_away
from dask_verify.engine.graphs import Upstream, source_digest, upstream
from dask_verify.engine.handle import Job
from dask_verify.engine.journal import Journal
from dask_verify.engine.pool import open_pool
from dask_verify.engine.starting import start
from dask_verify.errors import EncodingError, InputError, MetaError, PolicyError, one_of
from dask_verify.execution.work import Shipped, Work, ship
from dask_verify.protocol.domain import Domain, Identity
from dask_verify.protocol.draws import seed_digest
from dask_verify.protocol.terms import Terms

__all__ = ["Job", "verified_map_reduce"]

_UNIT_RECORDS = 1024  #: records in one unit of a bag of at most so many partitions:
_FEW_PARTITIONS = 10
_BUCKETS = 8  #: key buckets in one reduce partition of a bag
_MOST_BUCKETS = 256  #: those of a dataframe in all, where the user does not say
_FAN_IN = 8  #: map partitions for one reduce partition, where the user does not say; more of many
_MOST = 32  #: reduce partitions, where the user does not say


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
    policy = Policy() if policy is None else policy
    if not isinstance(policy, Policy):
        raise InputError(f"policy: expected a dask_verify.Policy, got {type(policy).__name__}")
    _check_functions(mapper, reducer, combiner)
    source = upstream(collection, trust_input=policy.trust_input)
    work = _work(collection, source, mapper, reducer, combiner, by, map_meta, meta, sort, policy,
                 _partitions(npartitions, len(source.keys)))  # fmt: skip
    shipped = _shipped(work)
    client, domains = enrolled_domains(remotes(client))
    policy = _checked_policy(policy, domains, source, client)
    coordinator, seed = coordinator_of(client), os.urandom(32)
    terms = _terms(policy, domains, source, work, shipped, seed, coordinator)
    dossier = Dossier(
        terms=terms,
        domains=domains,
        seed=seed,
        shipped=shipped,
        source=source,
        sort_by=tuple(work.by) if sort else (),
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


# --- what is to be computed -----------------------------------------------------------------


def _check_functions(mapper: Any, reducer: Any, combiner: Any) -> None:
    for role, function in (("mapper", mapper), ("reducer", reducer), ("combiner", combiner)):
        if role == "combiner" and function is None:
            continue
        if not callable(function):
            raise InputError(f"{role}: expected a function, got {type(function).__name__}")
        try:
            cloudpickle.dumps(function)
        except Exception as error:
            raise InputError(
                f"{role}: expected a function that can be pickled, got one that cannot"
                f" ({type(error).__name__}: {error}); open files, locks and connections inside"
                " the function, not outside"
            ) from error


def _partitions(npartitions: Any, maps: int) -> int:
    if npartitions is None:
        # Each reads a section of each map: with a fixed fan-in, large jobs would have too many.
        return max(1, min(-(-maps // _FAN_IN), math.isqrt(maps), _MOST))
    if isinstance(npartitions, bool) or not isinstance(npartitions, int) or npartitions < 1:
        raise InputError(f"npartitions: expected a whole number of at least 1, got {npartitions!r}")
    return npartitions


def _work(
    collection: Any,
    source: Upstream,
    mapper: Any,
    reducer: Any,
    combiner: Any,
    by: Any,
    map_meta: Any,
    meta: Any,
    sort: bool,
    policy: Policy,
    partitions: int,
) -> Work:
    common = {
        "mapper": mapper,
        "reducer": reducer,
        "combiner": combiner,
        "partitions": partitions,
        "types": tuple(registered_types()),
    }
    if isinstance(collection, dask.bag.Bag):
        given = {"by": by, "map_meta": map_meta, "meta": meta, "sort": sort or None}
        unfit = [name for name, value in given.items() if value is not None]
        if unfit:
            raise InputError(
                f"{one_of(unfit)}: expected only for a DataFrame, got a Bag; leave them out"
            )
        return Work(
            kind="bag",
            buckets=partitions * (policy.buckets or _BUCKETS),
            unit_records=policy.unit_records or _unit_records(collection.npartitions),
            **common,
        )
    map_meta = _meta("mapper", "map_meta", mapper, collection._meta, map_meta)
    keys = _keys(by, map_meta)
    meta = _meta("reducer", "meta", reducer, map_meta, meta)
    if sort and not set(keys) <= {*meta.columns, *meta.index.names}:
        raise InputError(f"sort=True: expected the keys {keys} in the result, got {list(meta)}")
    buckets = _frame_buckets(collection.npartitions, partitions, combiner is not None)
    return Work(
        kind="frame",
        buckets=partitions * (policy.buckets or buckets),
        unit_records=policy.unit_records,
        by=tuple(keys),
        map_meta=map_meta,
        meta=meta,
        **common,
    )


def _unit_records(maps: int) -> int:
    """Return the records in one unit of a bag: many partitions make a sample fine by themselves.

    Each unit is combined, and its keys are sent, by itself; so there are no more than it takes.
    """
    return _UNIT_RECORDS * max(1, -(-maps // _FEW_PARTITIONS))


def _frame_buckets(maps: int, partitions: int, combined: bool) -> int:
    """Return the buckets in each reduce partition: in all about as many as there are maps.

    A reducer has a whole bucket in memory. So it takes what a map partition does, if all of the
    input goes into the shuffle. But each bucket costs some milliseconds, and what is combined first
    is small.
    """
    return 1 if combined else max(1, min(maps, _MOST_BUCKETS) // partitions)


def _meta(role: str, name: str, function: Any, before: Any, given: Any) -> pd.DataFrame:
    """Return the empty frame that a function's output is cast to."""
    if given is not None:
        meta = given
    else:
        try:
            meta = function(meta_nonempty(before))
        except Exception as error:
            raise MetaError(
                f"{role}: could not infer its meta by calling it on a small frame of the right"
                f" dtypes ({type(error).__name__}: {error}); pass {name}="
            ) from error
    if not isinstance(meta, pd.DataFrame):
        raise MetaError(
            f"{name}: expected a pandas DataFrame, got {type(meta).__name__}; if that is what the"
            f" {role} gives, call .to_frame() or .reset_index() on it"
        )
    meta = meta.iloc[:0]
    try:
        encode_frame(meta)
    except EncodingError as error:
        raise InputError(f"{name}: the {role} gives what cannot be verified: {error}") from error
    return meta


def _keys(by: Any, map_meta: pd.DataFrame) -> list[str]:
    one = by is not None and not isinstance(by, (list, tuple))
    keys = [by] if one else list(by or ())
    there = [*map_meta.columns, *(n for n in map_meta.index.names if n is not None)]
    missing = [key for key in keys if key not in there]
    if not keys or missing:
        raise InputError(
            f"by: expected key columns or index levels among {there}, got"
            f" {missing if keys else by!r}; name columns of what the mapper gives"
        )
    frame_buckets(map_meta, keys, 2)
    return keys


def _shipped(work: Work) -> Shipped:
    try:
        return ship(work)
    except Exception as error:
        raise InputError(f"the functions cannot be pickled together: {error}") from error


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


def _checked_policy(
    policy: Policy, domains: tuple[Domain, ...], source: Upstream, client: Any
) -> Policy:
    if policy.audited and len(domains) <= policy.replicas and policy.referee != "coordinator":
        raise PolicyError(
            f"audit={policy.audit!r}: expected a domain that audits besides the {policy.replicas}"
            f" that compute, or referee='coordinator', got {one_of(d.name for d in domains)} and"
            f" referee={policy.referee!r}"
        )
    if policy.audited and policy.replicas == 1 and 1 < len(domains) <= policy.faults:
        raise PolicyError(
            f"faults={policy.faults}: expected fewer than the {len(domains)} domains, because an"
            " audit needs one that is not faulty; enrol more domains or lower faults"
        )
    if policy.audited and len(domains) <= policy.replicas and source.external:
        raise PolicyError(
            f"audit={policy.audit!r}: expected a domain that audits besides the {policy.replicas}"
            " that compute, because the coordinator cannot read data that were computed earlier;"
            " enrol more domains, or pass the collection as it was before persist()"
        )
    if len(domains) < policy.replicas:
        raise PolicyError(
            f"replicas={policy.replicas}: expected at least as many domains, got {len(domains)}"
            f" ({one_of(d.name for d in domains)}); enrol more domains or lower replicas"
        )
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
