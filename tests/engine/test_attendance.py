"""Which domains have workers, and for how long one has had none."""

from __future__ import annotations

from typing import Any

import pytest

from dask_verify.engine import attendance
from dask_verify.engine.attendance import Attendance


class Pool:
    """Workers that come and go, and a scheduler that may be out of reach."""

    def __init__(self) -> None:
        self.now, self.asked = 100.0, 0
        self.there: dict[str, list[str]] | None = {
            "a": ["tcp://a:1", "tcp://a:2"],
            "b": ["tcp://b"],
        }

    def monotonic(self) -> float:
        return self.now

    def workers(self) -> dict[str, list[str]]:
        self.asked += 1
        if self.there is None:
            raise ConnectionError("out of reach")
        return self.there


@pytest.fixture
def pool(monkeypatch: pytest.MonkeyPatch) -> Pool:
    pool = Pool()
    monkeypatch.setattr(attendance, "time", pool)
    return pool


def watching(pool: Any) -> Attendance:
    return Attendance(pool)


def test_workers_are_counted_about_once_a_second(pool: Pool) -> None:
    seen = watching(pool)
    assert (seen.size("a"), seen.size("b"), seen.size("c")) == (2, 1, 1)
    assert pool.asked == 1
    pool.there = {"a": [], "b": []}
    pool.now += 1.5
    assert (seen.size("a"), pool.asked) == (1, 2)


def test_absence_counts_from_when_it_was_noticed_until_somebody_is_back(pool: Pool) -> None:
    seen = watching(pool)
    assert (seen.absent("a"), seen.others("b")) == (0, True)
    pool.now += 50.0  # nobody looked: nothing is known of these
    pool.there = {"a": [], "b": ["tcp://b"]}
    assert seen.absent("a") == 0
    pool.now += 5.0
    assert (seen.absent("a"), seen.absent("b")) == (5, 0)
    assert (seen.others("a"), seen.others("b")) == (True, False)
    pool.there = {"a": ["tcp://a:3"], "b": ["tcp://b"]}
    pool.now += 5.0
    assert seen.absent("a") == 0
    pool.there = {"a": [], "b": ["tcp://b"]}
    pool.now += 5.0
    assert seen.absent("a") == 0


def test_out_of_reach_is_not_absent(pool: Pool) -> None:
    seen = watching(pool)
    assert seen.absent("a") == 0
    pool.there = None
    pool.now += 50.0
    assert (seen.absent("a"), seen.size("a")) == (0, 2)
