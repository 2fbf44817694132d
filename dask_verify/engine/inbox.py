"""What the thread of a job is told, and how other threads look at what it owns."""

from __future__ import annotations

import concurrent.futures
import queue
import threading
import time
from collections.abc import Callable
from typing import Generic, TypeVar

from dask_verify.engine.dispatch import Landing
from dask_verify.engine.waiting import Action

T = TypeVar("T")

_LOOK = 1.0  #: seconds between looks at whether the thread is still there


class Inbox:
    """Actions and landings for one thread; None ends it.

    Parameters
    ----------
    alive : callable
        Whether the thread still takes what is put here.
    """

    def __init__(self, alive: Callable[[], bool]) -> None:
        self.queue: queue.SimpleQueue[Action | Landing | None] = queue.SimpleQueue()
        self.put = self.queue.put
        self._alive = alive

    def look(self, take: Callable[[], T], timeout: float | None = None) -> T:
        """Call a function in the thread, while nobody changes what it looks at.

        After the thread has ended, nobody changes anything, and it is called here.

        Parameters
        ----------
        take : callable
            The function.
        timeout : float, optional
            Seconds to wait for the thread; None: as long as it takes.

        Returns
        -------
        object

        Raises
        ------
        TimeoutError
            If the thread does not come to it in time.
        """
        end = None if timeout is None else time.monotonic() + timeout
        asked = Look(take)
        self.put(asked)
        try:
            while self._alive():
                left = _LOOK if end is None else max(0, min(_LOOK, end - time.monotonic()))
                if concurrent.futures.wait([asked.found], left).done:
                    return asked.found.result()
                if end is not None and time.monotonic() >= end:
                    raise TimeoutError("the job's thread has not come to it in time")
            return take()
        finally:
            asked.drop()

    def catch_up(self, timeout: float) -> None:
        """Wait until everything that was put here before has been taken.

        Parameters
        ----------
        timeout : float
            Seconds to wait at most.
        """
        reached = threading.Event()
        self.put(reached.set)
        if self._alive():
            reached.wait(timeout)


class Look(Generic[T]):
    """One look that was asked for.

    It may stay in a queue that nobody empties any more, and must keep nothing alive there.

    Parameters
    ----------
    take : callable
        What is to be called.

    Attributes
    ----------
    found : Future
        What that returned.
    """

    def __init__(self, take: Callable[[], T]) -> None:
        self.found: concurrent.futures.Future[T] = concurrent.futures.Future()
        self._take: Callable[[], T] | None = take

    def __call__(self) -> None:
        """Hand over what was taken, or how that failed: the job goes on either way."""
        if (take := self._take) is None:
            return  # nobody waits for it
        try:
            self.found.set_result(take())
        except Exception as error:
            self.found.set_exception(error)

    def drop(self) -> None:
        """Forget what was to be looked at."""
        self._take = None
