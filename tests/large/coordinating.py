"""A coordinator alone in its process: run one job of tiny partitions, and tell what it took.

Run as ``python coordinating.py SCHEDULER TRUST KIND PARTITIONS REPLICAS AUDIT``; it prints JSON.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

import dask
import dask.bag as db
import dask.dataframe as dd
import pandas as pd
from distributed import Client

from dask_verify import Policy, verified_map_reduce

KEYS = 7
RECORDS = 10  #: in a partition


def rows(partition: int) -> pd.DataFrame:
    n = range(partition * RECORDS, (partition + 1) * RECORDS)
    return pd.DataFrame({"k": [i % KEYS for i in n], "n": list(n)})


def itself(df: pd.DataFrame) -> pd.DataFrame:
    return df


def totals(df: pd.DataFrame) -> pd.DataFrame:
    return df.groupby("k", as_index=False).n.sum()


def pairs(n: int) -> list[tuple[int, int]]:
    return [(n % KEYS, n)]


def total(key: int, values: list[int]) -> int:
    return sum(values)


def start(kind: str, partitions: int, policy: Policy) -> Any:
    """Start a job on the current client."""
    if kind == "bag":
        bag = db.range(partitions * RECORDS, npartitions=partitions)
        return verified_map_reduce(bag, pairs, total, combiner=total, policy=policy)
    meta = rows(0).iloc[:0]
    frame = dd.from_map(rows, range(partitions), meta=meta, enforce_metadata=False)
    return verified_map_reduce(frame, itself, totals, by="k", policy=policy)


def right(kind: str, partitions: int, result: Any) -> bool:
    """Tell whether a result is that of plain arithmetic."""
    found = dict(result) if kind == "bag" else dict(result.itertuples(index=False, name=None))
    every = partitions * RECORDS
    return found == {key: sum(range(key, every, KEYS)) for key in range(KEYS)}


def highest(pid: int | str = "self") -> int:
    """Return the most memory that a process ever had at once, in bytes; as Linux knows it."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    (kilobytes,) = (line.split()[1] for line in lines if line.startswith("VmHWM:"))
    return int(kilobytes) << 10


def main(scheduler: str, trust: str, kind: str, *numbers: str) -> None:
    partitions, replicas, audit = int(numbers[0]), int(numbers[1]), float(numbers[2])
    with dask.config.set({"verify.trust": trust}), Client(scheduler):
        at_first, began = highest(), time.monotonic()
        job = start(kind, partitions, Policy(replicas=replicas, audit=audit))
        verdict = job.wait(progress=False)
        told = {
            "verdict": getattr(verdict, "name", None),
            "seconds": time.monotonic() - began,
            "right": right(kind, partitions, job.result()),
            "receipt": len(job.receipt.to_bytes()),
            "at first": at_first,
            "highest": highest(),
        }
    print(json.dumps(told))


if __name__ == "__main__":
    main(*sys.argv[1:])
