"""Everything about the courier of one domain: it is started again where it ends, a few times."""

from __future__ import annotations

import logging
import threading
from concurrent.futures import Future as Reply
from typing import Any

from dask_verify.engine.courier.command import Limits
from dask_verify.engine.courier.line import GRACE, Answer, Line
from dask_verify.engine.courier.remote import Remote
from dask_verify.errors import CourierError, InputError

_log = logging.getLogger("distributed.dask_verify")

_AGAIN = 3  #: times that a courier is started again in a job
_PAUSE = 1.0  #: seconds before the first of them; twice as long before each further one
_WORKERS = 1 << 20  #: bytes of the addresses of a domain's workers
_LOOK = 6.0  #: seconds that a courier waits for them, and a little


class Courier:
    """The courier of one domain.

    Parameters
    ----------
    domain : str
    remote : Remote
    limits : Limits

    Attributes
    ----------
    in_force : tuple of str
        What confines the process.
    workers : list of str
        Addresses of the domain's workers, as it said last.
    """

    def __init__(self, domain: str, remote: Remote, limits: Limits) -> None:
        self.domain, self._remote, self._limits = domain, remote, limits
        self.in_force: tuple[str, ...] = ()
        self.workers: list[str] = []
        self._lock = threading.Lock()
        self._looking: Reply[Answer] | None = None
        self._restarts, self._reason, self._closed = 0, "", False
        self._line: Line | None = None
        self._first = self._line = Line(domain, remote, limits, self._ended)

    def connected(self, timeout: float) -> None:
        """Wait until it has connected for the first time.

        Parameters
        ----------
        timeout : float
            Seconds to wait at most.

        Raises
        ------
        InputError
            If it does not.
        """
        try:
            self.in_force = self._first.ready.result(timeout)
        except (OSError, TimeoutError) as error:
            raise InputError(
                f"the courier of domain {self.domain!r} cannot reach {self._remote.address}:"
                f" {str(error) or 'no answer'}; see that a scheduler listens there, and that the"
                " certificates are those that it expects"
            ) from None

    @property
    def line(self) -> Line:
        """The process that is connected now.

        Raises
        ------
        CourierError
            If there is none.
        """
        line = self._line
        if line is None or line.reason or not line.ready.done() or line.ready.exception():
            why = self._reason or "it has not connected yet"
            raise CourierError(f"there is no courier of domain {self.domain!r} now: {why}")
        return line

    def ask(self, op: str, *given: Any, timeout: float, **options: Any) -> Answer:
        """Ask, wait and return the answer.

        Parameters
        ----------
        op : str
            Name of the operation.
        timeout : float
            Seconds for the answer.
        *given : object
            Its positional arguments.
        **options : object
            Its named arguments.

        Returns
        -------
        Answer

        Raises
        ------
        OSError
            If there is none.
        """
        line = self.line
        reply = line.ask(op, *given, timeout=timeout + GRACE, **options)
        try:
            return reply.result(timeout + 2 * GRACE)
        except TimeoutError:
            if not reply.done():
                line.end(f"it gave no answer to {op!r} in time")
            raise

    def look(self) -> Reply[Answer] | None:
        """Begin to ask for the domain's workers; None if nobody need wait for an answer.

        Without a courier there is none. And who has not answered yet was waited for once: the next
        one who asks makes do with what is known, or all others would wait again and again.

        Returns
        -------
        Reply or None
        """
        try:
            line = self.line
        except CourierError:
            self.workers = []
            return None
        with self._lock:
            if self._looking is not None and not self._looking.done():
                return None
        reply = line.ask("workers", timeout=_LOOK + GRACE, most=_WORKERS)
        self._looking = reply
        reply.add_done_callback(self._seen)
        return reply

    def close(self) -> None:
        """End the process, for good."""
        with self._lock:
            self._closed = True
            line, self._line = self._line, None
        if line is not None:
            line.end("it was closed")
            line.join()

    def _seen(self, reply: Reply[Answer]) -> None:
        said = b"" if reply.exception() is not None else reply.result()[1]
        self.workers = [] if self._closed else said.decode(errors="replace").split()

    def _start(self) -> None:
        with self._lock:
            if self._closed:
                return
            self._line = Line(self.domain, self._remote, self._limits, self._ended)

    def _ended(self, line: Line, reason: str) -> None:
        with self._lock:
            if self._closed:
                return
            self._reason, self.workers = reason, []
            first = not self._restarts and (not line.ready.done() or line.ready.exception())
            pause = _PAUSE * 2**self._restarts
            again = self._restarts < _AGAIN and not first
            self._restarts += again
        what = f"it is started again in {pause:g} s" if again else "it is not started again"
        _log.warning("The courier of domain %r ended: %.300r; %s", self.domain, reason, what)
        if again:
            self._later(pause)

    def _later(self, pause: float) -> None:
        timer = threading.Timer(pause, self._start)
        timer.daemon = True
        timer.start()
