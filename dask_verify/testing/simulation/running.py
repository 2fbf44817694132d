"""Many seeds, in one process or in several: the report is the same."""

from __future__ import annotations

import gc
import multiprocessing
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from functools import partial
from typing import Any

from dask_verify.testing.simulation.mixes import mix_of, scenario
from dask_verify.testing.simulation.promises import Outcome, play
from dask_verify.testing.simulation.report import Report

_PART = 1000  #: seeds that one process is given at a time
#: The collector looks at all that is remembered, over and over: by default a fifth of the time.
_SELDOM = (100_000, 50, 1000)


def simulate(seed: int, mix: str = "") -> Outcome:
    """Return what came of the job of a seed; an error of the protocol is a broken promise, too.

    Parameters
    ----------
    seed : int
        Seed of the simulated job.
    mix : str, optional
        Name of the mix; empty for the seed's own.

    Returns
    -------
    Outcome
    """
    world = scenario(seed, mix)
    try:
        return play(world)
    except Exception:
        return Outcome("", ("crashed",), False, 0, 0, 0)


def simulate_range(seeds: range, mix: str = "") -> Report:
    """Run the jobs of some seeds, one after the other.

    Parameters
    ----------
    seeds : range
    mix : str
        Which mix all of them belong to; by default they take turns.

    Returns
    -------
    Report

    Examples
    --------
    >>> simulate_range(range(3), mix="honest").sound
    True
    """
    report = Report()
    for seed in seeds:
        report.count(seed, mix or mix_of(seed), simulate(seed, mix))
    return report


def reports(seeds: range, mix: str = "", jobs: int = 1, part: int = _PART) -> Iterator[Report]:
    """Yield reports on parts of a range, in order, as they are finished.

    Parameters
    ----------
    seeds : range
    mix : str
        As for `simulate_range`.
    jobs : int
        Processes that work side by side; with one, no other is started.
    part : int
        Seeds that one process is given at a time.

    Yields
    ------
    Report
        The report on one part.
    """
    parts = [seeds[at : at + part] for at in range(0, len(seeds), part)]
    run = partial(simulate_range, mix=mix)
    if jobs == 1:
        with _collecting_seldom():
            yield from map(run, parts)
        return
    with _pool(jobs) as pool:
        yield from pool.map(run, parts)


@contextmanager
def _collecting_seldom() -> Iterator[None]:
    before = gc.get_threshold()
    gc.set_threshold(*_SELDOM)
    try:
        yield
    finally:
        gc.set_threshold(*before)


@contextmanager
def _pool(jobs: int) -> Iterator[ProcessPoolExecutor]:
    # Fresh processes: nothing that this one has is needed there.
    context: Any = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(
        jobs, mp_context=context, initializer=gc.set_threshold, initargs=_SELDOM
    )
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)
