"""A job with audits that is fed by hand: challenges are found in its log and answered."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from script import M0, Script

from dask_verify.core.seal import SealedPartition
from dask_verify.protocol.domain import COORDINATOR
from dask_verify.protocol.messages import (
    READ,
    Audited,
    Challenge,
    Task,
)
from dask_verify.testing.simulation.auditing import signed, true_answer
from dask_verify.testing.simulation.enrolment import identity, make_plan
from dask_verify.testing.simulation.partitions import PLAIN, Flavour, hashed, partition


class Challenged(Script):
    """A job whose one map partition has a unit challenged, and its reading."""

    def __init__(self, *names: str, **options: Any) -> None:
        defaults = {"maps": 1, "reduces": 1, "replicas": 1, "audit": 1e-9, "unit_records": 1}
        super().__init__(plan=make_plan(*names, **(defaults | options)))
        self.sources: list[Any] = []
        self.by_root: dict[bytes, SealedPartition] = {}

    def flavour(self, task: Task, domain: str) -> Flavour:
        return PLAIN

    def challenges(self, task: Task = M0) -> list[Challenge]:
        return [i for i in self.log if isinstance(i, Challenge) and i.task == task]

    @property
    def units(self) -> Challenge:
        return next(c for c in reversed(self.challenges()) if c.kind != READ)

    @property
    def read(self) -> Challenge:
        return next(c for c in reversed(self.challenges()) if c.kind == READ)

    def audited(self, challenge: Challenge, by: str = "", **changes: Any) -> Audited:
        """An honest answer with some of its fields, or those of the event, changed."""
        own, at = partition(self.plan, challenge.task), challenge.units
        inputs = tuple(own.inputs[unit] for unit in at)
        answer = true_answer(self, challenge, inputs)
        columns = (hashed(own.leaves[unit :: own.units]) for unit in at)
        event = {"expected": tuple(h for c in columns for h in c), "questions": answer.questions}
        event |= {name: changes.pop(name) for name in list(changes) if name in event}
        answer = replace(answer, **changes)
        payload = answer.to_bytes()
        who = by or challenge.domain
        wire = payload if who == COORDINATOR else signed(identity(who), answer)
        return Audited(challenge, wire, **event)

    def outcomes(self) -> list[str]:
        return [check.outcome for check in self.job.audits.made]


def challenged(*names: str, **options: Any) -> Challenged:
    script = Challenged(*(names or ("a", "b", "c")), **options)
    script.says(M0, "a")
    return script
