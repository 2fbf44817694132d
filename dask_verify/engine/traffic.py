"""What all jobs of this process have under way at the same workers, where they queue together.

What other processes have there is not known; `Policy(deadline=...)` makes room for it.
"""

from __future__ import annotations

import threading
from collections.abc import Hashable, Mapping
from typing import NamedTuple, Protocol
from weakref import WeakSet


class Queued(NamedTuple):
    """What is under way at one place.

    Parameters
    ----------
    longest : float
        Seconds after which one of its tasks is late, of the one that has longest.
    together : float
        The same of all of them, added up.
    heard : float
        When an answer came from there last, on a monotonic clock.
    """

    longest: float = 0.0
    together: float = 0.0
    heard: float = float("-inf")


class Job(Protocol):
    """Somebody who has tasks under way."""

    def underway(self) -> Mapping[Hashable, Queued]:
        """Return what is under way, by place; called from any thread.

        Returns
        -------
        mapping of Hashable to Queued
        """


class Traffic:
    """Jobs, and what they have under way.

    Examples
    --------
    >>> class Other:
    ...     def underway(self):
    ...         return {("tcp://10.0.0.1:8786", "alice"): Queued(30.0, 120.0, 7.0)}
    >>> traffic, other = Traffic(), Other()
    >>> traffic.join(other)
    >>> traffic.beside(None)
    {('tcp://10.0.0.1:8786', 'alice'): Queued(longest=30.0, together=120.0, heard=7.0)}
    >>> traffic.beside(other)
    {}
    """

    def __init__(self) -> None:
        self._jobs: WeakSet[Job] = WeakSet()
        # Jobs are begun in one thread while others look at who there is.
        self._lock = threading.Lock()

    def join(self, job: Job) -> None:
        """Add a job; it leaves by itself.

        Parameters
        ----------
        job : Job
            The job.
        """
        with self._lock:
            self._jobs.add(job)

    def beside(self, job: Job | None) -> dict[Hashable, Queued]:
        """Return what all other jobs have under way, by place.

        Parameters
        ----------
        job : Job or None
            Who asks.

        Returns
        -------
        dict of Hashable to Queued
        """
        found: dict[Hashable, Queued] = {}
        with self._lock:
            others = list(self._jobs)
        for other in others:
            for place, queued in other.underway().items() if other is not job else ():
                one = found.get(place, Queued())
                found[place] = Queued(
                    max(one.longest, queued.longest),
                    one.together + queued.together,
                    max(one.heard, queued.heard),
                )
        return found


#: The jobs of this process.
TRAFFIC = Traffic()
