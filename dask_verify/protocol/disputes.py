"""Disputes: what is arbitrated, what follows from it, and who is out from then on.

* A divergence accuses nobody; `blame` says whom an arbitration may expose.
* What an exposed domain did is redone by others; what was agreed stays agreed meanwhile, since at
  least one of those who signed it was honest.
"""

from __future__ import annotations

from dask_verify.protocol import blame
from dask_verify.protocol.agreement import UNLIKE, Agreement
from dask_verify.protocol.answers import signed_parts
from dask_verify.protocol.board import TaskState
from dask_verify.protocol.domain import COORDINATOR
from dask_verify.protocol.messages import (
    MAP,
    Arbitrate,
    Finding,
    Objection,
    Recounted,
    Task,
    Verdict,
)


class Disputes(Agreement):
    """What happens where claims, answers or counts contradict each other."""

    def _dispute(self, task: Task, state: TaskState) -> bool:
        """Have a task arbitrated if claims or answers contradict each other; False if none do."""
        self._pass_over(task, state)
        if self._contested(state) is None and self._objected(state) is None:
            return False
        self._doubt(task, state)
        if self._contested(state) is None and self._objected(state) is None:
            return False  # withdrawn: votes decide, once there are enough
        self._docket.add(task, state)
        self._next_dispute()
        return True

    def _compare(self, task: Task, state: TaskState) -> bool:
        """Have claims compared that votes cannot decide on, once: the source may explain them."""
        if task.stage != MAP or state.compared is not None or self.finished is not None:
            return False
        state.compared = True
        return self._dispute(task, state)

    def _hear(self, task: Task, state: TaskState) -> bool:
        """Have a task arbitrated after all that the often spared say otherwise, once."""
        if self._ignored(state) == self.exposed or self.finished is not None:
            return False
        state.compared = True
        if self._dispute(task, state):
            return True
        state.compared = None
        return False

    def _pass_over(self, task: Task, state: TaskState) -> None:
        """Note what the often spared signed otherwise, where the votes of others decide."""
        ignored = self._ignored(state)
        if state.accepted is None or ignored == self.exposed:
            return
        for digest in dict.fromkeys(c.digest for c in state.ballot.live(self.exposed)):
            signers = state.ballot.claimants([digest])
            if digest == state.accepted or digest in state.blameless or {*signers} - ignored:
                continue
            state.blameless.add(digest)
            # Not before: where the referee is the odd one out, it contradicts whoever is right.
            self._crew.suspect(signers, UNLIKE)
            sides = [*state.ballot.claimants([state.accepted]), *signers]
            here = Finding(task, state.inputs, task.stage)
            self.minutes.diverged(here, sides, (), "withheld: contradicted in vain before", state)

    def _next_dispute(self) -> None:
        """Arbitrate the next divergence, unless it has settled itself by then."""
        while self.finished is None and (entry := self._docket.next(self._tasks)):
            task, state = entry
            pair, objection = self._contested(state), self._objected(state)
            if pair is None and objection is None:
                state.disputed = False
                objectors = [objection.answer.domain for objection in state.objections]
                sides = list(dict.fromkeys([*state.ballot.domains(), *objectors]))
                culprits = tuple(d for d in sides if d in self.exposed)
                if culprits or self._ignored(state) == self.exposed:
                    here = Finding(task, state.inputs, task.stage)
                    self.minutes.diverged(here, sides, culprits, "exposed elsewhere", state)
                self._settle(task)
                continue
            question = self._question(task, state, pair, objection)
            state.compared = False if state.compared else state.compared
            self._out.append(self._docket.open(question, state))

    def _question(
        self,
        task: Task,
        state: TaskState,
        pair: tuple[bytes, bytes] | None,
        objection: Objection | None,
    ) -> Arbitrate:
        """Return what the referee is asked: about two claims first, then about an objection."""
        one, other = pair or (objection.digest if objection else b"", b"")
        outvoted = blame.outvoted(state, self.plan, self.exposed)
        decided = any(d in outvoted for d in state.ballot.claimants([other]))
        referee = self.plan.policy.referee == "coordinator" and not state.voting
        vouched = state.vouched(one, self.exposed, self.plan.policy.faults - len(self.exposed))
        return Arbitrate(
            task,
            state.inputs,
            one,
            other,
            referee and not decided,
            vouched,
            objection=None if pair else objection,
            answers=tuple(signed_parts(wire)[0] for wire in state.wires),
        )

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
        if asked.objection is not None:
            sides = [*state.ballot.claimants([asked.one]), asked.objection.answer.domain]
            state.objections.remove(asked.objection)
        self.minutes.diverged(finding, sides, ruling.culprits, ruling.settled, state)
        if ruling.nondeterministic:
            self._nondeterministic(asked.task)
            return
        state.voting = state.voting or ruling.voting
        self._crew.suspect(ruling.suspects, ruling.settled)
        self._spare(ruling.spared)
        self._expose(ruling.culprits)
        if not ruling.culprits and state.accepted is not None:
            state.blameless |= {asked.one, asked.other} - {state.accepted}
        if self.finished is None:
            self._settle(asked.task)

    def _spare(self, domains: tuple[str, ...]) -> None:
        """Count how often the referee has contradicted domains that it may not blame."""
        self._spared.update(name for name in domains if name in self._domains)

    def _outvote(self, task: Task, state: TaskState) -> None:
        """Let votes settle the objections that no referee decides, once there are enough."""
        if not state.objections or self._objected(state) is not None or state.disputed:
            return
        if state.votes(self.exposed) <= self.plan.policy.faults:
            return
        culprits = tuple(blame.overruled(state, self.plan, self.exposed))
        settled = blame.by_votes(culprits).settled
        for objection in state.objections:
            auditor = objection.answer.domain
            signers = state.ballot.claimants([objection.digest])
            if auditor in self.exposed or self.exposed.issuperset(signers):
                continue  # whoever lied is out already: nothing is left to be settled
            sides = [*signers, auditor]
            units = () if objection.unit is None else (objection.unit,)
            here = Finding(task, state.inputs, objection.answer.stage, units)
            blamed = tuple(d for d in culprits if d == auditor)
            self.minutes.diverged(here, sides, blamed, settled, state)
        state.objections.clear()
        self._expose(culprits)

    def _recounted(self, event: Recounted, state: TaskState) -> None:
        """Expose whoever signed a number of records that its own cells do not have."""
        if event.task not in self._recounts:
            return
        if [self._tasks[Task(MAP, i)].accepted for i in range(self.plan.maps)] != self._sources:
            # A map is being replaced: nobody knows whose cells were counted.
            self._uncounted.add(event.task)
            return
        self._recounts.discard(event.task)
        wrong = [Task(MAP, i) for i in event.maps]
        claim = state.ballot.of(state.accepted)
        if claim is not None and claim.commitment.records_in != event.consumed:
            wrong.append(event.task)
        culprits: dict[str, None] = {}
        for task in wrong:
            signed = self._tasks[task]
            sides = signed.ballot.claimants([signed.accepted or b""])
            here = Finding(task, signed.inputs, task.stage)
            named = tuple(d for d in sides if d not in {COORDINATOR, *self.exposed})
            self.minutes.diverged(here, sides, named, "counts", signed)
            culprits |= dict.fromkeys(named)
        self._expose(tuple(culprits))

    def _expose(self, culprits: tuple[str, ...]) -> None:
        self._crew.expose(culprits)
        if len(self.exposed) > self.plan.policy.faults:
            self._finish(Verdict.INCONCLUSIVE, "faults")
        elif culprits:
            self._review(set(culprits))

    def _review(self, culprits: set[str]) -> None:
        """Take exposed domains out of every task; what they did is redone by others."""
        reopened = self._reopened(culprits)
        for task, state in list(self._tasks.items()):
            auditors = (check.auditor for check in state.checks)
            involved = culprits & {*state.tried, *state.ballot.domains(), *auditors}
            if not (involved or task in reopened) or self._tasks[task] is not state:
                continue
            state.running -= culprits
            state.late -= culprits
            # With a verdict the seed is known: nothing can be sampled any more.
            state.doubted = state.doubted or self.finished is not None
            # Only with a quorum of one can the last signer be exposed.
            if state.accepted and self.exposed.issuperset(state.ballot.claimants([state.accepted])):
                self._withdraw(task, state)
            if self.finished is None or self.finished.verdict.answered:
                self._settle(task)

    def _reopened(self, culprits: set[str]) -> set[Task]:
        """Take back that exposed auditors passed something; return where."""
        reopened = set()
        for task, check in self.audits.passed_by(culprits):
            state = self._tasks[task]
            same = (state.inputs, state.accepted) == (check.inputs, check.digest)
            if same and not state.doubted:
                reopened.add(task)
                if self.finished is None and self.audits.decided_by_quorum(check):
                    self._doubt(task, state)
                elif self.finished is None:
                    self.audits.reopen(task, state, check)
                    self._held.add(task)
        return reopened
