"""One job: events in, instructions out.

Rules that this state machine keeps:

* A partition is accepted when enough distinct, unexposed domains signed equal commitments.
* A divergence accuses nobody; `blame` says whom an arbitration may expose.
* What an exposed domain did is redone by others; what was agreed stays agreed meanwhile, since at
  least one of those who signed it was honest.
* Silence, failure and garbage make a domain suspected; its unanswered work goes to others.
* The reduce stage starts when every map root is accepted, and again if one of them is replaced.
* Every task is accepted, disputed or running somewhere, or the job is over.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

from dask_verify.core.seal import Commitment
from dask_verify.errors import DecodingError, SignatureError
from dask_verify.protocol import blame
from dask_verify.protocol.board import Divergence, Plan, TaskState
from dask_verify.protocol.docket import Docket
from dask_verify.protocol.domain import COORDINATOR, Domain
from dask_verify.protocol.messages import (
    MAP,
    REDUCE,
    Accepted,
    Arbitrate,
    Committed,
    Event,
    Failed,
    Finding,
    Finished,
    Instruction,
    Late,
    ServedWrong,
    Standing,
    StartReduce,
    StoodIn,
    Task,
    Unserved,
    Verdict,
)
from dask_verify.protocol.quorum import Claim, admit
from dask_verify.protocol.staffing import Crew

_FAILED = "its functions failed where those of others did not"
_SILENT = 2  #: unanswered tasks after which a domain loses all that it has not answered


class JobState:
    """The decisions of one job.

    Parameters
    ----------
    plan : Plan
        What the job consists of.

    Attributes
    ----------
    divergences : list of Divergence
    finished : Finished or None
    reduce_inputs : bytes
        Inputs of the reduce stage; empty before it starts.
    """

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.divergences: list[Divergence] = []
        self.finished: Finished | None = None
        self.reduce_inputs = b""
        self._domains: dict[str, Domain] = {d.name: d for d in plan.domains}
        self._crew = Crew(plan)
        self._tasks: dict[Task, TaskState] = {}
        self._open: dict[str, int] = {MAP: 0, REDUCE: 0}
        self._weak: set[Task] = set()
        self._docket = Docket()
        self._late: Counter[str] = Counter()
        self._out: list[Instruction] = []

    # --- what the carrier asks ---------------------------------------------------------------

    def start(self) -> list[Instruction]:
        """Return the first instructions."""
        for partition in range(self.plan.maps):
            self._add(Task(MAP, partition), self.plan.map_inputs(partition))
        self._maybe_reduce()
        return self._flush()

    def handle(self, event: Event) -> list[Instruction]:
        """Take one event; return what is to be done about it.

        After an answered verdict events still count for keeping the answer served; after any
        other verdict they do not.
        """
        if self.finished is None or self.finished.verdict.answered:
            self._dispatch(event)
            self._maybe_finish()
        return self._flush()

    def state(self, task: Task) -> TaskState:
        """Return what is known about a task."""
        return self._tasks[task]

    def tasks(self) -> list[TaskState]:
        """Return what is known about every task that has been assigned so far."""
        return list(self._tasks.values())

    def accepted(self, task: Task) -> Commitment | None:
        """Return the agreed commitment of a task (of any domain that signed it)."""
        state = self._tasks.get(task)
        claim = None if state is None else state.ballot.of(state.accepted)
        return None if claim is None else claim.commitment

    def holders(self, task: Task) -> list[str]:
        """Return who can serve an accepted task."""
        return self._tasks[task].holders(self.exposed)

    @property
    def standing(self) -> dict[str, Standing]:
        """How each domain stands."""
        return self._crew.standing

    @property
    def reasons(self) -> dict[str, str]:
        """Why domains are suspected."""
        return self._crew.reasons

    @property
    def exposed(self) -> frozenset[str]:
        """Domains that are proven to have signed something wrong."""
        return self._crew.exposed

    @property
    def progress(self) -> dict[str, tuple[int, int]]:
        """Accepted and total partitions by stage."""
        totals = {MAP: self.plan.maps, REDUCE: self.plan.reduces}
        started = {MAP: True, REDUCE: bool(self.reduce_inputs)}
        return {s: (totals[s] - self._open[s] if started[s] else 0, totals[s]) for s in totals}

    # --- events ------------------------------------------------------------------------------

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
            case Unserved():
                state.lost.add(event.domain)
                self._settle(event.task)
            case ServedWrong():
                self._served_wrong(event)

    def _heard(self, event: Event) -> bool:
        """Whether an event is about an executor that exists and still counts."""
        executor = getattr(event, "domain", COORDINATOR)
        if executor == COORDINATOR:
            return not isinstance(event, Committed | ServedWrong)
        return executor in self._domains and executor not in self.exposed

    def _committed(self, event: Committed, state: TaskState) -> None:
        domain = self._domains[event.domain]
        try:
            claim = admit(event.wire, event.task, self.plan.job, state.inputs, domain)
            self.plan.check_shape(claim.commitment)
        except (DecodingError, SignatureError) as error:
            # Anybody could have sent it, so it proves nothing: the task is merely unanswered.
            self._lost(event.task, state, event.domain, str(error))
            return
        self._claimed(event.task, state, claim)

    def _claimed(self, task: Task, state: TaskState, claim: Claim) -> None:
        """Count a claim; one that was asked for also says that its domain has the bytes."""
        unserved = state.accepted is not None and not state.holders(self.exposed)
        if state.answered(claim.domain) and state.accepted in (None, claim.digest):
            state.lost.discard(claim.domain)
        state.ballot.add(claim)
        if unserved and state.holders(self.exposed):
            self._out.append(Accepted(task))
        self._settle(task)

    def _failed(self, event: Failed, state: TaskState) -> None:
        """Note a failure; more than the faulty could have made up is the function's own."""
        if not state.answered(event.domain):
            return
        state.lost.add(event.domain)
        state.failures[event.domain] = event.text
        credible = set(state.failures) - self.exposed
        if state.accepted is not None:
            self._crew.suspect([event.domain], _FAILED)
        elif len(credible) > self.plan.policy.faults - len(self.exposed):
            self._finish(Verdict.INCONCLUSIVE, "error", event.text)
            return
        self._settle(event.task)

    def _lost(self, task: Task, state: TaskState, domain: str, reason: str) -> None:
        if domain not in state.running:
            return
        state.running.discard(domain)
        state.late.add(domain)
        self._crew.suspect([domain], f"{task.stage} partition {task.partition}: {reason}")
        self._settle(task)
        self._late[domain] += 1
        if self._late[domain] == _SILENT:
            self._relieve(domain)

    def _relieve(self, domain: str) -> None:
        """Give all that a silent domain has not answered to others; answers stay welcome."""
        for task, state in list(self._tasks.items()):
            if self.finished is None and self._tasks[task] is state:
                self._lost(task, state, domain, "given to others")

    def _served_wrong(self, event: ServedWrong) -> None:
        served = Finding(event.task, b"", "serve")
        self._note(served, [event.domain], (event.domain,), "opening")
        self._expose((event.domain,))

    # --- agreement ---------------------------------------------------------------------------

    def _settle(self, task: Task) -> None:
        """Accept, dispute, staff or keep a task, whichever the claims on it ask for."""
        state = self._tasks[task]
        winners = state.ballot.winners(self.exposed, self._crew.quorum)
        if state.accepted is None and len(winners) == 1:
            self._accept(task, state, winners[0])
        if not state.disputed and not self.finished and self._contested(state):
            self._docket.add(task, state)
            self._next_dispute()
        elif state.accepted is not None:
            self._keep(task, state)
        elif not state.disputed:
            self._staff(task, state)

    def _contested(self, state: TaskState) -> tuple[bytes, bytes] | None:
        return state.contested(self.exposed, self.plan.policy.referee == "coordinator")

    def _accept(self, task: Task, state: TaskState, winner: bytes) -> None:
        state.accepted = winner
        self._open[task.stage] -= 1
        self._out.append(Accepted(task))
        self._crew.suspect(state.failures, _FAILED)
        if task.stage == MAP:
            self._maybe_reduce()

    def _maybe_reduce(self) -> None:
        """Start the reduce stage, or start it again if a map root was replaced."""
        if self._open[MAP]:
            return
        maps = (self._tasks[Task(MAP, i)].accepted or b"" for i in range(self.plan.maps))
        inputs = self.plan.reduce_inputs(maps)
        if inputs == self.reduce_inputs:
            return
        self.reduce_inputs = inputs
        self._open[REDUCE] = 0
        self._out.append(StartReduce(inputs))
        for partition in range(self.plan.reduces):
            self._add(Task(REDUCE, partition), inputs)

    # --- staffing ----------------------------------------------------------------------------

    def _add(self, task: Task, inputs: bytes) -> None:
        """Assign a task to as many trusted domains as the policy names, and to what it needs."""
        state = self._tasks[task] = TaskState(inputs)
        self._weak.discard(task)
        self._open[task.stage] += 1
        self._out += self._crew.strengthen(task, state, self.plan.policy.replicas)
        self._staff(task, state)

    def _staff(self, task: Task, state: TaskState) -> None:
        self._out += self._crew.staff(task, state)
        if not state.running:
            self._stuck(task, state)

    def _keep(self, task: Task, state: TaskState) -> None:
        """See that an accepted partition has a holder, and signatures in place of exposed ones."""
        if not state.running and not state.holders(self.exposed):
            self._out += self._crew.restore(task, state)
            if not state.running:
                self._finish(Verdict.INCONCLUSIVE, "unserved")
        if self.finished is None and not state.disputed:
            self._out += self._crew.strengthen(task, state, self._crew.quorum)
        weak = state.votes(self.exposed) < self._crew.quorum and bool(state.running)
        (self._weak.add if weak else self._weak.discard)(task)

    def _stuck(self, task: Task, state: TaskState) -> None:
        """End the job: nobody is left who could add to what is known about a task."""
        cause = blame.deadlock(state, self.plan, self.exposed)
        if cause == "nondeterministic":
            self._nondeterministic(task)
        else:
            self._finish(Verdict.INCONCLUSIVE, cause, next(iter(state.failures.values()), ""))

    # --- divergence --------------------------------------------------------------------------

    def _next_dispute(self) -> None:
        """Arbitrate the next divergence, unless it has settled itself by then."""
        while self.finished is None and (entry := self._docket.next(self._tasks)):
            task, state = entry
            pair = self._contested(state)
            if pair is None:
                state.disputed = False
                sides = state.ballot.domains()
                culprits = tuple(d for d in sides if d in self.exposed)
                here = Finding(task, state.inputs, task.stage)
                self._note(here, sides, culprits, "exposed elsewhere")
                self._settle(task)
                continue
            outvoted = blame.outvoted(state, self.plan, self.exposed)
            decided = any(d in outvoted for d in state.ballot.claimants(pair[1:]))
            referee = self.plan.policy.referee == "coordinator" and not state.voting
            faults = self.plan.policy.faults - len(self.exposed)
            vouched = state.vouched(pair[0], self.exposed, faults)
            arbitrate = Arbitrate(task, state.inputs, *pair, referee and not decided, vouched)
            self._docket.open(arbitrate, state)
            self._out.append(arbitrate)

    def _found(self, finding: Finding) -> None:
        entry = self._docket.close(finding)
        if entry is None:
            return
        asked, state = entry
        if self._tasks[asked.task] is state:
            self._judge(asked, finding, state)
        self._next_dispute()

    def _judge(self, asked: Arbitrate, finding: Finding, state: TaskState) -> None:
        """Carry out what the rules for blame make of a finding."""
        ruling = blame.rule(finding, state, self.plan, self.exposed)
        sides = state.ballot.domains(self.exposed)
        self._note(finding, sides, ruling.culprits, ruling.settled)
        if ruling.nondeterministic:
            self._nondeterministic(asked.task)
            return
        state.voting = state.voting or ruling.voting
        self._crew.suspect(ruling.suspects, ruling.settled)
        self._expose(ruling.culprits)
        if not ruling.culprits and state.accepted is not None:
            state.blameless |= {asked.one, asked.other} - {state.accepted}
        if self.finished is None:
            self._settle(asked.task)

    def _expose(self, culprits: tuple[str, ...]) -> None:
        self._crew.expose(culprits)
        if len(self.exposed) > self.plan.policy.faults:
            self._finish(Verdict.INCONCLUSIVE, "faults")
        elif culprits:
            self._review(set(culprits))

    def _review(self, culprits: set[str]) -> None:
        """Take exposed domains out of every task; what they did is redone by others."""
        for task, state in list(self._tasks.items()):
            involved = culprits & {*state.tried, *state.ballot.domains()}
            if not involved or self._tasks[task] is not state:
                continue
            state.running -= culprits
            state.late -= culprits
            # Only with a quorum of one, where nothing is verified, can the last signer be exposed.
            if state.accepted and self.exposed.issuperset(state.ballot.claimants([state.accepted])):
                state.accepted = None
                self._open[task.stage] += 1
            if self.finished is None or self.finished.verdict.answered:
                self._settle(task)

    # --- records and the end -----------------------------------------------------------------

    def _note(
        self, finding: Finding, sides: list[str], culprits: tuple[str, ...], settled: str
    ) -> None:
        what = (*finding.task, finding.units, tuple(sides), culprits, finding.cause, settled)
        self.divergences.append(Divergence(*what, finding.sample))

    def _nondeterministic(self, task: Task) -> None:
        """End the job with nobody exposed: earlier blame rested on determinism too."""
        self._crew.acquit()
        self.divergences = [d.without_blame() for d in self.divergences]
        where = f"{task.stage} partition {task.partition}"
        self._finish(Verdict.NONDETERMINISTIC, "nondeterministic", where)

    def _maybe_finish(self) -> None:
        """Give the verdict once every partition is accepted and nothing is being checked."""
        if self.finished is None:
            busy = self._weak or not self._docket.idle or self._open[MAP] or self._open[REDUCE]
            if not busy and self.plan.policy.replicas == 1:
                self._finish(Verdict.INCONCLUSIVE, "unchecked")
            elif not busy:
                self._finish(Verdict.CORRECTED if self.divergences else Verdict.AGREED, "")
        elif self.divergences and self.finished.verdict is Verdict.AGREED:
            self.finished = replace(self.finished, verdict=Verdict.CORRECTED)

    def _finish(self, verdict: Verdict, cause: str, text: str = "") -> None:
        """End the job; an answer that can be served no more is withdrawn."""
        if self.finished is None or (self.finished.verdict.answered and not verdict.answered):
            self.finished = Finished(verdict, cause, text)
            self._out.append(self.finished)

    def _flush(self) -> list[Instruction]:
        out, self._out = self._out, []
        if self.finished is not None and not self.finished.verdict.answered:
            return [instruction for instruction in out if isinstance(instruction, Finished)]
        return out
