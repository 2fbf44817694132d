"""What every workload hands to every contender: data, functions, and how plain Dask does it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pandas as pd


@dataclass(frozen=True)
class Task:
    """One computation over data that exist.

    Parameters
    ----------
    collection : dask.bag.Bag or dask.dataframe.DataFrame
    mapper, reducer, combiner : callable
        For `dask_verify.verified_map_reduce`; the same functions as in ``plain``.
    plain : callable
        Gives the Dask collection that computes the same: the idiom of a good Dask user.
    normal : callable
        Gives what is compared of an answer: `pairs` or `rows`.
    options : mapping
        More arguments of `verified_map_reduce`.
    policy : mapping
        More arguments of its `Policy`.
    others : mapping
        Other idioms of plain Dask, shown beside it.
    facts : mapping
        Sizes, for the results.
    """

    collection: Any
    mapper: Callable[..., Any]
    reducer: Callable[..., Any]
    plain: Callable[[], Any]
    normal: Callable[[Any], Any]
    combiner: Callable[..., Any] | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    policy: Mapping[str, Any] = field(default_factory=dict)
    others: Mapping[str, Callable[[], Any]] = field(default_factory=dict)
    facts: Mapping[str, float] = field(default_factory=dict)

    def same(self, one: Any, other: Any) -> bool:
        """Tell whether two answers are equal, up to order, dtypes and rounding in the last bits."""
        one, other = self.normal(one), self.normal(other)
        if not isinstance(one, pd.DataFrame):
            return bool(one == other)
        try:
            pd.testing.assert_frame_equal(one, other, check_dtype=False, rtol=1e-9)
        except AssertionError:
            return False
        return True


def pairs(answer: Any) -> dict[Any, Any]:
    """Return the pairs of a bag's answer as a dict; a key that comes twice is kept visible."""
    found = dict(answer)
    return found if len(found) == len(answer) else {"repeated keys": sorted(answer, key=repr)}


def rows(by: Sequence[str]) -> Callable[[pd.DataFrame], pd.DataFrame]:
    """Return what sorts a dataframe's answer by its keys, wherever it has them."""

    def normal(answer: pd.DataFrame) -> pd.DataFrame:
        if set(by) & set(answer.index.names):
            answer = answer.reset_index()
        ordered = answer[sorted(answer.columns)].astype(dict.fromkeys(by, object))
        return ordered.sort_values(list(by), ignore_index=True)

    return normal
