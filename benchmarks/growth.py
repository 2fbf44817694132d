"""What a job costs as one thing grows: partitions, rows, reduce partitions, domains, units.

Everything else stays as it is within a series. ``extra`` of a point has what is derived: the
overhead over plain Dask for each partition, and in the series over partitions the memory that the
coordinator holds for each when a job has its verdict.
"""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from types import BuiltinFunctionType, CodeType, FrameType, FunctionType, ModuleType
from typing import Any

from benchmarks import bags, contenders, frames
from benchmarks.measuring import BenchmarkError, Sample, alternate, median
from benchmarks.results import Point, Series
from benchmarks.tasks import Task

_NAMES = ("alice", "bob", "carol", "dave", "erin", "frank", "grace", "heidi")
_FOREIGN = {
    "dask",
    "distributed",
    "threading",
    "_thread",
    "asyncio",
    "tornado",
    "concurrent",
    "pandas",
}


@dataclass(frozen=True)
class Growth:
    """One series: what a task is like at ``x``, and what else to count there.

    ``domains`` says whether ``x`` is the number of domains.
    """

    name: str
    title: str
    axis: str
    xs: Sequence[float]
    task: Callable[[int, float], Task]
    names: Sequence[str] = ("plain", "audit", "replicas")
    extra: Callable[[Any, Task, dict[str, list[Sample]]], dict[str, float]] = field(
        default=lambda arena, task, samples: {}
    )
    domains: bool = False


def _partitions(x: int, scale: float) -> Task:
    return bags.tiny_task(x)


def _rows(x: int, scale: float) -> Task:
    return frames.numeric_task(x, 100)


def _reduces(x: int, scale: float) -> Task:
    return frames.shuffle_task(int(2e6 * scale), int(2e5 * scale), 100, reduces=x)


def _domains(x: int, scale: float) -> Task:
    return frames.numeric_task(int(1e7 * scale), 100)


def _units(x: int, scale: float) -> Task:
    rows = max(1_024, int(1e5 * scale))
    return frames.numeric_task(rows * 10, 10, unit_records=-(-rows // x))


def _overhead(arena: Any, task: Task, samples: dict[str, list[Sample]]) -> dict[str, float]:
    partitions, plain = task.facts["partitions"], median(samples["plain"])
    found = {}
    for name in samples:
        if name != "plain":
            more = median(samples[name])
            found[f"{name} extra wall ms/partition"] = 1e3 * (more.wall - plain.wall) / partitions
            found[f"{name} extra CPU ms/partition"] = 1e3 * (more.cpu - plain.cpu) / partitions
    return found


def _overhead_and_memory(
    arena: Any, task: Task, samples: dict[str, list[Sample]]
) -> dict[str, float]:
    job = contenders.start(arena, task, replicas=2)
    job.wait(progress=False)
    each = held(job._driver) / task.facts["partitions"]
    job.cancel()
    return _overhead(arena, task, samples) | {"replicas held bytes/partition": each}


def held(root: Any) -> int:
    """Return the bytes of all that an object reaches.

    What belongs to the interpreter or to Dask, such as the tasks of the user's graph, which plain
    Dask holds as well, is neither counted nor followed.
    """
    seen: set[int] = set()
    waiting, total = [root], 0
    while waiting:
        one = waiting.pop()
        if id(one) in seen or _foreign(one):
            continue
        seen.add(id(one))
        total += sys.getsizeof(one)
        waiting += gc.get_referents(one)
    return total


def _foreign(one: Any) -> bool:
    kinds = (type, ModuleType, FunctionType, BuiltinFunctionType, CodeType, FrameType)
    return isinstance(one, kinds) or type(one).__module__.split(".")[0] in _FOREIGN


SERIES: dict[str, Growth] = {
    each.name: each
    for each in (
        Growth("partitions", "Tiny partitions (bag), 10 records each", "partitions",
               (100, 300, 1_000, 3_000, 10_000), _partitions, extra=_overhead_and_memory),
        Growth("rows", "Rows of a numeric dataframe in 100 partitions", "rows",
               (10**5, 10**6, 10**7, 10**8), _rows, extra=_overhead),
        Growth("reduces", "Reduce partitions of a shuffle, 2 M rows", "reduce partitions",
               (1, 4, 16, 64, 256), _reduces, extra=_overhead),
        Growth("domains", "Domains with a worker each, numeric dataframe of 10 M rows", "domains",
               (2, 3, 4, 6, 8), _domains, extra=_overhead, domains=True),
        Growth("units", "Units in each of 10 partitions of 100,000 rows", "units per partition",
               (1, 4, 16, 64, 256, 1024), _units, extra=_overhead),
    )
}  # fmt: skip


def chosen(names: Sequence[str]) -> list[Growth]:
    """Return the series of these names; without names, all."""
    unknown = [name for name in names if name not in SERIES]
    if unknown:
        raise BenchmarkError(f"series: expected some of {', '.join(SERIES)}, got {unknown[0]!r}")
    return [SERIES[name] for name in names or SERIES]


def measured(
    growth: Growth,
    pairs: int,
    scale: float,
    limit: float | None,
    tell: Callable[[str, int, Sample], None],
) -> Series:
    """Measure a series, up to a limit."""
    xs = [int(x) for x in growth.xs if limit is None or x <= limit]
    points = []
    with ExitStack() as stack:
        shared = None if growth.domains else stack.enter_context(contenders.arena())
        for x in xs:
            points.append(_point(growth, shared, x, pairs, scale, tell))
    return Series(growth.name, growth.title, growth.axis, points)


def _point(
    growth: Growth,
    shared: Any,
    x: int,
    pairs: int,
    scale: float,
    tell: Callable[[str, int, Sample], None],
) -> Point:
    with ExitStack() as stack:
        arena = shared or stack.enter_context(contenders.arena(_NAMES[:x]))
        task = growth.task(x, scale)
        match = contenders.Match(arena, task)
        turns = match.turns(contenders.chosen(growth.names, task))
        samples = alternate(turns, pairs, lambda name, *rest: tell(f"{x:,} {name}", *rest))
        return Point(x, samples, growth.extra(arena, task, samples))
