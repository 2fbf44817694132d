"""Small corruptions of records: of lists, of ``(key, value)`` lists and of dataframes alike.

Each returns records of the same kind and leaves its argument alone.
"""

from __future__ import annotations

import datetime
import decimal
from typing import Any


def flip(value: Any, by: int = 1) -> Any:
    """Return another value, of the same type where possible.

    Parameters
    ----------
    value : object
    by : int
        Which other value; different ``by`` give different ones for whole numbers and strings.

    Returns
    -------
    object

    Examples
    --------
    >>> flip(2), flip(True), flip(0.5), flip(float("nan")), flip("be"), flip(("be", 2))
    (3, False, -0.5, 0.0, 'be?', ('be', 3))
    >>> flip({"a": [1, 2]}), flip(()), flip(b"be")
    ({'a': [1, 3]}, None, b'be?')
    """
    if isinstance(value, tuple) and value:
        return (*value[:-1], flip(value[-1], by))
    if isinstance(value, list) and value:
        return [*value[:-1], flip(value[-1], by)]
    if isinstance(value, dict) and value:
        last = list(value)[-1]
        return {**value, last: flip(value[last], by)}
    return _flip_scalar(value, by)


def _flip_scalar(value: Any, by: int) -> Any:
    import numpy as np

    if isinstance(value, (bool, np.bool_)):
        return type(value)(not value)
    if isinstance(value, int):
        return value + by
    if isinstance(value, np.integer):
        # Adding could overflow; flipping some of the lowest seven bits cannot.
        return value ^ type(value)((by - 1) % 127 + 1)
    if isinstance(value, (float, np.floating, decimal.Decimal)):
        return type(value)(1) if value == 0 else -value if value == value else type(value)(0)
    if isinstance(value, str):
        return value + "?" * by
    if isinstance(value, bytes):
        return value + b"?" * by
    if isinstance(value, (datetime.date, datetime.timedelta)):
        return value + datetime.timedelta(days=1)
    return 0 if value is None else None


def flip_record(records: Any, record: int, by: int = 1) -> Any:
    """Flip a value of one record; of a dataframe, in its last column.

    Parameters
    ----------
    records : object
        The records: a list, or a pandas DataFrame.
    record : int
        Number of the record.
    by : int, optional
        How far the value is moved.

    Returns
    -------
    object

    Examples
    --------
    >>> flip_record([("be", 1), ("to", 2)], 1)
    [('be', 1), ('to', 3)]
    >>> import pandas as pd
    >>> flip_record(pd.DataFrame({"k": ["a", "b"], "x": [1, 2]}), 0).x.tolist()
    [0, 2]
    """
    if not len(records):
        return records
    at = record % len(records)
    if isinstance(records, list):
        return [*records[:at], flip(records[at], by), *records[at + 1 :]]
    if not len(records.columns):
        return pick(records, [i for i in range(len(records)) if i != at])
    changed = records.copy()
    column = len(records.columns) - 1
    changed.isetitem(column, _flipped(records.iloc[:, column], at, by))
    return changed


def _flipped(series: Any, at: int, by: int) -> Any:
    """Replace one value of a column by one that its dtype can hold."""
    import pandas as pd

    values = series.copy()
    if isinstance(series.dtype, pd.CategoricalDtype):
        others = [c for c in series.cat.categories if c != series.iloc[at]]
        values.iloc[at] = others[by % len(others)] if others else None
    elif pd.isna(series.iloc[at]) is True:
        present = series.dropna()
        values.iloc[at] = present.iloc[0] if len(present) else flip(series.iloc[at], by)
    else:
        values.iloc[at] = flip(series.iloc[at], by)
    return values


def pick(records: Any, positions: list[int]) -> Any:
    """Return records by position, in that order; positions may repeat.

    Parameters
    ----------
    records : object
        The records: a list, or a pandas DataFrame.
    positions : list of int
        Numbers of the records.

    Returns
    -------
    object

    Examples
    --------
    >>> pick(["a", "b"], [1, 0, 0])
    ['b', 'a', 'a']
    """
    if isinstance(records, list):
        return [records[i] for i in positions]
    return records.iloc[positions]


def insert(records: Any, record: int) -> Any:
    """Add a made-up record, like an existing one where there is one.

    Parameters
    ----------
    records : object
        The records: a list, or a pandas DataFrame.
    record : int
        Number of the record.

    Returns
    -------
    object

    Examples
    --------
    >>> insert([("be", 1)], 0)
    [('be', 1), ('be', 2)]
    >>> insert([], 0)
    [('made up', 1)]
    """
    if not len(records):
        return [("made up", 1)] if isinstance(records, list) else records
    at = record % len(records)
    return flip_record(pick(records, [*range(len(records)), at]), -1)
