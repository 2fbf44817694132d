"""Registered classes: defaults, shipping, conflicts."""

from __future__ import annotations

import collections
import dataclasses
import enum
import pickle

import pytest

from dask_verify.core.canonical import (
    decode,
    decode_records,
    encode,
    encode_records,
    install_types,
    normalise_records,
    reading,
    register_type,
    registered_types,
    registry,
    writing,
)
from dask_verify.errors import DecodingError, EncodingError, InputError


@dataclasses.dataclass(frozen=True, slots=True)
class Point:
    x: int
    y: object = None


@dataclasses.dataclass
class Derived:
    x: int
    double: int = dataclasses.field(init=False)

    def __post_init__(self):
        self.double = 2 * self.x


@dataclasses.dataclass
class WithInitVar:
    x: dataclasses.InitVar[int]


class Level(enum.IntEnum):
    LOW = 1


class Word(enum.StrEnum):
    YES = "y"


class Access(enum.Flag):
    READ = 1
    WRITE = 2


Pair = collections.namedtuple("Pair", "one two")


class Money:
    def __init__(self, cents):
        self.cents = cents

    def __eq__(self, other):
        return type(other) is Money and other.cents == self.cents


def _cents(money):
    return money.cents


@pytest.fixture(autouse=True)
def _restore():
    tables = (writing.BY_CLASS, reading.BY_NAME, registry._REGISTRATIONS)
    saved = [dict(table) for table in tables]
    yield
    for table, before in zip(tables, saved, strict=True):
        table.clear()
        table.update(before)


@pytest.mark.parametrize(
    "value",
    [
        Point(1, Point(2, [3])),
        Derived(2),
        Level.LOW,
        Word.YES,
        Access.READ | Access.WRITE,
        Pair(1, "a"),
        {Point(1): [Point(2)]},
    ],
    ids=str,
)
def test_defaults_round_trip(value):
    for cls in (Point, Derived, Level, Word, Access, Pair):
        register_type(cls)
    again = decode(encode(value))
    assert again == value
    assert type(again) is type(value)
    assert decode_records(encode_records([value, value])) == [value, value]
    assert normalise_records([value]) == [value]


def test_own_functions_and_name():
    register_type(Money, name="money", to_value=_cents, from_value=Money)
    assert decode(encode([Money(5)])) == [Money(5)]
    assert b"money" in encode(Money(5))


def test_unregistered_class_is_refused_in_both_directions():
    register_type(Point)
    data = encode(Point(1))
    with pytest.raises(EncodingError, match="register_type") as caught:
        encode([Money(1)])
    assert caught.value.path == "[0]"
    reading.BY_NAME.clear()
    with pytest.raises(DecodingError, match="no type is registered"):
        decode(data)


def test_registrations_travel():
    register_type(Point)
    register_type(Money, to_value=_cents, from_value=Money)
    shipped = pickle.loads(pickle.dumps(registered_types()))
    data = encode([Point(1), Money(2)])
    for table in (writing.BY_CLASS, reading.BY_NAME, registry._REGISTRATIONS):
        table.clear()
    install_types(shipped)
    install_types(shipped)
    assert decode(data) == [Point(1), Money(2)]
    assert registered_types() == shipped


def test_refused_registrations():
    register_type(Point, name="p")
    for bad, options, message in [
        (Pair, {"name": "p"}, "another name"),
        (Point, {"name": "q"}, "registered already"),
        (Money, {}, "pass to_value"),
        (Money, {"to_value": _cents}, "both"),
        (WithInitVar, {}, "InitVar"),
        (int, {}, "supported as it is"),
        ("text", {}, "class"),
    ]:
        with pytest.raises(InputError, match=message):
            register_type(bad, **options)
    register_type(Point, name="p")
    assert [entry.name for entry in registered_types() if entry.cls is Point] == ["p"]


def test_bytes_that_the_class_would_not_write_are_refused():
    register_type(Money, to_value=_cents, from_value=lambda cents: Money(abs(cents)))
    good = encode(Money(1))
    with pytest.raises(DecodingError, match="canonical"):
        decode(good[:-1] + b"\x20")


def test_fields_must_be_those_of_the_class():
    register_type(Point, name="p")
    data = encode(Point(1))
    for bad in (data.replace(b"ax", b"az"), data.replace(b"ay\xf6", b"")):
        with pytest.raises(DecodingError):
            decode(bad)


def test_a_class_of_main_may_be_defined_again():
    first, second = (type("Cell", (Money,), {"__module__": "__main__"}) for _ in range(2))
    for cls in (first, second):
        register_type(cls, to_value=_cents, from_value=cls)
    assert type(decode(encode(second(1)))) is second
    with pytest.raises(EncodingError):
        encode(first(1))
