"""Frames between the coordinator and a courier, the same in both directions.

A frame is a head and a body, each after its length: the head is a small tuple in canonical bytes,
the body is any bytes. What holds for whoever reads:

* nothing is unpickled, and no memory is set aside for a length before the bytes are there;
* a head has at most `HEAD` bytes, so that decoding it takes little time and memory;
* a body has at most as many as the reader says.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any, Protocol

from dask_verify.core.canonical import decode, encode
from dask_verify.errors import CourierError, DecodingError

HEAD = 64 << 10  #: bytes of a head at the most
RESULT = 4 << 20  #: bytes of one task's result; a commitment has some hundreds
TOGETHER = 16 << 20  #: bytes of results that are sent at a time, if it is more than one
TEXT = 500  #: characters of a reason
FAILURE = 20_000  #: characters of a failed task's traceback

#: What became of a result that was asked for: its bytes, or as text why there are none.
VALUE, FAILED, LOST = range(3)

_LENGTHS = struct.Struct(">IQ")
_PIECE = 1 << 20


class Readable(Protocol):
    """What bytes come from."""

    def read(self, size: int, /) -> bytes | None:
        """Return some bytes, at most `size`; none at the end.

        Parameters
        ----------
        size : int
            Most bytes that are wanted.

        Returns
        -------
        bytes or None
        """


def frame(head: tuple[Any, ...], body: bytes = b"", most: int = HEAD) -> tuple[bytes, bytes]:
    """Return the two parts of a frame, to be written one after the other.

    Parameters
    ----------
    head : tuple
        What the frame says, as plain values.
    body : bytes, optional
        The bytes that go with it.
    most : int, optional
        Bytes that the head may have.

    Returns
    -------
    tuple of (bytes, bytes)

    Raises
    ------
    CourierError
        If the head has more than `most` bytes.

    Examples
    --------
    >>> import io
    >>> stream = io.BytesIO(b"".join(frame(("answer", 7), b"bytes")))
    >>> read(stream, lambda head: 5)
    (('answer', 7), b'bytes')
    """
    data = encode(head)
    if len(data) > most:
        raise CourierError(f"expected a message of at most {most} bytes, got {len(data)}")
    return _LENGTHS.pack(len(data), len(body)) + data, body


def read(
    stream: Readable, most: Callable[[tuple[Any, ...]], int], head: int = HEAD
) -> tuple[tuple[Any, ...], bytes]:
    """Return the next frame.

    Parameters
    ----------
    stream : Readable
    most : callable
        How many bytes the body after a head may have; it may raise instead.
    head : int
        Bytes that the head may have.

    Returns
    -------
    tuple of (tuple, bytes)

    Raises
    ------
    EOFError
        If there is none: the stream ends between two frames.
    CourierError
        If what comes is no frame, or a larger one.
    """
    lengths = _taken(stream, _LENGTHS.size)
    if not lengths:
        raise EOFError
    if len(lengths) < _LENGTHS.size:
        raise CourierError("it ended within a frame")
    first, second = _LENGTHS.unpack(lengths)
    _check("head", first, head)
    said = _head(_exactly(stream, first))
    _check("body", second, most(said))
    return said, _exactly(stream, second)


def _check(what: str, length: int, most: int) -> None:
    if length > most:
        raise CourierError(f"expected a {what} of at most {most} bytes, got {length}")


def _head(data: bytes) -> tuple[Any, ...]:
    try:
        head = decode(data)
    except DecodingError as error:
        raise CourierError(f"expected canonical bytes: {str(error)[:TEXT]}") from None
    if type(head) is not tuple or not head:
        raise CourierError(f"expected a tuple, got {type(head).__name__}")
    return head


def _exactly(stream: Readable, length: int) -> bytes:
    data = _taken(stream, length)
    if len(data) < length:
        raise CourierError("it ended within a frame")
    return data


def _taken(stream: Readable, length: int) -> bytes:
    """Return so many bytes, or fewer at the end of the stream."""
    # Grown as bytes arrive, however small the pieces are in which somebody sends them.
    data = bytearray()
    while len(data) < length:
        piece = stream.read(min(length - len(data), _PIECE))
        if not piece:
            break
        data += piece
    return bytes(data)
