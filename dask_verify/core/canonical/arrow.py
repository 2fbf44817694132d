"""Arrow arrays -> prepared columns, and back.

Guarantees: chunks, offsets, slices, dictionaries, runs, views and whatever lies under nulls leave
no trace; arrays that do not pass Arrow's full validation are refused in both directions.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as pt

from dask_verify.core.canonical.arrow_types import is_bytes, is_list, is_text, plain_type
from dask_verify.core.canonical.columns import (
    Column,
    Fields,
    Nullable,
    Nulls,
    Repeated,
    nested,
    raw_column,
)
from dask_verify.core.canonical.records import one_nan
from dask_verify.core.canonical.wire import Array, Reader, Refusal
from dask_verify.errors import DecodingError


def arrow_column(values: pa.Array | pa.ChunkedArray) -> Column:
    """Return the prepared column of an array of any supported type.

    Parameters
    ----------
    values : pyarrow.Array or pyarrow.ChunkedArray
        The values.

    Returns
    -------
    Column

    Raises
    ------
    Refusal
        If it has no canonical bytes.
    """
    plain_type(values.type)
    try:
        array = _one_array(values)
        array.validate(full=True)
        return _prepare(array)
    except (pa.ArrowException, OverflowError) as error:
        raise Refusal(values, f"Arrow refuses it: {error}", f"Arrow {values.type}") from error


def _one_array(values: pa.Array | pa.ChunkedArray) -> pa.Array:
    if isinstance(values, pa.ChunkedArray) and pt.is_dictionary(values.type):
        # Chunk by chunk: Arrow cannot unify dictionaries that hold a null.
        chunks = [chunk.dictionary_decode() for chunk in values.chunks]
        values = pa.chunked_array(chunks, values.type.value_type)
    if is_text(values.type) or is_bytes(values.type):
        values = values.cast(plain_type(values.type))
    if isinstance(values, pa.ChunkedArray):
        values = values.chunk(0) if values.num_chunks == 1 else values.combine_chunks()
    return values


def _prepare(array: pa.Array) -> Column:
    kind = array.type
    if pt.is_dictionary(kind):
        return _prepare(array.dictionary_decode())
    if pt.is_run_end_encoded(kind):
        return _prepare(pc.run_end_decode(array))
    if pt.is_null(kind):
        return Fields([])
    return Nullable(_nulls(array), _values(array))


def _nulls(array: pa.Array) -> Nulls:
    return Nulls(_null_mask(array) if array.null_count else None)


def _null_mask(array: pa.Array) -> Array:
    mask: Array = array.is_null().to_numpy(zero_copy_only=False)
    return mask


def _values(array: pa.Array) -> Column:
    kind = array.type
    if is_text(kind) or is_bytes(kind):
        return _text(array.cast(plain_type(kind)))
    if is_list(kind) or pt.is_map(kind):
        array = _as_list(array)
        return nested(_lengths(pc.list_value_length(array)), _prepare(array.flatten()))
    if pt.is_fixed_size_list(kind):
        return Repeated(kind.list_size, _prepare(_fixed_items(array)))
    if pt.is_struct(kind):
        return Fields([_prepare(field) for field in array.flatten()])
    return _fixed(array.cast(pa.uint8()) if pt.is_boolean(kind) else array)


def _as_list(array: pa.Array) -> pa.Array:
    if not pt.is_map(array.type):
        return array
    entries = pa.struct([array.type.key_field, array.type.item_field])
    return array.cast(pa.list_(entries))


def _lengths(lengths: pa.Array) -> Array:
    filled: Array = pc.fill_null(lengths, 0).to_numpy(zero_copy_only=False)
    return filled.astype(np.int64)


def _text(array: pa.Array) -> Column:
    if array.null_count:
        array = pc.fill_null(array, b"" if is_bytes(array.type) else "")
    lengths = _lengths(pc.binary_length(array))
    _, offsets, data = array.buffers()
    flat = np.frombuffer(data, np.uint8) if data is not None else np.empty(0, np.uint8)
    if offsets is not None and len(array):
        ends = np.frombuffer(offsets, np.int64)[array.offset : array.offset + len(array) + 1]
        flat = flat[ends[0] : ends[-1]]
    return nested(lengths, raw_column(flat))


def _fixed_items(array: pa.Array) -> pa.Array:
    """Return the items of fixed-size lists; those of a null list are null."""
    if not array.null_count:
        return array.flatten()
    size = array.type.list_size
    mask = np.repeat(_null_mask(array), size)
    places = np.cumsum(~mask) - 1
    return array.flatten().take(pa.array(places, mask=mask))


def _fixed(array: pa.Array) -> Column:
    width = array.type.bit_width // 8
    buffer = array.buffers()[1]
    if buffer is None or not len(array):
        return raw_column(np.empty(0, np.uint8))
    start = array.offset * width
    flat = np.frombuffer(buffer, np.uint8)[start : start + len(array) * width]
    if array.null_count:
        flat = flat.copy()
        flat.reshape(len(array), width)[_null_mask(array)] = 0
    if pt.is_floating(array.type):
        flat = one_nan(flat.view(f"<f{width}"))
    column = raw_column(flat)
    return type(column)(column.data, width)


# --- reading ---------------------------------------------------------------------------------


def read_arrow(reader: Reader, kind: pa.DataType, count: int) -> pa.Array:
    """Return the next array of a plain type; the caller validates and encodes it again.

    Parameters
    ----------
    reader : Reader
        Where the bytes come from.
    kind : pyarrow.DataType
        The type.
    count : int
        How many values there are.

    Returns
    -------
    pyarrow.Array
    """
    if pt.is_null(kind):
        return pa.Array.from_buffers(kind, count, [None])
    bits = read_nulls(reader, count)
    if pt.is_struct(kind):
        fields = [read_arrow(reader, field.type, count) for field in kind]
        return pa.Array.from_buffers(kind, count, [bits], children=fields)
    if pt.is_large_string(kind) or pt.is_large_binary(kind) or is_list(kind) or pt.is_map(kind):
        return _read_nested(reader, kind, count, bits)
    if pt.is_fixed_size_list(kind):
        items = read_arrow(reader, kind.value_type, count * kind.list_size)
        return pa.Array.from_buffers(kind, count, [bits], children=[items])
    if pt.is_boolean(kind):
        return _read_bools(reader, count, bits)
    raw = reader.take(count * (kind.bit_width // 8))
    return pa.Array.from_buffers(kind, count, [bits, pa.py_buffer(raw)])


def read_nulls(reader: Reader, count: int) -> pa.Buffer | None:
    """Return the validity bitmap of the next column; None if nothing is null.

    Parameters
    ----------
    reader : Reader
        Where the bytes come from.
    count : int
        How many values there are.

    Returns
    -------
    pyarrow.Buffer or None

    Raises
    ------
    DecodingError
        If the bytes are not canonical.
    """
    flag = reader.number(1)
    if flag > 1:
        raise DecodingError(f"expected a null flag of 0 or 1 at {reader.pos - 1}, got {flag}")
    if not flag:
        return None
    nulls = np.frombuffer(reader.take((count + 7) // 8), np.uint8)
    return pa.py_buffer((~nulls).tobytes())


def _read_nested(reader: Reader, kind: pa.DataType, count: int, bits: Any) -> pa.Array:
    lengths = np.frombuffer(reader.take(4 * count), "<u4")
    bounds = np.concatenate(([0], np.cumsum(lengths, dtype=np.int64)))
    total = int(bounds[-1])
    if pt.is_large_string(kind) or pt.is_large_binary(kind):
        buffers = [bits, pa.py_buffer(bounds), pa.py_buffer(reader.take(total))]
        return pa.Array.from_buffers(kind, count, buffers)
    if not pt.is_map(kind):
        items = read_arrow(reader, kind.value_type, total)
        return pa.Array.from_buffers(kind, count, [bits, pa.py_buffer(bounds)], children=[items])
    if total >= 1 << 31:
        raise DecodingError(f"a map column of {total} entries, which Arrow cannot hold")
    entries = read_arrow(reader, pa.struct([kind.key_field, kind.item_field]), total)
    offsets = pa.py_buffer(bounds.astype(np.int32))
    return pa.Array.from_buffers(kind, count, [bits, offsets], children=[entries])


def _read_bools(reader: Reader, count: int, bits: Any) -> pa.Array:
    raw = np.frombuffer(reader.take(count), np.uint8)
    if count and raw.max() > 1:
        raise DecodingError("a bool that is neither 0 nor 1")
    packed = np.packbits(raw, bitorder="little").tobytes()
    return pa.Array.from_buffers(pa.bool_(), count, [bits, pa.py_buffer(packed)])
