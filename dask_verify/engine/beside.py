"""Blocking work beside a job's thread: a few threads, of which no domain ever holds all.

Whoever answers slowly, or not at all, holds up what is about itself. What is about nobody, such as
finding out who lies, has threads of its own: it never queues behind what liars keep waiting.
"""

from __future__ import annotations

import threading
from collections import Counter, defaultdict, deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import Any

_THREADS = 4  #: for what is about a domain, and as many for all else
_SHARE = 2  #: of these, for one domain

Call = Callable[[], Any]


class Beside:
    """Threads for calls that block.

    Parameters
    ----------
    done : callable
        Gets the future of each call that has ended.

    Examples
    --------
    >>> from queue import SimpleQueue
    >>> ended = SimpleQueue()
    >>> beside = Beside(ended.put)
    >>> beside.submit(lambda: 7, about="alice")
    >>> ended.get().result()
    7
    >>> beside.close()
    """

    def __init__(self, done: Callable[[Future[Any]], None]) -> None:
        self._done = done
        self._executors = {
            about: ThreadPoolExecutor(_THREADS, thread_name_prefix="dask-verify")
            for about in (True, False)
        }
        self._lock = threading.Lock()
        self._closed = False
        self._running: Counter[str] = Counter()
        self._waiting: dict[str, deque[Call]] = defaultdict(deque)

    def submit(self, call: Call, about: str = "") -> None:
        """Call a function as soon as there is a thread for it.

        Parameters
        ----------
        call : callable
            The function.
        about : str, optional
            The domain that may keep it waiting; empty if that is none, or not known.
        """
        with self._lock:
            if about and self._running[about] >= _SHARE:
                self._waiting[about].append(call)
                return
            self._running[about] += 1
        self._start(call, about)

    def _start(self, call: Call, about: str) -> None:
        try:
            started = self._executors[bool(about)].submit(call)
        except RuntimeError:
            if not self._closed:
                raise  # there is no room for another thread: nobody would ever do it
        else:
            started.add_done_callback(partial(self._ended, about))

    def _ended(self, about: str, future: Future[Any]) -> None:
        self._done(future)
        with self._lock:
            waiting = self._waiting[about]
            following = waiting.popleft() if waiting else None
            self._running[about] -= following is None
        if following is not None:
            self._follow(following, about)

    def _follow(self, call: Call, about: str) -> None:
        """Start what had to wait; that it cannot be started is a way to end, too."""
        try:
            self._start(call, about)
        except RuntimeError as error:
            failed: Future[Any] = Future()
            failed.set_exception(error)
            with self._lock:
                self._running[about] -= 1
            self._done(failed)

    def close(self, wait: bool = False) -> None:
        """Start nothing any more.

        Parameters
        ----------
        wait : bool, optional
            Whether to return only when what is running has ended.
        """
        with self._lock:
            self._closed = True
            self._waiting.clear()
        for executor in self._executors.values():
            executor.shutdown(wait=wait, cancel_futures=True)
