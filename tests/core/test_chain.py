"""Chains of records: what is read back was written, and a torn end is told from a changed one."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dask_verify.core.chain import START, Chain, Links
from dask_verify.errors import DecodingError

PAYLOADS = st.lists(st.binary(max_size=40), max_size=6)
HEAD = 16


def written(payloads: list[bytes]) -> tuple[bytes, list[int]]:
    """A chain, and where its records end."""
    chain, data, ends = Chain(), b"", [0]
    for payload in payloads:
        data += chain.record(payload)
        ends.append(len(data))
    return data, ends


@given(PAYLOADS)
def test_what_is_read_is_what_was_written(payloads: list[bytes]) -> None:
    data, _ = written(payloads)
    links = Links(data)
    assert list(links) == payloads
    assert links.end == len(data)


@given(PAYLOADS, PAYLOADS)
def test_a_chain_goes_on_where_it_was_read_to(first: list[bytes], then: list[bytes]) -> None:
    data, _ = written(first)
    links = Links(data)
    list(links)
    chain = Chain(links.link)
    assert list(Links(data + b"".join(map(chain.record, then)))) == first + then


@given(PAYLOADS.filter(bool), st.data())
def test_an_end_that_was_cut_off_leaves_the_whole_records(
    payloads: list[bytes], draw: st.DataObject
) -> None:
    data, ends = written(payloads)
    cut = draw.draw(st.integers(0, len(data) - 1))
    links = Links(data[:cut])
    whole = sum(end <= cut for end in ends) - 1
    assert list(links) == payloads[:whole]
    assert links.end == ends[whole]


@given(PAYLOADS.filter(bool), st.data())
def test_a_changed_byte_is_refused_and_never_read(
    payloads: list[bytes], draw: st.DataObject
) -> None:
    data, _ = written(payloads)
    at = draw.draw(st.integers(0, len(data) - 1))
    changed = bytearray(data)
    changed[at] ^= draw.draw(st.integers(1, 255))
    found = []
    with pytest.raises(DecodingError, match="as it was written"):
        found.extend(Links(bytes(changed)))
    assert found == payloads[: len(found)]


@given(PAYLOADS.filter(bool), st.integers(1, 5000))
def test_zeros_behind_the_end_are_torn(payloads: list[bytes], zeros: int) -> None:
    data, _ = written(payloads)
    links = Links(data + bytes(zeros))
    assert list(links) == payloads
    assert links.end == len(data)


def test_zeros_with_anything_behind_them_are_not_torn() -> None:
    data, _ = written([b"one"])
    with pytest.raises(DecodingError):
        list(Links(data + bytes(100) + b"\1"))


def swapped(records: list[bytes]) -> list[bytes]:
    return [records[1], records[0], *records[2:]]


@pytest.mark.parametrize(
    "edit",
    [swapped, lambda r: r[1:], lambda r: [r[0], *r], lambda r: [r[0], *r[2:]]],
    ids=["swapped", "without the first", "repeated", "one left out"],
)
def test_records_stay_where_they_are(edit) -> None:  # type: ignore[no-untyped-def]
    chain = Chain()
    records = [chain.record(payload) for payload in (b"one", b"two", b"three")]
    with pytest.raises(DecodingError):
        list(Links(b"".join(edit(records))))


def test_a_length_that_nobody_wrote_is_no_torn_end() -> None:
    """A flipped length would otherwise hide all that is behind it."""
    data, ends = written([b"one", b"two", b"three"])
    longer = data[: ends[1]] + (10**9).to_bytes(8, "big") + data[ends[1] + 8 :]
    with pytest.raises(DecodingError, match="its length"):
        list(Links(longer))


def test_an_empty_chain_has_no_records() -> None:
    links = Links(b"")
    assert list(links) == []
    assert links.link == START


@given(PAYLOADS.filter(bool), st.data(), st.integers(0, 100))
def test_an_end_that_was_filled_with_zeros_leaves_the_whole_records(
    payloads: list[bytes], draw: st.DataObject, more: int
) -> None:
    """Files grow before they are filled, so that what was not written may be there as zeros."""
    data, ends = written(payloads)
    cut = draw.draw(st.integers(ends[-2], len(data) - 16))
    links = Links(data[:cut] + bytes(len(data) - cut + more))
    assert list(links) == payloads[:-1]
    assert links.end == ends[-2]
