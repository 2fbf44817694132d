"""The user's functions and the shape of a job, as shipped to whoever executes it."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from typing import Any, Protocol

import cloudpickle

from dask_verify.core.canonical import install_types
from dask_verify.core.seal import digest


@dataclass(frozen=True)
class Work:
    """What to compute.

    Parameters
    ----------
    kind : {"bag", "frame"}
    mapper, reducer, combiner : callable
        As passed to `verified_map_reduce`.
    buckets, partitions : int
        Key buckets in all; reduce partitions (each owns ``buckets / partitions`` of them).
    unit_records : int, optional
        Input records in one unit; None: the whole partition is one unit.
    by : tuple of str
        Key columns or index levels of a dataframe.
    map_meta, meta : pandas.DataFrame, optional
        Empty frames that outputs are cast to.
    types : tuple
        Registrations of the user's own types, see `core.canonical.register_type`.
    """

    kind: str
    mapper: Callable[..., Any]
    reducer: Callable[..., Any]
    combiner: Callable[..., Any] | None
    buckets: int
    partitions: int
    unit_records: int | None
    by: tuple[str, ...] = ()
    map_meta: Any = None
    meta: Any = None
    types: tuple[Any, ...] = field(default=())

    @property
    def run(self) -> int:
        """Buckets in one reduce partition."""
        return self.buckets // self.partitions

    def bounds(self, units: int) -> list[tuple[int, int]]:
        """Return the range of leaves that each reduce partition reads of a map partition.

        Parameters
        ----------
        units : int
            Number of units of the map partition.

        Returns
        -------
        list of tuple of (int, int)
        """
        step = self.run * units
        return [(j * step, (j + 1) * step) for j in range(self.partitions)]


@dataclass(frozen=True)
class Shipped:
    """Work as bytes, with the digest that the job id binds.

    Parameters
    ----------
    data : bytes
        The pickled work.
    """

    data: bytes

    @cached_property
    def digest(self) -> bytes:
        """BLAKE3 of the shipped bytes, closures included."""
        return digest("functions", self.data)


def ship(work: Work) -> Shipped:
    """Pickle work once for the whole job.

    Parameters
    ----------
    work : Work
        The user's functions, with what is needed to run them.

    Returns
    -------
    Shipped
    """
    return Shipped(cloudpickle.dumps(work))


@lru_cache(maxsize=8)
def unship(data: bytes) -> Work:
    """Load work where it is executed: a worker, or one of the coordinator's own processes.

    Parameters
    ----------
    data : bytes
        The pickled work, from a coordinator that is trusted.

    Returns
    -------
    Work
    """
    work: Work = cloudpickle.loads(data)
    install_types(list(work.types))
    return work


def name_of(function: Any) -> str:
    """Return where a function comes from, as ``module:qualname``; a hint for people.

    Parameters
    ----------
    function : object
        The function.

    Returns
    -------
    str

    Examples
    --------
    >>> import json
    >>> name_of(json.dumps), name_of(None)
    ('json:dumps', '')
    """
    if function is None:
        return ""
    called = function if hasattr(function, "__qualname__") else type(function)
    return f"{called.__module__}:{called.__qualname__}"


class Hooks(Protocol):
    """Where a saboteur may interfere; see `dask_verify.testing.Saboteur`."""

    def read_input(self, partition: int, records: Any) -> Any:
        """Change what was read.

        Parameters
        ----------
        partition : int
            Number of the partition.
        records : object
            The records.

        Returns
        -------
        object
        """

    def map_output(self, partition: int, unit: int, records: Any) -> Any:
        """Change what the mapper gave.

        Parameters
        ----------
        partition : int
            Number of the partition.
        unit : int
            Number of the unit.
        records : object
            The records.

        Returns
        -------
        object
        """

    def reduce_output(self, partition: int, unit: int, records: Any) -> Any:
        """Change what the reducer gave.

        Parameters
        ----------
        partition : int
            Number of the partition.
        unit : int
            Number of the unit.
        records : object
            The records.

        Returns
        -------
        object
        """


def search_path() -> list[str]:
    """Return where a fresh process must look for modules, in this process's own order.

    Returns
    -------
    list of str
    """
    return [os.path.abspath(p or ".") for p in sys.path]
