"""Measure what one run costs, let contenders take turns, and compare them pair by pair.

What holds: CPU seconds and memory are those of every process of the cluster (client, scheduler and
coordinator are this process, workers are below it), also of processes that end meanwhile.
Contenders alternate (A B C A B C ...), the first round only warms up, and ratios pair what ran in
the same round, so that a machine that gets slower in between spoils no comparison.
"""

from __future__ import annotations

import contextlib
import random
import statistics
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from types import TracebackType

import psutil

_EVERY = 0.05  #: seconds between two looks at the memory
_FEW = 6  #: with fewer pairs, the range is all that can be said
_RESAMPLES = 2_000


class BenchmarkError(Exception):
    """A benchmark cannot run, or a contender gave a wrong answer."""


@dataclass(frozen=True)
class Sample:
    """What one run took.

    ``memory`` is the highest sum of the resident memory of all processes, ``coordinator`` the
    rise of this process alone over where it began; ``moved`` and ``compared`` are bytes, None
    where nothing counts them.
    """

    wall: float
    cpu: float
    memory: int
    coordinator: int
    moved: int | None = None
    compared: int | None = None


@dataclass(frozen=True)
class Interval:
    """A median, and from where to where it may lie."""

    low: float
    middle: float
    high: float

    def __str__(self) -> str:
        return f"{self.middle:.3f} ({self.low:.3f} to {self.high:.3f})"


def cpu_seconds() -> float:
    """CPU time of this process and all below it, the ones that have ended included."""
    total = 0.0
    for process in _processes():
        with contextlib.suppress(psutil.NoSuchProcess):
            times = process.cpu_times()
            # Who ended is in its parent's share of children, so the sum never falls.
            total += times.user + times.system + times.children_user + times.children_system
    return total


def _processes() -> list[psutil.Process]:
    me = psutil.Process()
    return [me, *me.children(recursive=True)]


def _resident(processes: Sequence[psutil.Process]) -> int:
    total = 0
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            total += process.memory_info().rss
    return total


class Meter:
    """Measures what happens inside a ``with`` block; `sample` has it afterwards."""

    sample: Sample

    def __enter__(self) -> Meter:
        self._me = psutil.Process()
        self._begun_with = self._me.memory_info().rss
        self._memory = self._highest = 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._cpu, self._began = cpu_seconds(), time.perf_counter()
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        wall = time.perf_counter() - self._began
        cpu = cpu_seconds() - self._cpu
        self._stop.set()
        self._thread.join()
        rise = max(0, self._highest - self._begun_with)
        self.sample = Sample(wall, cpu, self._memory, rise)

    def _watch(self) -> None:
        looks, processes = 0, []
        while True:
            if looks % 20 == 0:  # walking all of /proc each time would cost more than the rest
                processes = _processes()
            self._memory = max(self._memory, _resident(processes))
            self._highest = max(self._highest, self._me.memory_info().rss)
            looks += 1
            if self._stop.wait(_EVERY):
                return


def alternate(
    turns: Mapping[str, Callable[[], Sample]],
    pairs: int,
    tell: Callable[[str, int, Sample], None] | None = None,
) -> dict[str, list[Sample]]:
    """Let contenders take turns and return their samples, without those of the warm-up."""
    samples: dict[str, list[Sample]] = {name: [] for name in turns}
    for number in range(pairs + 1):
        for name, turn in turns.items():
            sample = turn()
            if tell is not None:
                tell(name, number, sample)
            if number:
                samples[name].append(sample)
    return samples


def ratios(
    one: Sequence[Sample], base: Sequence[Sample], what: str, least: float = 1e-9
) -> Interval:
    """Return the median of the paired ratios of ``wall``, ``cpu`` or ``memory``."""
    pairs = zip(one, base, strict=True)
    return interval([getattr(a, what) / max(getattr(b, what), least) for a, b in pairs])


def interval(values: Sequence[float]) -> Interval:
    """Return the median with its 95 % bootstrap interval; of few values, with their range."""
    if not values:
        raise BenchmarkError("expected at least one pair of runs, got none; raise --pairs")
    middle = statistics.median(values)
    if len(values) < _FEW:
        return Interval(min(values), middle, max(values))
    medians = sorted(_resampled(values))
    return Interval(medians[int(0.025 * _RESAMPLES)], middle, medians[int(0.975 * _RESAMPLES)])


def _resampled(values: Sequence[float]) -> Iterator[float]:
    dice = random.Random(0)  # the same samples give the same interval
    for _ in range(_RESAMPLES):
        yield statistics.median(dice.choices(values, k=len(values)))


def median(samples: Sequence[Sample]) -> Sample:
    """Return the medians of all measures."""
    first = samples[0]
    found = {
        name: statistics.median(getattr(s, name) for s in samples)
        for name in ("wall", "cpu", "memory", "coordinator")
    }
    counted = {
        name: statistics.median(getattr(s, name) for s in samples)
        for name in ("moved", "compared")
        if all(getattr(s, name) is not None for s in samples)
    }
    whole = {k: int(v) for k, v in (found | counted).items() if k not in ("wall", "cpu")}
    return replace(first, wall=found["wall"], cpu=found["cpu"], **whole)
