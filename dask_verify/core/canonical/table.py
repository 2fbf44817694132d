"""Arrow tables -> canonical bytes, and back.

Layout: kind byte, number of rows (uint64), length of the header (uint32), header, columns. The
header is the list of names and plain types in the form of ``values``; a column is laid out as in
``columns``.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import pyarrow as pa

from dask_verify.core.canonical.arrow import arrow_column, read_arrow
from dask_verify.core.canonical.arrow_types import plain_type, type_from, type_value
from dask_verify.core.canonical.columns import Parts
from dask_verify.core.canonical.reading import read
from dask_verify.core.canonical.values import check_same
from dask_verify.core.canonical.wire import (
    TABLE,
    Reader,
    Refusal,
    decoded,
    open_reader,
    qualified,
    refused,
)
from dask_verify.core.canonical.writing import write
from dask_verify.errors import DecodingError, EncodingError


def encode_table(table: pa.Table) -> bytes:
    """Return the canonical bytes of an Arrow table.

    Parameters
    ----------
    table : pyarrow.Table
        Columns of any type but union and extension types. Chunking, slicing, metadata,
        dictionaries and the variants of one type (string and large_string, ...) do not matter.

    Returns
    -------
    bytes
        Equal for tables with equal names, types and values, and for no others.

    Raises
    ------
    EncodingError
        If a column has an unsupported type; the path names it.

    Examples
    --------
    >>> import pyarrow as pa
    >>> table = pa.table({"a": [1, None], "b": ["x", "y"]})
    >>> decode_table(encode_table(table)).to_pylist()
    [{'a': 1, 'b': 'x'}, {'a': None, 'b': 'y'}]
    """
    if not isinstance(table, pa.Table):
        raise EncodingError(qualified(type(table)), "", "encode_table takes a pyarrow.Table")
    data: bytes = refused(partial(_encode_table, table))
    return data


def decode_table(data: bytes) -> pa.Table:
    """Return the table whose canonical bytes these are.

    Parameters
    ----------
    data : bytes
        What ``encode_table`` returned.

    Returns
    -------
    pyarrow.Table
        One chunk a column; strings, binaries and lists as their large variants.

    Raises
    ------
    DecodingError
        If ``encode_table`` returns these bytes for no table.

    Examples
    --------
    >>> import pyarrow as pa
    >>> decode_table(encode_table(pa.table({"a": [1.5]}))).column_names
    ['a']
    """
    reader = open_reader(data, TABLE, "an encoded table")
    table = decoded(partial(_decode_table, reader))
    reader.finish()
    check_same(partial(encode_table, table), reader.data)
    return table


def _encode_table(table: pa.Table) -> bytes:
    schema = [[field.name, _plain_value(field)] for field in table.schema]
    parts: Parts = [TABLE, table.num_rows.to_bytes(8, "little"), header_bytes(schema)]
    for name, column in zip(table.column_names, table.columns, strict=True):
        try:
            arrow_column(column).emit(0, table.num_rows, parts)
        except Refusal as refusal:
            refusal.under(name)
            raise
    return b"".join(parts)


def _plain_value(field: pa.Field) -> Any:
    try:
        return type_value(plain_type(field.type))
    except Refusal as refusal:
        refusal.under(field.name)
        raise


def header_bytes(header: Any) -> bytes:
    """Return a header with its length before it.

    Parameters
    ----------
    header : object
        The header, of supported values.

    Returns
    -------
    bytes
    """
    out = bytearray()
    write(out, header, 0)
    return len(out).to_bytes(4, "little") + bytes(out)


def read_header(reader: Reader) -> Any:
    """Return the header that ``header_bytes`` wrote.

    Parameters
    ----------
    reader : Reader
        Where the bytes come from.

    Returns
    -------
    object

    Raises
    ------
    DecodingError
        If the bytes are not canonical.
    """
    length = reader.number(4)
    end = reader.pos + reader.afford(length)
    header = read(reader, 0)
    if reader.pos != end:
        raise DecodingError(f"a header of {length} bytes ends at {reader.pos}, not {end}")
    return header


def _decode_table(reader: Reader) -> pa.Table:
    count = reader.number(8)
    schema = [(name, type_from(kind)) for name, kind in read_header(reader)]
    arrays = [read_arrow(reader, kind, count) for _, kind in schema]
    if not arrays:
        return _table_of_rows(count)
    table = pa.Table.from_arrays(arrays, schema=pa.schema(schema))
    table.validate(full=True)
    return table


def _table_of_rows(count: int) -> pa.Table:
    """Return a table without columns that still has rows."""
    nulls = pa.Array.from_buffers(pa.null(), count, [None])
    return pa.Table.from_arrays([nulls], names=[""]).select([])
