"""Fetching what finished tasks have returned, from workers that may be gone or keep it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from dask_verify.engine import fetching
from dask_verify.engine.fetching import results


@dataclass(eq=False)
class Client:
    """A client whose fetches wait for alice's worker for ever: it is gone, or only silent."""

    gone: bool
    fetched: list[tuple[list[str], float]] = field(default_factory=list)

    def gather(self, futures: list[Any], asynchronous: bool) -> list[Any]:
        return futures

    def sync(self, gather: Any, callback_timeout: float) -> list[bytes]:
        futures = gather()
        self.fetched.append(([f.key for f in futures], callback_timeout))
        from_alice = [f for f in futures if f.key.startswith("alice")]
        if not from_alice:
            return [f.key.encode() for f in futures]
        for future in from_alice:
            future.status = "lost" if self.gone else "finished"
        raise TimeoutError


@dataclass(eq=False)
class Future:
    key: str
    client: Client
    status: str = "finished"


def landings(client: Client) -> list[Any]:
    return [
        (domain, Future(f"{domain}-{i}", client))
        for i, domain in enumerate(("alice", "bob", "alice"))
    ]


def test_what_went_with_its_worker_is_not_waited_for_a_second_time() -> None:
    client = Client(gone=True)
    alice, bob, again = results(landings(client))
    assert bob == b"bob-1"
    assert isinstance(alice, ConnectionError)
    assert isinstance(again, ConnectionError)
    assert client.fetched == [
        (["alice-0", "bob-1", "alice-2"], fetching._AT_ONCE),
        (["bob-1"], fetching._GATHER),
    ]


def test_who_keeps_its_results_is_given_time_of_its_own() -> None:
    client = Client(gone=False)
    alice, bob, again = results(landings(client))
    assert bob == b"bob-1"
    assert isinstance(alice, TimeoutError)
    assert isinstance(again, TimeoutError)
    assert client.fetched[1:] == [
        (["alice-0", "alice-2"], fetching._GATHER),
        (["bob-1"], fetching._GATHER),
    ]
