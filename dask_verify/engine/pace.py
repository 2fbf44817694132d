"""How long anybody may take: from what the policy says, and from how long tasks have taken.

* Whoever takes longer is late. That proves nothing; it only lets others do the work.
* No wait is without an end, not even that for the first task of a job.
"""

from __future__ import annotations

import statistics
from collections import defaultdict, deque
from dataclasses import dataclass, field

from dask_verify.engine.patience import RATE

_SLACK = 10  #: times what tasks took by the median after which one is late
_UNKNOWN = 120  #: times the floor that a task is given when none has told how long they take
_FEW = 3  #: times the floor that a task is given while only so few have done one as may be faulty
_SOON = 3  #: what needs no computing is given one in so many parts of the floor
_REMEMBERED = 500  #: durations of each stage and domain, the latest

Took = dict[str, dict[str, deque[float]]]  #: by stage and domain


@dataclass
class Pace:
    """What is known of how long things take in one job.

    Parameters
    ----------
    deadline : float, optional
        Seconds a task may take, as the policy says; None: derived from what others took.
    floor : float
        Least seconds where it is derived.
    faults : int, optional
        How many domains may be faulty: so many may claim to be as fast as they like.

    Examples
    --------
    >>> pace = Pace(None, floor=30)
    >>> pace.limit("map"), pace.absence(others=True)
    (3600, 10.0)
    >>> pace.note("map", "alice", 0.1)
    >>> pace.limit("map")
    90
    >>> pace.note("map", "bob", 7.0)
    >>> pace.limit("map"), pace.limit("reduce")
    (70.0, 71.0)
    """

    deadline: float | None
    floor: float
    faults: int = 1
    _took: Took = field(default_factory=lambda: defaultdict(lambda: defaultdict(_recent)))

    def note(self, stage: str, domain: str, seconds: float) -> None:
        """Note how long a task took that was done, its wait behind others of its domain included.

        Parameters
        ----------
        stage : str
            Name of the stage.
        domain : str
            Who has done it.
        seconds : float
            How long it took.
        """
        self._took[stage][domain].append(seconds)

    def limit(self, stage: str) -> float:
        """Return the seconds after which a task of a stage is late.

        Parameters
        ----------
        stage : str
            Name of the stage.

        Returns
        -------
        float
        """
        if self.deadline is not None:
            return self.deadline
        medians = sorted(statistics.median(took) for took in self._by_domain(stage))
        if not medians:
            return max(self.floor, self._first())
        if len(medians) <= self.faults:
            # Perhaps none of them has computed anything.
            return max(_FEW * self.floor, _SLACK * medians[-1])
        # One of those that are at least as fast as this is not faulty.
        said = medians[self.faults]
        if len(medians) <= 2 * self.faults:
            # But who says it may be, and be slower each time by what it was given the last time.
            said = min(said, max(_FEW * self.floor, _SLACK * medians[self.faults - 1]))
        return max(self.floor, _SLACK * said)

    @property
    def soon(self) -> float:
        """Seconds for what needs no computing: a small answer, or a worker that is started."""
        return self.floor / _SOON

    def absence(self, others: bool) -> float:
        """Return the seconds after which a task is late whose domain has had no worker meanwhile.

        A worker that is started again must be back by then. Without workers of other domains
        either, it is more likely their way to us that is broken.

        Parameters
        ----------
        others : bool
            Whether another domain has workers.

        Returns
        -------
        float
        """
        least = self.soon if others else self.floor
        return least if self.deadline is None else min(least, self.deadline)

    def holder(self, holders: int) -> float:
        """Return the seconds that a task waits for each of those who have what it reads.

        It asks one after the other, and must not be late itself where all are silent but the last.

        Parameters
        ----------
        holders : int
            Of how many it may have to ask, of one partition.

        Returns
        -------
        float
        """
        least = self.floor if self.deadline is None else min(self.floor, self.deadline)
        return least / max(_SOON, holders + 1)

    def answer(self, nbytes: int) -> float:
        """Return the seconds that a worker has to answer a question with some bytes.

        Some functions keep a worker from answering anybody for as long as they run.

        Parameters
        ----------
        nbytes : int
            Bytes of the question and its answer.

        Returns
        -------
        float
        """
        known = self._known()
        busy = statistics.median(known) if known else self.floor
        return min(self.soon + busy, self.floor) + nbytes / RATE

    def own(self, stage: str) -> float:
        """Return the seconds that a process of the coordinator has to compute a task, twice.

        Parameters
        ----------
        stage : str
            Name of the stage.

        Returns
        -------
        float
        """
        return max(self.floor, 2 * self.limit(stage))

    def _first(self) -> float:
        """Return what a stage is given of which nothing has come back.

        One of its tasks hardly takes longer than all those of another stage together.
        """
        known, unknown = self._known(), _UNKNOWN * self.floor
        if not known:
            return unknown
        return min(_SLACK * sum(known), max(unknown, _SLACK * statistics.median(known)))

    def _known(self) -> list[float]:
        """Return what tasks of any stage took."""
        return [s for stage in list(self._took) for took in self._by_domain(stage) for s in took]

    def _by_domain(self, stage: str) -> list[list[float]]:
        """Return what tasks of a stage took; other threads ask too, so it is copied at once."""
        return [list(took) for took in list(self._took.get(stage, {}).values())]


def _recent() -> deque[float]:
    return deque(maxlen=_REMEMBERED)
