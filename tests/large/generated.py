"""Rows that are generated where they are needed, and the answer over them in closed form.

Row ``n`` of all has ``user = n % USERS`` and ``kind = n % KINDS``; both are coprime, so the rows of
one user and of kind 0 are an arithmetic progression. What makes the rows heavy is random, seeded
by the partition.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import dask.dataframe as dd
import numpy as np
import pandas as pd

USERS = 200_003  #: a prime
KINDS = 5  #: one row of so many goes into the shuffle
ROWS = 1_000_000
_WIDTH = 8  #: columns of 8 bytes
BYTES = ROWS * _WIDTH * 8  #: of one partition in memory


def rows(partition: int, count: int = ROWS) -> pd.DataFrame:
    """Generate one partition."""
    n = np.arange(partition * count, (partition + 1) * count)
    dice = np.random.default_rng(partition)
    heavy = dice.random((4, count))
    known = {"user": n % USERS, "kind": n % KINDS, "row": n, "price": n * 0.5}
    return pd.DataFrame(known | {f"x{i}": x for i, x in enumerate(heavy)})


def bought(df: pd.DataFrame) -> pd.DataFrame:
    """Map: a fifth of the rows, and most of their columns."""
    return df[df.kind == 0].drop(columns=["kind", "x2", "x3"])


def totals(df: pd.DataFrame) -> pd.DataFrame:
    """Reduce: what each user bought."""
    of = df.groupby("user", as_index=False)
    return of.agg(rows=("row", "size"), first=("row", "min"), price=("price", "sum"))


@dataclass(frozen=True)
class Generated:
    """So many partitions, as a collection, and the answer over them."""

    partitions: int

    @property
    def nbytes(self) -> int:
        """Bytes of all rows in memory."""
        return self.partitions * BYTES

    def collection(self) -> Any:
        """Return the dataframe; nothing of it exists yet."""
        meta = rows(0, 1).iloc[:0]
        return dd.from_map(rows, range(self.partitions), meta=meta, enforce_metadata=False)

    def answer(self) -> pd.DataFrame:
        """Return the totals, without a look at any row.

        Of each user, the rows of kind 0 are ``first, first + step, first + 2 * step, ...``.
        """
        step, total = USERS * KINDS, self.partitions * ROWS
        users = np.arange(USERS)
        first = KINDS * (users * pow(KINDS, -1, USERS) % USERS)
        count = np.maximum(0, -(-(total - first) // step))
        price = 0.5 * (count * first + step * (count * (count - 1) // 2))
        found = pd.DataFrame({"user": users, "rows": count, "first": first, "price": price})
        return found[count > 0].reset_index(drop=True)
