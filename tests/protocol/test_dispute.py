"""Arbitration: what is asked, what is believed, and whom the recomputation contradicts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from dask_verify.core.canonical import encode_records
from dask_verify.core.seal import INPUT, SealedPartition
from dask_verify.protocol.dispute import (
    AskLeaves,
    AskNodes,
    Query,
    Recompute,
    Recomputed,
    arbitrate,
)
from dask_verify.protocol.messages import MAP, REDUCE, Finding, Task
from dask_verify.protocol.quorum import Claim
from dask_verify.testing.simulation.enrolment import make_plan
from dask_verify.testing.simulation.partitions import commit, partition
from dask_verify.testing.simulation.refereeing import recompute, serve

PLAN = make_plan("a", "b")
M0, R0 = Task(MAP, 0), Task(REDUCE, 0)


def claim(task: Task, domain: str, salt: str = "", lie: str = "") -> Claim:
    return Claim(domain, commit(PLAN, task, domain, b"i", salt, lie))


@dataclass
class Court:
    """Two sides with their stores; records every question."""

    task: Task
    stores: dict[str, SealedPartition]
    referee: Callable[[Recompute], Recomputed] | None = None
    refusing: tuple[str, ...] = ()
    log: list[Query] = field(default_factory=list)
    hashes: int = 0

    def settle(
        self, one: Claim, other: Claim, may_recompute: bool = True, vouched: bool = True
    ) -> Finding:
        steps = arbitrate(self.task, one, other, may_recompute, vouched)
        answer: Any = None
        try:
            while True:
                query = steps.send(answer)
                self.log.append(query)
                answer = self.answer(query)
        except StopIteration as stop:
            finding: Finding = stop.value
            return finding

    def answer(self, query: Query) -> Any:
        if isinstance(query, Recompute):
            return self.referee(query) if self.referee else honest(query)
        if query.request.domain in self.refusing:
            return None
        answer = serve(self.stores[query.request.domain], query)
        self.hashes += 32 * len(answer) if isinstance(query, AskNodes) else 0
        return answer

    @property
    def recomputed(self) -> list[int | None]:
        return [q.unit for q in self.log if isinstance(q, Recompute)]


def honest(query: Recompute) -> Recomputed:
    return Recomputed((recompute(PLAN, query, b"i"),) * 2)


def court(task: Task, lie: str = "", **options: Any) -> tuple[Court, Claim, Claim]:
    """Domain a is honest, b lies."""
    stores = {"a": partition(PLAN, task), "b": partition(PLAN, task, "lie", lie)}
    return Court(task, stores, **options), claim(task, "a"), claim(task, "b", "lie", lie)


def first_difference(one: SealedPartition, other: SealedPartition) -> int:
    """The slow, obvious way."""
    return next(i for i, (x, y) in enumerate(zip(one.leaves, other.leaves, strict=True)) if x != y)


@pytest.mark.parametrize("task", [M0, R0])
def test_the_differing_unit_is_located_and_recomputed_alone(task: Task) -> None:
    bench, right, wrong = court(task)
    finding = bench.settle(right, wrong)
    index = first_difference(bench.stores["a"], bench.stores["b"])
    unit = index % bench.stores["a"].units if task.stage == MAP else index
    assert finding.units == (unit,)
    assert bench.recomputed == [unit]
    assert finding.wrong == {wrong.digest}
    assert finding.cause == task.stage
    assert not finding.read


@pytest.mark.parametrize("swapped", [False, True])
def test_the_sample_shows_the_record_of_each_side_in_their_order(swapped: bool) -> None:
    bench, right, wrong = court(R0)
    sides = (wrong, right) if swapped else (right, wrong)
    sample = bench.settle(*sides).sample
    assert sample is not None
    texts = (sample.one, sample.other)
    assert ["lie" in text for text in texts] == [s is wrong for s in sides]
    assert sample.record == 0


def test_inputs_that_nobody_vouches_for_are_not_given_to_the_referee() -> None:
    bench, right, wrong = court(M0)
    finding = bench.settle(right, wrong, vouched=False)
    assert bench.recomputed == [None]
    assert finding.wrong == {wrong.digest}


def test_without_recomputation_a_divergence_is_only_located() -> None:
    bench, right, wrong = court(M0)
    finding = bench.settle(right, wrong, may_recompute=False)
    assert finding.units
    assert finding.wrong == frozenset()
    assert bench.recomputed == []


def test_reads_that_differ_name_the_unit_and_are_settled_by_a_whole_recomputation() -> None:
    bench, right, wrong = court(M0, "misread")
    finding = bench.settle(right, wrong)
    assert (finding.cause, finding.units, finding.read) == ("read", (1,), True)
    assert bench.recomputed == [None]
    assert finding.wrong == {wrong.digest}
    assert all(q.request.tree == INPUT for q in bench.log if isinstance(q, AskNodes))


def test_a_claim_of_another_shape_is_settled_by_a_whole_recomputation() -> None:
    bench, right, wrong = court(M0, "misshapen")
    finding = bench.settle(right, wrong)
    assert finding.wrong == {wrong.digest}
    assert bench.recomputed == [None]
    assert finding.units == (2,)  # the unit too many


@pytest.mark.parametrize("refusing", [("a",), ("b",), ("a", "b")])
@pytest.mark.parametrize("task", [M0, R0])
def test_refusing_to_descend_does_not_pay_and_does_not_convict(
    task: Task, refusing: tuple[str, ...]
) -> None:
    bench, right, wrong = court(task, refusing=refusing)
    finding = bench.settle(right, wrong)
    assert bench.recomputed == [None]
    assert finding.wrong == {wrong.digest}


def test_hashes_that_contradict_the_signed_root_count_as_a_refusal() -> None:
    bench, right, wrong = court(M0)
    bench.stores["b"] = partition(PLAN, M0)  # serves what it did not sign
    finding = bench.settle(right, wrong)
    assert bench.recomputed == [None]
    assert finding.wrong == {wrong.digest}


def test_leaves_that_contradict_the_signed_root_are_not_believed() -> None:
    bench, right, wrong = court(M0)
    true_answer = bench.answer

    def lying(query: Query) -> Any:
        answer = true_answer(query)
        if isinstance(query, AskLeaves) and query.request.tree == INPUT:
            return replace(answer, leaves=(b"poisoned input",))
        return answer

    bench.answer = lying  # type: ignore[method-assign]
    finding = bench.settle(right, wrong)
    assert bench.recomputed == [None]
    assert finding.wrong == {wrong.digest}


def test_a_unit_input_that_one_side_withholds_is_opened_from_the_other() -> None:
    bench, right, wrong = court(M0)
    true_answer = bench.answer

    def withholding(query: Query) -> Any:
        leaves = isinstance(query, AskLeaves)
        return None if leaves and query.request.domain == "a" else true_answer(query)

    bench.answer = withholding  # type: ignore[method-assign]
    assert bench.settle(right, wrong).wrong == {wrong.digest}
    assert bench.recomputed == [first_difference(*bench.stores.values()) % 2]


def test_both_sides_wrong_are_both_contradicted() -> None:
    stores = {n: partition(PLAN, R0, n) for n in "ab"}
    one, other = claim(R0, "a", "a"), claim(R0, "b", "b")
    assert Court(R0, stores).settle(one, other).wrong == {one.digest, other.digest}


def test_runs_of_a_unit_that_differ_make_the_referee_unstable() -> None:
    def unstable(query: Recompute) -> Recomputed:
        return Recomputed((partition(PLAN, R0).leaves[:1], (b"else",)))

    bench, right, wrong = court(R0, referee=unstable)
    finding = bench.settle(right, wrong)
    assert not finding.stable
    assert finding.wrong == frozenset()


@pytest.mark.parametrize(("lie", "cause"), [("", "map"), ("misread", "read")])
@pytest.mark.parametrize("source_ok", [True, False])
def test_runs_of_a_partition_that_differ_say_whether_they_read_differently(
    lie: str, cause: str, source_ok: bool
) -> None:
    def unstable(query: Recompute) -> Recomputed:
        one = recompute(PLAN, query, b"i")
        own = partition(PLAN, M0, "other", lie)
        other = replace(
            one,
            commitment=own.commit(b"job", *M0, "coordinator", b"i"),
            input_hashes=tuple(own.input_tree.leaf_hashes),
        )
        return Recomputed((one, other), source_ok)

    bench, right, wrong = court(M0, refusing=("a", "b"), referee=unstable)
    finding = bench.settle(right, wrong)
    assert (finding.stable, finding.cause, finding.source_ok) == (False, cause, source_ok)


@pytest.mark.parametrize(("source_ok", "cause"), [(True, "map"), (False, "read")])
def test_a_source_that_changed_may_explain_runs_of_which_nobody_sees_what_they_read(
    source_ok: bool, cause: str
) -> None:
    """Where the unit is the whole partition there is no input root, and so no input hash."""

    def unstable(query: Recompute) -> Recomputed:
        one = replace(recompute(PLAN, query, b"i"), input_hashes=())
        own = partition(PLAN, M0, "other")
        other = replace(one, commitment=own.commit(b"job", *M0, "coordinator", b"i"))
        return Recomputed((one, other), source_ok)

    bench, right, wrong = court(M0, refusing=("a", "b"), referee=unstable)
    finding = bench.settle(right, wrong)
    assert (finding.stable, finding.cause) == (False, cause)


def test_a_referee_that_cannot_recompute_decides_nothing() -> None:
    bench, right, wrong = court(M0, referee=lambda q: Recomputed((), failure="no access"))
    finding = bench.settle(right, wrong)
    assert (finding.wrong, finding.failure) == (frozenset(), "no access")
    assert bench.recomputed == [finding.units[0], None]


def test_a_changed_source_is_passed_on() -> None:
    def changed(query: Recompute) -> Recomputed:
        return replace(honest(query), source_ok=False)

    bench, right, wrong = court(M0, "misread", referee=changed)
    assert not bench.settle(right, wrong).source_ok


def test_buckets_that_do_not_exist_are_settled_by_a_whole_recomputation() -> None:
    big = {n: replace(partition(PLAN, R0), buckets=9, leaves=tuple(
        encode_records([(i, n if i == 8 else "")]) for i in range(9))) for n in "ab"}  # fmt: skip
    claims = [Claim(n, replace(s.commit(b"job", *M0, n, b"i"), units=1)) for n, s in big.items()]
    claims = [Claim(c.domain, replace(c.commitment, input_root=b"r" * 32)) for c in claims]

    def one_column(query: Recompute) -> Recomputed:
        return honest(replace(query, unit=None)) if query.unit is None else Recomputed(((b"",),))

    bench = Court(M0, big, one_column)
    true_answer = bench.answer

    def opened(query: Query) -> Any:
        return None if isinstance(query, AskLeaves) else true_answer(query)

    bench.answer = opened  # type: ignore[method-assign]
    assert bench.settle(*claims).wrong == {c.digest for c in claims}


def test_a_million_rows_cost_less_than_64_kib_of_hashes() -> None:
    units, buckets = 1_000, 64
    leaves = [b"%d" % i for i in range(units * buckets)]
    sealed = {}
    for name in "ab":
        if name == "b":
            leaves[12_345] = b"lie"
        sealed[name] = SealedPartition(
            buckets,
            units,
            1_000_000,
            (1_000_000,),
            tuple(leaves),
            tuple(map(bytes, [b"i"] * units)),
        )
    right, wrong = (Claim(n, s.commit(b"job", *M0, n, b"i")) for n, s in sealed.items())

    def column(query: Recompute) -> Recomputed:
        assert query.unit is not None
        return Recomputed((sealed["a"].leaves[query.unit :: units],) * 2)

    bench = Court(M0, sealed, column)
    finding = bench.settle(right, wrong)
    assert finding.units == (12_345 % units,)
    assert finding.wrong == {wrong.digest}
    assert bench.hashes < 64 << 10


# --- samples --------------------------------------------------------------------------------


def test_a_record_that_cannot_be_shown_does_not_stop_an_arbitration(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def broken(leaf: bytes) -> Any:
        raise RecursionError("a liar's record")

    monkeypatch.setattr("dask_verify.protocol.records.decode_leaf", broken)
    bench, right, wrong = court(R0)
    assert bench.settle(right, wrong).wrong == {wrong.digest}
