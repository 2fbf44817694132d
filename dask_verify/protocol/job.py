"""One job: events in, instructions out.

Rules that this state machine keeps:

* A partition is accepted when enough distinct, unexposed domains signed equal commitments.
* A divergence accuses nobody. A domain is exposed only if the coordinator's stable recomputation
  contradicts what it signed, or ``faults + 1`` others in the same environment signed the contrary.
* A referee that contradicts itself, or more than ``faults`` domains, has found non-determinism:
  the job ends and nobody is exposed.
* Silence, failure and garbage make a domain suspected; its unanswered work goes to others.
* The reduce stage starts when every map root is accepted, and again if one of them is replaced.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

from dask_verify.core.seal import Commitment
from dask_verify.errors import DecodingError, SignatureError
from dask_verify.protocol.board import Divergence, Plan, TaskState, required, same_environment
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
    Run,
    ServedWrong,
    Standing,
    StandIn,
    StartReduce,
    StoodIn,
    Task,
    Unserved,
    Verdict,
)
from dask_verify.protocol.quorum import Claim, admit, honest_disagree

_ATTEMPTS = 2  #: times that one domain is asked for the same partition when its store was lost


class JobState:
    """The decisions of one job.

    Parameters
    ----------
    plan : Plan
        What the job consists of.

    Attributes
    ----------
    standing : dict of str to Standing
    divergences : list of Divergence
    finished : Finished or None
    """

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.standing = {d.name: Standing.TRUSTED for d in plan.domains}
        self.divergences: list[Divergence] = []
        self.finished: Finished | None = None
        self.reduce_inputs = b""
        self._domains: dict[str, Domain] = {d.name: d for d in plan.domains}
        self._tasks: dict[Task, TaskState] = {}
        self._open: dict[str, int] = {MAP: 0, REDUCE: 0}
        self._queue: deque[Task] = deque()
        self._arbitrating: Task | None = None
        self._out: list[Instruction] = []

    # --- what the carrier asks ---------------------------------------------------------------

    def start(self) -> list[Instruction]:
        """Return the first instructions."""
        for partition in range(self.plan.maps):
            self._add(Task(MAP, partition), self.plan.map_inputs(partition))
        self._maybe_reduce()
        return self._flush()

    def handle(self, event: Event) -> list[Instruction]:
        """Take one event; return what is to be done about it."""
        if self.finished is None or (self.finished.verdict.answered and not _settled(event)):
            self._dispatch(event)
            self._maybe_finish()
        return self._flush()

    def state(self, task: Task) -> TaskState:
        """What is known about a task."""
        return self._tasks[task]

    def tasks(self) -> list[TaskState]:
        """Return what is known about every task that has been assigned so far."""
        return list(self._tasks.values())

    def accepted(self, task: Task) -> Commitment | None:
        """Return the agreed commitment of a task (of any domain that signed it)."""
        state = self._tasks.get(task)
        if state is None or state.accepted is None:
            return None
        claim = state.ballot.of(state.accepted)
        return None if claim is None else claim.commitment

    def holders(self, task: Task) -> list[str]:
        """Return who can serve an accepted task."""
        return self._tasks[task].holders(self.exposed)

    @property
    def exposed(self) -> frozenset[str]:
        """Domains that are proven to have signed something wrong."""
        return frozenset(d for d, s in self.standing.items() if s is Standing.EXPOSED)

    @property
    def progress(self) -> dict[str, tuple[int, int]]:
        """Accepted and total partitions by stage."""
        totals = {MAP: self.plan.maps, REDUCE: self.plan.reduces}
        started = {MAP: True, REDUCE: bool(self.reduce_inputs)}
        return {s: (totals[s] - self._open[s] if started[s] else 0, totals[s]) for s in totals}

    # --- events ------------------------------------------------------------------------------

    def _dispatch(self, event: Event) -> None:
        state = self._tasks.get(event.task)
        inputs = getattr(event, "inputs", None)
        stale = state is None or (inputs is not None and inputs != state.inputs)
        if isinstance(event, Finding):
            self._found(event, stale)
        elif stale or state is None:
            return
        elif isinstance(event, Committed):
            self._committed(event, state)
        elif isinstance(event, StoodIn):
            commitment = Commitment.from_bytes(event.commitment)
            self._claimed(event.task, state, Claim(COORDINATOR, commitment))
        elif isinstance(event, Failed):
            self._failed(event, state)
        elif isinstance(event, Late):
            self._lost(event.task, state, event.domain)
        elif isinstance(event, Unserved):
            self._unserved(event, state)
        elif isinstance(event, ServedWrong):
            self._served_wrong(event, state)

    def _committed(self, event: Committed, state: TaskState) -> None:
        domain = self._domains[event.domain]
        try:
            claim = admit(event.wire, event.task, self.plan.job, state.inputs, domain)
        except (DecodingError, SignatureError):
            # Anybody could have sent it, so it proves nothing: the task is merely unanswered.
            self._lost(event.task, state, event.domain)
            return
        self._claimed(event.task, state, claim)

    def _claimed(self, task: Task, state: TaskState, claim: Claim) -> None:
        state.answered(claim.domain)
        fresh = state.ballot.add(claim)
        if not fresh and claim.domain in state.lost:
            state.lost.discard(claim.domain)
            if state.accepted is not None:
                self._out.append(Accepted(task))
        self._settle(task)

    def _failed(self, event: Failed, state: TaskState) -> None:
        state.answered(event.domain)
        state.failures[event.domain] = event.text
        state.lost.add(event.domain)
        credible = [d for d in state.failures if d not in self.exposed]
        if event.domain == COORDINATOR or len(credible) > self.plan.policy.faults:
            self._finish(Verdict.INCONCLUSIVE, "error", event.text)
        elif state.accepted is not None:
            self._suspect(event.domain)
        else:
            self._settle(event.task)

    def _lost(self, task: Task, state: TaskState, domain: str) -> None:
        if domain not in state.running:
            return
        state.running.discard(domain)
        state.late.add(domain)
        self._suspect(domain)
        self._settle(task)

    def _unserved(self, event: Unserved, state: TaskState) -> None:
        """Note a lost copy; with the last one gone, somebody has to make the bytes again."""
        state.lost.add(event.domain)
        self._settle(event.task)

    def _restore(self, task: Task, state: TaskState, accepted: bytes) -> None:
        order = [*state.ballot.claimants([accepted]), *self.plan.rotation(task)]
        usable = [d for d in order if d in self.standing and d not in self.exposed]
        again = next((d for d in usable if state.tried[d] < _ATTEMPTS), None)
        if again is not None:
            self._run(task, state, again)
        elif not self._stand_in(task, state):
            self._finish(Verdict.INCONCLUSIVE, "unserved")

    def _served_wrong(self, event: ServedWrong, state: TaskState) -> None:
        if event.domain in self.exposed:
            return
        self._diverged(event.task, (), (event.domain,), (event.domain,), "serve", "opening")
        self._expose((event.domain,))

    # --- agreement ---------------------------------------------------------------------------

    def _required(self) -> int:
        trusted = sum(s is Standing.TRUSTED for s in self.standing.values())
        return required(self.plan.policy, len(self.exposed), trusted)

    def _settle(self, task: Task) -> None:
        """Accept, dispute or staff a task, whichever the claims on it ask for."""
        state = self._tasks[task]
        conflict = len(state.ballot.voters(self.exposed)) > 1
        winners = state.ballot.winners(self.exposed, self._required())
        if state.accepted is None and len(winners) == 1:
            self._accept(task, state, winners[0])
        referee = self.plan.policy.referee == "coordinator" and not state.voting
        if conflict and not state.disputed and (referee or state.accepted is not None):
            self._dispute(task, state)
        elif state.accepted is None and not state.disputed:
            self._staff(task, state)
        elif state.accepted is not None and not state.running and not state.holders(self.exposed):
            self._restore(task, state, state.accepted)

    def _accept(self, task: Task, state: TaskState, winner: bytes) -> None:
        state.accepted = winner
        self._open[task.stage] -= 1
        self._out.append(Accepted(task))
        for domain in state.failures:
            self._suspect(domain)
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

    def _add(self, task: Task, inputs: bytes) -> None:
        self._tasks[task] = TaskState(inputs)
        self._open[task.stage] += 1
        self._staff(task, self._tasks[task], self.plan.policy.replicas)

    # --- staffing ----------------------------------------------------------------------------

    def _staff(self, task: Task, state: TaskState, wanted: int | None = None) -> None:
        """Ask further domains until enough of them may agree."""
        wanted = self._required() if wanted is None else wanted
        while state.strength(self.exposed) < wanted:
            if not self._ask_one_more(task, state):
                break
        if not state.running:
            self._stuck(task, state)

    def _ask_one_more(self, task: Task, state: TaskState) -> bool:
        domain = next(self._candidates(task, state, Standing.TRUSTED), None)
        if domain is None and self._stand_in(task, state):
            return True
        if domain is None:
            domain = next(self._candidates(task, state, Standing.SUSPECTED), None)
        if domain is None:
            return False
        self._run(task, state, domain)
        return True

    def _candidates(self, task: Task, state: TaskState, standing: Standing) -> Iterator[str]:
        for domain in self.plan.rotation(task):
            if self.standing[domain] is standing and not state.tried[domain]:
                yield domain

    def _run(self, task: Task, state: TaskState, domain: str) -> None:
        state.assign(domain)
        self._out.append(Run(task, domain, state.inputs))

    def _stand_in(self, task: Task, state: TaskState) -> bool:
        if not self.plan.policy.stand_in or state.tried[COORDINATOR]:
            return False
        state.assign(COORDINATOR)
        self._out.append(StandIn(task, state.inputs))
        return True

    def _stuck(self, task: Task, state: TaskState) -> None:
        """End the job: nobody is left who could add to what is known about a task."""
        sizes = [len(v) for v in state.ballot.voters(self.exposed).values()]
        claimants = {c.domain for c in state.ballot.live(self.exposed)}
        if not state.voting and honest_disagree(
            sizes, len(claimants), self.plan.policy.faults - len(self.exposed)
        ):
            self._nondeterministic(f"{task.stage} partition {task.partition}")
            return
        cause = state.voting or ("unanswered" if state.late else "domains")
        text = next(iter(state.failures.values()), "")
        self._finish(Verdict.INCONCLUSIVE, "error" if text else cause, text)

    # --- divergence --------------------------------------------------------------------------

    def _dispute(self, task: Task, state: TaskState) -> None:
        state.disputed = True
        self._queue.append(task)
        self._next_dispute()

    def _next_dispute(self) -> None:
        """Arbitrate one divergence at a time: one proven unit settles the rest of a cheat's."""
        while self._queue and self._arbitrating is None and self.finished is None:
            task = self._queue.popleft()
            state = self._tasks[task]
            digests = list(state.ballot.voters(self.exposed))
            if len(digests) > 1:
                self._arbitrate(task, state, digests)
            else:
                state.disputed = False
                self._note_elsewhere(task, state)
                self._settle(task)

    def _arbitrate(self, task: Task, state: TaskState, digests: list[bytes]) -> None:
        if state.accepted is not None:
            digests.sort(key=lambda d: d != state.accepted)
        referee = self.plan.policy.referee == "coordinator" and not state.voting
        outvoted = bool(self._outvoted(task, state))
        self._arbitrating = task
        self._out.append(
            Arbitrate(task, state.inputs, digests[0], digests[1], referee and not outvoted)
        )

    def _outvoted(self, task: Task, state: TaskState) -> list[str]:
        """Return whom ``faults + 1`` others, in its own environment, contradict."""
        voters = state.ballot.voters(self.exposed)
        culprits = []
        for claim in state.ballot.live(self.exposed):
            against = [
                d
                for d in voters.get(state.accepted or b"", [])
                if claim.digest != state.accepted and same_environment(d, claim.domain, self.plan)
            ]
            if len(against) > self.plan.policy.faults:
                culprits.append(claim.domain)
        return culprits

    def _found(self, finding: Finding, stale: bool) -> None:
        task, self._arbitrating = finding.task, None
        state = self._tasks[task]
        state.disputed = False
        if not stale:
            self._judge(finding, state)
        if self.finished is None:
            if task not in self._queue and not state.disputed:
                self._settle(task)
            self._next_dispute()

    def _judge(self, finding: Finding, state: TaskState) -> None:
        """Apply the rules for blame to what the arbitration found."""
        task = finding.task
        sides = [c.domain for c in state.ballot.live(self.exposed)]
        if not finding.stable:
            self._note(finding, sides, (), "withheld: the referee's runs differ")
            self._nondeterministic(f"{task.stage} partition {task.partition}")
            return
        by_votes = not finding.wrong and not finding.failure
        culprits = (
            self._outvoted(task, state) if by_votes else state.ballot.claimants(finding.wrong)
        )
        culprits = [d for d in culprits if d not in self.exposed]
        reason = self._withheld(finding, culprits, by_votes)
        if reason:
            state.voting = reason
            self._note(finding, sides, (), f"withheld: {reason}")
            if reason == "source":
                for domain in culprits:
                    self._suspect(domain)
            self._outlive(task, state, sides)
            return
        self._note(finding, sides, tuple(culprits), "votes" if by_votes else "referee")
        if not by_votes and len(self.exposed.union(culprits)) > self.plan.policy.faults:
            self._nondeterministic(f"{task.stage} partition {task.partition}")
        else:
            self._expose(tuple(culprits))

    def _withheld(self, finding: Finding, culprits: list[str], by_votes: bool) -> str:
        """Return why nobody may be blamed; empty if the finding stands."""
        if finding.failure:
            return "referee"
        if not culprits:
            return "environment"
        if by_votes:
            return ""
        if finding.read and not finding.source_ok:
            return "source"
        if not all(same_environment(d, COORDINATOR, self.plan) for d in culprits):
            return "environment"
        return ""

    def _outlive(self, task: Task, state: TaskState, sides: list[str]) -> None:
        """Let equal commitments decide where blame is withheld; minority claims stay on record."""
        if state.accepted is None:
            return
        minority = {c.domain for c in state.ballot.claims if c.digest != state.accepted}
        state.ballot.claims = [c for c in state.ballot.claims if c.domain not in minority]

    def _expose(self, culprits: tuple[str, ...]) -> None:
        for domain in culprits:
            if domain in self.standing:
                self.standing[domain] = Standing.EXPOSED
        if len(self.exposed) > self.plan.policy.faults:
            self._finish(Verdict.INCONCLUSIVE, "faults")
        if self.finished is None and culprits:
            self._review(set(culprits))

    def _review(self, culprits: set[str]) -> None:
        """Take exposed domains out of every task; what they did is redone by others."""
        for task, state in list(self._tasks.items()):
            involved = culprits & (state.running | set(state.tried))
            state.running -= culprits
            state.late -= culprits
            if not involved or self.finished is not None:
                continue
            accepted = state.accepted
            if accepted and accepted not in state.ballot.winners(self.exposed, self._required()):
                state.accepted = None
                self._open[task.stage] += 1
            if self._tasks.get(task) is state:
                self._settle(task)

    def _suspect(self, domain: str) -> None:
        if self.standing.get(domain) is Standing.TRUSTED:
            self.standing[domain] = Standing.SUSPECTED

    # --- records and the end -----------------------------------------------------------------

    def _note(
        self, finding: Finding, sides: list[str], culprits: tuple[str, ...], settled: str
    ) -> None:
        self._diverged(
            finding.task, finding.units, tuple(sides), culprits, finding.cause, settled, finding
        )

    def _note_elsewhere(self, task: Task, state: TaskState) -> None:
        culprits = tuple(c.domain for c in state.ballot.claims if c.domain in self.exposed)
        sides = tuple(c.domain for c in state.ballot.claims)
        self._diverged(task, (), sides, culprits, task.stage, "exposed elsewhere")

    def _diverged(
        self,
        task: Task,
        units: tuple[int, ...],
        domains: tuple[str, ...],
        culprits: tuple[str, ...],
        cause: str,
        settled: str,
        finding: Finding | None = None,
    ) -> None:
        self.divergences.append(
            Divergence(
                task.stage,
                task.partition,
                units,
                tuple(dict.fromkeys(domains)),
                culprits,
                cause,
                settled,
                finding.sample if finding else None,
            )
        )

    def _nondeterministic(self, where: str) -> None:
        """End the job with nobody exposed: earlier blame rested on determinism too."""
        for domain in self.exposed:
            self.standing[domain] = Standing.SUSPECTED
        self._finish(Verdict.NONDETERMINISTIC, "nondeterministic", where)

    def _maybe_finish(self) -> None:
        busy = self._queue or self._arbitrating is not None
        if self.finished is not None:
            if self.divergences and self.finished.verdict is Verdict.AGREED:
                self.finished = Finished(Verdict.CORRECTED, "")
            return
        if busy or self._open[MAP] or self._open[REDUCE]:
            return
        if self.plan.policy.replicas == 1:
            self._finish(Verdict.INCONCLUSIVE, "unchecked")
        elif self.divergences:
            self._finish(Verdict.CORRECTED, "")
        else:
            self._finish(Verdict.AGREED, "")

    def _finish(self, verdict: Verdict, cause: str, text: str = "") -> None:
        if self.finished is None:
            self.finished = Finished(verdict, cause, text)
            self._out.append(self.finished)

    def _flush(self) -> list[Instruction]:
        out, self._out = self._out, []
        return out


def _settled(event: Event) -> bool:
    """Whether an event can no longer matter once the job has its answer."""
    return isinstance(event, Finding)
