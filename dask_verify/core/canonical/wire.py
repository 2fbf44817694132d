"""CBOR heads, the refusal that carries a path, and the limits that both directions obey.

Guarantees: a head is always the shortest one (RFC 8949, section 4.2.1), and the reader accepts no
other; a reader never allocates from a count that the remaining bytes cannot pay for.
"""

from __future__ import annotations

import math
import reprlib
import struct
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from dask_verify.errors import DecodingError, EncodingError

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")
Array = np.ndarray[Any, Any]

VALUE, RECORDS, TABLE, FRAME = b"\x11", b"\x21", b"\x31", b"\x41"
"""First byte of each encoding: kind in the high four bits, format version in the low four."""

MAX_DEPTH = 100
UINT, NINT, BYTES, TEXT, ARRAY, MAP, TAG, SIMPLE = range(8)

TAG_BASE = 0xDA00
TAG_TUPLE, TAG_SET, TAG_FROZENSET, TAG_SURROGATES, TAG_BYTEARRAY, TAG_OBJECT = range(
    TAG_BASE, TAG_BASE + 6
)
TAG_DECIMAL = TAG_BASE + 8
FLOAT, NONE, FALSE, TRUE = b"\xfb", b"\xf6", b"\xf4", b"\xf5"
NAN = struct.pack(">d", math.nan)

_SMALL = [bytes([n]) for n in range(256)]
_WIDTHS = {24: (1, 24), 25: (2, 1 << 8), 26: (4, 1 << 16), 27: (8, 1 << 32)}


class Refusal(Exception):
    """A value that has no bytes; containers add their step to it as it passes.

    Parameters
    ----------
    value : object
        The refused value.
    advice : str
        What to use instead.
    type_name : str, optional
        Name of its type, where that says more than the value's own.
    """

    def __init__(self, value: object, advice: str, type_name: str = "") -> None:
        super().__init__(advice)
        self.type_name = type_name or qualified(type(value))
        self.advice = advice
        self.steps: list[str] = []

    def under(self, key: object) -> None:
        """Add the step to the refused value, seen from its container.

        Parameters
        ----------
        key : object
            Key or index of the value in its container.
        """
        self.steps.append(f"[{reprlib.repr(key)}]")

    def error(self) -> EncodingError:
        """Return the error that callers see.

        Returns
        -------
        EncodingError
        """
        return EncodingError(self.type_name, "".join(reversed(self.steps)), self.advice)


def qualified(cls: type) -> str:
    """Return the name of a class as messages show it.

    Parameters
    ----------
    cls : type
        The class.

    Returns
    -------
    str
    """
    module = "" if cls.__module__ == "builtins" else f"{cls.__module__}."
    return module + cls.__qualname__


def refused(work: Callable[[], T]) -> T:
    """Run an encoder and turn its refusals into ``EncodingError``.

    Parameters
    ----------
    work : callable
        The encoder.

    Returns
    -------
    object

    Raises
    ------
    EncodingError
        If it refuses a value.
    """
    try:
        return work()
    except Refusal as refusal:
        raise refusal.error() from refusal.__cause__
    except RecursionError:
        raise EncodingError("object", "", "the stack has no room left for its nesting") from None


def check_depth(value: object, depth: int) -> None:
    """Refuse a container below ``MAX_DEPTH`` others.

    Parameters
    ----------
    value : object
        The container.
    depth : int
        How many containers are around it.

    Raises
    ------
    Refusal
        If there are too many.
    """
    if depth >= MAX_DEPTH:
        raise Refusal(value, f"nested deeper than {MAX_DEPTH} levels, or it contains itself")


def head(major: int, count: int) -> bytes:
    """Return the shortest CBOR head.

    Parameters
    ----------
    major : int
        Major type, from 0 to 7.
    count : int
        The argument.

    Returns
    -------
    bytes

    Examples
    --------
    >>> head(ARRAY, 2).hex(), head(UINT, 500).hex()
    ('82', '1901f4')
    """
    if count < 24:
        return _SMALL[major << 5 | count]
    if count < 1 << 8:
        return bytes((major << 5 | 24, count))
    if count < 1 << 16:
        return struct.pack(">BH", major << 5 | 25, count)
    if count < 1 << 32:
        return struct.pack(">BI", major << 5 | 26, count)
    return struct.pack(">BQ", major << 5 | 27, count)


class Reader:
    """Bytes with a position; every read is checked against what is left.

    ``recheck`` is set by whatever read something whose canonical form only the encoder knows;
    a ``plain`` reader refuses that. ``numbers`` says which kinds of numbers were read that take
    long to be compared with each other.

    Parameters
    ----------
    data : bytes
        The bytes.
    pos : int, optional
        Position of the next byte.
    """

    __slots__ = ("data", "numbers", "plain", "pos", "recheck")

    def __init__(self, data: bytes, pos: int = 0) -> None:
        self.data = data
        self.pos = pos
        self.plain = False
        self.numbers = 0
        self.recheck = False

    def take(self, count: int) -> bytes:
        """Return the next ``count`` bytes.

        Parameters
        ----------
        count : int
            Number of bytes.

        Returns
        -------
        bytes

        Raises
        ------
        DecodingError
            If the bytes are not canonical.
        """
        end = self.pos + count
        if end > len(self.data):
            raise DecodingError(
                f"truncated: expected {count} bytes at {self.pos}, got {len(self.data) - self.pos}"
            )
        piece = self.data[self.pos : end]
        self.pos = end
        return piece

    def afford(self, count: int, each: int = 1) -> int:
        """Return ``count`` if that many items of at least ``each`` bytes can still follow.

        Parameters
        ----------
        count : int
            Number of items.
        each : int, optional
            Least bytes of one of them.

        Returns
        -------
        int

        Raises
        ------
        DecodingError
            If the bytes are not canonical.
        """
        left = len(self.data) - self.pos
        if count * each > left:
            raise DecodingError(
                f"{count} items announced at {self.pos}, but only {left} bytes left"
            )
        return count

    def number(self, width: int) -> int:
        """Return the next little-endian unsigned integer of ``width`` bytes.

        Parameters
        ----------
        width : int
            Number of bytes.

        Returns
        -------
        int
        """
        return int.from_bytes(self.take(width), "little")

    def head(self) -> tuple[int, int]:
        """Return major type and argument of the next CBOR head.

        Returns
        -------
        tuple of (int, int)

        Raises
        ------
        DecodingError
            If the bytes are not canonical.
        """
        first = self.take(1)[0]
        major, info = first >> 5, first & 31
        if info < 24:
            return major, info
        if info > 27:
            raise DecodingError(f"indefinite or reserved CBOR length at {self.pos - 1}")
        width, least = _WIDTHS[info]
        count = int.from_bytes(self.take(width), "big")
        if count < least and major != SIMPLE:
            raise DecodingError(f"CBOR head at {self.pos - width - 1} is longer than needed")
        return major, count

    def finish(self) -> None:
        """Refuse trailing bytes.

        Raises
        ------
        DecodingError
            If the bytes are not canonical.
        """
        if self.pos != len(self.data):
            raise DecodingError(f"{len(self.data) - self.pos} bytes too many at {self.pos}")


def open_reader(data: bytes, kind: bytes, what: str) -> Reader:
    """Check the first byte and return a reader behind it.

    Parameters
    ----------
    data : bytes
        The bytes.
    kind : bytes
        The first byte that there must be.
    what : str
        What this should be, for the error.

    Returns
    -------
    Reader

    Raises
    ------
    DecodingError
        If the bytes are not canonical.
    """
    if not isinstance(data, (bytes, bytearray, memoryview)):
        raise DecodingError(f"expected the bytes of {what}, got {qualified(type(data))}")
    data = bytes(data)
    if data[:1] != kind:
        got = data[:1].hex() or "nothing"
        raise DecodingError(f"expected {what}, which starts with {kind.hex()}; got {got}")
    return Reader(data, 1)


def decoded(work: Callable[[], T]) -> T:
    """Run a decoder; whatever hostile bytes make a library raise is a ``DecodingError``.

    Parameters
    ----------
    work : callable
        The decoder.

    Returns
    -------
    object

    Raises
    ------
    DecodingError
        If the bytes are not canonical.
    """
    try:
        return work()
    except DecodingError:
        raise
    except Exception as error:
        raise DecodingError(f"not a canonical encoding: {_described(error)}") from error


def _described(error: Exception) -> str:
    """Return what an error says: one that shows a hostile value may fail at that, or be endless."""
    try:
        said = str(error)
    except Exception:
        said = "what it says cannot be shown"
    return f"{type(error).__name__}: {said:.500}"
