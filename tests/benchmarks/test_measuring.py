"""What is measured, in which order contenders run, and what is said of the samples."""

from __future__ import annotations

import statistics
import subprocess
import sys

import pytest

from benchmarks.measuring import (
    BenchmarkError,
    Interval,
    Meter,
    Sample,
    alternate,
    cpu_seconds,
    interval,
    median,
    ratios,
)


def sample(wall, cpu=1.0, moved=None):
    return Sample(wall, cpu, 10, 5, moved, moved)


def test_contenders_alternate_and_the_first_round_is_dropped():
    order, clock = [], iter(range(100))

    def turn(name):
        order.append(name)
        return sample(float(next(clock)))

    found = alternate({"a": lambda: turn("a"), "b": lambda: turn("b")}, 2)
    assert order == ["a", "b"] * 3
    assert [s.wall for s in found["a"]] == [2.0, 4.0]
    assert [s.wall for s in found["b"]] == [3.0, 5.0]


def test_ratios_are_of_the_same_round():
    # Unpaired medians would give 1: the machine became ten times slower between the rounds.
    one, base = (
        [sample(2.0), sample(20.0), sample(200.0)],
        [sample(1.0), sample(10.0), sample(100.0)],
    )
    assert ratios(one, base, "wall") == Interval(2.0, 2.0, 2.0)


def test_few_values_have_their_range():
    assert interval([3.0, 1.0, 2.0]) == Interval(1.0, 2.0, 3.0)


def test_the_bootstrap_holds_the_median_and_narrows():
    values = [1 + 0.01 * i for i in range(11)]
    found = interval([*values, 9.0])
    assert found.low <= found.middle <= found.high < 9.0
    assert found.middle == statistics.median([*values, 9.0])
    assert interval(values * 20).high - interval(values * 20).low < found.high - found.low


def test_no_pairs_are_refused():
    with pytest.raises(BenchmarkError, match="got none"):
        interval([])


def test_unequal_rounds_are_refused():
    with pytest.raises(ValueError, match="shorter"):
        ratios([sample(1.0)], [], "wall")


def test_medians_leave_out_what_was_not_counted():
    found = median([sample(1.0, 2.0), sample(3.0, 4.0), sample(2.0, 9.0)])
    assert (found.wall, found.cpu, found.moved) == (2.0, 4.0, None)
    assert median([sample(1.0, moved=1), sample(1.0, moved=4), sample(1.0, moved=2)]).moved == 2


def test_the_meter_counts_processes_that_have_ended():
    code = "import time\nwhile time.process_time() < 0.3: pass"
    with Meter() as meter:
        subprocess.run([sys.executable, "-c", code], check=True)
    assert meter.sample.cpu >= 0.25
    assert meter.sample.wall >= 0.25


def test_the_meter_sees_memory():
    with Meter() as meter:
        block = bytearray(64 << 20)
        block[::4096] = b"x" * len(block[::4096])
        before = cpu_seconds()
        while cpu_seconds() - before < 0.2:  # so that the sampler looks
            pass
    assert meter.sample.memory >= len(block)
    assert meter.sample.coordinator >= len(block) // 2
