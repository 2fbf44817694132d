"""How long anybody may take."""

from __future__ import annotations

import math

import pytest

from dask_verify.engine.pace import Pace
from dask_verify.protocol.messages import MAP, REDUCE


def known(*took: float, stage: str = MAP, deadline: float | None = None, faults: int = 0) -> Pace:
    pace = Pace(deadline, 30.0, faults)
    for seconds in took:
        pace.note(stage, "alice", seconds)
    return pace


def test_the_policy_says_how_long_a_task_may_take() -> None:
    pace = known(7.0, deadline=2.0)
    assert (pace.limit(MAP), pace.limit(REDUCE), pace.absence(others=True)) == (2.0, 2.0, 2.0)
    assert pace.own(MAP) == 30.0  # to start a process


@pytest.mark.parametrize(("took", "limit"), [((1, 2, 300), 30), ((4, 5, 6), 50), ((90,), 900)])
def test_else_what_its_stage_took_says_so(took: tuple[float, ...], limit: float) -> None:
    assert known(*took).limit(MAP) == limit
    assert known(*took).own(MAP) == 2 * limit


def test_the_latest_tasks_count() -> None:
    assert known(*[90.0] * 600, *[4.0] * 500).limit(MAP) == 40


@pytest.mark.parametrize(
    ("took", "limit"),
    [
        ((), 3600),  # nothing is known at all: 120 times the floor
        ((0.1, 0.2), 30),
        ((8.0, 12.0), 200),  # as all maps together
        ((20.0,) * 100, 3600),
        ((600.0,) * 100, 6000),  # as one map
    ],
)
def test_a_stage_of_which_nothing_came_back_is_waited_for_with_an_end(
    took: tuple[float, ...], limit: float
) -> None:
    assert known(*took).limit(REDUCE) == limit < math.inf


def test_a_domain_without_workers_is_given_less_while_others_have_some() -> None:
    assert known().absence(others=True) == 10
    assert known().absence(others=False) == 30


@pytest.mark.parametrize(
    ("took", "nbytes", "seconds"),
    [((2.0,), 0, 12), ((50.0,), 0, 30), ((), 0, 30), ((2.0,), 1 << 20, 13)],
)
def test_an_answer_may_take_as_long_as_a_task_that_is_in_its_way(
    took: tuple[float, ...], nbytes: int, seconds: float
) -> None:
    assert known(*took).answer(nbytes) == seconds


def test_those_who_may_be_faulty_do_not_say_how_fast_others_are() -> None:
    """Who fails or lies at once has computed nothing."""
    pace = known(*[0.001] * 500, faults=1)
    assert pace.limit(MAP) == 90  # it may be the only one who answers
    pace.note(MAP, "bob", 45.0)
    assert pace.limit(MAP) == 450
    pace.note(MAP, "carol", 60.0)
    assert pace.limit(MAP) == 450


@pytest.mark.parametrize(
    ("deadline", "holders", "seconds"), [(None, 1, 10), (None, 5, 5), (12.0, 2, 4), (900.0, 2, 10)]
)
def test_a_task_may_ask_all_holders_and_not_be_late_itself(
    deadline: float | None, holders: int, seconds: float
) -> None:
    pace = known(deadline=deadline)
    assert pace.holder(holders) == seconds
    assert holders * seconds < min(pace.limit(MAP), 30)


@pytest.mark.parametrize("others", [0.1, 5.0, 20.0])
def test_where_only_so_many_answer_a_faulty_one_does_not_stretch_its_own_limit(
    others: float,
) -> None:
    """It does all that it is given, each time just in time; by and by, that had been years."""
    pace = known(*[others] * 50, faults=1)
    for _ in range(100):
        pace.note(MAP, "bob", 0.99 * pace.limit(MAP))
    assert pace.limit(MAP) == max(900, 100 * others)
    pace.note(MAP, "carol", others)
    pace.note(MAP, "carol", others)
    assert pace.limit(MAP) == max(30, 10 * others)
