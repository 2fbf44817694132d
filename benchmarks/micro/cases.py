"""What is timed at the micro level: each case makes its data once and gives what is to be run.

``scale`` is 1 for measuring; tests run all cases with less. In each group all cases work on the
same data, and ``raw BLAKE3`` is one pass over the very bytes that the group's ``encode`` gives.
None of the others in a group is evidence of equality, see `docs`; they are there for their speed.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache, partial
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from blake3 import blake3
from dask.base import tokenize

from dask_verify.core.canonical import encode_frame, encode_frames, encode_records
from dask_verify.core.descent import first_difference
from dask_verify.core.merkle import BLAKE3, MerkleTree, verify_inclusion
from dask_verify.execution.compute import map_partition
from dask_verify.execution.work import Work

_MILLION = 1_000_000
_CELL = 1_024  #: records in one unit of a bag


class MissingError(Exception):
    """A case needs a package that is not installed."""


@dataclass(frozen=True)
class Case:
    """One thing to time: ``prepare(scale)`` gives what is run, its records and its bytes."""

    group: str
    name: str
    prepare: Callable[[float], tuple[Callable[[], Any], int, int]]


def _needed(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise MissingError(
            f'{name} is not installed; run pip install "dask-verify[benchmark]"'
        ) from error


# --- tables ---------------------------------------------------------------------------------


@cache
def _table(scale: float) -> tuple[pd.DataFrame, bytes]:
    rows = max(64, int(_MILLION * scale))
    dice = np.random.default_rng(1)
    frame = pd.DataFrame(
        {"key": dice.integers(0, 100, rows)} | {c: dice.random(rows) for c in "xyz"}
    )
    return frame, encode_frame(frame)


def _on_table(function: Callable[[pd.DataFrame], Any], scale: float) -> Any:
    frame, raw = _table(scale)
    return partial(function, frame), len(frame), len(raw)


def _raw_table(scale: float) -> Any:
    frame, raw = _table(scale)
    return lambda: blake3(raw).digest(), len(frame), len(raw)


def _seal_frame(rows: int, frame: pd.DataFrame) -> bytes:
    bounds = [*range(0, len(frame), rows), len(frame)]
    return MerkleTree(encode_frames(frame, bounds), BLAKE3).root


def _starfix(frame: pd.DataFrame) -> Any:
    digester = _needed("starfix").ArrowDigester
    return digester.hash_table(pa.Table.from_pandas(frame, preserve_index=False))


def _hashed(frame: pd.DataFrame) -> Any:
    return pd.util.hash_pandas_object(frame).sum()


def _as_it_is(frame: pd.DataFrame) -> pd.DataFrame:
    return frame


def _in_units(unit_records: int, share: float, scale: float) -> Any:
    """Map and seal a whole partition as a worker does, its inputs included."""
    frame, _ = _table(max(scale * share, 64 / _MILLION))
    work = Work(
        kind="frame", mapper=_as_it_is, reducer=_as_it_is, combiner=None, buckets=1, partitions=1,
        unit_records=unit_records, by=("key",), map_meta=frame.iloc[:0], meta=frame.iloc[:0],
    )  # fmt: skip

    def seal() -> Any:
        return map_partition(work, 0, frame).commit(b"", "map", 0, "alice", b"")

    return seal, len(frame), len(encode_frame(frame))


# --- bags -----------------------------------------------------------------------------------


@cache
def _bag(pairs: bool, scale: float) -> tuple[list[Any], list[bytes]]:
    count = max(2, int(_MILLION * scale))
    words = [f"word number {n * 7919 % 100_003}" for n in range(count)]
    records = [(word, n) for n, word in enumerate(words)] if pairs else words
    return records, list(_cells(records))


def _cells(records: Sequence[Any]) -> Iterator[bytes]:
    for start in range(0, len(records), _CELL):
        yield encode_records(records[start : start + _CELL])


def _seal_bag(records: Sequence[Any]) -> bytes:
    return MerkleTree(list(_cells(records)), BLAKE3).root


def _on_bag(pairs: bool, function: Callable[[list[Any]], Any], scale: float) -> Any:
    records, cells = _bag(pairs, scale)
    return partial(function, records), len(records), sum(map(len, cells))


def _raw_bag(pairs: bool, scale: float) -> Any:
    records, cells = _bag(pairs, scale)
    raw = b"".join(cells)
    return lambda: blake3(raw).digest(), len(records), len(raw)


# --- trees ----------------------------------------------------------------------------------


@cache
def _leaves(scale: float) -> list[bytes]:
    return [n.to_bytes(32, "big") for n in range(max(16, int(100_000 * scale)))]


def _build(scale: float) -> Any:
    leaves = _leaves(scale)
    return lambda: MerkleTree(leaves, BLAKE3).root, len(leaves), 32 * len(leaves)


def _build_pymerkle(scale: float) -> Any:
    leaves, library = _leaves(scale), _needed("pymerkle")

    def build() -> bytes:
        tree = library.InmemoryTree(algorithm="sha256")
        for leaf in leaves:
            tree.append_entry(leaf)
        return bytes(tree.get_root())

    return build, len(leaves), 32 * len(leaves)


def _raw_leaves(scale: float) -> Any:
    raw = b"".join(_leaves(scale))
    return lambda: blake3(raw).digest(), len(raw) // 32, len(raw)


def _prove(scale: float) -> Any:
    tree = MerkleTree(_leaves(scale), BLAKE3)
    asked = range(0, tree.size, max(1, tree.size // 1_000))
    return lambda: [tree.inclusion_proof(i) for i in asked], len(asked), 32 * len(asked)


def _verify(scale: float) -> Any:
    tree = MerkleTree(_leaves(scale), BLAKE3)
    asked = range(0, tree.size, max(1, tree.size // 1_000))
    proofs = [(i, tree.leaf_hashes[i], tree.inclusion_proof(i)) for i in asked]

    def verify() -> None:
        for index, leaf, proof in proofs:
            verify_inclusion(BLAKE3, index, tree.size, leaf, proof, tree.root)

    return verify, len(asked), 32 * len(asked)


def _prove_pymerkle(scale: float) -> Any:
    tree = _needed("pymerkle").InmemoryTree(algorithm="sha256")
    for leaf in _leaves(scale):
        tree.append_entry(leaf)
    size = tree.get_size()
    asked = range(1, size + 1, max(1, size // 1_000))
    return lambda: [tree.prove_inclusion(i) for i in asked], len(asked), 32 * len(asked)


def _descend(scale: float) -> Any:
    leaves = _leaves(scale)
    wrong = len(leaves) * 2 // 3
    one = MerkleTree(leaves, BLAKE3)
    other = MerkleTree([*leaves[:wrong], b"wrong", *leaves[wrong + 1 :]], BLAKE3)

    def find() -> int:
        found = first_difference(one, other)
        if found is None or found.index != wrong:
            raise AssertionError(f"expected leaf {wrong}, found {found}")
        return found.index

    return find, len(leaves), 32 * len(leaves)


def _scan(scale: float) -> Any:
    leaves = _leaves(scale)
    wrong = len(leaves) * 2 // 3
    other = [*leaves[:wrong], b"wrong", *leaves[wrong + 1 :]]

    def find() -> int:
        return next(i for i, (a, b) in enumerate(zip(leaves, other, strict=True)) if a != b)

    return find, len(leaves), 32 * len(leaves)


def _bag_cases(group: str, pairs: bool) -> list[Case]:
    def joblib_hash(records: Any) -> Any:
        return _needed("joblib").hash(records)

    return [
        Case(group, "raw BLAKE3", partial(_raw_bag, pairs)),
        Case(group, "encode", partial(_on_bag, pairs, lambda r: list(_cells(r)))),
        Case(group, "seal", partial(_on_bag, pairs, _seal_bag)),
        Case(group, "dask.tokenize", partial(_on_bag, pairs, tokenize)),
        Case(group, "joblib.hash", partial(_on_bag, pairs, joblib_hash)),
    ]


CASES = [
    Case("table", "raw BLAKE3", _raw_table),
    Case("table", "encode", partial(_on_table, encode_frame)),
    Case("table", "seal, 1,000 rows a leaf", partial(_on_table, partial(_seal_frame, 1_000))),
    Case("table", "seal, 64 rows a leaf", partial(_on_table, partial(_seal_frame, 64))),
    Case("table", "seal, 1 row a leaf", partial(_on_table, partial(_seal_frame, 1))),
    Case("table", "dask.tokenize", partial(_on_table, tokenize)),
    Case("table", "joblib.hash", partial(_on_table, lambda f: _needed("joblib").hash(f))),
    Case("table", "hash_pandas_object", partial(_on_table, _hashed)),
    Case("table", "starfix", partial(_on_table, _starfix)),
    Case("whole map task", "unit_records=1000", partial(_in_units, 1_000, 0.1)),
    Case("whole map task", "unit_records=64", partial(_in_units, 64, 0.05)),
    Case("whole map task", "unit_records=1", partial(_in_units, 1, 0.002)),
    *_bag_cases("strings", False),
    *_bag_cases("pairs (str, int)", True),
    Case("tree of 32-byte leaves", "raw BLAKE3", _raw_leaves),
    Case("tree of 32-byte leaves", "build", _build),
    Case("tree of 32-byte leaves", "pymerkle, build", _build_pymerkle),
    Case("proofs", "prove", _prove),
    Case("proofs", "verify", _verify),
    Case("proofs", "pymerkle, prove", _prove_pymerkle),
    Case("first difference", "descend", _descend),
    Case("first difference", "compare all leaves", _scan),
]
