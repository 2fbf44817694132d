"""Draws: made again by whoever has the seed, and different wherever anything else is."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dask_verify.protocol.draws import Draws, seed_digest
from dask_verify.protocol.messages import MAP, REDUCE, Task

DRAWS = Draws(b"s" * 32, b"job")
WHAT = (Task(MAP, 1), b"inputs", b"digest")


@settings(deadline=None)  # a machine that does much else takes its time for the largest
@given(st.integers(0, 200_000), st.floats(0, 1))
def test_units_ascend_and_exist(units: int, rate: float) -> None:
    drawn = DRAWS.units(*WHAT, units, rate)
    assert list(drawn) == sorted(set(drawn))
    assert all(0 <= unit < units for unit in drawn)
    assert drawn == Draws(b"s" * 32, b"job").units(*WHAT, units, rate)


@given(st.floats(0, 1), st.floats(0, 1))
def test_a_higher_rate_draws_more_of_the_same(one: float, other: float) -> None:
    low, high = sorted((one, other))
    assert set(DRAWS.units(*WHAT, 500, low)) <= set(DRAWS.units(*WHAT, 500, high))


def test_a_unit_is_drawn_or_not_however_many_follow_it() -> None:
    few, many = DRAWS.units(*WHAT, 70_000, 0.1), DRAWS.units(*WHAT, 140_000, 0.1)
    assert many[: len(few)] == few
    assert abs(len(many) - 14_000) < 600


def test_rates_at_the_ends() -> None:
    assert DRAWS.units(*WHAT, 10_000, 0.0) == ()
    assert DRAWS.units(*WHAT, 10_000, 1.0) == tuple(range(10_000))
    assert len(DRAWS.units(*WHAT, 10_000, 1 - 2**-53)) == 10_000


OTHERS = {
    "seed": (Draws(b"t" * 32, b"job"), *WHAT),
    "job": (Draws(b"s" * 32, b"another"), *WHAT),
    "stage": (DRAWS, Task(REDUCE, 1), b"inputs", b"digest"),
    "partition": (DRAWS, Task(MAP, 2), b"inputs", b"digest"),
    "inputs": (DRAWS, Task(MAP, 1), b"others", b"digest"),
    "commitment": (DRAWS, Task(MAP, 1), b"inputs", b"another"),
}


@pytest.mark.parametrize("what", OTHERS)
def test_everything_that_names_a_draw_changes_it(what: str) -> None:
    other, task, *drawn = OTHERS[what]
    names = [f"domain {i}" for i in range(20)]
    assert other.units(task, *drawn, 1_000, 0.5) != DRAWS.units(*WHAT, 1_000, 0.5)
    assert other.one(task, *drawn, 2**64) != DRAWS.one(*WHAT, 2**64)
    assert other.auditors(task, *drawn, names) != DRAWS.auditors(*WHAT, names)
    numbers = other.numbers(task, *drawn, range(50)).tolist()
    assert not set(numbers) & set(DRAWS.numbers(*WHAT, range(50)).tolist())


def test_reads_are_drawn_by_commitment_too() -> None:
    times = sum(DRAWS.reads(3, b"inputs", b"%d" % i, 0.25) for i in range(4_000))
    assert abs(times - 1_000) < 120
    assert not any(DRAWS.reads(3, b"inputs", b"%d" % i, 0.0) for i in range(100))
    assert all(DRAWS.reads(3, b"inputs", b"%d" % i, 1.0) for i in range(100))


def test_every_unit_and_every_domain_has_its_turn() -> None:
    ones = Counter(DRAWS.one(Task(MAP, i), b"", b"", 4) for i in range(2_000))
    assert all(abs(n - 500) < 100 for n in ones.values())
    assert len(ones) == 4
    first = Counter(DRAWS.auditors(*WHAT, "abc", unit)[0] for unit in range(3_000))
    assert all(abs(n - 1_000) < 120 for n in first.values())


def test_auditors_do_not_depend_on_the_order_in_which_domains_are_named() -> None:
    assert DRAWS.auditors(*WHAT, "abcdef") == DRAWS.auditors(*WHAT, "fedcba")


def test_the_digest_of_a_seed_binds_it() -> None:
    assert seed_digest(b"s" * 32) != seed_digest(b"t" * 32)
    assert len(seed_digest(b"s" * 32)) == 32


def test_auditors_of_many_units_are_those_of_each() -> None:
    units = [0, 5, 65_535, 65_536, 65_540, 900_000]
    numbers = DRAWS.numbers(*WHAT, units)
    firsts = [DRAWS.auditors(*WHAT, "abcde", unit)[0] for unit in units]
    assert ["abcde"[int(number) % 5] for number in numbers] == firsts
    assert DRAWS.numbers(*WHAT, []).size == 0
