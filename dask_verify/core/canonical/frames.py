"""pandas frames -> canonical bytes, and back: one Merkle leaf a run of rows.

Guarantees
* Labels, their names, dtypes, categories and the index are part of the value; attributes, flags,
  the frequency of an index and the block layout are not.
* A leaf is a function of its own rows and of the dtypes: cutting a frame into leaves gives the
  bytes that encoding each piece by itself would give.

Layout: kind byte, number of rows (uint64), length of the header (uint32), header (description of
the columns index, its bytes, descriptions of the columns, description of the index), index,
columns; each laid out as in ``columns``.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from itertools import pairwise, takewhile
from typing import TYPE_CHECKING, Any

from dask_verify.core.canonical.blocks import equal_runs
from dask_verify.core.canonical.columns import Column, Parts
from dask_verify.core.canonical.pandas_reading import (
    normal_array,
    normal_index,
    read_array,
    read_index,
)
from dask_verify.core.canonical.pandas_writing import describe, describe_index, index_bytes
from dask_verify.core.canonical.table import header_bytes, read_header
from dask_verify.core.canonical.values import check_same
from dask_verify.core.canonical.wire import (
    FRAME,
    Reader,
    Refusal,
    decoded,
    open_reader,
    refused,
)
from dask_verify.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd


@dataclass(frozen=True)
class _Prepared:
    header: bytes
    columns: list[tuple[str, Column]]

    def leaves(self, bounds: list[int]) -> list[bytes]:
        """Return consecutive runs; those at the beginning that are equally long all at once."""
        runs = list(pairwise(bounds))
        rows = runs[0][1] - runs[0][0] if runs and not bounds[0] else 0
        equal = list(takewhile(lambda run: run[1] - run[0] == rows, runs if rows else ()))
        columns = [column for _, column in self.columns]
        done = equal_runs(self._prefix(rows), columns, rows, len(equal)) if len(equal) > 1 else []
        return done + [self.leaf(start, stop) for start, stop in runs[len(done) :]]

    def _prefix(self, rows: int) -> bytes:
        return FRAME + rows.to_bytes(8, "little") + self.header

    def leaf(self, start: int, stop: int) -> bytes:
        parts: Parts = [self._prefix(stop - start)]
        for place, column in self.columns:
            try:
                column.emit(start, stop, parts)
            except Refusal as refusal:
                refusal.steps.append(f"{place}, ")
                raise
        return b"".join(parts)


def encode_frame(df: pd.DataFrame) -> bytes:
    """Return the canonical bytes of a frame: one Merkle leaf.

    Parameters
    ----------
    df : pandas.DataFrame
        Exactly a DataFrame, with supported dtypes.

    Returns
    -------
    bytes
        Equal for frames with equal values, dtypes, labels and index, and for no others.

    Raises
    ------
    EncodingError
        If a dtype or a value is not supported; the path names column and row.

    Examples
    --------
    >>> import pandas as pd
    >>> df = pd.DataFrame({"a": [1, 2, 3]})
    >>> encode_frame(df[1:]) == encode_frame(pd.DataFrame({"a": [2, 3]}, index=[1, 2]))
    True
    """
    return refused(partial(frame_bytes, df, 0))


def encode_frames(df: pd.DataFrame, bounds: Sequence[int]) -> list[bytes]:
    """Return the leaves of consecutive runs of rows.

    Parameters
    ----------
    df : pandas.DataFrame
        The whole frame; it is prepared once.
    bounds : sequence of int
        Ascending row numbers; leaf ``i`` holds rows ``bounds[i]`` to ``bounds[i + 1]``.

    Returns
    -------
    list of bytes
        ``encode_frame(df.iloc[bounds[i]:bounds[i + 1]])`` for each ``i``.

    Raises
    ------
    EncodingError
        As ``encode_frame``.
    InputError
        If the bounds do not ascend within the frame.

    Examples
    --------
    >>> import pandas as pd
    >>> df = pd.DataFrame({"a": [1, 2, 3]})
    >>> encode_frames(df, [0, 1, 3]) == [encode_frame(df[:1]), encode_frame(df[1:])]
    True
    """
    refused(partial(_check_frame, df))
    ends = list(bounds)
    if ends != sorted(ends) or (ends and (ends[0] < 0 or ends[-1] > len(df))):
        raise InputError(f"bounds must ascend from 0 to {len(df)} at most, got {ends[:10]}")
    return refused(partial(_leaves, df, ends))


def decode_frame(data: bytes) -> pd.DataFrame:
    """Return the frame whose canonical bytes these are.

    Parameters
    ----------
    data : bytes
        What ``encode_frame`` returned.

    Returns
    -------
    pandas.DataFrame
        The frame; an int64 index in arithmetic progression is a RangeIndex.

    Raises
    ------
    DecodingError
        If ``encode_frame`` returns these bytes for no frame.

    Examples
    --------
    >>> import pandas as pd
    >>> decode_frame(encode_frame(pd.DataFrame({"a": [1.5]})))
         a
    0  1.5
    """
    return decode_frame_at(data, 0)


def normalise_frame(df: pd.DataFrame) -> pd.DataFrame:
    """Return what a reader of the encoded frame would get, in memory of its own.

    Parameters
    ----------
    df : pandas.DataFrame
        Exactly a DataFrame, with supported dtypes.

    Returns
    -------
    pandas.DataFrame
        Equal to ``decode_frame(encode_frame(df))``.

    Raises
    ------
    EncodingError
        As ``encode_frame``.

    Examples
    --------
    >>> import pandas as pd
    >>> normalise_frame(pd.DataFrame({"a": [{"y": 1, "x": 2}]})).iloc[0, 0]
    {'x': 2, 'y': 1}
    """
    return refused(partial(_normal, df))


def frame_bytes(df: pd.DataFrame, depth: int) -> bytes:
    """Encode a frame that sits inside ``depth`` containers; may raise ``Refusal``.

    Parameters
    ----------
    df : pandas.DataFrame
        The frame.
    depth : int
        How many containers are around it.

    Returns
    -------
    bytes
    """
    return _prepare(df, depth).leaf(0, len(df))


def decode_frame_at(data: bytes, depth: int) -> pd.DataFrame:
    """Decode a frame that sits inside ``depth`` containers.

    Parameters
    ----------
    data : bytes
        The bytes.
    depth : int
        How many containers are around it.

    Returns
    -------
    pandas.DataFrame
    """
    reader = open_reader(data, FRAME, "an encoded frame")
    frame = decoded(partial(_decode, reader, depth))
    reader.finish()
    check_same(partial(_frame_again, frame, depth), reader.data)
    return frame


def decode_unchecked(data: bytes) -> pd.DataFrame:
    """Decode a frame without seeing whether its bytes are canonical: that is left to the caller.

    Parameters
    ----------
    data : bytes
        The bytes.

    Returns
    -------
    pandas.DataFrame
    """
    reader = open_reader(data, FRAME, "an encoded frame")
    frame = _decode(reader, 0)
    reader.finish()
    return frame


def _frame_again(df: pd.DataFrame, depth: int) -> bytes:
    return refused(partial(frame_bytes, df, depth))


def _check_frame(df: Any) -> None:
    import pandas as pd

    if type(df) is not pd.DataFrame:
        advice = "a frame must be exactly a pandas.DataFrame; wrap it: pandas.DataFrame(x)"
        raise Refusal(df, advice)


def _leaves(df: pd.DataFrame, bounds: list[int]) -> list[bytes]:
    return _prepare(df, 0).leaves(bounds)


def _prepare(df: pd.DataFrame, depth: int) -> _Prepared:
    _check_frame(df)
    labels = _at("the column labels", index_bytes, df.columns, depth)
    index, levels = _at("the index", describe_index, df.index, depth)
    described, columns = [], [("the index", level) for level in levels]
    for label, series in df.items():
        where = f"column {label!r}"
        kind, column = _at(where, describe, series, series.dtype, depth)
        described.append(kind)
        columns.append((where, column))
    header = _at("the labels", header_bytes, [*labels, described, index])
    return _Prepared(header, columns)


def _at(place: str, work: Any, *args: Any) -> Any:
    try:
        return work(*args)
    except Refusal as refusal:
        refusal.steps.append(f"{place}, " if refusal.steps else place)
        raise


def _decode(reader: Reader, depth: int) -> pd.DataFrame:
    count = reader.number(8)
    labels, body, described, index = read_header(reader)
    inner = Reader(body)
    columns = read_index(inner, labels, len(described), depth)
    inner.finish()
    rows = read_index(reader, index, count, depth)
    arrays = [read_array(reader, kind, count, depth) for kind in described]
    return _frame(arrays, rows, columns)


def _frame(arrays: list[Any], rows: pd.Index, columns: pd.Index) -> pd.DataFrame:
    import pandas as pd

    frame = pd.DataFrame(
        {place: _series(array, rows) for place, array in enumerate(arrays)}, index=rows, copy=False
    )
    frame.columns = columns
    return frame


def _normal(df: pd.DataFrame) -> pd.DataFrame:
    _check_frame(df)
    rows = _at("the index", normal_index, df.index)
    columns = _at("the column labels", normal_index, df.columns)
    arrays = [_at(f"column {label!r}", normal_array, series) for label, series in df.items()]
    return _frame(arrays, rows, columns)


def _series(array: Any, rows: pd.Index) -> Any:
    import pandas as pd

    # Only for objects: pandas would turn those that are all str into its string dtype.
    if array.dtype != object:
        return array
    return pd.Series(array, index=rows, dtype=object, copy=False)
