"""Giving rows of a concatenated frame the exact form of the leaf that they came from.

Concatenating unites the categories of leaves, and takes the time zone object and the labels of one
of them. What this module guarantees: a fitted frame has exactly the labels, dtypes, categories and
time zones of the form, and every value is what it was; else there is an error.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from dask_verify.core.canonical import encode_frame
from dask_verify.errors import DataError


def fit(frame: pd.DataFrame, form: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of a frame with the labels and dtypes of an empty one.

    Parameters
    ----------
    frame : pandas.DataFrame
        Values.
    form : pandas.DataFrame
        An empty frame that says what they look like.

    Returns
    -------
    pandas.DataFrame

    Raises
    ------
    DataError
        If that would change a value.

    Examples
    --------
    >>> frame = pd.DataFrame({"k": pd.Categorical(["a"], categories=["b", "a"])})
    >>> form = pd.DataFrame({"k": pd.Categorical([], categories=["a"])})
    >>> fit(frame, form).k.cat.categories.tolist()
    ['a']
    """
    _check_labels(frame, form)
    columns = {
        place: fit_values(frame.iloc[:, place], form.dtypes.iloc[place], f"column {label!r}")
        for place, label in enumerate(form.columns)
    }
    out = pd.DataFrame(columns, index=frame.index, copy=False)
    out.columns = form.columns
    out.index = _index(frame.index, form.index)
    return out


def _check_labels(frame: pd.DataFrame, form: pd.DataFrame) -> None:
    have, want = frame.columns, form.columns
    if have.nlevels != want.nlevels or not have.equals(want):
        raise DataError(f"expected the columns {list(want)}, got {list(have)}"[:500])
    levels, names = frame.index.nlevels, list(form.index.names)
    if levels != form.index.nlevels or list(frame.index.names) != names:
        raise DataError(f"expected an index named {names}, got {list(frame.index.names)}"[:500])


def _index(index: pd.Index, form: pd.Index) -> pd.Index:
    if form.nlevels == 1 and isinstance(index, pd.RangeIndex) and form.dtype == index.dtype:
        return index
    levels = [
        fit_index(index.get_level_values(place), form.get_level_values(place).dtype)
        for place in range(form.nlevels)
    ]
    if isinstance(form, pd.MultiIndex):
        return pd.MultiIndex.from_arrays(levels, names=form.names)
    return levels[0].set_names(form.names)


def fit_index(index: pd.Index, dtype: Any) -> pd.Index:
    """Return an index level with another dtype for the same values.

    Parameters
    ----------
    index : pandas.Index
        The level.
    dtype : object
        The dtype that the verified frame has.

    Returns
    -------
    pandas.Index
    """
    # Without the dtype, pandas would turn objects that are all str into its string dtype.
    series = pd.Series(index.array, dtype=index.dtype)
    values = fit_values(series, dtype, f"index {index.name!r}")
    return pd.Index(values, dtype=values.dtype, name=index.name)


def fit_values(series: pd.Series, dtype: Any, where: str) -> pd.Series:
    """Return a column with an equal dtype, down to categories and time zone.

    Parameters
    ----------
    series : pandas.Series
        The column.
    dtype : object
        The dtype that the verified frame has.
    where : str
        Which column, for the error.

    Returns
    -------
    pandas.Series

    Raises
    ------
    DataError
        If it cannot be so.
    """
    if isinstance(dtype, pd.CategoricalDtype):
        return pd.Series(_categorical(series, dtype, where), index=series.index)
    if series.dtype != dtype:
        raise DataError(f"{where}: expected dtype {dtype}, got {series.dtype}"[:500])
    if isinstance(dtype, pd.DatetimeTZDtype):
        return series.dt.tz_convert(dtype.tz)
    return series.astype(dtype) if isinstance(dtype, pd.ArrowDtype) else series


def _categorical(series: pd.Series, dtype: Any, where: str) -> pd.Categorical:
    have = series.dtype
    if not isinstance(have, pd.CategoricalDtype) or bool(have.ordered) != bool(dtype.ordered):
        raise DataError(f"{where}: expected dtype {dtype}, got {have}"[:500])
    codes = series.cat.codes.to_numpy()
    used = have.categories[np.unique(codes[codes >= 0])]
    if not len(used):
        return pd.Categorical.from_codes(np.full(len(codes), -1), dtype=dtype)
    there = dtype.categories.get_indexer(used)
    if (there >= 0).all() and not _same(used, dtype.categories[there]):
        raise DataError(
            f"{where}: expected categories {list(dtype.categories[there])!r:.200},"
            f" got {list(used)!r:.200}"
        )
    return recode(
        codes, dtype.categories.get_indexer(have.categories), have.categories, dtype, where
    )


def _same(one: pd.Index, other: pd.Index) -> bool:
    """Whether values that pandas calls equal are also of the same types."""
    first, second = (pd.Series(x, dtype=x.dtype).to_frame(0) for x in (one, other))
    return encode_frame(first) == encode_frame(second)


def recode(
    codes: np.ndarray[Any, Any], places: Any, values: Any, dtype: Any, where: str
) -> pd.Categorical:
    """Return a column of categories whose code ``c`` means ``places[c]``, and -1 nothing.

    Parameters
    ----------
    codes : numpy.ndarray
        The codes.
    places : object
        The meaning of each code, as a place among the categories.
    values : object
        The categories.
    dtype : object
        The dtype that the verified frame has.
    where : str
        Which column, for the error.

    Returns
    -------
    pandas.Categorical

    Raises
    ------
    DataError
        If it cannot be so.
    """
    new = np.append(places, -1)[codes]
    lost = np.flatnonzero((new < 0) & (codes >= 0))
    if lost.size:
        raise DataError(
            f"{where}, row {lost[0]}: expected one of {len(dtype.categories)} categories,"
            f" got {values[codes[lost[0]]]!r:.100}"
        )
    return pd.Categorical.from_codes(new, dtype=dtype)
