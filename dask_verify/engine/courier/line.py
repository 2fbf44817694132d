"""One courier process, and the threads that write to it and read from it.

What holds, whatever the process does:

* Every frame answers an outstanding request, once, or tells of a result that was asked for, once;
  anything else ends it. So does silence beyond a request's deadline, or not reading what is sent.
* Memory here is bounded: one frame is read at a time, and it is no larger than what it answers may
  be. Nothing that is read is unpickled.
* When it ends, every outstanding request fails and every result that has not arrived is lost.
"""

from __future__ import annotations

import contextlib
import os
import queue
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future as Reply
from dataclasses import dataclass, field
from typing import Any

from dask_verify.engine.courier import wire
from dask_verify.engine.courier.command import Limits, command, environment, security
from dask_verify.engine.courier.confinement import COMPLETE
from dask_verify.engine.courier.futures import Results
from dask_verify.engine.courier.remote import Remote
from dask_verify.errors import CourierError

START = 60.0  #: seconds for starting the process, and for connecting to the scheduler
GRACE = 10.0  #: seconds beyond what the courier itself waits for a domain
_FETCH = 120.0  #: seconds for fetching results
_FETCHED = wire.TOGETHER + wire.RESULT
_BACKLOG = 256 << 20  #: bytes that wait to be read by the courier
_STALL = 10.0  #: seconds for which one who sends waits for room there
_TICK = 1.0  #: seconds between looks at deadlines
_DYING = 5.0  #: seconds that a killed process is waited for
_UNBOUNDED = 1 << 40

Answer = tuple[Any, bytes]  #: a small plain value, and bytes


@dataclass
class _Request:
    """Something that the courier still has to answer."""

    op: str
    most: int
    deadline: float
    reply: Reply[Answer] = field(default_factory=Reply)


class Line:
    """A courier process; it is on its way when this returns.

    Parameters
    ----------
    domain : str
    remote : Remote
        Where the domain's scheduler is.
    limits : Limits
    ended : callable
        Called once, in whatever thread, with the line and the reason why it ended.

    Attributes
    ----------
    ready : concurrent.futures.Future
        What is in force, once the courier has connected to the scheduler.
    results : Results
    """

    def __init__(
        self, domain: str, remote: Remote, limits: Limits, ended: Callable[[Line, str], None]
    ) -> None:
        self._domain, self._remote, self._limits, self._tell_end = domain, remote, limits, ended
        self.ready: Reply[tuple[str, ...]] = Reply()
        self.results = Results(self._fetch, lambda how, numbers: self.tell(how, numbers))
        self.reason = ""
        self._lock, self._room = threading.Lock(), threading.Condition()
        self._requests = {0: _Request("start", 0, time.monotonic() + START)}
        self._requests[0].reply.add_done_callback(self._started)
        self._next, self._backlog = 1, 0
        self._out: queue.SimpleQueue[tuple[bytes, ...] | None] = queue.SimpleQueue()
        self._folder = tempfile.TemporaryDirectory(
            prefix="dask-verify-courier-", ignore_cleanup_errors=True
        )
        self._process: subprocess.Popen[bytes] | None = None
        self._threads = [
            threading.Thread(target=target, name=f"courier-{domain}", daemon=True)
            for target in (self._run, self._read)
        ]
        self._threads[0].start()

    def _popen(self) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            command(self._folder.name, self._remote, self._limits),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            # What a hostile domain has it say is nobody's to read.
            stderr=subprocess.DEVNULL,
            bufsize=0,
            cwd=self._folder.name,
            env=environment(self._folder.name),
            start_new_session=True,
        )

    # --- to the courier ------------------------------------------------------------------------

    def ask(
        self, op: str, *given: Any, body: bytes = b"", timeout: float, most: int = 0
    ) -> Reply[Answer]:
        """Ask for something that takes at most so many seconds, and brings so many bytes.

        Parameters
        ----------
        op : str
            Name of the operation.
        body : bytes, optional
            Bytes that go with it.
        timeout : float
            Seconds for the answer.
        most : int, optional
            Bytes that may come back, at most.
        *given : object
            Its positional arguments.

        Returns
        -------
        Reply
        """
        request = _Request(op, most, time.monotonic() + timeout)
        with self._lock:
            number, self._next = self._next, self._next + 1
            self._requests[number] = request
        if self.reason:
            self._fail_requests()
        self._put(wire.frame((op, number, *given), body, _UNBOUNDED))
        return request.reply

    def tell(self, op: str, *given: Any, body: bytes = b"") -> None:
        """Say something that is not answered.

        Parameters
        ----------
        op : str
            Name of the operation.
        body : bytes, optional
            Bytes that go with it.
        *given : object
            Its positional arguments.
        """
        self._put(wire.frame((op, 0, *given), body, _UNBOUNDED))

    def end(self, reason: str) -> None:
        """Kill the process, for good.

        Parameters
        ----------
        reason : str
            Why.
        """
        with self._lock:
            if self.reason:
                return
            self.reason = reason
        self._kill()
        self._out.put(None)
        with self._room:
            self._room.notify_all()
        self._fail_requests()
        self.results.lose(f"the courier of domain {self._domain!r} ended: {reason}")
        self._tell_end(self, reason)

    def join(self) -> None:
        """Wait until the process and its threads are gone, if they go."""
        for thread in self._threads:
            if thread.is_alive() and thread is not threading.current_thread():
                thread.join(_DYING)

    def _put(self, parts: tuple[bytes, ...]) -> None:
        size = sum(map(len, parts))

        def fits() -> bool:
            # Small ones come from the threads of the line itself, which must not wait for it.
            return bool(size <= wire.HEAD or self.reason or not self._backlog) or (
                self._backlog + size <= _BACKLOG
            )

        with self._room:
            room = self._room.wait_for(fits, _STALL)
            self._backlog += size
        if not room:
            self.end("it does not read what it is sent")
        self._out.put(parts)

    def _fetch(self, numbers: tuple[int, ...]) -> None:
        reply = self.ask("fetch", numbers, timeout=_FETCH, most=_FETCHED)
        reply.add_done_callback(self._fetched)

    # --- its threads ---------------------------------------------------------------------------

    def _run(self) -> None:
        """Start the process and write to it: the kernel kills it when this thread is no more."""
        try:
            process = self._popen()
        except OSError as error:
            self.end(f"it did not start: {error}")
            self._folder.cleanup()
            return
        with self._lock:
            self._process = process
        if self.reason:
            self._kill()
        self._threads[1].start()
        self._write(process.stdin)

    def _write(self, stream: Any) -> None:
        with contextlib.suppress(OSError), stream:  # what it does not read it is not sent
            while not self.reason:
                with contextlib.suppress(queue.Empty):
                    parts = self._out.get(timeout=_TICK)
                    if parts is None:
                        break
                    _write_all(stream, parts)
                    with self._room:
                        self._backlog -= sum(map(len, parts))
                        self._room.notify_all()
                self._look()

    def _look(self) -> None:
        """End a courier that has not answered in time."""
        now = time.monotonic()
        with self._lock:
            late = [r.op for r in self._requests.values() if r.deadline < now]
        if late:
            self.end(f"it gave no answer to {late[0]!r} in time")
        self.results.fetch()

    def _read(self) -> None:
        process, reason = self._process, "it has ended"
        assert process is not None
        assert process.stdout is not None
        try:
            while True:
                self._heard(*wire.read(process.stdout, self._allowed))
        except EOFError:
            pass
        except CourierError as error:
            reason = str(error)
        except Exception as error:
            # A defect of this module costs one courier, never the job.
            reason = repr(error)
        self.end(reason)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(_DYING)
        process.stdout.close()
        self._folder.cleanup()

    def _allowed(self, head: tuple[Any, ...]) -> int:
        """Return how many bytes may follow a head."""
        match head:
            case ("answer", int(number), _) if number in self._requests:
                return self._requests[number].most
            case ("error", int(number), str()) if number in self._requests:
                return 0
            case ("done", int(), str()):
                return 0
        raise CourierError("it sent what answers nothing")

    def _heard(self, head: tuple[Any, ...], body: bytes) -> None:
        kind, number, value = head
        if kind == "done":
            self.results.told(number, value)
            return
        with self._lock:
            request = self._requests.pop(number, None)
        if request is None:  # everything has failed meanwhile
            return
        if kind == "answer":
            request.reply.set_result((value, body))
        else:
            request.reply.set_exception(ConnectionError(value[: wire.TEXT]))

    # --- what becomes of requests ----------------------------------------------------------------

    def _started(self, reply: Reply[Answer]) -> None:
        try:
            in_force = _words(reply.result()[0])
            missing = [what for what in COMPLETE if what not in in_force]
            if missing and self._limits.required:
                raise CourierError(_unconfined(missing))
            how = security(self._remote, self._folder.name)
            connecting = self.ask("connect", self._domain, self._remote.address, how, timeout=START)
            connecting.add_done_callback(lambda reply: self._connected(reply, in_force))
        except OSError as error:
            self._failed(error)

    def _connected(self, reply: Reply[Answer], in_force: tuple[str, ...]) -> None:
        error = reply.exception()
        if error is None:
            self.ready.set_result(in_force)
        else:
            self._failed(error)

    def _failed(self, error: BaseException) -> None:
        self.ready.set_exception(error)
        self.end(f"it could not connect: {error}")

    def _fetched(self, reply: Reply[Answer]) -> None:
        if reply.exception() is not None:
            self.end("it could not fetch results")
            return
        try:
            self.results.fetched(*reply.result())
        except CourierError as error:
            self.end(str(error))

    def _fail_requests(self) -> None:
        with self._lock:
            failed = list(self._requests.values())
            self._requests.clear()
        for request in failed:
            request.reply.set_exception(CourierError(f"the courier ended: {self.reason}"))

    def _kill(self) -> None:
        with self._lock:
            process = self._process
        # The reader takes note of its end after this, so its number is still its own.
        if process is not None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)


def _words(in_force: Any) -> tuple[str, ...]:
    found = in_force if type(in_force) is tuple else ()
    return tuple(word for word in COMPLETE if any(word == w for w in found if type(w) is str))


def _unconfined(missing: list[str]) -> str:
    return (
        f"this platform does not confine {', '.join(missing)} of a courier; use one that does, or"
        " set verify.courier-confinement to 'available' and know what a hostile domain could reach"
    )


def _write_all(stream: Any, parts: tuple[bytes, ...]) -> None:
    for part in parts:
        rest = memoryview(part)
        while rest:
            rest = rest[stream.write(rest) :]
