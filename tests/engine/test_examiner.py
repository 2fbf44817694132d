"""What is opened, recomputed and counted for audits, and what is believed of it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from dask_verify.core.canonical import encode_records
from dask_verify.core.merkle import BLAKE3
from dask_verify.core.seal import Answer, Columns, Commitment, Opening
from dask_verify.engine.examiner import Examiner
from dask_verify.engine.reader import GoneError
from dask_verify.engine.referee import Referee
from dask_verify.execution.compute import map_partition
from dask_verify.execution.work import Work, ship
from dask_verify.protocol.domain import COORDINATOR
from dask_verify.protocol.messages import MAP, REDUCE, Audited, Challenge, Recount, Task, Unaudited
from dask_verify.protocol.quorum import Claim

WORK = Work(
    "bag",
    lambda n: [(n % 3, n)],
    lambda key, values: sum(values),
    None,
    buckets=4,
    partitions=2,
    unit_records=5,
)
SEALED = map_partition(WORK, 0, list(range(20)))
COMMITMENT = SEALED.commit(b"job", MAP, 0, "alice", b"inputs")
TASK = Task(MAP, 0)


class Holder:
    """A reader whose only holder has one sealed partition, and may refuse or lie."""

    def __init__(self) -> None:
        self.sealed, self.refuses = SEALED, ""

    def columns(self, request: Columns, what: str) -> Columns | None:
        if self.refuses == "columns":
            return None
        columns = self.sealed.columns(request)
        columns.verify(request)
        return columns

    def openings(self, requests: list[Opening], what: str) -> list[Opening] | None:
        return None if self.refuses == "inputs" else [self.sealed.open(r) for r in requests]

    def sections(self, ranges: list[Any], what: str) -> list[Any]:
        return [SimpleNamespace(leaves=self.sealed.leaves[a:b]) for _, a, b in ranges]


def challenge(units: tuple[int, ...] = (1, 3), domain: str = "bob") -> Challenge:
    return Challenge(TASK, b"inputs", COMMITMENT.digest, "units", units, "alice", domain)


@pytest.fixture
def holder() -> Holder:
    return Holder()


def examiner(holder: Holder, commitment: Commitment = COMMITMENT, work: Work = WORK) -> Examiner:
    def of(digest: bytes) -> Claim | None:
        return Claim("alice", commitment) if digest == commitment.digest else None

    def ranges(partition: int, inputs: bytes) -> Iterator[tuple[Commitment, int, int]]:
        half = commitment.size // 2
        yield commitment, partition * half, (partition + 1) * half

    return Examiner(
        plan=SimpleNamespace(job=b"job"),  # type: ignore[arg-type]
        work=work,
        shipped=ship(work),
        source=None,  # type: ignore[arg-type]
        state=SimpleNamespace(  # type: ignore[arg-type]
            state=lambda task: SimpleNamespace(ballot=SimpleNamespace(of=of), inputs=b"inputs")
        ),
        reader=holder,  # type: ignore[arg-type]
        referee=Referee(),
        ranges=ranges,
    )


def test_a_question_is_what_the_units_were_computed_from(holder: Holder) -> None:
    question = examiner(holder).question(challenge())
    assert question is not None
    assert question.payloads == ((1, SEALED.inputs[1]), (3, SEALED.inputs[3]))
    columns = [[SEALED.leaves[b * 4 + c] for b in range(4)] for c in (1, 3)]
    assert question.expected == tuple(BLAKE3.leaf(leaf) for column in columns for leaf in column)
    assert question.digests == tuple(BLAKE3.leaf(SEALED.inputs[c]) for c in (1, 3))


@pytest.mark.parametrize("what", ["columns", "inputs"])
def test_nothing_is_asked_of_what_its_holder_does_not_open(holder: Holder, what: str) -> None:
    holder.refuses = what
    assert examiner(holder).question(challenge()) is None


def test_what_was_replaced_is_gone(holder: Holder) -> None:
    with pytest.raises(GoneError):
        examiner(holder).question(replace(challenge(), digest=b"another"))


def test_the_coordinator_computes_all_units_in_one_process(holder: Holder) -> None:
    audit = examiner(holder)
    starts: list[object] = []
    run = audit.referee.run
    audit.referee.run = lambda *given: (starts.append(given), run(*given))[1]  # type: ignore[method-assign]
    mine = challenge((0, 1, 3), COORDINATOR)
    question = audit.question(mine)
    assert question is not None
    event = audit.own(mine, question)
    assert isinstance(event, Audited)
    answer = Answer.from_bytes(event.wire)
    assert (answer.hashes, answer.questions) == (question.expected, question.digests)
    assert answer.domain == COORDINATOR
    assert len(starts) == 1


def test_the_coordinator_says_when_the_function_fails(holder: Holder) -> None:
    audit = examiner(holder, work=replace(WORK, mapper=lambda n: 1 // 0))
    mine = challenge(domain=COORDINATOR)
    question = audit.question(mine)
    assert question is not None
    event = audit.own(mine, question)
    assert isinstance(event, Unaudited)
    assert event.failed
    assert "ZeroDivisionError" in event.reason


def recounted(holder: Holder, counts: tuple[int, ...]) -> tuple[tuple[int, ...], int]:
    audit = examiner(holder, replace(COMMITMENT, counts=counts))
    event = audit.recount(Recount(Task(REDUCE, 1), b"inputs"))
    return event.maps, event.consumed


def test_records_are_counted_where_numbers_differ(holder: Holder) -> None:
    own, other = SEALED.counts
    assert recounted(holder, (own, other)) == ((), other)
    assert recounted(holder, (own + 1, other)) == ((), other)  # another partition's
    assert recounted(holder, (own, other + 1)) == ((0,), other)
    assert recounted(holder, (own, 0)) == (((0,) if other else ()), other)


def test_cells_that_are_none_make_any_number_false(holder: Holder) -> None:
    leaves = (*SEALED.leaves[:-1], b"no records")
    holder.sealed = replace(SEALED, leaves=leaves)
    assert recounted(holder, SEALED.counts) == ((0,), 0)
    holder.sealed = replace(SEALED, leaves=(encode_records([]),) * SEALED.buckets * SEALED.units)
    assert recounted(holder, (0, 0)) == ((), 0)
