"""Finding where two Merkle trees differ, from their roots and a few hashes of each.

What this module guarantees: the first differing leaf is found in ``O(log size)`` hashes, every
answer is checked against the hash above it, and the side that did not answer or contradicted its
own root is named. Nothing is fetched here: `descend` is a generator of questions.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from dask_verify.core.proofs import (
    MAX_SIZE,
    height,
    require_hashes,
    require_int,
    span,
    verify_descendants,
)
from dask_verify.errors import DescentError, InputError, ProofError

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

    from dask_verify.core.hashers import Hasher
    from dask_verify.core.merkle import MerkleTree


@dataclass(frozen=True, slots=True)
class Ask:
    """A question of `descend`: the ``descendants(level, index, depth)`` of one side's tree.

    Parameters
    ----------
    side : {"a", "b"}
        Whose tree.
    level, index : int
        The node.
    depth : int
        How many levels below it.

    Examples
    --------
    >>> Ask("a", 3, 0, 2)
    Ask(side='a', level=3, index=0, depth=2)
    """

    side: Literal["a", "b"]
    level: int
    index: int
    depth: int


@dataclass(frozen=True, slots=True)
class Difference:
    """The first leaf in which two trees differ, and its hash on either side.

    Parameters
    ----------
    index : int
        Number of the leaf.
    hash_a, hash_b : bytes
        Its hash on either side.

    Examples
    --------
    >>> from dask_verify.core.hashers import BLAKE3
    >>> from dask_verify.core.merkle import MerkleTree
    >>> one, other = MerkleTree([b"to", b"be"]), MerkleTree([b"to", b"bee"])
    >>> first_difference(one, other) == Difference(1, BLAKE3.leaf(b"be"), BLAKE3.leaf(b"bee"))
    True
    """

    index: int
    hash_a: bytes
    hash_b: bytes


def descend(
    hasher: Hasher, size: int, root_a: bytes, root_b: bytes, depth: int = 4
) -> Generator[Ask, Sequence[bytes] | None, Difference | None]:
    """Find the first leaf in which two remote trees of one size differ, in ``O(log size)`` hashes.

    1. Ask both sides for the hashes `depth` levels below the node at which they differ.
    2. Check each answer against that node's hash on its side.
    3. Go on from the first hash that differs, until it is a leaf.

    Parameters
    ----------
    hasher : Hasher
        The hasher of both trees.
    size : int
        Number of leaves in either tree.
    root_a, root_b : bytes
        The roots that the two sides are bound to.
    depth : int
        Levels for each question; an answer holds at most ``2 ** depth`` hashes.

    Yields
    ------
    Ask
        To be answered with a list of hashes, or with ``None`` if that side does not answer.

    Returns
    -------
    Difference or None
        ``None`` if the roots are equal.

    Raises
    ------
    DescentError
        If a side does not answer, or contradicts its own root.
    ProofError
        If the arguments are malformed.

    Examples
    --------
    >>> from dask_verify.core.merkle import BLAKE3, MerkleTree
    >>> a, b = MerkleTree([b"1", b"2", b"3"]), MerkleTree([b"1", b"2", b"4"])
    >>> search = descend(BLAKE3, 3, a.root, b.root)
    >>> next(search)
    Ask(side='a', level=2, index=0, depth=4)
    >>> search.send(a.leaf_hashes)
    Ask(side='b', level=2, index=0, depth=4)
    """
    require_int("tree size", size, 0, MAX_SIZE)
    require_int("depth", depth, 1, height(MAX_SIZE))
    require_hashes(hasher, "roots", [root_a, root_b])
    if root_a == root_b:
        return None
    if size == 0:
        raise DescentError(
            "a" if root_a != hasher.empty() else "b", "its empty tree has a root of leaves"
        )
    level, index = height(size), 0
    while level:
        below_a = yield from _ask(hasher, size, Ask("a", level, index, depth), root_a)
        below_b = yield from _ask(hasher, size, Ask("b", level, index, depth), root_b)
        level, index, _ = span(size, level, index, depth)
        # Equal lists would fold to equal hashes, so there is a first difference.
        offset = next(
            at for at, pair in enumerate(zip(below_a, below_b, strict=True)) if pair[0] != pair[1]
        )
        index, root_a, root_b = index + offset, below_a[offset], below_b[offset]
    return Difference(index, root_a, root_b)


def first_difference(tree_a: MerkleTree, tree_b: MerkleTree) -> Difference | None:
    """Find the first leaf in which two local trees differ.

    Parameters
    ----------
    tree_a, tree_b : MerkleTree
        Trees of one size and one hasher.

    Returns
    -------
    Difference or None
        ``None`` if the trees are equal.

    Raises
    ------
    InputError
        If the trees have different sizes or hashers.

    Examples
    --------
    >>> from dask_verify.core.merkle import MerkleTree
    >>> first_difference(MerkleTree([b"1", b"2"]), MerkleTree([b"1", b"3"])).index
    1
    """
    shape_a, shape_b = [(tree.hasher.name, tree.size) for tree in (tree_a, tree_b)]
    if shape_a != shape_b:
        raise InputError(f"expected trees of one hasher and size, got {shape_a} and {shape_b}")
    search = descend(tree_a.hasher, tree_a.size, tree_a.root, tree_b.root)
    answer: list[bytes] | None = None
    while True:
        try:
            ask = next(search) if answer is None else search.send(answer)
        except StopIteration as done:
            result: Difference | None = done.value
            return result
        answer = (tree_a if ask.side == "a" else tree_b).descendants(
            ask.level, ask.index, ask.depth
        )


def _ask(
    hasher: Hasher, size: int, ask: Ask, expected: bytes
) -> Generator[Ask, Sequence[bytes] | None, Sequence[bytes]]:
    hashes = yield ask
    if hashes is None:
        raise DescentError(ask.side, f"no answer for node ({ask.level}, {ask.index})")
    try:
        verify_descendants(hasher, size, ask.level, ask.index, ask.depth, hashes, expected)
    except ProofError as error:
        raise DescentError(ask.side, f"its answer contradicts its root: {error}") from error
    return hashes
