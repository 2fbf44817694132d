"""Executing tasks, unit by unit: the same code for workers, referees and the coordinator."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from types import ModuleType
from typing import Any

from dask_verify.core.seal import SealedPartition
from dask_verify.errors import InputError
from dask_verify.execution.work import Hooks, Work
from dask_verify.protocol.board import MAX_UNITS

Sections = Sequence[Sequence[bytes]]  #: the verified leaves of each map partition, in order


def kind(work: Work) -> ModuleType:
    """Return the module that knows the records of this kind of collection.

    Parameters
    ----------
    work : Work
        The user's functions, with what is needed to run them.

    Returns
    -------
    ModuleType
    """
    if work.kind == "bag":
        from dask_verify.execution import bag

        return bag
    from dask_verify.execution import frame

    return frame


def map_partition(
    work: Work, partition: int, data: Any, hooks: Hooks | None = None
) -> SealedPartition:
    """Cut a partition into units, map each and seal the grid of cells.

    The mapper sees only normalised input, so that what one domain's read happened to leave in an
    object (dict order, an index frequency) cannot make its output differ from another's.

    Parameters
    ----------
    work : Work
        The user's functions, with what is needed to run them.
    partition : int
        Number of the partition.
    data : object
        The input partition.
    hooks : Hooks or None, optional
        What a saboteur changes; None for nothing.

    Returns
    -------
    SealedPartition
    """
    of = kind(work)
    if hooks is not None:
        data = hooks.read_input(partition, data if work.kind == "frame" else list(data))
    runs = _cut(work, data)
    inputs = () if work.unit_records is None else tuple(of.encode_units(data, runs))
    columns = [
        of.map_unit(work, partition, unit, of.normalise(run), hooks)
        for unit, run in enumerate(runs)
    ]
    cells = [column for column, _ in columns]
    return SealedPartition(
        buckets=work.buckets,
        units=len(runs),
        records_in=sum(map(of.count, runs)),
        counts=_per_partition(work, [counts for _, counts in columns]),
        leaves=tuple(cells[c][b] for b in range(work.buckets) for c in range(len(cells))),
        inputs=inputs,
    )


def _cut(work: Work, data: Any) -> Sequence[Any]:
    """Cut a partition into the inputs of its units, no more than may be drawn."""
    runs: Sequence[Any] = kind(work).units(data, work.unit_records)
    if len(runs) > MAX_UNITS:
        raise InputError(
            f"unit_records: expected at most {MAX_UNITS:,} units in a partition, got {len(runs):,};"
            " raise unit_records, or cut the input into more partitions"
        )
    return runs


def read_partition(work: Work, data: Any) -> tuple[tuple[bytes, ...], int]:
    """Cut a partition into units and map none; return their canonical inputs and their records.

    Parameters
    ----------
    work : Work
        The user's functions, with what is needed to run them.
    data : object
        The input partition.

    Returns
    -------
    tuple of (tuple of bytes, int)
    """
    of = kind(work)
    runs = _cut(work, data)
    return tuple(of.encode_units(data, runs)), sum(map(of.count, runs))


def _per_partition(work: Work, counts: Sequence[Sequence[int]]) -> tuple[int, ...]:
    totals = [sum(column) for column in zip(*counts, strict=True)]
    return tuple(sum(totals[j * work.run : (j + 1) * work.run]) for j in range(work.partitions))


def map_unit(work: Work, partition: int, unit: int, unit_input: bytes) -> tuple[bytes, ...]:
    """Map one unit from its canonical input; return its column of cells.

    Parameters
    ----------
    work : Work
        The user's functions, with what is needed to run them.
    partition : int
        Number of the partition.
    unit : int
        Number of the unit.
    unit_input : bytes
        Canonical bytes of the unit's input.

    Returns
    -------
    tuple of bytes
    """
    of = kind(work)
    cells, _ = of.map_unit(work, partition, unit, of.decode(unit_input), None)
    return tuple(cells)


def reduce_partition(
    work: Work, partition: int, sections: Sections, hooks: Hooks | None = None
) -> SealedPartition:
    """Reduce a run of buckets; ``sections`` are the verified leaves of each map partition.

    Parameters
    ----------
    work : Work
        The user's functions, with what is needed to run them.
    partition : int
        Number of the partition.
    sections : Sections
        Verified leaves of each map partition, in order.
    hooks : Hooks or None, optional
        What a saboteur changes; None for nothing.

    Returns
    -------
    SealedPartition
    """
    return reduce_in_turn(work, partition, [(range(work.run), sections)], hooks)


def reduce_in_turn(
    work: Work,
    partition: int,
    turns: Iterable[tuple[range, Sections]],
    hooks: Hooks | None = None,
) -> SealedPartition:
    """Reduce the buckets of a partition, some at a time: no more of them need be in memory.

    Parameters
    ----------
    work : Work
    partition : int
    turns : iterable of (range, sections)
        Which buckets of the partition, and their verified leaves of each map partition; together
        all buckets, in order.
    hooks : Hooks, optional

    Returns
    -------
    SealedPartition
    """
    results = []
    for buckets, sections in turns:
        for at, unit in enumerate(buckets):
            cells = cells_of(sections, at, len(buckets))
            results.append(kind(work).reduce_bucket(work, partition, unit, cells, hooks))
        # They would be held while the next ones are collected.
        del sections, cells
    return SealedPartition(
        buckets=work.run,
        units=1,
        records_in=sum(consumed for _, consumed, _ in results),
        counts=tuple(produced for _, _, produced in results),
        leaves=tuple(leaf for leaf, _, _ in results),
    )


def cells_of(sections: Sections, bucket: int, buckets: int) -> list[bytes]:
    """Return one of so many buckets' cells, in the fixed order of map partition, then unit.

    Parameters
    ----------
    sections : Sections
        Verified leaves of each map partition, in order.
    bucket : int
        Number of the bucket among those of the sections.
    buckets : int
        Number of buckets of the sections.

    Returns
    -------
    list of bytes
    """
    cells: list[bytes] = []
    for section in sections:
        width = len(section) // buckets
        cells.extend(section[bucket * width : (bucket + 1) * width])
    return cells


def reduce_unit(work: Work, partition: int, unit: int, cells: Sequence[bytes]) -> bytes:
    """Reduce one bucket from its cells; return its leaf.

    Parameters
    ----------
    work : Work
        The user's functions, with what is needed to run them.
    partition : int
        Number of the partition.
    unit : int
        Number of the unit.
    cells : sequence of bytes
        The bucket's cells, in order.

    Returns
    -------
    bytes
    """
    reduce_bucket: Callable[..., tuple[bytes, int, int]] = kind(work).reduce_bucket
    return reduce_bucket(work, partition, unit, cells, None)[0]
