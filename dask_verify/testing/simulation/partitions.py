"""Sealed partitions of tiny bags, true or corrupted in ways that have names.

A map unit's cells follow from its input alone, so that whoever is given the input can recompute
them; a reduce partition's follow from what it was assigned, so from the maps that it reads. All of
it is a pure function of few values, and is remembered: a million jobs are made of some thousands of
partitions.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

from dask_verify.core.canonical import decode_leaf, encode_records
from dask_verify.core.merkle import BLAKE3
from dask_verify.core.seal import Commitment, SealedPartition
from dask_verify.protocol.board import Plan
from dask_verify.protocol.domain import COORDINATOR
from dask_verify.protocol.messages import MAP, Task
from dask_verify.protocol.quorum import sign
from dask_verify.testing.simulation.enrolment import identity

UNITS, BUCKETS, RECORDS = 2, 2, 2
RECORDS_IN = 12  #: input records of a map partition, where the plan names the size of units

#: Lies that change just what their names say: not the middle cell, as a lie without a name does.
_NAMED = ("one", "some", "all", "made_up", "miscount", "fewer", "poison")


@dataclass(frozen=True)
class Flavour:
    """What honest domains may differ by, where the function or the source lets them.

    Parameters
    ----------
    version : str
        Of the source: changes the inputs of every map unit.
    wobble : str
        What an environment, or a run of a function that is not deterministic, makes of the cell in
        the middle.
    read : bytes
        What a reduce partition was assigned: the digest of the maps that it reads.
    consumed : int or None
        Records of those maps; None: those of honest ones.
    """

    version: str = ""
    wobble: str = ""
    read: bytes = b""
    consumed: int | None = None


PLAIN = Flavour()


def units_of(unit_records: int | None) -> int:
    """Return the units of an honest map partition; a plan that names no size has two.

    Parameters
    ----------
    unit_records : int or None
        Records in one unit; None for the default.

    Returns
    -------
    int
    """
    if unit_records is None:
        return UNITS
    return -(-RECORDS_IN // unit_records) if unit_records else 1


@lru_cache(maxsize=1 << 16)
def mapped(unit_input: bytes, bucket: int, salt: str = "") -> bytes:
    """Return the cell that a unit with this input emits for a bucket; with a salt, another one.

    Parameters
    ----------
    unit_input : bytes
        The input of the unit.
    bucket : int
        Number of the bucket.
    salt : str, optional
        Makes the result a lie, and one that differs from lies with another salt; empty for the
        truth.

    Returns
    -------
    bytes
    """
    text = f"{decode_leaf(unit_input)[0]} {salt}"
    return encode_records([(f"k{bucket}", f"{text} {r}") for r in range(RECORDS)])


def poisoned(unit_input: bytes) -> bool:
    """Whether honest functions raise on this input.

    Parameters
    ----------
    unit_input : bytes
        The input of the unit.

    Returns
    -------
    bool
    """
    return b"poison" in unit_input


def column(
    plan: Plan, task: Task, unit: int, unit_input: bytes | None, flavour: Flavour = PLAIN
) -> tuple[bytes, ...]:
    """Return what an honest domain computes of one unit: its cells, or a bucket's answer.

    Parameters
    ----------
    plan : Plan
        What the job is.
    task : Task
        The task.
    unit : int
        Number of the unit.
    unit_input : bytes or None
        The input of the unit.
    flavour : Flavour, optional
        What makes this execution differ from others.

    Returns
    -------
    tuple of bytes
    """
    if task.stage != MAP:
        return (partition(plan, task, flavour=flavour).leaves[unit],)
    assert unit_input is not None, "a map unit is computed from its input"
    units, buckets = units_of(plan.unit_records), BUCKETS * plan.reduces
    middle = buckets * units // 2 if flavour.wobble else None
    salts = (flavour.wobble if b * units + unit == middle else "" for b in range(buckets))
    return tuple(mapped(unit_input, b, salt) for b, salt in enumerate(salts))


def corrupted(task: Task, salt: str, lie: str, units: int) -> range:
    """Return the units, or buckets, in which a lie of this kind has other cells.

    Parameters
    ----------
    task : Task
        The task.
    salt : str
        Makes the result a lie, and one that differs from lies with another salt; empty for the
        truth.
    lie : str
        Kind of the lie.
    units : int
        Number of units.

    Returns
    -------
    range
    """
    if not salt or (task.stage == MAP and lie in ("made_up", "miscount")):
        return range(0)
    if lie == "one":
        start = zlib.crc32(f"{task} {salt}".encode()) % units
        return range(start, start + 1)
    every = lie in ("all", "poison")
    return range(units)[:: 1 if every else 2] if every or lie == "some" else range(0)


def _inputs(task: Task, units: int, salt: str, lie: str, flavour: Flavour) -> list[bytes]:
    invented = {"misread": range(1, units), "made_up": range(units)[-1:], "poison": range(units)}
    made_up = invented.get(lie, range(0)) if task.stage == MAP else range(0)
    base = flavour.version if task.stage == MAP else flavour.read.hex()
    texts = (f"{task} {u} {base}{salt if u in made_up else ''}" for u in range(units))
    return [encode_records([text]) for text in texts]


@lru_cache(maxsize=1 << 14)
def _sealed(
    maps: int,
    reduces: int,
    unit_records: int | None,
    task: Task,
    salt: str,
    lie: str,
    flavour: Flavour,
) -> SealedPartition:
    mapping = task.stage == MAP
    units = units_of(unit_records) + {"misshapen": 1, "fewer": -1}.get(lie, 0) if mapping else 1
    buckets = BUCKETS * reduces if mapping else BUCKETS
    inputs = _inputs(task, units if mapping else buckets, salt, lie, flavour)
    salts = _salts(task, (buckets, units), salt, lie, flavour)
    cells = (
        mapped(inputs[leaf % units if mapping else leaf], leaf // units, salted)
        for leaf, salted in enumerate(salts)
    )
    return SealedPartition(
        buckets,
        units,
        _records_in(maps, unit_records, mapping, lie, flavour.consumed),
        _counts(reduces, buckets * units, mapping, lie),
        tuple(cells),
        tuple(inputs) if mapping and unit_records != 0 else (),
    )


def _salts(task: Task, shape: tuple[int, int], salt: str, lie: str, flavour: Flavour) -> list[str]:
    """Return what makes each cell another one than the true one."""
    buckets, units = shape
    mapping = task.stage == MAP
    salts = [""] * (buckets * units)
    middle = len(salts) // 2
    if salts:
        salts[middle] = flavour.wobble
    if salt and lie not in _NAMED:
        salts[middle] = salt
    for which in corrupted(task, salt, lie, units if mapping else buckets):
        for leaf in range(which, len(salts), units) if mapping else (which,):
            salts[leaf] = salt
    return salts


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
    plan: Plan, task: Task, salt: str = "", lie: str = "", flavour: Flavour = PLAIN
) -> SealedPartition:
    """Return what a task computes; ``salt`` makes it a lie, of the kind that ``lie`` names.

    Parameters
    ----------
    plan : Plan
        What the job is.
    task : Task
        The task.
    salt : str, optional
        Makes the result a lie, and one that differs from lies with another salt; empty for the
        truth.
    lie : str, optional
        Kind of the lie.
    flavour : Flavour, optional
        What makes this execution differ from others.

    Returns
    -------
    SealedPartition
    """
    return _sealed(plan.maps, plan.reduces, plan.unit_records, task, salt, lie, flavour)


def commit(
    plan: Plan,
    task: Task,
    domain: str,
    inputs: bytes,
    salt: str = "",
    lie: str = "",
    flavour: Flavour = PLAIN,
) -> Commitment:
    """Return the commitment to `partition`.

    Parameters
    ----------
    plan : Plan
        What the job is.
    task : Task
        The task.
    domain : str
        Name of the domain.
    inputs : bytes
        Digest of what the task is assigned.
    salt : str, optional
        Makes the result a lie, and one that differs from lies with another salt; empty for the
        truth.
    lie : str, optional
        Kind of the lie.
    flavour : Flavour, optional
        What makes this execution differ from others.

    Returns
    -------
    Commitment
    """
    shape = (plan.job, plan.maps, plan.reduces, plan.unit_records)
    return _committed(shape, task, domain, inputs, salt, lie, flavour)


@lru_cache(maxsize=1 << 15)
def _committed(
    shape: tuple[bytes, int, int, int | None],
    task: Task,
    domain: str,
    inputs: bytes,
    salt: str,
    lie: str,
    flavour: Flavour,
) -> Commitment:
    job, *rest = shape
    own = _sealed(*rest, task, salt, lie, flavour)
    return own.commit(job, *task, domain, inputs)


def wire(
    plan: Plan,
    task: Task,
    domain: str,
    inputs: bytes,
    salt: str = "",
    lie: str = "",
    flavour: Flavour = PLAIN,
) -> bytes:
    """Return the commitment as its domain sends it, signed.

    Parameters
    ----------
    plan : Plan
        What the job is.
    task : Task
        The task.
    domain : str
        Name of the domain.
    inputs : bytes
        Digest of what the task is assigned.
    salt : str, optional
        Makes the result a lie, and one that differs from lies with another salt; empty for the
        truth.
    lie : str, optional
        Kind of the lie.
    flavour : Flavour, optional
        What makes this execution differ from others.

    Returns
    -------
    bytes
    """
    shape = (plan.job, plan.maps, plan.reduces, plan.unit_records)
    return _wire(shape, task, domain, inputs, salt, lie, flavour)


@lru_cache(maxsize=1 << 15)
def _wire(
    shape: tuple[bytes, int, int, int | None],
    task: Task,
    domain: str,
    inputs: bytes,
    salt: str,
    lie: str,
    flavour: Flavour,
) -> bytes:
    signed = _committed(shape, task, domain, inputs, salt, lie, flavour)
    if lie == "forged_root":
        signed = replace(signed, root=bytes(32))
    return sign(identity(domain), signed)


def truth(plan: Plan, task: Task, inputs: bytes) -> bytes:
    """Return the digest of the true commitment to a task that nothing changes.

    Parameters
    ----------
    plan : Plan
        What the job is.
    task : Task
        The task.
    inputs : bytes
        Digest of what the task is assigned.

    Returns
    -------
    bytes
    """
    return commit(plan, task, COORDINATOR, inputs).digest


def records(leaves: Sequence[int]) -> int:
    """Return how many records some cells really have: all have the same number.

    Parameters
    ----------
    leaves : sequence of int
        Numbers of the leaves.

    Returns
    -------
    int
    """
    return RECORDS * len(leaves)


@lru_cache(maxsize=1 << 14)
def hashed(cells: tuple[bytes, ...]) -> tuple[bytes, ...]:
    """Return the leaf hashes of some cells.

    Parameters
    ----------
    cells : tuple of bytes
        The cells.

    Returns
    -------
    tuple of bytes
    """
    return tuple(map(BLAKE3.leaf, cells))
