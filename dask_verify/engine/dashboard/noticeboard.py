"""What a scheduler keeps of what it is told about jobs: a bounded amount, whoever tells it.

* The latest `JOBS` jobs are kept; of more, the one goes that was not heard of for the longest time.
* Of each job, at most `POINTS` moments of its progress; of more, every second one goes.
* Totals never fall, as counters of Prometheus must not: what a job takes back is not taken off. Nor
  is anything added twice of a job that is not kept meanwhile, as long as `COUNTED` others are not.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any

from dask_verify.engine.dashboard.notices import STANDINGS, Notice, read_notice
from dask_verify.engine.dashboard.summary import RUNNING
from dask_verify.protocol.messages import MAP, REDUCE, Standing

JOBS = 20  #: that are kept
COUNTED = 1000  #: jobs besides, of which it is remembered what was counted of them
POINTS = 120  #: moments of one job that are kept
SILENCE = 90.0  #: seconds without news after which nobody says that a job still runs
UNHEARD = "unheard"  #: the status of a running job then


@dataclass
class Kept:
    """One job.

    Parameters
    ----------
    notice : Notice
        The latest.
    seen, heard : float
        When it was heard of first and last, in seconds since 1970.
    history : list of (float, int, int)
        Seconds since `seen`, and accepted partitions of ``map`` and of ``reduce``.
    counted : dict
        The most that was counted of everything.
    """

    notice: Notice
    seen: float
    heard: float
    history: list[tuple[float, int, int]] = field(default_factory=list)
    counted: dict[tuple[str, str], int] = field(default_factory=dict)

    def status(self, now: float) -> str:
        """Return how the job is, as far as anybody can know by now.

        Parameters
        ----------
        now : float
            Seconds since 1970.

        Returns
        -------
        str
            As the latest notice has it, or `UNHEARD`.
        """
        silent = self.notice.status == RUNNING and now - self.heard > SILENCE
        return UNHEARD if silent else self.notice.status

    def hear(self, notice: Notice, now: float) -> Counter[tuple[str, str]]:
        """Take a newer notice; return by how much the counts have grown.

        Parameters
        ----------
        notice : Notice
            The notice.
        now : float
            Seconds since 1970.

        Returns
        -------
        Counter
            As `Noticeboard.totals` has it; without what has not grown.
        """
        self.notice, self.heard = notice, now
        counts = notice.counted()
        grown = Counter({k: n - self.counted.get(k, 0) for k, n in counts.items()})
        self.counted |= {k: max(n, self.counted.get(k, 0)) for k, n in counts.items()}
        done = notice.progress[MAP][0], notice.progress[REDUCE][0]
        if not self.history or self.history[-1][1:] != done:
            # A clock may be set back; time in a picture runs in one direction.
            since = max(now - self.seen, self.history[-1][0] if self.history else 0.0)
            self.history.append((since, *done))
        if len(self.history) > POINTS:
            self.history = [*self.history[:-1:2], self.history[-1]]
        return +grown

    def to_dict(self, now: float) -> dict[str, Any]:
        """Return what is known of the job, for JSON.

        Parameters
        ----------
        now : float
            Seconds since 1970.

        Returns
        -------
        dict
        """
        notice = self.notice
        return {
            "job": notice.job,
            "status": self.status(now),
            "seen": self.seen,
            "heard": self.heard,
            "replicas": notice.replicas,
            "audited": notice.audited,
            "progress": {stage: list(share) for stage, share in notice.progress.items()},
            "divergences": dict(notice.divergences),
            "audits": dict(notice.audits),
            "standing": dict(notice.standing),
            "history": [list(point) for point in self.history],
        }


class Noticeboard:
    """The jobs that a scheduler has heard of.

    Attributes
    ----------
    totals : Counter
        What was counted since the scheduler started, by what it is and its label.

    Examples
    --------
    >>> board = Noticeboard()
    >>> board.put("no notice", ["alice"], now=0.0)
    Traceback (most recent call last):
        ...
    dask_verify.errors.InputError: notice: expected a dict, got str
    >>> board.jobs()
    []
    """

    def __init__(self) -> None:
        self._kept: dict[str, Kept] = {}
        self._counted: dict[str, dict[tuple[str, str], int]] = {}
        self.totals: Counter[tuple[str, str]] = Counter()

    def put(self, raw: Any, known: Collection[str], now: float) -> None:
        """Take what somebody sent.

        Parameters
        ----------
        raw : object
        known : collection of str
            The domains of the scheduler.
        now : float
            Seconds since 1970.

        Raises
        ------
        InputError
            If it is no notice.
        """
        notice = read_notice(raw, known)
        # The order of the dict is that in which jobs were heard of last.
        counted = self._counted.pop(notice.job, {})
        kept = self._kept.pop(notice.job, None) or Kept(notice, now, now, counted=counted)
        self._kept[notice.job] = kept
        self.totals += kept.hear(notice, now)
        if len(self._kept) > JOBS:
            oldest = next(iter(self._kept))
            self._counted[oldest] = self._kept.pop(oldest).counted
        if len(self._counted) > COUNTED:
            del self._counted[next(iter(self._counted))]

    def jobs(self) -> list[Kept]:
        """Return the jobs that are kept, those first that were heard of first last.

        Returns
        -------
        list of Kept
        """
        return sorted(self._kept.values(), key=lambda kept: kept.seen, reverse=True)

    def standing(self) -> dict[str, str]:
        """Return the worst standing of each domain in any of these jobs.

        Returns
        -------
        dict of str to str
        """
        worst: dict[str, str] = {}
        for kept in self._kept.values():
            for name, found in kept.notice.standing.items():
                worst[name] = max(worst.get(name, found), found, key=STANDINGS.index)
        return worst

    def number_of(self, standing: Standing) -> int:
        """Return how many domains stand so at worst.

        Parameters
        ----------
        standing : Standing
            How.

        Returns
        -------
        int
        """
        return sum(found == standing.value for found in self.standing().values())
