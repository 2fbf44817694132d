"""Results that one courier process was asked for.

* A result is told of once, and fetched if somebody waits for it; `DomainPool.results` then finds
  it here, so that the thread of a job never waits for a courier.
* As many bytes are fetched as are taken: those that nobody has taken yet stay below a limit.
* When the process ends, every result that has not arrived is lost.
"""

from __future__ import annotations

import threading
import weakref
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from dask.typing import Key

from dask_verify.engine.courier.wire import FAILED, LOST, RESULT, TEXT, VALUE
from dask_verify.errors import CourierError

_FINISHED, _ERROR = "finished", "error"
_ENDS = (_FINISHED, _ERROR, "lost", "cancelled")
_BATCH = 64  #: results that are fetched at a time
_HELD = 32 << 20  #: bytes that wait to be taken, above which nothing more is fetched

Callback = Callable[[Any], Any]


class TaskFailure(Exception):
    """What a task raised, as text: a courier passes on no objects."""


class CourierFuture:
    """A result that a courier was asked for.

    Parameters
    ----------
    key : key
    number : int
        What the courier calls it.
    results : Results
        Where it is kept.
    """

    def __init__(self, key: Key, number: int, results: Results) -> None:
        self.key, self.number, self.results = key, number, results
        self.status = "pending"
        self.answer: bytes | BaseException | None = None
        self.callbacks: list[Callback] = []

    def __repr__(self) -> str:
        return f"<CourierFuture {self.key!r}: {self.status}>"

    def add_done_callback(self, fn: Callback) -> None:
        """Call a function once the result is here, or never will be.

        Parameters
        ----------
        fn : callable
            The function.
        """
        self.results.watch(self, fn)

    def release(self) -> None:
        """Let the domain forget the result."""
        self.results.release([self], "release")

    def take(self) -> bytes | BaseException:
        """Return what has arrived, and keep it no longer.

        Returns
        -------
        bytes or BaseException
        """
        return self.results.take(self)

    def __del__(self) -> None:
        self.results.dropped.append((self.number, _size(self.answer)))


class Results:
    """The futures of one courier process.

    Parameters
    ----------
    fetch : callable
        Asks for the results with some numbers; `fetched` is called with what comes.
    tell : callable
        Tells the courier to ``"cancel"`` or to ``"release"`` results with some numbers.
    """

    def __init__(
        self, fetch: Callable[[tuple[int, ...]], None], tell: Callable[[str, tuple[int, ...]], None]
    ) -> None:
        self._ask, self._tell = fetch, tell
        self._lock = threading.Lock()
        self._next = 1
        #: Results that the courier has not told of; None where nobody waits for them any more.
        self._untold: dict[int, CourierFuture | None] = {}
        self._waiting: deque[CourierFuture] = deque()
        self._asked: list[CourierFuture] = []
        self._live: weakref.WeakValueDictionary[int, CourierFuture] = weakref.WeakValueDictionary()
        self._held = 0
        self._reason = ""
        #: Of futures that are no more; garbage is collected anywhere, so nothing is locked there.
        self.dropped: deque[tuple[int, int]] = deque()

    def new(self, keys: Sequence[Key]) -> dict[Key, CourierFuture]:
        """Return a future for each key.

        Parameters
        ----------
        keys : sequence of Key
            Keys of the results.

        Returns
        -------
        dict of Key to CourierFuture
        """
        with self._lock:
            numbers = range(self._next, self._next + len(keys))
            self._next += len(keys)
            futures = [CourierFuture(key, n, self) for key, n in zip(keys, numbers, strict=True)]
            for future in futures:
                self._untold[future.number] = self._live[future.number] = future
        return dict(zip(keys, futures, strict=True))

    # --- from the courier ----------------------------------------------------------------------

    def told(self, number: int, status: str) -> None:
        """Take note that there is a result, or never will be one.

        Parameters
        ----------
        number : int
            Number of the result.
        status : str
            What became of it.

        Raises
        ------
        CourierError
            If nobody asked for it, or it was told of before.
        """
        with self._lock:
            if number not in self._untold or status not in _ENDS:
                raise CourierError(f"it told of a result that nobody asked for: {number}")
            future = self._untold.pop(number)
            if future is None:
                return
            future.status = status
            if status in (_FINISHED, _ERROR):
                self._waiting.extend([future] if future.callbacks else [])
                called = []
            else:
                future.answer = ConnectionError(f"{future.key} is {status}")
                called = _callbacks(future)
        _call(called)
        self.fetch()

    def fetched(self, items: Any, body: bytes) -> None:
        """Take the results that were asked for, or the first of them.

        Parameters
        ----------
        items : object
            What the courier says of the results that follow.
        body : bytes
            Their bytes, one after the other.

        Raises
        ------
        CourierError
            If that is not what has come.
        """
        parsed = _parsed(items, body)
        with self._lock:
            asked, self._asked = self._asked, []
            if not 0 < len(parsed) <= len(asked):
                raise CourierError(f"expected 1 to {len(asked)} results, got {len(parsed)}")
            called: list[tuple[CourierFuture, Callback]] = []
            for future, answer in zip(asked, parsed, strict=False):
                future.answer = answer
                self._held += _size(answer)
                called += _callbacks(future)
            self._waiting.extendleft(reversed(asked[len(parsed) :]))
        _call(called)
        self.fetch()

    def fetch(self) -> None:
        """Ask for results that somebody waits for, if there is room for them."""
        self._sweep()
        with self._lock:
            if self._reason or self._asked or self._held > _HELD:
                return
            while self._waiting and len(self._asked) < _BATCH:
                self._asked.append(self._waiting.popleft())
            numbers = tuple(future.number for future in self._asked)
        if numbers:
            self._ask(numbers)

    def lose(self, reason: str) -> None:
        """Give up everything that has not arrived.

        Parameters
        ----------
        reason : str
            Why.
        """
        with self._lock:
            self._reason = reason
            lost = [f for f in self._live.values() if f.answer is None and f.status != "cancelled"]
            for future in lost:
                future.status, future.answer = "lost", CourierError(reason)
            called = [call for future in lost for call in _callbacks(future)]
            self._untold.clear()
            self._waiting.clear()
            self._asked.clear()
        _call(called)

    # --- from the job --------------------------------------------------------------------------

    def watch(self, future: CourierFuture, callback: Callback) -> None:
        """Call a function once a result is here, or never will be.

        Parameters
        ----------
        future : CourierFuture
            The result's future.
        callback : callable
            The function.
        """
        with self._lock:
            here = future.answer is not None or future.status == "cancelled"
            if not here:
                future.callbacks.append(callback)
                if future.status != "pending" and len(future.callbacks) == 1:
                    self._waiting.append(future)
        if here:
            callback(future)
        else:
            self.fetch()

    def take(self, future: CourierFuture) -> bytes | BaseException:
        """Return what has arrived, and keep it no longer.

        Parameters
        ----------
        future : CourierFuture
            The result's future.

        Returns
        -------
        bytes or BaseException
        """
        with self._lock:
            answer, future.answer = future.answer, None
            self._held -= _size(answer)
        self.fetch()
        return ConnectionError(f"{future.key} is {future.status}") if answer is None else answer

    def release(self, futures: Iterable[CourierFuture], how: str) -> None:
        """Wait for results no longer.

        Parameters
        ----------
        futures : iterable of CourierFuture
            Their futures.
        how : str
            What becomes of them at the domain.
        """
        called, numbers = [], []
        with self._lock:
            for future in futures:
                numbers.append(future.number)
                self._held -= _size(future.answer)
                future.answer = None
                if future.status == "pending" or how == "cancel":
                    future.status = "cancelled"
                if self._untold.get(future.number) is not None:
                    self._untold[future.number] = None
                called += _callbacks(future)
        if numbers:
            self._tell(how, tuple(numbers))
        _call(called)

    def _sweep(self) -> None:
        """Let the courier forget results whose futures are gone."""
        numbers = []
        while self.dropped:
            number, size = self.dropped.popleft()
            numbers.append(number)
            with self._lock:
                self._held -= size
        if numbers:
            self._tell("release", tuple(numbers))


def _callbacks(future: CourierFuture) -> list[tuple[CourierFuture, Callback]]:
    calls = [(future, callback) for callback in future.callbacks]
    future.callbacks = []
    return calls


def _call(calls: Iterable[tuple[CourierFuture, Callback]]) -> None:
    for future, callback in calls:
        callback(future)


def _size(answer: object) -> int:
    return len(answer) if isinstance(answer, bytes) else 0


def _parsed(items: Any, body: bytes) -> list[bytes | BaseException]:
    """Cut a body into results.

    Raises
    ------
    CourierError
        If the pieces do not make up the body.
    """
    answers: list[bytes | BaseException] = []
    at = 0
    for item in items if type(items) is tuple else [None]:
        match item:
            case (int(kind), int(length)) if 0 <= length <= min(RESULT, len(body) - at):
                answers.append(_answer(kind, body[at : at + length]))
                at += length
            case _:
                raise CourierError("expected kinds and lengths of results")
    if at != len(body):
        raise CourierError(f"expected results of {len(body)} bytes, got {at}")
    return answers


def _answer(kind: int, data: bytes) -> bytes | BaseException:
    if kind == VALUE:
        return data
    text = data.decode(errors="replace")
    if kind == FAILED:
        return TaskFailure(text)
    if kind == LOST:
        return ConnectionError(text[:TEXT])
    raise CourierError(f"expected a kind of result, got {kind}")
