"""Audited jobs whose answers are known, for bags and for dataframes."""

from __future__ import annotations

import sys
from typing import Any

import cloudpickle
import dask.bag as db
import dask.dataframe as dd
import pandas as pd

from dask_verify import Policy, Standing, verified_map_reduce

# Workers cannot import this module.
cloudpickle.register_pickle_by_value(sys.modules[__name__])

KEYS = 23
MAPS, REDUCES = 6, 2


def pairs(n: int) -> list[tuple[int, int]]:
    return [(n % KEYS, n)]


def total(key: int, values: list[int]) -> int:
    return sum(values)


def double(df: pd.DataFrame) -> pd.DataFrame:
    return df.assign(y=df.x * 2)[["k", "y"]]


def totals(df: pd.DataFrame) -> pd.DataFrame:
    return df.groupby("k", as_index=False).y.sum()


def frame(records: int) -> pd.DataFrame:
    return pd.DataFrame({"k": [n % KEYS for n in range(records)], "x": range(records)})


def start(kind: str, client: Any, policy: Policy, records: int = 360, **options: Any) -> Any:
    """Start a job whose answer `check` knows."""
    maps = options.pop("maps", MAPS)
    options = {"npartitions": REDUCES, **options}
    if kind == "bag":
        bag = db.from_sequence(range(records), npartitions=maps)
        return verified_map_reduce(bag, pairs, total, policy=policy, client=client, **options)
    ddf = dd.from_pandas(frame(records), npartitions=maps)
    return verified_map_reduce(
        ddf, double, totals, by="k", sort=True, policy=policy, client=client, **options
    )


def check(kind: str, result: Any, records: int = 360) -> None:
    """Compare a result with the one computed without Dask."""
    if kind == "bag":
        assert dict(result) == {k: sum(range(k, records, KEYS)) for k in range(KEYS)}
        assert len(result) == KEYS
    else:
        pd.testing.assert_frame_equal(result, totals(double(frame(records))))


def standings(job: Any) -> dict[str, Standing]:
    return {name: domain.standing for name, domain in job.report.domains.items()}


def who(job: Any, standing: Standing) -> set[str]:
    return {name for name, got in standings(job).items() if got is standing}
