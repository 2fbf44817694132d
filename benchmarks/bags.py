"""Workloads over bags: word count, a mapper that takes its time, many tiny partitions."""

from __future__ import annotations

import time
from functools import partial
from operator import add, itemgetter
from pathlib import Path
from typing import Any

import dask.bag as db

from benchmarks import data
from benchmarks.tasks import Task, pairs
from dask_verify.demo import ones, total, words

_MICROSECONDS = 50
_TINY_RECORDS = 10
_KEYS = 97


def plus(so_far: int, pair: tuple[Any, int]) -> int:
    """Add a pair's number to what was counted."""
    return so_far + pair[1]


def folded(bag: db.Bag, mapper: Any) -> db.Bag:
    """Group and add up: `foldby` is Dask's own grouping with a combiner.

    It counts inside each partition and merges the counts in a tree; ``bag.groupby`` would move
    every single pair.
    """
    return bag.map(mapper).flatten().foldby(itemgetter(0), plus, 0, add, 0)


# --- word count -----------------------------------------------------------------------------


def words_task(folder: Path, nbytes: int, partitions: int) -> Task:
    """Count the words of real text, repeated to a number of bytes."""
    files = data.text_files(folder, nbytes, partitions)
    lines = db.read_text([str(path) for path in files], files_per_partition=1)
    return Task(
        collection=lines,
        mapper=ones,
        reducer=total,
        combiner=total,
        plain=partial(folded, lines, ones),
        # Faster, but for counting only: it takes neither these functions nor any others.
        others={"frequencies": lambda: lines.map(words).flatten().frequencies()},
        normal=pairs,
        facts={"partitions": partitions, "bytes": sum(path.stat().st_size for path in files)},
    )


# --- a mapper that takes its time -----------------------------------------------------------


def spin(record: int, loops: int) -> list[tuple[int, int]]:
    """Turn a loop many times and count the record under one of 97 keys."""
    state = record
    for _ in range(loops):
        state = (state * 1103515245 + 12345) & 0x7FFFFFFF
    return [(state % _KEYS, 1)]


def loops_for(microseconds: float) -> int:
    """Return how many turns of the loop take so long on this machine."""
    turns, best = 20_000, float("inf")
    for _ in range(5):  # the fastest of some: nothing makes code faster than it is
        began = time.process_time()
        spin(1, turns)
        best = min(best, time.process_time() - began)
    return max(1, round(turns * microseconds * 1e-6 / best))


def add_up(key: int, values: list[int]) -> int:
    """Add up the values of a key."""
    return sum(values)


def busy_task(records: int, partitions: int, microseconds: float = _MICROSECONDS) -> Task:
    """Spend a fixed time on each of some records in each partition."""
    loops = loops_for(microseconds)
    numbers = _numbers(records, partitions)
    mapper = partial(spin, loops=loops)
    return Task(
        collection=numbers,
        mapper=mapper,
        reducer=add_up,
        combiner=add_up,
        plain=partial(folded, numbers, mapper),
        normal=pairs,
        options={"npartitions": 1},
        facts={"partitions": partitions, "records": records * partitions, "loops": loops},
    )


# --- many tiny partitions -------------------------------------------------------------------


def under_key(record: int) -> list[tuple[int, int]]:
    """Count a record under one of 97 keys."""
    return [(record % _KEYS, 1)]


def tiny_task(partitions: int, records: int = _TINY_RECORDS) -> Task:
    """Do nearly nothing in each of many partitions: what is left is the cost of a partition."""
    numbers = _numbers(records, partitions)
    return Task(
        collection=numbers,
        mapper=under_key,
        reducer=add_up,
        combiner=add_up,
        plain=partial(folded, numbers, under_key),
        normal=pairs,
        options={"npartitions": 1},
        facts={"partitions": partitions, "records": records * partitions},
    )


def _numbers(records: int, partitions: int) -> db.Bag:
    starts = db.from_sequence(range(partitions), npartitions=partitions)
    return starts.map(partial(_run, records)).flatten()


def _run(records: int, number: int) -> range:
    return range(number * records, (number + 1) * records)
