"""Checks of Merkle proofs, and the shape of the tree that they share with its builder.

What this module guarantees: the checks take plain values, fetch nothing, and return ``None`` or
raise :class:`~dask_verify.errors.ProofError`. Proofs have an exact length: one element more or
less is refused.

A node is named by its level and its index in that level; leaves are level 0. Node ``(level,
index)`` covers leaves ``index << level`` up to ``(index + 1) << level``, cut off at the size. The
last node of an odd level is promoted unchanged, which gives the split at the largest power of two
that RFC 6962 prescribes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from dask_verify.errors import ProofError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from dask_verify.core.hashers import Hasher

MAX_SIZE = 2**63 - 1
"""Most leaves that a check accepts: bounds the work that a claimed size can ask for."""


def verify_inclusion(
    hasher: Hasher, index: int, size: int, leaf_hash: bytes, proof: Sequence[bytes], root: bytes
) -> None:
    """Check that a leaf stands at a position of a tree (RFC 9162, 2.1.3.2).

    Parameters
    ----------
    hasher : Hasher
        The hasher of the tree.
    index, size : int
        Position of the leaf; number of leaves.
    leaf_hash : bytes
        ``hasher.leaf(data)``, made by whoever checks.
    proof : sequence of bytes
        What `MerkleTree.inclusion_proof` returned.
    root : bytes
        The root to arrive at.

    Raises
    ------
    ProofError
        If anything is malformed, or the proof does not lead to `root`.

    Examples
    --------
    >>> from dask_verify.core.merkle import SHA256, MerkleTree
    >>> tree = MerkleTree([b"one", b"two"], SHA256)
    >>> verify_inclusion(SHA256, 1, 2, SHA256.leaf(b"two"), tree.inclusion_proof(1), tree.root)
    """
    require_int("tree size", size, 0, MAX_SIZE)
    require_int("leaf index", index, 0, size - 1)
    # A range of one leaf needs the siblings of RFC 9162, in the same order (a test compares both).
    verify_range(hasher, index, index + 1, size, [leaf_hash], proof, root)


def verify_range(
    hasher: Hasher,
    start: int,
    stop: int,
    size: int,
    leaf_hashes: Sequence[bytes],
    proof: Sequence[bytes],
    root: bytes,
) -> None:
    """Check that contiguous leaves stand at a range of a tree.

    Parameters
    ----------
    hasher : Hasher
        The hasher of the tree.
    start, stop, size : int
        The range, at least one leaf; number of leaves in the tree.
    leaf_hashes : sequence of bytes
        ``stop - start`` leaf hashes, made by whoever checks.
    proof : sequence of bytes
        What `MerkleTree.range_proof` returned.
    root : bytes
        The root to arrive at.

    Raises
    ------
    ProofError
        If anything is malformed, or the proof does not lead to `root`.

    Examples
    --------
    >>> from dask_verify.core.merkle import BLAKE3, MerkleTree
    >>> tree = MerkleTree([b"one", b"two", b"three"])
    >>> verify_range(BLAKE3, 1, 3, 3, tree.leaf_hashes[1:], tree.range_proof(1, 3), tree.root)
    """
    require_int("tree size", size, 0, MAX_SIZE)
    require_range(start, stop, size)
    levels = list(siblings(start, stop, size))
    require_hashes(hasher, "leaf hashes", leaf_hashes, stop - start)
    require_hashes(hasher, "proof", proof, sum(at is not None for pair in levels for at in pair))
    require_hashes(hasher, "root", [root])
    nodes, rest = list(leaf_hashes), iter(proof)
    for left, right in levels:
        before = [] if left is None else [next(rest)]
        after = [] if right is None else [next(rest)]
        nodes = parents(hasher, before + nodes + after)
    require_equal("Merkle root", root, nodes[0])


def verify_descendants(
    hasher: Hasher,
    size: int,
    level: int,
    index: int,
    depth: int,
    hashes: Sequence[bytes],
    expected: bytes,
) -> None:
    """Check that the hashes below a node fold to the hash of that node.

    Parameters
    ----------
    hasher : Hasher
        The hasher of the tree.
    size : int
        Number of leaves in the tree.
    level, index, depth : int
        As given to `MerkleTree.descendants`.
    hashes : sequence of bytes
        What it returned.
    expected : bytes
        Hash of the node.

    Raises
    ------
    ProofError
        If anything is malformed, or the hashes fold to something else.

    Examples
    --------
    >>> from dask_verify.core.merkle import BLAKE3, MerkleTree
    >>> tree = MerkleTree([b"one", b"two", b"three"])
    >>> verify_descendants(BLAKE3, 3, 2, 0, 1, tree.descendants(2, 0, 1), tree.root)
    """
    require_int("tree size", size, 0, MAX_SIZE)
    below, first, last = span(size, level, index, depth)
    require_hashes(hasher, "descendants", hashes, last - first)
    require_hashes(hasher, "node hash", [expected])
    nodes = list(hashes)
    for _ in range(level - below):
        nodes = parents(hasher, nodes)
    require_equal(f"hash of node ({level}, {index})", expected, nodes[0])


def parents(hasher: Hasher, nodes: list[bytes]) -> list[bytes]:
    """Return the next level up; an odd last node is promoted unchanged.

    Parameters
    ----------
    hasher : Hasher
        The tree's hasher.
    nodes : list of bytes
        Hashes of one level, left to right.

    Returns
    -------
    list of bytes

    Examples
    --------
    >>> from dask_verify.core.hashers import BLAKE3
    >>> one, two, three = map(BLAKE3.leaf, [b"1", b"2", b"3"])
    >>> parents(BLAKE3, [one, two, three]) == [BLAKE3.node(one, two), three]
    True
    """
    node = hasher.node
    paired = [node(left, right) for left, right in zip(nodes[::2], nodes[1::2], strict=False)]
    return paired + nodes[len(nodes) & ~1 :]


def height(size: int) -> int:
    """Return the level of the root of a tree of `size` leaves.

    Parameters
    ----------
    size : int
        Number of leaves of the tree.

    Returns
    -------
    int

    Examples
    --------
    >>> [height(size) for size in (0, 1, 2, 3, 4, 5)]
    [0, 0, 1, 2, 2, 3]
    """
    return max(size - 1, 0).bit_length()


def siblings(start: int, stop: int, size: int) -> Iterator[tuple[int | None, int | None]]:
    """Yield, level by level below the root, the outer siblings that a range needs.

    Parameters
    ----------
    start, stop : int
        The range of leaves.
    size : int
        Number of leaves of the tree.

    Yields
    ------
    tuple of (int or None, int or None)
        The left and the right sibling on one level, where it is needed.

    Examples
    --------
    >>> list(siblings(1, 2, 4))
    [(0, None), (None, 1)]
    """
    while size > 1:
        right = stop if stop & 1 and stop < size else None
        yield (start - 1 if start & 1 else None), right
        start, stop, size = start >> 1, (stop + 1) >> 1, (size + 1) >> 1


def span(size: int, level: int, index: int, depth: int) -> tuple[int, int, int]:
    """Return the level of a node's descendants, the first of them and the one after the last.

    Parameters
    ----------
    size : int
        Number of leaves of the tree.
    level, index : int
        The node; leaves are level 0.
    depth : int
        How many levels below it.

    Returns
    -------
    tuple of (int, int, int)

    Examples
    --------
    >>> span(5, 2, 0, 1), span(5, 2, 0, 2)
    ((1, 0, 2), (0, 0, 4))
    """
    require_node(size, level, index)
    require_int("depth", depth, 0, height(MAX_SIZE))
    down = min(depth, level)
    below = level - down
    width = (size + (1 << below) - 1) >> below
    return below, index << down, min((index + 1) << down, width)


def require_int(what: str, value: object, low: int, high: int) -> None:
    """Raise ProofError unless `value` is a plain int from `low` to `high`.

    Parameters
    ----------
    what : str
        What is checked, for the error.
    value : object
        What should be one.
    low, high : int
        The range, both included.

    Raises
    ------
    ProofError
        If it is not so.

    Examples
    --------
    >>> require_int("tree size", 3, 0, 10)
    >>> require_int("tree size", True, 0, 10)
    Traceback (most recent call last):
        ...
    dask_verify.errors.ProofError: tree size: expected 'an int from 0 to 10', got True
    """
    # bool is an int to Python, and True a fine index; a claim that carries one is malformed.
    if type(value) is not int or not low <= value <= high:
        raise ProofError(
            what, f"an int from {low} to {high}" if low <= high else "a tree with leaves", value
        )


def require_range(start: int, stop: int, size: int) -> None:
    """Raise ProofError unless the range holds a leaf and lies in a tree of `size` leaves.

    Parameters
    ----------
    start, stop : int
        The range of leaves.
    size : int
        Number of leaves of the tree.

    Examples
    --------
    >>> require_range(1, 3, 4)
    >>> require_range(3, 3, 4)
    Traceback (most recent call last):
        ...
    dask_verify.errors.ProofError: range stop: expected 'an int from 4 to 4', got 3
    """
    require_int("range start", start, 0, size - 1)
    require_int("range stop", stop, start + 1, size)


def require_node(size: int, level: int, index: int) -> None:
    """Raise ProofError unless a tree of `size` leaves has that node.

    Parameters
    ----------
    size : int
        Number of leaves of the tree.
    level, index : int
        The node; leaves are level 0.

    Examples
    --------
    >>> require_node(5, 1, 2)
    >>> require_node(5, 1, 3)
    Traceback (most recent call last):
        ...
    dask_verify.errors.ProofError: node index: expected 'an int from 0 to 2', got 3
    """
    require_int("node level", level, 0, height(size))
    require_int("node index", index, 0, (size - 1) >> level if size else -1)


def require_hashes(hasher: Hasher, what: str, hashes: object, count: int | None = None) -> None:
    """Raise ProofError unless `hashes` is a list of `count` hashes.

    Parameters
    ----------
    hasher : Hasher
        The tree's hasher.
    what : str
        What is checked, for the error.
    hashes : object
        What should be hashes.
    count : int or None, optional
        How many there must be; None for any number.

    Raises
    ------
    ProofError
        If it is not so.

    Examples
    --------
    >>> from dask_verify.core.hashers import BLAKE3
    >>> require_hashes(BLAKE3, "proof", [bytes(32)], 1)
    >>> require_hashes(BLAKE3, "proof", [bytes(32)], 2)
    Traceback (most recent call last):
        ...
    dask_verify.errors.ProofError: number of proof: expected 2, got 1
    """
    if not isinstance(hashes, list | tuple):
        raise ProofError(what, "a list of hashes", hashes)
    if count is not None and len(hashes) != count:
        raise ProofError(f"number of {what}", count, len(hashes))
    for value in hashes:
        if not isinstance(value, bytes) or len(value) != hasher.size:
            raise ProofError(what, f"hashes of {hasher.size} bytes", value)


def require_equal(what: str, expected: bytes, got: bytes) -> None:
    """Raise ProofError unless two hashes are the same.

    Parameters
    ----------
    what : str
        What is checked, for the error.
    expected, got : bytes
        The hashes.

    Raises
    ------
    ProofError
        If it is not so.

    Examples
    --------
    >>> require_equal("root", b"one", b"one")
    >>> require_equal("root", b"one", b"two")
    Traceback (most recent call last):
        ...
    dask_verify.errors.ProofError: root: expected 6f6e65, got 74776f
    """
    if expected != got:
        raise ProofError(what, expected, got)
