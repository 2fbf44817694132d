"""Work that waits for a map partition: never for something that has already happened.

Everything here is called in the driver's thread, so nothing happens between looking and waiting.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from dask_verify.engine.launch import Launcher
from dask_verify.engine.reader import GoneError, ReplacedError, UnservedError
from dask_verify.protocol.job import JobState
from dask_verify.protocol.messages import Task

Action = Callable[[], None]


@dataclass
class Waiting:
    """What cannot be done before a partition is accepted again.

    Parameters
    ----------
    state : JobState
    launcher : Launcher
    """

    state: JobState
    launcher: Launcher
    _parked: list[tuple[Task, Action]] = field(default_factory=list)

    def until_served(self, error: UnservedError, action: Action) -> None:
        """Act at once if what was missing is there now, else when it is accepted again.

        Parameters
        ----------
        error : UnservedError
            What was not served.
        action : Action
            What to do.
        """
        missing = self.missing(error)
        if missing is None:
            action()
        else:
            self._parked.append((missing, action))

    def resume(self, ready: Callable[[Task], bool]) -> None:
        """Act on what waited for some partitions.

        Parameters
        ----------
        ready : callable
            Tells whether a map partition can be read.
        """
        parked, self._parked = self._parked, []
        for task, action in parked:
            if ready(task):
                action()
            else:
                self._parked.append((task, action))

    def missing(self, error: UnservedError) -> Task | None:
        """Return the partition that has to be waited for; None if there is nothing to wait for.

        Parameters
        ----------
        error : UnservedError
            What was not served.

        Returns
        -------
        Task or None
        """
        if not isinstance(error, ReplacedError):
            return None if self.state.holders(error.task) else error.task
        try:
            self.launcher.sources(error.inputs)
        except ReplacedError as again:
            return again.task
        except GoneError:
            return None  # whoever waited for it finds out so
        return None
