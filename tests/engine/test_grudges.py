"""What is held against who kept us waiting: it orders and delays, and it ends."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from dask_verify.engine import grudges
from dask_verify.engine.grudges import FIRST, FORGOTTEN, MOST, Grudges

HERE, THERE = "tcp://bob:1", "tcp://bob:2"


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    clock = SimpleNamespace(now=1000.0)
    clock.monotonic = lambda: clock.now
    monkeypatch.setattr(grudges, "time", clock)
    return clock


def silent(made: Grudges, clock: SimpleNamespace, address: str = HERE, named: bool = False) -> None:
    began, clock.now = clock.now, clock.now + 30
    made.silent("bob", address, began, named)


def test_waits_that_overlap_are_one_silence(clock: SimpleNamespace) -> None:
    made, began = Grudges(), clock.now
    clock.now += 30
    for address in (HERE, THERE, HERE, THERE):
        made.silent("bob", address, began, named=True)
        clock.now += 1
    assert made.bars("bob", HERE)
    assert made.bars("bob", THERE)
    assert not made.bars("bob", HERE, named=True)
    clock.now += FIRST
    assert not made.bars("bob", HERE)  # it has not doubled
    assert not made.hopeless("bob")


def test_only_silent_workers_are_not_asked(clock: SimpleNamespace) -> None:
    made = Grudges()
    silent(made, clock)
    assert made.bars("bob", HERE)
    assert not made.bars("bob", THERE)
    assert not made.bars("carol", HERE)


def test_a_silence_is_forgotten_in_time(clock: SimpleNamespace) -> None:
    made = Grudges()
    for _ in range(4):
        silent(made, clock)
    assert made.hopeless("bob")
    clock.now += FORGOTTEN
    assert not made.hopeless("bob")
    silent(made, clock)
    clock.now += FIRST
    assert not made.bars("bob", HERE)


def test_no_number_of_silences_bars_for_longer(clock: SimpleNamespace) -> None:
    made = Grudges()
    for _ in range(100):
        silent(made, clock)
    clock.now += MOST - 1
    assert made.bars("bob", HERE)
    clock.now += 1
    assert not made.bars("bob", HERE)


def test_who_kept_us_waiting_least_often_comes_first_and_others_stay_in_order(
    clock: SimpleNamespace,
) -> None:
    made = Grudges()
    silent(made, clock)
    silent(made, clock)
    made.dragged("carol")
    assert made.order(["bob", "carol", "eve", "alice"]) == ["eve", "alice", "carol", "bob"]
    clock.now += FORGOTTEN
    assert made.order(["bob", "carol", "eve", "alice"]) == ["bob", "carol", "eve", "alice"]


def test_a_drag_bars_nobody(clock: SimpleNamespace) -> None:
    made = Grudges()
    for _ in range(100):
        made.dragged("bob")
    assert not made.hopeless("bob")
    silent(made, clock)
    clock.now += FIRST
    assert not made.bars("bob", HERE)
