"""Fetching what finished futures of Dask clients hold, from domains that may keep it."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Sequence
from typing import Any

from dask.typing import Key
from distributed import Future

from dask_verify.engine.compat import gathered, waited

Landing = tuple[str, Future]  #: with the domain that was asked

_GATHER = 10.0  #: seconds for fetching small results of one domain
_AT_ONCE = 3.0  #: seconds for fetching those of all domains at once, which is only quicker
_LEAST = 0.5  #: seconds that a domain has however much it has taken: it may have recovered
_PROMPT = 2.0  #: seconds that a fetch may take without being held against anybody, if it works
_FORGIVEN = 1 / 60  #: seconds of what was taken that are forgiven each second


class Fetcher:
    """Fetches results, and has less and less time for a domain that it waits for in vain.

    Who waits is the thread that starts all tasks of a job: a domain that finishes one every few
    seconds, and does not hand it over, would have it to itself. Time is counted rather than
    failures: who hands over everything, but late, holds the thread up as well.
    """

    def __init__(self) -> None:
        self._taken: dict[Hashable, tuple[float, float]] = {}  # seconds, and when that was so

    def results(self, landings: Sequence[Landing]) -> list[bytes | BaseException]:
        """Return what finished futures hold: bytes, or why there are none.

        Everything that a client has is fetched at once; if that fails, or has just been slow,
        then domain by domain, so that no domain stands in another's way.

        Parameters
        ----------
        landings : sequence of Landing
            Domains, each with a future that is done.

        Returns
        -------
        list of bytes or BaseException
        """
        found: dict[Key, Any] = {}
        ready = [landing for landing in landings if landing[1].status == "finished"]
        for client, own in _groups(ready, lambda domain, future: future.client).items():
            found |= self._of_client(client, own)
        return [_answer(future, found) for _, future in landings]

    def _of_client(self, client: Any, landings: list[Landing]) -> dict[Key, Any]:
        domains = _groups(landings, lambda domain, future: domain)
        prompt = [domain for domain in domains if not self._owed(domain)]
        found: dict[Key, Any] | None = None
        if len(prompt) > 1 and not self._owed(client):
            found = self._at_once(client, [one for domain in prompt for one in domains[domain]])
        if found is None:
            found, prompt = {}, []
        for domain, own in domains.items():
            found |= self._own(domain, own) if domain not in prompt else {}
        return found

    def _at_once(self, client: Any, landings: list[Landing]) -> dict[Key, Any] | None:
        began = time.monotonic()
        try:
            found = _fetched(landings, _AT_ONCE)
        except Exception:
            found = None  # whose fault that is, shows where each is asked by itself
        # Nobody knows who was slow: for a while, each is asked by itself.
        self._count(client, began, failed=found is None)
        return found

    def _own(self, domain: str, landings: list[Landing]) -> dict[Key, Any]:
        began = time.monotonic()
        found = _singly(landings, began + max(_LEAST, _GATHER - self._owed(domain) / 2))
        failed = any(isinstance(value, BaseException) for value in found.values())
        self._count(domain, began, failed)
        return found

    def _owed(self, who: Hashable) -> float:
        seconds, at = self._taken.get(who, (0.0, 0.0))
        return max(0.0, seconds - (time.monotonic() - at) * _FORGIVEN)

    def _count(self, who: Hashable, began: float, failed: bool) -> None:
        took = time.monotonic() - began
        if failed or took > _PROMPT:
            owed = min(self._owed(who) + took, 2 * _GATHER)
            self._taken[who] = (owed, time.monotonic())


def _groups(
    landings: Iterable[Landing], by: Callable[[str, Future], Any]
) -> dict[Any, list[Landing]]:
    groups: dict[Any, list[Landing]] = defaultdict(list)
    for landing in landings:
        groups[by(*landing)].append(landing)
    return groups


def _fetched(landings: list[Landing], seconds: float) -> dict[Key, Any]:
    """Fetch what is not lost; what is, is not among it."""
    futures = [future for _, future in landings]
    # Dask sets no limit to a worker that has a result and does not send it.
    found: dict[Key, Any] = waited(futures[0].client, gathered, futures, seconds=seconds)
    return found


def _singly(landings: list[Landing], until: float) -> dict[Key, Any]:
    """Fetch the results of one domain; one by one if that fails, and all of them until then."""
    try:
        left = until - time.monotonic()
        if left <= 0:
            raise TimeoutError("its domain took all the time for its other results")
        return _fetched(landings, left)
    except TimeoutError as error:
        return {future.key: error for _, future in landings}
    except Exception as error:
        # Whatever went wrong on the way is a task without an answer, never a crash here.
        if len(landings) == 1:
            return {landings[0][1].key: _on_the_way(landings[0][1], error)}
    return {key: v for landing in landings for key, v in _singly([landing], until).items()}


def _answer(future: Future, found: dict[Key, Any]) -> Any:
    if future.status == "error":
        return _raised(future)
    lost = ConnectionError(f"{future.key} is not handed over: it is {future.status}")
    return found.get(future.key, lost)


def _raised(future: Future) -> BaseException:
    """Return what a task raised: that alone may say that a function failed."""
    try:
        error: BaseException | None = future.exception(timeout=_AT_ONCE)
    except Exception as on_the_way:
        error = _on_the_way(future, on_the_way)
    return error or ConnectionError(f"{future.key} failed, and nobody says how")


def _on_the_way(future: Future, error: Exception) -> OSError:
    """Return an error that says nothing about the function."""
    if isinstance(error, OSError):
        return error
    # Only its name: whoever made it may have made one that cannot be shown.
    lost = ConnectionError(f"{future.key} is not handed over: {type(error).__name__}")
    lost.__cause__ = error
    return lost
