"""Values -> CBOR with private tags: one writer for each exact type.

Guarantees
* A subclass is another type, and is refused unless it is registered.
* Sets and dicts are sorted by the encoded bytes of their elements or keys.
* Floats are always 64 bits wide and have one NaN; 0.0 and -0.0 differ.
"""

from __future__ import annotations

import math
import struct
import sys
from itertools import pairwise
from typing import TYPE_CHECKING, Any, NamedTuple

from dask_verify.core.canonical.wire import (
    ARRAY,
    BYTES,
    FALSE,
    MAP,
    NINT,
    NONE,
    TAG,
    TAG_BYTEARRAY,
    TAG_FROZENSET,
    TAG_OBJECT,
    TAG_SET,
    TAG_SURROGATES,
    TAG_TUPLE,
    TEXT,
    TRUE,
    UINT,
    Refusal,
    check_depth,
    head,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

_pack_double = struct.Struct(">Bd").pack

WRITERS: dict[type, Callable[[bytearray, Any, int], None]] = {}


class Registered(NamedTuple):
    """How to take apart and rebuild one class of the user.

    Parameters
    ----------
    cls : type
        The class.
    name : str
        Its registered name.
    to_value : callable
        Takes an instance apart.
    from_value : callable
        Rebuilds it.
    """

    cls: type
    name: str
    to_value: Callable[[Any], Any]
    from_value: Callable[[Any], Any]


BY_CLASS: dict[type, Registered] = {}


def write(out: bytearray, value: Any, depth: int) -> None:
    """Append the encoding of a value.

    Parameters
    ----------
    out : bytearray
        Where the bytes are appended.
    value : object
        The value.
    depth : int
        How many containers are around it.
    """
    cls = type(value)
    (WRITERS.get(cls) or find_writer(value))(out, value, depth)


def find_writer(value: Any) -> Callable[[bytearray, Any, int], None]:
    """Return the writer of a class that is not in the table yet, or refuse the value.

    Parameters
    ----------
    value : object
        The value.

    Returns
    -------
    callable

    Raises
    ------
    Refusal
        If it has no canonical bytes.
    """
    cls = type(value)
    if cls in BY_CLASS:
        return _write_object
    load_optional()
    if cls in WRITERS:
        return WRITERS[cls]
    raise Refusal(value, _advice(value))


def load_optional() -> None:
    """Add the types of pandas to the table, if it has been imported: else there are none."""
    if "pandas" in sys.modules:
        from dask_verify.core.canonical import pandas_values

        pandas_values.install()


def _advice(value: object) -> str:
    bases = [base.__name__ for base in type(value).__mro__[1:] if base in WRITERS]
    if bases:
        return f"it is a subclass of {bases[0]}; convert it, or register it with register_type"
    return "convert it to a supported type, or register its class with register_type"


def write_items(out: bytearray, items: Iterable[Any], depth: int) -> None:
    """Append the encodings of consecutive values.

    Parameters
    ----------
    out : bytearray
        Where the bytes are appended.
    items : iterable
        The values.
    depth : int
        How many containers are around it.
    """
    index = 0
    known = WRITERS.get
    try:
        for index, item in enumerate(items):  # noqa: B007 - the handler below needs it
            (known(type(item)) or find_writer(item))(out, item, depth)
    except Refusal as refusal:
        refusal.under(index)
        raise


def _write_int(out: bytearray, value: int, depth: int) -> None:
    major, rest = (UINT, value) if value >= 0 else (NINT, ~value)
    if rest.bit_length() <= 64:
        out += head(major, rest)
        return
    digits = rest.to_bytes((rest.bit_length() + 7) // 8, "big")
    out += head(TAG, 2 + major) + head(BYTES, len(digits)) + digits


def _write_float(out: bytearray, value: float, depth: int) -> None:
    out += _pack_double(0xFB, value if value == value else math.nan)


def _write_str(out: bytearray, value: str, depth: int) -> None:
    try:
        text = value.encode()
    except UnicodeEncodeError:
        raw = value.encode("utf-8", "surrogatepass")
        out += head(TAG, TAG_SURROGATES) + head(BYTES, len(raw)) + raw
        return
    out += head(TEXT, len(text))
    out += text


def _write_bytes(out: bytearray, value: bytes | bytearray, depth: int) -> None:
    out += head(BYTES, len(value))
    out += value


def _write_bytearray(out: bytearray, value: bytearray, depth: int) -> None:
    out += head(TAG, TAG_BYTEARRAY)
    _write_bytes(out, value, depth)


def _write_none(out: bytearray, value: None, depth: int) -> None:
    out += NONE


def _write_bool(out: bytearray, value: bool, depth: int) -> None:
    out += TRUE if value else FALSE


def write_list(out: bytearray, value: list[Any] | tuple[Any, ...], depth: int) -> None:
    """Append a CBOR array.

    Parameters
    ----------
    out : bytearray
        Where the bytes are appended.
    value : list or tuple
        The value.
    depth : int
        How many containers are around it.
    """
    check_depth(value, depth)
    out += head(ARRAY, len(value))
    write_items(out, value, depth + 1)


def _write_tuple(out: bytearray, value: tuple[Any, ...], depth: int) -> None:
    out += head(TAG, TAG_TUPLE)
    write_list(out, value, depth)


def _write_set(out: bytearray, value: set[Any] | frozenset[Any], depth: int) -> None:
    check_depth(value, depth)
    items = sorted(_piece(item, depth + 1, item) for item in value)
    for one, other in pairwise(items):
        if one == other:
            raise Refusal(value, "two of its elements have the same canonical bytes (two NaNs?)")
    out += head(TAG, TAG_SET if type(value) is set else TAG_FROZENSET) + head(ARRAY, len(items))
    out += b"".join(items)


def _write_dict(out: bytearray, value: dict[Any, Any], depth: int) -> None:
    check_depth(value, depth)
    items = sorted(
        (_piece(key, depth + 1, key), _piece(item, depth + 1, key)) for key, item in value.items()
    )
    for (one, _), (other, _) in pairwise(items):
        if one == other:
            raise Refusal(value, "two of its keys have the same canonical bytes (two NaNs?)")
    out += head(MAP, len(items))
    for key, item in items:
        out += key
        out += item


def _piece(value: Any, depth: int, step: object) -> bytes:
    piece = bytearray()
    try:
        write(piece, value, depth)
    except Refusal as refusal:
        refusal.under(step)
        raise
    return bytes(piece)


def _write_object(out: bytearray, value: Any, depth: int) -> None:
    check_depth(value, depth)
    entry = BY_CLASS[type(value)]
    out += head(TAG, TAG_OBJECT)
    write_list(out, [entry.name, entry.to_value(value)], depth)


WRITERS |= {
    int: _write_int,
    float: _write_float,
    str: _write_str,
    bytes: _write_bytes,
    bytearray: _write_bytearray,
    type(None): _write_none,
    bool: _write_bool,
    list: write_list,
    tuple: _write_tuple,
    set: _write_set,
    frozenset: _write_set,
    dict: _write_dict,
}
