"""Units and buckets of a dataframe: runs of rows, and frames of whole key groups."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import accumulate
from typing import Any

import numpy as np
import pandas as pd
from pandas.api.types import union_categoricals

from dask_verify.core.canonical import (
    decode_frame,
    decode_frames,
    encode_frame,
    encode_frames,
    normalise_frame,
)
from dask_verify.core.keys import frame_buckets
from dask_verify.errors import InputError
from dask_verify.execution.cast import cast
from dask_verify.execution.work import Hooks, Work


def units(partition: pd.DataFrame, unit_records: int | None) -> list[pd.DataFrame]:
    """Cut a partition into runs of rows; an empty partition is one empty unit.

    Parameters
    ----------
    partition : pandas.DataFrame
        The rows of the partition.
    unit_records : int or None
        Records in one unit; None for the default.

    Returns
    -------
    list of pandas.DataFrame
    """
    if unit_records is None or len(partition) <= unit_records:
        return [partition]
    starts = range(0, len(partition), unit_records)
    return [partition.iloc[start : start + unit_records] for start in starts]


def encode_units(partition: pd.DataFrame, runs: Sequence[pd.DataFrame]) -> list[bytes]:
    """Return the canonical bytes of runs that `units` cut from a partition.

    Parameters
    ----------
    partition : pandas.DataFrame
        The rows of the partition.
    runs : sequence of pandas.DataFrame
        The runs.

    Returns
    -------
    list of bytes
    """
    return encode_frames(partition, [0, *accumulate(map(len, runs))])


def count(records: pd.DataFrame) -> int:
    """Return the number of rows.

    Parameters
    ----------
    records : pandas.DataFrame
        The records.

    Returns
    -------
    int
    """
    return len(records)


decode = decode_frame
normalise = normalise_frame


def map_unit(
    work: Work, partition: int, unit: int, records: pd.DataFrame, hooks: Hooks | None
) -> tuple[list[bytes], list[int]]:
    """Map one unit; return its cell and its number of rows for every bucket.

    Parameters
    ----------
    work : Work
        The user's functions, with what is needed to run them.
    partition : int
        Number of the partition.
    unit : int
        Number of the unit.
    records : pandas.DataFrame
        The records.
    hooks : Hooks or None
        What a saboteur changes; None for nothing.

    Returns
    -------
    tuple of (list of bytes, list of int)
    """
    out = _mapped(work, records)
    if hooks is not None:
        out = hooks.map_output(partition, unit, out)
    if work.buckets == 1:
        return [encode_frame(out)], [len(out)]
    buckets = frame_buckets(out, list(work.by), work.buckets)
    order = np.argsort(buckets, kind="stable")
    counts = np.bincount(buckets, minlength=work.buckets)
    bounds = [0, *np.cumsum(counts).tolist()]
    return encode_frames(out.take(order), bounds), counts.tolist()


def _mapped(work: Work, records: pd.DataFrame) -> pd.DataFrame:
    out = cast(_frame("mapper", work.mapper(records)), work.map_meta, "mapper")
    if work.combiner is None or not len(out):
        return out
    return cast(_frame("combiner", work.combiner(out)), work.map_meta, "combiner")


def _frame(role: str, out: Any) -> pd.DataFrame:
    if isinstance(out, pd.DataFrame):
        return out
    raise InputError(
        f"{role}: expected a pandas DataFrame, got {type(out).__name__};"
        " call .to_frame() or .reset_index() on a Series"
    )


def concat(frames: Sequence[pd.DataFrame], empty: pd.DataFrame) -> pd.DataFrame:
    """Concatenate frames in order, uniting the categories of categorical columns.

    Parameters
    ----------
    frames : sequence of pandas.DataFrame
        The frames.
    empty : pandas.DataFrame
        What no frames at all give.

    Returns
    -------
    pandas.DataFrame
    """
    full = [frame for frame in frames if len(frame)]
    if not full:
        return empty
    if len(full) == 1:
        return full[0]
    out = pd.concat(_united(full))
    if full[0].index.nlevels == 1 and full[0].index.dtype == object:
        # pandas would infer a type for labels that look alike: text, say, and lose a None.
        labels = np.concatenate([frame.index.to_numpy(dtype=object) for frame in full])
        out.index = pd.Index(labels, dtype=object, name=out.index.name)
    return out


def _united(frames: list[pd.DataFrame]) -> list[pd.DataFrame]:
    """Give equal categories to what pandas would otherwise turn into plain objects."""
    first = frames[0]
    for at, dtype in enumerate(first.dtypes):
        if isinstance(dtype, pd.CategoricalDtype):
            columns = [frame.iloc[:, at] for frame in frames]
            if any(column.dtype != dtype for column in columns):
                frames = [frame.copy(deep=False) for frame in frames]
                for frame, column in zip(frames, _alike(columns), strict=True):
                    frame.isetitem(at, column)
    levels = [_level_values(frame.index) for frame in frames]
    kinds = [index.dtype for index in levels[0]]
    if not any(isinstance(kind, pd.CategoricalDtype) for kind in kinds):
        return frames
    alike = [_alike(column) for column in zip(*levels, strict=True)]
    indexes = [_index(parts, first.index) for parts in zip(*alike, strict=True)]
    return [f.set_axis(i, axis=0) for f, i in zip(frames, indexes, strict=True)]


def _alike(parts: Sequence[Any]) -> Sequence[Any]:
    """Return columns or levels with the union of their categories, in order of appearance."""
    if not all(isinstance(part.dtype, pd.CategoricalDtype) for part in parts):
        return parts
    dtype = union_categoricals(list(parts)).dtype
    return [part.astype(dtype) for part in parts]


def _level_values(index: pd.Index) -> list[pd.Index]:
    return [index.get_level_values(level) for level in range(index.nlevels)]


def _index(levels: Sequence[pd.Index], like: pd.Index) -> pd.Index:
    if like.nlevels == 1:
        return levels[0]
    return pd.MultiIndex.from_arrays(levels, names=like.names)


def reduce_bucket(
    work: Work, partition: int, unit: int, cells: Iterable[bytes], hooks: Hooks | None
) -> tuple[bytes, int, int]:
    """Reduce one bucket; return its leaf, rows consumed and rows produced.

    The reducer is not called for a bucket without rows, so that the answer does not depend on the
    number of buckets.

    Parameters
    ----------
    work : Work
        The user's functions, with what is needed to run them.
    partition : int
        Number of the partition.
    unit : int
        Number of the unit.
    cells : iterable of bytes
        The bucket's cells, in order.
    hooks : Hooks or None
        What a saboteur changes; None for nothing.

    Returns
    -------
    tuple of (bytes, int, int)
    """
    rows = concat([_expected(work, f) for f in decode_frames(list(cells))], work.map_meta)
    out = work.meta
    if len(rows):
        out = _owned(work.by, rows, _frame("reducer", work.reducer(rows)))
        out = cast(out, work.meta, "reducer")
    if hooks is not None:
        out = hooks.reduce_output(partition, unit, out)
    return encode_frame(out), len(rows), len(out)


def _expected(work: Work, cells: pd.DataFrame) -> pd.DataFrame:
    """Refuse cells that no mapper gave; without columns, a few bytes may claim many rows."""
    if not cells.columns.equals(work.map_meta.columns):
        raise InputError(
            f"cells: expected the columns {list(work.map_meta.columns)} of the mapper's meta,"
            f" got {list(cells.columns)!r:.200}"
        )
    return cells


def _owned(by: Sequence[str], rows: pd.DataFrame, out: pd.DataFrame) -> pd.DataFrame:
    """Drop groups of categories that have no rows here, as ``observed=False`` makes them.

    If they have rows at all, another bucket owns these; if every bucket kept its own idea of what
    is empty, the answer would depend on the number of buckets.
    """
    if not set(by) <= {*out.columns, *out.index.names}:
        return out
    given, made = _keys(by, rows), _keys(by, out)
    categorical = (
        isinstance(m.dtype, pd.CategoricalDtype) and m.dtype == g.dtype
        for g, m in zip(given, made, strict=True)
    )
    if not any(categorical):
        return out
    return out[_tuples(made).isin(_tuples(given))]


def _keys(by: Sequence[str], frame: pd.DataFrame) -> list[pd.Index]:
    levels = frame.index.get_level_values
    return [pd.Index(frame[k]) if k in frame.columns else levels(k) for k in by]


def _tuples(keys: Sequence[pd.Index]) -> pd.MultiIndex:
    plain = [k.astype(object) if isinstance(k.dtype, pd.CategoricalDtype) else k for k in keys]
    return pd.MultiIndex.from_arrays(plain)
