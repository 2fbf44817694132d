"""Asking for a domain's workers: who is slow to say it is waited for once, not at every look."""

from __future__ import annotations

import threading
from concurrent.futures import Future
from types import SimpleNamespace
from typing import Any

import pytest

from dask_verify.engine.courier import pool as module
from dask_verify.engine.courier.courier import Courier
from dask_verify.engine.courier.pool import CourierPool


def test_who_has_not_answered_is_not_waited_for_again(monkeypatch: pytest.MonkeyPatch) -> None:
    replies: list[Future[Any]] = []

    def ask(*asked: Any, **how: Any) -> Future[Any]:
        replies.append(Future())
        return replies[-1]

    ready = SimpleNamespace(done=lambda: True, exception=lambda: None)
    courier: Any = object.__new__(Courier)
    courier._lock, courier._looking, courier._closed = threading.Lock(), None, False
    courier.workers, courier._reason = ["tcp://known:1"], ""
    courier._line = SimpleNamespace(reason="", ready=ready, ask=ask)
    pool: Any = object.__new__(CourierPool)
    pool._couriers = {"bob": courier}
    waited: list[int] = []
    monkeypatch.setattr(module, "wait", lambda replies, timeout: waited.append(len(replies)))

    assert pool.workers() == pool.workers() == {"bob": ["tcp://known:1"]}
    assert (waited, len(replies)) == ([1, 0], 1)
    replies[0].set_result((None, b"tcp://new:1"))
    assert pool.workers() == {"bob": ["tcp://new:1"]}
    assert waited == [1, 0, 1]
