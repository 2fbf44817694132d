"""Waiting with an end for what knows none of its own."""

from __future__ import annotations

import concurrent.futures
import threading
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def within(seconds: float, function: Callable[[], T]) -> T:
    """Return what a function gives; what takes longer goes on, and nobody waits for it.

    Parameters
    ----------
    seconds : float
    function : callable

    Returns
    -------
    object

    Raises
    ------
    TimeoutError
        If it has not returned in time.

    Examples
    --------
    >>> within(60.0, lambda: "soon enough")
    'soon enough'
    """
    given: concurrent.futures.Future[T] = concurrent.futures.Future()

    def call() -> None:
        try:
            given.set_result(function())
        except BaseException as error:
            given.set_exception(error)

    # No pool: the interpreter would wait for its threads in the end.
    threading.Thread(target=call, name="dask-verify-bounded", daemon=True).start()
    return given.result(seconds)
