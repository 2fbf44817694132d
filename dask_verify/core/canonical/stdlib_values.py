"""Standard library values: numbers, dates, times, zones, UUIDs."""

from __future__ import annotations

import zoneinfo
from datetime import date, datetime, time, timedelta, timezone, tzinfo
from decimal import Decimal
from fractions import Fraction
from functools import lru_cache
from typing import Any
from uuid import UUID

from dask_verify.core.canonical.values import add_type
from dask_verify.core.canonical.wire import Refusal

_TERM_BITS = 1 << 19  # reducing a fraction takes quadratic time


def zone_value(zone: tzinfo | None) -> Any:
    """Return a time zone as supported values: None, a key, or offset and name.

    Parameters
    ----------
    zone : tzinfo or None
        The time zone.

    Returns
    -------
    object

    Raises
    ------
    Refusal
        If it has no canonical bytes.
    """
    if zone is None:
        return None
    if type(zone) is zoneinfo.ZoneInfo and zone.key in _zone_keys():
        return zone.key
    if type(zone) is timezone:
        offset, *name = zone.__getinitargs__()  # type: ignore[attr-defined]
        return [offset, *name]
    raise Refusal(zone, "use datetime.timezone or a zoneinfo.ZoneInfo that has a known key")


def zone_from(value: Any) -> tzinfo | None:
    """Return the time zone of ``zone_value``.

    Parameters
    ----------
    value : object
        What `zone_value` gave.

    Returns
    -------
    tzinfo or None

    Raises
    ------
    ValueError
        If it names no time zone.
    """
    if value is None:
        return None
    if type(value) is str:
        # Only listed keys are looked up: a key from outside never becomes a path or a module.
        if value not in _zone_keys():
            raise ValueError(f"unknown time zone {value!r}")
        return zoneinfo.ZoneInfo(value)
    return timezone(*value)


@lru_cache(maxsize=1)
def _zone_keys() -> frozenset[str]:
    return frozenset(zoneinfo.available_timezones())


def _from_time(value: time) -> list[Any]:
    zone = zone_value(value.tzinfo)
    return [value.hour, value.minute, value.second, value.microsecond, value.fold, zone]


def _to_time(value: list[Any]) -> time:
    hour, minute, second, microsecond, fold, zone = value
    return time(hour, minute, second, microsecond, zone_from(zone), fold=fold)


def _from_datetime(value: datetime) -> list[Any]:
    return [value.year, value.month, value.day, *_from_time(value.timetz())]


def _to_datetime(value: list[Any]) -> datetime:
    year, month, day, *rest = value
    return datetime.combine(date(year, month, day), _to_time(rest))


def _from_fraction(value: Fraction) -> list[int]:
    if max(value.numerator.bit_length(), value.denominator.bit_length()) > _TERM_BITS:
        raise Refusal(value, f"its terms have more than {_TERM_BITS} bits")
    return [value.numerator, value.denominator]


def _to_fraction(value: list[int]) -> Fraction:
    numerator, denominator = value
    if max(numerator.bit_length(), denominator.bit_length()) > _TERM_BITS:
        raise ValueError(f"a fraction whose terms have more than {_TERM_BITS} bits")
    return Fraction(numerator, denominator)


def _to_decimal(value: str) -> Decimal:
    if type(value) is not str:
        # Of a whole number it would be made, too, but in quadratic time.
        raise ValueError("a decimal that is not made of text")
    return Decimal(value)


add_type(8, Decimal, str, _to_decimal)
add_type(9, complex, lambda z: [z.real, z.imag], lambda parts: complex(*parts))
add_type(10, Fraction, _from_fraction, _to_fraction)
add_type(11, date, lambda d: [d.year, d.month, d.day], lambda fields: date(*fields))
add_type(12, time, _from_time, _to_time)
add_type(13, datetime, _from_datetime, _to_datetime)
add_type(
    14,
    timedelta,
    lambda d: [d.days, d.seconds, d.microseconds],
    lambda fields: timedelta(*fields),
)
add_type(15, UUID, lambda u: u.bytes, lambda raw: UUID(bytes=raw))
