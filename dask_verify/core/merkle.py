"""Merkle trees in the shape of RFC 6962 and RFC 9162, with the hash as a parameter.

What this module guarantees: a root binds every leaf and their order, and beside the size their
number (a root alone does not bind the size: whoever signs a root signs the size too).

The checks of :mod:`~dask_verify.core.proofs` and :mod:`~dask_verify.core.multiproof`, the hashes
of :mod:`~dask_verify.core.hashers` and the comparison of remote trees of
:mod:`~dask_verify.core.descent` are part of this module's interface.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

from dask_verify.core.descent import Ask, Difference, descend, first_difference
from dask_verify.core.hashers import BLAKE3, SHA256, Hasher
from dask_verify.core.multiproof import missing_siblings, require_indices, verify_leaves
from dask_verify.core.proofs import (
    parents,
    require_hashes,
    require_int,
    require_node,
    require_range,
    siblings,
    span,
    verify_descendants,
    verify_inclusion,
    verify_range,
)
from dask_verify.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = [
    "BLAKE3",
    "SHA256",
    "Ask",
    "Difference",
    "Hasher",
    "MerkleTree",
    "descend",
    "first_difference",
    "verify_descendants",
    "verify_inclusion",
    "verify_leaves",
    "verify_range",
]


class MerkleTree:
    """A whole tree in memory: every hash of every level.

    Parameters
    ----------
    leaves : sequence of bytes-like
        Leaf data; the tree hashes it and keeps only the hashes.
    hasher : Hasher
        `BLAKE3` or `SHA256`.

    Examples
    --------
    >>> tree = MerkleTree([b"one", b"two", b"three"])
    >>> tree.size, tree.height, len(tree.inclusion_proof(0))
    (3, 2, 2)
    >>> verify_inclusion(BLAKE3, 0, 3, BLAKE3.leaf(b"one"), tree.inclusion_proof(0), tree.root)
    """

    __slots__ = ("_levels", "hasher")

    hasher: Hasher
    _levels: list[list[bytes]]

    def __init__(
        self, leaves: Sequence[bytes | bytearray | memoryview], hasher: Hasher = BLAKE3
    ) -> None:
        if isinstance(leaves, str | bytes | bytearray | memoryview):
            raise InputError(
                f"expected a sequence of leaves, got one {type(leaves).__name__}: put it in a list"
            )
        self.hasher = hasher
        self._levels = _build(hasher, [hasher.leaf(data) for data in leaves])

    @classmethod
    def from_leaf_hashes(cls, hashes: Sequence[bytes], hasher: Hasher = BLAKE3) -> Self:
        """Build a tree over leaves that are hashed already.

        Parameters
        ----------
        hashes : sequence of bytes
            Leaf hashes, in order.
        hasher : Hasher
            The hasher that made them.

        Returns
        -------
        MerkleTree

        Raises
        ------
        ProofError
            If a hash is not ``hasher.size`` bytes.

        Examples
        --------
        >>> tree = MerkleTree([b"one", b"two"])
        >>> MerkleTree.from_leaf_hashes(tree.leaf_hashes).root == tree.root
        True
        """
        require_hashes(hasher, "leaf hashes", hashes)
        tree = cls.__new__(cls)
        tree.hasher = hasher
        tree._levels = _build(hasher, list(hashes))
        return tree

    @property
    def size(self) -> int:
        """Number of leaves."""
        return len(self._levels[0])

    @property
    def height(self) -> int:
        """Level of the root: 0 for no leaf or one."""
        return len(self._levels) - 1

    @property
    def root(self) -> bytes:
        """Root hash."""
        return self._levels[-1][0] if self.size else self.hasher.empty()

    @property
    def leaf_hashes(self) -> list[bytes]:
        """Hashes of the leaves, in order (a copy)."""
        return list(self._levels[0])

    def leaf_range(self, start: int, stop: int) -> list[bytes]:
        """Return the hashes of some contiguous leaves, without a look at the others.

        Parameters
        ----------
        start, stop : int
            The range.

        Returns
        -------
        list of bytes

        Examples
        --------
        >>> tree = MerkleTree([b"one", b"two", b"three"])
        >>> tree.leaf_range(1, 3) == tree.leaf_hashes[1:3]
        True
        """
        return self._levels[0][start:stop]

    def node(self, level: int, index: int) -> bytes:
        """Return the hash of one node.

        Parameters
        ----------
        level : int
            0 for the leaves, `height` for the root.
        index : int
            Position in that level.

        Returns
        -------
        bytes

        Raises
        ------
        ProofError
            If there is no such node.

        Examples
        --------
        >>> tree = MerkleTree([b"one", b"two", b"three"])
        >>> tree.node(1, 1) == tree.node(0, 2)  # promoted
        True
        """
        require_node(self.size, level, index)
        return self._levels[level][index]

    def inclusion_proof(self, index: int) -> list[bytes]:
        """Return the sibling hashes that link one leaf to the root (RFC 9162, 2.1.3.1).

        Parameters
        ----------
        index : int
            Position of the leaf.

        Returns
        -------
        list of bytes
            From the leaf upwards.

        Raises
        ------
        ProofError
            If there is no such leaf.

        Examples
        --------
        >>> MerkleTree([b"alone"]).inclusion_proof(0)
        []
        """
        require_int("leaf index", index, 0, self.size - 1)
        return self.range_proof(index, index + 1)

    def range_proof(self, start: int, stop: int) -> list[bytes]:
        """Return the fewest hashes that link contiguous leaves to the root.

        Parameters
        ----------
        start, stop : int
            Leaves ``start`` up to but without ``stop``; at least one.

        Returns
        -------
        list of bytes
            Level by level upwards, left sibling before right.

        Raises
        ------
        ProofError
            If the range is empty or leaves the tree.

        Examples
        --------
        >>> tree = MerkleTree([b"one", b"two", b"three"])
        >>> tree.range_proof(0, 2) == [tree.node(0, 2)]
        True
        """
        require_range(start, stop, self.size)
        proof: list[bytes] = []
        for level, (left, right) in enumerate(siblings(start, stop, self.size)):
            proof.extend(self._levels[level][at] for at in (left, right) if at is not None)
        return proof

    def multi_proof(self, indices: Sequence[int]) -> list[bytes]:
        """Return the fewest hashes that link any leaves to the root.

        Parameters
        ----------
        indices : sequence of int
            Positions of the leaves, at least one, strictly increasing.

        Returns
        -------
        list of bytes
            Level by level upwards, left to right: the roots of the largest subtrees without any
            of the leaves.

        Raises
        ------
        ProofError
            If there is no index, they do not increase, or one leaves the tree.

        Examples
        --------
        >>> tree = MerkleTree([b"one", b"two", b"three", b"four"])
        >>> tree.multi_proof([0, 3]) == [tree.node(0, 1), tree.node(0, 2)]
        True
        """
        require_indices(indices, self.size)
        missing = missing_siblings(indices, self.size)
        return [self._levels[level][at] for level, absent in enumerate(missing) for at in absent]

    def descendants(self, level: int, index: int, depth: int) -> list[bytes]:
        """Return the hashes some levels below a node, or its leaves if those are nearer.

        Parameters
        ----------
        level, index : int
            The node.
        depth : int
            How many levels to go down.

        Returns
        -------
        list of bytes
            At most ``2 ** depth`` hashes, in order.

        Raises
        ------
        ProofError
            If there is no such node, or `depth` is negative.

        Examples
        --------
        >>> tree = MerkleTree([b"one", b"two", b"three"])
        >>> tree.descendants(2, 0, 4) == tree.leaf_hashes
        True
        """
        below, first, last = span(self.size, level, index, depth)
        return self._levels[below][first:last]

    def __repr__(self) -> str:
        return f"<MerkleTree {self.hasher.name}: {self.size} leaves, root {self.root.hex()[:16]}>"


def _build(hasher: Hasher, nodes: list[bytes]) -> list[list[bytes]]:
    levels = [nodes]
    while len(levels[-1]) > 1:
        levels.append(parents(hasher, levels[-1]))
    return levels
