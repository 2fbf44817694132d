"""Fetching what finished futures of Dask clients hold."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any

from dask.typing import Key
from distributed import Future

Landing = tuple[str, Future]  #: with the domain that was asked

_GATHER = 10.0  #: seconds for fetching small results of one domain
_AT_ONCE = 3.0  #: seconds for fetching those of all domains at once, which is only quicker


def results(landings: Sequence[Landing]) -> list[bytes | BaseException]:
    """Return what finished futures hold: bytes, or why there are none.

    Everything is fetched at once; if that fails, or somebody does not hand over what it said it
    had, then domain by domain, so that no domain stands in another's way.

    Parameters
    ----------
    landings : sequence of Landing
        Domains, each with a future that is done.

    Returns
    -------
    list of bytes or BaseException
    """
    found: dict[Key, Any] = {}
    ready = list(filter(_there, landings))
    for together in _groups(ready, lambda domain, future: future.client):
        try:
            found |= _fetched(together, _AT_ONCE)
        except Exception:
            # What was lost with its worker is waited for by Dask until somebody makes it again.
            there = list(filter(_there, together))
            for own in _groups(there, lambda domain, future: domain):
                found |= _singly(own)
    return [found[f.key] if f.key in found else _failure(f) for _, f in landings]


def _there(landing: Landing) -> bool:
    return bool(landing[1].status == "finished")


def _groups(
    landings: Sequence[Landing], by: Callable[[str, Future], Any]
) -> Iterable[list[Landing]]:
    groups: dict[Any, list[Landing]] = defaultdict(list)
    for landing in landings:
        groups[by(*landing)].append(landing)
    return groups.values()


def _fetched(landings: list[Landing], seconds: float) -> dict[Key, Any]:
    futures = [future for _, future in landings]
    client = futures[0].client
    # Dask sets no limit to a worker that has a result and does not send it.
    gather = partial(client.gather, futures, asynchronous=True)
    values = client.sync(gather, callback_timeout=seconds)
    return {f.key: v for f, v in zip(futures, values, strict=True)}


def _singly(landings: list[Landing]) -> dict[Key, Any]:
    """Fetch the results of one domain; one by one if some of them are lost."""
    try:
        return _fetched(landings, _GATHER)
    except TimeoutError as error:
        return {future.key: error for _, future in landings}
    except Exception as error:
        # Whatever went wrong on the way is a task without an answer, never a crash here.
        if len(landings) == 1:
            return {landings[0][1].key: error}
    return {key: v for landing in landings for key, v in _singly([landing]).items()}


def _failure(future: Future) -> BaseException:
    error = future.exception() if future.status == "error" else None
    return error if error is not None else ConnectionError(f"{future.key} is {future.status}")
