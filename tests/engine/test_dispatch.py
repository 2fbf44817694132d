"""What is started when, and for how long results wait for each other."""

from __future__ import annotations

import queue
from types import SimpleNamespace
from typing import Any

import pytest

from dask_verify.engine.dispatch import Dispatcher, Flight
from dask_verify.engine.driver import Driver
from dask_verify.engine.reader import UnservedError
from dask_verify.protocol.messages import MAP, REDUCE, Run, Task


class Started:
    """A dispatcher of one worker a domain, and what it has started."""

    def __init__(self, window: int = 2) -> None:
        self.batches: list[list[Run]] = []
        pool: Any = SimpleNamespace(workers=lambda: {"a": ["tcp://a"], "b": ["tcp://b"]})
        self.of = Dispatcher(pool, window, None, 60.0, self._launch, lambda run: True)

    def _launch(self, domain: str, stage: str, flights: list[Flight]) -> None:
        self.batches.append([f.run for f in flights if isinstance(f.run, Run)])

    def pump(self) -> list[list[Run]]:
        self.batches.clear()
        self.of.pump()
        return list(self.batches)


def run(stage: str, partition: int, audit: bool = False, domain: str = "a") -> Run:
    return Run(Task(stage, partition), domain, b"in", audit=audit)


def test_audits_of_maps_go_before_what_waits() -> None:
    started = Started(window=1)
    for i in range(3):
        started.of.add(run(MAP, i))
    audit = run(MAP, 9, audit=True)
    started.of.add(audit)
    assert started.pump() == [[audit]]


def test_audits_of_reduces_gather_while_their_domain_is_busy() -> None:
    started = Started(window=4)
    own = run(REDUCE, 0)
    started.of.add(own)
    assert started.pump() == [[own]]
    audits = [run(REDUCE, i, audit=True) for i in (1, 2)]
    for audit in audits:
        started.of.add(audit)
    other = run(REDUCE, 3, audit=True, domain="b")
    started.of.add(other)
    assert started.pump() == [[other]]
    started.of.landed(own)
    assert started.pump() == [audits]


def test_audits_of_reduces_hold_up_nothing_that_comes_after_them() -> None:
    """A reduce in flight may wait for a map that is made again."""
    started = Started(window=4)
    started.of.add(run(REDUCE, 0))
    started.pump()
    started.of.add(run(REDUCE, 1, audit=True))
    again = run(MAP, 0)
    started.of.add(again)
    assert again in [r for batch in started.pump() for r in batch]


def test_results_wait_less_for_each_other_the_less_there_is_to_do() -> None:
    started = Started(window=400)
    for i in range(400):
        started.of.add(run(MAP, i))
    started.pump()
    for i in range(200):
        started.of.landed(run(MAP, i))
    longest = started.of._patience()
    assert 0 < longest <= 0.05
    for i in range(200, 399):
        started.of.landed(run(MAP, i))
    assert 0 < started.of._patience() < longest


@pytest.mark.parametrize("flying", [1, 2, 3])
def test_results_are_taken_together_until_all_have_landed(flying: int) -> None:
    """Nobody waits once nothing flies, or once something else has come."""
    started = Started(window=flying)
    landings = [(run(MAP, i), None) for i in range(flying)]
    for landed, _ in landings:
        started.of.add(landed)
    started.pump()
    started.of._patience = lambda: 1000.0  # type: ignore[method-assign]
    events: queue.SimpleQueue[Any] = queue.SimpleQueue()
    for landing in landings:
        events.put(landing)
    assert started.of.next_of(events) == landings
    acts = [landings[0], print]
    for item in acts:
        events.put(item)
    assert started.of.next_of(events) == acts


def test_one_reduce_that_has_to_wait_holds_up_no_other() -> None:
    missing, sent = Task(MAP, 7), []
    flights = [Flight(run(REDUCE, i), False, 0.0) for i in range(3)]

    def reduces(domain: str, wanted: list[tuple[Run, bool]]) -> list[Any]:
        if any(r.task.partition == 1 for r, _ in wanted):
            raise UnservedError(missing)
        sent.extend(r.task.partition for r, _ in wanted)
        return [SimpleNamespace(add_done_callback=lambda act: None) for _ in wanted]

    waiting: list[tuple[Task, Any]] = []
    driver: Any = object.__new__(Driver)
    driver._launcher = SimpleNamespace(reduces=reduces)
    driver._when_served = lambda error, action: waiting.append((error.task, action))
    driver._launch_reduces(("a", flights))
    assert sent == [0, 2]
    assert [task for task, _ in waiting] == [missing]
    assert [f.future is not None for f in flights] == [True, False, True]
