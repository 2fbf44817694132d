"""Dataframes as Parquet, read back by value, whatever wrote the file.

What this module guarantees

* What is written can be read back, or is refused before anything is written.
* A file is read according to an empty frame: names, dtypes, categories and index come from there,
  only values from the file; they pass unchanged, or there is an error. Order of columns, row
  groups, compression, encodings and metadata of the file do not matter.

Names are those of pandas and pyarrow: labels as text, ``__index_level_0__`` for index levels
without a name; a plain ``RangeIndex`` from 0 needs no column.
"""

from __future__ import annotations

import io
import json
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pyarrow.types as pt

from dask_verify.errors import DataError
from dask_verify.evidence.data.arrow_columns import ARROW_ERRORS, check_kind, from_arrow, to_arrow
from dask_verify.evidence.data.budget import Budget, Plan, check_footer, plan, spelled
from dask_verify.evidence.data.footer import check_chunks

_COLUMNS = 100_000
"""Most columns of a file: each costs far more than its few bytes of metadata."""


def write_parquet(frame: pd.DataFrame, file: IO[bytes]) -> None:
    """Write a dataframe.

    Parameters
    ----------
    frame : pandas.DataFrame
        Any that has canonical bytes and whose columns Parquet can hold.
    file : binary file
        Where to write.

    Raises
    ------
    DataError
        If Parquet cannot hold it; nothing is written then.

    Examples
    --------
    >>> import io
    >>> file, frame = io.BytesIO(), pd.DataFrame({"a": [1, 2]})
    >>> write_parquet(frame, file)
    >>> read_parquet(file, frame.iloc[:0])
       a
    0  1
    1  2
    """
    table = _table(frame)
    sink = pa.BufferOutputStream()
    try:
        pq.write_table(table, sink)
    except ARROW_ERRORS as error:
        raise DataError(f"Parquet cannot hold the frame: {error!s:.300}") from None
    data = sink.getvalue()
    # Types that do not come back are found without a look at the rows.
    read_parquet(_empty_file(table), frame.iloc[:0], 0)
    file.write(data)


def read_parquet(
    file: IO[bytes], meta: pd.DataFrame, rows: int | None = None, limit: int | None = None
) -> pd.DataFrame:
    """Read the values of a dataframe.

    Parameters
    ----------
    file : binary file
        What to read; it must be able to seek.
    meta : pandas.DataFrame
        Empty frame: what the result looks like.
    rows : int, optional
        How many rows there must be; seen before they are read.
    limit : int, optional
        Most bytes that columns may take, apart from wider types and longer categories; counted
        page by page before anything is decompressed, and again before texts are spelled out.

    Returns
    -------
    pandas.DataFrame

    Raises
    ------
    DataError
        If it is no Parquet, has other columns or rows, or values that `meta` cannot hold.

    Examples
    --------
    >>> import io
    >>> file = io.BytesIO()
    >>> pd.DataFrame({"a": [1, 2]}).to_parquet(file)
    >>> read_parquet(file, pd.DataFrame({"a": pd.Series(dtype="float64")})).a.tolist()
    [1.0, 2.0]
    >>> read_parquet(file, pd.DataFrame({"a": pd.Series(dtype="bool")}))
    Traceback (most recent call last):
        ...
    dask_verify.errors.DataError: column 'a': expected values of dtype bool, got Arrow int64, \
which cannot become it without a change
    """
    columns, levels = _names(meta)
    names = columns + levels
    with _reading():
        if limit is not None:
            check_footer(file, len(names), limit)
        parquet = pq.ParquetFile(file)
        _check_rows(parquet.metadata, rows)
        counted = _check_names(parquet, meta, columns, levels)
        _check_kinds(parquet.schema_arrow, meta, columns, [] if counted else levels)
        check_chunks(file, parquet.schema)
        many = parquet.metadata.num_rows
        budget = None if limit is None else Budget.of(meta, names, limit, many)
        table = _values(file, plan(parquet, file, budget), budget)
    _check_rows(table, rows)
    return _frame(table, meta, columns, None if counted else levels)


@contextmanager
def _reading() -> Iterator[None]:
    """Turn whatever hostile bytes make a library raise into our error."""
    try:
        yield
    except DataError:
        raise
    except (Exception, MemoryError) as error:
        kind = type(error).__name__
        raise DataError(f"expected a Parquet file, got {kind}: {error!s:.300}") from None


# --- names -----------------------------------------------------------------------------------


def _names(frame: pd.DataFrame) -> tuple[list[str], list[str]]:
    """Return the names that columns and index levels have in a file."""
    columns = list(map(_name, frame.columns))
    levels = [
        f"__index_level_{place}__" if name is None or _name(name) in columns else _name(name)
        for place, name in enumerate(frame.index.names)
    ]
    every = columns + levels
    if len(set(every)) < len(every):
        twice = next(name for name in every if every.count(name) > 1)
        raise DataError(
            f"expected different names of columns and index levels, got {twice!r:.100} twice;"
            " rename one in the reducer: Parquet knows them by their text"
        )
    return columns, levels


def _name(label: Any) -> str:
    """Return a label as text, in the way of pyarrow."""
    text = label if isinstance(label, str) else _text(label)
    try:
        text.encode()
    except UnicodeEncodeError:
        raise DataError(f"column {label!r:.100}: expected a name that has a UTF-8 form") from None
    return text


def _text(label: Any) -> str:
    if isinstance(label, bytes):
        return label.decode("utf-8", "backslashreplace")
    if isinstance(label, tuple):
        return str(tuple(map(_name, label)))
    return str(label)


def _check_rows(holder: Any, rows: int | None) -> None:
    if rows is not None and holder.num_rows != rows:
        raise DataError(f"expected {rows} rows, got {holder.num_rows}")


def _check_names(
    parquet: pq.ParquetFile, meta: pd.DataFrame, columns: list[str], levels: list[str]
) -> bool:
    """Check that all columns are there and no others; say whether the index is only counted."""
    if parquet.metadata.num_columns > _COLUMNS:
        raise DataError(f"expected at most {_COLUMNS} columns, got {parquet.metadata.num_columns}")
    have = parquet.schema_arrow.names
    if len(set(have)) < len(have):
        raise DataError("expected different names of columns, got one twice")
    counted = _countable(meta) and levels[0] not in have
    want = set(columns) if counted else {*columns, *levels}
    missing, extra = sorted(want - set(have)), sorted(set(have) - want)
    if missing or extra:
        parts = [f"without {missing!r:.200}"] * bool(missing) + [f"with {extra!r:.200}"] * bool(
            extra
        )
        raise DataError(
            f"expected the columns {columns + levels!r:.200}, got a file {' and '.join(parts)}"
        )
    return counted


def _check_kinds(
    schema: pa.Schema, meta: pd.DataFrame, columns: list[str], levels: list[str]
) -> None:
    """Refuse columns that could not become what they must be, whatever is in them."""
    for place, name in enumerate(columns):
        where = f"column {meta.columns[place]!r}"
        check_kind(schema.field(name).type, meta.dtypes.iloc[place], where)
    for place, name in enumerate(levels):
        where = f"index {meta.index.names[place]!r}"
        check_kind(schema.field(name).type, meta.index.get_level_values(place).dtype, where)


def _countable(meta: pd.DataFrame) -> bool:
    """Whether an index of this kind may be a RangeIndex."""
    return bool(meta.index.nlevels == 1 and meta.index.dtype == "int64")


# --- reading ---------------------------------------------------------------------------------


def _values(file: IO[bytes], how: Plan, budget: Budget | None) -> pa.Table:
    """Read all columns; in pieces where texts may grow, or lie in lists."""
    # Dictionaries stay small where a file repeats one long text for every row.
    parquet = pq.ParquetFile(file, read_dictionary=how.dictionaries)
    plain = pq.ParquetFile(file).schema_arrow
    pieces, spent = [], (0, 0)
    for piece in _pieces(parquet, how):
        piece.validate()
        spent = _spend(piece, budget, *spent)
        pieces.append(_spelled(piece, plain, how) if how.pieces else piece)
    return pa.concat_tables(pieces) if pieces else plain.empty_table()


def _pieces(parquet: pq.ParquetFile, how: Plan) -> Iterator[pa.Table]:
    if not how.pieces:
        yield parquet.read()
        return
    for group in range(parquet.num_row_groups):
        if how.batch is None:  # Arrow cannot put the dictionaries of two groups into one list
            yield parquet.read_row_group(group)
        else:
            for batch in parquet.iter_batches(how.batch, row_groups=[group]):
                yield pa.Table.from_batches([batch])


def _spelled(piece: pa.Table, plain: pa.Schema, how: Plan) -> pa.Table:
    """Spell out dictionaries in lists; all of them where each batch would keep a whole one."""
    fields = [
        field if how.batch is not None or pt.is_nested(field.type) else piece.schema.field(place)
        for place, field in enumerate(plain)
    ]
    return piece.cast(pa.schema(fields, metadata=plain.metadata))


def _spend(table: pa.Table, budget: Budget | None, plain: int, words: int) -> tuple[int, int]:
    """Add what columns take once they are spelled out; refuse too much."""
    if budget is None:
        return plain, words
    for name, column in zip(table.column_names, table.columns, strict=True):
        size = column.nbytes if name in budget.words else sum(map(spelled, column.chunks))
        more = budget.sides(name, size)
        plain, words = plain + more[0], words + more[1]
    budget.check(plain, words)
    return plain, words


def _frame(
    table: pa.Table, meta: pd.DataFrame, columns: list[str], levels: list[str] | None
) -> pd.DataFrame:
    index = _counted(table, meta) if levels is None else _index(table, meta, levels)
    arrays = {}
    for place, name in enumerate(columns):
        dtype = meta.dtypes.iloc[place]
        values = from_arrow(table.column(name), dtype, f"column {meta.columns[place]!r}")
        # With its dtype: pandas would turn objects that are all str into its string dtype.
        arrays[place] = pd.Series(values, index=index, dtype=dtype, copy=False)
    out = pd.DataFrame(arrays, index=index, copy=False)
    out.columns = meta.columns
    return out


def _index(table: pa.Table, meta: pd.DataFrame, names: list[str]) -> pd.Index:
    levels = []
    for place, name in enumerate(names):
        dtype = meta.index.get_level_values(place).dtype
        values = from_arrow(table.column(name), dtype, f"index {meta.index.names[place]!r}")
        levels.append(pd.Index(values, dtype=dtype))
    if isinstance(meta.index, pd.MultiIndex):
        return pd.MultiIndex.from_arrays(levels, names=meta.index.names)
    return levels[0].set_names(meta.index.names)


def _counted(table: pa.Table, meta: pd.DataFrame) -> pd.Index:
    """Return the RangeIndex that pandas left in the metadata, or one from 0."""
    counted = _described(table.schema.metadata or {})
    if counted is None or len(counted) != table.num_rows:
        counted = range(table.num_rows)
    return pd.RangeIndex(counted, name=None).set_names(meta.index.names)


def _described(metadata: dict[bytes, bytes]) -> range | None:
    try:
        (index,) = json.loads(metadata.get(b"pandas", b"{}"))["index_columns"]
        ends = [index[name] for name in ("start", "stop", "step")]
        counted = range(*ends)
        pd.RangeIndex(counted)  # refuses what 64 bits do not hold
        len(counted)
    except (ValueError, TypeError, KeyError, RecursionError, OverflowError):
        return None
    return counted


# --- writing ---------------------------------------------------------------------------------


def _table(frame: pd.DataFrame) -> pa.Table:
    if type(frame) is not pd.DataFrame:
        raise DataError(f"expected a pandas.DataFrame, got {type(frame).__name__}")
    columns, levels = _names(frame)
    arrays = {
        name: to_arrow(frame.iloc[:, place], f"column {frame.columns[place]!r}")
        for place, name in enumerate(columns)
    }
    counted = _is_counted(frame)
    for place, name in enumerate([] if counted else levels):
        arrays[name] = to_arrow(_level(frame.index, place), f"index {frame.index.names[place]!r}")
    metadata = _metadata(frame, list(arrays), counted)
    return pa.table(arrays).replace_schema_metadata(metadata)


def _level(index: pd.Index, place: int) -> pd.Index:
    level = index.get_level_values(place)
    if level.dtype != object or not isinstance(index, pd.MultiIndex):
        return level
    # A MultiIndex knows one kind of missing value only, which among objects shows as NaN.
    return pd.Index(np.where(level.isna(), None, level), dtype=object, name=level.name)


def _is_counted(frame: pd.DataFrame) -> bool:
    """Whether the index says no more than the number of rows, and some column says that too."""
    index, rows = frame.index, len(frame)
    return bool(
        len(frame.columns) and type(index) is pd.RangeIndex and index.equals(pd.RangeIndex(rows))
    )


def _metadata(frame: pd.DataFrame, names: list[str], counted: bool) -> dict[bytes, bytes] | None:
    """Return what pandas itself writes, so that it reads such files well; None if it cannot."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            kept = None if counted else True
            made = pa.Table.from_pandas(frame.iloc[:0], preserve_index=kept).schema
        described = json.loads(made.metadata[b"pandas"])
    except ARROW_ERRORS:
        return None
    if made.names != names:
        return None
    if counted:
        described["index_columns"][0]["stop"] = len(frame)
    return {b"pandas": json.dumps(described).encode()}


def _empty_file(table: pa.Table) -> IO[bytes]:
    file = io.BytesIO()
    pq.write_table(table.slice(0, 0), file)
    return file
