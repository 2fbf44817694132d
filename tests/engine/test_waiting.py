"""What work that cannot be done now waits for: never for something that has already happened."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from dask_verify.engine.reader import GoneError, ReplacedError, UnservedError
from dask_verify.engine.waiting import Waiting
from dask_verify.protocol.messages import MAP, REDUCE, Task

M0, M1 = Task(MAP, 0), Task(MAP, 1)


def waits_for(error: UnservedError, now: Exception | None, holders: list[str]) -> Task | None:
    def sources(inputs: bytes) -> tuple[Any, ...]:
        assert inputs == b"in"
        if now is not None:
            raise now
        return ()

    state: Any = SimpleNamespace(holders=lambda task: holders)
    launcher: Any = SimpleNamespace(sources=sources)
    return Waiting(state, launcher).missing(error)


def test_a_partition_that_is_served_again_is_not_waited_for() -> None:
    assert waits_for(UnservedError(M0), None, ["bob"]) is None
    assert waits_for(UnservedError(M0), None, []) == M0


@pytest.mark.parametrize("holders", [[], ["bob"]])
def test_one_that_was_replaced_is_waited_for_whoever_serves_it_now(holders: list[str]) -> None:
    error = ReplacedError(M0, b"in")
    assert waits_for(error, ReplacedError(M0, b"in"), holders) == M0


def test_what_was_accepted_again_meanwhile_is_not_waited_for() -> None:
    assert waits_for(ReplacedError(M0, b"in"), None, []) is None


def test_the_next_missing_one_is_waited_for() -> None:
    assert waits_for(ReplacedError(M0, b"in"), ReplacedError(M1, b"in"), []) == M1


def test_a_stage_that_is_gone_is_not_waited_for() -> None:
    assert waits_for(ReplacedError(M0, b"in"), GoneError(Task(REDUCE, 0)), []) is None


def test_what_waits_is_done_once_when_its_partition_is_there() -> None:
    done: list[str] = []
    state: Any = SimpleNamespace(holders=lambda task: [])
    nothing: Any = None
    waiting = Waiting(state, nothing)
    waiting.until_served(UnservedError(M0), lambda: done.append("zero"))
    waiting.until_served(UnservedError(M1), lambda: done.append("one"))
    waiting.resume(lambda task: task == M1)
    waiting.resume(lambda task: task == M1)
    assert done == ["one"]
    waiting.resume(lambda task: True)
    assert done == ["one", "zero"]
