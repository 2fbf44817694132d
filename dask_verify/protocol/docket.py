"""Divergences that wait for arbitration.

* One is arbitrated at a time: one proven unit settles the rest of what a cheat did.
* Maps come first, also before a reduce that is being arbitrated: that may not be readable before
  they are settled.
* An answer to anything but the current question is ignored.
* A task that was started anew takes its old divergences with it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import replace

from dask_verify.protocol.board import TaskState
from dask_verify.protocol.messages import MAP, REDUCE, Arbitrate, Finding, Task


class Docket:
    """A queue of disputed tasks and the one that is being arbitrated."""

    def __init__(self) -> None:
        self._waiting: deque[tuple[Task, TaskState]] = deque()
        self._current: tuple[Arbitrate, TaskState] | None = None
        self._questions = 0

    @property
    def idle(self) -> bool:
        """Whether nothing waits and nothing is being arbitrated."""
        return self._current is None and not self._waiting

    @property
    def asked(self) -> Arbitrate | None:
        """The question that is being arbitrated."""
        current = self._current  # read once: other threads ask, too
        return None if current is None else current[0]

    def add(self, task: Task, state: TaskState) -> None:
        """Queue a disputed task.

        Parameters
        ----------
        task : Task
            The task.
        state : TaskState
            What is known about the task.
        """
        state.disputed = True
        if task.stage == REDUCE:
            self._waiting.append((task, state))
            return
        if self._current is not None and self._current[0].task.stage == REDUCE:
            self._waiting.appendleft((self._current[0].task, self._current[1]))
            self._current = None
        maps = sum(waiting.stage == MAP for waiting, _ in self._waiting)
        self._waiting.insert(maps, (task, state))

    def next(self, tasks: Mapping[Task, TaskState]) -> tuple[Task, TaskState] | None:
        """Take the next task that is still as it was; None while an arbitration runs.

        Parameters
        ----------
        tasks : mapping of Task to TaskState
            All tasks of the job.

        Returns
        -------
        tuple of (Task, TaskState) or None
        """
        while self._waiting and self._current is None:
            task, state = self._waiting.popleft()
            if tasks.get(task) is state:
                return task, state
        return None

    def open(self, arbitrate: Arbitrate, state: TaskState) -> Arbitrate:
        """Note which question is asked now.

        Parameters
        ----------
        arbitrate : Arbitrate
            The question.
        state : TaskState
            What is known about the task.

        Returns
        -------
        Arbitrate
            With its number, which the answer must name.
        """
        self._questions += 1
        asked = replace(arbitrate, number=self._questions)
        self._current = asked, state
        return asked

    def close(self, finding: Finding) -> tuple[Arbitrate, TaskState] | None:
        """Take the answer to the current question; None if it answers another one.

        Parameters
        ----------
        finding : Finding
            What the arbitration found.

        Returns
        -------
        tuple of (Arbitrate, TaskState) or None
        """
        if self._current is None:
            return None
        asked, state = self._current
        named = finding.task, finding.inputs, finding.number
        if named != (asked.task, asked.inputs, asked.number):
            return None
        self._current = None
        state.disputed = False
        return asked, state
