"""pandas columns -> Arrow columns that Parquet can hold, and back according to a dtype.

What this module guarantees: a value comes back as what it was, or there is an error. Reading does
not depend on how a column is laid out in the file: on the width of numbers, on dictionaries, on
the variants of text, lists and bytes, or on the unit and zone of times.
"""

from __future__ import annotations

import datetime as dt
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as pt

from dask_verify.core.canonical.arrow_types import is_bytes, is_list, is_text
from dask_verify.errors import DataError
from dask_verify.evidence.data.fitting import recode

ARROW_ERRORS = (
    *(pa.ArrowException, OSError, ValueError, TypeError),
    *(KeyError, OverflowError, NotImplementedError, AttributeError),
)
"""What pyarrow and pandas raise for values that they cannot convert, and for broken files."""

_OBJECTS: dict[type, pa.DataType] = {
    str: pa.large_string(),
    bytes: pa.large_binary(),
    bool: pa.bool_(),
    int: pa.int64(),
    float: pa.float64(),
    dt.date: pa.date32(),
}


# --- writing ---------------------------------------------------------------------------------


def to_arrow(values: Any, where: str) -> Any:
    """Return the Arrow column of a Series or an Index level, or refuse it.

    Parameters
    ----------
    values : object
        The Series or the Index level.
    where : str
        Which column, for the error.

    Returns
    -------
    object

    Raises
    ------
    DataError
        If it cannot be so.
    """
    try:
        return _to_arrow(values, values.dtype, where)
    except ARROW_ERRORS as error:
        if isinstance(error, DataError):
            raise
        raise DataError(f"{where}: Parquet cannot hold {values.dtype}: {error!s:.200}") from None


def _to_arrow(values: Any, dtype: Any, where: str) -> Any:
    if isinstance(dtype, pd.CategoricalDtype):
        return _dictionary(values.array, where)
    if isinstance(dtype, pd.DatetimeTZDtype):
        plain = pa.array(np.asarray(values.array, dtype=f"<M8[{dtype.unit}]"))
        return plain.cast(pa.timestamp(dtype.unit, _zone(dtype.tz)))
    if isinstance(dtype, pd.StringDtype):
        return pa.array(values.array, type=pa.large_string(), from_pandas=True)
    if isinstance(dtype, pd.api.extensions.ExtensionDtype):
        return _extension(values.array, dtype)
    if dtype.kind == "O":
        return _objects(np.asarray(values, dtype=object), where)
    if dtype.kind not in "biufMm":
        raise DataError(
            f"{where}: Parquet cannot hold {dtype}; let the reducer return columns of numbers,"
            " such as .real and .imag"
        )
    return pa.array(np.asarray(values))


def _extension(values: Any, dtype: Any) -> Any:
    if not hasattr(dtype, "numpy_dtype") or isinstance(dtype, pd.ArrowDtype):
        return pa.array(values)
    # Not by pandas, which takes a NaN that is a value for a missing one.
    missing = np.asarray(values.isna())
    return pa.array(values.to_numpy(dtype=dtype.numpy_dtype, na_value=0), mask=missing)


def _zone(zone: Any) -> str:
    try:
        return str(pa.lib.tzinfo_to_string(zone))
    except ARROW_ERRORS:
        return "UTC"


def _dictionary(values: Any, where: str) -> Any:
    """Return the column of a categorical; Arrow keeps dictionaries in Parquet for text only."""
    codes = pa.array(values.codes.astype(np.int32), mask=values.codes < 0)
    categories = to_arrow(values.categories, f"{where}, its categories")
    if is_text(categories.type):
        return pa.DictionaryArray.from_arrays(codes, categories, ordered=bool(values.ordered))
    return categories.take(codes)


def _objects(values: np.ndarray[Any, Any], where: str) -> Any:
    kinds = set(map(type, values.tolist())) - {type(None)}
    if not kinds:
        return pa.nulls(len(values))
    kind = kinds.pop()
    if kinds or kind not in _OBJECTS:
        row, other = next((i, v) for i, v in enumerate(values) if type(v) is not _first(values))
        raise DataError(
            f"{where}: Parquet holds Python objects only if all are of one type, out of"
            f" {', '.join(k.__name__ for k in _OBJECTS)}, or None; got {type(other).__name__} in"
            f" row {row}; let the reducer convert the column with astype"
        )
    return pa.array(values.tolist(), type=_OBJECTS[kind])


def _first(values: np.ndarray[Any, Any]) -> type | None:
    """Return the type of the first value that Parquet can hold."""
    return next((type(v) for v in values if type(v) in _OBJECTS), None)


# --- reading ---------------------------------------------------------------------------------


def check_kind(kind: pa.DataType, dtype: Any, where: str) -> None:
    """Refuse a type none of whose columns can become an array of a dtype.

    Parameters
    ----------
    kind : pyarrow.DataType
        The type of the Arrow column.
    dtype : object
        The dtype that the verified frame has.
    where : str
        Which column, for the error.
    """
    if pt.is_dictionary(kind) or pt.is_run_end_encoded(kind):
        kind = kind.value_type
    if isinstance(dtype, pd.CategoricalDtype):
        good = not pt.is_nested(kind)
    elif isinstance(dtype, np.dtype) and dtype.kind == "O":
        good = _is_object(kind)
    else:
        good = _kin(kind, _arrow_type(dtype))
    if not good:
        raise _lost(kind, dtype, where)


def from_arrow(column: pa.ChunkedArray, dtype: Any, where: str) -> Any:
    """Return the array of a dtype that has the values of an Arrow column, or refuse it.

    Parameters
    ----------
    column : pyarrow.ChunkedArray
        The Arrow column.
    dtype : object
        The dtype that the verified frame has.
    where : str
        Which column, for the error.

    Returns
    -------
    object
    """
    try:
        column.validate(full=True)
        return _from_arrow(column, dtype, where)
    except ARROW_ERRORS as error:
        if isinstance(error, DataError):
            raise
        raise _lost(column.type, dtype, where, f" ({error!s:.200})") from None


def _lost(kind: pa.DataType, dtype: Any, where: str, why: str = "") -> DataError:
    return DataError(
        f"{where}: expected values of dtype {dtype!s:.80}, got Arrow {kind!s:.80}, which"
        f" cannot become it without a change{why}"
    )


def _from_arrow(column: pa.ChunkedArray, dtype: Any, where: str) -> Any:
    if isinstance(dtype, pd.CategoricalDtype):
        return _category(column, dtype, where)
    column = _decoded(column)
    if isinstance(dtype, np.dtype) and dtype.kind == "O":
        return _from_objects(column, where)
    column = _cast(column, _arrow_type(dtype), dtype, where)
    if isinstance(dtype, pd.ArrowDtype):
        return pd.arrays.ArrowExtensionArray(column)
    if isinstance(dtype, pd.StringDtype):
        return dtype.__from_arrow__(column)
    if not isinstance(dtype, (np.dtype, pd.DatetimeTZDtype)):
        plain = column.fill_null(False if pt.is_boolean(column.type) else 0).to_numpy()
        return dtype.construct_array_type()(np.array(plain), column.is_null().to_numpy())
    if column.null_count and isinstance(dtype, np.dtype) and dtype.kind in "biu":
        raise _lost(column.type, dtype, where, f" ({column.null_count} of its values are missing)")
    values = np.array(column.to_numpy())
    if isinstance(dtype, np.dtype):
        return values.astype(dtype, copy=False)
    return pd.DatetimeIndex(values).tz_localize("UTC").tz_convert(dtype.tz).array


def _arrow_type(dtype: Any) -> pa.DataType:
    if isinstance(dtype, pd.DatetimeTZDtype):
        return pa.timestamp(dtype.unit, "UTC")
    if isinstance(dtype, pd.StringDtype):
        return pa.large_string()
    if isinstance(dtype, pd.ArrowDtype):
        return dtype.pyarrow_dtype
    return pa.from_numpy_dtype(getattr(dtype, "numpy_dtype", dtype))


def _decoded(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return a column without dictionaries, chunk by chunk: they may hold nulls."""
    if pt.is_dictionary(column.type):
        chunks = [chunk.dictionary_decode() for chunk in column.chunks]
        return pa.chunked_array(chunks, column.type.value_type)
    if pt.is_run_end_encoded(column.type):
        return pa.chunked_array(
            [pc.run_end_decode(c) for c in column.chunks], column.type.value_type
        )
    return column


def _category(column: pa.ChunkedArray, dtype: Any, where: str) -> Any:
    """Look up each different value once."""
    if not len(column):
        return pd.Categorical.from_codes([], dtype=dtype)
    encoded = column if pt.is_dictionary(column.type) else column.dictionary_encode()
    encoded = encoded.unify_dictionaries().combine_chunks()
    if isinstance(encoded, pa.ChunkedArray):
        encoded = pa.concat_arrays(encoded.chunks)
    codes = encoded.indices.fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int64)
    used, codes = _used(codes)
    words = pa.chunked_array([encoded.dictionary.take(pa.array(used))])
    values = from_arrow(words, dtype.categories.dtype, where) if len(used) else []
    known = pd.Index(values, dtype=dtype.categories.dtype)
    places = np.where(known.isna(), -1, dtype.categories.get_indexer(known))
    missing = words.is_null().to_numpy()
    codes = np.where(np.append(missing, True)[codes], -1, codes)
    return recode(codes, places, known, dtype, where)


def _used(codes: np.ndarray[Any, Any]) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Drop words of the dictionary that no row uses."""
    used = np.unique(codes[codes >= 0])
    return used, np.where(codes < 0, -1, np.searchsorted(used, codes))


def _from_objects(column: pa.ChunkedArray, where: str) -> Any:
    kind = column.type
    if is_text(kind) or is_bytes(kind):
        values = column.to_numpy().tolist()
    elif _is_object(kind):
        values = column.to_pylist()
    else:
        raise _lost(kind, np.dtype(object), where)
    out = np.empty(len(values), dtype=object)
    out[:] = values
    return out


def _is_object(kind: pa.DataType) -> bool:
    """Whether Python objects of one of the known types come from an Arrow type."""
    plain = kind in _OBJECTS.values() or pt.is_integer(kind) or pt.is_null(kind)
    return plain or is_text(kind) or is_bytes(kind)


def _cast(column: Any, target: pa.DataType, dtype: Any, where: str) -> Any:
    if column.type == target and not pt.is_nested(target):
        return column
    if not _kin(column.type, target):
        raise _lost(column.type, dtype, where)
    out = column.cast(target)
    if _is_number(column.type) and (pt.is_floating(column.type) or pt.is_floating(target)):
        _check_numbers(column, out, dtype, where)
    return out


def _check_numbers(before: Any, after: Any, dtype: Any, where: str) -> None:
    """Refuse a cast that rounds."""
    back = after.cast(before.type)
    same = pc.equal(before, back)
    if pt.is_floating(before.type):
        same = pc.or_(same, pc.and_(pc.is_nan(before), pc.is_nan(back)))
    if pc.all(same).as_py() is False:
        raise _lost(before.type, dtype, where)


def _kin(have: pa.DataType, want: pa.DataType) -> bool:
    """Whether a cast can be a mere change of representation."""
    if pt.is_dictionary(have):
        return _kin(have.value_type, want)
    if pt.is_null(have):
        return True
    if pt.is_timestamp(have) and pt.is_timestamp(want):
        return (have.tz is None) == (want.tz is None)
    if is_list(want) or pt.is_fixed_size_list(want):
        lists = is_list(have) or pt.is_fixed_size_list(have)
        return lists and _inner_kin(have.value_type, want.value_type)
    if pt.is_struct(want):
        names = pt.is_struct(have) and [f.name for f in have] == [f.name for f in want]
        return names and all(_inner_kin(h.type, w.type) for h, w in zip(have, want, strict=True))
    if pt.is_map(want):
        keys = pt.is_map(have) and _inner_kin(have.key_type, want.key_type)
        return keys and _inner_kin(have.item_type, want.item_type)
    return have == want or any(kind(have) and kind(want) for kind in _FAMILIES)


def _inner_kin(have: pa.DataType, want: pa.DataType) -> bool:
    """Inside of lists and structs, floats would be rounded without anybody looking."""
    if pt.is_dictionary(have):
        return _inner_kin(have.value_type, want)
    rounded = pt.is_floating(have) != pt.is_floating(want) or (
        pt.is_floating(have) and have.bit_width > want.bit_width
    )
    return not rounded and _kin(have, want)


def _is_number(kind: pa.DataType) -> bool:
    return bool(pt.is_integer(kind) or pt.is_floating(kind))


def _is_octets(kind: pa.DataType) -> bool:
    return is_bytes(kind) or bool(pt.is_fixed_size_binary(kind) and not pt.is_decimal(kind))


_FAMILIES = (
    _is_number, is_text, _is_octets, pt.is_decimal, pt.is_duration, pt.is_date, pt.is_time,
)  # fmt: skip
