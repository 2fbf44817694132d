"""Proofs of leaves here and there, against roots computed from all leaves; mutations."""

from __future__ import annotations

from itertools import chain, combinations
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dask_verify.core.merkle import BLAKE3, SHA256, Hasher, MerkleTree, verify_leaves
from dask_verify.core.multiproof import missing_siblings
from dask_verify.errors import ProofError

HASHERS = st.sampled_from([SHA256, BLAKE3])


# The reference: RFC 6962 section 2.1 over all leaves, slow and recursive.


def split(size: int) -> int:
    k = 1
    while k * 2 < size:
        k *= 2
    return k


def mth(hasher: Hasher, hashes: list[bytes]) -> bytes:
    if len(hashes) == 1:
        return hashes[0]
    k = split(len(hashes))
    return hasher.node(mth(hasher, hashes[:k]), mth(hasher, hashes[k:]))


def outside(hasher: Hasher, indices: list[int], hashes: list[bytes], at: int = 0) -> list[bytes]:
    """Roots of the largest subtrees that hold none of the leaves, left to right."""
    if not any(at <= i < at + len(hashes) for i in indices):
        return [mth(hasher, hashes)]
    if len(hashes) == 1:
        return []
    k = split(len(hashes))
    left = outside(hasher, indices, hashes[:k], at)
    return left + outside(hasher, indices, hashes[k:], at + k)


class Counting:
    """A hasher that counts inner nodes."""

    name, size = BLAKE3.name, BLAKE3.size
    leaf, empty = staticmethod(BLAKE3.leaf), staticmethod(BLAKE3.empty)

    def __init__(self) -> None:
        self.nodes = 0

    def node(self, left: bytes, right: bytes, /) -> bytes:
        self.nodes += 1
        return BLAKE3.node(left, right)


def leaves(size: int) -> list[bytes]:
    return [b"%d" % i for i in range(size)]


@st.composite
def proven(draw: st.DrawFn, most: int = 40) -> tuple[Any, ...]:
    """Return arguments of `verify_leaves` that are right."""
    hasher, size = draw(HASHERS), draw(st.integers(1, most))
    indices = sorted(draw(st.sets(st.integers(0, size - 1), min_size=1)))
    tree = MerkleTree(leaves(size), hasher)
    hashes = [tree.node(0, i) for i in indices]
    return hasher, indices, size, hashes, tree.multi_proof(indices), tree.root


def refused(*arguments: Any) -> None:
    with pytest.raises(ProofError):
        verify_leaves(*arguments)


@given(proven())
def test_what_is_proven_is_the_root_over_all_leaves(right: tuple[Any, ...]) -> None:
    hasher, indices, size, _, proof, root = right
    hashes = [hasher.leaf(leaf) for leaf in leaves(size)]
    assert root == mth(hasher, hashes)
    assert sorted(proof) == sorted(outside(hasher, indices, hashes))
    verify_leaves(*right)


@pytest.mark.parametrize("size", range(1, 8))
def test_every_choice_of_leaves_of_small_trees(size: int) -> None:
    tree = MerkleTree(leaves(size))
    chosen = chain.from_iterable(combinations(range(size), k) for k in range(1, size + 1))
    for indices in chosen:
        hashes, proof = [tree.node(0, i) for i in indices], tree.multi_proof(indices)
        verify_leaves(BLAKE3, indices, size, hashes, proof, tree.root)


@given(st.integers(1, 40), st.data())
def test_one_leaf_and_neighbours_are_proven_as_ever(size: int, data: st.DataObject) -> None:
    tree = MerkleTree(leaves(size))
    start = data.draw(st.integers(0, size - 1))
    stop = data.draw(st.integers(start + 1, size))
    assert tree.multi_proof([start]) == tree.inclusion_proof(start)
    assert tree.multi_proof(range_list(start, stop)) == tree.range_proof(start, stop)


def range_list(start: int, stop: int) -> list[int]:
    return list(range(start, stop))


def test_the_order_of_a_proof_is_fixed() -> None:
    tree = MerkleTree(leaves(7))
    at = [(0, 0), (0, 5), (1, 1), (1, 3)]
    assert tree.multi_proof([1, 4]) == [tree.node(*node) for node in at]


# Mutations.


@given(proven(), st.data())
def test_a_flipped_bit_anywhere_is_refused(right: tuple[Any, ...], data: st.DataObject) -> None:
    hasher, indices, size, hashes, proof, root = right
    given_hashes = [*hashes, *proof, root]
    at = data.draw(st.integers(0, len(given_hashes) - 1))
    bit = data.draw(st.integers(0, 255))
    flipped = int.from_bytes(given_hashes[at], "big") ^ 1 << bit
    given_hashes[at] = flipped.to_bytes(32, "big")
    k = len(hashes)
    refused(hasher, indices, size, given_hashes[:k], given_hashes[k:-1], given_hashes[-1])


@given(proven(), st.data())
def test_other_positions_are_refused(right: tuple[Any, ...], data: st.DataObject) -> None:
    hasher, indices, size, *rest = right
    others = st.sets(st.integers(0, size - 1), min_size=1).map(sorted)
    other = data.draw(others.filter(lambda chosen: chosen != indices) if size > 1 else st.just([1]))
    refused(hasher, other, size, *rest)


@given(proven(), st.data())
def test_exchanged_hashes_are_refused(right: tuple[Any, ...], data: st.DataObject) -> None:
    hasher, indices, size, hashes, proof, root = right
    pool = hashes + proof
    if len(pool) < 2:
        return
    i, j = data.draw(st.lists(st.integers(0, len(pool) - 1), min_size=2, max_size=2, unique=True))
    pool[i], pool[j] = pool[j], pool[i]
    refused(hasher, indices, size, pool[: len(hashes)], pool[len(hashes) :], root)


@given(proven(), st.data())
def test_a_hash_more_or_less_is_refused(right: tuple[Any, ...], data: st.DataObject) -> None:
    hasher, indices, size, hashes, proof, root = right
    for values, build in (
        (hashes, lambda changed: (changed, proof)),
        (proof, lambda changed: (hashes, changed)),
    ):
        at = data.draw(st.integers(0, len(values)))
        refused(hasher, indices, size, *build([*values[:at], root, *values[at:]]), root)
        if at < len(values):
            refused(hasher, indices, size, *build(values[:at] + values[at + 1 :]), root)


@given(proven(), st.sampled_from([b"", b"x" * 31, b"x" * 33, None, "x" * 32, 7]), st.data())
def test_what_is_no_hash_is_refused(
    right: tuple[Any, ...], value: Any, data: st.DataObject
) -> None:
    hasher, indices, size, hashes, proof, root = right
    changed = [*hashes, *proof, root]
    changed[data.draw(st.integers(0, len(changed) - 1))] = value
    k = len(hashes)
    refused(hasher, indices, size, changed[:k], changed[k:-1], changed[-1])


@pytest.mark.parametrize("root", [b"", bytes(31), None])
def test_what_is_no_root_is_refused_as_such(root: Any) -> None:
    with pytest.raises(ProofError, match=r"root: expected .hashes of 32 bytes"):
        verify_leaves(BLAKE3, [0], 1, [bytes(32)], [], root)


@pytest.mark.parametrize("proof", [None, b"", "", {}, iter(()), 5])
def test_what_is_no_list_is_refused(proof: Any) -> None:
    tree = MerkleTree(leaves(1))
    refused(BLAKE3, [0], 1, tree.leaf_hashes, proof, tree.root)
    refused(BLAKE3, [0], 1, proof, [], tree.root)


@pytest.mark.parametrize(
    ("indices", "message"),
    [
        ([], "at least one"),
        ((), "at least one"),
        (None, "at least one"),
        ({1, 2}, "at least one"),
        ([1, 1], "strictly increasing"),
        ([0, 2, 1], "strictly increasing"),
        ([-1], "from 0 to 4"),
        ([0, 5], "from 0 to 4"),
        ([True], "from 0 to 4"),
        ([1.0], "from 0 to 4"),
        ([None], "from 0 to 4"),
    ],
)
def test_unusable_indices_are_refused_on_both_sides(indices: Any, message: str) -> None:
    tree = MerkleTree(leaves(5))
    with pytest.raises(ProofError, match=message):
        tree.multi_proof(indices)
    with pytest.raises(ProofError, match=message):
        verify_leaves(BLAKE3, indices, 5, [tree.root], [], tree.root)


@pytest.mark.parametrize("size", [0, -1, 2**63, True, None, 2.0])
def test_unusable_sizes_are_refused(size: Any) -> None:
    refused(BLAKE3, [0], size, [bytes(32)], [], bytes(32))


# Work.


def test_a_column_of_a_large_grid_takes_no_more_than_its_paths() -> None:
    tree = MerkleTree(leaves(104 * 98))
    indices = [b * 98 + 41 for b in range(104)]
    hashes, proof = [tree.node(0, i) for i in indices], tree.multi_proof(indices)
    counting: Any = Counting()
    verify_leaves(counting, indices, tree.size, hashes, proof, tree.root)
    assert counting.nodes <= len(indices) * 8 + 104  # separate paths of 98 leaves, then one tree
    assert len(proof) <= len(indices) * 8


@pytest.mark.parametrize("size", [2**62, 2**63 - 1])
def test_work_does_not_depend_on_a_claimed_size(size: int) -> None:
    indices = [i * (size // 104) for i in range(104)]
    counting: Any = Counting()
    needed = sum(map(len, missing_siblings(indices, size)))
    assert needed <= 104 * 63
    refused(counting, indices, size, [bytes(32)] * 104, [bytes(32)] * needed, bytes(32))
    assert counting.nodes <= 104 * 63
