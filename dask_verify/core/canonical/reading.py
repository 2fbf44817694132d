"""CBOR with private tags -> values, accepting only what the writers write.

Guarantees
* Anything else is a ``DecodingError``, or an error that ``wire.decoded`` turns into one.
* Where only the encoder knows the canonical form, ``Reader.recheck`` asks the caller to compare.
* Nothing is allocated for a count that the remaining bytes cannot pay for.
* Members of a set or dict that were made to have equal hashes are refused.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any

from dask_verify.core.canonical.wire import (
    ARRAY,
    BYTES,
    FALSE,
    FLOAT,
    MAP,
    MAX_DEPTH,
    NAN,
    NINT,
    NONE,
    TAG,
    TAG_BASE,
    TAG_BYTEARRAY,
    TAG_DECIMAL,
    TAG_FROZENSET,
    TAG_OBJECT,
    TAG_SET,
    TAG_SURROGATES,
    TAG_TUPLE,
    TEXT,
    TRUE,
    UINT,
    Reader,
)
from dask_verify.errors import DecodingError

if TYPE_CHECKING:
    from collections.abc import Callable

    from dask_verify.core.canonical.writing import Registered

_CROWD = 256  #: members that may share a hash, about
_LONG = 512  #: bytes of a number from which on comparing it with a decimal takes long
LONG, DECIMAL = 1, 2  #: kinds of numbers that a reader has met
READERS: dict[int, Callable[[Any, int], Any]] = {}
"""Tag -> function of payload and depth; what it builds is encoded again to check it."""

BY_NAME: dict[str, Registered] = {}


def read(reader: Reader, depth: int) -> Any:
    """Return the next value of a reader; raises ``DecodingError`` on anything non-canonical.

    Parameters
    ----------
    reader : Reader
        Where the bytes come from.
    depth : int
        How many containers are around it.

    Returns
    -------
    object
    """
    start = reader.pos
    major, count = reader.head()
    if major == UINT:
        return count
    if major == NINT:
        return ~count
    if major == TEXT:
        return reader.take(count).decode()
    if major == BYTES:
        return reader.take(count)
    if major == ARRAY:
        return _read_items(reader, count, depth)
    if major == MAP:
        return _read_dict(reader, count, depth)
    if major == TAG:
        return _read_tag(reader, count, depth)
    return _read_simple(reader, start)


def _read_simple(reader: Reader, start: int) -> Any:
    first = reader.data[start : start + 1]
    if first == FLOAT:
        raw = reader.data[start + 1 : reader.pos]
        value: float = struct.unpack(">d", raw)[0]
        if value != value and raw != NAN:
            raise DecodingError(f"a NaN other than the canonical one at {start}")
        return value
    if first in (NONE, FALSE, TRUE):
        return None if first == NONE else first == TRUE
    raise DecodingError(f"CBOR simple value {first.hex()} at {start} is not in use")


def _nest(reader: Reader, depth: int) -> None:
    if depth >= MAX_DEPTH:
        raise DecodingError(f"nested deeper than {MAX_DEPTH} levels at {reader.pos}")


def _read_items(reader: Reader, count: int, depth: int) -> list[Any]:
    _nest(reader, depth)
    reader.afford(count)
    return [read(reader, depth + 1) for _ in range(count)]


def _read_array(reader: Reader, depth: int) -> list[Any]:
    major, count = reader.head()
    if major != ARRAY:
        raise DecodingError(f"expected an array at {reader.pos}, got CBOR major type {major}")
    return _read_items(reader, count, depth)


def _read_bytes(reader: Reader) -> bytes:
    major, count = reader.head()
    if major != BYTES:
        raise DecodingError(f"expected bytes at {reader.pos}, got CBOR major type {major}")
    return reader.take(count)


def _ascending(reader: Reader, last: bytes | None, start: int) -> bytes:
    piece = reader.data[start : reader.pos]
    if last is not None and piece <= last:
        raise DecodingError(f"entries out of order or repeated at {start}")
    return piece


def _read_member(reader: Reader, depth: int, before: bytes | None) -> tuple[Any, bytes]:
    """Return the next element of a set, or key of a dict, and its bytes."""
    start = reader.pos
    value = read(reader, depth)
    return value, _ascending(reader, before, start)


def _spread(keys: list[Any], numbers: int) -> None:
    """Refuse keys made to have equal hashes: comparing them takes quadratic time.

    So does comparing a single long number with a decimal; `numbers` says which of them are there.
    """
    if len(keys) > _CROWD and len(set(map(hash, keys))) * _CROWD < len(keys) * 2:
        raise DecodingError(f"{len(keys)} members of a set or dict share a few hashes")
    if numbers == LONG | DECIMAL and len(set(map(hash, keys))) < len(keys):
        raise DecodingError("a long number and a decimal in a set or dict whose hashes meet")


def _read_set(reader: Reader, depth: int) -> set[Any]:
    _nest(reader, depth)
    major, count = reader.head()
    if major != ARRAY:
        raise DecodingError(f"expected an array at {reader.pos}, got CBOR major type {major}")
    items, last = [], None
    outside, reader.numbers = reader.numbers, 0
    for _ in range(reader.afford(count)):
        item, last = _read_member(reader, depth + 1, last)
        items.append(item)
    _spread(items, reader.numbers)
    reader.numbers |= outside
    result = set(items)
    if len(result) != count:
        raise DecodingError("a set with elements that the language calls equal")
    return result


def _read_dict(reader: Reader, count: int, depth: int) -> dict[Any, Any]:
    _nest(reader, depth)
    keys: list[Any] = []
    values: list[Any] = []
    last, numbers, outside = None, 0, reader.numbers
    for _ in range(reader.afford(count, 2)):
        reader.numbers = 0
        key, last = _read_member(reader, depth + 1, last)
        keys.append(key)
        numbers |= reader.numbers
        values.append(read(reader, depth + 1))
        outside |= reader.numbers
    _spread(keys, numbers)
    reader.numbers = numbers | outside
    result = dict(zip(keys, values, strict=True))
    if len(result) != count:
        raise DecodingError("a dict with keys that the language calls equal")
    return result


def _read_big(reader: Reader, negative: bool) -> int:
    digits = _read_bytes(reader)
    if len(digits) <= 8 or not digits[0]:
        raise DecodingError(f"a big integer that needs fewer bytes, before {reader.pos}")
    if len(digits) > _LONG:
        reader.numbers |= LONG
    value = int.from_bytes(digits, "big")
    return ~value if negative else value


def _read_surrogates(reader: Reader) -> str:
    text = _read_bytes(reader).decode("utf-8", "surrogatepass")
    if text.isascii() or not any("\ud800" <= char <= "\udfff" for char in text):
        raise DecodingError("a text marked as holding lone surrogates, which holds none")
    return text


def _read_tag(reader: Reader, tag: int, depth: int) -> Any:
    if tag == TAG_TUPLE:
        return tuple(_read_array(reader, depth))
    if tag in (2, 3):
        return _read_big(reader, tag == 3)
    if tag in (TAG_SET, TAG_FROZENSET):
        items = _read_set(reader, depth)
        return items if tag == TAG_SET else frozenset(items)
    if tag == TAG_BYTEARRAY:
        return bytearray(_read_bytes(reader))
    if tag == TAG_SURROGATES:
        return _read_surrogates(reader)
    if reader.plain:
        raise DecodingError(f"expected plain values only, got one with the CBOR tag {tag}")
    reader.recheck = True
    if tag == TAG_DECIMAL:
        reader.numbers |= DECIMAL
    if tag == TAG_OBJECT:
        return _read_object(reader, depth)
    return _find_reader(tag)(_payload(reader, depth), depth)


def _payload(reader: Reader, depth: int) -> Any:
    _nest(reader, depth)
    return read(reader, depth + 1)


def _read_object(reader: Reader, depth: int) -> Any:
    name, payload = _read_array(reader, depth)
    if type(name) is not str or name not in BY_NAME:
        raise DecodingError(f"no type is registered here under the name {name!r}")
    return BY_NAME[name].from_value(payload)


def _find_reader(tag: int) -> Callable[[Any, int], Any]:
    if tag not in READERS and tag >= TAG_BASE + 64:
        from dask_verify.core.canonical import pandas_values

        pandas_values.install()
    if tag not in READERS:
        raise DecodingError(f"CBOR tag {tag} is not in use")
    return READERS[tag]
