"""Workloads over dataframes: flights from files, a vectorised mapper, a shuffle."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import dask.dataframe as dd
import numpy as np
import pandas as pd

from benchmarks import data
from benchmarks.tasks import Task, rows

_BY = ["carrier", "month"]
_COLUMNS = [*_BY, "dep_delay", "arr_delay", "distance"]
_SUMMED = ["flights", "dep_delay", "arr_delay", "distance"]
_GROUPS = 100


# --- flights --------------------------------------------------------------------------------


def by_carrier(flights: pd.DataFrame) -> pd.DataFrame:
    """Map: count flights and add up delays and miles by carrier and month."""
    known = flights.dropna(subset=["dep_delay", "arr_delay"])
    return together(known.assign(flights=1))


def together(parts: pd.DataFrame) -> pd.DataFrame:
    """Reduce: add up what the maps counted."""
    return parts.groupby(_BY, as_index=False)[_SUMMED].sum()


def flights_task(folder: Path, number: int, count: int, kind: str) -> Task:
    """Aggregate flights by carrier and month, from a number of files of text or of Parquet."""
    files = data.flight_files(folder, number, count, kind)
    flights = _read([str(path) for path in files], kind)
    return Task(
        collection=flights,
        mapper=by_carrier,
        reducer=together,
        plain=partial(_plain_flights, flights),
        normal=rows(_BY),
        options={"by": _BY, "npartitions": 1},
        facts={
            # Dask reads several small files of Parquet as one partition.
            "partitions": flights.map_partitions(len).optimize().npartitions,
            "files": count,
            "rows": number // count * count,
            "bytes": sum(path.stat().st_size for path in files),
        },
    )


def _read(files: list[str], kind: str) -> Any:
    if kind == "parquet":
        # One partition a file, and a column of the file is read only if it is named.
        return dd.read_parquet(
            files, columns=_COLUMNS, split_row_groups=False, aggregate_files=False
        )
    dtypes = {"dep_delay": "float64", "arr_delay": "float64"}
    return dd.read_csv(files, usecols=_COLUMNS, dtype=dtypes, blocksize=None)


def _plain_flights(flights: Any) -> Any:
    # `groupby().agg()` is Dask's own map-side combiner with a tree above it: each partition is
    # aggregated where it was read, with one result partition, like ours, as there are few groups.
    known = flights.dropna(subset=["dep_delay", "arr_delay"])
    grouped = known.assign(flights=1).groupby(_BY)
    return grouped[_SUMMED].sum(split_out=1)


# --- numbers --------------------------------------------------------------------------------


def make_numbers(part: int, number: int) -> pd.DataFrame:
    """Make the rows of one partition, the same ones each time."""
    dice = np.random.default_rng(part)
    return pd.DataFrame(
        {
            "key": dice.integers(0, _GROUPS, number),
            "x": dice.random(number),
            "y": dice.random(number),
            "z": dice.random(number),
        }
    )


def distances(frame: pd.DataFrame) -> pd.DataFrame:
    """Map, vectorised: distance and angle of each row, and drop what lies outside the ball."""
    far = np.sqrt(frame.x**2 + frame.y**2 + frame.z**2)
    out = pd.DataFrame({"key": frame.key, "far": far, "angle": np.arctan2(frame.y, frame.x)})
    return out[far < 1.5]


def sum_by_key(frame: pd.DataFrame) -> pd.DataFrame:
    """Combine and reduce: add up by key."""
    return frame.groupby("key", as_index=False).sum()


def numeric_task(number: int, partitions: int, unit_records: int | None = None) -> Task:
    """Map many rows of numbers at once, and add up by key."""
    each = max(1, number // partitions)
    made = _made(make_numbers, partitions, each)
    return Task(
        collection=made,
        mapper=distances,
        reducer=sum_by_key,
        combiner=sum_by_key,
        plain=partial(_plain_numbers, made),
        normal=rows(["key"]),
        options={"by": "key", "npartitions": 1},
        policy={} if unit_records is None else {"unit_records": unit_records},
        facts={"partitions": partitions, "rows": each * partitions},
    )


def _plain_numbers(made: Any) -> Any:
    # The same function for each partition, and the aggregation that combines where data are.
    mapped = made.map_partitions(distances, meta=distances(made._meta))
    return mapped.groupby("key").sum(split_out=1)


# --- a shuffle ------------------------------------------------------------------------------


def make_events(part: int, number: int, keys: int) -> pd.DataFrame:
    """Make the rows of one partition, with keys from a wide range."""
    dice = np.random.default_rng(part)
    return pd.DataFrame({"key": dice.integers(0, keys, number), "x": dice.random(number)})


def doubled(frame: pd.DataFrame) -> pd.DataFrame:
    """Map: nearly nothing, so that the shuffle is what is measured."""
    return frame.assign(x=frame.x * 2, n=1)


def shuffle_task(number: int, keys: int, partitions: int, reduces: int | None = None) -> Task:
    """Aggregate over so many keys that most rows have to move."""
    each, out = max(1, number // partitions), reduces or max(1, partitions // 10)
    made = _made(partial(make_events, keys=max(1, keys)), partitions, each)
    return Task(
        collection=made,
        mapper=doubled,
        reducer=sum_by_key,
        combiner=sum_by_key,
        plain=partial(_plain_shuffle, made, out),
        others={"tasks": partial(_plain_shuffle, made, out, shuffle_method="tasks")},
        normal=rows(["key"]),
        options={"by": "key", "npartitions": out},
        facts={"partitions": partitions, "rows": each * partitions, "keys": keys, "reduces": out},
    )


def _plain_shuffle(made: Any, out: int, **how: Any) -> Any:
    # The result has as many partitions as ours; how Dask gets it there is its own choice.
    mapped = made.map_partitions(doubled, meta=doubled(made._meta))
    return mapped.groupby("key").sum(split_out=out, **how)


def _made(function: Any, partitions: int, each: int) -> Any:
    return dd.from_map(
        function, range(partitions), number=each, meta=function(0, number=1).iloc[:0]
    )
