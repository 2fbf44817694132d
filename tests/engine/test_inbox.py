from __future__ import annotations

import gc
import threading
import weakref

import pytest

from dask_verify.engine.inbox import Inbox


class Owner:
    """A thread that takes what it is told."""

    def __init__(self) -> None:
        self.inbox = Inbox(lambda: self.thread.is_alive())
        self.thread = threading.Thread(target=self.work, daemon=True)

    def work(self) -> None:
        while (action := self.inbox.queue.get()) is not None:
            assert callable(action)
            action()

    def __enter__(self) -> Owner:
        self.thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.inbox.put(None)
        self.thread.join()


def test_looking_happens_in_the_owners_thread() -> None:
    with Owner() as owner:
        assert owner.inbox.look(threading.current_thread) is owner.thread


def test_a_look_that_fails_fails_here_and_the_owner_goes_on() -> None:
    with Owner() as owner:
        with pytest.raises(ZeroDivisionError):
            owner.inbox.look(lambda: 1 // 0)
        assert owner.inbox.look(lambda: 5) == 5


def test_a_look_that_takes_too_long_fails_here_and_not_there() -> None:
    """Also one that fails for lack of time itself: it is called once."""
    calls: list[int] = []

    def late() -> None:
        calls.append(1)
        raise TimeoutError("of its own")

    with Owner() as owner:
        with pytest.raises(TimeoutError, match="of its own"):
            owner.inbox.look(late)
        assert calls == [1]
        busy = threading.Event()
        owner.inbox.put(busy.wait)
        with pytest.raises(TimeoutError, match="has not come to it"):
            owner.inbox.look(lambda: 5, timeout=0.01)
        busy.set()


def test_after_the_end_anybody_may_look() -> None:
    with Owner() as owner:
        pass
    assert owner.inbox.look(threading.current_thread) is threading.current_thread()
    owner.inbox.catch_up(60)


def test_catching_up_waits_for_what_was_said_before() -> None:
    heard: list[int] = []
    with Owner() as owner:
        for number in range(100):
            owner.inbox.put(lambda number=number: heard.append(number))
        owner.inbox.catch_up(60)
        assert len(heard) == 100


class Looker:
    """Whoever looks, such as the user's handle on a job."""

    def see(self) -> int:
        return 5


@pytest.mark.parametrize("busy", [True, False])
def test_a_look_that_nobody_takes_keeps_nobody_alive(busy: bool) -> None:
    """Neither after the thread has ended, nor while it does not come to it."""
    looker, inbox = Looker(), Inbox(lambda: busy)
    if busy:
        with pytest.raises(TimeoutError):
            inbox.look(looker.see, timeout=0)
    else:
        assert inbox.look(looker.see) == 5
    there = weakref.ref(looker)
    del looker
    gc.collect()
    assert there() is None
    assert inbox.queue.qsize() == 1
    action = inbox.queue.get()
    assert callable(action)
    action()
