"""A whole job in one process: real decisions, real seals and signatures, simulated domains.

Every instruction of the job becomes one or more pending events, or waits for what it has to read.
What happens next is decided elsewhere: by a seed (`weather`), or by a test that shrinks. Domains
misbehave by name; those that have no name are honest, whatever befalls them.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from dask_verify.core.seal import Commitment, SealedPartition
from dask_verify.protocol.board import Plan
from dask_verify.protocol.domain import COORDINATOR
from dask_verify.protocol.job import JobState
from dask_verify.protocol.messages import (
    MAP,
    REDUCE,
    Accepted,
    Arbitrate,
    Challenge,
    Event,
    Failed,
    Instruction,
    Late,
    Recount,
    Recounted,
    Run,
    StandIn,
    StartReduce,
    StoodIn,
    Task,
    Unserved,
    Verdict,
)
from dask_verify.protocol.recording import decisions, read_event, write_event
from dask_verify.protocol.replay import losses, replay
from dask_verify.testing.simulation.auditing import challenged, recounted, there
from dask_verify.testing.simulation.behaviours import behave
from dask_verify.testing.simulation.nature import USUAL, Nature
from dask_verify.testing.simulation.partitions import PLAIN, Flavour, commit, partition
from dask_verify.testing.simulation.pending import Pending, deadline, sender, unheard
from dask_verify.testing.simulation.refereeing import arbitrated
from dask_verify.testing.simulation.truth import untrue
from dask_verify.testing.simulation.weather import CALM, Weather, pass_time

#: Who serves nothing of what it committed to, or nothing that a reader would take.
_UNSERVING = ("refusing", "lost_store", "recommits")
_LIMIT = 20_000  #: events after which a job is said to have no end


@dataclass
class Simulation:
    """One job with domains that behave as they are told.

    Parameters
    ----------
    plan : Plan
    behaviours : dict of str to str
        How domains misbehave (`behaviours`); those not named are honest.
    seed : int
        Decides the order of events and everything else that is left to chance.
    weather : Weather
        What befalls messages, domains and the coordinator.
    nature : Nature
        What makes honest domains differ.
    protocol : type of JobState
        What decides.

    Attributes
    ----------
    job : JobState
    events : list of Event
        All that the job was told, in order: the same again gives the same state.
    decided : list of list of Instruction
        What followed from each of them.
    pending : list of Pending
        What may happen next, in any order.
    blocked : list of Run or StandIn
        Reduce tasks that cannot read what they were assigned.
    excused : dict of str to str
        Domains that were seen to fail through no fault of their own, and what befell them.

    Examples
    --------
    >>> from dask_verify.testing.simulation import Simulation, make_plan
    >>> simulation = Simulation(make_plan("alice", "bob", replicas=2), {"bob": "wrong"}, seed=1)
    >>> simulation.run()
    <Verdict.CORRECTED: 'corrected'>
    >>> simulation.job.exposed
    frozenset({'bob'})
    """

    plan: Plan
    behaviours: dict[str, str]
    seed: int
    weather: Weather = CALM
    nature: Nature = USUAL
    protocol: type[JobState] = JobState

    def __post_init__(self) -> None:
        self.random = random.Random(self.seed)
        self.job = self.protocol(self.plan)
        self.events: list[Event] = []
        self.decided: list[list[Instruction]] = []
        self.pending: list[Pending] = []
        self.blocked: list[Run | StandIn | Arbitrate] = []
        self.away: list[str] = list(self.weather.later)
        self.excused: dict[str, str] = dict.fromkeys(self.away, "not there yet")
        self.stores: dict[tuple[Task, str], SealedPartition] = {}
        self._by_root: dict[bytes, SealedPartition] = {}
        self.by_root: Mapping[bytes, SealedPartition] = self._by_root
        self.poison: set[bytes] = set()
        self.sources: Sequence[Commitment] = ()  #: maps that the reduce stage was started with
        self.reading: dict[int, Flavour] = {}  #: what reduce tasks read of them
        self.asked: Counter[str] = Counter()
        self.recomputed: list[int | None] = []
        self.counted: list[Recounted] = []
        self.finishes: list[Verdict] = []
        self.restarts = 0
        self._executions = 0
        self.environments = {d.name: dict(d.environment) for d in self.plan.domains}
        self.environments[COORDINATOR] = dict(self.plan.environment)

    # --- running -------------------------------------------------------------------------------

    def run(self) -> Verdict | None:
        """Play until the verdict; None if nothing is left that could bring one.

        Returns
        -------
        Verdict or None
        """
        self.start()
        while self.job.finished is None and self.stir() and len(self.events) < _LIMIT:
            pass_time(self)
        return self.job.finished.verdict if self.job.finished else None

    def linger(self) -> None:
        """Let the answers that are under way at the verdict arrive after all."""
        for _ in range(len(self.pending)):
            if self.pending:
                self.deliver(self.random.randrange(len(self.pending)))

    def start(self) -> None:
        """Let the job ask for the first tasks."""
        self._carry_out(self.job.start())

    def stir(self) -> bool:
        """See that something can happen; False if nothing ever will any more.

        Returns
        -------
        bool
        """
        if not self.pending and self.blocked:
            self._unblock()
        while not self.pending and self.away:
            self.come_back(self.away[0])
        return bool(self.pending)

    # --- what can happen -----------------------------------------------------------------------

    def deliver(self, at: int) -> None:
        """Let a pending event happen.

        Parameters
        ----------
        at : int
            Number of the pending event.
        """
        event, then = self.pending[at]
        self.pending[at] = self.pending[-1]
        self.pending.pop()
        self.feed(event)
        self.pending += [Pending(following) for following in then]

    def duplicate(self, at: int) -> None:
        """Let a pending event happen, and once more later.

        Parameters
        ----------
        at : int
            Number of the pending event.
        """
        self.feed(self.pending[at].event)

    def lose(self, at: int) -> None:
        """Lose a message: a deadline comes in its place, and then perhaps the message itself.

        Parameters
        ----------
        at : int
            Number of the pending event.
        """
        event, then = self.pending[at]
        opening = self.random.random() < 0.3
        instead = deadline(event, opening)
        if instead is None:
            self.deliver(at)
            return
        self.excused[unheard(event, opening)] = "lost"
        after = (event, *then) if self.random.random() < 0.5 else then
        self.pending[at] = Pending(instead, after)

    def crash(self, domain: str) -> None:
        """Take a domain's store, and all that it was doing.

        Parameters
        ----------
        domain : str
            Name of the domain.
        """
        self.excused[domain] = "crashed"
        self.pending = [self._interrupted(item, domain, ()) for item in self.pending]
        lost = [run for run in self.blocked if isinstance(run, Run) and run.domain == domain]
        self.blocked = [run for run in self.blocked if run not in lost]
        self.pending += [Pending(Late(r.task, domain, r.inputs, "lost")) for r in lost]
        self._lose_stores(domain)

    def leave(self, domain: str) -> None:
        """Let all workers of a domain vanish; what they were doing may be answered later.

        Parameters
        ----------
        domain : str
            Name of the domain.
        """
        if domain in self.away:
            return
        self.excused[domain] = "away"
        self.away.append(domain)
        held = [item for item in self.pending if sender(item.event) == domain]
        kept = self.random.random() < 0.5
        self.pending = [self._interrupted(item, domain, None if kept else ()) for item in held] + [
            item for item in self.pending if sender(item.event) != domain
        ]

    def come_back(self, domain: str) -> None:
        """Let a domain's workers return, with or without what they had stored.

        Parameters
        ----------
        domain : str
            Name of the domain.
        """
        self.away.remove(domain)
        if self.random.random() < 0.5:
            self._lose_stores(domain)
        self._unblock()

    def lose_copy(self) -> None:
        """Lose a copy of an accepted partition, as the next reader finds out."""
        held = [(t, d) for t, d in self.stores if self.job.accepted(t) and d in self.job.holders(t)]
        if held:
            task, domain = self.random.choice(held)
            self.excuse_loss(domain, "lost a copy")
            self.pending.append(Pending(Unserved(task, domain)))

    def restart(self) -> None:
        """Let the coordinator die, and go on from its journal, without all that was its own."""
        self.restarts += 1
        self.job, owed = self.taken_up()
        self.pending.clear()
        self.blocked.clear()
        for task, holder in list(self.stores):
            if holder == COORDINATOR:
                del self.stores[task, holder]
        for event in losses(self.job):
            self.feed(event)
        self._carry_out(owed)

    def taken_up(self) -> tuple[JobState, list[Instruction]]:
        """Return the job as another process finds it, and what it owes.

        Returns
        -------
        tuple of (JobState, list of Instruction)
        """
        marks = map(decisions, self.decided)
        past = zip((read_event(write_event(e)) for e in self.events), marks, strict=True)
        return replay(self.plan, past, self.protocol)

    def feed(self, event: Event) -> None:
        """Tell the job of an event, and carry out what it asks for.

        Parameters
        ----------
        event : Event
            What happened.
        """
        self.events.append(event)
        self.decided.append(self.job.handle(event))
        self._carry_out(self.decided[-1])

    def _interrupted(self, item: Pending, domain: str, then: tuple[Event, ...] | None) -> Pending:
        """Return what comes instead of a domain's message; ``then=None``: followed by itself."""
        if sender(item.event) != domain:
            return item
        instead = deadline(item.event)
        assert instead is not None, "what a domain sends can be lost"
        return Pending(instead, (item.event, *item.then) if then is None else then)

    def _lose_stores(self, domain: str) -> None:
        gone = [task for task, holder in self.stores if holder == domain]
        for task in gone:
            del self.stores[task, domain]
            if self.job.accepted(task) and domain in self.job.holders(task):
                self.pending.append(Pending(Unserved(task, domain)))

    def excuse_loss(self, domain: str, why: str = "lost its store") -> None:
        """Note that an honest domain no longer has what it stored.

        Parameters
        ----------
        domain : str
            Name of the domain.
        why : str, optional
            What happened, in words.
        """
        if domain not in self.behaviours:
            self.excused.setdefault(domain, why)

    # --- instructions --------------------------------------------------------------------------

    def _carry_out(self, instructions: list[Instruction]) -> None:
        for instruction in instructions:
            match instruction:
                case Run() | StandIn():
                    self._execute(instruction)
                case StartReduce():
                    self.sources = instruction.maps
                    read = instruction.inputs if self.nature.linked else b""
                    self.reading = {
                        j: Flavour(read=read, consumed=sum(there(self, j)))
                        for j in range(self.plan.reduces)
                    }
                    self._unblock()
                case Challenge():
                    self.pending.append(Pending(challenged(self, instruction)))
                case Recount():
                    self.counted.append(recounted(self, instruction))
                    self.pending.append(Pending(self.counted[-1]))
                case Arbitrate():
                    self._arbitrate(instruction)
                case Accepted():
                    self._unblock()
        finished = self.job.finished
        if finished is not None and self.finishes[-1:] != [finished.verdict]:
            self.finishes.append(finished.verdict)

    def _execute(self, instruction: Run | StandIn) -> None:
        task = instruction.task
        domain = instruction.domain if isinstance(instruction, Run) else COORDINATOR
        if domain in self.away:
            self.excused[domain] = "away"
            late = Late(task, domain, instruction.inputs, "late")
            self.pending.append(Pending(late))
        elif task.stage == REDUCE and not self._readable():
            self.blocked.append(instruction)
        elif isinstance(instruction, Run):
            self.asked[domain] += 1
            self.pending += behave(self, instruction)
        else:
            self.pending.append(Pending(self._stand_in(instruction)))

    def _stand_in(self, instruction: StandIn) -> StoodIn | Failed | Late:
        task, inputs = instruction.task, instruction.inputs
        if self.unfit(task):
            if self.hangs(inputs):
                return Late(task, COORDINATOR, inputs, "late")
            return Failed(task, COORDINATOR, inputs, "it raised")
        flavour = self.flavour(task, COORDINATOR)
        self.keep(task, COORDINATOR, self.partition(task, flavour=flavour))
        return StoodIn(
            task, inputs, self.commit(task, COORDINATOR, inputs, flavour=flavour).to_bytes()
        )

    def _unblock(self) -> None:
        """Try again to execute what could not be read, if it is still wanted."""
        waiting, self.blocked = self.blocked, []
        for instruction in waiting:
            if isinstance(instruction, Arbitrate):
                self._arbitrate(instruction)
            elif instruction.inputs == self.job.reduce_inputs:
                self._execute(instruction)

    def _arbitrate(self, asked: Arbitrate) -> None:
        """Settle a divergence, once what a disputed reduce has read can be read."""
        if self.job.arbitrated != asked:
            return  # another question came before it
        current = asked.inputs == self.job.reduce_inputs
        if asked.task.stage == REDUCE and current and not self._readable():
            self.blocked.append(asked)
        else:
            found = replace(arbitrated(self, asked), number=asked.number)
            self.pending.append(Pending(found))

    def _readable(self) -> bool:
        """Whether somebody serves every map; readers say who does not."""
        served = True
        for partition_, source in enumerate(self.sources):
            task = Task(MAP, partition_)
            holders = self._holders(task, source.digest)
            if any(self._serves(task, name, source.root) for name in holders):
                continue
            served = False
            lost = self.job.state(task).lost
            unserved = (Unserved(task, n, source.digest) for n in holders if n not in lost)
            told = {item.event for item in self.pending if isinstance(item.event, Unserved)}
            self.pending += [Pending(event) for event in unserved if event not in told]
        return served

    def _holders(self, task: Task, digest: bytes) -> list[str]:
        claimants = self.job.state(task).ballot.claimants([digest])
        return [name for name in claimants if name not in self.job.exposed]

    def _serves(self, task: Task, domain: str, root: bytes) -> bool:
        store = self.stores.get((task, domain))
        willing = domain not in self.away and self.behaviours.get(domain) not in _UNSERVING
        return willing and store is not None and store.output_tree.root == root

    # --- what is true --------------------------------------------------------------------------

    @property
    def source_ok(self) -> bool:
        """Whether the source is pinned and has not changed."""
        return self.nature.pinned and not self.changed

    @property
    def changed(self) -> bool:
        """Whether the source is another one by now."""
        return self.nature.changes is not None and len(self.events) >= self.nature.changes

    def flavour(self, task: Task, domain: str) -> Flavour:
        """Return what may make this execution differ from another honest one.

        Parameters
        ----------
        task : Task
            The task.
        domain : str
            Name of the domain.

        Returns
        -------
        Flavour
        """
        base = PLAIN if task.stage == MAP else self.reading.get(task.partition, PLAIN)
        version, wobble = "", self.nature.wobble(task, self.environments[domain])
        if self.nature.random:
            self._executions += 1
            wobble = f"run {self._executions}" if self.nature.affects(task) else ""
        if task.stage == MAP and self.changed and self.random.random() < 0.8:
            version = "changed "
        if not wobble and not version:
            return base
        return Flavour(version, wobble, base.read, base.consumed)

    def unfit(self, task: Task) -> bool:
        """Whether honest functions fail on what a reduce task reads.

        Parameters
        ----------
        task : Task
            The task.

        Returns
        -------
        bool
        """
        return task.stage == REDUCE and any(s.root in self.poison for s in self.sources)

    def hangs(self, inputs: bytes) -> bool:
        """Whether functions never end on what they fail on otherwise.

        Parameters
        ----------
        inputs : bytes
            Digest of what a reduce task reads.

        Returns
        -------
        bool
        """
        return inputs[0] % 2 == 1

    def keep(self, task: Task, domain: str, store: SealedPartition) -> None:
        """Keep what a domain will serve.

        Parameters
        ----------
        task : Task
            The task.
        domain : str
            Name of the domain.
        store : SealedPartition
            What the holder keeps.
        """
        self.stores[task, domain] = store
        self._by_root[store.output_tree.root] = store

    def partition(
        self, task: Task, salt: str = "", lie: str = "", flavour: Flavour | None = None
    ) -> SealedPartition:
        """Return what a task computes from the maps that are accepted.

        Parameters
        ----------
        task : Task
            The task.
        salt : str, optional
            Makes the result a lie, and one that differs from lies with another salt; empty for the
            truth.
        lie : str, optional
            Kind of the lie.
        flavour : Flavour or None, optional
            What makes this execution differ from others; None for what the job's nature says.

        Returns
        -------
        SealedPartition
        """
        own = partition(
            self.plan, task, salt, lie, self._plain(task) if flavour is None else flavour
        )
        if lie == "poison":
            self.poison.add(own.output_tree.root)
        return own

    def commit(
        self,
        task: Task,
        domain: str = "",
        inputs: bytes = b"",
        salt: str = "",
        lie: str = "",
        flavour: Flavour | None = None,
    ) -> Commitment:
        """Commit to what a task computes from the maps that are accepted.

        Parameters
        ----------
        task : Task
            The task.
        domain : str, optional
            Name of the domain.
        inputs : bytes, optional
            Digest of what the task is assigned.
        salt : str, optional
            Makes the result a lie, and one that differs from lies with another salt; empty for the
            truth.
        lie : str, optional
            Kind of the lie.
        flavour : Flavour or None, optional
            What makes this execution differ from others; None for what the job's nature says.

        Returns
        -------
        Commitment
        """
        flavour = self._plain(task) if flavour is None else flavour
        return commit(self.plan, task, domain, inputs, salt, lie, flavour)

    def _plain(self, task: Task) -> Flavour:
        return PLAIN if task.stage == MAP else self.reading.get(task.partition, PLAIN)

    def tasks(self) -> list[Task]:
        """Return all tasks of the job.

        Returns
        -------
        list of Task
        """
        maps = [Task(MAP, i) for i in range(self.plan.maps)]
        return maps + [Task(REDUCE, j) for j in range(self.plan.reduces)]

    def wrong(self) -> list[Task]:
        """Return accepted tasks whose commitment no honest domain could have made.

        Returns
        -------
        list of Task
        """
        return untrue(self)
