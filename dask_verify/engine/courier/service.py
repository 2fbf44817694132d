"""A courier's loop: requests of the coordinator in, answers as bounded bytes out."""

from __future__ import annotations

import ssl
import threading
import traceback
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, BinaryIO

from distributed import Client, Future
from distributed.security import Security

from dask_verify.core.canonical import decode
from dask_verify.engine.answers import lost
from dask_verify.engine.compat import Packed
from dask_verify.engine.courier import wire
from dask_verify.engine.courier.wire import FAILED, FAILURE, LOST, RESULT, TEXT, TOGETHER, VALUE
from dask_verify.engine.pool import SeparatePool
from dask_verify.errors import CourierError

_AT_ONCE = 16  #: requests that wait for the domain at the same time
_ANY = 1 << 40
_CONNECT = 10.0  #: seconds that a scheduler has to accept the client

Answer = tuple[Any, bytes]  #: a small plain value, and bytes
Item = tuple[int, bytes]  #: what became of a result


class Service:
    """Does what the coordinator says, for one domain.

    Parameters
    ----------
    answers : binary file
        What is written to, unbuffered.
    """

    def __init__(self, answers: BinaryIO) -> None:
        self._answers, self._writing = answers, threading.Lock()
        self._futures: dict[int, Future] = {}
        self._threads = ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="courier")
        self._pool: SeparatePool
        self._domain = ""

    def serve(self, requests: BinaryIO, in_force: tuple[str, ...]) -> None:
        """Say what is in force, then serve until the coordinator hangs up.

        Parameters
        ----------
        requests : BinaryIO
            Where the coordinator's requests come from.
        in_force : tuple of str
            What confines this process.
        """
        self._send(("answer", 0, in_force))
        while True:
            try:
                (op, number, *given), body = wire.read(requests, lambda head: _ANY, _ANY)
            except EOFError:
                return
            handler: Callable[..., Answer] = getattr(self, f"_{op}")
            if number:
                self._threads.submit(self._answer, number, partial(handler, *given, body))
            else:
                # In order: what is submitted may use what was submitted before.
                handler(*given, body)

    # --- requests with an answer ----------------------------------------------------------------

    def _connect(self, domain: str, address: str, security: dict[str, Any], _: bytes) -> Answer:
        versions = {k: ssl.TLSVersion(v) for k, v in security.items() if k.endswith("version")}
        client = Client(
            address,
            security=Security(**security | versions),
            timeout=_CONNECT,
            set_as_default=False,
            name="dask-verify-courier",
        )
        self._domain, self._pool = domain, SeparatePool({domain: client}, staffed=False)
        return None, b""

    def _workers(self, _: bytes) -> Answer:
        return None, "\n".join(self._pool.workers()[self._domain]).encode(errors="replace")

    def _call(self, address: str, op: str, timeout: float, body: bytes) -> Answer:
        return _told(self._pool.call(address, self._domain, op, timeout=timeout, **decode(body)))

    def _broadcast(self, op: str, timeout: float, body: bytes) -> Answer:
        return _told(self._pool.broadcast(op, timeout=timeout, **decode(body)))

    def _scatter(self, number: int, key: str, timeout: float, body: bytes) -> Answer:
        future = self._futures[number] = self._pool.put(self._domain, key, body, timeout)
        future.add_done_callback(partial(self._done, number))
        return None, b""

    def _fetch(self, numbers: Sequence[int], _: bytes) -> Answer:
        found = [(n, self._futures[n]) for n in numbers if n in self._futures]
        results = self._pool.results([(self._domain, future) for _, future in found])
        at = {n: _item(result, f) for (n, f), result in zip(found, results, strict=True)}
        items: list[Item] = []
        size = 0
        for number in numbers:
            kind, data = at.get(number, (LOST, b"it was cancelled"))
            size += len(data)
            # What is left out now is asked for again.
            if items and size > TOGETHER:
                break
            items.append((kind, data))
        return tuple((k, len(data)) for k, data in items), b"".join(data for _, data in items)

    # --- requests without one ---------------------------------------------------------------------

    def _submit(
        self, numbers: Sequence[int], keys: Sequence[Any], retries: int, priority: int, body: bytes
    ) -> None:
        try:
            sent = self._pool.send(self._domain, Packed(body), keys, retries, priority)
        except Exception:
            # The client is closed, say: the coordinator learns it, and may start another courier.
            for number in numbers:
                self._send(("done", number, "lost"))
            return
        for number, key in zip(numbers, keys, strict=True):
            self._futures[number] = sent[key]
            sent[key].add_done_callback(partial(self._done, number))

    def _cancel(self, numbers: Sequence[int], _: bytes) -> None:
        found = [self._futures.pop(number, None) for number in numbers]
        self._pool.cancel([future for future in found if future is not None])

    def _release(self, numbers: Sequence[int], _: bytes) -> None:
        for number in numbers:
            future = self._futures.pop(number, None)
            if future is not None:
                future.release()

    # --- answers ------------------------------------------------------------------------------

    def _answer(self, number: int, work: Callable[[], Answer]) -> None:
        try:
            value, body = work()
            self._send(("answer", number, value), body)
        except Exception as error:
            self._send(("error", number, _text(error)))

    def _done(self, number: int, future: Future) -> None:
        self._send(("done", number, future.status))

    def _send(self, head: tuple[Any, ...], body: bytes = b"") -> None:
        parts = wire.frame(head, body)
        with self._writing:
            for part in parts:
                rest = memoryview(part)
                while rest:
                    rest = rest[self._answers.write(rest) :]


def _told(answer: Any) -> Answer:
    """Return a worker's answer: bytes by themselves, other plain values in a head."""
    if type(answer) is bytes:
        return True, answer
    plain = _tuples(answer)
    wire.frame(("answer", 0, (plain,)))
    return (plain,), b""


def _tuples(value: Any) -> Any:
    """Return a plain value with tuples for its lists: whichever it was is not said."""
    if isinstance(value, (list, tuple)):
        return tuple(map(_tuples, value))
    if isinstance(value, dict):
        return {_tuples(key): _tuples(item) for key, item in value.items()}
    return value


def _item(result: Any, future: Future) -> Item:
    """Return what became of a result, in bytes."""
    if type(result) is bytes:
        if len(result) <= RESULT:
            return VALUE, result
        return LOST, f"expected a result of at most {RESULT} bytes, got {len(result)}".encode()
    if not isinstance(result, BaseException):
        return LOST, f"expected the bytes of an answer, got {type(result).__name__}".encode()
    try:
        if lost(result, future):
            return LOST, str(result)[:TEXT].encode(errors="replace")
        text = "".join(traceback.format_exception(result))[-FAILURE:]
        return FAILED, text.encode(errors="replace")
    except Exception:
        # Objects of the domain: what they do when they are looked at is theirs.
        return LOST, b"it failed, and cannot say how"


def _text(error: BaseException) -> str:
    text = f"{error}" if isinstance(error, (OSError, CourierError)) else f"{error!r}"
    return text[:TEXT].encode(errors="replace").decode()
