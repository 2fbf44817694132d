"""Sealed partitions of tiny bags, true or corrupted in ways that have names.

A map unit's cells follow from its input alone, so that whoever is given the input can recompute
them; a reduce partition's from its number alone.
"""

from __future__ import annotations

import zlib
from functools import lru_cache

from dask_verify.core.canonical import decode_leaf, encode_records
from dask_verify.core.merkle import BLAKE3
from dask_verify.core.seal import Commitment, SealedPartition
from dask_verify.protocol.board import Plan
from dask_verify.protocol.domain import COORDINATOR
from dask_verify.protocol.messages import MAP, Task

UNITS, BUCKETS, RECORDS = 2, 2, 2
RECORDS_IN = 12  #: input records of a map partition, where the plan names the size of units


def units_of(unit_records: int | None) -> int:
    """Units of an honest map partition; a plan that does not name their size has two."""
    if unit_records is None:
        return UNITS
    return -(-RECORDS_IN // unit_records) if unit_records else 1


def mapped(unit_input: bytes, bucket: int, salt: str = "") -> bytes:
    """The cell that a unit with this input emits for a bucket; with a salt, another one."""
    text = f"{decode_leaf(unit_input)[0]} {salt}"
    return encode_records([(f"k{bucket}", f"{text} {r}") for r in range(RECORDS)])


def column(plan: Plan, task: Task, unit: int, unit_input: bytes | None) -> tuple[bytes, ...]:
    """What an honest domain computes of one unit: its cells, or a bucket's answer."""
    if task.stage != MAP:
        return (partition(plan, task).leaves[unit],)
    assert unit_input is not None
    return tuple(mapped(unit_input, b) for b in range(BUCKETS * plan.reduces))


def corrupted(task: Task, salt: str, lie: str, units: int) -> range:
    """Units, or buckets, in which a lie of this kind has other cells."""
    if not salt or (task.stage == MAP and lie in ("made_up", "miscount")):
        return range(0)
    if lie == "one":
        start = zlib.crc32(f"{task} {salt}".encode()) % units
        return range(start, start + 1)
    return range(units)[:: 2 if lie == "some" else 1] if lie in ("some", "all") else range(0)


def _inputs(task: Task, units: int, salt: str, lie: str) -> list[bytes]:
    made_up = {"misread": range(1, units), "made_up": range(units)[-1:]}.get(lie, ())
    return [encode_records([f"{task} {u} {salt if u in made_up else ''}"]) for u in range(units)]


@lru_cache(maxsize=8192)
def _sealed(
    maps: int,
    reduces: int,
    unit_records: int | None,
    task: Task,
    salt: str,
    lie: str,
    consumed: int | None,
) -> SealedPartition:
    mapping = task.stage == MAP
    honest = units_of(unit_records)
    units = honest + {"misshapen": 1, "fewer": -1}.get(lie, 0) if mapping else 1
    buckets = BUCKETS * reduces if mapping else BUCKETS
    inputs = _inputs(task, units if mapping else buckets, salt if mapping else "", lie)
    wrong = corrupted(task, salt, lie, units if mapping else buckets)
    named = lie in ("one", "some", "all", "made_up", "miscount", "fewer")
    middle = buckets * units // 2 if salt and not named else None
    cells = []
    for leaf in range(buckets * units):
        bucket, unit = divmod(leaf, units)
        which = unit if mapping else bucket
        salted = salt if which in wrong or leaf == middle else ""
        cells.append(mapped(inputs[which], bucket, salted))
    return SealedPartition(
        buckets,
        units,
        _records_in(maps, unit_records, mapping, lie, consumed),
        _counts(reduces, buckets * units, mapping, lie),
        tuple(cells),
        tuple(inputs) if mapping and unit_records != 0 else (),
    )


def _records_in(
    maps: int, unit_records: int | None, mapping: bool, lie: str, consumed: int | None
) -> int:
    if not mapping:
        honest = maps * BUCKETS * units_of(unit_records) * RECORDS
        return (honest if consumed is None else consumed) + (lie == "miscount")
    if unit_records is None:
        return 7
    return RECORDS_IN + unit_records * (lie == "misshapen")


def _counts(reduces: int, leaves: int, mapping: bool, lie: str) -> tuple[int, ...]:
    emitted = leaves * RECORDS
    if not mapping:
        return (RECORDS,) * leaves
    each = [emitted // reduces] * reduces
    each[0] += lie == "miscount"
    return tuple(each)


def partition(
    plan: Plan, task: Task, salt: str = "", lie: str = "", consumed: int | None = None
) -> SealedPartition:
    """What a task computes; ``salt`` makes it a lie, of the kind that ``lie`` names.

    A reduce partition signs how many records it ``consumed``; by default, those of honest maps.
    """
    return _sealed(plan.maps, plan.reduces, plan.unit_records, task, salt, lie, consumed)


def commit(
    plan: Plan, task: Task, domain: str, inputs: bytes, salt: str = "", lie: str = ""
) -> Commitment:
    return partition(plan, task, salt, lie).commit(plan.job, *task, domain, inputs)


def truth(plan: Plan, task: Task, inputs: bytes) -> bytes:
    return commit(plan, task, COORDINATOR, inputs).digest


def records(store: SealedPartition, leaves: range) -> int:
    """How many records some of its cells really have."""
    return sum(len(decode_leaf(store.leaves[leaf])) for leaf in leaves)


def hashed(cells: tuple[bytes, ...]) -> tuple[bytes, ...]:
    return tuple(map(BLAKE3.leaf, cells))
