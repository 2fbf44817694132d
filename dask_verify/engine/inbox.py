"""What the thread of a job is told, and how other threads look at what it owns."""

from __future__ import annotations

import concurrent.futures
import queue
import threading
import time
from collections.abc import Callable
from typing import TypeVar

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
        found: concurrent.futures.Future[T] = concurrent.futures.Future()
        self.put(lambda: _fill(found, take))
        while self._alive():
            left = _LOOK if end is None else max(0, min(_LOOK, end - time.monotonic()))
            if concurrent.futures.wait([found], left).done:
                return found.result()
            if end is not None and time.monotonic() >= end:
                raise TimeoutError("the job's thread has not come to it in time")
        return take()

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


def _fill(found: concurrent.futures.Future[T], take: Callable[[], T]) -> None:
    """Hand over what was taken, or how that failed: the job goes on either way."""
    try:
        found.set_result(take())
    except Exception as error:
        found.set_exception(error)
