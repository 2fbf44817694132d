"""Reading the answer: it takes no longer than the user is willing to wait."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from types import SimpleNamespace
from typing import Any

import pytest

from dask_verify.core.canonical import encode_records
from dask_verify.core.seal import Commitment
from dask_verify.engine import handle
from dask_verify.engine.handle import Job
from dask_verify.protocol.messages import REDUCE, Verdict

PARTITIONS, CHUNKS = 3, 2
COMMITMENT = Commitment(
    b"job", REDUCE, 0, "alice", b"in", CHUNKS, 1, 1, (CHUNKS,), CHUNKS, b"", b"r" * 32
)


@dataclass
class Clock:
    """A time that passes only while something is read."""

    now: float = 1000.0

    def monotonic(self) -> float:
        return self.now


class Reading:
    """Reads chunks of one leaf each, and takes a second for each."""

    def __init__(self, clock: Clock) -> None:
        self.clock, self.read = clock, 0

    def chunks(self, commitment: Commitment, start: int, stop: int, what: str) -> Iterator[Any]:
        for leaf in range(start, stop):
            self.read += 1
            self.clock.now += 1
            yield [encode_records([(commitment.partition, leaf)])]


def answered(monkeypatch: pytest.MonkeyPatch) -> tuple[Job, Reading]:
    """A job that has a verdict, and nothing of its answer read."""
    clock = Clock()
    monkeypatch.setattr(handle, "time", clock)
    reader = Reading(clock)
    driver: Any = SimpleNamespace(
        plan=SimpleNamespace(job=b"job", reduces=PARTITIONS),
        work=SimpleNamespace(kind="bag", types=(), meta=None),
        reader=reader,
        state=SimpleNamespace(accepted=lambda task: replace(COMMITMENT, partition=task.partition)),
        catch_up=lambda seconds: None,
        look=lambda take, timeout: take(),
        resting=True,
        finished=None,
        crash="",
        leave=lambda: None,
    )
    nothing: Any = None
    job = Job(driver, [], nothing)
    monkeypatch.setattr(job, "wait", lambda timeout: Verdict.AGREED)
    return job, reader


@pytest.mark.parametrize("chunks", range(1, PARTITIONS * CHUNKS))
def test_reading_ends_when_the_time_is_over(monkeypatch: pytest.MonkeyPatch, chunks: int) -> None:
    """Between partitions as within one."""
    job, reader = answered(monkeypatch)
    with pytest.raises(TimeoutError, match="call result") as caught:
        job.result(timeout=chunks - 0.5)
    assert reader.read == chunks
    assert f"partition {chunks // CHUNKS} " in str(caught.value)


@pytest.mark.parametrize("timeout", [None, PARTITIONS * CHUNKS - 0.5])
def test_what_is_read_in_time_is_returned(
    monkeypatch: pytest.MonkeyPatch, timeout: float | None
) -> None:
    """What takes too long only at its very end is there, after all."""
    job, _ = answered(monkeypatch)
    assert job.result(timeout) == [(i, leaf) for i in range(PARTITIONS) for leaf in range(CHUNKS)]
