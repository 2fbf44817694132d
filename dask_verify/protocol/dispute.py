"""Arbitrating one divergence: where two claims differ, and which of them is wrong.

A pure generator: it yields questions, receives plain answers (``None`` where nobody answered) and
returns a `Finding`. Rules that it keeps:

* Nothing that a domain answers is believed unless it hashes to the root that the domain signed.
* A side that refuses or answers inconsistently does not stop the arbitration: the partition is
  recomputed as a whole and compared with what that side signed.
* Only the coordinator's own recomputation says who is wrong, and only if its runs agree.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass, replace
from itertools import zip_longest
from typing import Any

from dask_verify.core.merkle import BLAKE3, Difference, descend, verify_descendants
from dask_verify.core.seal import INPUT, OUTPUT, Answer, Commitment, Opening, asked
from dask_verify.errors import DescentError, ProofError
from dask_verify.protocol.messages import MAP, READ, Finding, Sample, Task
from dask_verify.protocol.quorum import Claim
from dask_verify.protocol.records import compare_leaves

_WIDEST = 1 << 16  #: leaves whose hashes are asked for at once where shapes differ


@dataclass(frozen=True)
class AskNodes:
    """Hashes ``depth`` levels below a node; ``request`` names the tree and whom to ask.

    Parameters
    ----------
    task : Task
        The task in dispute.
    request : Opening
        Which tree, and whose.
    level, index : int
        The node.
    depth : int
        How many levels below it.
    """

    task: Task
    request: Opening
    level: int
    index: int
    depth: int


@dataclass(frozen=True)
class AskLeaves:
    """An opening of a range of leaves; ``request`` says which and by whom.

    Parameters
    ----------
    task : Task
        The task in dispute.
    request : Opening
        Which leaves, and whose.
    """

    task: Task
    request: Opening


@dataclass(frozen=True)
class Recompute:
    """Recompute one unit, or with ``unit=None`` the partition, in two fresh processes.

    Parameters
    ----------
    task : Task
        The task in dispute.
    unit : int or None
        Number of the unit; None for the partition.
    unit_input : bytes or None
        Canonical bytes of the unit's input, where it was opened.
    """

    task: Task
    unit: int | None
    unit_input: bytes | None


@dataclass(frozen=True)
class Outcome:
    """A partition as the coordinator computed it.

    Parameters
    ----------
    commitment : Commitment
        What the coordinator would commit to.
    input_hashes : tuple of bytes
        Hashes of the units' inputs.
    leaf_hashes : tuple of bytes
        Hashes of the cells.
    """

    commitment: Commitment
    input_hashes: tuple[bytes, ...]
    leaf_hashes: tuple[bytes, ...]


@dataclass(frozen=True)
class Recomputed:
    """Answer to `Recompute`.

    Parameters
    ----------
    runs : tuple
        One entry a fresh process: the leaves of the unit, or an `Outcome` for a whole partition.
    source_ok : bool
        Whether the source could be pinned and is still the same.
    failure : str
        Why there are no runs; empty otherwise.
    """

    runs: tuple[Any, ...]
    source_ok: bool = True
    failure: str = ""


Query = AskNodes | AskLeaves | Recompute
Arbitration = Generator[Query, Any, Finding]


def arbitrate(
    task: Task,
    one: Claim,
    other: Claim,
    recompute: bool,
    vouched: bool = True,
    answers: Sequence[Answer] = (),
) -> Arbitration:
    """Settle one divergence.

    1. Find out whether the inputs or only the outputs differ.
    2. Descend that tree to the first differing leaf: this names the unit.
    3. Open that leaf on both sides, for the report.
    4. Where the inputs agree, and an honest domain signed them, recompute the one unit from its
       opened input.
    5. Otherwise, or where a side would not answer, recompute the partition.

    Parameters
    ----------
    task : Task
        Where the claims differ.
    one, other : Claim
        Two claims with different digests.
    recompute : bool
        Whether the coordinator is the referee; without it the divergence is only located.
    vouched : bool
        Whether an honest domain must be among those who signed the input root of the claims;
        without it a liar could have the referee map what it made up.
    answers : sequence of Answer
        What auditors have signed about the task; judged where the partition is recomputed.

    Returns
    -------
    Finding
        As the generator's value.

    Yields
    ------
    Query
        Questions; each is answered with what was asked for.
    """
    sides = (one, other)
    tree = INPUT if _read_differently(task, one.commitment, other.commitment) else OUTPUT
    difference = yield from _locate(task, sides, tree)
    finding = Finding(
        task,
        one.commitment.inputs,
        "read" if tree == INPUT else task.stage,
        units=() if difference is None else (_unit(tree, one.commitment, difference.index),),
    )
    if difference is not None:
        finding = replace(finding, sample=(yield from _sample(task, sides, tree, difference)))
    if not recompute:
        return finding
    if difference is not None and tree == OUTPUT and (vouched or task.stage != MAP):
        settled = yield from _judge_unit(task, sides, difference, finding)
        if settled is not None:
            return settled
    return (yield from judge_partition(task, sides, finding, answers))


def hashes_said(answer: Answer, unit: int) -> tuple[bytes, ...]:
    """Return the leaf hashes that an answer has for a unit.

    Parameters
    ----------
    answer : Answer
        The auditor's answer.
    unit : int
        Number of the unit.

    Returns
    -------
    tuple of bytes
    """
    width = len(answer.hashes) // len(answer.units)
    at = answer.units.index(unit)
    return answer.hashes[at * width : (at + 1) * width]


def _liars(answers: Sequence[Answer], truth: Outcome) -> frozenset[str]:
    """Return whose answers the truth contradicts, where they were asked about the truth at all."""
    return frozenset(answer.domain for answer in answers if _untrue(answer, truth))


def _untrue(answer: Answer, truth: Outcome) -> bool:
    own = truth.commitment
    if answer.stage == READ:
        read = ((own.input_root,), (own.records_in, own.units))
        return (answer.hashes, answer.counts) != read
    for unit, question in zip(answer.units, answer.questions, strict=True):
        if answer.stage != MAP:
            column: Sequence[bytes] = truth.leaf_hashes[unit : unit + 1]
        elif truth.input_hashes[unit : unit + 1] == (question,):
            column = truth.leaf_hashes[unit :: own.units]
        else:
            continue  # the holder had made its input up
        if hashes_said(answer, unit) != tuple(column):
            return True
    return False


def _read_differently(task: Task, one: Commitment, other: Commitment) -> bool:
    if task.stage != MAP:
        return False
    return (one.records_in, one.units, one.input_root) != (
        other.records_in,
        other.units,
        other.input_root,
    )


def _unit(tree: str, commitment: Commitment, index: int) -> int:
    if tree == INPUT:
        return index
    return index % commitment.units if commitment.stage == MAP else index


def _locate(
    task: Task, sides: tuple[Claim, Claim], tree: str
) -> Generator[Query, Any, Difference | None]:
    """Descend to the first differing leaf; None if the trees cannot be compared."""
    one, other = (asked(c.commitment, tree, 0, 0, c.domain) for c in sides)
    shapes = {(c.commitment.buckets, c.commitment.units) for c in sides}
    if len(shapes) > 1 or not one.root or not other.root or one.root == other.root:
        return None
    steps = descend(BLAKE3, one.size, one.root, other.root)
    answer: Any = None
    try:
        while True:
            ask = steps.send(answer)
            side = one if ask.side == "a" else other
            answer = yield AskNodes(task, side, ask.level, ask.index, ask.depth)
    except StopIteration as stop:
        found: Difference | None = stop.value
        return found
    except (DescentError, ProofError):
        return None


def _open(task: Task, claim: Claim, tree: str, index: int) -> Generator[Query, Any, bytes | None]:
    """Open one leaf and believe it only if it belongs to the signed root."""
    request = asked(claim.commitment, tree, index, index + 1, claim.domain)
    opening = yield AskLeaves(task, request)
    if opening is None:
        return None
    try:
        opening.verify(request)
    except ProofError:
        return None
    leaf: bytes = opening.leaves[0]
    return leaf


def _sample(
    task: Task, sides: tuple[Claim, Claim], tree: str, difference: Difference
) -> Generator[Query, Any, Sample | None]:
    leaves = []
    for claim in sides:
        leaf = yield from _open(task, claim, tree, difference.index)
        if leaf is None:
            return None
        leaves.append(leaf)
    return compare_leaves(*leaves)


def _judge_unit(
    task: Task, sides: tuple[Claim, Claim], difference: Difference, finding: Finding
) -> Generator[Query, Any, Finding | None]:
    commitment = sides[0].commitment
    unit, unit_input = finding.units[0], None
    if task.stage == MAP:
        if not commitment.input_root:
            return None
        unit_input = yield from open_unit_input(task, sides, unit)
        if unit_input is None:
            return None
    answer: Recomputed = yield Recompute(task, unit, unit_input)
    if not answer.runs:
        return None
    leaf = difference.index // commitment.units if task.stage == MAP else 0
    if any(leaf >= len(run) for run in answer.runs):
        return None  # both sides claim more buckets than there are
    hashes = {BLAKE3.leaf(run[leaf]) for run in answer.runs}
    if len(hashes) > 1:
        return replace(finding, stable=False)
    said = zip(sides, (difference.hash_a, difference.hash_b), strict=True)
    return replace(finding, wrong=frozenset(c.digest for c, h in said if h not in hashes))


def open_unit_input(
    task: Task, sides: Sequence[Claim], unit: int
) -> Generator[Query, Any, bytes | None]:
    """Open the input of a unit from either side: both signed the same input root.

    Parameters
    ----------
    task : Task
        The task.
    sides : sequence of Claim
        The claims that differ.
    unit : int
        Number of the unit.

    Yields
    ------
    Query
        Questions; each is answered with what was asked for.
    """
    for claim in sides:
        leaf = yield from _open(task, claim, INPUT, unit)
        if leaf is not None:
            return leaf
    return None


def judge_partition(
    task: Task, sides: Sequence[Claim], finding: Finding, answers: Sequence[Answer] = ()
) -> Generator[Query, Any, Finding]:
    """Recompute the whole partition and compare it with what was signed about it.

    Parameters
    ----------
    task : Task
        The task.
    sides : sequence of Claim
        The claims that differ.
    finding : Finding
        What is known so far.
    answers : sequence of Answer, optional
        Auditors' answers about the task.

    Yields
    ------
    Query
        Questions; each is answered with what was asked for.
    """
    answer: Recomputed = yield Recompute(task, None, None)
    if not answer.runs:
        return replace(finding, failure=answer.failure or "the referee gave no answer")
    outcomes: list[Outcome] = list(answer.runs)
    finding = replace(finding, read=task.stage == MAP, source_ok=answer.source_ok)
    if len({o.commitment.digest for o in outcomes}) > 1:
        return replace(finding, stable=False, cause=_unstable_cause(task, answer))
    truth = outcomes[0]
    wrong = [c for c in sides if c.digest != truth.commitment.digest]
    misread = any(_read_differently(task, c.commitment, truth.commitment) for c in wrong)
    if wrong and not finding.units:
        tree = INPUT if misread and truth.commitment.input_root else OUTPUT
        finding = replace(finding, units=(yield from _first_unit(task, wrong[0], truth, tree)))
    return replace(
        finding,
        cause="read" if misread else task.stage,
        wrong=frozenset(c.digest for c in wrong),
        liars=_liars(answers, truth),
    )


def _unstable_cause(task: Task, answer: Recomputed) -> str:
    """Return whether runs that differ have read, or only computed, something else.

    Where the unit is the whole partition, nothing shows what they read: a source that changed may
    explain it.
    """
    reads = {(o.commitment.records_in, o.input_hashes) for o in answer.runs}
    hidden = task.stage == MAP and not any(o.input_hashes for o in answer.runs)
    return "read" if len(reads) > 1 or (hidden and not answer.source_ok) else task.stage


def _first_unit(
    task: Task, claim: Claim, truth: Outcome, tree: str
) -> Generator[Query, Any, tuple[int, ...]]:
    """Name the first unit in which a claim of another shape leaves the truth."""
    if truth.commitment.units == 1 and task.stage == MAP:
        return (0,)
    request = asked(claim.commitment, tree, 0, 0, claim.domain)
    if not 0 < request.size <= _WIDEST or not request.root:
        return ()
    level = (request.size - 1).bit_length()
    hashes = yield AskNodes(task, request, level, 0, level)
    try:
        verify_descendants(BLAKE3, request.size, level, 0, level, hashes or [], request.root)
    except ProofError:
        return ()
    truths = truth.input_hashes if tree == INPUT else truth.leaf_hashes
    pairs = zip_longest(hashes, truths)
    index = next((i for i, (said, true) in enumerate(pairs) if said != true), None)
    return () if index is None else (_unit(tree, truth.commitment, index),)
