"""pandas columns and indexes -> description and prepared column.

Guarantees: the dtype is part of the description, with its unit, time zone, storage, missing value,
categories and their order.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa

from dask_verify.core.canonical.arrow import arrow_column
from dask_verify.core.canonical.arrow_types import is_empty, plain_type, type_value
from dask_verify.core.canonical.columns import Column, Nullable, Nulls, Parts, raw_column
from dask_verify.core.canonical.numpy_values import check_dtype, plain_bytes
from dask_verify.core.canonical.pandas_columns import MASKED_DTYPES, Integers, Objects, Progression
from dask_verify.core.canonical.stdlib_values import zone_value
from dask_verify.core.canonical.wire import Refusal

Described = tuple[list[Any], Column]


def describe(values: Any, dtype: Any, depth: int) -> Described:
    """Return the description and the prepared column of a Series, an Index or an array.

    Parameters
    ----------
    values : object
        The Series, Index or array.
    dtype : object
        Its dtype.
    depth : int
        How many containers are around it.

    Returns
    -------
    Described

    Raises
    ------
    Refusal
        If it has no canonical bytes.
    """
    import pandas as pd

    if isinstance(dtype, np.dtype):
        return _numpy(values, dtype, depth)
    array = values if isinstance(values, pd.api.extensions.ExtensionArray) else values.array
    kind = type(dtype)
    if kind is pd.CategoricalDtype:
        return _categorical(array, dtype, depth)
    if kind is pd.DatetimeTZDtype:
        column = raw_column(np.ascontiguousarray(array, dtype=f"<M8[{dtype.unit}]"))
        return ["tz", dtype.unit, zone_value(dtype.tz)], column
    if kind is pd.StringDtype:
        missing = dtype.na_value is pd.NA
        return ["str", dtype.storage, missing], arrow_column(_strings(array, dtype))
    if kind is pd.ArrowDtype:
        plain_type(dtype.pyarrow_dtype)
        return ["arrow", type_value(dtype.pyarrow_dtype)], arrow_column(pa.array(array))
    if kind.__name__ in MASKED_DTYPES and kind is getattr(pd, kind.__name__, None):
        return _masked(array, dtype)
    raise Refusal(dtype, _advice(kind.__name__), f"pandas dtype {dtype}")


_ADVICE = {
    "PeriodDtype": "use .dt.to_timestamp()",
    "IntervalDtype": "use two columns, .left and .right",
    "SparseDtype": "use .sparse.to_dense()",
}


def _advice(name: str) -> str:
    return _ADVICE.get(name, "convert the column to a supported dtype with astype")


def _numpy(values: Any, dtype: np.dtype[Any], depth: int) -> Described:
    array = np.asarray(values)
    if dtype.kind == "O":
        return ["object"], Objects(array, depth)
    check_dtype(dtype, dtype)
    return ["numpy", dtype.str], raw_column(plain_bytes(array))


def _categorical(array: Any, dtype: Any, depth: int) -> Described:
    described, body = index_bytes(dtype.categories, depth)
    codes = raw_column(np.ascontiguousarray(array.codes, dtype="<i4"))
    return ["category", bool(dtype.ordered), len(dtype.categories), described, body], codes


def _strings(array: Any, dtype: Any) -> Any:
    if dtype.storage == "pyarrow":
        return pa.array(array)
    objects = array.to_numpy(dtype=object, na_value=None)
    try:
        return pa.array(objects, type=pa.large_string())
    except (UnicodeEncodeError, pa.ArrowException) as error:
        advice = "a lone surrogate has no UTF-8; use object dtype"
        raise Refusal(objects, advice, f"pandas dtype {dtype}") from error


def _masked(array: Any, dtype: Any) -> Described:
    mask = np.asarray(array.isna())
    plain = array.to_numpy(dtype=dtype.numpy_dtype, na_value=dtype.numpy_dtype.type(0))
    return ["masked", dtype.name], Nullable(Nulls(mask), raw_column(plain_bytes(plain)))


def describe_index(index: Any, depth: int) -> tuple[Any, list[Column]]:
    """Return the description and the prepared columns, one a level, of an index.

    Parameters
    ----------
    index : object
        The index.
    depth : int
        How many containers are around it.

    Returns
    -------
    tuple of (object, list of Column)
    """
    import pandas as pd

    if isinstance(index, pd.MultiIndex):
        levels = [index.get_level_values(place) for place in range(index.nlevels)]
        parts = [_level(level, depth) for level in levels]
        return [list(index.names), [part[0] for part in parts]], [part[1] for part in parts]
    described, column = _single(index, depth)
    return [list(index.names), described], [column]


def _single(index: Any, depth: int) -> tuple[Any, Column]:
    import pandas as pd

    if type(index) is pd.RangeIndex:
        return "int64", Progression(range(index.start, index.stop, index.step))
    if index.dtype == np.dtype("<i8"):
        return "int64", Integers(np.ascontiguousarray(index))
    return _level(index, depth)


def _level(index: Any, depth: int) -> Described:
    import pandas as pd

    # A row of such a level takes no bytes, so a reader could not check the number of rows.
    if isinstance(index.dtype, pd.ArrowDtype) and is_empty(index.dtype.pyarrow_dtype):
        raise Refusal(
            index.dtype, "drop the level: it holds nothing", f"pandas dtype {index.dtype}"
        )
    return describe(index, index.dtype, depth)


def index_bytes(index: Any, depth: int) -> tuple[Any, bytes]:
    """Return the description and the bytes of a whole index.

    Parameters
    ----------
    index : object
        The index.
    depth : int
        How many containers are around it.

    Returns
    -------
    tuple of (object, bytes)
    """
    described, columns = describe_index(index, depth)
    parts: Parts = []
    for column in columns:
        column.emit(0, len(index), parts)
    return described, b"".join(parts)
