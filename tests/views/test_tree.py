"""The way through two trees, against trees that are there as a whole."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dask_verify.core.merkle import MerkleTree
from dask_verify.core.proofs import height
from dask_verify.errors import InputError, ProofError
from dask_verify.views.drawing import drawing
from dask_verify.views.tree import Level, Node, Proven, way


def proven(tree: MerkleTree, index: int) -> Proven:
    leaf = tree.leaf_hashes[index]
    return Proven(index, tree.size, leaf, tree.root, tree.inclusion_proof(index))


def reference(trees, index):
    """Look every node up in the trees, and below which leaves it is by asking each leaf."""
    size = trees[0].size
    found = []
    for level in range(height(size), -1, -1):
        width = len({leaf >> level for leaf in range(size)})
        at = index >> level

        def node(number, level=level):
            below = [leaf for leaf in range(size) if leaf >> level == number]
            return Node(below[0], below[-1], tuple(t.node(level, number) for t in trees))

        left = node(at - 1) if at % 2 else None
        right = node(at + 1) if at % 2 == 0 and at + 1 < width else None
        found.append(Level(level, node(at), left, right))
    return tuple(found)


cases = st.integers(1, 40).flatmap(
    lambda size: st.tuples(
        st.just(size), st.integers(0, size - 1), st.sets(st.integers(0, size - 1))
    )
)


@given(cases, st.integers(1, 3))
def test_it_is_what_the_trees_have(case, number) -> None:
    size, index, changed = case
    leaves = [b"%d" % i for i in range(size)]
    other = [b"x" if i in changed else leaf for i, leaf in enumerate(leaves)]
    trees = [MerkleTree(leaves), MerkleTree(other), MerkleTree(leaves[::-1])][:number]
    assert way([proven(tree, index) for tree in trees]) == reference(trees, index)


@given(cases)
def test_every_level_of_a_drawing_hangs_on_the_one_above(case) -> None:
    size, index, _ = case
    found = drawing(way([proven(MerkleTree([b"%d" % i for i in range(size)]), index)]), ["a"], "t")
    places = {(dot.x, dot.y) for dot in found.dots}
    assert len(places) == len(found.dots), "no node covers another"
    assert {(e.x1, e.y1) for e in found.edges} | {(e.x2, e.y2) for e in found.edges} <= places
    assert len(found.edges) == len(found.dots) - 1
    assert all(0 < dot.x < found.text < found.width and 0 < dot.y < found.height
               for dot in found.dots)  # fmt: skip


@pytest.mark.parametrize("mutation", ["hash", "root", "index", "proof", "short", "long"])
def test_what_does_not_lead_to_its_root_is_not_drawn(mutation) -> None:
    good = proven(MerkleTree([b"1", b"2", b"3", b"4", b"5"]), 2)
    bad = {
        "hash": replace(good, hash=bytes(32)),
        "root": replace(good, root=bytes(32)),
        "index": replace(good, index=3),
        "proof": replace(good, proof=[bytes(32), *good.proof[1:]]),
        "short": replace(good, proof=good.proof[1:]),
        "long": replace(good, proof=[*good.proof, bytes(32)]),
    }[mutation]
    with pytest.raises(ProofError):
        way([bad])


def test_leaves_at_different_places_are_refused() -> None:
    tree = MerkleTree([b"1", b"2"])
    with pytest.raises(InputError, match="one place"):
        way([proven(tree, 0), proven(tree, 1)])


def test_of_a_deep_tree_the_middle_is_left_out() -> None:
    size, leaf = 2**60, bytes(32)
    levels = [Level(n, Node(0, min(2**n, size) - 1, (leaf,))) for n in range(60, -1, -1)]
    found = drawing(levels, ["a"], "output")
    assert (found.skipped, len(found.notes)) == (13, 48)
    assert found.notes[-1].what == "leaf 0"
    assert found.height < 2500
