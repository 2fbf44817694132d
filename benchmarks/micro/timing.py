"""Time the micro cases without pytest: nanoseconds a record, and share of BLAKE3's speed."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from benchmarks.micro.cases import CASES, Case, MissingError


@dataclass(frozen=True)
class Timed:
    """The best of some runs of one case: nothing makes code faster than it is."""

    group: str
    name: str
    seconds: float
    records: int
    nbytes: int


def timed(scale: float, rounds: int, words: tuple[str, ...] = ()) -> Iterator[Timed | str]:
    """Time the cases whose name holds one of some words; say why one cannot run."""
    for case in CASES:
        full = f"{case.group}: {case.name}"
        if not words or any(word in full for word in words):
            try:
                yield _timed(case, scale, rounds)
            except MissingError as error:
                yield f"{full}: left out, {error}"


def _timed(case: Case, scale: float, rounds: int) -> Timed:
    run, records, nbytes = case.prepare(scale)
    best = min(_once(run) for _ in range(rounds))
    return Timed(case.group, case.name, best, records, nbytes)


def _once(run: Callable[[], Any]) -> float:
    began = time.process_time()
    run()
    return time.process_time() - began


def table(found: list[Timed]) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """Return a line for each case."""
    raw = {t.group: t.seconds for t in found if t.name == "raw BLAKE3"}
    head = ("case", "ms", "ns/record", "MB/s", "speed of BLAKE3")
    return head, [(f"{t.group}: {t.name}", *_numbers(t, raw.get(t.group))) for t in found]


def _numbers(timed: Timed, raw: float | None) -> tuple[str, ...]:
    seconds = max(timed.seconds, 1e-9)
    share = "" if raw is None else f"{raw / seconds:.0%}"
    return (
        f"{1e3 * seconds:,.2f}",
        f"{1e9 * seconds / timed.records:,.0f}",
        f"{timed.nbytes / seconds / 1e6:,.0f}",
        share,
    )
