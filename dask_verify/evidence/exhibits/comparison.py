"""Two leaves compared, as plain values: what texts and pages show of a divergence.

Liars chose much of what is compared here. So there is never more of it than a bound allows,
whatever it claims to be; what cannot be decoded or shown is said to be so. Texts are as they are:
whoever shows them makes them harmless for the place where they are shown.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from dask_verify.protocol.records import NONE, Records, UnreadableError, first_difference

LONGEST = 1 << 16  #: characters of a record that is looked into
_AROUND = 2  #: records before and behind the first that differs
_KINDS = 42  #: records whose types are named
_DEEPEST = 8  #: elements inside elements
_FIELDS = 1000  #: of one record


@dataclass(frozen=True)
class Field:
    """One field of a record, or the element of it that differs first.

    Parameters
    ----------
    name : str
        Such as ``key``, ``value[3]``, or that of a column.
    one, other : str
    """

    name: str
    one: str
    other: str

    @property
    def differs(self) -> bool:
        """Whether the two sides have it differently."""
        return self.one != self.other


@dataclass(frozen=True)
class Compared:
    """One record of two leaves.

    Parameters
    ----------
    place : int or None
        Its number; None for what is no record.
    one, other : str
        All of it.
    fields : tuple of Field
        Empty for a record that only one of them has.
    """

    place: int | None
    one: str
    other: str
    fields: tuple[Field, ...] = ()

    @property
    def differs(self) -> bool:
        """Whether the two sides have it differently, be it behind what is shown of it."""
        return self.one != self.other or any(field.differs for field in self.fields)


@dataclass(frozen=True)
class Comparison:
    """Two leaves, around the first record that differs.

    Parameters
    ----------
    counts : tuple of str
        How many records either has, or why none can be shown.
    notes : tuple of str
        Where they differ.
    records : tuple of Compared
    """

    counts: tuple[str, str]
    notes: tuple[str, ...]
    records: tuple[Compared, ...] = ()


def records_of(data: bytes) -> Records | str:
    """Return the records of a leaf, or why there are none to show.

    Parameters
    ----------
    data : bytes
        Canonical bytes of the leaf; a liar may have chosen them.

    Returns
    -------
    Records or str
    """
    try:
        return Records.of(data)
    except UnreadableError as error:
        return f"({error})"


def compare(
    one: bytes, other: bytes, first: Records | str | None = None, pairs: bool = True
) -> Comparison:
    """Compare two leaves.

    Parameters
    ----------
    one, other : bytes
    first : Records or str, optional
        What `records_of` gave for the first one, if it was asked already.
    pairs : bool
        Whether records that are tuples of two are a key and a value.

    Returns
    -------
    Comparison

    Examples
    --------
    >>> from dask_verify.core.canonical import encode_records
    >>> found = compare(encode_records([("be", 1)]), encode_records([("be", 2)]))
    >>> found.notes, [field for field in found.records[0].fields if field.differs]
    (('first difference in record 0',), [Field(name='value', one='1', other='2')])
    """
    this, that = (records_of(one) if first is None else first), records_of(other)
    said = [side if isinstance(side, str) else _counted(side) for side in (this, that)]
    counts = (said[0], said[1])
    if isinstance(this, str) or isinstance(that, str):
        return Comparison(counts, (_first_byte(one, other),))
    try:
        return Comparison(counts, *_difference(this, that, one, other, pairs))
    except Exception as error:
        # A liar chose these values: they are not shown if that raises anything.
        why = str(error) if isinstance(error, UnreadableError) else type(error).__name__
        why = f"(the records cannot be shown: {why:.60})"
        return Comparison(counts, (why, _first_byte(one, other)))


def _counted(side: Records) -> str:
    return "1 record" if len(side) == 1 else f"{len(side):,} records"


Found = tuple[tuple[str, ...], tuple[Compared, ...]]


def _difference(one: Records, other: Records, this: bytes, that: bytes, pairs: bool) -> Found:
    """Return the records around the first that differs."""
    at = first_difference(one, other)
    if at is None:
        return _alike(one, other, this, that)
    last = max(len(one), len(other), at + 1)
    places = range(max(0, at - _AROUND), min(last, at + _AROUND + 1))
    found = tuple(_compared(place, one, other, pairs) for place in places)
    return (f"first difference in record {at}",), found


def _alike(one: Records, other: Records, this: bytes, that: bytes) -> Found:
    """Say what tells leaves apart whose records read the same."""
    if this == that:
        return ("both are the same",), ()
    for tell in (Records.describe, _kinds):
        said = tell(one), tell(other)
        if said[0] != said[1]:
            note = "the records read the same; they differ in their types"
            return (note,), (Compared(None, *said),)
    return ("the records read the same", _first_byte(this, that)), ()


def _kinds(side: Records) -> str:
    rows = side.rows
    return str([type(row).__qualname__ for row in rows[:_KINDS]]) if isinstance(rows, list) else ""


def _first_byte(one: bytes, other: bytes) -> str:
    at = next((i for i, (x, y) in enumerate(zip(one, other, strict=False)) if x != y), None)
    if at is None:
        at = min(len(one), len(other))
    return f"{len(one):,} and {len(other):,} bytes; they differ from byte {at:,} on"


# --- field by field -------------------------------------------------------------------------


def _compared(place: int, one: Records, other: Records, pairs: bool) -> Compared:
    texts = one.text(place, LONGEST), other.text(place, LONGEST)
    if NONE in texts and place >= min(len(one), len(other)):
        return Compared(place, *texts)
    return Compared(place, *texts, tuple(_fields(place, one, other, pairs)))


def _fields(place: int, one: Records, other: Records, pairs: bool) -> Iterator[Field]:
    if isinstance(one.rows, list) and isinstance(other.rows, list):
        yield from _parts(one.rows[place], other.rows[place], pairs)
    elif one.names != other.names:
        yield _cut("columns", str(one.names), str(other.names))
    else:
        names = ("index", *one.names)
        rows = zip(names, one.values(place), other.values(place), strict=True)
        cut = [_cut(*row) for row in rows]
        # What differs comes first where there is too much to tell all.
        cut = cut if len(cut) <= _FIELDS else sorted(cut, key=lambda field: not field.differs)
        yield from cut[:_FIELDS]


def _parts(one: Any, other: Any, pairs: bool) -> Iterator[Field]:
    """Return key and value of two records, or the records."""
    if pairs and all(type(side) is tuple and len(side) == 2 for side in (one, other)):
        for name, this, that in zip(("key", "value"), one, other, strict=True):
            yield _narrowed(name, this, that)
    else:
        yield _narrowed("record", one, other)


def _narrowed(name: str, one: Any, other: Any, depth: int = 0) -> Field:
    """Go down to the first element that differs, as long as both have the same shape."""
    said = repr(one), repr(other)
    if said[0] != said[1] and type(one) is type(other) and depth < _DEEPEST:
        for step, this, that in _elements(one, other):
            if repr(this) != repr(that):
                return _narrowed(f"{name}[{step}]", this, that, depth + 1)
    return _cut(name, *said)


def _cut(name: str, one: str, other: str) -> Field:
    """Return a field, cut around its first difference if there is more than anybody looks into."""
    start = 0
    if max(len(one), len(other)) > LONGEST and one != other:
        pairs = enumerate(zip(one, other, strict=False))
        at = next((i for i, (x, y) in pairs if x != y), min(len(one), len(other)))
        start = max(0, at - LONGEST // 2)
    return Field(name, one[start : start + LONGEST], other[start : start + LONGEST])


def _elements(one: Any, other: Any) -> Iterator[tuple[str, Any, Any]]:
    """Yield the elements of two containers of the same shape, with what they are found by."""
    if type(one) in (list, tuple) and len(one) == len(other):
        for at, (this, that) in enumerate(zip(one, other, strict=True)):
            yield str(at), this, that
    elif type(one) is dict and [*map(repr, one)] == [*map(repr, other)]:
        for (key, this), that in zip(one.items(), other.values(), strict=True):
            yield f"{key!r:.40}", this, that
