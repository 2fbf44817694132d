"""Reading the answer: it takes no longer than the user is willing to wait."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from types import SimpleNamespace
from typing import Any

import pytest

from dask_verify.core.canonical import encode_records
from dask_verify.core.seal import Commitment
from dask_verify.engine import handle, result
from dask_verify.engine.handle import Job
from dask_verify.engine.reader import UnservedError
from dask_verify.errors import InconclusiveError, InputError, JobCancelledError
from dask_verify.protocol.messages import REDUCE, Task, Verdict

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
    for module in (handle, result):
        monkeypatch.setattr(module, "time", clock)
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


@pytest.mark.parametrize("timeout", ["1", b"1", float("nan"), [1]])
def test_a_timeout_that_is_none_is_refused(monkeypatch: pytest.MonkeyPatch, timeout: Any) -> None:
    job, _ = answered(monkeypatch)
    for ask in (job.result, Job.wait.__get__(job)):
        with pytest.raises(InputError, match="timeout: expected seconds"):
            ask(timeout)


# --- answers that are replaced -----------------------------------------------------------------


class Changing(Reading):
    """Something is found out while some partition is read: from then on, all has other roots."""

    def __init__(self, clock: Clock, at: int, serves_old: bool) -> None:
        super().__init__(clock)
        self.at, self.serves_old, self.version = at, serves_old, 0

    def accepted(self, task: Task) -> Commitment:
        return replace(COMMITMENT, partition=task.partition, root=bytes([self.version]) * 32)

    def chunks(self, commitment: Commitment, start: int, stop: int, what: str) -> Iterator[Any]:
        version = commitment.root[0]
        if not self.version and commitment.partition == self.at:
            self.version = 1
            if not self.serves_old:
                raise UnservedError(Task(REDUCE, commitment.partition))
        for _ in super().chunks(commitment, start, stop, what):
            yield [encode_records([(commitment.partition, version)])]


@pytest.mark.parametrize("serves_old", [True, False])
@pytest.mark.parametrize("at", range(PARTITIONS))
def test_what_is_replaced_while_it_is_read_is_read_anew(
    monkeypatch: pytest.MonkeyPatch, at: int, serves_old: bool
) -> None:
    """Never the old answer, nor parts of both, nor a wait for what nobody is to serve any more."""
    job, reader = answered(monkeypatch)
    changing = Changing(reader.clock, at, serves_old)
    job._driver.reader = changing  # type: ignore[assignment]
    job._driver.state.accepted = changing.accepted  # type: ignore[method-assign]
    job._driver.state.holders = lambda task: ["alice"]  # type: ignore[method-assign]
    job._driver.changed = threading.Condition()
    assert job.result() == [(i, 1) for i in range(PARTITIONS) for _ in range(CHUNKS)]


def withdrawn(job: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(job._driver, "finished", SimpleNamespace(verdict=Verdict.INCONCLUSIVE))


def crashed(job: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(job._driver, "crash", "a traceback")


def cancelled(job: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(job, "_cancelled", True)


@pytest.mark.parametrize("read", ["result", "save", "to_collection"])
@pytest.mark.parametrize("at", range(1, PARTITIONS * CHUNKS + 1))
@pytest.mark.parametrize("lose", [withdrawn, crashed, cancelled])
def test_an_answer_that_is_lost_while_it_is_read_is_none(
    monkeypatch: pytest.MonkeyPatch, lose: Any, at: int, read: str
) -> None:
    """What is accepted stays as it was: that alone does not make it the answer."""
    job, reader = answered(monkeypatch)
    chunks = reader.chunks

    def loses(*asked: Any) -> Iterator[Any]:
        for chunk in chunks(*asked):
            if reader.read == at:
                lose(job, monkeypatch)
            yield chunk

    monkeypatch.setattr(reader, "chunks", loses)
    monkeypatch.setattr(reader, "where", lambda task: iter(()), raising=False)
    monkeypatch.setattr(job, "_refusal", lambda verdict: InconclusiveError(verdict.value, None))
    monkeypatch.setattr(job, "_notary", SimpleNamespace(receipt=lambda: None))
    lost = JobCancelledError if lose is cancelled else InconclusiveError
    monkeypatch.setattr(job._driver, "resumable", False, raising=False)
    ask = {"save": lambda: job.save("nothing.jsonl")}.get(read, getattr(job, read))
    with pytest.raises(lost):
        ask()


@pytest.mark.parametrize(("timeout", "given"), [(None, None), (5.5, 5.0), (100.0, 94.0)])
def test_a_job_that_is_busy_may_take_its_time_to_say_that_the_answer_stands(
    monkeypatch: pytest.MonkeyPatch, timeout: float | None, given: float | None
) -> None:
    """Without a limit as long as it takes; with one what is left, and five seconds at least."""
    job, _ = answered(monkeypatch)
    asked: list[float | None] = []

    def look(take: Callable[[], Any], timeout: float | None) -> Any:
        asked.append(timeout)
        return take()

    monkeypatch.setattr(job._driver, "look", look)
    job.result(timeout)
    assert asked[-1] == given


def test_a_job_that_is_busy_for_too_long_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    job, _ = answered(monkeypatch)

    def look(take: Callable[[], Any], timeout: float | None) -> Any:
        raise TimeoutError("its thread is busy")

    monkeypatch.setattr(job._driver, "look", look)
    with pytest.raises(TimeoutError, match="in time, but its thread is busy; call result"):
        job.result(timeout=9)


def test_holders_that_never_serve_take_no_longer_than_there_is_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    job, reader = answered(monkeypatch)

    def never(*asked: Any) -> Iterator[Any]:
        reader.clock.now += 1
        raise UnservedError(Task(REDUCE, 0))

    reader.chunks = never  # type: ignore[method-assign]
    job._driver.state.holders = lambda task: ["alice"]  # type: ignore[method-assign]
    job._driver.changed = threading.Condition()
    with pytest.raises(TimeoutError, match="made again"):
        job.result(timeout=10.5)
    assert reader.clock.now == 1011


def test_a_collection_knows_where_each_partition_is_when_all_of_it_is_known(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What a worker has lost meanwhile, and the coordinator made again, is carried after all."""
    job, reader = answered(monkeypatch)
    held = {0: ("alice", "tcp://alice"), 2: ("bob", "tcp://bob")}
    chunks = reader.chunks

    def loses(*asked: Any) -> Iterator[Any]:
        held.pop(0, None)
        return chunks(*asked)

    monkeypatch.setattr(reader, "chunks", loses)
    where = lambda task: iter([held[task.partition]] if task.partition in held else [])  # noqa: E731
    monkeypatch.setattr(reader, "where", where, raising=False)
    found = job._reading(None).carried()
    assert [(bool(h.workers), len(h.leaves)) for h in found] == [(False, 2), (False, 2), (True, 0)]
