"""Saboteurs that sign nothing wrong, but do not answer: ``SUSPECTED`` at most."""

from __future__ import annotations

import math
import os
import signal
from dataclasses import dataclass

from dask_verify.errors import InputError
from dask_verify.protocol.messages import MAP, REDUCE
from dask_verify.testing.saboteur import Saboteur


@dataclass(kw_only=True)
class _Staller(Saboteur):
    stage: str | None = None
    partition: int | None = None

    def __post_init__(self) -> None:
        if self.stage not in (None, MAP, REDUCE):
            raise InputError(f"stage: expected 'map', 'reduce' or None, got {self.stage!r}")

    def _concerns(self, stage: str, partition: int) -> bool:
        return self.stage in (None, stage) and self.partition in (None, partition)


@dataclass
class Slow(_Staller):
    """Hold every task up.

    Parameters
    ----------
    seconds : float
        For how long.
    stage : {"map", "reduce"}, optional
        Only tasks of this stage.
    partition : int, optional
        Only tasks of this partition.

    Examples
    --------
    >>> Slow(2, stage="map").delay("map", 0), Slow(2, stage="map").delay("reduce", 0)
    (2, 0)
    """

    seconds: float = 60.0

    def delay(self, stage: str, partition: int) -> float:
        """Hold a task up."""
        return self.seconds if self._concerns(stage, partition) else 0


@dataclass
class Silent(_Staller):
    """Never answer: neither with commitments nor with openings.

    Parameters
    ----------
    stage : {"map", "reduce"}, optional
        Only tasks of this stage; nothing is served in any case.
    partition : int, optional
        Only tasks of this partition.

    Examples
    --------
    >>> Silent().delay("map", 0)
    inf
    """

    def delay(self, stage: str, partition: int) -> float:
        """Hold a task up for ever."""
        return math.inf if self._concerns(stage, partition) else 0

    def serve(self, partition: int, data: bytes) -> bytes | None:
        """Serve nothing."""
        return None


@dataclass
class Crash(_Staller):
    """Kill the worker process that is about to execute a task.

    Parameters
    ----------
    stage : {"map", "reduce"}, optional
        Only tasks of this stage.
    partition : int, optional
        Only tasks of this partition.

    Examples
    --------
    >>> Crash(stage="map").delay("reduce", 0)
    0
    """

    def delay(self, stage: str, partition: int) -> float:
        """Die as a process does that is out of memory."""
        if self._concerns(stage, partition):
            os.kill(os.getpid(), signal.SIGKILL)
        return 0
