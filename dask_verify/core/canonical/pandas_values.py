"""pandas scalars, and frames and series as values inside other values.

Loaded on the first pandas value or tag, so that the package works without importing pandas.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
import pandas as pd

from dask_verify.core.canonical.frames import decode_frame_at, frame_bytes
from dask_verify.core.canonical.reading import READERS
from dask_verify.core.canonical.stdlib_values import zone_from, zone_value
from dask_verify.core.canonical.values import add_type
from dask_verify.core.canonical.wire import TAG, TAG_BASE, check_depth, head
from dask_verify.core.canonical.writing import WRITERS, write

_TIMESTAMP, _TIMEDELTA, _NAT, _NA, _FRAME, _SERIES = range(64, 70)


def _from_timestamp(value: pd.Timestamp) -> list[Any]:
    naive = value.tz_convert(None) if value.tz is not None else value
    ticks = int(naive.to_datetime64().astype(np.int64))
    return [value.unit, ticks, value.fold, zone_value(value.tz)]


def _to_timestamp(value: list[Any]) -> Any:
    unit, ticks, fold, zone = value
    stamp = pd.Timestamp(np.datetime64(ticks, unit))
    if zone is not None:
        stamp = stamp.tz_localize("UTC").tz_convert(zone_from(zone))
    return stamp if stamp.fold == fold else stamp.replace(fold=fold)


def _from_timedelta(value: pd.Timedelta) -> list[Any]:
    return [value.unit, int(value.to_timedelta64().astype(np.int64))]


def _to_timedelta(value: list[Any]) -> Any:
    unit, ticks = value
    return pd.Timedelta(np.timedelta64(ticks, unit))


def _nothing(value: Any) -> None:
    return None


def _add_frame(tag: int, cls: type, to_value: Any, from_value: Any) -> None:
    def writer(out: bytearray, value: Any, depth: int) -> None:
        check_depth(value, depth)
        out += head(TAG, TAG_BASE + tag)
        write(out, to_value(value, depth + 1), depth + 1)

    WRITERS[cls] = writer
    READERS[TAG_BASE + tag] = lambda payload, depth: from_value(payload, depth + 1)


def _from_series(series: pd.Series, depth: int) -> list[Any]:
    return [series.name, frame_bytes(series.to_frame(name=0), depth)]


def _to_series(value: list[Any], depth: int) -> pd.Series:
    name, data = value
    series = decode_frame_at(data, depth)[0]
    series.name = name
    return series


@lru_cache(maxsize=1)
def install() -> None:
    """Add the pandas types to the tables of writers and readers."""
    add_type(_TIMESTAMP, pd.Timestamp, _from_timestamp, _to_timestamp)
    add_type(_TIMEDELTA, pd.Timedelta, _from_timedelta, _to_timedelta)
    add_type(_NAT, type(pd.NaT), _nothing, lambda payload: pd.NaT)
    add_type(_NA, type(pd.NA), _nothing, lambda payload: pd.NA)
    _add_frame(_FRAME, pd.DataFrame, frame_bytes, decode_frame_at)
    _add_frame(_SERIES, pd.Series, _from_series, _to_series)
