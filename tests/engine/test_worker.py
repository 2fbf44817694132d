"""A worker's handlers: what it answers, in whose name, and what it leaves unanswered."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from dask_verify.core.canonical import decode, encode
from dask_verify.core.merkle import BLAKE3, verify_descendants
from dask_verify.core.seal import INPUT, OUTPUT, Commitment, Opening, SealedPartition, asked
from dask_verify.engine.worker import VerifyWorker
from dask_verify.protocol.domain import Domain, Identity
from dask_verify.protocol.messages import Task
from dask_verify.protocol.quorum import admit
from dask_verify.protocol.serving import CONTEXT, believe, unwrap

ALICE = Identity.generate("alice")
LEAVES = tuple(b"leaf %d" % i for i in range(6))
SEALED = SealedPartition(3, 2, 12, (12,), LEAVES, (b"in 0", b"in 1"))
COMMITMENT = SEALED.commit(b"job", "map", 0, "alice", b"inputs")


@pytest.fixture
def side(tmp_path: Path) -> VerifyWorker:
    side = VerifyWorker("alice", ALICE.private_bytes(), store_memory=10_000)
    handlers: dict[str, Any] = {}
    side.setup(SimpleNamespace(address="here", local_directory=str(tmp_path), handlers=handlers))
    assert set(handlers) == {"verify_open", "verify_nodes", "verify_release", "verify_forget"}
    return side


def request(tree: str = OUTPUT, of: Commitment = COMMITMENT, domain: str = "alice") -> Opening:
    return asked(of, tree, 0, 2, domain)


def test_a_kept_partition_is_signed_for_and_opened(side: VerifyWorker) -> None:
    (wire,) = side.keep(SEALED, COMMITMENT)
    domain = Domain("alice", ALICE.public_key)
    assert admit(wire, Task("map", 0), b"job", b"inputs", domain).commitment == COMMITMENT
    (reply,) = side.open([request().to_bytes()])
    opening = believe(reply, request())
    assert opening.leaves == LEAVES[:2]
    domain.verify(CONTEXT, opening.statement(), unwrap(reply)[1])


def test_hashes_below_a_node_fold_to_the_root(side: VerifyWorker) -> None:
    side.keep(SEALED, COMMITMENT)
    reply = side.nodes(encode((request().to_bytes(), 3, 0, 3)))
    verify_descendants(BLAKE3, 6, 3, 0, 3, list(decode(reply)), COMMITMENT.root)


@pytest.mark.parametrize(
    "wanted",
    [
        request(domain="bob"),
        replace(request(), root=b"?" * 32),
        replace(request(), partition=1),
        replace(request(), job=b"another"),
        replace(request(), start=5, stop=9),
    ],
    ids=["another's name", "another root", "another partition", "another job", "beyond the end"],
)
def test_what_it_did_not_commit_to_is_not_answered(side: VerifyWorker, wanted: Opening) -> None:
    side.keep(SEALED, COMMITMENT)
    assert side.open([wanted.to_bytes(), request().to_bytes()])[0] == b""


@pytest.mark.parametrize("garbage", [b"", b"\x11\x80", encode((1, 2)), encode("text")])
def test_garbage_is_not_answered(side: VerifyWorker, garbage: bytes) -> None:
    assert side.open([garbage]) == [b""]
    assert side.nodes(garbage) == b""


def test_released_inputs_and_forgotten_jobs_are_not_answered(side: VerifyWorker) -> None:
    side.keep(SEALED, COMMITMENT)
    assert side.open([request(INPUT).to_bytes()]) != [b""]
    side.release(b"job", "map", [0])
    assert side.open([request(INPUT).to_bytes()]) == [b""]
    side.forget(b"job")
    assert side.open([request().to_bytes()]) == [b""]
    side.keep(SEALED, COMMITMENT)  # a straggler of a closed job leaves nothing behind
    assert len(side.store) == 0
