"""One proof for many leaves that need not be neighbours: what an audited column is opened with.

What this module guarantees: as in :mod:`~dask_verify.core.proofs`, a check takes plain values,
fetches nothing, and returns ``None`` or raises :class:`~dask_verify.errors.ProofError`; a proof
has an exact length. Work and memory are ``O(k log size)`` for ``k`` leaves, whatever size is
claimed.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

from dask_verify.core.proofs import MAX_SIZE, require_equal, require_hashes, require_int
from dask_verify.errors import ProofError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from dask_verify.core.hashers import Hasher


def verify_leaves(
    hasher: Hasher,
    indices: Sequence[int],
    size: int,
    leaf_hashes: Sequence[bytes],
    proof: Sequence[bytes],
    root: bytes,
) -> None:
    """Check that leaves stand at given positions of a tree.

    Parameters
    ----------
    hasher : Hasher
        The hasher of the tree.
    indices : sequence of int
        Positions of the leaves, at least one, strictly increasing.
    size : int
        Number of leaves in the tree.
    leaf_hashes : sequence of bytes
        One for each index, in that order.
    proof : sequence of bytes
        What `MerkleTree.multi_proof` returned.
    root : bytes
        The root to arrive at.

    Raises
    ------
    ProofError
        If anything is malformed, or the proof does not lead to `root`.

    Examples
    --------
    >>> from dask_verify.core.merkle import BLAKE3, MerkleTree
    >>> tree = MerkleTree([b"one", b"two", b"three", b"four"])
    >>> ends = [tree.leaf_hashes[0], tree.leaf_hashes[3]]
    >>> verify_leaves(BLAKE3, [0, 3], 4, ends, tree.multi_proof([0, 3]), tree.root)
    """
    require_int("tree size", size, 0, MAX_SIZE)
    require_indices(indices, size)
    levels = list(missing_siblings(indices, size))
    require_hashes(hasher, "leaf hashes", leaf_hashes, len(indices))
    require_hashes(hasher, "proof", proof, sum(map(len, levels)))
    require_hashes(hasher, "root", [root])
    nodes, rest = dict(zip(indices, leaf_hashes, strict=True)), iter(proof)
    for missing in levels:
        nodes |= {index: next(rest) for index in missing}
        nodes = _folded(hasher, nodes)
    require_equal("Merkle root", root, nodes[0])


def missing_siblings(indices: Sequence[int], size: int) -> Iterator[list[int]]:
    """Yield, level by level below the root, the siblings that some nodes lack, left to right.

    Parameters
    ----------
    indices : sequence of int
        Leaf indices, strictly increasing.
    size : int
        Number of leaves of the tree.

    Yields
    ------
    list of int
        The indices of the siblings on one level.

    Examples
    --------
    >>> list(missing_siblings([0, 3], 4)), list(missing_siblings([0], 4))
    ([[1, 2], []], [[1], [1]])
    """
    known = list(indices)
    while size > 1:
        present = set(known)
        yield [i ^ 1 for i in known if i ^ 1 < size and i ^ 1 not in present]
        known, size = list(dict.fromkeys(i >> 1 for i in known)), (size + 1) >> 1


def require_indices(indices: Sequence[int], size: int, what: str = "leaf indices") -> None:
    """Raise ProofError unless there are indices below `size`, strictly increasing.

    Parameters
    ----------
    indices : sequence of int
        What should be such indices.
    size : int
        Number of leaves of the tree.
    what : str, optional
        What the indices are, for the error.

    Raises
    ------
    ProofError
        If they are not.

    Examples
    --------
    >>> require_indices([0, 3], 4)
    >>> try:
    ...     require_indices([3, 0], 4)
    ... except ProofError as error:
    ...     print(error.expected)
    strictly increasing ones, here above 3
    """
    if not isinstance(indices, list | tuple) or not indices:
        raise ProofError(what, "a list of at least one", indices)
    for index in indices:
        require_int(what, index, 0, size - 1)
    for before, after in pairwise(indices):
        if before >= after:
            raise ProofError(what, f"strictly increasing ones, here above {before}", after)


def _folded(hasher: Hasher, nodes: dict[int, bytes]) -> dict[int, bytes]:
    """Return the parents of nodes whose siblings are all there; the odd last one is promoted."""
    above: dict[int, bytes] = {}
    for index, left in nodes.items():
        if not index & 1:
            right = nodes.get(index + 1)
            above[index >> 1] = left if right is None else hasher.node(left, right)
    return above
