"""Prepared columns: flat buffers of which any run of rows is a few slices.

Guarantees
* ``emit(start, stop, out)`` appends bytes that depend on those rows alone: a null mask is there
  exactly if one of them is null, and lengths are stored instead of offsets.
* What lies under a null is zero.

Layout of one run of n rows: nulls (a byte 0, or a byte 1 and a bit per row, set for null, lowest
bit first), then by kind: n fixed-width items; or n lengths (uint32) and their bytes; or n lengths
and the items as a column of their own; or the fields of a struct, one after the other.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from dask_verify.core.canonical.wire import Array, Refusal

Parts = list[Any]
_LIMIT = 1 << 32


class Column(Protocol):
    """Anything that emits runs of rows."""

    def emit(self, start: int, stop: int, out: Parts) -> None:
        """Append the bytes of rows ``start`` to ``stop``.

        Parameters
        ----------
        start, stop : int
            First row of the run, and the one after its last.
        out : Parts
            Where the bytes are appended.
        """


class Nulls:
    """Which rows are null, with a running count so that a run needs no scan.

    Parameters
    ----------
    mask : numpy.ndarray or None
        Which rows are null.
    """

    def __init__(self, mask: Array | None) -> None:
        self.mask = mask if mask is not None and mask.any() else None
        if self.mask is not None:
            self._before = np.concatenate(([0], np.cumsum(self.mask)))

    def emit(self, start: int, stop: int, out: Parts) -> None:
        """Append the null mask of a run.

        Parameters
        ----------
        start, stop : int
            First row of the run, and the one after its last.
        out : Parts
            Where the bytes are appended.
        """
        if self.mask is None or self._before[start] == self._before[stop]:
            out.append(b"\0")
        else:
            out.append(b"\1")
            out.append(np.packbits(self.mask[start:stop], bitorder="little").tobytes())


@dataclass(frozen=True)
class Raw:
    """Items of fixed width that are never null.

    Parameters
    ----------
    data : memoryview
        All items, one after the other.
    width : int
        Bytes of one item.
    """

    data: memoryview
    width: int

    def emit(self, start: int, stop: int, out: Parts) -> None:
        """Append the bytes of rows ``start`` to ``stop``.

        Parameters
        ----------
        start, stop : int
            First row of the run, and the one after its last.
        out : Parts
            Where the bytes are appended.
        """
        out.append(self.data[start * self.width : stop * self.width])

    def block(self, rows: int, count: int) -> Array:
        """Return the bytes of ``count`` runs of ``rows``, from the first row on, one a line.

        Parameters
        ----------
        rows : int
            Rows of one run.
        count : int
            Number of runs.

        Returns
        -------
        numpy.ndarray
        """
        width = rows * self.width
        return np.frombuffer(self.data[: width * count], np.uint8).reshape(count, width)


@dataclass(frozen=True)
class Nullable:
    """Another column with a null mask before it.

    Parameters
    ----------
    nulls : Nulls
        Which rows are null.
    values : Column
        The column of the values, nulls included.
    """

    nulls: Nulls
    values: Column

    def emit(self, start: int, stop: int, out: Parts) -> None:
        """Append the bytes of rows ``start`` to ``stop``.

        Parameters
        ----------
        start, stop : int
            First row of the run, and the one after its last.
        out : Parts
            Where the bytes are appended.
        """
        self.nulls.emit(start, stop, out)
        self.values.emit(start, stop, out)


@dataclass(frozen=True)
class Nested:
    """Rows of varying length: lengths, then a run of the column that holds their items.

    Parameters
    ----------
    lengths : memoryview
        Number of items of each row, as they are written.
    bounds : list of int
        Where each row's items begin, and where the last row's end.
    items : Column
        The items of all rows.
    """

    lengths: memoryview
    bounds: list[int]
    items: Column

    def emit(self, start: int, stop: int, out: Parts) -> None:
        """Append the bytes of rows ``start`` to ``stop``.

        Parameters
        ----------
        start, stop : int
            First row of the run, and the one after its last.
        out : Parts
            Where the bytes are appended.
        """
        out.append(self.lengths[4 * start : 4 * stop])
        self.items.emit(self.bounds[start], self.bounds[stop], out)


@dataclass(frozen=True)
class Repeated:
    """Rows of one fixed number of items.

    Parameters
    ----------
    size : int
        Items of one row.
    items : Column
        The items of all rows.
    """

    size: int
    items: Column

    def emit(self, start: int, stop: int, out: Parts) -> None:
        """Append the bytes of rows ``start`` to ``stop``.

        Parameters
        ----------
        start, stop : int
            First row of the run, and the one after its last.
        out : Parts
            Where the bytes are appended.
        """
        self.items.emit(start * self.size, stop * self.size, out)


@dataclass(frozen=True)
class Fields:
    """Columns side by side; none at all for a column without bytes.

    Parameters
    ----------
    columns : list of Column
        The columns.
    """

    columns: list[Column]

    def emit(self, start: int, stop: int, out: Parts) -> None:
        """Append the bytes of rows ``start`` to ``stop``.

        Parameters
        ----------
        start, stop : int
            First row of the run, and the one after its last.
        out : Parts
            Where the bytes are appended.
        """
        for column in self.columns:
            column.emit(start, stop, out)


def raw_column(values: Array) -> Raw:
    """Return the column of a contiguous array.

    Parameters
    ----------
    values : numpy.ndarray
        The values.

    Returns
    -------
    Raw
    """
    width = values.dtype.itemsize
    return Raw(memoryview(values.reshape(-1).view(np.uint8).data), width)


def nested(lengths: Array, items: Column) -> Nested:
    """Return the column of rows with these lengths.

    Parameters
    ----------
    lengths : numpy.ndarray
        Number of items of each row.
    items : Column
        The items of all rows.

    Returns
    -------
    Nested

    Raises
    ------
    Refusal
        If it has no canonical bytes.
    """
    if lengths.size and int(lengths.max()) >= _LIMIT:
        raise Refusal(lengths, "one of its rows has 2**32 items or more", "column")
    bounds = np.concatenate(([0], np.cumsum(lengths, dtype=np.int64)))
    small = lengths.astype("<u4")
    return Nested(memoryview(small.view(np.uint8).data), bounds.tolist(), items)
