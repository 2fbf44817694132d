"""Simulated audits: holders that open or do not, auditors that answer or lie, and counts.

Columns are really opened and checked against the signed root, as whoever carries challenges must.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Protocol

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
from dask_verify.protocol.board import Plan
from dask_verify.protocol.domain import COORDINATOR, Identity
from dask_verify.protocol.messages import (
    MAP,
    READ,
    REDUCE,
    Audited,
    Challenge,
    Event,
    Recount,
    Recounted,
    Task,
    Unaudited,
    Unopened,
)
from dask_verify.testing.simulation.behaviours import COLLUDERS, HONEST
from dask_verify.testing.simulation.enrolment import identity
from dask_verify.testing.simulation.partitions import (
    BUCKETS,
    Flavour,
    column,
    corrupted,
    hashed,
    partition,
    poisoned,
    records,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from dask_verify.testing.simulation.world import Simulation

_UNANSWERED = {"silent", "silent_auditor", "slow", "returning"}


class Sources(Protocol):
    """What an auditor has to know of a job: the plan, and the maps that reduce tasks read.

    Attributes
    ----------
    plan : Plan
        What the job is.
    sources : sequence of Commitment
        The accepted map commitments.
    by_root : mapping of bytes to SealedPartition
        What was sealed, by its root.
    """

    plan: Plan
    sources: Sequence[Commitment]
    by_root: Mapping[bytes, SealedPartition]

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


def challenged(world: Simulation, challenge: Challenge) -> Event:
    """Return what comes of a challenge: an answer, a refusal, a failure or silence.

    Parameters
    ----------
    world : Simulation
        The simulated job.
    challenge : Challenge
        The challenge.

    Returns
    -------
    Event
    """
    claim = world.job.state(challenge.task).ballot.of(challenge.digest)
    assert claim is not None, "what is challenged was claimed"
    commitment = claim.commitment
    if challenge.domain in world.away:
        world.excused[challenge.domain] = "away"
        return Unaudited(challenge, "late")
    if challenge.kind == READ:
        return _audited(world, challenge, (), (), commitment)
    opened = _opened(world, challenge, commitment)
    if opened is None:
        return Unopened(challenge)
    return _audited(world, challenge, *opened, commitment)


def _opened(
    world: Simulation, challenge: Challenge, commitment: Commitment
) -> tuple[tuple[bytes, ...], tuple[bytes, ...]] | None:
    """Return inputs of challenged units and the hashes that were committed; None: withheld."""
    task, holder, units = challenge.task, challenge.holder, challenge.units
    store = world.stores.get((task, holder))
    if holder in world.away or store is None or _refuses(world, challenge, store):
        world.excuse_loss(holder)
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


def _refuses(world: Simulation, challenge: Challenge, store: SealedPartition) -> bool:
    behaviour = world.behaviours.get(challenge.holder)
    if behaviour != "dodging":
        return behaviour in ("refusing", "lost_store", "recommits")
    mapping = challenge.task.stage == MAP
    number = store.units if mapping else store.buckets
    lied = corrupted(challenge.task, challenge.holder, "one", number)
    return bool(set(lied) & set(challenge.units))


def _audited(
    world: Simulation,
    challenge: Challenge,
    inputs: tuple[bytes, ...],
    expected: tuple[bytes, ...],
    commitment: Commitment,
) -> Event:
    behaviour = world.behaviours.get(challenge.domain, HONEST)
    if behaviour == "flaky":
        behaviour = world.random.choice(["frames", "silent", "failing", "lazy", "garbage", HONEST])
    if behaviour in _UNANSWERED:
        return Unaudited(challenge, "late")
    if behaviour in ("failing", "failing_auditor"):
        return Unaudited(challenge, "it raised", failed=True)
    if _unable(world, challenge, inputs, behaviour):
        hangs = challenge.task.stage == REDUCE and world.hangs(challenge.inputs)
        return Unaudited(challenge, "late" if hangs else "it raised", failed=not hangs)
    answer = true_answer(world, challenge, inputs)
    return Audited(
        challenge,
        _wire(world, challenge, answer, expected, commitment, behaviour),
        expected,
        answer.questions,
    )


def _unable(
    world: Simulation, challenge: Challenge, inputs: tuple[bytes, ...], behaviour: str
) -> bool:
    """Whether the function fails, or hangs, on what was opened; an accomplice would not say so."""
    poison = any(map(poisoned, inputs)) or (challenge.kind != READ and world.unfit(challenge.task))
    if poison:
        world.excused[challenge.domain] = "failed on poison"
    return poison and behaviour not in COLLUDERS


def _wire(
    world: Simulation,
    challenge: Challenge,
    answer: Answer,
    expected: tuple[bytes, ...],
    commitment: Commitment,
    behaviour: str,
) -> bytes:
    """Return what the auditor sends: the truth, a cover, a lie or garbage."""
    if challenge.domain == COORDINATOR:
        return answer.to_bytes()
    if behaviour in COLLUDERS and world.behaviours.get(_signer(world, challenge)) in COLLUDERS:
        answer = _echo(answer, expected, commitment)
    elif behaviour in ("frames", "lazy"):
        fake = bytes(32) if behaviour == "lazy" else b"f" * 32
        answer = replace(answer, hashes=(*answer.hashes[:-1], fake))
    if behaviour in ("garbage", "garbage_auditor"):
        return world.random.randbytes(60)
    return signed(identity(challenge.domain), answer)


def _signer(world: Simulation, challenge: Challenge) -> str:
    claim = world.job.state(challenge.task).ballot.of(challenge.digest)
    return "" if claim is None else claim.domain


def _echo(answer: Answer, expected: tuple[bytes, ...], commitment: Commitment) -> Answer:
    """Say what the accomplice committed to."""
    if answer.stage == READ:
        counts = (commitment.records_in, commitment.units)
        return replace(answer, hashes=(commitment.input_root,), counts=counts)
    return replace(answer, hashes=expected)


def true_answer(world: Sources, challenge: Challenge, inputs: tuple[bytes, ...]) -> Answer:
    """Return what an honest auditor says, given the opened inputs of map units.

    Parameters
    ----------
    world : Sources
        The simulated job.
    challenge : Challenge
        The challenge.
    inputs : tuple of bytes
        The opened inputs.

    Returns
    -------
    Answer
    """
    task, reading = challenge.task, challenge.kind == READ
    flavour = world.flavour(task, challenge.domain)
    own = partition(world.plan, task, flavour=flavour)
    if reading:
        questions: tuple[bytes, ...] = ()
        hashes: tuple[bytes, ...] = (own.input_tree.root,)
    else:
        pairs = list(zip(challenge.units, inputs, strict=True))
        questions = tuple(
            map_question(leaf) if task.stage == MAP else _question(world, task, unit)
            for unit, leaf in pairs
        )
        columns = (column(world.plan, task, *pair, flavour) for pair in pairs)
        hashes = tuple(h for cells in columns for h in hashed(cells))
    return Answer(
        world.plan.job,
        READ if reading else task.stage,
        task.partition,
        challenge.domain,
        challenge.inputs,
        challenge.units,
        questions,
        hashes,
        (own.records_in, own.units) if reading else (),
    )


def _question(world: Sources, task: Task, unit: int) -> bytes:
    """Hash of a bucket's cells in all maps that the reduce stage was started with."""
    bucket = task.partition * BUCKETS + unit
    cells: list[bytes] = []
    for source in world.sources:
        store = world.by_root.get(source.root)
        if store is not None:
            cells += store.leaves[bucket * store.units : (bucket + 1) * store.units]
    return reduce_question(cells)


def signed(who: Identity, answer: Answer) -> bytes:
    """Return an answer as it goes over the wire.

    Parameters
    ----------
    who : Identity
        Whose key signs.
    answer : Answer
        The answer.

    Returns
    -------
    bytes
    """
    payload = answer.to_bytes()
    return encode((payload, who.sign(ANSWER_CONTEXT, answer.statement())))


def there(world: Sources, reduce: int) -> list[int]:
    """Return how many records each map really has for a reduce partition.

    Parameters
    ----------
    world : Sources
        The simulated job.
    reduce : int
        Number of the reduce partition.

    Returns
    -------
    list of int
    """
    numbers = []
    for source in world.sources:
        store = world.by_root.get(source.root)
        if store is None:  # a root that nobody can open, so that nothing can be read either
            numbers.append(source.counts[reduce])
            continue
        width = BUCKETS * store.units
        numbers.append(records(range(reduce * width, (reduce + 1) * width)))
    return numbers


def recounted(world: Sources, recount: Recount) -> Recounted:
    """Count the records of a reduce partition's cells as they really are.

    Parameters
    ----------
    world : Sources
        The simulated job.
    recount : Recount
        Which reduce partition.

    Returns
    -------
    Recounted
    """
    at = recount.task.partition
    numbers = there(world, at)
    wrong = (i for i, source in enumerate(world.sources) if source.counts[at] != numbers[i])
    return Recounted(recount.task, recount.inputs, tuple(wrong), sum(numbers))
