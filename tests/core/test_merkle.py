from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dask_verify.core.merkle import (
    BLAKE3,
    SHA256,
    Ask,
    Difference,
    MerkleTree,
    descend,
    first_difference,
    verify_descendants,
    verify_inclusion,
    verify_range,
)
from dask_verify.errors import DescentError, InputError, ProofError

VECTORS = json.loads((Path(__file__).parent / "vectors" / "merkle.json").read_text())
LEAVES = [bytes.fromhex(leaf) for leaf in VECTORS["leaves"]]
HASHERS = {hasher.name: hasher for hasher in (SHA256, BLAKE3)}

hashers = st.sampled_from([SHA256, BLAKE3])
leaf_lists = st.lists(st.binary(max_size=3), min_size=1, max_size=40)
digests = st.binary(min_size=32, max_size=32)


# The reference: RFC 6962 section 2.1 word for word, slow and recursive.


def split(n: int) -> int:
    k = 1
    while k * 2 < n:
        k *= 2
    return k


def mth(hasher, leaves):
    if not leaves:
        return hasher.empty()
    if len(leaves) == 1:
        return hasher.leaf(leaves[0])
    k = split(len(leaves))
    return hasher.node(mth(hasher, leaves[:k]), mth(hasher, leaves[k:]))


def path(hasher, m, leaves):
    if len(leaves) == 1:
        return []
    k = split(len(leaves))
    if m < k:
        return [*path(hasher, m, leaves[:k]), mth(hasher, leaves[k:])]
    return [*path(hasher, m - k, leaves[k:]), mth(hasher, leaves[:k])]


def outside(hasher, start, stop, leaves):
    """Hashes of the largest subtrees that hold no leaf of the range."""
    if stop <= 0 or start >= len(leaves):
        return {mth(hasher, leaves)}
    if len(leaves) == 1:
        return set()
    k = split(len(leaves))
    return outside(hasher, start, min(stop, k), leaves[:k]) | outside(
        hasher, start - k, stop - k, leaves[k:]
    )


def rfc9162_inclusion(hasher, index, size, leaf_hash, proof, root) -> bool:
    """RFC 9162, section 2.1.3.2, step by step."""
    if index >= size:
        return False
    fn, sn, r = index, size - 1, leaf_hash
    for p in proof:
        if sn == 0:
            return False
        if fn & 1 or fn == sn:
            r = hasher.node(p, r)
            while not fn & 1 and fn != 0:
                fn >>= 1
                sn >>= 1
        else:
            r = hasher.node(r, p)
        fn >>= 1
        sn >>= 1
    return sn == 0 and r == root


# Published vectors.


def test_vectors_name_the_well_known_leaves_and_roots():
    short = ["", "00", "10", "2021", "3031", "40414243", "5051525354555657"]
    assert VECTORS["leaves"] == [*short, "606162636465666768696a6b6c6d6e6f"]
    roots = VECTORS["hashers"][SHA256.name]["roots"]
    assert roots[0] == hashlib.sha256(b"").hexdigest()
    assert roots[1] == "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d"
    assert roots[8] == "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328"


@pytest.mark.parametrize("name", HASHERS)
@pytest.mark.parametrize("size", range(9))
def test_roots(name, size):
    root = MerkleTree(LEAVES[:size], HASHERS[name]).root
    assert root.hex() == VECTORS["hashers"][name]["roots"][size]


@pytest.mark.parametrize("name", HASHERS)
def test_paths(name):
    for vector in VECTORS["hashers"][name]["paths"]:
        tree = MerkleTree(LEAVES[: vector["size"]], HASHERS[name])
        proof = [bytes.fromhex(digest) for digest in vector["proof"]]
        assert tree.inclusion_proof(vector["index"]) == proof


@pytest.mark.parametrize("name", HASHERS)
def test_roles_are_separate(name):
    hasher, vector = HASHERS[name], VECTORS["hashers"][name]
    child = bytes(range(32))
    assert hasher.empty().hex() == vector["empty"]
    assert hasher.leaf(b"").hex() == vector["leaf of nothing"]
    assert hasher.leaf(child + child).hex() == vector["leaf of 00..1f twice"]
    assert hasher.node(child, child).hex() == vector["node of 00..1f twice"]
    assert len({vector[key] for key in vector if key not in {"roots", "paths"}}) == 4


def test_names_are_pinned():
    assert [SHA256.name, BLAKE3.name] == ["sha256Rfc6962", "blake3MerkleV1"]
    assert SHA256.size == BLAKE3.size == 32


@pytest.mark.parametrize("hasher", [SHA256, BLAKE3])
def test_leaf_takes_any_buffer(hasher):
    data = b"some bytes"
    assert hasher.leaf(data) == hasher.leaf(bytearray(data)) == hasher.leaf(memoryview(data))


# Fast equals slow.


@given(hashers, st.lists(st.binary(max_size=3), max_size=40))
def test_root_is_the_recursive_one(hasher, leaves):
    tree = MerkleTree(leaves, hasher)
    assert tree.root == mth(hasher, leaves)
    assert tree.leaf_hashes == [hasher.leaf(leaf) for leaf in leaves]
    assert MerkleTree.from_leaf_hashes(tree.leaf_hashes, hasher).root == tree.root


@given(hashers, leaf_lists, st.data())
def test_inclusion_proof_is_the_recursive_one(hasher, leaves, data):
    index = data.draw(st.integers(0, len(leaves) - 1))
    tree = MerkleTree(leaves, hasher)
    proof = tree.inclusion_proof(index)
    assert proof == path(hasher, index, leaves)
    leaf_hash = hasher.leaf(leaves[index])
    assert rfc9162_inclusion(hasher, index, tree.size, leaf_hash, proof, tree.root)
    verify_inclusion(hasher, index, tree.size, leaf_hash, proof, tree.root)


@given(
    st.integers(0, 40), st.integers(0, 40), digests, st.lists(digests, max_size=7), st.booleans()
)
def test_inclusion_agrees_with_the_rfc_on_any_claim(index, size, leaf_hash, proof, honest):
    root = b"\0" * 32
    if honest and index < size:
        root = MerkleTree.from_leaf_hashes([leaf_hash] * size, SHA256).root
        proof = MerkleTree.from_leaf_hashes([leaf_hash] * size, SHA256).inclusion_proof(index)
    accepted = True
    try:
        verify_inclusion(SHA256, index, size, leaf_hash, proof, root)
    except ProofError:
        accepted = False
    assert accepted == rfc9162_inclusion(SHA256, index, size, leaf_hash, proof, root)


@given(hashers, st.integers(1, 40), st.data())
def test_range_proof_holds_exactly_the_subtrees_outside(hasher, size, data):
    start = data.draw(st.integers(0, size - 1))
    stop = data.draw(st.integers(start + 1, size))
    leaves = [bytes([i]) for i in range(size)]
    tree = MerkleTree(leaves, hasher)
    proof = tree.range_proof(start, stop)
    assert len(set(proof)) == len(proof)
    assert set(proof) == outside(hasher, start, stop, leaves)
    verify_range(hasher, start, stop, size, tree.leaf_hashes[start:stop], proof, tree.root)


@given(hashers, leaf_lists, st.data())
def test_nodes_cover_their_leaves(hasher, leaves, data):
    tree = MerkleTree(leaves, hasher)
    level = data.draw(st.integers(0, tree.height))
    index = data.draw(st.integers(0, (tree.size - 1) >> level))
    depth = data.draw(st.integers(0, 7))
    covered = leaves[index << level : (index + 1) << level]
    assert tree.node(level, index) == mth(hasher, covered)
    below = tree.descendants(level, index, depth)
    step = 1 << max(level - depth, 0)
    assert below == [mth(hasher, covered[at : at + step]) for at in range(0, len(covered), step)]
    verify_descendants(hasher, tree.size, level, index, depth, below, tree.node(level, index))


def test_every_range_of_every_small_tree():
    for size in range(1, 18):
        tree = MerkleTree([bytes([i]) for i in range(size)])
        for start in range(size):
            for stop in range(start + 1, size + 1):
                hashes, proof = tree.leaf_hashes[start:stop], tree.range_proof(start, stop)
                verify_range(BLAKE3, start, stop, size, hashes, proof, tree.root)


def test_height_and_repr():
    heights = [MerkleTree([b""] * size).height for size in range(10)]
    assert heights == [0, 0, 1, 2, 2, 3, 3, 3, 3, 4]
    assert "blake3MerkleV1: 2 leaves" in repr(MerkleTree([b"", b""]))


# Mutations: each names what it breaks.


def flip(digest: bytes) -> bytes:
    return bytes([digest[0] ^ 1]) + digest[1:]


def assert_refused(name, check, *claim) -> None:
    try:
        check(*claim)
    except ProofError:
        return
    pytest.fail(f"accepted: {name}")


def mutated_lists(hashes: list[bytes]) -> dict[str, Any]:
    """Every list of hashes that a liar may send instead."""
    variants: dict[str, Any] = {
        "one more at the end": [*hashes, b"\0" * 32],
        "one more at the start": [b"\0" * 32, *hashes],
        "not a list": b"".join(hashes),
        "none": None,
        "a string": "x" * len(hashes),
    }
    if hashes:
        variants |= {
            "last dropped": hashes[:-1],
            "first dropped": hashes[1:],
            "last repeated": [*hashes, hashes[-1]],
            "short element": [*hashes[:-1], hashes[-1][:31]],
            "long element": [hashes[0] + b"\0", *hashes[1:]],
            "empty element": [b"", *hashes[1:]],
            "text element": ["x" * 32, *hashes[1:]],
            "mutable element": [bytearray(hashes[0]), *hashes[1:]],
        }
        variants |= {
            f"bit flipped in {at}": [*hashes[:at], flip(hashes[at]), *hashes[at + 1 :]]
            for at in range(len(hashes))
        }
        variants |= {
            f"{at} and {at + 1} swapped": [
                *hashes[:at], hashes[at + 1], hashes[at], *hashes[at + 2 :]
            ]
            for at in range(len(hashes) - 1)
        }  # fmt: skip
    return variants


BAD_INTS = [-1, True, False, None, 1.0, "1", 2**63, 2**100_000]
BAD_DIGESTS = [b"", b"\0" * 31, b"\0" * 33, b"\0" * 32, "0" * 32, None, 0]


def tree_of(size: int) -> MerkleTree:
    return MerkleTree([bytes([i]) for i in range(size)], SHA256)


def test_positions_are_bound_by_the_shape_alone_only_with_the_size():
    # RFC 6962 does not put the size into the root, so two sizes may share a path; what must hold is
    # that no leaf passes for another of the same tree, and that the RFC agrees on every claim.
    for size in (1, 2, 3, 6, 7, 8):
        tree = tree_of(size)
        for index in range(size):
            leaf_hash, proof = tree.leaf_hashes[index], tree.inclusion_proof(index)
            for other in set(range(size)) - {index}:
                with pytest.raises(ProofError):
                    verify_inclusion(SHA256, other, size, leaf_hash, proof, tree.root)
            for other in range(20):
                claim = (SHA256, index, other, leaf_hash, proof, tree.root)
                if rfc9162_inclusion(*claim):
                    verify_inclusion(*claim)
                else:
                    with pytest.raises(ProofError):
                        verify_inclusion(*claim)


@pytest.mark.parametrize("size", [1, 2, 3, 7, 8, 11])
def test_inclusion_mutations(size):
    tree = tree_of(size)
    for index in range(size):
        leaf_hash, proof = tree.leaf_hashes[index], tree.inclusion_proof(index)
        for name, wrong in mutated_lists(proof).items():
            assert_refused(name, verify_inclusion, SHA256, index, size, leaf_hash, wrong, tree.root)
        for wrong in [*BAD_DIGESTS, flip(leaf_hash)]:
            with pytest.raises(ProofError):
                verify_inclusion(SHA256, index, size, wrong, proof, tree.root)
        for wrong in [*BAD_DIGESTS, flip(tree.root)]:
            with pytest.raises(ProofError):
                verify_inclusion(SHA256, index, size, leaf_hash, proof, wrong)
        for wrong in [*BAD_INTS, size]:
            with pytest.raises(ProofError):
                verify_inclusion(SHA256, wrong, size, leaf_hash, proof, tree.root)
        for wrong in [*BAD_INTS, 0]:
            with pytest.raises(ProofError):
                verify_inclusion(SHA256, index, wrong, leaf_hash, proof, tree.root)
        with pytest.raises(ProofError):
            verify_inclusion(BLAKE3, index, size, BLAKE3.leaf(bytes([index])), proof, tree.root)


@pytest.mark.parametrize(("start", "stop", "size"), [(0, 1, 1), (2, 5, 7), (0, 3, 8), (3, 7, 11)])
def test_range_mutations(start, stop, size):
    tree = tree_of(size)
    hashes, proof, root = tree.leaf_hashes[start:stop], tree.range_proof(start, stop), tree.root
    for name, wrong in mutated_lists(hashes).items():
        assert_refused(name, verify_range, SHA256, start, stop, size, wrong, proof, root)
    for name, wrong in mutated_lists(proof).items():
        assert_refused(name, verify_range, SHA256, start, stop, size, hashes, wrong, root)
    for first in range(size + 1):
        for last in set(range(size + 2)) - ({stop} if first == start else set()):
            with pytest.raises(ProofError):
                verify_range(SHA256, first, last, size, hashes, proof, root)
    for wrong in BAD_INTS:
        for claim in [(wrong, stop, size), (start, wrong, size), (start, stop, wrong)]:
            if claim == (start, stop, size):  # True == 1: the claim must fail all the same
                assert isinstance(wrong, bool | float)
            with pytest.raises(ProofError):
                verify_range(SHA256, *claim, hashes, proof, root)
    for wrong in [*BAD_DIGESTS, flip(root)]:
        with pytest.raises(ProofError):
            verify_range(SHA256, start, stop, size, hashes, proof, wrong)


@pytest.mark.parametrize(
    ("level", "index", "depth"), [(0, 10, 1), (4, 0, 4), (4, 0, 2), (2, 2, 9), (3, 1, 1)]
)
def test_descendants_mutations(level, index, depth):
    size = 11
    tree = tree_of(size)
    hashes, expected = tree.descendants(level, index, depth), tree.node(level, index)
    for name, wrong in mutated_lists(hashes).items():
        assert_refused(name, verify_descendants, SHA256, size, level, index, depth, wrong, expected)
    for wrong in [*BAD_DIGESTS, flip(expected)]:
        with pytest.raises(ProofError):
            verify_descendants(SHA256, size, level, index, depth, hashes, wrong)
    for wrong in BAD_INTS:
        for claim in [
            (wrong, level, index, depth),
            (size, wrong, index, depth),
            (size, level, wrong, depth),
            (size, level, index, wrong),
        ]:
            with pytest.raises(ProofError):
                verify_descendants(SHA256, *claim, hashes, expected)


def test_a_huge_claim_costs_nothing():
    with pytest.raises(ProofError, match="number of leaf hashes"):
        verify_range(SHA256, 0, 2**62, 2**63 - 1, [], [], b"\0" * 32)
    with pytest.raises(ProofError, match="number of descendants"):
        verify_descendants(SHA256, 2**63 - 1, 63, 0, 63, [], b"\0" * 32)


def test_no_leaves_are_proven_by_their_neighbours():
    """The hashes beside an empty range do fold to the root."""
    tree = MerkleTree([b"left", b"right"])
    with pytest.raises(ProofError, match="range stop"):
        verify_range(BLAKE3, 1, 1, 2, [], tree.leaf_hashes, tree.root)


@pytest.mark.parametrize("hasher", [SHA256, BLAKE3])
def test_the_empty_tree_has_a_root_and_proves_nothing(hasher):
    tree = MerkleTree([], hasher)
    assert (tree.size, tree.height, tree.root) == (0, 0, hasher.empty())
    for call in [
        lambda: tree.inclusion_proof(0),
        lambda: tree.range_proof(0, 0),
        lambda: tree.node(0, 0),
        lambda: tree.descendants(0, 0, 1),
        lambda: verify_inclusion(hasher, 0, 0, hasher.empty(), [], tree.root),
        lambda: verify_range(hasher, 0, 0, 0, [], [], tree.root),
        lambda: verify_descendants(hasher, 0, 0, 0, 1, [], tree.root),
    ]:
        with pytest.raises(ProofError):
            call()


@pytest.mark.parametrize("wrong", [-1, 3, True, 1.0, None])
def test_the_builder_refuses_positions_outside_the_tree(wrong):
    tree = tree_of(3)
    for call in [
        lambda: tree.inclusion_proof(wrong),
        lambda: tree.range_proof(wrong, 3),
        lambda: tree.node(0, wrong),
        lambda: tree.node(3 if wrong == 3 else wrong, 0),
        lambda: tree.descendants(2, 0, -1),
    ]:
        with pytest.raises(ProofError):
            call()


def test_leaves_must_be_a_sequence_of_bytes():
    with pytest.raises(InputError, match="put it in a list"):
        MerkleTree(b"one leaf?")
    with pytest.raises(ProofError, match="32 bytes"):
        MerkleTree.from_leaf_hashes([b"short"])


# Descent.


def drive(search, answer):
    """Run a descent; return its result and every question with its answer."""
    asked: list[tuple[Ask, Any]] = []
    reply = None
    while True:
        try:
            ask = search.send(reply)
        except StopIteration as done:
            return done.value, asked
        reply = answer(ask)
        asked.append((ask, reply))


def honest(a: MerkleTree, b: MerkleTree):
    return lambda ask: {"a": a, "b": b}[ask.side].descendants(ask.level, ask.index, ask.depth)


@given(hashers, st.integers(1, 6), st.data())
def test_descent_finds_the_first_difference(hasher, depth, data):
    leaves = data.draw(leaf_lists)
    changed = data.draw(st.sets(st.integers(0, len(leaves) - 1)))
    a = MerkleTree(leaves, hasher)
    b = MerkleTree([x + b"!" * (i in changed) for i, x in enumerate(leaves)], hasher)
    found, asked = drive(descend(hasher, a.size, a.root, b.root, depth), honest(a, b))
    if not changed:
        assert (found, asked) == (None, [])
        return
    first = min(changed)
    assert found == Difference(first, a.leaf_hashes[first], b.leaf_hashes[first])
    assert found == first_difference(a, b)
    assert len(asked) == 2 * -(-a.height // depth)


@pytest.mark.parametrize("size", [10_000, 16_384, 16_385])
def test_descent_moves_few_hashes(size):
    leaves = [b"%d" % i for i in range(size)]
    a = MerkleTree(leaves)
    b = MerkleTree([*leaves[:-1], b"wrong"])
    found, asked = drive(descend(BLAKE3, size, a.root, b.root), honest(a, b))
    assert found.index == size - 1
    assert sum(len(reply) for _, reply in asked) <= 2 * 16 * (-(-a.height // 4))


@pytest.mark.parametrize("side", ["a", "b"])
@pytest.mark.parametrize("silent_from", [0, 1, 2])
def test_descent_names_the_silent_side(side, silent_from):
    a, b = tree_of(11), MerkleTree([b"other"] * 11, SHA256)
    seen: list[Ask] = []

    def answer(ask):
        seen.append(ask)
        late = sum(old.side == side for old in seen) > silent_from
        return None if ask.side == side and late else honest(a, b)(ask)

    with pytest.raises(DescentError, match="no answer") as caught:
        drive(descend(SHA256, 11, a.root, b.root, 1), answer)
    assert caught.value.side == side


@pytest.mark.parametrize("side", ["a", "b"])
def test_descent_names_the_side_that_contradicts_its_root(side):
    a, b = tree_of(11), MerkleTree([b"other"] * 11, SHA256)
    first = honest(a, b)(Ask(side, 4, 0, 2))
    for wrong in mutated_lists(first).values():
        if wrong is None:
            continue

        def answer(ask, wrong=wrong):
            return wrong if ask.side == side else honest(a, b)(ask)

        with pytest.raises(DescentError, match="contradicts its root") as caught:
            drive(descend(SHA256, 11, a.root, b.root, 2), answer)
        assert caught.value.side == side
        assert isinstance(caught.value.__cause__, ProofError)


def test_a_side_cannot_serve_the_tree_of_the_other():
    a, b = tree_of(8), MerkleTree([b"other"] * 8, SHA256)
    with pytest.raises(DescentError) as caught:
        drive(descend(SHA256, 8, a.root, b.root), honest(a, a))
    assert caught.value.side == "b"


def test_descent_of_small_trees():
    one, two = b"\1" * 32, b"\2" * 32
    assert drive(descend(SHA256, 1, one, two), None) == (Difference(0, one, two), [])
    assert drive(descend(SHA256, 0, SHA256.empty(), SHA256.empty()), None) == (None, [])
    for roots, side in [((one, SHA256.empty()), "a"), ((SHA256.empty(), one), "b")]:
        with pytest.raises(DescentError) as caught:
            drive(descend(SHA256, 0, *roots), None)
        assert caught.value.side == side


@pytest.mark.parametrize("wrong", [*BAD_INTS[:-2], 0])
def test_descent_refuses_malformed_arguments(wrong):
    a, b = tree_of(3), MerkleTree([b"other"] * 3, SHA256)
    with pytest.raises(ProofError):
        next(descend(SHA256, 3, a.root, b.root, wrong))
    for bad in BAD_DIGESTS:
        if bad != b"\0" * 32:
            with pytest.raises(ProofError):
                next(descend(SHA256, 3, a.root, bad))


def test_first_difference_needs_comparable_trees():
    assert first_difference(tree_of(5), tree_of(5)) is None
    for other in (tree_of(6), MerkleTree([b""] * 5, BLAKE3)):
        with pytest.raises(InputError, match="expected trees of one hasher and size"):
            first_difference(tree_of(5), other)
