"""Divergences that are arbitrated without a cluster, and the exhibits that are made of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pandas as pd

from dask_verify.core.canonical import decode, decode_leaf, encode, encode_frame, encode_records
from dask_verify.core.seal import (
    ANSWER_CONTEXT,
    OUTPUT,
    Answer,
    SealedPartition,
    asked,
    asked_columns,
    map_question,
    reduce_question,
)
from dask_verify.engine.arbiter import Arbiter
from dask_verify.engine.exhibits import exhibit_of
from dask_verify.engine.referee import _flat, _unit
from dask_verify.evidence.exhibits.exhibit import Exhibit
from dask_verify.execution import compute
from dask_verify.execution.work import Work, ship
from dask_verify.protocol.divergence import Divergence, Proof
from dask_verify.protocol.domain import Identity
from dask_verify.protocol.messages import (
    MAP,
    READ,
    REDUCE,
    Arbitrate,
    Finding,
    Objection,
    Task,
)
from dask_verify.protocol.policy import Policy
from dask_verify.protocol.quorum import CONTEXT, Ballot, Claim
from dask_verify.protocol.serving import unwrap
from dask_verify.protocol.terms import Terms, map_inputs, reduce_inputs

NAMES = ("alice", "bob", "carol")
KEYS = {name: Identity(name, bytes([7 * at + 1]) * 32) for at, name in enumerate(NAMES)}
COORDINATOR = Identity("coordinator", b"c" * 32)
MAPS, REDUCES, BUCKETS, UNIT = 2, 2, 4, 3

CODE = """
import os
from subprocess import run
import functools

import pandas as pd

def pairs(n):
    return [(n % 5, n)]

def other_pairs(n):
    return [(n % 5, n + 1)]

def total(key, values):
    return sum(values)

def doubled(df):
    return df.assign(x=df.x * 2)

def summed(df):
    return df.groupby("k", as_index=False).x.sum()

def unordered(n):
    return [(0, str({str(i) for i in range(100)}))]

def broken(n):
    print("this must not spoil the answer")
    raise ValueError("no \\x1b[2J number")

def endless(n):
    while True:
        pass

def _made():
    def closure(n):
        return [(n, n)]
    return closure

closure = _made()
part = functools.partial(pairs)
renamed = pairs
shown = lambda n: [(n % 5, n)]

def replaced(n):
    return pairs(n)

def aliased(n):
    return pairs(n)

def lifted(n):
    return pairs(n)

replaced, aliased, lifted = part, pairs, __import__("json").dumps

@functools.wraps(pairs)
def wrapped(n):
    return pairs(n)
"""


def install(folder: Path, monkeypatch: Any) -> Any:
    """Make the functions importable, here and in fresh processes."""
    import importlib
    import os

    (folder / "own_code.py").write_text(CODE)
    monkeypatch.syspath_prepend(str(folder))
    path = os.environ.get("PYTHONPATH", "")
    monkeypatch.setenv("PYTHONPATH", f"{folder}{os.pathsep}{path}".rstrip(os.pathsep))
    importlib.invalidate_caches()
    monkeypatch.delitem(__import__("sys").modules, "own_code", raising=False)
    return importlib.import_module("own_code")


def bag(code: Any, mapper: str = "pairs", combiner: Any = None) -> Work:
    return Work("bag", getattr(code, mapper), code.total, combiner, BUCKETS, REDUCES, UNIT)


def frames(code: Any, unit_records: int | None = None) -> Work:
    meta = pd.DataFrame({"k": pd.Series(dtype="int64"), "x": pd.Series(dtype="int64")})
    shape = (code.doubled, code.summed, None, BUCKETS, REDUCES, unit_records, ("k",))
    return Work("frame", *shape, meta, meta)


def data(kind: str, partition: int) -> Any:
    numbers = [10 * partition + n for n in range(8)]
    if kind == "bag":
        return numbers
    return pd.DataFrame({"k": [n % 5 for n in numbers], "x": numbers})


def changed(leaf: bytes) -> bytes:
    """A leaf of the same kind with another value in its last record."""
    rows = decode_leaf(leaf)
    if not isinstance(rows, list):
        rows = rows.copy()
        if len(rows):
            rows.iloc[-1, -1] += 1
            return encode_frame(rows)
        return encode_frame(pd.DataFrame({"k": [1], "x": [1]}))
    return encode_records([*rows[:-1], (rows[-1][0], rows[-1][1] + 1)] if rows else [(1, 1)])


def tampered(sealed: SealedPartition, *leaves: int) -> SealedPartition:
    """A partition in which some leaves are not what was computed."""
    made = [changed(leaf) if i in leaves else leaf for i, leaf in enumerate(sealed.leaves)]
    return replace(sealed, leaves=tuple(made))


@dataclass
class Court:
    """A job of two map and two reduce partitions, of which one is in dispute.

    ``stores`` has what each domain committed to and serves.
    """

    work: Work
    task: Task
    folder: Path
    stores: dict[str, SealedPartition] = field(default_factory=dict)
    refusing: tuple[str, ...] = ()
    seen: list[Any] = field(default_factory=list)
    made: SealedPartition | None = None

    def __post_init__(self) -> None:
        self.shipped = ship(self.work)
        self.terms = Terms(
            nonce=bytes(32),
            seed_digest=bytes(32),
            coordinator=COORDINATOR.public_key,
            policy=Policy(),
            domains=tuple((n, KEYS[n].public_key) for n in NAMES),
            functions=self.shipped.digest,
            sources=b"s",
            maps=MAPS,
            reduces=REDUCES,
            buckets=BUCKETS,
            unit_records=self.work.unit_records or 0,
        )
        self.maps = [
            compute.map_partition(self.work, i, data(self.work.kind, i)) for i in range(MAPS)
        ]
        accepted = [
            sealed.commit(self.job, MAP, i, "alice", map_inputs(self.job, i))
            for i, sealed in enumerate(self.maps)
        ]
        self.accepted = accepted
        digests = [c.digest for c in accepted]
        mapping = self.task.stage == MAP
        self.inputs = (
            map_inputs(self.job, self.task.partition)
            if mapping
            else reduce_inputs(self.job, digests)
        )
        self.truth = self.maps[self.task.partition] if mapping else self.reduced()

    @property
    def job(self) -> bytes:
        return self.terms.job

    def reduced(self) -> SealedPartition:
        sections = [
            sealed.leaves[slice(*self.work.bounds(sealed.units)[self.task.partition])]
            for sealed in self.maps
        ]
        return compute.reduce_partition(self.work, self.task.partition, sections)

    # --- what the arbiter sees -----------------------------------------------------------------

    def ranges(self, partition: int, inputs: bytes) -> Any:
        for commitment in self.accepted:
            yield (commitment, *self.work.bounds(commitment.units)[partition])

    def open(self, request: Any, what: str) -> Any:
        self.seen.append(request)
        if request.domain in self.refusing:
            return None
        return self.stores[request.domain].open(request)

    def nodes(self, request: Any, level: int, index: int, depth: int) -> Any:
        if request.domain in self.refusing:
            return None
        return self.stores[request.domain].tree(request.tree)[0].descendants(level, index, depth)

    def columns(self, request: Any, what: str) -> Any:
        self.seen.append(request)
        return (
            None
            if request.domain in self.refusing
            else self.stores[request.domain].columns(request)
        )

    def sections(self, ranges: Sequence[Any], what: str) -> Any:
        return [
            self.maps[c.partition].open(asked(c, OUTPUT, start, stop, "alice"))
            for c, start, stop in ranges
        ]

    def run(self, request: Any, runs: int) -> Any:
        """Compute in this process what fresh ones would."""
        if request.payloads:
            found = encode(tuple(_unit(self.work, request, *pair) for pair in request.payloads))
        elif request.stage == REDUCE:
            found = _flat(compute.reduce_partition(self.work, request.partition, request.sections))
        else:
            read = data(self.work.kind, request.partition)
            inputs = (
                compute.read_partition(self.work, read)[0] if self.work.unit_records is None else ()
            )
            found = _flat(compute.map_partition(self.work, request.partition, read), inputs)
        return [decode(found)] * runs

    # --- settling --------------------------------------------------------------------------------

    def claim(self, domain: str, sealed: SealedPartition | None = None) -> Claim:
        made = (sealed or self.stores[domain]).commit(self.job, *self.task, domain, self.inputs)
        return Claim(domain, made, KEYS[domain].sign(CONTEXT, made.to_bytes()))

    def finding(self, claims: Sequence[Claim], **options: Any) -> Finding:
        """Arbitrate between the first claim and the first that differs, or an objection."""
        ballot = Ballot()
        for claim in claims:
            ballot.add(claim)
        other = next((c.digest for c in claims if c.digest != claims[0].digest), b"")
        state = SimpleNamespace(inputs=self.inputs, ballot=ballot)
        found: list[Finding] = []
        source = SimpleNamespace(
            partition=lambda i: {}, keys=[0] * MAPS, pinned=lambda i: True, pins=()
        )
        jobs: Any = SimpleNamespace(state=lambda task: state)
        arbiter = Arbiter(
            plan=SimpleNamespace(job=self.job),  # type: ignore[arg-type]
            work=self.work,
            shipped=self.shipped,
            source=source,  # type: ignore[arg-type]
            state=jobs,
            reader=self,  # type: ignore[arg-type]
            ranges=self.ranges,
            post=found.append,  # type: ignore[arg-type]
            folder=self.folder / "exhibits",
            referee=self,  # type: ignore[arg-type]
        )
        kept = self.folder / "exhibits"
        number = len(list(kept.iterdir())) if kept.is_dir() else 0
        options = {"recompute": True, "number": number, **options}
        asked = Arbitrate(self.task, self.inputs, claims[0].digest, other, **options)
        jobs.arbitrated = asked
        arbiter.settle(asked)
        assert not found[0].failure, found[0].failure
        return found[0]

    def exhibit(
        self,
        claims: Sequence[Claim],
        settled: str = "referee",
        answers: Sequence[bytes] = (),
        culprits: Sequence[str] | None = None,
        **options: Any,
    ) -> Exhibit:
        seen = tuple(Answer.from_bytes(unwrap(wire)[0]) for wire in answers)
        finding = self.finding(claims, answers=seen, **options)
        wrong = [c.domain for c in claims if c.digest in finding.wrong]
        blamed = tuple(dict.fromkeys([*wrong, *finding.liars])) if culprits is None else culprits
        proof = Proof(
            inputs=self.inputs,
            claims=tuple(claims),
            answers=tuple(answers),
            wrong=tuple(finding.wrong),
            liars=tuple(finding.liars),
            material=finding.material,
        )
        sides = tuple(dict.fromkeys(c.domain for c in claims))
        divergence = Divergence(
            *self.task, finding.units, sides, tuple(blamed), finding.cause, settled, None, proof
        )
        return self.shown(divergence)

    def shown(self, divergence: Divergence) -> Exhibit:
        driver = SimpleNamespace(
            work=self.work,
            shipped=self.shipped,
            terms=self.terms,
            exhibits=self.folder / "exhibits",
        )
        return exhibit_of(driver, divergence)[0]  # type: ignore[arg-type]

    def allowed(self, stage: str) -> float:
        """Seconds that computing, or looking at a source, may take."""
        return 60.0

    # --- auditors --------------------------------------------------------------------------------

    def answer(self, domain: str, units: Sequence[int], lie: bool = False) -> tuple[Answer, bytes]:
        """An auditor's signed answer about some units, as an honest or a lying one gives it."""
        commitment = self.truth.commit(self.job, *self.task, domain, self.inputs)
        columns = self.truth.columns(asked_columns(commitment, list(units), domain))
        flip: Callable[[bytes], bytes] = lambda h: bytes([h[0] ^ 1]) + h[1:] if lie else h  # noqa: E731
        hashes = tuple(flip(h) for unit in units for h in columns.of(unit))
        questions = tuple(self.question(unit) for unit in units)
        made = Answer(
            self.job, *self.task, domain, self.inputs, tuple(units), questions, hashes, ()
        )
        return made, self.signed(made)

    def read_answer(self, domain: str, root: bytes) -> tuple[Answer, bytes]:
        counts = (self.truth.records_in, self.truth.units)
        partition = self.task.partition
        made = Answer(self.job, READ, partition, domain, self.inputs, (), (), (root,), counts)
        return made, self.signed(made)

    def signed(self, answer: Answer) -> bytes:
        payload = answer.to_bytes()
        return encode((payload, KEYS[answer.domain].sign(ANSWER_CONTEXT, answer.statement())))

    def question(self, unit: int) -> bytes:
        if self.task.stage == MAP:
            return map_question(self.truth.inputs[unit])
        bucket = self.task.partition * self.work.run + unit
        cells = [
            cell
            for sealed in self.maps
            for cell in sealed.leaves[bucket * sealed.units : (bucket + 1) * sealed.units]
        ]
        return reduce_question(cells)

    def objection(self, answer: tuple[Answer, bytes], unit: int | None, claim: Claim) -> Objection:
        return Objection(answer[0], claim.digest, unit)
