"""The way through two Merkle trees, from their roots down to the leaf in which they differ.

It is drawn from inclusion proofs alone: the hashes on the way follow from the leaf, the siblings
are the proof. Every proof is checked, so that nothing is drawn that does not lead to its root.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from dask_verify.core.merkle import BLAKE3, verify_inclusion
from dask_verify.core.proofs import siblings
from dask_verify.errors import InputError


@dataclass(frozen=True)
class Proven:
    """A leaf's place in a tree.

    Parameters
    ----------
    index, size : int
    hash, root : bytes
    proof : sequence of bytes
        Sibling hashes from the leaf upwards.
    """

    index: int
    size: int
    hash: bytes
    root: bytes
    proof: Sequence[bytes]


@dataclass(frozen=True)
class Node:
    """One node as each tree has it.

    Parameters
    ----------
    first, last : int
        Leaves below it.
    hashes : tuple of bytes
        One for each tree.
    """

    first: int
    last: int
    hashes: tuple[bytes, ...]

    @property
    def differs(self) -> bool:
        """Whether the trees have it differently."""
        return len(set(self.hashes)) > 1


@dataclass(frozen=True)
class Level:
    """One step down: the node on the way, and the one beside it.

    Parameters
    ----------
    level : int
        0 for the leaves.
    node : Node
    left, right : Node or None
        The sibling, on the side where it is; both None at the root, and where a node without a
        sibling was promoted.
    """

    level: int
    node: Node
    left: Node | None = None
    right: Node | None = None


def way(leaves: Sequence[Proven]) -> tuple[Level, ...]:
    """Return the way from the root to one place, in one tree or in several of one size.

    Parameters
    ----------
    leaves : sequence of Proven
        One for each tree.

    Returns
    -------
    tuple of Level
        From the root down.

    Raises
    ------
    InputError
        If the leaves stand at different places.
    ProofError
        If a proof does not lead to its root.

    Examples
    --------
    >>> from dask_verify.core.merkle import MerkleTree
    >>> trees = MerkleTree([b"1", b"2", b"3"]), MerkleTree([b"1", b"2", b"4"])
    >>> found = way(
    ...     [Proven(2, 3, t.leaf_hashes[2], t.root, t.inclusion_proof(2)) for t in trees]
    ... )
    >>> [(step.level, step.node.differs, step.left and step.left.differs) for step in found]
    [(2, True, None), (1, True, False), (0, True, None)]
    """
    places = {(leaf.index, leaf.size) for leaf in leaves}
    if len(places) != 1:
        raise InputError(f"expected leaves at one place of trees of one size, got {places}")
    ((index, size),) = places
    for leaf in leaves:
        verify_inclusion(BLAKE3, index, size, leaf.hash, leaf.proof, leaf.root)
    rest = [iter(leaf.proof) for leaf in leaves]
    hashes = tuple(leaf.hash for leaf in leaves)
    found: list[Level] = []
    level = 0
    for level, (left, right) in enumerate(siblings(index, index + 1, size)):
        at = index >> level
        beside = None
        if left is not None or right is not None:
            beside = tuple(next(proof) for proof in rest)
        found.append(
            Level(
                level,
                _node(level, at, size, hashes),
                None if left is None or beside is None else _node(level, left, size, beside),
                None if right is None or beside is None else _node(level, right, size, beside),
            )
        )
        if beside is not None:
            pairs = zip(hashes, beside, strict=True)
            hashes = tuple(
                BLAKE3.node(own, other) if left is None else BLAKE3.node(other, own)
                for own, other in pairs
            )
    top = len(found)
    return (Level(top, _node(top, 0, size, hashes)), *reversed(found))


def _node(level: int, index: int, size: int, hashes: tuple[bytes, ...]) -> Node:
    return Node(index << level, min((index + 1) << level, size) - 1, hashes)
