"""Casting what a function returned to its meta, without losing anything, or refusing it."""

from __future__ import annotations

from typing import Any

import pandas as pd
from pandas.api import types

from dask_verify.errors import MetaError


def cast(frame: pd.DataFrame, meta: pd.DataFrame, role: str) -> pd.DataFrame:
    """Give a frame the dtypes of its meta.

    Parameters
    ----------
    frame : pandas.DataFrame
        What a mapper, combiner or reducer returned.
    meta : pandas.DataFrame
        Empty frame that says what was promised.
    role : str
        Whose output it is, for the message.

    Returns
    -------
    pandas.DataFrame
        Equal values under the dtypes, column order and index names of the meta.

    Raises
    ------
    MetaError
        If columns or index names differ, or a value would change.

    Examples
    --------
    >>> frame = pd.DataFrame({"n": [1.0, 2.0]})
    >>> cast(frame, pd.DataFrame({"n": pd.Series(dtype="int64")}), "mapper").n.tolist()
    [1, 2]
    """
    if list(frame.columns) != list(meta.columns):
        raise MetaError(
            f"{role}: expected the columns {list(meta.columns)}, got {list(frame.columns)};"
            " pass the right meta, or select the columns in this order"
        )
    frame = _cast_index(frame, meta, role)
    if frame.dtypes.tolist() == meta.dtypes.tolist():
        return frame.rename_axis(columns=meta.columns.names)
    columns = [
        _cast(frame.iloc[:, i], meta.dtypes.iloc[i], f"{role}, column {name!r}")
        for i, name in enumerate(meta.columns)
    ]
    out = pd.concat(columns, axis=1) if columns else frame
    out.columns = meta.columns
    return out


def _cast_index(frame: pd.DataFrame, meta: pd.DataFrame, role: str) -> pd.DataFrame:
    have, want = frame.index, meta.index
    if have.nlevels != want.nlevels or list(have.names) != list(want.names):
        raise MetaError(
            f"{role}: expected an index named {list(want.names)}, got {list(have.names)};"
            " pass the right meta, or call .reset_index()"
        )
    levels = [have.get_level_values(i) for i in range(have.nlevels)]
    wanted = [want.get_level_values(i).dtype for i in range(want.nlevels)]
    if [level.dtype for level in levels] == wanted:
        return frame
    done = [
        pd.Index(_cast(level.to_series(), dtype, f"{role}, index {level.name!r}"))
        for level, dtype in zip(levels, wanted, strict=True)
    ]
    index = done[0] if have.nlevels == 1 else pd.MultiIndex.from_arrays(done)
    return frame.set_axis(index.set_names(list(have.names)), axis=0)


def _cast(series: pd.Series, dtype: Any, where: str) -> pd.Series:
    if series.dtype == dtype or _open_categories(series.dtype, dtype):
        return series
    lost = MetaError(
        f"{where}: expected dtype {dtype}, got {series.dtype} with values that this dtype cannot"
        " hold; cast in the function itself, or pass the right meta"
    )
    if not _kin(series, dtype):
        raise lost
    try:
        out = series.astype(dtype)
    except (TypeError, ValueError, OverflowError):
        raise lost from None
    if not _equal(series, out):
        raise lost
    return out


def _open_categories(have: Any, want: Any) -> bool:
    """Whether the meta says "categorical" without knowing the categories, as Dask's often do."""
    both = isinstance(have, pd.CategoricalDtype) and isinstance(want, pd.CategoricalDtype)
    return both and list(want.categories) in ([], ["__UNKNOWN_CATEGORIES__"])


def _kin(series: pd.Series, dtype: Any) -> bool:
    """Whether a cast can be a mere change of representation."""
    have = series.dtype
    if types.is_object_dtype(dtype) or series.isna().all():
        return True
    if _number(have):
        return _number(dtype)
    if types.is_bool_dtype(have):
        return bool(types.is_bool_dtype(dtype))
    if types.is_datetime64_any_dtype(have):
        return getattr(have, "tz", None) == getattr(dtype, "tz", None)
    if types.is_timedelta64_dtype(have):
        return bool(types.is_timedelta64_dtype(dtype))
    if isinstance(dtype, pd.CategoricalDtype):
        return bool(series.dropna().isin(dtype.categories).all())
    texts = types.is_string_dtype(dtype) and not types.is_object_dtype(dtype)
    return texts and all(isinstance(v, str) for v in series.dropna())


def _number(dtype: Any) -> bool:
    return bool(types.is_numeric_dtype(dtype) and not types.is_bool_dtype(dtype))


def _equal(before: pd.Series, after: pd.Series) -> bool:
    """Whether every value is still what it was; missing stays missing."""
    if not (before.isna().to_numpy() == after.isna().to_numpy()).all():
        return False
    there = before.notna().to_numpy()
    values = zip(before[there].astype(object), after[there].astype(object), strict=True)
    return all(x == y for x, y in values)
