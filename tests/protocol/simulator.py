"""A whole job in memory: seeded domains that misbehave by name, a referee, and no threads.

The carrier's part is played in the simplest way: every instruction becomes a pending event, and a
seeded generator picks which one happens next. Partitions are real sealed partitions of tiny bags.
"""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any

from auditing import challenged, recounted, there
from partitions import column, partition

from dask_verify.core.seal import OUTPUT, Commitment, SealedPartition, asked
from dask_verify.protocol.board import Plan
from dask_verify.protocol.dispute import (
    AskLeaves,
    AskNodes,
    Outcome,
    Recompute,
    Recomputed,
    arbitrate,
)
from dask_verify.protocol.domain import COORDINATOR, Domain, Identity
from dask_verify.protocol.job import JobState
from dask_verify.protocol.messages import (
    MAP,
    REDUCE,
    Arbitrate,
    Challenge,
    Committed,
    Event,
    Failed,
    Finding,
    Instruction,
    Late,
    Recount,
    Recounted,
    Run,
    ServedWrong,
    StandIn,
    StartReduce,
    StoodIn,
    Task,
    Unserved,
    Verdict,
)
from dask_verify.protocol.policy import Policy
from dask_verify.protocol.quorum import sign
from dask_verify.protocol.serving import Reply, answers
from dask_verify.protocol.weighing import weigh

HONEST = "honest"
FAULTS = (
    "wrong",
    "colluding",
    "misread",
    "misshapen",
    "equivocating",
    "silent",
    "slow",
    "failing",
    "refusing",
    "forged_root",
    "lost_store",
    "garbage",
    "serves_wrong",
    "flaky",
)
LIES = ("wrong", "colluding", "misread", "misshapen", "refusing", "forged_root")
#: How claims are corrupted, or audits botched, in jobs with audits; the names are behaviours too.
AUDIT_LIES = ("one", "some", "all", "made_up", "miscount", "dodging", "recommits", "covering",
              "mapper")  # fmt: skip
AUDITORS = ("frames", "lazy", "silent_auditor", "failing_auditor", "garbage_auditor")
_AUDITING = {"frames": "wrong", "lazy": "forged_root", "silent_auditor": "silent",
             "failing_auditor": "failing", "garbage_auditor": "garbage"}  # fmt: skip
_LIMIT = 5_000


@lru_cache(maxsize=64)
def identity(name: str) -> Identity:
    """A key that is the same in every run."""
    return Identity(name, name.encode().ljust(32, b"."))


def enrol(*names: str, environment: dict[str, str] | None = None) -> tuple[Domain, ...]:
    return tuple(Domain(n, identity(n).public_key, environment or {}) for n in names)


def make_plan(
    *names: str,
    maps: int = 2,
    reduces: int = 2,
    domains: tuple[Domain, ...] = (),
    seed: bytes = b"s" * 32,
    unit_records: int | None = None,
    **policy: Any,
) -> Plan:
    size = {"unit_records": unit_records or None} | policy
    enrolled = domains or enrol(*names)
    wanted = Policy(**size)
    return Plan(b"job", wanted, enrolled, maps, reduces, unit_records=unit_records, seed=seed)


@dataclass
class Simulation:
    """One job with domains that behave as they are told.

    ``behaviours`` maps a domain to how it misbehaves; those not named are honest. The seed decides
    the order of events, which are also repeated now and then.
    """

    plan: Plan
    behaviours: dict[str, str]
    seed: int
    losses: float = 0.0
    asked: Counter[str] = field(default_factory=Counter)
    recomputed: list[int | None] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.random = random.Random(self.seed)
        self.job = JobState(self.plan)
        self.pending: list[Event] = []
        self.stores: dict[tuple[Task, str], SealedPartition] = {}
        self.by_root: dict[bytes, SealedPartition] = {}
        self.sources: list[Commitment] = []  #: maps that the reduce stage was started with
        self.consumed: list[int] = [0] * self.plan.reduces
        self.counted: list[Recounted] = []
        self.steps = 0

    def run(self) -> Verdict | None:
        """Play until the verdict; None if nothing is left that could bring one."""
        self._carry_out(self.job.start())
        while self.pending and self.job.finished is None:
            self.steps += 1
            if self.steps > _LIMIT:
                raise AssertionError(f"no end after {_LIMIT} events: {self.job.progress}")
            self._happen(self._take())
            if self.random.random() < self.losses:
                self._lose()
        return self.job.finished.verdict if self.job.finished else None

    def identity(self, name: str) -> Identity:
        return identity(name)

    def wrong(self) -> list[Task]:
        """Accepted tasks whose commitment is not the truth."""
        tasks = [Task(MAP, i) for i in range(self.plan.maps)]
        tasks += [Task(REDUCE, j) for j in range(self.plan.reduces)]
        found = [(t, self.job.accepted(t)) for t in tasks]
        return [t for t, c in found if c is not None and c.digest != self.commit(t).digest]

    def partition(self, task: Task, salt: str = "", lie: str = "") -> SealedPartition:
        """What a task computes from the maps that are accepted."""
        consumed = None if task.stage == MAP else self.consumed[task.partition]
        return partition(self.plan, task, salt, lie, consumed)

    def commit(
        self, task: Task, domain: str = "", inputs: bytes = b"", salt: str = "", lie: str = ""
    ) -> Commitment:
        """Commit to what a task computes from the maps that are accepted."""
        own = self.partition(task, salt, lie)
        return own.commit(self.plan.job, *task, domain, inputs)

    # --- events --------------------------------------------------------------------------------

    def _take(self) -> Event:
        at = self.random.randrange(len(self.pending))
        event = self.pending[at]
        if self.random.random() > 0.1:  # else it happens once more
            self.pending[at] = self.pending[-1]
            self.pending.pop()
        return event

    def _happen(self, event: Event) -> None:
        self._carry_out(self.job.handle(event))

    def _lose(self) -> None:
        """Lose a copy of an accepted partition, as the next reader finds out."""
        held = [(t, d) for t, d in self.stores if self.job.accepted(t) and d in self.job.holders(t)]
        if held:
            self.pending.append(Unserved(*self.random.choice(held)))

    def _carry_out(self, instructions: list[Instruction]) -> None:
        for instruction in instructions:
            if isinstance(instruction, Run):
                self.asked[instruction.domain] += 1
                self.pending += self._behave(instruction)
            elif isinstance(instruction, StandIn):
                self.pending.append(self._stand_in(instruction))
            elif isinstance(instruction, StartReduce):
                maps = (self.job.accepted(Task(MAP, i)) for i in range(self.plan.maps))
                self.sources = [c for c in maps if c is not None]
                self.consumed = [sum(there(self, j)) for j in range(self.plan.reduces)]
            elif isinstance(instruction, Challenge):
                self.pending.append(challenged(self, instruction))
            elif isinstance(instruction, Recount):
                self.counted.append(recounted(self, instruction))
                self.pending.append(self.counted[-1])
            elif isinstance(instruction, Arbitrate):
                self.pending.append(self._arbitrate(instruction))

    def _stand_in(self, instruction: StandIn) -> StoodIn:
        task, inputs = instruction.task, instruction.inputs
        self._keep(task, COORDINATOR, self.partition(task))
        own = self.commit(task, COORDINATOR, inputs)
        return StoodIn(task, inputs, own.to_bytes())

    def _keep(self, task: Task, domain: str, store: SealedPartition) -> None:
        self.stores[task, domain] = store
        self.by_root[store.output_tree.root] = store

    # --- domains -------------------------------------------------------------------------------

    def _behave(self, run: Run) -> list[Event]:
        behaviour = self.behaviours.get(run.domain, HONEST)
        late = Late(run.task, run.domain, run.inputs, "late")
        if behaviour in AUDITORS:
            behaviour = _AUDITING[behaviour] if run.audit else HONEST
        if behaviour == "silent":
            return [late]
        if behaviour == "failing":
            return [Failed(run.task, run.domain, run.inputs, "it raised")]
        if behaviour == "garbage":
            return [self._committed(run, self.random.randbytes(40))]
        if behaviour == "flaky":
            behaviour = self.random.choice(["wrong", "silent", "failing", HONEST, "garbage"])
            return [late] if behaviour == "silent" else [self._claim(run, behaviour)]
        if behaviour == "equivocating":
            return [self._claim(run, "wrong", str(n)) for n in range(3)] + [self._claim(run)]
        if behaviour == "slow":
            return [late, self._claim(run)]
        if behaviour == "lost_store":
            return [self._claim(run), Unserved(run.task, run.domain)]
        if behaviour == "recommits":
            again = self.job.state(run.task).tried.count(run.domain) > 1
            lie = self.random.choice(["one", "all", HONEST]) if again else "one"
            return [self._claim(run, lie), Unserved(run.task, run.domain)]
        if behaviour == "forged_root" and self.plan.policy.replicas == 1:
            return [self._claim(run, behaviour), Unserved(run.task, run.domain)]
        if behaviour == "serves_wrong":
            evidence = served_wrong(self.commit(run.task, run.domain, run.inputs))
            return [self._claim(run), ServedWrong(run.task, run.domain, evidence)]
        return [self._claim(run, behaviour)]

    def _claim(self, run: Run, behaviour: str = HONEST, salt: str = "") -> Committed:
        if behaviour == "mapper" and run.task.stage != MAP:
            behaviour = HONEST
        lie = {"dodging": "one", "mapper": "one", "covering": "all"}.get(behaviour, behaviour)
        if (behaviour in LIES or behaviour in AUDIT_LIES) and not salt:
            # Colluders tell one lie; every other liar has a lie of its own.
            salt = "lie" if behaviour in ("colluding", "refusing", "covering") else run.domain
        claim = self.commit(run.task, run.domain, run.inputs, salt, lie)
        if behaviour == "forged_root":
            claim = replace(claim, root=bytes(32))
        self._keep(run.task, run.domain, self.partition(run.task, salt, lie))
        return self._committed(run, sign(identity(run.domain), claim))

    def _committed(self, run: Run, wire: bytes) -> Committed:
        return Committed(run.task, run.domain, run.inputs, wire)

    # --- the referee ---------------------------------------------------------------------------

    def _arbitrate(self, instruction: Arbitrate) -> Finding:
        ballot, objection = self.job.state(instruction.task).ballot, instruction.objection
        one, other = ballot.of(instruction.one), ballot.of(instruction.other)
        given = (instruction.vouched, instruction.answers)
        assert one is not None
        if objection is not None:
            steps = weigh(instruction.task, one, objection, *given)
        else:
            assert other is not None
            steps = arbitrate(instruction.task, one, other, instruction.recompute, *given)
        answer: Any = None
        try:
            while True:
                answer = self._answer(steps.send(answer), instruction.inputs)
        except StopIteration as stop:
            finding: Finding = stop.value
            return finding

    def _answer(self, query: Any, inputs: bytes) -> Any:
        if isinstance(query, Recompute):
            self.recomputed.append(query.unit)
            own = self.partition(query.task)
            return Recomputed((recompute(self.plan, query, inputs, own),) * 2)
        request = query.request
        store = self.stores.get((query.task, request.domain))
        refuses = self.behaviours.get(request.domain) == "refusing"
        if store is None or refuses or store.tree(request.tree)[0].root != request.root:
            return None
        return serve(store, query)


def served_wrong(commitment: Commitment) -> bytes:
    """What a domain signs that opens something else than it committed to."""
    request = asked(commitment, OUTPUT, 0, 1, commitment.domain)
    opening = replace(request, leaves=(b"something else",))
    reply = Reply.from_bytes(answers([opening], identity(commitment.domain)), [request])
    return reply.evidence(0)


def serve(store: SealedPartition, query: AskNodes | AskLeaves) -> Any:
    """Answer a question as an honest holder does."""
    if isinstance(query, AskLeaves):
        return store.open(query.request)
    return store.tree(query.request.tree)[0].descendants(query.level, query.index, query.depth)


def recompute(
    plan: Plan, query: Recompute, inputs: bytes, own: SealedPartition | None = None
) -> Any:
    """Recompute as an ideal referee does: a unit from its input, or the whole partition."""
    own = own or partition(plan, query.task)
    if query.unit is None:
        claim = own.commit(plan.job, *query.task, COORDINATOR, inputs)
        hashes = own.input_tree.leaf_hashes if own.inputs else []
        return Outcome(claim, tuple(hashes), tuple(own.output_tree.leaf_hashes))
    return column(plan, query.task, query.unit, query.unit_input)
