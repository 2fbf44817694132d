"""Lists of records -> one leaf of canonical bytes, column by column, and back.

Guarantees
* The kind of a column follows from the exact types of the records of this leaf alone; when every
  record is a str, an int of 64 bits, a float, ... the leaf is a few flat little-endian buffers.
* Tuples of one arity are split into columns, at most ``MAX_SPLIT`` deep: every level multiplies
  what a byte may cost the decoder.
* Every kind spends at least a byte per record, so a count cannot lie beyond the bytes at hand.
"""

from __future__ import annotations

import math
from itertools import accumulate, pairwise
from operator import itemgetter
from typing import TYPE_CHECKING, Any

import numpy as np

from dask_verify.core.canonical.reading import read
from dask_verify.core.canonical.values import check_same
from dask_verify.core.canonical.wire import (
    RECORDS,
    Array,
    Reader,
    Refusal,
    decoded,
    open_reader,
    refused,
)
from dask_verify.core.canonical.writing import write, write_items
from dask_verify.errors import DecodingError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

EMPTY, GENERIC, STR, INT, FLOAT, BYTES, BOOL, NONE, TUPLE = range(9)
MAX_SPLIT = 4
_KINDS: dict[type, int] = {
    str: STR,
    int: INT,
    float: FLOAT,
    bytes: BYTES,
    bool: BOOL,
    type(None): NONE,
    tuple: TUPLE,
}
_LIMIT = 1 << 32


def encode_records(records: Sequence[Any]) -> bytes:
    """Return the canonical bytes of a list of records: one Merkle leaf of a bag.

    Parameters
    ----------
    records : sequence
        Values that ``encode`` accepts, in order.

    Returns
    -------
    bytes
        A function of these records alone.

    Raises
    ------
    EncodingError
        If a record is not supported; the path starts with its index.

    Examples
    --------
    >>> decode_records(encode_records([("a", 1), ("b", 2)]))
    [('a', 1), ('b', 2)]
    """
    items = records if type(records) is list else list(records)
    out = bytearray(RECORDS)
    out += len(items).to_bytes(8, "little")
    refused(lambda: write_column(out, items, 0, 0))
    return bytes(out)


def decode_records(data: bytes) -> list[Any]:
    """Return the records of a leaf.

    Parameters
    ----------
    data : bytes
        What ``encode_records`` returned.

    Returns
    -------
    list
        The records, with the types that they had.

    Raises
    ------
    DecodingError
        If ``encode_records`` returns these bytes for no list.

    Examples
    --------
    >>> decode_records(encode_records([None, 1.5, "x"]))
    [None, 1.5, 'x']
    """
    reader = open_reader(data, RECORDS, "a leaf of records")
    records: list[Any] = decoded(lambda: read_column(reader, reader.number(8), 0, 0))
    reader.finish()
    if reader.recheck:
        check_same(lambda: encode_records(records), reader.data)
    return records


def normalise_records(records: Sequence[Any]) -> list[Any]:
    """Return what a reader of the encoded records would get, without the cost where possible.

    Parameters
    ----------
    records : sequence
        Values that ``encode`` accepts.

    Returns
    -------
    list
        A new list. Immutable scalars, strings and tuples of them are the same objects; anything
        else is a fresh copy without memory of dict order or aliasing.

    Raises
    ------
    EncodingError
        If a record is not supported; the path starts with its index.

    Examples
    --------
    >>> normalise_records([{"b": 1, "a": 2}, "x"])
    [{'a': 2, 'b': 1}, 'x']
    """
    items = list(records)
    types = set(map(type, items))
    if types <= _FREE:
        return items
    normal: list[Any] = refused(lambda: _normalise(items, 0))
    return normal


# --- which kind ------------------------------------------------------------------------------


def kind_of(records: list[Any], split: int) -> int:
    """Return the kind of a column; INT and STR may still turn out too large for their buffers.

    Parameters
    ----------
    records : list
        The records.
    split : int
        How many tuples are around the column.

    Returns
    -------
    int
    """
    if not records:
        return EMPTY
    types = set(map(type, records))
    kind = _KINDS.get(types.pop(), GENERIC) if len(types) == 1 else GENERIC
    if kind == TUPLE and (split >= MAX_SPLIT or not records[0] or len(set(map(len, records))) > 1):
        return GENERIC
    return kind


# --- writing ---------------------------------------------------------------------------------


def write_column(out: bytearray, records: list[Any], split: int, depth: int) -> None:
    """Append one column; ``split`` counts the tuples around it, ``depth`` all containers.

    Parameters
    ----------
    out : bytearray
        Where the bytes are appended.
    records : list
        The records.
    split : int
        How many tuples are around the column.
    depth : int
        How many containers are around it.
    """
    kind = kind_of(records, split)
    body = None
    if kind == TUPLE:
        _write_tuples(out, records, split, depth)
        return
    if kind in _BODIES:
        body = _BODIES[kind](records)
    if body is not None:
        out.append(kind)
        out += body
        return
    out.append(GENERIC if records else EMPTY)
    write_items(out, records, depth)


def _write_tuples(out: bytearray, records: list[Any], split: int, depth: int) -> None:
    out.append(TUPLE)
    out += len(records[0]).to_bytes(4, "little")
    for index, field in enumerate(_fields(records)):
        try:
            write_column(out, field, split + 1, depth + 1)
        except Refusal as refusal:
            # The column below named the row first; the field belongs behind it.
            refusal.steps.insert(len(refusal.steps) - 1, f"[{index}]")
            raise


def _fields(records: list[Any]) -> Iterator[list[Any]]:
    """Return tuples of equal length by column."""
    # `zip` would make an iterator of each record, and so wake the collector again and again.
    return (list(map(itemgetter(index), records)) for index in range(len(records[0])))


def _str_body(records: list[str]) -> bytes | None:
    joined = "".join(records)
    try:
        raw = joined.encode()
    except UnicodeEncodeError:
        return None
    if len(raw) == len(joined):
        return _lengths(records, raw)
    pieces = [record.encode() for record in records]
    return _lengths(pieces, b"".join(pieces))


def _bytes_body(records: list[bytes]) -> bytes | None:
    return _lengths(records, b"".join(records))


def _lengths(pieces: Sequence[str] | Sequence[bytes], raw: bytes) -> bytes | None:
    if len(raw) >= _LIMIT and max(map(len, pieces)) >= _LIMIT:
        return None
    return np.fromiter(map(len, pieces), "<u4", len(pieces)).tobytes() + raw


def _int_body(records: list[int]) -> bytes | None:
    try:
        return np.fromiter(records, "<i8", len(records)).tobytes()
    except OverflowError:
        return None


def _float_body(records: list[float]) -> bytes:
    return one_nan(np.fromiter(records, "<f8", len(records))).tobytes()


def one_nan(values: Array) -> Array:
    """Return floats with every NaN replaced by the canonical one; the input stays as it is.

    Parameters
    ----------
    values : numpy.ndarray
        The values.

    Returns
    -------
    numpy.ndarray
    """
    bad = np.isnan(values)
    if bad.any():
        values = values.copy()
        values[bad] = math.nan
    return values


def _none_body(records: list[None]) -> bytes:
    return bytes(len(records))


_BODIES: dict[int, Callable[[Any], bytes | None]] = {
    STR: _str_body,
    INT: _int_body,
    FLOAT: _float_body,
    BYTES: _bytes_body,
    BOOL: bytes,
    NONE: _none_body,
}

# --- reading ---------------------------------------------------------------------------------


def read_column(reader: Reader, count: int, split: int, depth: int) -> list[Any]:
    """Return the next column of ``count`` records.

    Parameters
    ----------
    reader : Reader
        Where the bytes come from.
    count : int
        How many values there are.
    split : int
        How many tuples are around the column.
    depth : int
        How many containers are around it.

    Returns
    -------
    list

    Raises
    ------
    DecodingError
        If the bytes are not canonical.
    """
    kind = reader.number(1)
    if kind == EMPTY and count == 0:
        return []
    if count == 0 or kind not in _READERS:
        raise DecodingError(f"column kind {kind} with {count} records at {reader.pos - 1}")
    reader.afford(count)
    return _READERS[kind](reader, count, split, depth)


def _read_generic(reader: Reader, count: int, split: int, depth: int) -> list[Any]:
    records = [read(reader, depth) for _ in range(count)]
    kind = kind_of(records, split)
    if kind == TUPLE or (kind in _BODIES and _BODIES[kind](records) is not None):
        raise DecodingError("records in generic form that have a columnar one")
    return records


def _read_tuples(reader: Reader, count: int, split: int, depth: int) -> list[Any]:
    arity = reader.afford(reader.number(4), count + 1)
    if split >= MAX_SPLIT or not arity:
        raise DecodingError(f"tuples of {arity} fields, {split} deep, in columnar form")
    fields = [read_column(reader, count, split + 1, depth + 1) for _ in range(arity)]
    return list(zip(*fields, strict=True))


def _read_pieces(reader: Reader, count: int) -> tuple[bytes, list[int]]:
    lengths = np.frombuffer(reader.take(4 * reader.afford(count, 4)), "<u4").tolist()
    bounds = list(accumulate(lengths, initial=0))
    return reader.take(bounds[-1]), bounds


def _read_str(reader: Reader, count: int, split: int, depth: int) -> list[Any]:
    raw, bounds = _read_pieces(reader, count)
    if raw.isascii():
        text = raw.decode()
        return [text[start:end] for start, end in pairwise(bounds)]
    return [raw[start:end].decode() for start, end in pairwise(bounds)]


def _read_bytes(reader: Reader, count: int, split: int, depth: int) -> list[Any]:
    raw, bounds = _read_pieces(reader, count)
    return [raw[start:end] for start, end in pairwise(bounds)]


def _read_int(reader: Reader, count: int, split: int, depth: int) -> list[Any]:
    values: list[int] = np.frombuffer(reader.take(8 * count), "<i8").tolist()
    return values


def _read_float(reader: Reader, count: int, split: int, depth: int) -> list[Any]:
    raw = reader.take(8 * count)
    values = np.frombuffer(raw, "<f8")
    if one_nan(values).tobytes() != raw:
        raise DecodingError("a NaN other than the canonical one")
    records: list[float] = values.tolist()
    return records


def _read_bool(reader: Reader, count: int, split: int, depth: int) -> list[Any]:
    raw = reader.take(count)
    if max(raw) > 1:
        raise DecodingError("a bool that is neither 0 nor 1")
    records: list[bool] = np.frombuffer(raw, np.bool_).tolist()
    return records


def _read_none(reader: Reader, count: int, split: int, depth: int) -> list[Any]:
    if any(reader.take(count)):
        raise DecodingError("a None that is not 0")
    return [None] * count


_READERS: dict[int, Callable[[Reader, int, int, int], list[Any]]] = {
    GENERIC: _read_generic,
    STR: _read_str,
    INT: _read_int,
    FLOAT: _read_float,
    BYTES: _read_bytes,
    BOOL: _read_bool,
    NONE: _read_none,
    TUPLE: _read_tuples,
}

# --- normalising -----------------------------------------------------------------------------

_FREE = {str, int, bytes, bool, type(None)}


def _normalise(records: list[Any], split: int) -> list[Any]:
    kind = kind_of(records, split)
    if kind == TUPLE:
        return _normalise_tuples(records, split)
    if kind == FLOAT:
        bad = np.isnan(np.fromiter(records, "<f8", len(records)))
        return (
            # As decoding does: each NaN an object of its own, since sets compare identity first.
            [float("nan") if is_bad else x for x, is_bad in zip(records, bad, strict=True)]
            if (bad.any())
            else records
        )
    return [_normal(record, index) for index, record in enumerate(records)]


def _normalise_tuples(records: list[Any], split: int) -> list[Any]:
    fields = list(_fields(records))
    if all(set(map(type, field)) <= _FREE for field in fields):
        return records
    try:
        normal = [_normalise(field, split + 1) for field in fields]
    except Refusal:
        return [_normal(record, index) for index, record in enumerate(records)]
    same = all(all(map(_is, field, new)) for field, new in zip(fields, normal, strict=True))
    return records if same else list(zip(*normal, strict=True))


def _is(one: object, other: object) -> bool:
    return one is other


def _normal(record: Any, index: int) -> Any:
    if type(record) in _FREE:
        return record
    raw = bytearray()
    try:
        write(raw, record, 0)
    except Refusal as refusal:
        refusal.under(index)
        raise
    return read(Reader(bytes(raw)), 0)
