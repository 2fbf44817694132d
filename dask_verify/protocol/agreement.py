"""Agreement: tasks are assigned, commitments counted, partitions accepted, and stages started.

* A partition is accepted when enough distinct, unexposed domains signed equal commitments.
* Once something speaks against what a single domain signed, only a full quorum decides.
* The reduce stage starts when every map root is accepted and every map audit settled, and again if
  a root is replaced.
* Every task is accepted, disputed or running somewhere, or the job is over.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter
from dataclasses import replace

from dask_verify.core.seal import Commitment
from dask_verify.protocol import blame
from dask_verify.protocol.audit import Audits
from dask_verify.protocol.board import Plan, TaskState
from dask_verify.protocol.divergence import Divergence
from dask_verify.protocol.docket import Docket
from dask_verify.protocol.domain import Domain
from dask_verify.protocol.messages import (
    MAP,
    REDUCE,
    Accepted,
    Arbitrate,
    Finished,
    Instruction,
    Objection,
    Recount,
    Settled,
    Standing,
    StartReduce,
    Task,
    Verdict,
)
from dask_verify.protocol.minutes import Minutes
from dask_verify.protocol.staffing import Crew

FAILED = "its functions failed where those of others did not"  #: a reason for suspicion
UNLIKE = "contradicted time and again by a referee that may not blame it"  #: another
_SPARED = 3  #: times that the referee contradicts a domain in vain, and then leaves it to votes


class Agreement(ABC):
    """The decisions of one job.

    Parameters
    ----------
    plan : Plan
        What the job consists of.

    Attributes
    ----------
    minutes : Minutes
        Divergences, and the log of what happened.
    audits : Audits
    finished : Finished or None
    reduce_inputs : bytes
        Inputs of the reduce stage; empty before it starts.
    """

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.minutes = Minutes()
        self.finished: Finished | None = None
        self.reduce_inputs = b""
        self._domains: dict[str, Domain] = {d.name: d for d in plan.domains}
        self._crew = Crew(plan)
        self.audits = Audits(plan, self._crew)
        self._tasks: dict[Task, TaskState] = {}
        self._open: dict[str, int] = {MAP: 0, REDUCE: 0}
        self._weak: set[Task] = set()
        self._held: set[Task] = set()
        self._recounts: set[Task] = set()
        self._emitted: list[int] = [0] * plan.reduces
        self._sources: list[bytes] = []
        self._uncounted: set[Task] = set()
        self._docket = Docket()
        self._late: Counter[tuple[str, str]] = Counter()
        self._spared: Counter[str] = Counter()
        self._out: list[Instruction] = []

    def start(self) -> list[Instruction]:
        """Return the first instructions.

        Returns
        -------
        list of Instruction
        """
        for partition in range(self.plan.maps):
            self._add(Task(MAP, partition), self.plan.map_inputs(partition))
        self._size_known()
        self._maybe_reduce()
        return self._flush()

    def state(self, task: Task) -> TaskState:
        """Return what is known about a task.

        Parameters
        ----------
        task : Task
            The task.

        Returns
        -------
        TaskState
        """
        return self._tasks[task]

    def tasks(self) -> list[TaskState]:
        """Return what is known about every task that has been assigned so far.

        Returns
        -------
        list of TaskState
        """
        return list(self._tasks.values())

    def assigned(self) -> list[Task]:
        """Return every task that has been assigned so far.

        Returns
        -------
        list of Task
        """
        return list(self._tasks)

    def accepted(self, task: Task) -> Commitment | None:
        """Return the agreed commitment of a task (of any domain that signed it).

        Parameters
        ----------
        task : Task
            The task.

        Returns
        -------
        Commitment or None
        """
        state = self._tasks.get(task)
        claim = None if state is None else state.ballot.of(state.accepted)
        return None if claim is None else claim.commitment

    @property
    def resting(self) -> bool:
        """Whether there is a verdict, and nothing of its answer is made or checked once more."""
        return self.finished is not None and not (self.finished.verdict.answered and self._busy())

    def claimed(self, task: Task, domain: str) -> list[Commitment]:
        """Return all that a domain has committed to for a task as it is assigned now.

        Parameters
        ----------
        task : Task
            The task.
        domain : str
            Name of the domain.

        Returns
        -------
        list of Commitment
        """
        state = self._tasks.get(task)
        claims = [] if state is None else list(state.ballot.claims)
        return [claim.commitment for claim in claims if claim.domain == domain]

    def holders(self, task: Task) -> list[str]:
        """Return who can serve an accepted task.

        Parameters
        ----------
        task : Task
            The task.

        Returns
        -------
        list of str
        """
        return self._tasks[task].holders(self.exposed)

    def is_counted(self, task: Task) -> bool:
        """Whether the records that a reduce task reads are to be counted.

        Parameters
        ----------
        task : Task
            The task.

        Returns
        -------
        bool
        """
        return task in self._recounts and task not in self._uncounted

    @property
    def arbitrated(self) -> Arbitrate | None:
        """The question that the referee has been asked and has not answered."""
        return self._docket.asked

    @property
    def divergences(self) -> list[Divergence]:
        """Disagreements, and how they were settled."""
        return self.minutes.divergences

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

    def _add(self, task: Task, inputs: bytes) -> None:
        """Assign a task to as many trusted domains as the policy names, and to what it needs."""
        if task in self._tasks:
            self._held.discard(task)
            self.audits.withdrawn(task, self._tasks[task])
        # With a verdict the seed is known: nothing that comes after it can be sampled.
        state = self._tasks[task] = TaskState(inputs, doubted=self.finished is not None)
        self._weak.discard(task)
        self._open[task.stage] += 1
        self._out += self._crew.strengthen(task, state, self.plan.policy.replicas)
        self._staff(task, state)

    def _settle(self, task: Task) -> None:
        """Accept, dispute, staff or keep a task, whichever the claims on it ask for."""
        state = self._tasks[task]
        winners = state.ballot.winners(self.exposed, self._crew.quorum(state))
        if state.accepted is None and len(winners) == 1:
            self._accept(task, state, winners[0])
        if not state.disputed and not self.finished and self._dispute(task, state):
            return
        if state.accepted is not None:
            self._keep(task, state)
        elif not state.disputed:
            self._staff(task, state)

    def _contested(self, state: TaskState) -> tuple[bytes, bytes] | None:
        return state.contested(self._ignored(state), self.plan.policy.referee == "coordinator")

    def _ignored(self, state: TaskState) -> frozenset[str]:
        """Return whom the referee is not asked about: where votes decide, the often spared too."""
        if state.compared is not None or not self._unlike:
            return self.exposed
        ignored = self.exposed | self._unlike.difference(
            blame.outvoted(state, self.plan, self.exposed)
        )
        undecided = state.accepted is None or state.votes(ignored) > self.plan.policy.faults
        return ignored if undecided else self.exposed

    @property
    def _unlike(self) -> frozenset[str]:
        """Domains that the referee has contradicted in vain too often to be asked again."""
        return frozenset(d for d, times in self._spared.items() if times >= _SPARED)

    def _objected(self, state: TaskState) -> Objection | None:
        """Return an objection that the referee decides."""
        referee = self.plan.policy.referee == "coordinator" and not state.voting
        return state.objected(self._ignored(state)) if referee else None

    def _accept(self, task: Task, state: TaskState, winner: bytes) -> None:
        state.accepted = winner
        self._open[task.stage] -= 1
        self._out.append(Accepted(task))
        self.minutes.write("accepted", task, digest=winner, inputs=state.inputs)
        # An auditor that failed on what was opened is excused if that turns out to be made up.
        unable = [name for name, digest in state.unable if digest == winner]
        self._crew.suspect([*state.failures, *unable], FAILED, task.stage == REDUCE)
        self.audits.accepted(task, state)
        if task.stage == REDUCE:
            self._count(task, state)
        else:
            self._size_known()
        if not self.audits.pending(task):
            self._released(task)
        else:
            self._held.add(task)

    def _count(self, task: Task, state: TaskState) -> None:
        """Compare the records that were consumed with those that the maps committed to."""
        claim = state.ballot.of(state.accepted)
        assert claim is not None, "what is accepted was claimed"
        if claim.commitment.records_in != self._emitted[task.partition]:
            self._recounts.add(task)
            self._out.append(Recount(task, state.inputs))

    def _mapped(self) -> list[Commitment]:
        """Return the accepted commitments of all maps."""
        found = [self.accepted(Task(MAP, i)) for i in range(self.plan.maps)]
        commitments = [commitment for commitment in found if commitment is not None]
        assert len(commitments) == self.plan.maps, "asked only when every map is accepted"
        return commitments

    def _size_known(self) -> None:
        """Draw what had to wait for the size of the data, whenever the last map is accepted."""
        if not self._open[MAP]:
            for task in self.audits.size_known(self._mapped()):
                self._keep(task, self._tasks[task])

    def _maybe_reduce(self) -> None:
        """Start the reduce stage, or start it again if a map root was replaced."""
        if self._open[MAP] or not self.audits.settled(MAP):
            return
        commitments = self._mapped()
        sources = [c.digest for c in commitments]
        inputs = self.plan.reduce_inputs(sources)
        if inputs == self.reduce_inputs:
            self._out += [Recount(task, inputs) for task in sorted(self._uncounted)]
            self._uncounted.clear()
            self._crew.recall()
            self._try_again()
            return
        self._pardon()
        self._crew.forget()
        self.reduce_inputs, self._sources = inputs, sources
        self._recounts.clear()
        self._uncounted.clear()
        self._emitted = [sum(n) for n in zip(*(c.counts for c in commitments), strict=True)]
        self._emitted = self._emitted or [0] * self.plan.reduces
        self._open[REDUCE] = 0
        self._out.append(StartReduce(inputs, tuple(commitments)))
        for partition in range(self.plan.reduces):
            self._add(Task(REDUCE, partition), inputs)

    def _failing(self, task: Task, state: TaskState) -> bool:
        """Whether more have failed than the faulty could have made up; the function's own error.

        The values that a reduce function fails on may be a liar's: first, the maps are made sure.
        """
        credible = [name for name in state.failures if name not in self.exposed]
        if len(credible) <= self.plan.policy.faults - len(self.exposed):
            return False
        if not self._unsure(task):
            self._finish(Verdict.INCONCLUSIVE, "error", state.failures[credible[-1]])
        return True

    def _unsure(self, task: Task) -> bool:
        """Whether what a reduce task was assigned may still change; have a full quorum compute it.

        This asks once: a map that was doubted stays so.
        """
        if task.stage != REDUCE or self.plan.policy.replicas != 1 or self.finished is not None:
            return False
        sources = [(t, s) for t, s in self._tasks.items() if t.stage == MAP and not s.doubted]
        if sources:
            self._pardon()
        for source, state in sources:
            if self.finished is None and state.accepted is not None:
                self._doubt(source, state)
                self._settle(source)
        waits = self._open[MAP] > 0 or not self.audits.settled(MAP)
        if not waits:
            self._crew.recall()
        return waits

    def _pardon(self) -> None:
        """Trust those again who could not reduce what may have been made up."""
        for domain in self._crew.pardon():
            del self._late[domain, REDUCE]

    def _try_again(self) -> None:
        """Take up the reduce tasks that failed or were late on what has turned out to be right."""
        for partition in range(self.plan.reduces):
            task = Task(REDUCE, partition)
            state = self._tasks[task]
            waits = self.finished is None and state.accepted is None
            if waits and (state.failures or state.late) and not self._failing(task, state):
                self._settle(task)

    def _staff(self, task: Task, state: TaskState) -> None:
        if self._waits(task, state):
            return
        self._out += self._crew.staff(task, state)
        if not state.running:
            self._stuck(task, state)

    def _waits(self, task: Task, state: TaskState) -> bool:
        """Whether nobody is asked for a reduce task before the maps are sure.

        What more have left unanswered than may be faulty, reducers may hang on, wherever they run.
        """
        if task.stage != REDUCE or not state.late:
            return False
        left = {*state.late, *state.failures} - self.exposed
        if len(left) <= self.plan.policy.faults - len(self.exposed):
            return False
        self._out += self._crew.strengthen(task, state, self._crew.quorum(state))
        return not state.running and self._unsure(task)

    def _keep(self, task: Task, state: TaskState) -> None:
        """See that an accepted partition is audited, has a holder, and enough signatures."""
        self._outvote(task, state)
        self._pursue(task, state)
        if self._tasks[task] is not state or state.accepted is None:
            return
        if not state.running and not state.holders(self.exposed):
            self._out += self._crew.restore(task, state)
            if not state.running:
                self._finish(Verdict.INCONCLUSIVE, "unserved")
        quorum = self._crew.quorum(state)
        if self.finished is None and not state.disputed:
            self._out += self._crew.strengthen(task, state, quorum)
        weak = state.votes(self.exposed) < quorum and bool(state.running)
        (self._weak.add if weak else self._weak.discard)(task)

    def _stuck(self, task: Task, state: TaskState) -> None:
        """End the job: nobody is left who could add to what is known about a task."""
        if (state.failures or state.late) and self._unsure(task):
            return
        if self._hear(task, state):
            return
        cause = blame.deadlock(state, self.plan, self.exposed)
        if cause == "nondeterministic":
            if not self._compare(task, state):
                self._nondeterministic(task)
        else:
            self._finish(Verdict.INCONCLUSIVE, cause, next(iter(state.failures.values()), ""))

    def _doubt(self, task: Task, state: TaskState) -> None:
        """Ask for a full quorum, now that something speaks against a commitment."""
        state.doubted = True
        single = self.plan.policy.replicas == 1
        if single and state.accepted and state.votes(self.exposed) < self._crew.full_quorum:
            self._withdraw(task, state)
            self.minutes.write("doubted", task)

    def _withdraw(self, task: Task, state: TaskState) -> None:
        state.accepted = None
        self._open[task.stage] += 1
        self._held.discard(task)
        self.audits.withdrawn(task, state)

    def _released(self, task: Task) -> None:
        """Say that nobody will be asked to open the inputs of a task any more."""
        self.minutes.write("settled", task)
        self._out.append(Settled(task))
        if task.stage == MAP:
            self._maybe_reduce()

    def _nondeterministic(self, task: Task) -> None:
        """End the job with nobody exposed: earlier blame rested on determinism too."""
        self._crew.acquit()
        self.minutes.acquit()
        where = f"{task.stage} partition {task.partition}"
        self._finish(Verdict.NONDETERMINISTIC, "nondeterministic", where)

    def _maybe_finish(self) -> None:
        """Give the verdict once every partition is accepted and nothing is being checked."""
        if self.finished is None:
            if self._busy():
                return
            if self.plan.policy.replicas == 1 and not self.plan.policy.audited:
                self._finish(Verdict.INCONCLUSIVE, "unchecked")
            else:
                clean = Verdict.SAMPLED if self.plan.policy.replicas == 1 else Verdict.AGREED
                self._finish(Verdict.CORRECTED if self.divergences else clean, "")
        elif self.divergences and self.finished.verdict in (Verdict.AGREED, Verdict.SAMPLED):
            self.finished = replace(self.finished, verdict=Verdict.CORRECTED)

    def _busy(self) -> bool:
        """Whether something is still to come; asked after every event."""
        audited = self.audits.settled(MAP) and self.audits.settled(REDUCE)
        checked = audited and self._docket.idle and not self._weak and not self._recounts
        # Until the reduce stage has started, there is nothing to have finished.
        return not checked or any(self._open.values()) or not self.reduce_inputs

    def _finish(self, verdict: Verdict, cause: str, text: str = "") -> None:
        """End the job; an answer that can be served no more is withdrawn."""
        if self.finished is None or (self.finished.verdict.answered and not verdict.answered):
            self._crew.recall()
            self.finished = Finished(verdict, cause, text)
            self._out.append(self.finished)
            if verdict.answered:
                self._let_go()

    def _let_go(self) -> None:
        """Expect nothing more of domains that are still at work: the verdict stops them.

        Whatever they still say is welcome. They may be asked again, and are at once if they were
        making what nobody has any more.
        """
        for task, state in self._tasks.items():
            if state.unanswered:
                state.let_go()
                self._keep(task, state)

    def _flush(self) -> list[Instruction]:
        out, self._out = self._out, []
        if self.finished is not None and not self.finished.verdict.answered:
            return [instruction for instruction in out if isinstance(instruction, Finished)]
        return out

    @abstractmethod
    def _dispute(self, task: Task, state: TaskState) -> bool:
        """Have a task arbitrated if claims or answers contradict each other; False if none do."""

    @abstractmethod
    def _compare(self, task: Task, state: TaskState) -> bool:
        """Have claims compared that votes cannot decide on, once: the source may explain them."""

    @abstractmethod
    def _hear(self, task: Task, state: TaskState) -> bool:
        """Have a task arbitrated after all that the often spared say otherwise, once."""

    @abstractmethod
    def _pursue(self, task: Task, state: TaskState) -> None:
        """See that every challenge of an accepted partition has an auditor, until all are met."""

    @abstractmethod
    def _outvote(self, task: Task, state: TaskState) -> None:
        """Let votes settle the objections that no referee decides, once there are enough."""
