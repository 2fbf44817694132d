"""Challenges: who is asked, and what follows from an answer, a refusal or a silence."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable

from dask_verify.core.seal import answer_digest
from dask_verify.errors import DecodingError, SignatureError
from dask_verify.protocol import answers
from dask_verify.protocol.audit import UNITS, Check
from dask_verify.protocol.board import TaskState
from dask_verify.protocol.disputes import Disputes
from dask_verify.protocol.domain import COORDINATOR
from dask_verify.protocol.messages import (
    READ,
    Asked,
    Audited,
    Challenge,
    Run,
    Task,
    Unaudited,
    Unopened,
    Verdict,
)
from dask_verify.protocol.serving import unwrap


class Challenges(Disputes):
    """What happens to what is challenged."""

    @abstractmethod
    def _silent(self, task: Task, domain: str, reason: str) -> None:
        """Suspect a domain; after some silences, it loses all that it has not answered."""

    def is_challenged(self, challenge: Challenge) -> bool:
        """Whether an answer to a challenge is still awaited.

        Parameters
        ----------
        challenge : Challenge
            The challenge.

        Returns
        -------
        bool
        """
        state = self._tasks.get(challenge.task)
        if self.finished is not None or state is None or state.inputs != challenge.inputs:
            return False
        return self.audits.check_of(challenge, state) is not None

    def _checked(self, event: Audited | Unopened | Unaudited, state: TaskState) -> None:
        """Take what became of a challenge, if it is still asked."""
        task, check = event.task, self.audits.check_of(event.challenge, state)
        if check is None:
            return
        match event:
            case Audited():
                self._answered(event, state, check)
            case Unopened(Challenge(kind=kind, holder=holder)) if kind == UNITS:
                # Silence proves nothing: the partition is produced again by others.
                state.lost.add(holder)
                if self.audits.decided_by_quorum(check):
                    self._fail(task, state, [check], "unopened")
                else:
                    self.audits.unopened(task, state, check)
                self._silent(task, holder, "did not open what was challenged")
            case Unaudited(failed=True) if self.plan.policy.replicas == 1:
                state.unable.append((check.auditor, check.digest))
                self._fail(task, state, [check], "failed")
                self._settle(task)
            case Unaudited():
                check.tried.append(check.auditor)
                auditor, check.auditor = check.auditor, ""
                self._silent(task, auditor, f"audit: {event.reason}")

    def _answered(self, event: Audited, state: TaskState, check: Check) -> None:
        task, claim = event.task, state.ballot.of(check.digest)
        try:
            answer = answers.admit(event, self.plan.job, self._domains)
        except (DecodingError, SignatureError) as error:
            self._checked(Unaudited(event.challenge, str(error)), state)
            return
        if claim is None:
            return
        state.wires.append(event.wire)
        if answer.domain != COORDINATOR:
            payload, check.signature = unwrap(event.wire)
            check.said = answer_digest(payload)
        objection = answers.objection(event, answer, claim.commitment)
        outcome = "contradicted" if objection else "agreed"
        what = (answer.domain, check.units, check.digest, answer.stage, state.inputs)
        self.minutes.write("audited", task, *what)
        if objection is None:
            self.audits.close(task, state, check, outcome)
        else:
            state.objections.append(objection)
            self._fail(task, state, [check], outcome)
        self._settle(task)

    def _fail(self, task: Task, state: TaskState, checks: Iterable[Check], outcome: str) -> None:
        """Close checks that a commitment did not pass."""
        for check in checks:
            self.audits.close(task, state, check, outcome)
        self._doubt(task, state)

    def _pursue(self, task: Task, state: TaskState) -> None:
        """See that every challenge of an accepted partition has an auditor, until all are met."""
        if state.checks and self.finished is None:
            asked = self.audits.pursue(task, state)
            if asked is None:
                self._unaudited(task, state)
                return
            for instruction in asked:
                self._challenged(instruction, state)
        if task in self._held and not self.audits.pending(task):
            self._held.discard(task)
            self._released(task)

    def _unaudited(self, task: Task, state: TaskState) -> None:
        """Have a full quorum decide where nobody may be asked any more; or end the job."""
        if not any(map(self.audits.decided_by_quorum, state.checks)):
            self._finish(Verdict.INCONCLUSIVE, "unaudited")
            return
        self._fail(task, state, list(state.checks), "moot")
        self._settle(task)

    def _challenged(self, instruction: Asked, state: TaskState) -> None:
        self._out.append(instruction)
        auditor, stage = COORDINATOR, ""
        units: tuple[int, ...] = ()
        match instruction:
            case Challenge():
                auditor, units = instruction.domain, instruction.units
                stage = READ if instruction.kind == READ else ""
            case Run():
                auditor = instruction.domain
        what = (auditor, units, state.accepted, stage, state.inputs)
        self.minutes.write("challenged", instruction.task, *what)
