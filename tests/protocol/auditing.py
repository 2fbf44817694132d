"""The simulator's audits: holders that open or do not, auditors that answer or lie, and counts.

Columns are really opened and checked against the signed root, as whoever carries challenges must.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from partitions import BUCKETS, column, corrupted, hashed, records

from dask_verify.core.canonical import encode
from dask_verify.core.seal import (
    ANSWER_CONTEXT,
    INPUT,
    Answer,
    Commitment,
    SealedPartition,
    asked,
    asked_columns,
    map_question,
    reduce_question,
)
from dask_verify.errors import ProofError
from dask_verify.protocol.domain import COORDINATOR, Identity
from dask_verify.protocol.messages import (
    MAP,
    READ,
    Audited,
    Challenge,
    Event,
    Recount,
    Recounted,
    Task,
    Unaudited,
    Unopened,
)

if TYPE_CHECKING:
    from simulator import Simulation

COLLUDERS = ("covering", "colluding")
_UNANSWERED = {"silent", "silent_auditor", "slow"}


def challenged(sim: Simulation, challenge: Challenge) -> Event:
    """What comes of a challenge: an answer, a refusal, a failure or silence."""
    commitment = sim.job.state(challenge.task).ballot.of(challenge.digest).commitment
    if challenge.kind == READ:
        return _audited(sim, challenge, (), (), commitment)
    opened = _opened(sim, challenge, commitment)
    return Unopened(challenge) if opened is None else _audited(sim, challenge, *opened, commitment)


def _opened(
    sim: Simulation, challenge: Challenge, commitment: Commitment
) -> tuple[tuple[bytes, ...], tuple[bytes, ...]] | None:
    """Inputs of the challenged units and the leaf hashes that were committed; None if withheld."""
    task, holder, units = challenge.task, challenge.holder, challenge.units
    store = sim.stores.get((task, holder))
    if store is None or _refuses(sim, challenge, store):
        return None
    request = asked_columns(commitment, units, holder)
    try:
        columns = store.columns(request)
        columns.verify(request)
        inputs = tuple(_inputs(commitment, store, unit, holder) for unit in units)
    except ProofError:
        return None
    return inputs, tuple(h for unit in units for h in columns.of(unit))


def _inputs(commitment: Commitment, store: SealedPartition, unit: int, holder: str) -> bytes:
    if commitment.stage != MAP:
        return b""
    request = asked(commitment, INPUT, unit, unit + 1, holder)
    opening = store.open(request)
    opening.verify(request)
    return opening.leaves[0]


def _refuses(sim: Simulation, challenge: Challenge, store: SealedPartition) -> bool:
    behaviour = sim.behaviours.get(challenge.holder)
    if behaviour != "dodging":
        return behaviour in ("refusing", "lost_store", "recommits")
    mapping = challenge.task.stage == MAP
    lied = corrupted(
        challenge.task, challenge.holder, "one", store.units if mapping else store.buckets
    )
    return bool(set(lied) & set(challenge.units))


def _audited(
    sim: Simulation,
    challenge: Challenge,
    inputs: tuple[bytes, ...],
    expected: tuple[bytes, ...],
    commitment: Commitment,
) -> Event:
    auditor = challenge.domain
    behaviour = sim.behaviours.get(auditor, "")
    if behaviour == "flaky":
        behaviour = sim.random.choice(["frames", "silent", "failing", "lazy", "garbage", ""])
    if behaviour in _UNANSWERED:
        return Unaudited(challenge, "late")
    if behaviour in ("failing", "failing_auditor"):
        return Unaudited(challenge, "it raised", failed=True)
    answer = true_answer(sim, challenge, inputs)
    own = answer.to_bytes() if auditor == COORDINATOR else b""
    if behaviour in COLLUDERS and sim.behaviours.get(_signer(sim, challenge)) in COLLUDERS:
        answer = _echo(answer, expected, commitment)
    elif behaviour in ("frames", "lazy"):
        fake = bytes(32) if behaviour == "lazy" else b"f" * 32
        answer = _with(answer, (*answer.hashes[:-1], fake))
    wire = own or signed(sim.identity(auditor), answer)
    if behaviour in ("garbage", "garbage_auditor"):
        wire = sim.random.randbytes(60)
    return Audited(challenge, wire, expected, answer.questions)


def _signer(sim: Simulation, challenge: Challenge) -> str:
    return sim.job.state(challenge.task).ballot.of(challenge.digest).domain


def _with(answer: Answer, hashes: tuple[bytes, ...], counts: tuple[int, ...] = ()) -> Answer:
    return replace(answer, hashes=hashes, counts=counts or answer.counts)


def _echo(answer: Answer, expected: tuple[bytes, ...], commitment: Commitment) -> Answer:
    """Say what the accomplice committed to."""
    if answer.stage == READ:
        read = (commitment.records_in, commitment.units)
        return _with(answer, (commitment.input_root,), read)
    return _with(answer, expected)


def true_answer(sim: Simulation, challenge: Challenge, inputs: tuple[bytes, ...]) -> Answer:
    """What an honest auditor says, given the opened inputs of map units."""
    task, reading = challenge.task, challenge.kind == READ
    own = sim.partition(task)
    if reading:
        questions: tuple[bytes, ...] = ()
        hashes: tuple[bytes, ...] = (own.input_tree.root,)
    else:
        questions = tuple(
            map_question(leaf) if task.stage == MAP else _question(sim, task, unit)
            for unit, leaf in zip(challenge.units, inputs, strict=True)
        )
        columns = (
            column(sim.plan, task, *pair) for pair in zip(challenge.units, inputs, strict=True)
        )
        hashes = tuple(h for cells in columns for h in hashed(cells))
    return Answer(
        sim.plan.job,
        READ if reading else task.stage,
        task.partition,
        challenge.domain,
        challenge.inputs,
        challenge.units,
        questions,
        hashes,
        (own.records_in, own.units) if reading else (),
    )


def _question(sim: Simulation, task: Task, unit: int) -> bytes:
    """Hash of a bucket's cells in all maps that the reduce stage was started with."""
    bucket = task.partition * BUCKETS + unit
    cells: list[bytes] = []
    for source in sim.sources:
        store = sim.by_root.get(source.root)
        if store is not None:
            cells += store.leaves[bucket * store.units : (bucket + 1) * store.units]
    return reduce_question(cells)


def signed(identity: Identity, answer: Answer) -> bytes:
    """An answer as it goes over the wire."""
    payload = answer.to_bytes()
    return encode((payload, identity.sign(ANSWER_CONTEXT, answer.statement())))


def there(sim: Simulation, reduce: int) -> list[int]:
    """How many records each map really has for a reduce partition."""
    numbers = []
    for source in sim.sources:
        store = sim.by_root.get(source.root)
        if store is None:  # a root that nobody can open, so that nothing can be read either
            numbers.append(source.counts[reduce])
            continue
        width = BUCKETS * store.units
        numbers.append(records(store, range(reduce * width, (reduce + 1) * width)))
    return numbers


def recounted(sim: Simulation, recount: Recount) -> Recounted:
    """Count the records of a reduce partition's cells as they really are."""
    at = recount.task.partition
    numbers = there(sim, at)
    wrong = (i for i, source in enumerate(sim.sources) if source.counts[at] != numbers[i])
    return Recounted(recount.task, recount.inputs, tuple(wrong), sum(numbers))
