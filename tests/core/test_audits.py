"""Columns and answers: round trips, mutations, and what malformed ones are told."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dask_verify.core.canonical import encode
from dask_verify.core.merkle import BLAKE3
from dask_verify.core.seal import (
    Answer,
    Columns,
    Commitment,
    SealedPartition,
    asked_columns,
    map_question,
    reduce_question,
)
from dask_verify.errors import DecodingError, ProofError

ROOT = b"r" * 32
ANSWER = Answer(b"j", "map", 3, "bob", b"i", (2, 5), (ROOT, ROOT), (ROOT,) * 8, ())
COLUMNS = Columns(b"j", "map", 1, "a", ROOT, 4, 3, (0, 2), (ROOT,) * 8, (ROOT,))


def sealed(buckets: int, units: int) -> SealedPartition:
    leaves = tuple(f"{b},{c}".encode() for b in range(buckets) for c in range(units))
    return SealedPartition(buckets, units, 5, (1, 2), leaves)


def committed(partition: SealedPartition, stage: str = "map") -> Commitment:
    return partition.commit(b"j", stage, 1, "a", b"i")


def hashes(*names: str) -> tuple[bytes, ...]:
    return tuple(BLAKE3.leaf(name.encode()) for name in names)


@given(st.integers(1, 6), st.integers(1, 6), st.data())
def test_every_choice_of_map_units_opens_and_verifies(
    buckets: int, units: int, data: st.DataObject
) -> None:
    partition = sealed(buckets, units)
    chosen = sorted(data.draw(st.sets(st.integers(0, units - 1), min_size=1)))
    request = asked_columns(committed(partition), chosen, "a")
    columns = Columns.from_bytes(partition.columns(request).to_bytes())
    columns.verify(request)
    for c in chosen:
        assert columns.of(c) == hashes(*(f"{b},{c}" for b in range(buckets)))


@given(st.integers(1, 20), st.data())
def test_every_choice_of_buckets_opens_and_verifies(buckets: int, data: st.DataObject) -> None:
    partition = sealed(buckets, 1)
    chosen = sorted(data.draw(st.sets(st.integers(0, buckets - 1), min_size=1)))
    request = asked_columns(committed(partition, "reduce"), chosen, "a")
    assert request.indices == tuple(chosen)
    columns = Columns.from_bytes(partition.columns(request).to_bytes())
    columns.verify(request)
    assert [columns.of(b) for b in chosen] == [hashes(f"{b},0") for b in chosen]


def test_the_only_unit_of_a_map_partition_is_all_of_it() -> None:
    partition = sealed(3, 1)
    request = asked_columns(committed(partition), [0], "a")
    assert request.indices == (0, 1, 2)
    assert partition.columns(request).of(0) == hashes("0,0", "1,0", "2,0")


def test_columns_may_be_verified_by_whoever_has_only_the_commitment() -> None:
    partition = sealed(104, 98)
    request = asked_columns(committed(partition), [41], "a")
    answer = partition.columns(Columns.from_bytes(request.to_bytes())).to_bytes()
    Columns.from_bytes(answer).verify(request)
    assert len(answer) < 104 * 98 * 32 / 5


def mutants(columns: Columns) -> list[Columns]:
    changed = []
    for f in fields(columns):
        value = getattr(columns, f.name)
        changed += [replace(columns, **{f.name: other}) for other in _others(value)]
    assert len(changed) > 20
    return changed


def _others(value: Any) -> list[Any]:
    if isinstance(value, int):
        return [value + 1, value - 1, 2**62]
    if isinstance(value, tuple):
        first = (
            value[0] + 1 if isinstance(value[0], int) else bytes([value[0][0] ^ 1]) + value[0][1:]
        )
        return [value[:-1], (*value, value[-1]), (first, *value[1:]), value[::-1], ()]
    return [value + (b"x" if isinstance(value, bytes) else "x")]


def test_every_mutation_of_columns_is_refused() -> None:
    partition = sealed(4, 3)
    request = asked_columns(committed(partition), [0, 2], "a")
    for mutant in mutants(partition.columns(request)):
        with pytest.raises(ProofError):
            mutant.verify(request)


@pytest.mark.parametrize("what", ["root", "units"])
def test_true_columns_of_something_else_are_refused(what: str) -> None:
    """Their proofs are good: they only answer another question."""
    asked = asked_columns(committed(sealed(4, 3)), [0], "a")
    lie = SealedPartition(4, 3, 5, (1, 2), tuple(b"%d" % i for i in range(12)))
    other = (
        asked_columns(committed(lie), [0], "a") if what == "root" else replace(asked, units=(1,))
    )
    answer = (lie if what == "root" else sealed(4, 3)).columns(other)
    answer.verify(other)
    with pytest.raises(ProofError, match=f"columns, {what}"):
        answer.verify(asked)


def test_columns_of_another_partition_of_the_same_shape_are_refused() -> None:
    mine, other = sealed(4, 3), replace(sealed(4, 3), leaves=tuple(b"%d" % i for i in range(12)))
    request = asked_columns(committed(mine), [1], "a")
    with pytest.raises(ProofError, match="Merkle root"):
        other.columns(request).verify(request)


@pytest.mark.parametrize(
    "change", [{"buckets": 5}, {"width": 4, "units": (3,)}, {"buckets": 2**50}]
)
def test_a_request_for_another_shape_is_refused_before_any_work(change: dict[str, Any]) -> None:
    partition = sealed(4, 3)
    request = replace(asked_columns(committed(partition), [1], "a"), **change)
    with pytest.raises(ProofError, match="shape"):
        partition.columns(request)


def test_a_claimed_number_of_buckets_makes_no_work() -> None:
    liar = replace(committed(sealed(4, 3)), buckets=2**60, units=2)
    request = asked_columns(liar, [1], "a")
    with pytest.raises(ProofError, match="number of leaf hashes"):
        replace(request, hashes=(ROOT,)).verify(request)


@pytest.mark.parametrize("unit", [-1, 0, 2, 4, None])
def test_there_is_no_column_that_was_not_asked_for(unit: Any) -> None:
    partition = sealed(4, 4)
    columns = partition.columns(asked_columns(committed(partition), [1, 3], "a"))
    with pytest.raises(ProofError, match=r"unit: expected .one of"):
        columns.of(unit)


@pytest.mark.parametrize(
    ("stage", "units"),
    [
        ("map", []),
        ("map", [1, 1]),
        ("map", [1, 0]),
        ("map", [3]),
        ("map", [-1]),
        ("map", [True]),
        ("reduce", [0]),
        ("commit", [0]),
    ],
)
def test_units_that_are_not_there_cannot_be_asked_for(stage: str, units: list[int]) -> None:
    commitment = replace(committed(sealed(4, 3)), stage=stage)
    with pytest.raises(ProofError):
        asked_columns(commitment, units, "a")
    with pytest.raises(DecodingError):
        Columns.from_bytes(replace(COLUMNS, stage=stage, units=tuple(units)).to_bytes())


def test_a_reduce_partition_has_as_many_units_as_buckets() -> None:
    commitment = committed(sealed(4, 1), "reduce")
    with pytest.raises(ProofError, match=r"units: expected .an int from 0 to 3., got 4"):
        asked_columns(commitment, [4], "a")


# Strict decoding.

ANSWERS = st.builds(
    Answer,
    st.binary(max_size=9),
    st.sampled_from(["read", "map", "reduce"]),
    st.integers(0, 2**63 - 1),
    st.text(max_size=5),
    st.binary(max_size=9),
    st.just((0, 7)),
    st.tuples(*[st.binary(min_size=32, max_size=32)] * 2),
    st.lists(st.binary(min_size=32, max_size=32), max_size=4).map(tuple),
    st.lists(st.integers(0, 2**63 - 1), max_size=3).map(tuple),
)


@given(ANSWERS)
def test_answers_come_back_as_they_were(answer: Answer) -> None:
    assert Answer.from_bytes(answer.to_bytes()) == answer


@pytest.mark.parametrize("record", [ANSWER, COLUMNS], ids=["answer", "columns"])
@pytest.mark.parametrize("at", range(10))
@pytest.mark.parametrize(
    "value",
    [None, -1, True, 2**63, 1.0, [], (-1,), (True,), (2**63,), (b"short",), ("text" * 8,), ((),)],
    ids=repr,
)
def test_a_field_of_another_type_or_range_is_refused(
    record: Answer | Columns, at: int, value: Any
) -> None:
    values = [getattr(record, f.name) for f in fields(record)]
    if at < len(values):
        values[at] = value
        with pytest.raises(DecodingError):
            type(record).from_bytes(encode(tuple(values)))


@pytest.mark.parametrize(
    "data", [b"", b"x", encode(()), encode(tuple(range(9))), ANSWER.to_bytes()]
)
def test_what_is_no_record_is_refused(data: bytes) -> None:
    with pytest.raises(DecodingError):
        Columns.from_bytes(data)
    with pytest.raises(DecodingError):
        Answer.from_bytes(data + b"x")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"stage": "commit"}, "'read', 'map' or 'reduce'"),
        ({"questions": (ROOT,)}, "one question for each unit"),
        ({"units": ()}, "one question for each unit"),
        ({"hashes": (b"",)}, "hashes of 32 bytes"),
        ({"questions": (ROOT, ROOT + b"x")}, "hashes of 32 bytes"),
    ],
)
def test_an_inconsistent_answer_is_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(DecodingError, match=message):
        Answer.from_bytes(replace(ANSWER, **change).to_bytes())


@pytest.mark.parametrize("name", ["root", "hashes", "proof"])
@pytest.mark.parametrize("value", [b"", ROOT[1:], ROOT + b"x"])
def test_columns_with_hashes_of_another_length_are_refused(name: str, value: bytes) -> None:
    changed = value if name == "root" else (value,)
    with pytest.raises(DecodingError, match="hashes of 32 bytes"):
        Columns.from_bytes(replace(COLUMNS, **{name: changed}).to_bytes())


def test_more_cells_than_a_tree_may_have_are_refused() -> None:
    with pytest.raises(DecodingError, match="number of cells"):
        Columns.from_bytes(replace(COLUMNS, buckets=2**40, width=2**40).to_bytes())


def test_questions_tell_inputs_apart() -> None:
    parts = [[b"ab"], [b"a", b"b"], [b"a", b"b", b""], [b"b", b"a"], []]
    assert len({reduce_question(cells) for cells in parts}) == len(parts)
    assert reduce_question([b"a"]) == reduce_question((b"a",)) != map_question(b"a")
    # An input root is made of the questions, so an opened input is proven and asked as one.
    tree = replace(sealed(1, 1), inputs=(b"a",)).input_tree
    assert tree.leaf_hashes == [map_question(b"a")]
