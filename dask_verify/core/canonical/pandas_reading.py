"""Descriptions and bytes -> pandas arrays and indexes; and the short way there, for normalising.

Guarantees: arrays own their memory and may be written to. The caller encodes what it built again,
so that only canonical bytes pass.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from dask_verify.core.canonical.arrow import read_arrow, read_nulls
from dask_verify.core.canonical.arrow_types import is_empty, plain_type, type_from
from dask_verify.core.canonical.columns import Parts
from dask_verify.core.canonical.numpy_values import check_dtype, plain_bytes
from dask_verify.core.canonical.pandas_columns import A_STEP, MASKED_NAMES, progression_bytes
from dask_verify.core.canonical.pandas_writing import describe, index_bytes
from dask_verify.core.canonical.records import read_column
from dask_verify.core.canonical.stdlib_values import zone_from
from dask_verify.core.canonical.wire import Array, Reader
from dask_verify.errors import DecodingError

if TYPE_CHECKING:
    import pandas as pd


def normal_array(series: Any) -> Any:
    """Return what a reader of an encoded column would get, in memory of its own.

    Parameters
    ----------
    series : object
        The column.

    Returns
    -------
    object
    """
    dtype = series.dtype
    described, _ = describe(series.iloc[:0], dtype, 0)
    if described[0] == "numpy":
        values = np.asarray(series)
        plain = plain_bytes(values)
        return plain.copy() if np.may_share_memory(plain, values) else plain
    if described[0] in ("arrow", "masked") or described[:2] == ["str", "pyarrow"]:
        return series.array.copy()
    described, column = describe(series, dtype, 0)
    parts: Parts = []
    column.emit(0, len(series), parts)
    return read_array(Reader(b"".join(parts)), described, len(series), 0)


def normal_index(index: Any) -> Any:
    """Return what a reader of an encoded index would get, in memory of its own.

    Parameters
    ----------
    index : object
        The index.

    Returns
    -------
    object
    """
    if _scattered(index):
        return index.copy(deep=True)
    described, body = index_bytes(index, 0)
    return read_index(Reader(body), described, len(index), 0)


def _scattered(index: Any) -> bool:
    """Tell from both ends that whole numbers are no progression, which is how most are seen."""
    if index.nlevels > 1 or index.dtype != np.dtype("<i8") or len(index) <= A_STEP:
        return False
    first, second, last = int(index[0]), int(index[1]), int(index[-1])
    return last != first + (len(index) - 1) * (second - first)


def read_array(reader: Reader, described: Any, count: int, depth: int) -> Any:
    """Return the next column as an array that pandas takes without a copy.

    Parameters
    ----------
    reader : Reader
        Where the bytes come from.
    described : object
        What the writer said of it.
    count : int
        How many values there are.
    depth : int
        How many containers are around it.

    Returns
    -------
    object
    """
    kind, *rest = described
    return _READERS[kind](reader, count, depth, *rest)


def _read_numpy(reader: Reader, count: int, depth: int, code: str) -> Array:
    if type(code) is not str or "," in code:
        raise DecodingError(f"not a dtype: {code!r}")
    dtype = np.dtype(code)
    check_dtype(dtype, dtype)
    return np.frombuffer(reader.take(count * dtype.itemsize), dtype).copy()


def _read_objects(reader: Reader, count: int, depth: int) -> Array:
    values = np.empty(reader.afford(count), dtype=object)
    for place, value in enumerate(read_column(reader, count, 0, depth)):
        values[place] = value
    return values


def _read_zoned(reader: Reader, count: int, depth: int, unit: str, zone: Any) -> Any:
    import pandas as pd

    values = np.frombuffer(reader.take(8 * count), f"<M8[{unit}]").copy()
    return pd.DatetimeIndex(values).tz_localize("UTC").tz_convert(zone_from(zone)).array


def _read_category(reader: Reader, count: int, depth: int, *described: Any) -> Any:
    import pandas as pd

    ordered, size, index, body = described
    inner = Reader(body)
    categories = read_index(inner, index, size, depth)
    inner.finish()
    codes = np.frombuffer(reader.take(4 * count), "<i4")
    return pd.Categorical.from_codes(codes, categories, ordered=ordered)


def _read_strings(reader: Reader, count: int, depth: int, storage: str, missing: bool) -> Any:
    import pandas as pd

    dtype = pd.StringDtype(storage, na_value=pd.NA if missing else np.nan)
    array = read_arrow(reader, pa.large_string(), count)
    array.validate(full=True)
    return dtype.__from_arrow__(array)


def _read_arrow(reader: Reader, count: int, depth: int, kind: Any) -> Any:
    import pandas as pd

    exact = type_from(kind)
    array = read_arrow(reader, plain_type(exact), count)
    array.validate(full=True)
    return pd.arrays.ArrowExtensionArray(pa.chunked_array([array.cast(exact)]))


def _read_masked(reader: Reader, count: int, depth: int, name: str) -> Any:
    import pandas as pd

    # No other text is handed to pandas, which would look for time zones and extensions in it.
    if name not in MASKED_NAMES:
        raise DecodingError(f"not a nullable dtype: {name!r:.80}")
    dtype: Any = pd.api.types.pandas_dtype(name)
    bits = read_nulls(reader, count)
    values = np.frombuffer(reader.take(count * dtype.numpy_dtype.itemsize), dtype.numpy_dtype)
    mask = np.zeros(count, dtype=bool)
    if bits is not None:
        unpacked = np.unpackbits(np.frombuffer(bits, np.uint8), bitorder="little")
        mask = unpacked[:count] == 0
    return dtype.construct_array_type()(values.copy(), mask)


_READERS: dict[str, Callable[..., Any]] = {
    "numpy": _read_numpy,
    "object": _read_objects,
    "tz": _read_zoned,
    "category": _read_category,
    "str": _read_strings,
    "arrow": _read_arrow,
    "masked": _read_masked,
}


def read_index(reader: Reader, described: Any, count: int, depth: int) -> pd.Index:
    """Return the next index.

    Parameters
    ----------
    reader : Reader
        Where the bytes come from.
    described : object
        What the writer said of it.
    count : int
        How many values there are.
    depth : int
        How many containers are around it.

    Returns
    -------
    pandas.Index
    """
    import pandas as pd

    names, kinds = described
    if kinds == "int64":
        return _read_integers(reader, count, names)
    if kinds and type(kinds[0]) is list:
        levels = [_read_level(reader, kind, count, depth) for kind in kinds]
        return pd.MultiIndex.from_arrays(levels, names=names)
    index = _read_level(reader, kinds, count, depth)
    index.names = names
    return index


def _read_level(reader: Reader, described: Any, count: int, depth: int) -> pd.Index:
    import pandas as pd

    if described[0] == "arrow" and is_empty(type_from(described[1])):
        raise DecodingError(f"an index level of {count} rows that take no bytes")
    values = read_array(reader, described, count, depth)
    # Without the dtype, pandas would turn objects that are all str into its string dtype.
    return pd.Index(values, dtype=values.dtype)


def _read_integers(reader: Reader, count: int, names: Any) -> pd.Index:
    import pandas as pd

    if reader.number(1):
        first, step = np.frombuffer(reader.take(16), "<i8").tolist()
        # Else it would have to be stored in full, however many rows it claims.
        if progression_bytes(first, step, count) is None:
            raise DecodingError(f"{count} rows from {first} by {step} have no short form")
        index: pd.Index = pd.RangeIndex(first, first + count * step, step)
    else:
        index = pd.Index(np.frombuffer(reader.take(8 * count), "<i8").copy())
    index.names = names
    return index
