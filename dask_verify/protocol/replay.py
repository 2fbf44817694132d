"""Taking up a job where its events end: the same decisions again, and what is still owed.

* A job's state follows from its plan and its events alone, in their order.
* What was asked for and not answered is asked for again; what is answered is not.
* Decisions that turn out otherwise than they did are refused: nothing that was acted on may differ.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from dask_verify.errors import JournalError
from dask_verify.protocol.board import Plan
from dask_verify.protocol.domain import COORDINATOR
from dask_verify.protocol.job import JobState
from dask_verify.protocol.messages import (
    Arbitrate,
    Challenge,
    Event,
    Finished,
    Instruction,
    Recount,
    Run,
    StandIn,
    StartReduce,
    Unserved,
)
from dask_verify.protocol.recording import decisions


@dataclass
class Issued:
    """The instructions of a job, each as it was given last."""

    _given: dict[Any, Instruction] = field(default_factory=dict)

    def note(self, instructions: Iterable[Instruction]) -> None:
        """Take note of some more.

        Parameters
        ----------
        instructions : iterable of Instruction
            What the protocol decided.
        """
        for given in instructions:
            about = _about(given)
            if about is not None:
                # Behind those that were given since it was given first: what it needs is there.
                self._given.pop(about, None)
                self._given[about] = given

    def owed(self, state: JobState) -> list[Instruction]:
        """Return those that have not been carried out, as the job stands, in order.

        Parameters
        ----------
        state : JobState
            The job, as it stands.

        Returns
        -------
        list of Instruction
        """
        if state.finished is not None and not state.finished.verdict.answered:
            return [state.finished]
        return [given for given in self._given.values() if _is_owed(given, state)]


def replay(
    plan: Plan, past: Iterable[tuple[Event, bytes]], protocol: type[JobState] = JobState
) -> tuple[JobState, list[Instruction]]:
    """Make the decisions of a job again.

    Parameters
    ----------
    plan : Plan
        As the job was started with.
    past : iterable of (Event, bytes)
        What happened, with the `decisions` that followed.
    protocol : type of JobState
        What decides.

    Returns
    -------
    JobState
    list of Instruction
        What is still to be carried out.

    Raises
    ------
    JournalError
        If other decisions follow.
    """
    state, issued = protocol(plan), Issued()
    issued.note(state.start())
    for number, (event, expected) in enumerate(past):
        instructions = state.handle(event)
        got = decisions(instructions)
        if got != expected:
            raise JournalError(
                f"event {number}, {type(event).__name__}: expected the decisions that were made"
                f" then ({expected.hex()}), got others ({got.hex()}); resume it with the very"
                " version and packages that wrote it, or run the job again"
            )
        issued.note(instructions)
    owed = issued.owed(state)
    for task in state.tasks():
        task.shed()
    return state, owed


def losses(state: JobState) -> list[Event]:
    """Return what the coordinator does not hold any more once its process is gone.

    Parameters
    ----------
    state : JobState
        The job, as it stands.

    Returns
    -------
    list of Event
    """
    found: list[Event] = []
    for task in state.assigned():
        if COORDINATOR in state.holders(task):
            found.append(Unserved(task, COORDINATOR, state.state(task).accepted or b""))
    return found


def _about(given: Instruction) -> Any:
    """Return what an instruction replaces the former ones of; None if it is done when it is read.

    That a partition is accepted or settled concerns only those who wait for it.
    """
    match given:
        case Run():
            return Run, given.task, given.domain
        case StandIn() | Recount():
            return type(given), given.task
        case Challenge():
            return given
        case Arbitrate() | StartReduce() | Finished():
            return type(given)
    return None


def _is_owed(given: Instruction, state: JobState) -> bool:
    match given:
        case Run():
            return _runs(given.domain, given, state)
        case StandIn():
            return _runs(COORDINATOR, given, state)
        case Challenge():
            return state.is_challenged(given)
        case Recount():
            return given.inputs == state.state(given.task).inputs and state.is_counted(given.task)
        case Arbitrate():
            return state.arbitrated is given
    return isinstance(given, StartReduce | Finished)


def _runs(executor: str, given: Run | StandIn, state: JobState) -> bool:
    task = state.state(given.task)
    return given.inputs == task.inputs and executor in task.running
