"""What the page headers of a Parquet file say, read before anything is decompressed.

What this module guarantees: the bytes and values that it counts are those of the very headers that
a reader obeys, not what the metadata at the end of the file claim; a header that two readers could
understand in two ways is refused.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO, Any

from dask_verify.errors import DataError
from dask_verify.evidence.data.thrift import Thrift

_DICTIONARY = 2
_DATA = {0: (5, 2), 3: (8, 4)}  #: kind of a data page: fields of its header, and of its encoding
_DELTA_BYTE_ARRAY = 7
_FIRST_READ, _LARGEST_HEADER = 1 << 9, 1 << 24
_PADDING = 100  #: bytes behind a chunk that readers take into account for some old writers


@dataclass(frozen=True)
class Pages:
    """What the pages of one column chunk come to.

    Parameters
    ----------
    nbytes : int
        Uncompressed bytes of all pages.
    values : int
        Values, nulls and empty lists among them.
    largest : int
        Uncompressed bytes of the largest page: no value is longer, unless `delta`.
    delta : bool
        Whether a value may repeat the beginning of the one before it, which costs no bytes.
    """

    nbytes: int = 0
    values: int = 0
    largest: int = 0
    delta: bool = False

    def __add__(self, other: Pages) -> Pages:
        return Pages(
            self.nbytes + other.nbytes,
            self.values + other.values,
            max(self.largest, other.largest),
            self.delta or other.delta,
        )


def read_pages(file: IO[bytes], column: Any, size: int) -> Iterator[Pages]:
    """Yield what each page of a column chunk comes to, from its header alone.

    Parameters
    ----------
    file : binary file
        It must be able to seek.
    column : pyarrow.parquet.ColumnChunkMetaData
        Where the pages are.
    size : int
        Bytes of the file.

    Yields
    ------
    Pages
        The figures of one page.

    Raises
    ------
    DataError
        If a header is none, or a page reaches behind the end of the file.
    """
    place, first = column.data_page_offset, column.dictionary_page_offset
    if column.has_dictionary_page and first is not None and 0 < first < place:
        place = first
    end = min(place + column.total_compressed_size + _PADDING, size)
    values = 0
    while values < column.num_values and place < end:
        fields, length = _header(file, place)
        page = _page(fields)
        values += page.values
        place += length + _number(fields, 3)
        if place > size:
            raise DataError("expected pages inside of the file, got one that goes on behind it")
        yield page


def _page(fields: dict[int, Any]) -> Pages:
    kind, nbytes = _number(fields, 1), _number(fields, 2)
    if kind == _DICTIONARY:
        words = _number(_struct(fields, 7), 1)
        if words > nbytes:
            raise DataError(f"expected at most a word a byte, got {words} words, {nbytes} bytes")
    if kind not in _DATA:
        return Pages(nbytes, 0, nbytes)
    name, encoding = _DATA[kind]
    about = _struct(fields, name)
    delta = _number(about, encoding) == _DELTA_BYTE_ARRAY
    return Pages(nbytes, _number(about, 1), nbytes, delta)


def _number(fields: dict[int, Any], name: int) -> int:
    value = fields.get(name)
    if type(value) is not int or not 0 <= value < 1 << 31:
        raise DataError(f"page header: expected a number in field {name}, got {value!r:.40}")
    return value


def _struct(fields: dict[int, Any], name: int) -> dict[int, Any]:
    value = fields.get(name)
    if type(value) is not dict:
        raise DataError(f"page header: expected a struct in field {name}, got {value!r:.40}")
    return value


# --- Thrift ----------------------------------------------------------------------------------


def _header(file: IO[bytes], place: int) -> tuple[dict[int, Any], int]:
    """Return the header at a place, and its length."""
    length = _FIRST_READ
    while True:
        file.seek(place)
        thrift = Thrift(file.read(length))
        try:
            return thrift.struct(0), thrift.place
        except IndexError:
            if len(thrift.data) < length or length >= _LARGEST_HEADER:
                raise DataError("expected a page header, got an end within it") from None
            length <<= 3
