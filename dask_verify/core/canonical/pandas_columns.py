"""Prepared columns that only frames have: Python objects, and integer indexes.

Guarantees: an int64 index in arithmetic progression is stored as start and step, whether pandas
held it as a RangeIndex or not.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dask_verify.core.canonical.columns import Parts, raw_column
from dask_verify.core.canonical.records import write_column
from dask_verify.core.canonical.wire import Array, Refusal

MASKED_DTYPES = {
    *(f"{sign}Int{width}Dtype" for sign in ("", "U") for width in (8, 16, 32, 64)),
    *("Float32Dtype", "Float64Dtype", "BooleanDtype"),
}
"""Names of the classes of nullable dtypes, whose arrays are values with a mask."""
MASKED_NAMES = {
    *(f"{sign}Int{width}" for sign in ("", "U") for width in (8, 16, 32, 64)),
    *("Float32", "Float64", "boolean"),
}
"""Names of these dtypes."""


@dataclass(frozen=True)
class Objects:
    """A column of Python objects: each run is a column of ``records``.

    Parameters
    ----------
    values : numpy.ndarray
        The objects.
    depth : int
        How many containers are around it.
    """

    values: Array
    depth: int

    def emit(self, start: int, stop: int, out: Parts) -> None:
        """Append the bytes of rows ``start`` to ``stop``.

        Parameters
        ----------
        start, stop : int
            First row of the run, and the one after its last.
        out : Parts
            Where the bytes are appended.
        """
        body = bytearray()
        try:
            write_column(body, self.values[start:stop].tolist(), 0, self.depth)
        except Refusal as refusal:
            refusal.steps[-1] = f"row {start + int(refusal.steps[-1][1:-1])}"
            raise
        out.append(body)


class Integers:
    """An int64 index: start and step where a run is an arithmetic progression.

    Parameters
    ----------
    values : numpy.ndarray
        The values.
    """

    def __init__(self, values: Array) -> None:
        self._raw = raw_column(values)
        self._values = values
        steps = np.diff(values)
        self._breaks = np.concatenate(([0, 0], np.cumsum(steps[1:] != steps[:-1]), [0]))

    def emit(self, start: int, stop: int, out: Parts) -> None:
        """Append the bytes of rows ``start`` to ``stop``.

        Parameters
        ----------
        start, stop : int
            First row of the run, and the one after its last.
        out : Parts
            Where the bytes are appended.
        """
        short = self._progression(start, stop)
        if short is None:
            out.append(b"\0")
            self._raw.emit(start, stop, out)
        else:
            out.append(short)

    def _progression(self, start: int, stop: int) -> bytes | None:
        count = stop - start
        if count < A_STEP:
            return progression_bytes(int(self._values[start]) if count else 0, 1, count)
        if self._breaks[stop - 1] != self._breaks[start + 1]:
            return None
        first = int(self._values[start])
        step = int(self._values[start + 1]) - first
        # Differences wrap around at 64 bits, but values that agree modulo 2**64 with a progression
        # that stays within 64 bits are that progression.
        return progression_bytes(first, step, count)


@dataclass(frozen=True)
class Progression:
    """The int64 index that a RangeIndex is, without its values.

    Parameters
    ----------
    values : range
        The values.
    """

    values: range

    def emit(self, start: int, stop: int, out: Parts) -> None:
        """Append the bytes of rows ``start`` to ``stop``.

        Parameters
        ----------
        start, stop : int
            First row of the run, and the one after its last.
        out : Parts
            Where the bytes are appended.
        """
        run = self.values[start:stop]
        step = run.step if len(run) >= A_STEP else 1
        short = progression_bytes(run.start if run else 0, step, len(run))
        out.append(b"\0" + np.array(run, "<i8").tobytes() if short is None else short)

    def block(self, rows: int, count: int) -> Array | None:
        """Return the bytes of ``count`` runs of ``rows``, one a line; None if some may be long.

        Parameters
        ----------
        rows : int
            Rows of one run.
        count : int
            Number of runs.

        Returns
        -------
        numpy.ndarray or None
        """
        step = self.values.step if rows >= A_STEP else 1
        short = progression_bytes(0, step, rows)
        if short is None or max(abs(self.values.start), abs(self.values.stop)) >= _FAR:
            return None
        lines = np.tile(np.frombuffer(short, np.uint8), (count, 1))
        firsts = self.values.start + self.values.step * rows * np.arange(count, dtype="<i8")
        lines[:, 1:9] = firsts.view(np.uint8).reshape(count, 8)
        return lines


_FAR = 1 << 61  #: values of an index below which every run has the short form
A_STEP = 2
"""Values from which on a progression has a step."""


def progression_bytes(first: int, step: int, count: int) -> bytes | None:
    """Return the short form, unless its stop would not fit 64 bits or all values are equal.

    Parameters
    ----------
    first : int
        The first value.
    step : int
        What is added from one to the next.
    count : int
        How many values there are.

    Returns
    -------
    bytes or None
    """
    if not step or not -(1 << 63) <= first + step * count < 1 << 63:
        return None
    return (
        b"\1" + first.to_bytes(8, "little", signed=True) + step.to_bytes(8, "little", signed=True)
    )
