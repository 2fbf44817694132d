"""What makes honest domains differ: their environments, the source, or the function itself."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from dataclasses import dataclass

from dask_verify.protocol.messages import Task


@dataclass(frozen=True)
class Nature:
    """What makes honest domains differ.

    Parameters
    ----------
    random : bool
        Whether the function gives something else each time, on some tasks.
    pinned : bool
        Whether the source could be pinned when the job started.
    changes : int, optional
        After how many events the source changes; some readers see the old one even then.
    salt : int
        Which tasks are affected.
    linked : bool
        Whether what a reduce partition holds depends on the maps that it reads.

    Examples
    --------
    >>> Nature().wobble(Task("map", 0), {"simd": "avx512"})
    ''
    """

    random: bool = False
    pinned: bool = True
    changes: int | None = None
    salt: int = 0
    linked: bool = True

    def affects(self, task: Task) -> bool:
        """Whether a task's result depends on more than its input.

        Parameters
        ----------
        task : Task
            The task.

        Returns
        -------
        bool
        """
        return zlib.crc32(f"{self.salt} {task}".encode()) % 3 != 0

    def wobble(self, task: Task, environment: Mapping[str, str]) -> str:
        """Return what an environment makes of a task's result; empty for the usual one.

        Parameters
        ----------
        task : Task
            The task.
        environment : mapping of str to str
            What the executor has enrolled.

        Returns
        -------
        str
        """
        rounding = environment.get("rounding", "")
        return rounding if rounding and self.affects(task) else ""


USUAL = Nature()
