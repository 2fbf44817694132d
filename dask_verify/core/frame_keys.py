"""The bucket of each row of a data frame, by the values of its key columns.

What this module guarantees: rows with equal keys get equal buckets, whatever the dtype that stores
the value (int, float, nullable, Arrow, categorical, object), the resolution of a datetime, the
chunk the row is in, or the hash seed. All missing values are one value, as in a pandas
``groupby``. Different keys may share a bucket.

Numbers and times are hashed by the finaliser of SplitMix64 (Steele, Lea and Flood, 2014), whole
columns at a time; every other value by BLAKE2b, once for each distinct string or category.
"""

from __future__ import annotations

from datetime import date
from hashlib import blake2b
from struct import pack, unpack
from typing import TYPE_CHECKING, Any

import numpy as np

from dask_verify.core.normal_keys import NA, NAN, NAT, key_bytes, normal_key
from dask_verify.errors import EncodingError, InputError

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable, Sequence

    import pandas as pd
    from numpy.typing import NDArray

    U64 = NDArray[np.uint64]

__all__ = ["frame_buckets"]

_MASK = 2**64 - 1
# One start value for each kind, so that a date does not always meet the number of its nanoseconds.
_SEEDS = {
    kind: int.from_bytes(blake2b(kind.encode(), digest_size=8, person=b"dask_verify fkey").digest())
    for kind in ("missing", "int", "float", "datetime0", "datetime1", "timedelta", "row")
}
# Equal values of these exact types, or across them, are one key: a column hashes each of them once.
_PLAIN = frozenset({str, int, bytes, date})
_UNIT_NANOSECONDS = {"s": 10**9, "ms": 10**6, "us": 1000, "ns": 1}


def frame_buckets(df: pd.DataFrame, by: Sequence[Hashable], buckets: int) -> NDArray[np.int64]:
    """Return the bucket of each row of a data frame.

    Parameters
    ----------
    df : pandas.DataFrame
        The rows.
    by : list of str
        Names of columns or index levels; at least one.
    buckets : int
        Number of buckets, at least 1.

    Returns
    -------
    numpy.ndarray of int64, shape (len(df),)
        From 0 to ``buckets - 1``.

    Raises
    ------
    InputError
        If a name is missing, or names more than one column or level.
    EncodingError
        If a value cannot be a key.

    Examples
    --------
    >>> import pandas as pd
    >>> df = pd.DataFrame({"carrier": ["UA", "AA", "UA"]})
    >>> frame_buckets(df, ["carrier"], 8).tolist()
    [3, 4, 3]
    """
    if type(buckets) is not int or buckets < 1:
        raise InputError(f"expected a positive int as the number of buckets, got {buckets!r}")
    if isinstance(by, str) or not len(by):
        raise InputError(f"expected a list of at least one key name, got {by!r}")
    state = np.full(len(df), _SEEDS["row"], np.uint64)
    for name in by:
        state = _mix(state ^ _hash(_values(df, name), f"[{name!r}]"))
    return (state % np.uint64(buckets)).astype(np.int64)


def _values(df: pd.DataFrame, name: Hashable) -> pd.Series:
    """Return the one column or index level of that name, without its index."""
    import pandas as pd

    columns = [at for at, column in enumerate(df.columns) if column == name]
    levels = [at for at, level in enumerate(df.index.names) if level is not None and level == name]
    if len(columns) + len(levels) == 0:
        known = [*df.columns, *(level for level in df.index.names if level is not None)]
        raise InputError(f"no column or index level is named {name!r}: expected one of {known}")
    if len(columns) + len(levels) > 1:
        raise InputError(
            f"the key {name!r} is ambiguous: expected one column or index level of that name, "
            f"got {len(columns)} columns and {len(levels)} levels; rename the others"
        )
    if columns:
        return df.iloc[:, columns[0]].reset_index(drop=True)
    return pd.Series(df.index.get_level_values(levels[0]))


def _hash(values: pd.Series, path: str) -> U64:
    """Return a hash of each value, by the fastest way that its dtype allows."""
    import pandas as pd

    dtype = values.dtype
    if isinstance(dtype, pd.SparseDtype):
        return _hash(values.astype(dtype.subtype), path)
    if isinstance(dtype, pd.CategoricalDtype):
        return _hash_categories(values, path)
    if pd.api.types.is_bool_dtype(dtype) or pd.api.types.is_integer_dtype(dtype):
        return _hash_integers(values)
    if pd.api.types.is_float_dtype(dtype) and dtype != np.longdouble:
        return _hash_floats(values)
    if dtype.kind in "mM" and not isinstance(dtype, pd.ArrowDtype):
        return _hash_times(values)
    if pd.api.types.infer_dtype(values, skipna=True) == "string":
        codes, distinct = pd.factorize(values)
        return _take(_hash_each(distinct, path), codes)
    return _hash_each(values, path)


def _mix(state: U64) -> U64:
    """Finalise SplitMix64: a bijection of 64 bits that spreads every input bit."""
    state = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    state = (state ^ (state >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    mixed: U64 = state ^ (state >> np.uint64(31))
    return mixed


def _numbers(kind: str, words: U64) -> U64:
    return _mix(words ^ np.uint64(_SEEDS[kind]))


def _with_missing(hashes: U64, missing: NDArray[np.bool_]) -> U64:
    hashes[missing] = _SEEDS["missing"]
    return hashes


def _take(hashes: U64, codes: NDArray[Any]) -> U64:
    # The code of a missing value is -1, which picks the entry appended last.
    padded: U64 = np.append(hashes, np.uint64(_SEEDS["missing"]))
    taken: U64 = padded[codes]
    return taken


def _hash_categories(values: pd.Series, path: str) -> U64:
    import pandas as pd

    hashes = _hash(pd.Series(values.cat.categories), path)
    return _take(hashes, values.cat.codes.to_numpy())


def _hash_integers(values: pd.Series) -> U64:
    missing = values.isna().to_numpy()
    filled = values.fillna(False if values.dtype.kind == "b" else 0) if missing.any() else values
    signed = values.dtype.kind != "u"
    words = filled.to_numpy(np.int64 if signed else np.uint64).astype(np.uint64)
    return _with_missing(_numbers("int", words), missing)


def _hash_floats(values: pd.Series) -> U64:
    floats = values.to_numpy(np.float64, na_value=np.nan)
    hashes = _numbers("float", np.ascontiguousarray(floats).view(np.uint64))
    whole = np.trunc(floats) == floats
    for low, high, dtype in ((-(2.0**63), 2.0**63, np.int64), (2.0**63, 2.0**64, np.uint64)):
        fits = whole & (floats >= low) & (floats < high)
        hashes[fits] = _numbers("int", floats[fits].astype(dtype).astype(np.uint64))
    return _with_missing(hashes, np.isnan(floats))


def _hash_times(values: pd.Series) -> U64:
    import pandas as pd

    aware = isinstance(values.dtype, pd.DatetimeTZDtype)
    kind = "timedelta" if values.dtype.kind == "m" else f"datetime{int(aware)}"
    unit = values.dt.unit
    ticks = values.to_numpy(f"{values.dtype.kind}8[{unit}]")
    # Modulo 2**64, as in _hash_normal: far dates in coarse units have no 64 bits of nanoseconds.
    factor = np.uint64(_UNIT_NANOSECONDS[unit])
    words = ticks.view(np.int64).astype(np.uint64) * factor
    return _with_missing(_numbers(kind, words), np.isnat(ticks))


def _hash_each(values: Iterable[object], path: str) -> U64:
    seen: dict[object, int] = {}
    hashes: list[int] = []
    for row, value in enumerate(values):
        found = seen.get(value) if type(value) in _PLAIN else None
        if found is None:
            found = _hash_one(value, f"{path}[{row}]")
            if type(value) in _PLAIN:
                seen[value] = found
        hashes.append(found)
    return np.array(hashes, np.uint64)


def _hash_one(value: object, path: str) -> int:
    try:
        return _hash_normal(normal_key(value))
    except EncodingError as error:
        raise EncodingError(error.type_name, path + error.path, error.advice) from None


def _hash_normal(normal: Any) -> int:
    """Return the hash of one normal form: the same as that of a whole column of its kind."""
    if normal is None or normal in (NAN, NAT, NA):
        return _SEEDS["missing"]
    if type(normal) is int and -(2**63) <= normal < 2**64:
        return _mix_one("int", normal)
    if type(normal) in (int, float) and (near := _as_float(normal)) is not None:
        return _mix_one("float", unpack(">Q", pack(">d", near))[0])
    if type(normal) is tuple and normal[0] in ("datetime", "timedelta"):
        kind, nanoseconds = "".join(map(str, normal[:-1])), normal[-1]
        if type(nanoseconds) is int:
            return _mix_one(kind, nanoseconds)
    digest = blake2b(key_bytes(normal), digest_size=8, person=b"dask_verify fkey").digest()
    return int.from_bytes(digest)


def _as_float(number: float) -> float | None:
    """Return an int as a float, if a float can be equal to it."""
    try:
        near = float(number)
    except OverflowError:
        return None
    return near if near == number else None


def _mix_one(kind: str, word: int) -> int:
    return int(_numbers(kind, np.array([word & _MASK], np.uint64))[0])
