"""Who has kept us waiting: asked after others, and for a while not at all where others serve.

Nobody is suspected or exposed by what is noted here. It orders and delays what a domain is asked.

* An answer wipes nothing out, only time does: a hostile domain would answer what is small, and be
  silent where it hurts.
* Waits for a domain that overlap are one silence: several threads wait at once, and what holds up
  one of its workers for a moment often holds up all.
"""

from __future__ import annotations

import time
from collections import defaultdict, deque
from collections.abc import Sequence
from threading import Lock

#: Seconds for which a worker is asked for nothing more after its domain's first silence.
FIRST = 60.0
MOST = 16 * FIRST  #: the same at the most: it doubles with each further one
FORGOTTEN = 3600.0  #: seconds after which a wait does not count any more
_COUNTED = 16  #: waits of each kind, the latest
_TWICE = 2  #: silences of a domain after which what only it can answer is not asked either
_HOPELESS = 4  #: silences after which a domain does not serve whatever it is not asked for


class Grudges:
    """What is held against domains that let us wait for nothing."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._until: dict[tuple[str, str], float] = {}
        self._silences: dict[str, deque[float]] = defaultdict(_recent)
        self._named: dict[str, deque[float]] = defaultdict(_recent)
        self._drags: dict[str, deque[float]] = defaultdict(_recent)

    def silent(self, domain: str, address: str, began: float, named: bool = False) -> None:
        """Note that a worker has kept us waiting, and for nothing.

        A domain may name any address, also that of another domain's worker.

        Parameters
        ----------
        domain, address : str
            Which worker, and of which domain.
        began : float
            When it was asked, on a monotonic clock.
        named : bool, optional
            Whether nobody else can answer, see `bars`.
        """
        with self._lock:
            for kind in [self._silences, self._named][: 1 + named]:
                if not kind[domain] or kind[domain][-1] <= began:
                    kind[domain].append(time.monotonic())
            again = _count(self._silences[domain]) - 1
            self._until[domain, address] = time.monotonic() + min(FIRST * 2**again, MOST)

    def dragged(self, domain: str) -> None:
        """Note that a domain served something, but longer than anybody is waited for patiently.

        That may be honest, so its workers are asked as before, only after those of others.

        Parameters
        ----------
        domain : str
            Name of the domain.
        """
        with self._lock:
            self._drags[domain].append(time.monotonic())

    def bars(self, domain: str, address: str, named: bool = False) -> bool:
        """Whether a worker is not asked now.

        Where nobody else can answer, to ask nothing is to hold its silence against the domain. So
        what is asked of one domain by its name is asked in spite of a first silence, and however
        often the domain was silent where others could be asked.

        Parameters
        ----------
        domain, address : str
            Which worker, and of which domain.
        named : bool, optional
            Whether nobody else can answer.

        Returns
        -------
        bool
        """
        with self._lock:
            barred = time.monotonic() < self._until.get((domain, address), 0)
            return barred and (not named or _count(self._named[domain]) >= _TWICE)

    def order(self, domains: Sequence[str]) -> list[str]:
        """Return some domains, those first who have kept us waiting least often.

        Parameters
        ----------
        domains : sequence of str
            Their names.

        Returns
        -------
        list of str
        """
        with self._lock:
            return sorted(domains, key=lambda d: _count(self._silences[d]) + _count(self._drags[d]))

    def hopeless(self, domain: str) -> bool:
        """Whether a domain counts as not serving what it was not asked for any more.

        Parameters
        ----------
        domain : str
            Name of the domain.

        Returns
        -------
        bool
        """
        with self._lock:
            return _count(self._silences[domain]) >= _HOPELESS


def _recent() -> deque[float]:
    return deque(maxlen=_COUNTED)


def _count(times: deque[float]) -> int:
    """Return how many of some times are not forgotten."""
    now = time.monotonic()
    return sum(now - then < FORGOTTEN for then in times)
