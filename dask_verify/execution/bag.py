"""Units and buckets of a bag: lists of records, and of ``(key, value)`` pairs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from itertools import chain, islice
from typing import Any

from dask_verify.core.canonical import decode_records, encode_records, normalise_records
from dask_verify.core.keys import KeyBuckets, group_records, no_pair
from dask_verify.errors import EncodingError, InputError
from dask_verify.execution.work import Hooks, Work

Pair = tuple[Any, Any]


def units(partition: Iterable[Any], unit_records: int | None) -> list[list[Any]]:
    """Cut a partition into runs of records; an empty partition is one empty unit.

    Parameters
    ----------
    partition : iterable
        The records of the partition.
    unit_records : int or None
        Records in one unit; None for the default.

    Returns
    -------
    list of list
    """
    if unit_records is None:
        return [list(partition)]
    records = iter(partition)
    runs = list(iter(lambda: list(islice(records, unit_records)), []))
    return runs or [[]]


def encode_units(partition: Any, runs: Sequence[list[Any]]) -> list[bytes]:
    """Return the canonical bytes of runs that `units` cut from a partition.

    Parameters
    ----------
    partition : object
        The records of the partition.
    runs : sequence of list
        The runs.

    Returns
    -------
    list of bytes
    """
    return list(map(encode_records, runs))


def count(records: Sequence[Any]) -> int:
    """Return the number of records.

    Parameters
    ----------
    records : sequence
        The records.

    Returns
    -------
    int
    """
    return len(records)


decode = decode_records
normalise = normalise_records


def map_unit(
    work: Work, partition: int, unit: int, records: list[Any], hooks: Hooks | None
) -> tuple[list[bytes], list[int]]:
    """Map one unit; return its cell and its number of records for every bucket.

    Parameters
    ----------
    work : Work
        The user's functions, with what is needed to run them.
    partition : int
        Number of the partition.
    unit : int
        Number of the unit.
    records : list
        The records.
    hooks : Hooks or None
        What a saboteur changes; None for nothing.

    Returns
    -------
    tuple of (list of bytes, list of int)
    """
    # Pairs that are combined never exist all at once: keeping them would wake the collector often.
    emitted: Iterator[Any] = chain.from_iterable(_each(work, records))
    if work.combiner is None:
        pairs = _checked(list(emitted))
    else:
        pairs = [(key, work.combiner(key, values)) for key, values in group_records(emitted)]
    if hooks is not None:
        pairs = hooks.map_output(partition, unit, pairs)
    cells = _cells(pairs, work.buckets)
    return [_encoded("mapper", cell) for cell in cells], list(map(len, cells))


@lru_cache(maxsize=4)
def _buckets(buckets: int) -> KeyBuckets:
    """Return buckets that know the keys of units before: most keys come again."""
    return KeyBuckets(buckets)


def _cells(pairs: Iterable[Pair], buckets: int) -> list[list[Pair]]:
    cells: list[list[Pair]] = [[] for _ in range(buckets)]
    bucket = _buckets(buckets)
    try:
        for pair in pairs:
            cells[bucket(pair[0])].append(pair)
    except EncodingError as error:
        where = f"key{error.path} of pair {sum(map(len, cells))} that the mapper emitted"
        raise EncodingError(error.type_name, where, error.advice) from None
    return cells


def _encoded(role: str, pairs: Sequence[Pair]) -> bytes:
    try:
        return encode_records(pairs)
    except EncodingError as error:
        where = f"{error.path} of the pairs that the {role} gave"
        raise EncodingError(error.type_name, where, error.advice) from None


def _each(work: Work, records: Sequence[Any]) -> Iterator[Iterable[Any]]:
    """Yield what the mapper gives for record after record.

    A generator, since ``map`` would take a StopIteration of the user's function for its own end.
    """
    for record in records:
        yield _emitted(work, record)


def _emitted(work: Work, record: Any) -> Iterable[Any]:
    emitted = work.mapper(record)
    try:
        pairs: Iterable[Any] = iter(emitted)
    except TypeError:
        raise InputError(
            f"mapper: expected an iterable of (key, value) pairs, got {type(emitted).__name__};"
            " return a list, or use yield"
        ) from None
    return pairs


def _checked(pairs: list[Any]) -> list[Pair]:
    # Two passes in C take a fraction of one in Python.
    if set(map(type, pairs)) <= {tuple} and set(map(len, pairs)) <= {2}:
        return pairs
    raise no_pair(next(p for p in pairs if type(p) is not tuple or len(p) != 2))


def reduce_bucket(
    work: Work, partition: int, unit: int, cells: Iterable[bytes], hooks: Hooks | None
) -> tuple[bytes, int, int]:
    """Reduce one bucket; return its leaf, records consumed and groups produced.

    Parameters
    ----------
    work : Work
        The user's functions, with what is needed to run them.
    partition : int
        Number of the partition.
    unit : int
        Number of the unit.
    cells : iterable of bytes
        The bucket's cells, in order.
    hooks : Hooks or None
        What a saboteur changes; None for nothing.

    Returns
    -------
    tuple of (bytes, int, int)
    """
    pairs = [pair for cell in cells for pair in decode_records(cell)]
    groups = [(key, work.reducer(key, values)) for key, values in group_records(pairs)]
    if hooks is not None:
        groups = hooks.reduce_output(partition, unit, groups)
    return _encoded("reducer", groups), len(pairs), len(groups)
