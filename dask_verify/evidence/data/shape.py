"""How the values of a result are cut into the leaves of its reduce partitions.

Nothing in a shape needs to be trusted: values that are cut in another way have other roots. It is
checked so that a bad one costs an error, and neither time nor memory without bound.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import chain
from typing import TYPE_CHECKING, Any

import numpy as np

from dask_verify.core.canonical import decode_frame
from dask_verify.core.record import LARGEST
from dask_verify.errors import DataError, DecodingError

if TYPE_CHECKING:
    import pandas as pd

LEAVES = 1 << 22
"""Most leaves of a result, which are hashed even where they are empty."""
_ROWS = 1 << 48
_FORM_COLUMNS = 1 << 18  #: columns of all forms together: each takes time, and hardly any bytes


@dataclass(frozen=True)
class ResultShape:
    """Partitions and leaves of one result.

    Parameters
    ----------
    kind : {"bag", "frame"}
        A list of pairs, or a dataframe.
    partitions : int
        Reduce partitions.
    buckets : int
        Leaves of all of them together.
    meta : bytes
        Of a frame: ``encode_frame(result.iloc[:0])``, so with the categories of the whole result.
    rows : tuple of tuple of int
        Of a frame: rows of each leaf of each partition.
    order : tuple of int, optional
        Of a frame in another order: row ``i`` of the file is row ``order[i]`` of the leaves.
    forms : tuple of bytes
        Of a frame: encoded empty frames of leaves that differ from `meta` (other categories).
    formed : tuple of tuple of int
        Of a frame with `forms`: for each leaf 0 for `meta`, or ``i`` for ``forms[i - 1]``.
    nbytes : int
        Canonical bytes of all leaves, which bound what is read; 0 if not known.
    records : int, optional
        Of a bag: most pairs that are read.

    Examples
    --------
    >>> shape = ResultShape("bag", partitions=2, buckets=16)
    >>> shape.check()
    >>> shape.run
    8
    >>> ResultShape("bag", 3, 16).check()
    Traceback (most recent call last):
        ...
    dask_verify.errors.DataError: shape: expected as many buckets in each of 3 partitions, got 16
    """

    kind: str
    partitions: int
    buckets: int
    meta: bytes = b""
    rows: tuple[tuple[int, ...], ...] = ()
    order: tuple[int, ...] | None = None
    forms: tuple[bytes, ...] = ()
    formed: tuple[tuple[int, ...], ...] = ()
    nbytes: int = 0
    records: int | None = None

    @property
    def run(self) -> int:
        """Leaves of one partition."""
        return self.buckets // self.partitions

    @cached_property
    def counts(self) -> tuple[int, ...]:
        """Rows of all leaves, in order."""
        return tuple(chain.from_iterable(self.rows))

    @property
    def total(self) -> int:
        """Rows of a frame."""
        return sum(self.counts)

    @cached_property
    def empty(self) -> pd.DataFrame:
        """The empty frame that `meta` encodes."""
        return _empty(self.meta, "meta")

    def form(self, number: int) -> pd.DataFrame:
        """Return the empty frame of the leaves with a number in `formed`.

        Parameters
        ----------
        number : int
            The number.

        Returns
        -------
        pandas.DataFrame
        """
        return self.empty if not number else _empty(self.forms[number - 1], f"form {number}")

    def check(self) -> None:
        """Check ranges, and that all parts agree with one another.

        Raises
        ------
        DataError
            If they do not.
        """
        _ = self._sound

    @cached_property
    def _sound(self) -> bool:
        """Whether `check` passed: it is asked again and again, and forms take time."""
        self._check()
        return True

    def _check(self) -> None:
        if self.kind not in ("bag", "frame"):
            raise _bad("the kind 'bag' or 'frame'", self.kind)
        if not _whole([self.partitions, self.buckets], 1, LEAVES):
            raise _bad(f"1 to {LEAVES} partitions and buckets", (self.partitions, self.buckets))
        if self.buckets % self.partitions:
            raise _bad(f"as many buckets in each of {self.partitions} partitions", self.buckets)
        if not _whole([self.nbytes], 0, LARGEST):
            raise _bad("a number of bytes", self.nbytes)
        if self.kind == "frame":
            self._check_frame()
        elif replace(self, nbytes=0, records=None) != ResultShape(
            "bag", self.partitions, self.buckets
        ):
            raise _bad("a bag without anything of a frame", self)
        elif self.records is not None and not _whole([self.records], 0, LARGEST):
            raise _bad("a number of records", self.records)

    def _check_frame(self) -> None:
        self._check_leaves(self.rows, "rows", _ROWS)
        if self.records is not None:
            raise _bad("records of a bag only", self.records)
        if self.total > _ROWS:
            raise _bad(f"at most {_ROWS} rows", self.total)
        if self.order is not None:
            _check_order(self.order, self.total)
        if not isinstance(self.forms, tuple) or len(self.forms) > self.buckets:
            raise _bad("at most one form a leaf", self.forms)
        if self.forms or self.formed:
            self._check_leaves(self.formed, "forms", len(self.forms))
        self._check_forms()

    def _check_forms(self) -> None:
        columns = _columns(self.empty)
        if len(self.forms) * columns > _FORM_COLUMNS:
            raise _bad(
                f"at most {_FORM_COLUMNS} columns of forms (let the reducer return the same"
                " categories in all buckets)",
                f"{len(self.forms)} forms of {columns} columns and levels",
            )
        for number in range(1, len(self.forms) + 1):
            if _columns(self.form(number)) != columns:
                raise _bad(f"{columns} columns and levels in form {number}", "another number")

    def _check_leaves(self, table: Any, what: str, most: int) -> None:
        """Check one number a leaf, partition by partition."""
        good = isinstance(table, tuple) and len(table) == self.partitions
        if not good or not all(isinstance(p, tuple) and len(p) == self.run for p in table):
            raise _bad(f"{what} of {self.partitions} partitions of {self.run} leaves", table)
        if not _whole(chain.from_iterable(table), 0, most):
            raise _bad(f"{what} from 0 to {most}", table)


def _whole(numbers: Iterable[Any], least: int, most: int) -> bool:
    return all(type(n) is int and least <= n <= most for n in numbers)


def _check_order(order: Any, total: int) -> None:
    good = isinstance(order, tuple) and len(order) == total and _whole(order, 0, total - 1)
    if not good or np.bincount(np.array(order, np.int64), minlength=total).max(initial=1) > 1:
        raise _bad(f"an order that has each of {total} rows once", order)


def _columns(frame: pd.DataFrame) -> int:
    return len(frame.columns) + int(frame.index.nlevels)


def _empty(data: bytes, what: str) -> pd.DataFrame:
    try:
        frame = decode_frame(data)
    except DecodingError as error:
        raise _bad(f"{what} to be an encoded frame", error) from None
    if len(frame):
        raise _bad(f"{what} to be a frame without rows", f"{len(frame)} rows")
    return frame


def _bad(expected: str, got: object) -> DataError:
    text = got if isinstance(got, str) else f"{got!s:.200}"
    return DataError(f"shape: expected {expected}, got {text:.200}")
