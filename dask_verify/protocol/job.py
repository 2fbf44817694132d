"""One job: events in, instructions out.

Rules that this state machine keeps:

* What agrees, what diverges and what is challenged is decided below: `agreement`, `disputes` and
  `challenges`.
* Silence, failure and garbage make a domain suspected; its unanswered work goes to others.
"""

from __future__ import annotations

from dask_verify.core.seal import Commitment
from dask_verify.errors import DecodingError, SignatureError
from dask_verify.protocol.agreement import FAILED
from dask_verify.protocol.audit import WHOLE
from dask_verify.protocol.board import TaskState
from dask_verify.protocol.challenges import Challenges
from dask_verify.protocol.domain import COORDINATOR
from dask_verify.protocol.messages import (
    REDUCE,
    Accepted,
    Audited,
    Committed,
    Event,
    Failed,
    Finding,
    Instruction,
    Late,
    Recounted,
    ServedWrong,
    StoodIn,
    Task,
    Unaudited,
    Unopened,
    Unserved,
)
from dask_verify.protocol.quorum import Claim, admit

_SILENT = 2  #: unanswered tasks after which a domain loses all that it has not answered


class JobState(Challenges):
    """The decisions of one job; see `Agreement` for its parameters and attributes.

    Parameters
    ----------
    plan : Plan
        What the job consists of.
    """

    def handle(self, event: Event) -> list[Instruction]:
        """Take one event; return what is to be done about it.

        After an answered verdict events still count for keeping the answer served; after any
        other verdict they do not.

        Parameters
        ----------
        event : Event
            What happened.

        Returns
        -------
        list of Instruction
        """
        if self.finished is None or self.finished.verdict.answered:
            self._dispatch(event)
            self._maybe_finish()
        return self._flush()

    def _dispatch(self, event: Event) -> None:
        """Pass an event on, unless it is about other inputs or from somebody who counts no more."""
        if isinstance(event, Finding):
            self._found(event)
            return
        state = self._tasks.get(event.task)
        inputs = getattr(event, "inputs", None)
        if state is None or inputs not in (None, state.inputs) or not self._heard(event):
            return
        match event:
            case Committed():
                self._committed(event, state)
            case StoodIn():
                own = Claim(COORDINATOR, Commitment.from_bytes(event.commitment))
                self._claimed(event.task, state, own)
            case Failed():
                self._failed(event, state)
            case Late():
                self._lost(event.task, state, event.domain, event.reason)
            case Unserved() if event.digest in (b"", state.accepted):
                state.lost.add(event.domain)
                self._settle(event.task)
            case ServedWrong():
                self._served_wrong(event, state)
            case Audited() | Unopened() | Unaudited():
                self._checked(event, state)
            case Recounted():
                self._recounted(event, state)
        if state.accepted is not None:
            state.shed()

    def _heard(self, event: Event) -> bool:
        """Whether an event is about an executor that exists and still counts."""
        asked = getattr(event, "challenge", event)
        executor = getattr(asked, "domain", COORDINATOR)
        if executor == COORDINATOR:
            return not isinstance(event, Committed | ServedWrong)
        return executor in self._domains and executor not in self.exposed

    def _committed(self, event: Committed, state: TaskState) -> None:
        try:
            claim = self._admitted(event, state.inputs)
            self.plan.check_shape(claim.commitment)
        except (DecodingError, SignatureError) as error:
            # Anybody could have sent it, so it proves nothing: the task is merely unanswered.
            self._lost(event.task, state, event.domain, str(error))
            return
        self._claimed(event.task, state, claim)

    def _admitted(self, event: Committed, inputs: bytes) -> Claim:
        """Return the claim that was sent; its domain signed it, for this task and these inputs."""
        domain = self._domains[event.domain]
        return admit(event.wire, event.task, self.plan.job, inputs, domain)

    def _claimed(self, task: Task, state: TaskState, claim: Claim) -> None:
        """Count a claim; one that was asked for also says that its domain has the bytes."""
        unserved = state.accepted is not None and not state.holders(self.exposed)
        if state.answered(claim.domain) and state.accepted in (None, claim.digest):
            state.lost.discard(claim.domain)
        if state.ballot.add(claim):
            said = state.ballot.claims[-1].digest
            self.minutes.write("committed", task, claim.domain, digest=said, inputs=state.inputs)
        if unserved and state.holders(self.exposed):
            self._out.append(Accepted(task))
        self._settle(task)

    def _failed(self, event: Failed, state: TaskState) -> None:
        """Note a failure; more than the faulty could have made up is the function's own."""
        if not state.answered(event.domain):
            return
        state.lost.add(event.domain)
        state.failures[event.domain] = event.text
        if self.plan.policy.replicas == 1:
            made = [c for c in state.checks if (c.kind, c.auditor) == (WHOLE, event.domain)]
            if made:
                self._fail(event.task, state, made, "failed")
        if state.accepted is not None:
            self._crew.suspect([event.domain], FAILED, event.task.stage == REDUCE)
        elif self._failing(event.task, state):
            return
        self._settle(event.task)

    def _lost(self, task: Task, state: TaskState, domain: str, reason: str) -> None:
        if domain not in state.running:
            return
        state.running.discard(domain)
        state.late.add(domain)
        self._silent(task, domain, reason)

    def _silent(self, task: Task, domain: str, reason: str) -> None:
        """Suspect a domain; after some silences, it loses all that it has not answered."""
        where = f"{task.stage} partition {task.partition}"
        self._crew.suspect([domain], f"{where}: {reason}", task.stage == REDUCE)
        self._settle(task)
        self._late[domain, task.stage] += 1
        if self._late[domain, task.stage] == _SILENT:
            self._relieve(domain, task.stage)

    def _relieve(self, domain: str, stage: str) -> None:
        """Give all of a stage that a silent domain has not answered to others.

        Its answers stay welcome. Whoever hangs on what a liar emitted still makes maps sure.
        """
        for task, state in list(self._tasks.items()):
            if task.stage == stage and self.finished is None and self._tasks[task] is state:
                self._lost(task, state, domain, "given to others")

    def _served_wrong(self, event: ServedWrong, state: TaskState) -> None:
        if event.domain not in state.ballot.domains():
            return  # it has signed nothing of what is asked now: the receipt could not show it
        served = Finding(event.task, b"", "serve")
        who = (event.domain,)
        self.minutes.diverged(served, who, who, "opening", state, opening=event.evidence)
        self._expose((event.domain,))
