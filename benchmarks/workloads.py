"""The workloads: which there are, how large, and what a contender gets of them.

A `Task` is one workload over data that exist. Its functions are the same for all contenders;
`Task.plain` is the same computation as a good Dask user writes it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks import bags, frames
from benchmarks.measuring import BenchmarkError
from benchmarks.tasks import Task

PARTITIONS = 100  #: so that one audited partition is one percent


@dataclass(frozen=True)
class Workload:
    """One workload by name.

    ``targets`` are the highest ratios to plain Dask that are aimed at, by contender and measure.
    """

    name: str
    title: str
    prepare: Callable[[Path, float], Task]
    targets: Mapping[str, float] = field(default_factory=dict)


def _aims(audit: float, cpu: float, alone: bool = True) -> dict[str, float]:
    """Name targets as ``contender/measure`` or ``contender:baseline/measure``."""
    aims = {
        "audit/wall": audit,
        "audit/cpu": audit,
        "replicas/cpu": cpu,
        "replicas:hand/wall": 1.0,
        "replicas:plain-one/wall": audit + 0.05,
    }
    return aims if alone else {k: v for k, v in aims.items() if ":plain-one" not in k}


def _words(folder: Path, scale: float) -> Task:
    return bags.words_task(folder, int(1e9 * scale), 128)


def _parquet(folder: Path, scale: float) -> Task:
    # Dask reads four such files as one partition, since 5 of 19 columns are asked for.
    return frames.flights_task(folder, int(1e7 * scale), 4 * PARTITIONS, "parquet")


def _csv(folder: Path, scale: float) -> Task:
    return frames.flights_task(folder, int(1e7 * scale), PARTITIONS, "csv")


def _numeric(folder: Path, scale: float) -> Task:
    return frames.numeric_task(int(2e7 * scale), PARTITIONS)


def _shuffle(folder: Path, scale: float) -> Task:
    return frames.shuffle_task(int(1e7 * scale), int(1e6 * scale), PARTITIONS)


def _busy(folder: Path, scale: float) -> Task:
    return bags.busy_task(max(1, int(4_000 * scale)), PARTITIONS)


def _tiny(folder: Path, scale: float) -> Task:
    return bags.tiny_task(max(PARTITIONS, int(10_000 * scale)))


WORKLOADS: dict[str, Workload] = {
    each.name: each
    for each in (
        Workload("words", "word count, 1 GB of text (bag)", _words, _aims(1.15, 2.3)),
        Workload("parquet", "flights, 10 M rows of Parquet", _parquet, _aims(1.15, 2.3)),
        Workload("csv", "flights, 10 M rows of CSV", _csv, _aims(1.08, 2.3)),
        Workload("numeric", "numeric, 20 M rows", _numeric, _aims(1.15, 2.3)),
        Workload("shuffle", "shuffle, 10 M rows, 1 M keys", _shuffle, _aims(1.25, 2.5)),
        Workload("busy", "50 us a record (bag)", _busy, _aims(1.03, 2.06)),
        Workload("tiny", "10,000 tiny partitions (bag)", _tiny, _aims(1.3, 2.3)),
    )
}


def chosen(names: tuple[str, ...]) -> list[Workload]:
    """Return the workloads of these names; without names, all."""
    unknown = [name for name in names if name not in WORKLOADS]
    if unknown:
        raise BenchmarkError(
            f"workload: expected some of {', '.join(WORKLOADS)}, got {unknown[0]!r}"
        )
    return [WORKLOADS[name] for name in names or WORKLOADS]
