"""A holder of sealed partitions that is asked by another worker, and what it has."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from dask_verify.core.seal import OUTPUT, Opening, SealedPartition, asked
from dask_verify.engine import asking, patience
from dask_verify.protocol.domain import Identity
from dask_verify.protocol.serving import answers, requested

SERVED = SealedPartition(4, 2, 8, (8,), tuple(b"cell %d" % i for i in range(8)))
SECTIONS = [
    asked(SERVED.commit(b"job", "map", 0, "alice", b"in"), OUTPUT, i, i + 1, "alice")
    for i in range(8)
]


def lie(request: Opening) -> Opening:
    return replace(SERVED.open(request), leaves=(bytes(1000),))


class Holder:
    """A worker that is asked for sections, and takes its time."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, seconds: float, serve: Any) -> None:
        self.identity = Identity.generate("alice")
        self.asked, self._now, self._seconds, self._serve = 0, 0.0, seconds, serve
        monkeypatch.setattr(asking, "get_worker", lambda: SimpleNamespace(loop=None))
        monkeypatch.setattr(asking, "sync", lambda loop, function: asyncio.run(function()))
        monkeypatch.setattr(asking, "_opened", self._opened)
        monkeypatch.setattr(patience, "time", SimpleNamespace(monotonic=lambda: self._now))

    async def _opened(self, worker: Any, address: str, request: bytes) -> bytes:
        self.asked += 1
        self._now += self._seconds
        return answers(self._serve(requested(request, 100)), self.identity)
