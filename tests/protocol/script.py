"""A job that is fed by hand, event by event."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from dask_verify.protocol.board import Plan
from dask_verify.protocol.domain import COORDINATOR
from dask_verify.protocol.job import JobState
from dask_verify.protocol.messages import (
    MAP,
    REDUCE,
    Committed,
    Event,
    Failed,
    Finding,
    Instruction,
    Late,
    Run,
    StoodIn,
    Task,
    Verdict,
)
from dask_verify.protocol.quorum import sign
from dask_verify.testing.simulation.enrolment import identity, make_plan
from dask_verify.testing.simulation.partitions import commit

M0, M1, R0 = Task(MAP, 0), Task(MAP, 1), Task(REDUCE, 0)


class Script:
    """A job fed by hand."""

    def __init__(self, *names: str, plan: Plan | None = None, **options: Any) -> None:
        self.plan = plan or make_plan(*names, **({"maps": 1, "reduces": 1} | options))
        self.job = JobState(self.plan)
        self.log = self.job.start()
        self.fed: list[Event] = []

    def feed(self, event: Event) -> list[Instruction]:
        self.fed.append(event)
        got = self.job.handle(event)
        self.log += got
        return got

    def inputs(self, task: Task) -> bytes:
        return self.job.state(task).inputs

    def commitment(self, task: Task, domain: str, salt: str = "", lie: str = "") -> Any:
        return commit(self.plan, task, domain, self.inputs(task), salt, lie)

    def says(self, task: Task, who: str, salt: str = "", **changes: Any) -> list[Instruction]:
        claim = replace(self.commitment(task, who, salt), **changes)
        return self.wire(task, who, sign(identity(who), claim))

    def wire(self, task: Task, domain: str, wire: bytes) -> list[Instruction]:
        return self.feed(Committed(task, domain, self.inputs(task), wire))

    def late(self, task: Task, domain: str) -> list[Instruction]:
        return self.feed(Late(task, domain, self.inputs(task), "late"))

    def fails(self, task: Task, domain: str) -> list[Instruction]:
        return self.feed(Failed(task, domain, self.inputs(task), f"{domain} raised"))

    def stood_in(self, task: Task, salt: str = "") -> list[Instruction]:
        own = self.commitment(task, COORDINATOR, salt)
        return self.feed(StoodIn(task, self.inputs(task), own.to_bytes()))

    def found(self, task: Task, *salts: str, **changes: Any) -> list[Instruction]:
        """The referee's finding: claims with these salts are wrong."""
        wrong = frozenset(self.commitment(task, "x", salt).digest for salt in salts)
        given = {"wrong": wrong, "number": self.question} | changes
        return self.feed(Finding(task, self.inputs(task), task.stage, **given))

    @property
    def question(self) -> int:
        """Number of what is arbitrated now; 0 if nothing is."""
        asked = self.job.arbitrated
        return 0 if asked is None else asked.number

    def expose(self, name: str) -> list[Instruction]:
        """Expose a domain for something that it did elsewhere."""
        self.job._expose((name,))
        got = self.job._flush()
        self.log += got
        return got

    def agree(self, task: Task, *names: str) -> None:
        for name in names:
            self.says(task, name)

    @property
    def ended(self) -> tuple[Verdict, str] | None:
        done = self.job.finished
        return None if done is None else (done.verdict, done.cause)


def runs(instructions: list[Instruction]) -> list[tuple[Task, str]]:
    return [(i.task, i.domain) for i in instructions if isinstance(i, Run)]


def kinds(instructions: list[Instruction]) -> list[type]:
    return [type(i) for i in instructions]


def diverged(*names: str, **options: Any) -> Script:
    script = Script(*names, **options)
    script.says(M0, "a")
    script.says(M0, "b", "lie")
    return script
