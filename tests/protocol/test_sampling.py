"""What is sampled of a commitment follows from seed, commitment and rate."""

from __future__ import annotations

import pytest

from dask_verify.protocol.messages import MAP, READ, REDUCE, Task
from dask_verify.protocol.sampling import Sample, Sampling, is_small

SAMPLING = Sampling(b"s" * 32, b"job", maps=10, reduces=3)


def sample(
    task: Task, number: int = 20, cut: bool = True, rate: float = 0.1, small: bool = False
) -> Sample:
    return SAMPLING.sample(task, b"inputs", b"digest", number, cut, rate, small)


@pytest.mark.parametrize("stage", [MAP, REDUCE])
def test_one_partition_of_each_stage_is_sampled_at_any_rate(stage: str) -> None:
    found = [sample(Task(stage, i), rate=0.0).units for i in range(10 if stage == MAP else 3)]
    assert sorted(map(len, found)) == [0] * (len(found) - 1) + [1]


def test_one_partition_is_read_again_at_any_rate() -> None:
    assert sum(sample(Task(MAP, i), rate=0.0).read for i in range(10)) == 1
    assert not any(sample(Task(MAP, i), rate=0.0, cut=False).read for i in range(10))


def test_all_of_it_is_produced_again_where_nothing_is_left_out() -> None:
    assert sample(Task(MAP, 1), rate=1.0) == Sample(tuple(range(20)), whole=True)
    assert sample(Task(REDUCE, 1), rate=0.0, small=True) == Sample(tuple(range(20)), whole=True)
    assert not sample(Task(MAP, 1), rate=0.0, small=True).whole


def test_a_single_unit_is_a_whole_partition() -> None:
    drawn = [sample(Task(MAP, i), number=1, rate=0.5) for i in range(10)]
    assert {(s.whole, s.units) for s in drawn} == {(True, (0,)), (False, ())}


def test_many_units_that_happen_to_be_drawn_are_units_still() -> None:
    drawn = [sample(Task(MAP, i), number=2, rate=0.95) for i in range(10)]
    assert any(s.units == (0, 1) for s in drawn)
    assert not any(s.whole for s in drawn)


def test_the_draw_is_that_of_the_seed() -> None:
    task = Task(MAP, 4)
    other = Sampling(b"t" * 32, b"job", maps=10, reduces=3)
    what = (task, b"inputs", b"digest", 1000, True, 0.1, False)
    assert SAMPLING.sample(*what) == SAMPLING.sample(*what)
    assert SAMPLING.sample(*what).units != other.sample(*what).units
    assert {READ, MAP, REDUCE} == set(SAMPLING._chosen)


def test_small_is_what_a_share_of_the_input_would_be() -> None:
    assert is_small(100_000, 10, 0.0)
    assert not is_small(100_001, 10, 0.01)
    assert is_small(100_001, 20_000_000, 0.01)
