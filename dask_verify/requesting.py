"""What a job is to compute: checked and inferred as far as it can be without any domain."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import cloudpickle
import dask.bag
import pandas as pd
from dask.dataframe.utils import meta_nonempty

from dask_verify.config import Policy
from dask_verify.core.canonical import encode_frame, registered_types
from dask_verify.core.keys import frame_buckets
from dask_verify.engine.graphs import Upstream, upstream
from dask_verify.errors import EncodingError, InputError, MetaError, one_of
from dask_verify.execution.work import Shipped, Work, ship

_UNIT_RECORDS = 1024  #: records in one unit of a bag of at most so many partitions:
_FEW_PARTITIONS = 10
_BUCKETS = 8  #: key buckets in one reduce partition of a bag
_MOST_BUCKETS = 256  #: those of a dataframe in all, where the user does not say
_FAN_IN = 8  #: map partitions for one reduce partition, where the user does not say; more of many
_MOST = 32  #: reduce partitions, where the user does not say


@dataclass(frozen=True)
class Request:
    """What is to be computed, checked as far as it can be without any domain.

    Parameters
    ----------
    policy : Policy
    source : Upstream
    work : Work
    shipped : Shipped
    sort_by : tuple of str
        Keys that the result is sorted by; empty for none.
    """

    policy: Policy
    source: Upstream
    work: Work
    shipped: Shipped
    sort_by: tuple[str, ...]


def requested(
    collection: Any,
    mapper: Any,
    reducer: Any,
    *,
    by: Any = None,
    combiner: Any = None,
    map_meta: Any = None,
    meta: Any = None,
    sort: bool = False,
    policy: Any = None,
    npartitions: Any = None,
) -> Request:
    """Check what `verified_map_reduce` is given, before anybody is needed who computes it.

    Parameters
    ----------
    collection, mapper, reducer, by, combiner, map_meta, meta, sort, policy, npartitions
        As for `verified_map_reduce`.

    Returns
    -------
    Request

    Raises
    ------
    InputError
        If an argument cannot be used.
    MetaError
        If no meta can be inferred, or is no frame.

    Examples
    --------
    >>> lines = dask.bag.from_sequence(["to be or not to be"])
    >>> requested(lines, lambda line: [(line, 1)], lambda line, ones: sum(ones)).work.kind
    'bag'
    """
    policy = Policy() if policy is None else policy
    if not isinstance(policy, Policy):
        raise InputError(f"policy: expected a dask_verify.Policy, got {type(policy).__name__}")
    _check_functions(mapper, reducer, combiner)
    source = upstream(collection, trust_input=policy.trust_input)
    work = _work(collection, source, mapper, reducer, combiner, by, map_meta, meta, sort, policy,
                 _partitions(npartitions, len(source.keys)))  # fmt: skip
    return Request(policy, source, work, _shipped(work), tuple(work.by) if sort else ())


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
