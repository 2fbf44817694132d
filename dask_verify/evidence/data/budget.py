"""How much a Parquet file may cost, seen before anything of it is decompressed.

What this module guarantees: a file whose pages would take more bytes or values than a result of
this many rows and canonical bytes can take is refused; the metadata at its end are not believed.
What other tools make of a genuine file is not: wider types, spelled-out categories, a stored index.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import IO, Any

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pyarrow.types as pt

from dask_verify.core.canonical.arrow_types import is_list
from dask_verify.errors import DataError
from dask_verify.evidence.data.page_headers import Pages, read_pages

_FREE = 16  #: bytes of a value in the widest type of plain numbers, or of an index that is stored
_FOOTER, _FOOTER_COLUMN = 1 << 22, 1 << 12
_GROUPS = 16  #: row groups, and pages of a chunk, that may hold nothing
_AT_ONCE = 1 << 27
_PADDED = 1 << 28  #: bytes of padding in lists, which are known too late to be counted exactly


@dataclass(frozen=True)
class Budget:
    """Bytes that columns may take.

    Parameters
    ----------
    limit : int
        Most bytes, apart from `free`.
    rows : int
        Rows that the file has.
    columns : int
        Columns and index levels.
    words : dict of str to int
        Names of categorical columns, and bytes of their longest category.
    """

    limit: int
    rows: int
    columns: int
    words: dict[str, int]

    @classmethod
    def of(cls, meta: pd.DataFrame, names: list[str], limit: int, rows: int) -> Budget:
        """Return the budget of a frame whose columns and levels have names.

        Parameters
        ----------
        meta : pandas.DataFrame
            The empty frame of the result.
        names : list of str
            Names of its columns and levels, as in the file.
        limit : int
            Bytes of the verified result.
        rows : int
            Rows of the verified result.

        Returns
        -------
        Budget
        """
        levels = [meta.index.get_level_values(n).dtype for n in range(meta.index.nlevels)]
        dtypes = dict(zip(names, [*meta.dtypes, *levels], strict=True))
        words = {
            name: _longest(dtype.categories)
            for name, dtype in dtypes.items()
            if isinstance(dtype, pd.CategoricalDtype)
        }
        return cls(limit, rows, len(names), words)

    def sides(self, name: str, nbytes: int) -> tuple[int, int]:
        """Return bytes of a column as bytes of plain and of categorical columns.

        Parameters
        ----------
        name : str
            Name of the column.
        nbytes : int
            The bytes.

        Returns
        -------
        tuple of (int, int)
        """
        return (0, nbytes) if name in self.words else (nbytes, 0)

    def check(self, plain: int, words: int) -> None:
        """Refuse bytes of plain and of categorical columns that are too many.

        Parameters
        ----------
        plain : int
            Bytes of plain columns.
        words : int
            Bytes of categorical columns.

        Raises
        ------
        DataError
            If it cannot be so.
        """
        spelled = self.rows * sum(_FREE + longest for longest in self.words.values())
        for got, free in (plain, self.rows * self.columns * _FREE), (words, spelled):
            if got > self.limit + free:
                raise DataError(
                    f"expected columns of at most {self.limit} bytes (and {free} for wider types),"
                    f" got {got}"
                )

    def check_values(self, values: int, where: str) -> None:
        """Refuse too many values in lists: in canonical bytes each takes one at least.

        Parameters
        ----------
        values : int
            Number of values.
        where : str
            Which column, for the error.

        Raises
        ------
        DataError
            If it cannot be so.
        """
        most = self.limit // 8 + self.rows
        if values > most:
            raise DataError(f"column {where}: expected at most {most} values, got {values}")


def _longest(categories: pd.Index) -> int:
    texts = (c for c in categories if isinstance(c, str | bytes))
    return max((len(c) if isinstance(c, bytes) else _utf8(c) for c in texts), default=0)


def _utf8(text: str) -> int:
    return len(text.encode(errors="surrogatepass"))


def check_footer(file: IO[bytes], columns: int, limit: int) -> None:
    """Refuse metadata that are too large for so many columns, before they are parsed.

    Parameters
    ----------
    file : IO
        The Parquet file.
    columns : int
        Number of columns.
    limit : int
        Bytes of the verified result.

    Raises
    ------
    DataError
        If it cannot be so.
    """
    file.seek(max(0, file.seek(0, 2) - 8))
    footer = int.from_bytes(file.read(4), "little")
    file.seek(0)
    most = _FOOTER + columns * _FOOTER_COLUMN + limit // 8
    if footer > most:
        raise DataError(f"expected metadata of at most {most} bytes, got {footer}")


@dataclass(frozen=True)
class Plan:
    """How a file is read within bounds.

    Parameters
    ----------
    dictionaries : list of str
        Paths of leaves that are read as dictionaries, which stay small where texts repeat.
    pieces : bool
        Whether each row group is read by itself.
    batch : int or None
        Rows to read at a time, where texts could otherwise become far too many bytes at once.
    """

    dictionaries: list[str]
    pieces: bool
    batch: int | None


def plan(parquet: pq.ParquetFile, file: IO[bytes], budget: Budget | None) -> Plan:
    """Look at all pages of a file; refuse it, or say how it is to be read.

    Parameters
    ----------
    parquet : pyarrow.parquet.ParquetFile
        Its metadata.
    file : binary file
        The same file.
    budget : Budget or None
        None to look for texts only.

    Returns
    -------
    Plan

    Raises
    ------
    DataError
        If the pages take too much, or are not what the metadata say.
    """
    _check_groups(parquet.metadata)
    if budget is not None and budget.rows > budget.limit:
        raise DataError(f"expected at most {budget.limit} rows, got {budget.rows}")
    schema = parquet.schema
    leaves = [_Leaf(schema.column(n)) for n in range(len(schema))]
    found = _walk(parquet.metadata, file, leaves, budget)
    if budget is not None:
        _check_padding(parquet.schema_arrow, leaves, found, budget)
    texts = list(zip(leaves, found, strict=True))
    deltas = [(leaf, pages) for leaf, pages in texts if leaf.text and pages.delta]
    for leaf, pages in deltas:
        if leaf.nested and pages.largest * pages.values > _AT_ONCE:
            raise DataError(
                f"column {leaf.path!r:.100}: expected no DELTA_BYTE_ARRAY encoding of texts in"
                " lists, which may hide any number of bytes; write the file with another encoding"
            )
    largest = max((pages.largest for _, pages in deltas), default=0)
    batch = max(1, min(1 << 20, _AT_ONCE // max(1, largest))) if deltas else None
    short = [leaf for leaf, pages in texts if leaf.text and not pages.delta]
    pieces = batch is not None or any("." in leaf.path for leaf in short)
    return Plan([leaf.path for leaf in short], pieces, batch)


class _Leaf:
    """What matters of a column of values."""

    def __init__(self, column: Any) -> None:
        self.path: str = column.path
        self.nested = column.max_repetition_level > 0
        binary = column.physical_type == "BYTE_ARRAY"
        self.text = binary and column.logical_type.type != "DECIMAL"
        fixed = column.physical_type == "FIXED_LEN_BYTE_ARRAY"
        self.width = int(column.length) if fixed else 0


def _check_groups(metadata: pq.FileMetaData) -> None:
    rows = [metadata.row_group(n).num_rows for n in range(metadata.num_row_groups)]
    if min(rows, default=0) < 0 or sum(rows) != metadata.num_rows:
        raise DataError(f"expected row groups of {metadata.num_rows} rows, got {sum(rows)}")
    if len(rows) > metadata.num_rows + _GROUPS:
        raise DataError(f"expected row groups that hold rows, got {len(rows)} row groups")


def _walk(
    metadata: pq.FileMetaData, file: IO[bytes], leaves: list[_Leaf], budget: Budget | None
) -> list[Pages]:
    """Return what the pages of each leaf come to; stop where that is too much."""
    size = file.seek(0, 2)
    found = [Pages()] * len(leaves)
    plain = words = 0
    for number in range(metadata.num_row_groups):
        group = metadata.row_group(number)
        for place, leaf in enumerate(leaves):
            pages = _chunk(file, group, place, leaf, budget, size)
            found[place] += pages
            stored = group.column(place).total_compressed_size
            spent = max(pages.nbytes, stored, pages.values * leaf.width)
            if budget is not None:
                more = budget.sides(leaf.path, spent)
                plain, words = plain + more[0], words + more[1]
                budget.check(plain, words)
                if leaf.nested:
                    budget.check_values(found[place].values, leaf.path)
    return found


def _chunk(
    file: IO[bytes], group: Any, place: int, leaf: _Leaf, budget: Budget | None, size: int
) -> Pages:
    total = Pages()
    for count, page in enumerate(read_pages(file, group.column(place), size), 1):
        total += page
        if not leaf.nested and total.values > group.num_rows:
            raise DataError(
                f"column {leaf.path!r:.100}: expected {group.num_rows} values in a row group,"
                f" got {total.values}"
            )
        if count > total.values + _GROUPS:
            raise DataError(f"column {leaf.path!r:.100}: expected pages that hold values")
        if budget is not None:
            budget.check(*budget.sides(leaf.path, total.nbytes))
    return total


# --- what is spelled out ---------------------------------------------------------------------


def spelled(column: Any) -> int:
    """Return the bytes that an Arrow array takes without dictionaries.

    Parameters
    ----------
    column : object
        The array.

    Returns
    -------
    int
    """
    kind = column.type
    if pt.is_dictionary(kind) and not pt.is_primitive(kind.value_type):
        lengths = pc.binary_length(column.dictionary).take(column.indices)
        return int(column.indices.nbytes) + int(pc.sum(lengths.cast(pa.int64())).as_py() or 0)
    if pt.is_map(kind):
        return 4 * len(column) + spelled(column.keys) + spelled(column.items)
    if is_list(kind) or pt.is_fixed_size_list(kind):
        return 4 * len(column) + spelled(column.flatten())
    if pt.is_struct(kind):
        return sum(map(spelled, column.flatten()), start=len(column) // 8)
    return int(column.nbytes)


# --- lists of a fixed size -------------------------------------------------------------------


def _check_padding(
    schema: pa.Schema, leaves: list[_Leaf], found: list[Pages], budget: Budget
) -> None:
    """Refuse lists of a fixed size that would be filled up where they are missing."""
    for field in schema:
        slots = _slots(field.type)
        if slots is None:
            continue
        pairs = zip(leaves, found, strict=True)
        inside = [p.values for leaf, p in pairs if leaf.path.startswith(f"{field.name}.")]
        values = max(inside, default=0)
        exact, padded = slots
        if exact * budget.rows > budget.limit or padded * values > budget.limit + _PADDED:
            raise DataError(
                f"column {field.name!r:.100}: expected {budget.limit} bytes at most, got lists of"
                f" a fixed size that take more: {field.type!s:.100}"
            )


def _slots(kind: pa.DataType) -> tuple[int, int] | None:
    """Return bytes of one value outside and one inside of lists; None without fixed sizes."""
    if pt.is_fixed_size_list(kind):
        outside, inside = _slots(kind.value_type) or (_width(kind.value_type), 0)
        return kind.list_size * outside, kind.list_size * inside
    if is_list(kind) or pt.is_map(kind):
        items = [kind.key_type, kind.item_type] if pt.is_map(kind) else [kind.value_type]
        found = [s for s in map(_slots, items) if s is not None]
        return (0, sum(map(max, found))) if found else None
    if pt.is_struct(kind):
        found = [s for s in (_slots(f.type) for f in kind) if s is not None]
        return (sum(a for a, _ in found), sum(b for _, b in found)) if found else None
    return None


def _width(kind: pa.DataType) -> int:
    if pt.is_struct(kind):
        return sum(_width(field.type) for field in kind)
    try:
        return max(1, int(kind.bit_width) // 8)
    except ValueError:
        return 8
