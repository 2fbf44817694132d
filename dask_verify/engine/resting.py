"""Looking at a job's answer at a moment when nothing of it is being made again.

Even after the verdict a domain may be found out, for instance by what it serves while the answer
is read. What it took part in is then computed once more, and until that is done a job has parts of
an old and of a new answer.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from dask_verify.engine.driver import Driver

T = TypeVar("T")


def look_at_rest(driver: Driver, take: Callable[[], T], timeout: float | None = None) -> T:
    """Call a function in the job's thread, once its verdict and its answer belong together.

    Where the job has ended without that, nothing changes any more, and it is called as well.

    Parameters
    ----------
    driver : Driver
        What runs the job; it has decided.
    take : callable
        The function.
    timeout : float, optional
        Seconds to wait; None: as long as it takes.

    Returns
    -------
    object
        What the function returned.

    Raises
    ------
    TimeoutError
        If the answer is still being made again then.
    """
    end = None if timeout is None else time.monotonic() + timeout
    while True:
        left = None if end is None else max(end - time.monotonic(), 0)
        found = driver.look(lambda: [take()] if driver.resting else [], left)
        if found:
            return found[0]
        left = None if end is None else max(end - time.monotonic(), 0)
        with driver.changed:
            if not driver.changed.wait_for(lambda: driver.rests, left):
                raise TimeoutError("the answer is being made again")
