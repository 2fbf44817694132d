"""Telling a scheduler how a job is, now and then, without the job noticing.

* A job's thread only hands over: sending is done by a thread of its own, one message at a time.
* Not more often than once a second, except for the end; what did not change, twice a minute, so
  that a scheduler can tell a job without news from one whose process is gone.
* Whatever goes wrong is logged for debugging, and that is all.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import Any

Summary = dict[str, Any]

EVERY = 1.0  #: seconds between two messages at least
AGAIN = 30.0  #: seconds after which a job says again that it is there
PATIENCE = 2.0  #: seconds that the end of a job waits for the last message

_log = logging.getLogger("distributed.dask_verify")


class Publisher:
    """Tells what a job's thread finds worth telling.

    Parameters
    ----------
    send : callable, optional
        Sends a summary; it may block and fail. None: nobody is told anything.
    clock : callable
        Seconds, as `time.monotonic`.

    Examples
    --------
    >>> told = []
    >>> publisher = Publisher(told.append)
    >>> publisher.look(lambda: {"status": "running"})
    >>> publisher.close(lambda: {"status": "agreed"})
    >>> told[-1]
    {'status': 'agreed'}
    """

    def __init__(
        self,
        send: Callable[[Summary], None] | None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._send, self._clock = send, clock
        self._looked = self._told_at = float("-inf")
        self._told: Summary | None = None
        self._next: Summary | None = None
        self._ended = False
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None

    def look(self, make: Callable[[], Summary], at_once: bool = False) -> None:
        """Tell what is to be told, if it is time; never blocks, never raises.

        Parameters
        ----------
        make : callable
            Returns the summary of the moment.
        at_once : bool
            Whether it is time now.
        """
        now = self._clock()
        if self._send is None or not (at_once or now - self._looked >= EVERY):
            return
        self._looked = now
        try:
            self._hand_over(make(), now)
        except Exception:
            _log.debug("A job cannot say how it is", exc_info=True)

    def close(self, make: Callable[[], Summary], patience: float = PATIENCE) -> None:
        """Tell how the job ended, and wait a little until that is sent.

        Parameters
        ----------
        make : callable
            Returns the last summary.
        patience : float, optional
            Seconds to wait at most.
        """
        self.look(make, at_once=True)
        with self._changed:
            self._ended = True
            self._changed.notify()
        if self._thread is not None:
            self._thread.join(patience)

    def _hand_over(self, told: Summary, now: float) -> None:
        if told == self._told and now - self._told_at < AGAIN:
            return
        self._told, self._told_at = told, now
        with self._changed:
            # What has not been sent yet is out of date.
            self._next = told
            self._changed.notify()
        if self._thread is None:
            thread = threading.Thread(target=self._loop, name="dask-verify-publish", daemon=True)
            thread.start()  # may fail, and then there is nothing to wait for
            self._thread = thread

    def _loop(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._next is not None or self._ended)
                told, self._next = self._next, None
            if told is None or self._send is None:
                return
            try:
                self._send(told)
            except Exception as error:
                # A scheduler that is gone, slow or older: the job has other worries.
                _log.debug("Nobody was told how a job is: %.300r", error)
