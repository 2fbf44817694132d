"""Leaves of records against a slow reference of the choice of columns."""

from __future__ import annotations

import struct

import pytest
from canonical_cases import RECORDS, record_leaves, same
from hypothesis import given
from hypothesis import strategies as st

from dask_verify.core.canonical import decode_records, encode, encode_records, normalise_records
from dask_verify.errors import EncodingError

LEAVES = record_leaves()
NAN = bytes.fromhex("000000000000f87f")


def reference(records):
    """Encode a leaf record by record, as the format says; nothing is fast here."""
    return b"\x21" + len(records).to_bytes(8, "little") + _column(list(records), 0)


def _column(records, split):
    if not records:
        return b"\x00"
    if all(type(r) is str for r in records) and not any(_surrogate(r) for r in records):
        return b"\x02" + _pieces([r.encode() for r in records])
    if all(type(r) is int and -(2**63) <= r < 2**63 for r in records):
        return b"\x03" + b"".join(struct.pack("<q", r) for r in records)
    if all(type(r) is float for r in records):
        return b"\x04" + b"".join(NAN if r != r else struct.pack("<d", r) for r in records)
    if all(type(r) is bytes for r in records):
        return b"\x05" + _pieces(records)
    if all(type(r) is bool for r in records):
        return b"\x06" + b"".join(b"\x01" if r else b"\x00" for r in records)
    if all(r is None for r in records):
        return b"\x07" + b"\x00" * len(records)
    if all(type(r) is tuple and len(r) == len(records[0]) > 0 for r in records) and split < 4:
        arity = len(records[0])
        fields = [_column([r[i] for r in records], split + 1) for i in range(arity)]
        return b"\x08" + arity.to_bytes(4, "little") + b"".join(fields)
    return b"\x01" + b"".join(encode(r)[1:] for r in records)


def _surrogate(text):
    return any("\ud800" <= char <= "\udfff" for char in text)


def _pieces(pieces):
    return b"".join(struct.pack("<I", len(piece)) for piece in pieces) + b"".join(pieces)


@given(RECORDS)
def test_bytes_are_those_of_the_reference(records):
    assert encode_records(records) == reference(records)


@given(RECORDS)
def test_round_trip(records):
    assert same(decode_records(encode_records(records)), records)


@given(RECORDS)
def test_normalising_is_decoding_what_was_encoded(records):
    normal = normalise_records(records)
    assert normal is not records
    assert same(normal, decode_records(encode_records(records)))
    assert repr(normal) == repr(decode_records(encode_records(records)))


@given(RECORDS, RECORDS)
def test_bytes_are_equal_exactly_for_same_records(one, other):
    assert (encode_records(one) == encode_records(other)) == same(one, other)


@pytest.mark.parametrize("name", LEAVES)
def test_every_kind_round_trips(name):
    assert same(decode_records(encode_records(LEAVES[name])), LEAVES[name])


def test_any_sequence_is_a_list_of_records():
    assert encode_records((1, 2)) == encode_records([1, 2]) == encode_records(range(1, 3))


@given(st.lists(st.tuples(st.text(max_size=3), st.integers(0, 9)), min_size=1, max_size=5))
def test_immutable_records_stay_the_same_objects(records):
    assert all(one is other for one, other in zip(normalise_records(records), records, strict=True))


def test_normalising_breaks_aliases_and_forgets_dict_order():
    shared = {"b": [1], "a": 2}
    first, second = normalise_records([shared, shared])
    assert list(first) == ["a", "b"]
    first["b"].append(2)
    assert second["b"] == shared["b"] == [1]


def test_tuples_are_split_to_a_fixed_depth_only():
    deep = "x"
    for _ in range(6):
        deep = (deep,)
    assert encode_records([deep]) == reference([deep])
    assert decode_records(encode_records([deep])) == [deep]


@pytest.mark.parametrize(
    ("records", "path"),
    [
        ([1, 2, 3, {"a": object()}], "[3]['a']"),
        ([(1, "a"), (2, object())], "[1][1]"),
        ([(1, ("a", 2)), (2, ("b", [object()]))], "[1][1][1][0]"),
        ([object()], "[0]"),
    ],
)
def test_refused_with_path(records, path):
    for function in (encode_records, normalise_records):
        with pytest.raises(EncodingError) as caught:
            function(records)
        assert caught.value.path == path
        assert caught.value.type_name == "object"
