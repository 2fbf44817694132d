"""Single values -> canonical bytes, and back.

Guarantees: different values or types give different bytes, and whatever ``decode`` accepts encodes
to the bytes that were read. The format is deterministic CBOR with private tags.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dask_verify.core.canonical.reading import READERS, read
from dask_verify.core.canonical.wire import (
    TAG,
    TAG_BASE,
    VALUE,
    check_depth,
    decoded,
    head,
    open_reader,
    refused,
)
from dask_verify.core.canonical.writing import WRITERS, write
from dask_verify.errors import DecodingError

if TYPE_CHECKING:
    from collections.abc import Callable


def encode(value: Any) -> bytes:
    """Return the canonical bytes of one value.

    Parameters
    ----------
    value : object
        Any supported scalar or container; classes of your own need ``register_type``.

    Returns
    -------
    bytes
        Equal for equal values of equal types, and for nothing else.

    Raises
    ------
    EncodingError
        If the value, or anything in it, is not supported.

    Examples
    --------
    >>> encode({"b": 1, "a": (2.0, None)}) == encode({"a": (2.0, None), "b": 1})
    True
    >>> encode(1).hex(), encode(True).hex()
    ('1101', '11f5')
    """
    out = bytearray(VALUE)
    refused(lambda: write(out, value, 0))
    return bytes(out)


def decode(data: bytes) -> Any:
    """Return the value whose canonical bytes these are.

    Parameters
    ----------
    data : bytes
        What ``encode`` returned.

    Returns
    -------
    object
        The value, with the types that it had.

    Raises
    ------
    DecodingError
        If ``encode`` returns these bytes for no value.

    Examples
    --------
    >>> decode(encode([1, {"a": (2.0, None)}]))
    [1, {'a': (2.0, None)}]
    """
    reader = open_reader(data, VALUE, "an encoded value")
    value = decoded(lambda: read(reader, 0))
    reader.finish()
    if reader.recheck:
        check_same(lambda: encode(value), reader.data)
    return value


def decode_plain(data: bytes) -> Any:
    """Return the value of a message: built-in types only, so that reading costs what bytes cost.

    Whoever sends a message could fill it with frames, fractions or objects of the user's classes,
    each of them a few bytes that take long to build, or run code that is not this package's.

    Parameters
    ----------
    data : bytes
        What ``encode`` returned.

    Returns
    -------
    object
        None, bools, numbers, text, bytes, and containers of them.

    Raises
    ------
    DecodingError
        If ``encode`` returns these bytes for no such value.

    Examples
    --------
    >>> decode_plain(encode((b"payload", 1)))
    (b'payload', 1)
    """
    reader = open_reader(data, VALUE, "an encoded value")
    reader.plain = True
    value = decoded(lambda: read(reader, 0))
    reader.finish()
    return value


def check_same(again: Callable[[], bytes], data: bytes) -> None:
    """Refuse bytes that their own value does not encode to.

    Parameters
    ----------
    again : callable
        Encodes the value again.
    data : bytes
        The bytes that were decoded.

    Raises
    ------
    DecodingError
        If the bytes are not canonical.
    """
    if decoded(again) != data:
        raise DecodingError("the bytes are not the canonical form of the value that they describe")


def add_type(
    tag: int, cls: type, to_value: Callable[[Any], Any], from_value: Callable[[Any], Any]
) -> None:
    """Give a library class its own tag over a payload of supported values.

    Parameters
    ----------
    tag : int
        Number of the tag.
    cls : type
        The class.
    to_value : callable
        Takes an instance apart.
    from_value : callable
        Rebuilds it.
    """
    mark = head(TAG, TAG_BASE + tag)

    def writer(out: bytearray, value: Any, depth: int) -> None:
        check_depth(value, depth)
        out += mark
        write(out, to_value(value), depth + 1)

    WRITERS[cls] = writer
    READERS[TAG_BASE + tag] = lambda payload, depth: from_value(payload)
