"""What reducers are told about where to find their input."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from dask_verify.core.canonical import decode
from dask_verify.core.seal import Commitment
from dask_verify.engine.launch import Launcher

ACCEPTED = Commitment(b"job", "map", 0, "alice", b"in", 1, 1, 1, (1,), 1, b"", b"r" * 32)
WORKERS = {"alice": ["tcp://alice:1"], "bob": ["tcp://bob:1"]}
CLAIMED = [("alice", "tcp://alice:1"), ("bob", "tcp://somewhere.else:80")]


def holders(connected: bool, domain: str) -> Any:
    driver: Any = SimpleNamespace(
        plan=SimpleNamespace(job=b"job", maps=1),
        pool=SimpleNamespace(connected=connected, workers=lambda: WORKERS),
        reader=SimpleNamespace(where=lambda task: iter(CLAIMED)),
        state=SimpleNamespace(accepted=lambda task: ACCEPTED),
    )
    nothing: Any = None
    ((commitment, found),) = decode(Launcher(driver, nothing, nothing)._table(domain))
    assert Commitment.from_bytes(commitment) == ACCEPTED
    return found


def test_only_addresses_of_a_domains_own_workers_are_told() -> None:
    assert holders(connected=True, domain="bob") == (("alice", "tcp://alice:1"),)


@pytest.mark.parametrize(("domain", "found"), [("alice", (CLAIMED[0],)), ("bob", ())])
def test_holders_on_another_cluster_are_out_of_reach(domain: str, found: Any) -> None:
    assert holders(connected=False, domain=domain) == found
