"""The normal form of a key: what decides which records belong to one group.

What this module guarantees:

1. Two keys have equal normal forms exactly if Python calls the keys equal (``1``, ``1.0``,
   ``True``, ``Decimal(1)``; ``0.0`` and ``-0.0``; a tuple and a named tuple of equal items), or if
   both are NaN of any kind. ``None``, ``pandas.NaT`` and ``pandas.NA`` are a group each.
2. Where Python's own answer is not an equivalence, values decide: aware datetimes are equal if
   they are one instant (Python ignores ``fold`` within a zone), and ``numpy.float32(0.1)`` is the
   number that it stores, not ``0.1``.
3. A normal form has the same bytes in every process, on every machine and under every hash seed.
4. What cannot be a key is refused with its type and the path to it; no key costs more memory than
   a small multiple of its own size.
"""

from __future__ import annotations

import sys
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from fractions import Fraction
from math import isnan
from struct import pack
from typing import TYPE_CHECKING, Any
from uuid import UUID

import numpy as np

from dask_verify.errors import EncodingError

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

__all__ = ["key_bytes", "normal_key"]

NAN: tuple[str] = ("nan",)
NAT: tuple[str] = ("NaT",)
NA: tuple[str] = ("NA",)

MAX_EXPONENT = 10_000
"""Largest exponent of a Decimal key: as an exact number it has about as many digits."""

MAX_DEPTH = 100
"""Deepest nesting of tuples and frozensets in a key."""

_EPOCH = datetime(1970, 1, 1)
_EPOCH_UTC = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_NANOSECONDS: dict[str, int | Fraction] = {
    "W": 604_800 * 10**9,
    "D": 86_400 * 10**9,
    "h": 3_600 * 10**9,
    "m": 60 * 10**9,
    "s": 10**9,
    "ms": 10**6,
    "us": 1000,
    "ns": 1,
    "ps": Fraction(1, 10**3),
    "fs": Fraction(1, 10**6),
    "as": Fraction(1, 10**9),
}


def normal_key(key: object) -> Hashable:
    """Return the normal form of a key.

    Parameters
    ----------
    key : object
        A string, bytes, number, date, time, UUID, NumPy or pandas scalar, missing value, or a
        tuple or frozenset of such.

    Returns
    -------
    Hashable
        Equal for equal keys. Tagged tuples stand for what Python cannot compare as wanted.

    Raises
    ------
    EncodingError
        If the value cannot be a key.

    Examples
    --------
    >>> normal_key(1.0), normal_key(True), normal_key(Decimal("1.00"))
    (1, 1, 1)
    >>> normal_key(float("nan")) == normal_key(Decimal("nan"))
    True
    >>> normal_key((1, 2.5))
    ('tuple', 1, 2.5)
    """
    return key if type(key) is str else _normal(key, "", 0)


def key_bytes(normal: Hashable) -> bytes:
    r"""Return the bytes of a normal form; different forms have different bytes.

    Parameters
    ----------
    normal : Hashable
        What `normal_key` returned.

    Returns
    -------
    bytes

    Examples
    --------
    >>> key_bytes("a"), key_bytes(1)
    (b'sa', b'i\x01')
    """
    return _WRITERS[type(normal)](normal)


def _normal(key: object, path: str, depth: int) -> Hashable:
    handler = _HANDLERS.get(type(key))
    if handler is not None:
        return handler(key, path, depth)
    if isinstance(key, np.generic):
        return _numpy(key, path)
    pandas = sys.modules.get("pandas")
    if pandas is not None:
        found = _pandas(pandas, key, path, depth)
        if found is not None:
            return found
    return _subclass(key, path, depth)


def _subclass(key: object, path: str, depth: int) -> Hashable:
    """Treat a subclass that compares like its base (a named tuple, an IntEnum) as its base."""
    for base in (tuple, str, bytes, int, float, frozenset):
        kind = type(key)
        if isinstance(key, base) and (kind.__eq__, kind.__hash__) == (base.__eq__, base.__hash__):
            return _HANDLERS[base](_PLAIN[base](key), path, depth)
    raise refused(key, path)


def refused(key: object, path: str, why: str = "") -> EncodingError:
    """Return the error for a value that cannot be a key.

    Parameters
    ----------
    key : object
        The value.
    path : str
        Where it sits inside the key.
    why : str, optional
        What is wrong with it, where its type does not say so.

    Returns
    -------
    EncodingError
    """
    advice = {
        list: "use a tuple as the key",
        bytearray: "use bytes as the key",
        set: "use a frozenset as the key",
        dict: "use a tuple of sorted items as the key",
        np.ndarray: "use a tuple as the key, such as tuple(array.tolist())",
    }.get(type(key), "use a string, a number, a date, or a tuple of such as the key")
    return EncodingError(type(key).__qualname__, path, f"{why}; {advice}" if why else advice)


def _itself(key: Any, path: str, depth: int) -> Hashable:
    return key  # type: ignore[no-any-return]


def _integer(key: Any, path: str, depth: int) -> Hashable:
    return int(key)


def _float(key: Any, path: str, depth: int) -> Hashable:
    if isnan(key):
        return NAN
    return int(key) if key.is_integer() else float(key)


def _fraction(key: Any, path: str, depth: int) -> Hashable:
    if key.denominator == 1:
        return int(key.numerator)
    try:
        near = float(key)
    except OverflowError:
        return Fraction(key)
    return near if near == key else Fraction(key)


def _decimal(key: Any, path: str, depth: int) -> Hashable:
    if key.is_nan():
        return NAN
    if key.is_infinite():
        return float(key)
    if not key:
        return 0
    # The exact number is written out below, so a few characters could ask for gigabytes.
    if max(abs(key.adjusted()), abs(key.as_tuple().exponent)) > MAX_EXPONENT:
        raise refused(key, path, f"its exponent is beyond {MAX_EXPONENT}")
    return _fraction(Fraction(*key.as_integer_ratio()), path, depth)


def _complex(key: Any, path: str, depth: int) -> Hashable:
    real, imag = _normal(key.real, path, depth), _normal(key.imag, path, depth)
    if NAN in (real, imag):
        return NAN
    return real if imag == 0 else ("complex", real, imag)


def _datetime(key: Any, path: str, depth: int) -> Hashable:
    aware = key.utcoffset() is not None
    since = key - _EPOCH_UTC if aware else key.replace(tzinfo=None) - _EPOCH
    return ("datetime", int(aware), since // _MICROSECOND * 1000)


def _date(key: Any, path: str, depth: int) -> Hashable:
    return ("date", key.toordinal())


def _time(key: Any, path: str, depth: int) -> Hashable:
    offset = key.utcoffset()
    at = timedelta(
        hours=key.hour, minutes=key.minute, seconds=key.second, microseconds=key.microsecond
    )
    return ("time", int(offset is not None), (at - (offset or timedelta())) // _MICROSECOND)


def _timedelta(key: Any, path: str, depth: int) -> Hashable:
    return ("timedelta", key // _MICROSECOND * 1000)


def _uuid(key: Any, path: str, depth: int) -> Hashable:
    return ("uuid", key.bytes)


def _tuple(key: Any, path: str, depth: int) -> Hashable:
    _require_depth(key, path, depth)
    return ("tuple", *[_normal(item, f"{path}[{at}]", depth + 1) for at, item in enumerate(key)])


def _frozenset(key: Any, path: str, depth: int) -> Hashable:
    _require_depth(key, path, depth)
    return ("frozenset", frozenset(_normal(item, f"{path}{{...}}", depth + 1) for item in key))


def _require_depth(key: object, path: str, depth: int) -> None:
    if depth >= MAX_DEPTH:
        raise refused(key, "", f"it is nested more than {MAX_DEPTH} deep")


_HANDLERS: dict[type, Callable[[Any, str, int], Hashable]] = {
    str: _itself,
    bytes: _itself,
    type(None): _itself,
    int: _itself,
    bool: _integer,
    float: _float,
    complex: _complex,
    Decimal: _decimal,
    Fraction: _fraction,
    datetime: _datetime,
    date: _date,
    time: _time,
    timedelta: _timedelta,
    UUID: _uuid,
    tuple: _tuple,
    frozenset: _frozenset,
}

_PLAIN: dict[type, Callable[[Any], Any]] = {
    tuple: tuple,
    frozenset: frozenset,
    str: str.__str__,
    bytes: lambda key: b"".join([key]),
    int: int.__index__,
    float: float.__float__,
}


def _numpy(key: Any, path: str) -> Hashable:
    if isinstance(key, np.datetime64 | np.timedelta64):
        return _numpy_time(key, path)
    if isinstance(key, np.bool_ | np.integer):
        return int(key)
    if isinstance(key, np.floating):
        return _numpy_float(key)
    if isinstance(key, np.complexfloating):
        return _complex(key, path, 0)
    if isinstance(key, np.str_):
        return str(key)
    if isinstance(key, np.bytes_):
        return bytes(key)
    raise refused(key, path)


def _numpy_float(key: Any) -> Hashable:
    if key.itemsize <= 8 or not np.isfinite(key):
        return _float(float(key), "", 0)
    return _fraction(Fraction(*key.as_integer_ratio()), "", 0)  # a long double is exact, too


def _numpy_time(key: Any, path: str) -> Hashable:
    if np.isnat(key):
        return NAT
    instant = isinstance(key, np.datetime64)
    unit, count = np.datetime_data(key.dtype)
    if instant and unit in {"Y", "M"}:
        days = key.astype("datetime64[D]")
        if days.astype(key.dtype) != key:
            raise refused(key, path, "it is too far from 1970")
        key, unit, count = days, "D", 1
    if unit not in _NANOSECONDS:
        raise refused(key, path, f"a time in units of {unit} has no fixed length")
    elapsed = _fraction(Fraction(int(key.astype(np.int64)) * count * _NANOSECONDS[unit]), path, 0)
    return ("datetime", 0, elapsed) if instant else ("timedelta", elapsed)


def _pandas(pandas: Any, key: Any, path: str, depth: int) -> Hashable:
    """Return the normal form of a pandas scalar, or None if it is not one."""
    if key is pandas.NaT:
        return NAT
    if key is pandas.NA:
        return NA
    if type(key) is pandas.Timestamp:
        return ("datetime", int(key.tzinfo is not None), _numpy_time(key.asm8, path)[2])  # type: ignore[index]
    if type(key) is pandas.Timedelta:
        return _numpy_time(key.asm8, path)
    if type(key) is pandas.Period:
        return ("period", key.freqstr, int(key.ordinal))
    if type(key) is pandas.Interval:
        ends = _normal(key.left, path, depth + 1), _normal(key.right, path, depth + 1)
        return ("interval", key.closed, *ends)
    return None


def _integer_bytes(value: int) -> bytes:
    return value.to_bytes(value.bit_length() // 8 + 1, "big", signed=True)


def _sized(parts: list[bytes]) -> bytes:
    return b"".join(pack(">Q", len(part)) + part for part in parts)


_WRITERS: dict[type, Callable[[Any], bytes]] = {
    str: lambda value: b"s" + value.encode("utf-8", "surrogatepass"),
    bytes: lambda value: b"b" + value,
    type(None): lambda value: b"n",
    int: lambda value: b"i" + _integer_bytes(value),
    float: lambda value: b"f" + pack(">d", value),
    Fraction: lambda value: (
        b"r" + _sized([_integer_bytes(value.numerator), _integer_bytes(value.denominator)])
    ),
    tuple: lambda value: b"t" + _sized([key_bytes(item) for item in value]),
    frozenset: lambda value: b"z" + _sized(sorted(key_bytes(item) for item in value)),
}
