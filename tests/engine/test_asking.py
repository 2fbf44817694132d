"""Holders that serve a little at a time, nothing, lies, or do not answer at all."""

from __future__ import annotations

import asyncio
import socket
from types import SimpleNamespace
from typing import Any

import pytest
from distributed.core import ConnectionPool
from holding import SECTIONS, SERVED, Holder, lie

from dask_verify.core.seal import Opening
from dask_verify.engine import asking, patience
from dask_verify.engine.grudges import Grudges
from dask_verify.protocol.serving import Reply

THERE = ("alice", "tcp://there")


def ask() -> list[Reply]:
    return asking.ask({THERE: SECTIONS}, 10.0, Grudges())[THERE]


def test_who_serves_a_little_at_a_time_is_asked_on(monkeypatch: pytest.MonkeyPatch) -> None:
    holder = Holder(monkeypatch, 0, lambda requests: [SERVED.open(requests[0])])
    replies = ask()
    leaves = tuple(o.leaves[0] for reply in replies for o in reply.believed if o is not None)
    assert leaves == SERVED.leaves
    assert holder.asked == len(SECTIONS)


@pytest.mark.parametrize("serve", [lambda requests: [None], lambda requests: [lie(requests[0])]])
def test_who_serves_nothing_right_is_asked_once(
    monkeypatch: pytest.MonkeyPatch, serve: Any
) -> None:
    holder = Holder(monkeypatch, 0, serve)
    ask()
    assert holder.asked == 1


def test_lies_are_no_progress(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patience, "RATE", 10)
    serve = lambda requests: [SERVED.open(requests[0]), lie(requests[1])]  # noqa: E731
    holder = Holder(monkeypatch, 7, serve)
    ask()
    assert holder.asked == 2


@pytest.mark.parametrize("error", [ConnectionError("gone"), KeyError("of its own making")])
def test_what_was_sent_before_a_failure_counts(
    monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    """Or a holder could take back what it has signed."""
    served = iter([lambda requests: [SERVED.open(requests[0]), lie(requests[1])]])

    def serve(requests: list[Opening]) -> list[Opening | None]:
        for how in served:
            return list(how(requests))
        raise error

    holder = Holder(monkeypatch, 0, serve)
    (reply,) = ask()
    assert holder.asked == 2
    assert reply.wrong == 1


class Reaching:
    """What a worker connects with, and how long it was to try."""

    def __init__(self, pool: ConnectionPool) -> None:
        self.tried: list[float] = []
        self._pool = pool

    async def connect(self, address: str, timeout: float) -> Any:
        self.tried.append(timeout)
        return await self._pool.connect(address, timeout=timeout)


def in_vain(port: int) -> list[float]:
    """Try to reach somebody; return for how long, each time."""

    async def reach() -> list[float]:
        async with await ConnectionPool() as pool:
            worker: Any = SimpleNamespace(rpc=Reaching(pool))
            with pytest.raises(OSError, match=r"Timed out|nobody can be reached"):
                await asking._reached(worker, f"tcp://127.0.0.1:{port}")
            return list(worker.rpc.tried)

    return asyncio.run(reach())


def test_where_nobody_listens_dask_need_not_try_for_long() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    assert in_vain(port) == [0.2]


def test_who_cannot_be_reached_at_once_may_be_slow() -> None:
    """It is tried on for as long as it may take."""
    with socket.create_server(("127.0.0.1", 0), backlog=1) as server:
        port = server.getsockname()[1]
        # As many as may wait there: nobody else gets through, and nobody is refused.
        there = ("127.0.0.1", port)
        with socket.create_connection(there), socket.create_connection(there):
            assert in_vain(port) == [0.2, 2.0]


def test_who_never_greets_is_waited_for_once() -> None:
    """A process that was stopped accepts connections all the same."""
    grudges, worker = Grudges(), SimpleNamespace(loop=None, rpc=None)
    asked = 0

    async def one(address: str) -> list[Reply]:
        nonlocal asked
        async with await ConnectionPool() as pool:
            rpc = Reaching(pool)
            worker.rpc = rpc
            there = ("bob", address)
            replies: Any = {there: []}
            await asking._all(worker, {there: SECTIONS}, 0.3, grudges, replies)
            asked += len(rpc.tried)
            return list(replies[there])

    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"tcp://127.0.0.1:{server.getsockname()[1]}"
        assert asyncio.run(one(address)) == asyncio.run(one(address)) == []
    assert asked == 1
    assert grudges.bars("bob", address)


def test_who_is_silent_keeps_nobody_else_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    """Holders are asked at the same time."""
    holder = Holder(monkeypatch, 0, lambda requests: [SERVED.open(o) for o in requests])
    served = asyncio.Event()

    async def opened(worker: Any, address: str, request: bytes) -> bytes:
        if address == "tcp://silent":
            await served.wait()  # it comes to an end only if others go on meanwhile
            raise TimeoutError
        served.set()
        return await holder._opened(worker, address, request)

    monkeypatch.setattr(asking, "_opened", opened)
    grudges = Grudges()
    wanted = {("bob", "tcp://silent"): SECTIONS, THERE: SECTIONS}
    replies = asking.ask(wanted, 10.0, grudges)
    assert [len(replies[who]) for who in wanted] == [0, 1]
    assert grudges.bars("bob", "tcp://silent")
    assert not grudges.bars(*THERE)


def clocked(monkeypatch: pytest.MonkeyPatch, seconds: float, serve: Any) -> Holder:
    """A holder that answers after some seconds, by the clock of all that counts them."""
    holder = Holder(monkeypatch, seconds, serve)
    monkeypatch.setattr(asking, "time", SimpleNamespace(monotonic=lambda: holder._now))
    return holder


def fail(requests: list[Opening]) -> list[Opening | None]:
    raise KeyError("of its own making")


NOTHING = pytest.mark.parametrize(
    "serve", [lambda requests: [], lambda requests: [None], lambda rs: [lie(rs[0])], fail]
)


def barred(again: int = 1) -> bool:
    """Ask for some tasks, one after the other; whether the holder is barred then."""
    grudges = Grudges()
    for _ in range(again):
        asking.ask({THERE: SECTIONS}, 10.0, grudges)
    return grudges.bars(*THERE)


@NOTHING
def test_who_brings_nothing_just_in_time_is_not_asked_again_for_a_while(
    monkeypatch: pytest.MonkeyPatch, serve: Any
) -> None:
    """It would keep each task waiting anew."""
    holder = clocked(monkeypatch, 9.5, serve)
    assert barred(again=3)
    assert holder.asked == 1


@NOTHING
def test_who_refuses_at_once_is_no_grudge(monkeypatch: pytest.MonkeyPatch, serve: Any) -> None:
    holder = clocked(monkeypatch, 0.2, serve)
    assert not barred(again=3)
    assert holder.asked == 3


@pytest.mark.parametrize("answer", [b"", b"garbage"])
def test_what_is_no_answer_is_a_grudge_too(monkeypatch: pytest.MonkeyPatch, answer: bytes) -> None:
    holder = clocked(monkeypatch, 9.5, lambda requests: [])

    async def opened(worker: Any, address: str, request: bytes) -> bytes:
        await holder._opened(worker, address, request)
        return answer

    monkeypatch.setattr(asking, "_opened", opened)
    assert barred()


def test_one_good_opening_makes_up_for_no_wait_after_it(monkeypatch: pytest.MonkeyPatch) -> None:
    good = iter(SECTIONS[:1])
    holder = clocked(monkeypatch, 4.5, lambda requests: [SERVED.open(o) for o in good])
    assert barred(again=3)
    assert holder.asked == 2


def test_who_serves_too_little_in_its_time_is_not_asked_again_for_a_while(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    holder = clocked(monkeypatch, 4.5, lambda requests: [SERVED.open(requests[0])])
    assert barred(again=3)
    assert holder.asked == 3


@pytest.mark.parametrize("at_once", [4, 8])
def test_who_is_slow_and_serves_all_is_asked_again(
    monkeypatch: pytest.MonkeyPatch, at_once: int
) -> None:
    holder = clocked(monkeypatch, 9.0, lambda rs: [SERVED.open(o) for o in rs[:at_once]])
    assert not barred(again=3)
    assert holder.asked == 3 * 8 // at_once


def test_a_worker_that_closes_meanwhile_has_what_has_come(monkeypatch: pytest.MonkeyPatch) -> None:
    """That its event loop ends is no failure of the user's function."""
    Holder(monkeypatch, 0, lambda requests: [SERVED.open(o) for o in requests])

    def sync(loop: Any, function: Any) -> None:
        asyncio.run(function())
        raise RuntimeError("the event loop is closed")

    monkeypatch.setattr(asking, "sync", sync)
    (reply,) = ask()
    assert len(reply.openings) == len(SECTIONS)
