"""What faults cost: naming one corrupt record, a lying domain, a dead one, a silent one.

Honest and faulty runs alternate on the same cluster, so the difference is what the fault cost.
Each faulty run must give the right answer, and blame whom it should.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import dask.dataframe as dd
import numpy as np
import pandas as pd

from benchmarks import contenders, frames
from benchmarks.contenders import Arena
from benchmarks.measuring import BenchmarkError, Meter, Sample, alternate, median, ratios
from benchmarks.results import Fault
from benchmarks.tasks import Task, rows
from dask_verify import Standing
from dask_verify.engine.report import Report
from dask_verify.mapreduce import Job
from dask_verify.testing import Silent, Tamper

_PARTITIONS = 100
_UNIT = 10_000  #: rows in one unit, of which the coordinator computes one again
#: Of a third of 100 partitions, one challenge in a hundred mostly hits none; of 20, one escapes
#: with a chance below 0.001, and then the answer is wrong and the benchmark stops.
_RATE = 0.2
_BAD = "bob"
_LONG = 60.0  #: seconds to wait for what should take moments


@dataclass(frozen=True)
class Kind:
    """One kind of fault: what is computed, by whom, what goes wrong, and what must come of it."""

    title: str
    domains: Sequence[str]
    task: Callable[[Path, float], Task]
    wrong: Callable[[Arena, Task], AbstractContextManager[Callable[[Job], None]]]
    standing: Standing
    policy: dict[str, Any]


# --- what is computed -----------------------------------------------------------------------


def make_counts(part: int, number: int) -> pd.DataFrame:
    """Make the rows of one partition: whole numbers, so that each bit of the answer is fixed."""
    x = np.arange(part * number, (part + 1) * number)
    return pd.DataFrame({"key": x % 5, "x": x})


def halve(frame: pd.DataFrame) -> pd.DataFrame:
    """Map each row."""
    return frame.assign(x=frame.x // 2)


def _rows_task(folder: Path, scale: float) -> Task:
    """Map ten million rows without a combiner, so that each is a record that is committed to."""
    each = max(1, int(1e7 * scale) // _PARTITIONS)
    made = dd.from_map(
        make_counts, range(_PARTITIONS), number=each, meta=make_counts(0, 1).iloc[:0]
    )
    return Task(
        collection=made,
        mapper=halve,
        reducer=frames.sum_by_key,
        plain=lambda: made.map_partitions(halve).groupby("key").sum(),
        normal=rows(["key"]),
        options={"by": "key"},
        policy={"unit_records": min(_UNIT, each)},
        facts={"partitions": _PARTITIONS, "rows": each * _PARTITIONS},
    )


def _flights_task(folder: Path, scale: float) -> Task:
    """Read files: nobody is blamed over a source that cannot be pinned, such as `dd.from_map`."""
    # Dask reads four of the files as one partition.
    return frames.flights_task(folder, int(1e7 * scale), 4 * _PARTITIONS, "parquet")


# --- what goes wrong ------------------------------------------------------------------------


@contextmanager
def _sabotaged(
    saboteur: Callable[[Task], Any], arena: Arena, task: Task
) -> Iterator[Callable[[Job], None]]:
    arena.cluster.sabotage(_BAD, saboteur(task))
    try:
        yield _nothing
    finally:
        arena.cluster.sabotage(_BAD, None)


def _nothing(job: Job) -> None:
    """Leave a job that runs alone."""


def _one_record(task: Task) -> Tamper:
    """Choose a record in the middle of the data."""
    each = int(task.facts["rows"]) // _PARTITIONS
    unit = each // task.policy["unit_records"] // 2
    return Tamper(partition=_PARTITIONS // 2, unit=unit, record=task.policy["unit_records"] // 2)


@contextmanager
def _dying(arena: Arena, task: Task) -> Iterator[Callable[[Job], None]]:
    """Stop a domain once it has committed to something; start it again afterwards."""
    # Closing waits for what the worker is doing; the job must not wait with it.
    with ThreadPoolExecutor(1) as thread:
        stopping: list[Future[None]] = []
        yield lambda job: _after_first(
            job, lambda: stopping.append(thread.submit(arena.cluster.stop_domain, _BAD))
        )
    try:
        for each in stopping:
            each.result()
    finally:
        arena.cluster.add_worker(_BAD)
        there = arena.client.submit(int, resources={f"domain:{_BAD}": 1}, pure=False)
        there.result(timeout=_LONG)


def _after_first(job: Job, stop: Callable[[], Any]) -> None:
    end = time.monotonic() + _LONG
    while job.report.domains[_BAD].commitments == 0:
        if time.monotonic() > end or job.verdict is not None:
            raise BenchmarkError(f"{_BAD} committed to nothing before the job ended")
        time.sleep(0.02)
    stop()


_EXPOSED, _SUSPECTED = Standing.EXPOSED, Standing.SUSPECTED
_TWO, _THREE = ("alice", _BAD), ("alice", _BAD, "carol")
_LIES = partial(_sabotaged, lambda task: Tamper())

FAULTS: dict[str, Kind] = {
    "record": Kind(
        "one corrupt record in 10 M, replicas=2 of two domains", _TWO, _rows_task,
        partial(_sabotaged, _one_record), _EXPOSED, {"replicas": 2}),
    "liar": Kind(
        "one lying domain in three, replicas=2", _THREE, _flights_task, _LIES,
        _EXPOSED, {"replicas": 2}),
    "liar-audit": Kind(
        "one lying domain in three, replicas=1, audit=0.2", _THREE, _flights_task, _LIES,
        _EXPOSED, {"replicas": 1, "audit": _RATE}),
    "dead": Kind(
        "one domain in three dies, replicas=2", _THREE, _flights_task, _dying,
        _SUSPECTED, {"replicas": 2}),
    "silent": Kind(
        "one domain in three never answers, replicas=2", _THREE, _flights_task,
        partial(_sabotaged, lambda task: Silent()), _SUSPECTED, {"replicas": 2}),
}  # fmt: skip


def chosen(names: Sequence[str]) -> list[str]:
    """Return these names if there are such faults; without names, all."""
    unknown = [name for name in names if name not in FAULTS]
    if unknown:
        raise BenchmarkError(f"fault: expected some of {', '.join(FAULTS)}, got {unknown[0]!r}")
    return list(names or FAULTS)


# --- what it costs --------------------------------------------------------------------------


@dataclass
class _Trial:
    """Honest and faulty runs of one task; the reports of the latter."""

    arena: Arena
    task: Task
    kind: Kind
    expected: Any
    reports: list[Report]

    def honest(self) -> Sample:
        sample, report = self._run(_nothing)
        if any(d.standing is _EXPOSED for d in report.domains.values()):
            raise BenchmarkError(f"an honest domain is exposed\n{_start_of(report)}")
        return sample

    def faulty(self) -> Sample:
        with self.kind.wrong(self.arena, self.task) as during:
            sample, report = self._run(during)
        self.reports.append(report)
        others = [d.standing for name, d in report.domains.items() if name != _BAD]
        if report.domains[_BAD].standing is not self.kind.standing or _EXPOSED in others:
            raise BenchmarkError(
                f"expected {_BAD} to be {self.kind.standing.name}, got\n{_start_of(report)}"
            )
        return sample

    def _run(self, during: Callable[[Job], None]) -> tuple[Sample, Report]:
        with Meter() as meter:
            job = contenders.start(self.arena, self.task, **self.kind.policy)
            during(job)
            answer = job.result()
        report = job.report
        job.cancel()
        if not self.task.same(answer, self.expected):
            raise BenchmarkError(f"the answer is not that of plain Dask\n{_start_of(report)}")
        moved = sum(report.bytes_moved.values())
        return replace(meter.sample, moved=moved, compared=report.bytes_compared), report


def _start_of(report: Report) -> str:
    return "\n".join(str(report).splitlines()[:8])


def measured(
    name: str, folder: Path, pairs: int, scale: float, tell: Callable[[str, int, Sample], None]
) -> Fault:
    """Measure one kind of fault."""
    kind, task = FAULTS[name], FAULTS[name].task(folder, scale)
    reports: list[Report] = []
    with contenders.arena(kind.domains) as arena:
        expected = arena.client.compute(task.plain()).result()
        trial = _Trial(arena, task, kind, expected, reports)
        turns = {"honest": trial.honest, "faulty": trial.faulty}
        samples = alternate(turns, pairs, tell)
    return Fault(name, kind.title, _facts(samples, reports[1:], task), samples)


def _facts(samples: dict[str, list[Sample]], reports: list[Report], task: Task) -> dict[str, Any]:
    honest, faulty = median(samples["honest"]), median(samples["faulty"])
    last = reports[-1]
    return dict(task.facts) | {
        "extra wall, seconds": faulty.wall - honest.wall,
        "extra CPU, seconds": faulty.cpu - honest.cpu,
        "wall, ratio": str(ratios(samples["faulty"], samples["honest"], "wall")),
        "CPU, ratio": str(ratios(samples["faulty"], samples["honest"], "cpu")),
        "extra bytes moved": (faulty.moved or 0) - (honest.moved or 0),
        **{f"bytes moved for {what}": n for what, n in last.bytes_moved.items() if n},
        "verdict": last.status,
        "divergences": len(last.divergences),
        "recomputed by the coordinator": len(last.recomputed),
    }
