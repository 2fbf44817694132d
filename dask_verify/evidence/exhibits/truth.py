"""Holding what was signed against what a recomputation found: one function, for all who judge.

* A commitment is contradicted by a leaf of its own tree, or by all of them, only where they were
  recomputed from the input that the commitment is bound to.
* Of what a side read, only a reading of the source tells whether it was right.
* An answer is contradicted only where it was given to the question that was recomputed.
* What cannot be compared contradicts nobody.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from dask_verify.core.merkle import MerkleTree
from dask_verify.core.seal import OUTPUT, Answer, Commitment
from dask_verify.evidence.exhibits.parts import Given, Leaf
from dask_verify.protocol.messages import MAP, READ

Reading = tuple[int, int, bytes]


def reading_of(commitment: Commitment) -> Reading:
    """Return what a commitment says about its input.

    Parameters
    ----------
    commitment : Commitment
        The commitment.

    Returns
    -------
    Reading
    """
    return commitment.records_in, commitment.units, commitment.input_root


@dataclass(frozen=True)
class Truth:
    """What a recomputation found.

    Parameters
    ----------
    stage : str
    start, stop : int
        Units that were computed.
    hashes : tuple of bytes
        Their leaf hashes, in the order of the tree.
    whole : Commitment or None
        To the partition, where all of it was computed.
    reading : (int, int, bytes) or None
        Records, units and input root, where the input was produced again.
    source : bool
        Whether that is what the source holds, and not merely what somebody was given.
    """

    stage: str
    start: int
    stop: int
    hashes: tuple[bytes, ...]
    whole: Commitment | None = None
    reading: Reading | None = None
    source: bool = False

    def column(self, unit: int) -> tuple[bytes, ...]:
        """Return the leaf hashes of one unit, bucket by bucket.

        Parameters
        ----------
        unit : int
            Number of the unit.

        Returns
        -------
        tuple of bytes
        """
        at = unit - self.start
        if self.stage != MAP:
            return self.hashes[at : at + 1]
        return self.hashes[at :: self.stop - self.start]

    def at(self, index: int, units: int) -> bytes | None:
        """Return the hash that belongs at a leaf of a tree of so many units; None if unknown.

        Parameters
        ----------
        index : int
            Number of the leaf.
        units : int
            Number of units.

        Returns
        -------
        bytes or None
        """
        bucket, unit = divmod(index, units) if self.stage == MAP else (0, index)
        if not self.start <= unit < self.stop:
            return None
        column = self.column(unit)
        return column[bucket] if bucket < len(column) else None


def contradicts(
    truth: Truth, commitment: Commitment, leaves: Sequence[Leaf], given: Given | None
) -> bool | None:
    """Whether a recomputation contradicts a commitment; None if they cannot be compared.

    Parameters
    ----------
    truth : Truth
        What was recomputed.
    commitment : Commitment
        The commitment.
    leaves : sequence of Leaf
        The leaves.
    given : Given or None
        The inputs that the exhibit has, if it has any.

    Returns
    -------
    bool or None

    Examples
    --------
    >>> from dask_verify.core.seal import SealedPartition
    >>> sealed = SealedPartition(1, 1, 1, (1,), (b"leaf",))
    >>> one = sealed.commit(b"job", "reduce", 0, "alice", b"inputs")
    >>> leaf = Leaf("output", one.root, 1, 0, sealed.output_tree.root, (), b"leaf")
    >>> contradicts(Truth("reduce", 0, 1, (one.root,)), one, [leaf], None)
    False
    >>> contradicts(Truth("reduce", 0, 1, (bytes(32),)), one, [leaf], None)
    True
    >>> contradicts(Truth("reduce", 1, 2, (bytes(32),)), one, [leaf], None)
    """
    if truth.source and truth.reading is not None and reading_of(commitment) != truth.reading:
        return True
    if not _same_input(truth, commitment, given):
        return None  # its cells are those of another input
    if truth.whole is not None:
        return commitment.digest != truth.whole.digest
    units = commitment.units if truth.stage == MAP else commitment.buckets
    if (truth.start, truth.stop) == (0, units):
        return commitment.root != MerkleTree.from_leaf_hashes(truth.hashes).root
    found = [truth.at(leaf.index, commitment.units) for leaf in of_output(leaves, commitment)]
    said = [leaf.hash for leaf in of_output(leaves, commitment)]
    known = [one != other for one, other in zip(found, said, strict=True) if one is not None]
    return any(known) if known else None


def _same_input(truth: Truth, commitment: Commitment, given: Given | None) -> bool:
    """Whether a side signed the input that was computed from; that of a reduce task is assigned."""
    if truth.stage != MAP:
        return True
    root = given.root if given is not None else truth.reading[2] if truth.reading else None
    if root or truth.whole is None or truth.reading is None:
        return commitment.input_root == root and (bool(root) or commitment.units == 1)
    return reading_of(commitment) == truth.reading  # a partition that is a unit has no root


def of_output(leaves: Sequence[Leaf], commitment: Commitment) -> list[Leaf]:
    """Return the leaves of the tree of a commitment's cells.

    Parameters
    ----------
    leaves : sequence of Leaf
        The leaves.
    commitment : Commitment
        The commitment.

    Returns
    -------
    list of Leaf
    """
    tree = (OUTPUT, commitment.root, commitment.size)
    return [leaf for leaf in leaves if (leaf.tree, leaf.root, leaf.size) == tree]


def gainsays(truth: Truth, answer: Answer, given: Given | None) -> bool | None:
    """Whether a recomputation contradicts an auditor's answer; None if they cannot be compared.

    Parameters
    ----------
    truth : Truth
        What was recomputed.
    answer : Answer
        An auditor's answer.
    given : Given or None
        The inputs that the exhibit has, if it has any.

    Returns
    -------
    bool or None
    """
    if answer.stage == READ:
        if truth.reading is None:
            return None
        records, units, root = truth.reading
        return (answer.hashes, answer.counts) != ((root,), (records, units))
    if given is None or answer.stage != truth.stage or len(answer.hashes) % len(answer.units):
        return None
    width = len(answer.hashes) // len(answer.units)
    known = [
        answer.hashes[at * width : (at + 1) * width] != truth.column(unit)
        for at, (unit, question) in enumerate(zip(answer.units, answer.questions, strict=True))
        if truth.start <= unit < truth.stop and question == given.question(truth.stage, unit)
    ]
    return any(known) if known else None
