"""NumPy scalars and arrays: dtype, shape and bytes in C order.

The memory layout is not part of the value; the byte order is little-endian.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from dask_verify.core.canonical.records import one_nan
from dask_verify.core.canonical.values import add_type
from dask_verify.core.canonical.wire import Array, Refusal

_SCALARS = [
    np.bool_,
    *(np.dtype(f"{kind}{width}").type for kind in "iu" for width in (1, 2, 4, 8)),
    *(np.dtype(code).type for code in ("f2", "f4", "f8", "c8", "c16")),
    np.datetime64,
    np.timedelta64,
]
_WIDE = {"f": (2, 4, 8), "c": (8, 16)}
_LAST_CHARACTER = 0x10FFFF


def check_dtype(dtype: np.dtype[Any], holder: object) -> None:
    """Refuse dtypes that have no canonical bytes.

    Parameters
    ----------
    dtype : numpy.dtype
        The dtype.
    holder : object
        What has this dtype, to be named in the refusal.

    Raises
    ------
    Refusal
        If it has no canonical bytes.
    """
    if not dtype.isnative:
        raise Refusal(holder, f"its dtype {dtype} is big-endian; use astype(dtype.newbyteorder())")
    if dtype.kind not in "biufcMmUS" or not dtype.itemsize:
        raise Refusal(holder, f"its dtype {dtype} is not supported; convert it to a list")
    if dtype.itemsize not in _WIDE.get(dtype.kind, (dtype.itemsize,)):
        raise Refusal(holder, f"its dtype {dtype} differs between platforms; use float64")


def plain_bytes(array: Array) -> Array:
    """Return the values of an array, C-contiguous, with one NaN and one True.

    Parameters
    ----------
    array : numpy.ndarray
        The array.

    Returns
    -------
    numpy.ndarray
    """
    array = np.ascontiguousarray(array)
    if array.dtype.kind == "f":
        return one_nan(array)
    if array.dtype.kind == "c":
        return one_nan(array.view(f"f{array.dtype.itemsize // 2}")).view(array.dtype)
    if array.dtype.kind == "b":
        # A view of other bytes as bool may hold any of them, and all but 0 count as True.
        return np.not_equal(array.view(np.uint8), 0)
    return array


def _from_array(array: Array) -> list[Any]:
    check_dtype(array.dtype, array)
    flat = plain_bytes(array.reshape(-1))
    return [array.dtype.str, list(array.shape), flat.tobytes()]


def _to_array(value: list[Any]) -> Array:
    code, shape, raw = value
    dtype = _dtype(code)
    flat = np.frombuffer(raw, dtype)
    if dtype.kind == "U" and flat.size and flat.view("<u4").max() > _LAST_CHARACTER:
        raise ValueError("an array of str with a code point out of range")
    return flat.reshape(shape).copy()


def _from_scalar(value: np.generic) -> list[Any]:
    array = np.asarray(value)
    check_dtype(array.dtype, value)
    return [array.dtype.str, plain_bytes(array.reshape(1)).tobytes()]


def _to_scalar(value: list[Any]) -> Any:
    code, raw = value
    return np.frombuffer(raw, _dtype(code)).reshape(())[()]


def _dtype(code: Any) -> np.dtype[Any]:
    # A str alone may also be a comma-separated structure; only "<" or "|", a kind and digits or
    # a unit lead to a dtype whose str is the code again.
    if type(code) is not str or "," in code:
        raise ValueError(f"not a dtype: {code!r}")
    dtype = np.dtype(code)
    check_dtype(dtype, dtype)
    return dtype


def _exactly(kind: type, value: Any) -> Any:
    """Refuse what the constructors take, too: of a number they make that many zero bytes."""
    if type(value) is not kind:
        raise ValueError(f"a scalar that is not made of {kind.__name__}")
    return value


add_type(20, np.ndarray, _from_array, _to_array)
for _scalar in _SCALARS:
    add_type(21, _scalar, _from_scalar, _to_scalar)
# Text scalars keep trailing NULs, which a fixed-width buffer would lose.
add_type(22, np.str_, str, lambda text: np.str_(_exactly(str, text)))
add_type(23, np.bytes_, bytes, lambda data: np.bytes_(_exactly(bytes, data)))
