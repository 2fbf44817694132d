"""Threads beside a job's own: whoever keeps some of them waiting holds up nobody else."""

from __future__ import annotations

import threading
from concurrent.futures import Future
from queue import SimpleQueue
from typing import Any

import pytest

from dask_verify.engine.beside import Beside


class Calls:
    """Calls that wait, and what came of those that ended."""

    def __init__(self) -> None:
        self.ended: SimpleQueue[Future[Any]] = SimpleQueue()
        self.beside = Beside(self.ended.put)
        self.began: SimpleQueue[int] = SimpleQueue()
        self.go_on = threading.Event()

    def wait(self, number: int, about: str) -> None:
        def call() -> int:
            self.began.put(number)
            self.go_on.wait()
            return number

        self.beside.submit(call, about)


@pytest.fixture
def calls() -> Any:
    calls = Calls()
    yield calls
    calls.go_on.set()
    calls.beside.close(wait=True)


def test_no_domain_holds_all_threads(calls: Calls) -> None:
    for number in range(9):
        calls.wait(number, "mallory")
    calls.beside.submit(lambda: "alice", "alice")
    calls.beside.submit(lambda: "nobody")
    assert {calls.ended.get(timeout=60).result() for _ in range(2)} == {"alice", "nobody"}
    assert {calls.began.get(timeout=60) for _ in range(2)} == {0, 1}
    assert calls.began.empty()
    calls.go_on.set()
    assert {calls.ended.get(timeout=60).result() for _ in range(9)} == set(range(9))
    assert not any(calls.beside._running.values())


def test_what_fails_gives_its_thread_back(calls: Calls) -> None:
    def fail() -> None:
        raise ValueError("no")

    for _ in range(5):
        calls.beside.submit(fail, "bob")
    calls.beside.submit(lambda: 7, "bob")
    ended = [calls.ended.get(timeout=60) for _ in range(6)]
    assert [type(future.exception()) for future in ended].count(ValueError) == 5


def test_nothing_is_started_once_it_is_closed(calls: Calls) -> None:
    for number in range(5):
        calls.wait(number, "bob")
    assert {calls.began.get(timeout=60) for _ in range(2)} == {0, 1}
    calls.beside.close()
    calls.go_on.set()
    calls.beside.close(wait=True)
    calls.wait(9, "alice")
    assert calls.began.empty()


def test_a_call_that_no_thread_can_take_is_not_lost_in_silence(
    calls: Calls, monkeypatch: pytest.MonkeyPatch
) -> None:
    def submit(call: Any) -> Any:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(calls.beside._executors[False], "submit", submit)
    with pytest.raises(RuntimeError, match="new thread"):
        calls.beside.submit(print)


def test_what_is_about_nobody_does_not_queue_behind_what_is_about_domains(calls: Calls) -> None:
    """Relays for alice and carol, which bob keeps waiting, do not keep him from being found out."""
    for number in range(4):
        calls.wait(number, "alice" if number % 2 else "carol")
    assert {calls.began.get(timeout=60) for _ in range(4)} == {0, 1, 2, 3}
    calls.beside.submit(lambda: "found out")
    assert calls.ended.get(timeout=60).result() == "found out"


def test_a_call_that_waited_and_finds_no_thread_is_not_lost_either(
    calls: Calls, monkeypatch: pytest.MonkeyPatch
) -> None:
    def submit(call: Any) -> Any:
        raise RuntimeError("can't start new thread")

    for number in range(3):
        calls.wait(number, "bob")
    assert {calls.began.get(timeout=60) for _ in range(2)} == {0, 1}
    with monkeypatch.context() as patch:
        patch.setattr(calls.beside._executors[True], "submit", submit)
        calls.go_on.set()
        ended = [calls.ended.get(timeout=60) for _ in range(3)]
        assert sorted(str(future.exception() or future.result()) for future in ended) == [
            "0",
            "1",
            "can't start new thread",
        ]
    calls.beside.submit(lambda: 7, "bob")
    assert calls.ended.get(timeout=60).result() == 7
