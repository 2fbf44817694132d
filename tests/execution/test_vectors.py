"""Equal jobs give equal roots anywhere: the roots of two small partitions, pinned."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from dask_verify.core.seal import SealedPartition
from dask_verify.execution.compute import map_partition, reduce_partition
from dask_verify.execution.work import Work

VECTORS = json.loads((Path(__file__).parent / "vectors" / "roots.json").read_text())
LINES = ["to be or not to be", "that is the question", "", "naïve café"] * 3
FRAME = pd.DataFrame(
    {"key": ["a", "b", None, "a"], "n": [1, 2, 3, 4], "x": [0.5, float("nan"), -0.0, 1e300]}
)


def bag_work() -> Work:
    return Work(
        kind="bag",
        mapper=lambda line: [(word, 1) for word in line.split()],
        reducer=lambda word, ones: sum(ones),
        combiner=None,
        buckets=4,
        partitions=2,
        unit_records=5,
    )


def frame_work() -> Work:
    meta = FRAME.iloc[:0]
    return Work(
        kind="frame",
        mapper=lambda frame: frame,
        reducer=lambda frame: frame,
        combiner=None,
        buckets=2,
        partitions=2,
        unit_records=3,
        by=("key",),
        map_meta=meta,
        meta=meta,
    )


def sealed(kind: str) -> dict[str, SealedPartition]:
    work, data = (bag_work(), LINES) if kind == "bag" else (frame_work(), FRAME)
    mapped = map_partition(work, 0, data)
    start, stop = work.bounds(mapped.units)[1]
    return {"map": mapped, "reduce": reduce_partition(work, 1, [mapped.leaves[start:stop]])}


def fingerprint(partition: SealedPartition) -> dict[str, Any]:
    commitment = partition.commit(b"job", "stage", 0, "alice", b"inputs")
    return {
        "root": commitment.root.hex(),
        "input_root": commitment.input_root.hex(),
        "counts": list(commitment.counts),
        "nbytes": commitment.nbytes,
        "digest": commitment.digest.hex(),
    }


@pytest.mark.parametrize("kind", ["bag", "frame"])
@pytest.mark.parametrize("stage", ["map", "reduce"])
def test_roots_are_those_that_were_published(kind: str, stage: str) -> None:
    assert fingerprint(sealed(kind)[stage]) == VECTORS[kind][stage]
