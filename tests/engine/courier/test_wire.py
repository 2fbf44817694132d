from __future__ import annotations

import io
import pickle

import pytest

from dask_verify.core.canonical import encode
from dask_verify.engine.courier import wire
from dask_verify.errors import CourierError


def stream(*parts):
    return io.BytesIO(b"".join(parts))


def read(source, most=100):
    return wire.read(source, lambda head: most)


def lengths(head, body):
    return wire._LENGTHS.pack(head, body)


@pytest.mark.parametrize("body", [b"", b"x", bytes(100)])
@pytest.mark.parametrize("head", [("answer", 7, None), ("done", 1, "finished"), (b"x", (1, 2))])
def test_frames_come_back_as_they_were(head, body):
    twice = stream(*wire.frame(head, body), *wire.frame(("next",)))
    assert read(twice) == (head, body)
    assert read(twice) == (("next",), b"")
    with pytest.raises(EOFError):
        read(twice)


class Dripping(io.RawIOBase):
    """Gives one byte at a time, and counts those that were taken."""

    def __init__(self, data):
        self.data, self.at = data, 0

    def read(self, size=-1):
        self.at += 1
        return self.data[self.at - 1 : self.at]


def test_bytes_may_drip():
    assert read(Dripping(b"".join(wire.frame(("head",), b"body")))) == (("head",), b"body")


@pytest.mark.parametrize("cut", range(1, 40))
def test_truncated_frames(cut):
    whole = b"".join(wire.frame(("answer", 7, None), bytes(20)))
    assert len(whole) > 40
    with pytest.raises(CourierError, match="within a frame"):
        read(stream(whole[:-cut]))


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (lengths(wire.HEAD + 1, 0), "head of at most 65536 bytes, got 65537"),
        (lengths(2**32 - 1, 0), "head of at most"),
        (lengths(len(encode(("x",))), 101) + encode(("x",)), "body of at most 100 bytes, got 101"),
        (lengths(len(encode(("x",))), 2**64 - 1) + encode(("x",)), "body of at most"),
    ],
)
def test_lengths_are_believed_by_nobody(data, message):
    source = Dripping(data + bytes(1000))
    with pytest.raises(CourierError, match=message):
        read(source)
    assert source.at <= len(data)  # nothing of what they announce was read


@pytest.mark.parametrize(
    "head",
    [
        b"",
        b"\x00",
        encode([1]),
        encode(()),
        encode("answer"),
        encode(("x",))[:-1],
        encode(("x",)) + b"\x00",
        b"\x11" + b"\x81" * 60_000,
        b"\x11" + b"\x9b" + b"\xff" * 8,
        b"\x11" + b"\xbb" + b"\xff" * 8,
        pickle.dumps(("answer", 7)),
    ],
    ids=[
        "empty",
        "kind",
        "list",
        "nothing",
        "text",
        "cut",
        "more",
        "deep",
        "array",
        "map",
        "pickle",
    ],
)
def test_heads_that_are_none(head):
    with pytest.raises(CourierError):
        read(stream(lengths(len(head), 0), head))


def test_what_follows_depends_on_the_head():
    def most(head):
        if head == ("no",):
            raise CourierError("it sent what answers nothing")
        return 3

    with pytest.raises(CourierError, match="answers nothing"):
        wire.read(stream(*wire.frame(("no",), b"")), most)
    assert wire.read(stream(*wire.frame(("yes",), b"abc")), most) == (("yes",), b"abc")


def test_large_heads_are_not_sent_either():
    with pytest.raises(CourierError, match="at most 65536"):
        wire.frame(("x" * wire.HEAD,))
    assert wire.frame(("x" * wire.HEAD,), most=1 << 30)
