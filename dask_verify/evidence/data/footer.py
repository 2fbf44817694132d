"""Metadata of a Parquet file that a library would not survive, found before it looks at them.

pyarrow reads what a file says of its column chunks with C++ that throws, through calls that let no
exception out: the whole process ends. So whatever makes it throw is refused here.
"""

from __future__ import annotations

from typing import IO, Any

from dask_verify.errors import DataError
from dask_verify.evidence.data.thrift import Thrift

#: Fields of the format's structs, from the outermost: what each has of the next.
_GROUPS, _CHUNKS, _CHUNK, _SIZES = 4, 1, 3, 16
_ENCRYPTED = (8, 9)
_GEOSPATIAL = 17
_UNENCODED, _REPETITIONS, _DEFINITIONS = 1, 2, 3


def check_chunks(file: IO[bytes], schema: Any) -> None:
    """Refuse metadata of column chunks that contradict the schema.

    Parameters
    ----------
    file : binary file
        One whose metadata can be parsed.
    schema : pyarrow.parquet.ParquetSchema

    Raises
    ------
    DataError
        If they do, or a chunk is encrypted or geospatial.
    """
    columns = [schema.column(n) for n in range(len(schema))]
    for group in _listed(_footer(file), _GROUPS):
        chunks = _listed(group, _CHUNKS)
        if len(chunks) != len(columns):
            raise DataError(f"expected {len(columns)} column chunks, got {len(chunks)}")
        for chunk, column in zip(chunks, columns, strict=True):
            _check_chunk(chunk, column)


def _footer(file: IO[bytes]) -> dict[int, Any]:
    end = file.seek(0, 2)
    file.seek(max(0, end - 8))
    length = int.from_bytes(file.read(4), "little")
    file.seek(max(0, end - 8 - length))
    try:
        return Thrift(file.read(length), lists=True).struct(0)
    except IndexError:
        raise DataError("expected metadata, got an end within them") from None
    finally:
        file.seek(0)


def _check_chunk(chunk: Any, column: Any) -> None:
    if type(chunk) is not dict or any(field in chunk for field in _ENCRYPTED):
        raise DataError(f"column {column.path!r:.100}: expected one that is not encrypted")
    about = chunk.get(_CHUNK)
    if type(about) is not dict or _GEOSPATIAL in about:
        raise DataError(f"column {column.path!r:.100}: expected plain metadata, got others")
    sizes = about.get(_SIZES, {})
    if type(sizes) is not dict or (_UNENCODED in sizes and column.physical_type != "BYTE_ARRAY"):
        raise DataError(f"column {column.path!r:.100}: expected sizes of its own type")
    levels = (
        (_REPETITIONS, column.max_repetition_level),
        (_DEFINITIONS, column.max_definition_level),
    )
    for field, highest in levels:
        if len(_listed(sizes, field)) not in (0, highest + 1):
            raise DataError(f"column {column.path!r:.100}: expected counts of {highest + 1} levels")


def _listed(fields: dict[int, Any], name: int) -> list[Any]:
    value = fields.get(name, []) if type(fields) is dict else None
    if type(value) is not list:
        raise DataError(f"Parquet metadata: expected a list in field {name}, got {value!r:.40}")
    return value
