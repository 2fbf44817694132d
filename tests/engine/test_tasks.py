"""Tasks check what reached them before they use it: it may have come through another's worker."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from dask_verify.core.canonical import decode, encode
from dask_verify.core.seal import digest
from dask_verify.engine import tasks
from dask_verify.engine.tasks import FAILED, Order, run_map, run_reduce

FUNCTIONS = b"not even a pickle"
TABLE = encode(())
ORDER = Order(b"job", b"inputs", digest("functions", FUNCTIONS), "alice", 0, digest("table", TABLE))


@pytest.fixture
def unshipped(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """Functions that were unpickled; the worker is alice's."""
    seen: list[bytes] = []
    alice = SimpleNamespace(domain="alice", delay=lambda *where: None, saboteur=None)
    monkeypatch.setattr(tasks, "this_side", lambda: alice)
    monkeypatch.setattr(tasks, "unship", lambda data: seen.append(data))
    return seen


def failure(answer: bytes) -> str:
    what, text = decode(answer)
    assert what == FAILED
    return str(text)


def test_other_functions_than_ordered_are_not_unpickled(unshipped: list[bytes]) -> None:
    other = run_map(ORDER.to_bytes(), FUNCTIONS + b"!", [])
    assert "functions: expected" in failure(other)
    assert unshipped == []


def test_an_order_for_another_domain_is_refused(unshipped: list[bytes]) -> None:
    order = replace(ORDER, domain="bob").to_bytes()
    assert "domain: expected 'bob', got 'alice'" in failure(run_map(order, FUNCTIONS, []))
    assert unshipped == []


def test_another_table_than_ordered_is_refused(unshipped: list[bytes]) -> None:
    other: Any = encode(((b"commitment", ()),))
    answer = run_reduce(ORDER.to_bytes(), FUNCTIONS, other, encode(()))
    assert "table of accepted maps: expected" in failure(answer)
