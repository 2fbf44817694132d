"""A worker's handlers: what it answers, in whose name, and what it leaves unanswered."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cloudpickle
import dask
import pytest

from dask_verify.core.canonical import decode, encode
from dask_verify.core.merkle import BLAKE3, verify_descendants
from dask_verify.core.seal import (
    INPUT,
    OUTPUT,
    Columns,
    Commitment,
    Opening,
    SealedPartition,
    asked,
    asked_columns,
)
from dask_verify.engine import worker
from dask_verify.engine.store import Address
from dask_verify.engine.worker import VerifyWorker, _Rehearsal
from dask_verify.errors import InputError, ProofError
from dask_verify.protocol.domain import Domain, Identity
from dask_verify.protocol.messages import Task
from dask_verify.protocol.quorum import admit
from dask_verify.protocol.serving import Reply, convicts, questions
from dask_verify.testing import Frame, Saboteur, ServeOther, Silent

ALICE = Identity.generate("alice")
LEAVES = tuple(b"leaf %d" % i for i in range(6))
SEALED = SealedPartition(3, 2, 12, (12,), LEAVES, (b"in 0", b"in 1"))
COMMITMENT = SEALED.commit(b"job", "map", 0, "alice", b"inputs")


@pytest.fixture
def side(tmp_path: Path) -> VerifyWorker:
    side = VerifyWorker("alice", ALICE.private_bytes(), store_memory=10_000)
    handlers: dict[str, Any] = {}
    worker: Any = SimpleNamespace(
        address="here",
        local_directory=str(tmp_path),
        handlers=handlers,
        state=SimpleNamespace(nthreads=4),
    )
    side.setup(worker)
    assert side.memory == 2_500, "each thread may collect sections"
    assert set(handlers) == {
        f"verify_{name}"
        for name in (
            "open",
            "nodes",
            "columns",
            "close",
            "release",
            "forget",
            "reopen",
            "prove",
            "outcome",
        )
    }
    return side


@pytest.fixture
def sabotaged(side: VerifyWorker, tmp_path: Path) -> Callable[[Any], VerifyWorker]:
    """Give the worker a saboteur."""

    def put(saboteur: Any) -> VerifyWorker:
        path = tmp_path / "saboteur"
        path.write_bytes(cloudpickle.dumps(saboteur))
        side._rehearsal = _Rehearsal(str(path))
        return side

    return put


COLUMNS = asked_columns(COMMITMENT, [1], "alice")


def request(tree: str = OUTPUT, of: Commitment = COMMITMENT, domain: str = "alice") -> Opening:
    return asked(of, tree, 0, 2, domain)


def opened(side: VerifyWorker, wanted: Opening) -> Opening | None:
    return Reply.from_bytes(side.open(questions([wanted])), [wanted]).believed[0]


def test_many_are_opened_at_once_and_what_is_not_here_is_left_out(side: VerifyWorker) -> None:
    side.keep(SEALED, COMMITMENT)
    wanted = [request(), replace(request(), partition=1), replace(request(), start=1, stop=6)]
    reply = Reply.from_bytes(side.open(questions(wanted)), wanted)
    first, missing, last = (reply.believed[i] for i in range(3))
    assert missing is None
    assert (first and first.leaves, last and last.leaves) == (LEAVES[:2], LEAVES[1:])


def test_a_reply_that_grows_too_long_is_cut(
    side: VerifyWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker, "REPLY", 20)
    side.keep(SEALED, COMMITMENT)
    wanted = [request()] * 5
    assert len(Reply.from_bytes(side.open(questions(wanted)), wanted).openings) == 2


def test_no_more_openings_than_a_reply_holds_are_looked_at(
    side: VerifyWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker, "_ROWS", 3)
    side.keep(SEALED, COMMITMENT)
    wanted = [request()] * 5
    assert len(Reply.from_bytes(side.open(questions(wanted)), wanted).openings) == 3


@pytest.mark.parametrize(
    ("given", "configured", "limit", "kept"),
    [
        (7, "1 MiB", 1000, 7),
        (None, "1 MiB", 1000, 1 << 20),
        (None, None, 1000, 100),
        (None, None, 0, 256 << 20),
        (None, None, None, 256 << 20),
    ],
)
def test_the_store_keeps_what_it_is_told_to_or_a_share_of_the_worker(
    given: int | None, configured: str | None, limit: int | None, kept: int
) -> None:
    worker: Any = SimpleNamespace(memory_manager=SimpleNamespace(memory_limit=limit))
    side = VerifyWorker("alice", ALICE.private_bytes(), store_memory=given)
    with dask.config.set({"verify.store-memory": configured}):
        assert side._memory(worker) == kept


def test_what_rotted_in_the_store_is_not_signed_for(side: VerifyWorker) -> None:
    """Its holder signs for what it hashed when it committed: bytes that rot expose nobody."""
    side.keep(replace(SEALED), COMMITMENT)
    rotten = side.store[Address(b"job", "map", 0)]
    assert rotten.output_tree.root == COMMITMENT.root
    object.__setattr__(rotten, "leaves", (b"rot", *LEAVES[1:]))
    reply = Reply.from_bytes(side.open(questions([request()])), [request()])
    assert reply.believed[0] is None
    assert not convicts(reply.evidence(0), request(), Domain("alice", ALICE.public_key))


def test_a_kept_partition_is_signed_for_and_opened(side: VerifyWorker) -> None:
    (wire,) = side.keep(SEALED, COMMITMENT)
    domain = Domain("alice", ALICE.public_key)
    assert admit(wire, Task("map", 0), b"job", b"inputs", domain).commitment == COMMITMENT
    opening = opened(side, request())
    assert opening is not None
    assert opening.leaves == LEAVES[:2]


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
        replace(request(), size=12),
        replace(request(), tree="other", root=SEALED.input_tree.root, size=2),
    ],
    ids=["name", "root", "partition", "job", "beyond the end", "size", "tree"],
)
def test_what_it_did_not_commit_to_is_not_answered(side: VerifyWorker, wanted: Opening) -> None:
    side.keep(SEALED, COMMITMENT)
    # Not even signed for: what is believed is the asker's business.
    assert Reply.from_bytes(side.open(questions([wanted])), [wanted]).openings == (None,)


@pytest.mark.parametrize("garbage", [b"", b"\x11\x80", encode((1, 2)), encode("text")])
def test_garbage_is_not_answered(side: VerifyWorker, garbage: bytes) -> None:
    assert side.open(garbage) == b""
    assert side.nodes(garbage) == b""
    assert side.columns(garbage) == b""


def test_columns_come_with_a_proof_against_the_signed_root(side: VerifyWorker) -> None:
    side.keep(SEALED, COMMITMENT)
    columns = Columns.from_bytes(side.columns(COLUMNS.to_bytes()))
    columns.verify(COLUMNS)
    assert columns.of(1) == tuple(BLAKE3.leaf(LEAVES[i]) for i in (1, 3, 5))


def test_columns_of_a_reduce_partition_are_its_buckets(side: VerifyWorker) -> None:
    sealed = SealedPartition(3, 1, 3, (3,), LEAVES[:3])
    commitment = sealed.commit(b"job", "reduce", 0, "alice", b"inputs")
    side.keep(SEALED, COMMITMENT)
    side.keep(sealed, commitment)
    wanted = asked_columns(commitment, [0, 2], "alice")
    columns = Columns.from_bytes(side.columns(wanted.to_bytes()))
    columns.verify(wanted)
    assert columns.of(2) == (BLAKE3.leaf(LEAVES[2]),)


@pytest.mark.parametrize(
    "change",
    [
        {"domain": "bob"},
        {"root": b"?" * 32},
        {"partition": 1},
        {"job": b"another"},
        {"buckets": 4},
        {"buckets": 2**50},
        {"width": 3, "units": (2,)},
        {"stage": "reduce", "width": 1},
    ],
    ids=lambda change: " and ".join(change),
)
def test_columns_of_something_else_are_not_answered(
    side: VerifyWorker, change: dict[str, Any]
) -> None:
    side.keep(SEALED, COMMITMENT)
    assert side.columns(replace(COLUMNS, **change).to_bytes()) == b""


def test_a_saboteur_changes_columns_or_withholds_them(
    sabotaged: Callable[[Any], VerifyWorker],
) -> None:
    side = sabotaged(ServeOther())
    side.keep(SEALED, COMMITMENT)
    columns = Columns.from_bytes(side.columns(COLUMNS.to_bytes()))
    with pytest.raises(ProofError, match="Merkle root"):
        columns.verify(COLUMNS)
    assert sabotaged(Silent()).columns(COLUMNS.to_bytes()) == b""
    # One that signed a forged root answers as well, and its proof fails.
    forged = replace(COLUMNS, root=b"?" * 32)
    with pytest.raises(ProofError, match="Merkle root"):
        Columns.from_bytes(sabotaged(Saboteur()).columns(forged.to_bytes())).verify(forged)


def test_a_saboteurs_commitment_is_not_that_of_an_audit(
    sabotaged: Callable[[Any], VerifyWorker],
) -> None:
    class Twice(Saboteur):
        def commit(self, commitment: Commitment) -> Any:
            return (commitment, commitment)

    side = sabotaged(Twice())
    assert len(side.keep(SEALED, COMMITMENT)) == 2
    assert len(side.keep(SEALED, COMMITMENT, audit=True)) == 1


def test_a_saboteur_changes_what_is_signed_in_an_audit(
    side: VerifyWorker, sabotaged: Callable[[Any], VerifyWorker]
) -> None:
    hashes = (b"h" * 32, b"i" * 32)
    assert side.rehearsed(hashes) == hashes
    assert sabotaged(Saboteur()).rehearsed(hashes) == hashes
    assert sabotaged(Frame()).rehearsed(hashes) == (b"i" + b"h" * 31, b"h" + b"i" * 31)


@pytest.mark.parametrize("said", [None, b"h" * 32, "text", [b"short"], ["h" * 32], [None], {}])
def test_what_no_auditor_can_sign_is_an_error(
    sabotaged: Callable[[Any], VerifyWorker], said: Any
) -> None:
    class Nonsense(Saboteur):
        def audit(self, answer: Any) -> Any:
            return said

    with pytest.raises(InputError, match=r"Nonsense.audit: expected a tuple of hashes"):
        sabotaged(Nonsense()).rehearsed((b"h" * 32,))


def test_released_inputs_and_forgotten_jobs_are_not_answered(side: VerifyWorker) -> None:
    side.keep(SEALED, COMMITMENT)
    assert opened(side, request(INPUT)) is not None
    side.release(b"job", "map", [0])
    assert opened(side, request(INPUT)) is None
    assert opened(side, request()) is not None
    side.forget(b"job")
    assert opened(side, request()) is None
    side.keep(SEALED, COMMITMENT)  # a straggler of a closed job leaves nothing behind
    assert len(side.store) == 0
    side.reopen(b"job")
    side.keep(SEALED, COMMITMENT)
    assert opened(side, request()) is not None


# --- one place for a partition -----------------------------------------------------------------


def test_what_was_made_of_older_inputs_does_not_replace_what_was_made_of_newer(
    side: VerifyWorker,
) -> None:
    """A liar may have kept its thread busy: its domain would no more serve what it signed."""
    newer = replace(SEALED, leaves=tuple(leaf + b"!" for leaf in LEAVES))
    of = newer.commit(COMMITMENT.job, COMMITMENT.stage, COMMITMENT.partition, "alice", b"newer")
    side.keep(SEALED, COMMITMENT, round=1)
    side.keep(newer, of, round=3)
    with pytest.raises(worker.UnkeptError, match="was replaced"):
        side.keep(SEALED, COMMITMENT, round=2)
    assert opened(side, request()) is None
    found = opened(side, request(of=of))
    assert found is not None
    assert found.leaves == newer.leaves[:2]
    side.keep(SEALED, COMMITMENT, round=3)
    assert opened(side, request()) is not None
    side.forget(COMMITMENT.job)
    side.reopen(COMMITMENT.job)
    side.keep(SEALED, COMMITMENT, round=1)
    assert opened(side, request()) is not None
