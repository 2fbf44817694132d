"""Openings: believed only if they hash to the root, held against a domain only if it signed."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dask_verify.core.canonical import decode, encode
from dask_verify.core.seal import INPUT, OUTPUT, Opening, asked
from dask_verify.errors import DecodingError
from dask_verify.protocol.messages import MAP, Task
from dask_verify.protocol.serving import (
    Reply,
    accused,
    answers,
    convicts,
    questions,
    requested,
)
from dask_verify.testing.simulation.enrolment import enrol, identity, make_plan
from dask_verify.testing.simulation.partitions import commit, partition

PLAN = make_plan("alice", "bob")
TASK = Task(MAP, 0)
STORE = partition(PLAN, TASK)
COMMITMENT = commit(PLAN, TASK, "alice", b"i")
(ALICE, BOB) = enrol("alice", "bob")
RANGES = [(a, b) for a in range(COMMITMENT.size) for b in range(a + 1, COMMITMENT.size + 1)]


def request(start: int = 2, stop: int = 4, tree: str = OUTPUT, of: int = 0) -> Opening:
    return asked(replace(COMMITMENT, partition=of), tree, start, stop, "alice")


def tampered(opening: Opening) -> Opening:
    return replace(opening, leaves=(b"lie", *opening.leaves[1:]))


def replied(
    opening: Opening, signer: str = "alice", wanted: Opening | None = None, beside: int = 2
) -> Reply:
    """A reply with an opening among others, as whoever asked for it decodes it."""
    others = [request(0, 1, of=i + 5) for i in range(beside)]
    served = [*map(STORE.open, others), opening, None]
    requests = [*others, wanted or request(), request(of=99)]
    return Reply.from_bytes(answers(served, identity(signer)), requests)


def lie(signer: str = "alice") -> bytes:
    """Evidence against a lie that somebody has signed."""
    return replied(tampered(STORE.open(request())), signer).evidence(2)


@pytest.mark.parametrize(("start", "stop"), RANGES)
def test_an_honest_opening_is_believed_and_never_convicts(start: int, stop: int) -> None:
    wanted = request(start, stop)
    reply = replied(STORE.open(wanted), wanted=wanted)
    believed = reply.believed[2]
    assert believed is not None
    assert believed.leaves == STORE.leaves[start:stop]
    assert reply.believed[3] is None
    assert not convicts(reply.evidence(2), wanted, ALICE)


def test_the_input_tree_is_opened_alike() -> None:
    wanted = request(0, 2, INPUT)
    reply = replied(STORE.open(wanted), wanted=wanted, beside=0)
    believed = reply.believed[0]
    assert believed is not None
    assert believed.leaves == STORE.inputs
    assert not convicts(reply.evidence(0), wanted, ALICE)


def test_requests_arrive_as_they_were_made() -> None:
    requests = [request(a, b, of=i) for i, (a, b) in enumerate(RANGES)]
    assert requested(questions(requests), 1000) == requests
    assert requested(questions(requests), 3) == requests[:3]


@pytest.mark.parametrize("beside", [0, 1, 5])
def test_a_signed_lie_is_refused_and_convicts_without_the_data(beside: int) -> None:
    reply = replied(tampered(STORE.open(request())), beside=beside)
    assert reply.believed[beside] is None
    evidence = reply.evidence(beside)
    assert accused(evidence).partition == 0
    assert b"lie" not in evidence
    assert convicts(evidence, request(), ALICE)
    for i in range(beside):
        assert reply.believed[i] is not None
        assert not convicts(reply.evidence(i), request(0, 1, of=i + 5), ALICE)


def test_the_first_wrong_opening_of_a_reply_is_the_one_that_is_proven() -> None:
    wanted = [request(of=i) for i in range(6)]
    opened = [STORE.open(r) for r in wanted]
    served = [opened[0], None, tampered(opened[2]), opened[3], tampered(opened[4])]
    reply = Reply.from_bytes(answers(served, identity("alice")), wanted)
    assert [opening is not None for opening in reply.believed] == [True, False, False, True, False]
    assert reply.moved == sum(map(len, opened[0].leaves + opened[3].leaves))
    assert reply.wrong == 2
    assert convicts(reply.evidence(2), wanted[2], ALICE)
    assert Reply.from_bytes(answers(opened[:2], identity("alice")), wanted).wrong is None


@pytest.mark.parametrize("signer", ["bob", "mallory"])
def test_a_lie_that_another_signed_does_not_convict(signer: str) -> None:
    assert not convicts(lie(signer), request(), ALICE)


def test_a_signature_of_another_context_does_not_convict() -> None:
    statement, said, signature = decode(lie())
    other = identity("alice").sign("commitment", encode(said))
    assert convicts(encode((statement, said, signature)), request(), ALICE)
    assert not convicts(encode((statement, said, other)), request(), ALICE)


def test_an_accusers_own_leaves_under_an_honest_signature_do_not_convict() -> None:
    honest = replied(STORE.open(request()))
    _, said, signature = decode(honest.evidence(2))
    forged = encode((tampered(STORE.open(request())).statement(), said, signature))
    assert not convicts(forged, request(), ALICE)


def test_what_was_not_among_the_signed_digests_does_not_convict() -> None:
    statement, said, _ = decode(lie())
    mine, of_a_lie = STORE.open(request()), tampered(STORE.open(request()))
    signature = decode(replied(mine).evidence(2))[2]
    assert not convicts(encode((statement, said, signature)), request(), ALICE)
    longer = encode((of_a_lie.statement(), (*said, said[0]), decode(lie())[2]))
    assert not convicts(longer, request(), ALICE)


@pytest.mark.parametrize(
    "change",
    [
        {"job": b"other"},
        {"stage": "reduce"},
        {"partition": 1},
        {"domain": "bob"},
        {"tree": INPUT},
        {"root": b"r" * 32},
        {"size": 99},
        {"start": 1},
        {"stop": 5},
    ],
    ids=str,
)
def test_what_was_signed_of_something_else_does_not_convict(change: dict) -> None:
    """Neither as it was signed, nor passed off as what was asked for."""
    other = replace(tampered(STORE.open(request())), **change)
    evidence = replied(other, wanted=replace(request(), **change)).evidence(2)
    assert not convicts(evidence, request(), ALICE)
    reply = replied(other)
    assert reply.believed[2] is None
    assert not convicts(reply.evidence(2), request(), ALICE)


@pytest.mark.parametrize("cut", ["leaves", "proof"])
def test_a_truncated_opening_is_refused(cut: str) -> None:
    opening = STORE.open(request())
    short = replace(opening, **{cut: getattr(opening, cut)[:-1]})
    assert replied(short).believed[2] is None


def test_an_opening_of_another_range_is_refused() -> None:
    assert replied(STORE.open(request(0, 2)), wanted=request(2, 4)).believed[2] is None


@given(st.binary(max_size=200))
def test_garbage_is_neither_request_nor_reply_nor_evidence(wire: bytes) -> None:
    for read in (
        lambda wire: requested(wire, 9),
        accused,
        lambda wire: Reply.from_bytes(wire, [request()]),
    ):
        with pytest.raises(DecodingError):
            read(wire)
    assert not convicts(wire, request(), ALICE)


ROW = (0, b"r" * 32, 6, 2, 4)


@pytest.mark.parametrize(
    "parts",
    [
        (),
        (b"j", "map", "alice", OUTPUT),
        (b"j", "map", "alice", OUTPUT, b"rows"),
        (b"j", "map", "alice", OUTPUT, (5,)),
        (b"j", "map", "alice", OUTPUT, ((),)),
        (b"j", "map", "alice", OUTPUT, (ROW[:4],)),
        (b"j", "map", "alice", OUTPUT, ((-1, *ROW[1:]),)),
        (b"j", "map", "alice", OUTPUT, ((0, "root", 6, 2, 4),)),
        (b"j", 5, "alice", OUTPUT, (ROW,)),
        (b"j", "map", "alice", OUTPUT, np.zeros(2)),
        (b"j", "map", "alice", OUTPUT, (np.zeros(5),)),
        (b"j", "map", "alice", OUTPUT, ((np.zeros(1), *ROW[1:]),)),
        (np.zeros(1), "map", "alice", OUTPUT, (ROW,)),
    ],
    ids=lambda parts: repr(parts)[:60],
)
def test_requests_of_another_form_are_refused(parts: tuple) -> None:
    with pytest.raises(DecodingError):
        requested(encode(parts), 9)


@pytest.mark.parametrize(
    "parts",
    [
        (),
        ((), 5),
        ((), b"", b""),
        (b"rows", bytes(64)),
        ((5,), bytes(64)),
        (((b"leaf",),), bytes(64)),
        ((((b"leaf",), b"proof"),), bytes(64)),
        ((((b"leaf",), ("proof",)),), bytes(64)),
        (((), ()), bytes(64)),
        (((),), b"short"),
        ((np.zeros(3),), bytes(64)),
        ((np.float64(1),), bytes(64)),
        (((np.zeros(0), ()),), bytes(64)),
        ((pd.DataFrame({"a": [1]}),), bytes(64)),
        (np.zeros(2), bytes(64)),
    ],
    ids=lambda parts: repr(parts)[:40],
)
def test_replies_of_another_form_are_refused(parts: tuple) -> None:
    with pytest.raises(DecodingError):
        Reply.from_bytes(encode(parts), [request()])


def test_no_byte_can_be_changed_in_evidence() -> None:
    evidence = lie()
    for at in range(0, len(evidence), 11):
        changed = evidence[:at] + bytes([evidence[at] ^ 1]) + evidence[at + 1 :]
        assert not convicts(changed, request(), ALICE)
    assert not convicts(evidence, request(), BOB)
