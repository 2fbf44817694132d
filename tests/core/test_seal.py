"""Sealed partitions, commitments and openings: round trips and mutations."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dask_verify.core.canonical import encode
from dask_verify.core.seal import (
    INPUT,
    OUTPUT,
    Commitment,
    Opening,
    SealedPartition,
    asked,
    digest,
)
from dask_verify.errors import DecodingError, ProofError

WHOLE = st.integers(0, 2**63 - 1)
ROOT = st.binary(min_size=32, max_size=32)
COMMITMENTS = st.builds(
    Commitment,
    st.binary(max_size=9),
    st.sampled_from(["map", "reduce"]),
    WHOLE,
    st.text(max_size=5),
    st.binary(max_size=9),
    st.integers(0, 2**31),
    st.integers(0, 2**31),
    WHOLE,
    st.lists(WHOLE, max_size=4).map(tuple),
    WHOLE,
    ROOT | st.just(b""),
    ROOT,
)
ONE = Commitment(b"j", "map", 0, "a", b"i", 2, 3, 9, (4, 5), 99, b"n" * 32, b"r" * 32)
FIELDS = [f for f in fields(ONE) if f.init]


def sealed(buckets: int, units: int) -> SealedPartition:
    leaves = tuple(f"{b},{c}".encode() for b in range(buckets) for c in range(units))
    return SealedPartition(
        buckets, units, 5, (1, 2), leaves, tuple(b"in%d" % c for c in range(units))
    )


@given(COMMITMENTS)
def test_commitments_come_back_as_they_were(commitment: Commitment) -> None:
    assert Commitment.from_bytes(commitment.to_bytes()) == commitment


def test_a_true_opening_of_something_else_is_refused() -> None:
    """Its proof is good: it only answers another question."""
    own, lie = sealed(2, 2), replace(sealed(2, 2), leaves=(b"1", b"2", b"3", b"4"))
    wanted, other = (
        asked(one.commit(b"j", "map", 0, "a", b"i"), OUTPUT, 1, 3, "a") for one in (own, lie)
    )
    answer = lie.open(other)
    answer.verify(other)
    with pytest.raises(ProofError, match="opening, root"):
        answer.verify(wanted)


@pytest.mark.parametrize(
    ("change", "same"),
    [
        ({"buckets": 3}, False),
        ({"units": 2}, False),
        ({"records_in": 8}, False),
        ({"counts": (4, 6)}, False),
        ({"counts": (5, 4)}, False),
        ({"nbytes": 98}, False),
        ({"input_root": b"m" * 32}, False),
        ({"root": b"s" * 32}, False),
        ({"job": b"k"}, True),
        ({"domain": "b"}, True),
        ({"partition": 1}, True),
        ({"inputs": b"h"}, True),
    ],
    ids=str,
)
def test_replicas_are_compared_by_each_of_these(change: dict[str, Any], same: bool) -> None:
    assert (replace(ONE, **change).digest == ONE.digest) is same


@given(COMMITMENTS, COMMITMENTS)
def test_the_digest_covers_shape_counts_and_roots_and_nothing_else(
    one: Commitment, other: Commitment
) -> None:
    compared = ("buckets", "units", "records_in", "counts", "nbytes", "input_root", "root")
    same = all(getattr(one, n) == getattr(other, n) for n in compared)
    assert (one.digest == other.digest) is same
    free = {f.name: getattr(other, f.name) for f in FIELDS if f.name not in compared}
    assert replace(one, **free).digest == one.digest


@pytest.mark.parametrize("at", range(12))
@pytest.mark.parametrize("value", [None, -1, True, 2**63, 1.0, (-1,), (True,), (2**63,), [], ()])
def test_a_field_of_another_type_or_range_is_refused(at: int, value: Any) -> None:
    values = [getattr(ONE, f.name) for f in FIELDS]
    if value == () and isinstance(values[at], tuple):
        return  # the only fitting pair: no counts at all
    values[at] = value
    with pytest.raises(DecodingError):
        Commitment.from_bytes(encode(tuple(values)))


@pytest.mark.parametrize("name", ["root", "input_root"])
@pytest.mark.parametrize("length", [1, 31, 33])
def test_roots_of_another_length_are_refused(name: str, length: int) -> None:
    with pytest.raises(DecodingError, match="32 bytes"):
        Commitment.from_bytes(replace(ONE, **{name: bytes(length)}).to_bytes())


def test_more_cells_than_a_tree_may_have_are_refused() -> None:
    with pytest.raises(DecodingError, match="fewer cells"):
        Commitment.from_bytes(replace(ONE, buckets=2**40, units=2**40).to_bytes())


def test_an_enormous_number_is_refused_without_being_printed() -> None:
    with pytest.raises(DecodingError, match="nbytes"):
        Commitment.from_bytes(replace(ONE, nbytes=10**9000).to_bytes())


@pytest.mark.parametrize("data", [b"", b"x", encode(()), encode(tuple(range(11))), encode("text")])
def test_what_is_no_record_is_refused(data: bytes) -> None:
    for kind in (Commitment, Opening):
        with pytest.raises(DecodingError):
            kind.from_bytes(data)


@given(st.integers(1, 5), st.integers(1, 5), st.data())
def test_every_range_opens_and_verifies(buckets: int, units: int, data: st.DataObject) -> None:
    partition = sealed(buckets, units)
    commitment = partition.commit(b"j", "map", 0, "a", b"i")
    tree, size = data.draw(st.sampled_from([(OUTPUT, buckets * units), (INPUT, units)]))
    start = data.draw(st.integers(0, size - 1))
    stop = data.draw(st.integers(start + 1, size))
    request = asked(commitment, tree, start, stop, "a")
    opening = Opening.from_bytes(partition.open(request).to_bytes())
    opening.verify(request)
    assert opening.leaves == (partition.leaves if tree == OUTPUT else partition.inputs)[start:stop]


def test_a_unit_is_a_column_and_a_bucket_a_row() -> None:
    partition = sealed(3, 2)
    assert partition.leaves[1::2] == (b"0,1", b"1,1", b"2,1")
    assert partition.leaves[2:4] == (b"1,0", b"1,1")


def mutations(opening: Opening) -> list[Opening]:
    changed = [
        replace(opening, **{f.name: value})
        for f in fields(opening)
        for value in _others(getattr(opening, f.name))
    ]
    assert len(changed) > 15
    return changed


def _others(value: Any) -> list[Any]:
    if isinstance(value, int):
        return [value + 1, max(0, value - 1)] if value else [value + 1]
    if isinstance(value, tuple):
        flipped = (bytes([value[0][0] ^ 1]) + value[0][1:], *value[1:])
        return [value[:-1], (*value, value[-1]), flipped, ()]
    return [value + (b"x" if isinstance(value, bytes) else "x")]


def test_every_mutation_of_an_opening_is_refused() -> None:
    partition = sealed(4, 3)
    request = asked(partition.commit(b"j", "map", 1, "a", b"i"), OUTPUT, 4, 7, "a")
    for mutant in mutations(partition.open(request)):
        with pytest.raises(ProofError):
            mutant.verify(request)


def test_what_rotted_is_noticed_although_its_hashes_are_remembered() -> None:
    partition = sealed(2, 2)
    request = asked(partition.commit(b"j", "map", 1, "a", b"i"), OUTPUT, 0, 2, "a")
    assert partition.output_tree.root == request.root
    object.__setattr__(partition, "leaves", (b"rot", *partition.leaves[1:]))
    with pytest.raises(ProofError):
        partition.open(request).verify(request)


def test_the_signed_statement_binds_everything_and_holds_no_data() -> None:
    partition = sealed(4, 3)
    request = asked(partition.commit(b"j", "map", 1, "a", b"i"), OUTPUT, 4, 7, "a")
    opening = partition.open(request)
    statements = {m.statement() for m in (opening, *mutations(opening))}
    assert len(statements) == len(mutations(opening)) + 1
    assert b"1,1" not in opening.statement()


def test_without_inputs_nothing_that_was_committed_changes_but_the_input_root() -> None:
    partition = sealed(2, 2)
    bare = partition.without_inputs()
    assert bare.inputs == ()
    full = partition.commit(b"j", "map", 0, "a", b"i")
    assert bare.commit(b"j", "map", 0, "a", b"i") == replace(full, input_root=b"")
    assert SealedPartition(**partition.to_state()) == partition


def test_digests_of_different_contexts_differ() -> None:
    assert digest("map inputs", b"x") != digest("reduce inputs", b"x")
    assert len(digest("map inputs", b"x")) == 32
