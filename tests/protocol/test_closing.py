"""Closings: a domain signs only over what it finds its own signatures under."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from script import M0, M1

from dask_verify.core.canonical import decode, encode
from dask_verify.core.seal import ANSWER_CONTEXT, Commitment
from dask_verify.errors import DecodingError, SignatureError, VerifyError
from dask_verify.protocol import closing
from dask_verify.protocol.closing import Closing, SignedAnswer, leaf_of
from dask_verify.protocol.domain import Domain
from dask_verify.protocol.messages import Task
from dask_verify.protocol.quorum import CONTEXT
from dask_verify.testing.simulation.enrolment import identity, make_plan
from dask_verify.testing.simulation.partitions import commit

PLAN = make_plan("alice", "bob")
ALICE, BOB = identity("alice"), identity("bob")
DOMAIN = Domain("alice", ALICE.public_key)


def signed(task: Task, who: str = "alice") -> tuple[Commitment, tuple[bytes, bytes]]:
    commitment = commit(PLAN, task, who, PLAN.map_inputs(task.partition))
    payload = commitment.to_bytes()
    return commitment, (payload, identity(who).sign(CONTEXT, payload))


def answer(job: bytes = PLAN.job) -> SignedAnswer:
    bare = SignedAnswer("map", 1, b"inputs", (0, 2), b"d" * 32, b"")
    return replace(bare, signature=ALICE.sign(ANSWER_CONTEXT, bare.statement(job)))


def request(*pairs: tuple[bytes, bytes], answers: tuple[SignedAnswer, ...] = ()) -> bytes:
    return closing.request(PLAN.job, pairs, answers)


def test_a_closing_is_over_everything_in_order() -> None:
    (one, first), (two, second) = signed(M0), signed(M1)
    wire = closing.close(request(first, second, answers=(answer(),)), ALICE)
    leaves, statements = [leaf_of(one), leaf_of(two)], [answer().statement(PLAN.job)]
    expected = Closing.of(PLAN.job, "alice", leaves, statements)
    assert len(closing.closed(wire, expected, DOMAIN)) == 64
    for other in (
        Closing.of(PLAN.job, "alice", leaves[::-1], statements),
        Closing.of(PLAN.job, "alice", leaves[:1], statements),
        Closing.of(PLAN.job, "alice", leaves, []),
        Closing.of(b"other job", "alice", leaves, statements),
        Closing.of(PLAN.job, "bob", leaves, statements),
    ):
        with pytest.raises(SignatureError):
            closing.closed(wire, other, DOMAIN)
    with pytest.raises(SignatureError):
        closing.closed(wire, expected, Domain("alice", BOB.public_key))


def test_nothing_is_closed_over_that_somebody_else_signed() -> None:
    _, (payload, _) = signed(M0)
    _, foreign = signed(M0, "bob")
    for pair in (foreign, (payload, BOB.sign(CONTEXT, payload)), (payload, bytes(64))):
        with pytest.raises(SignatureError):
            closing.close(request(pair), ALICE)


def test_nothing_is_closed_over_that_was_signed_in_anothers_name_or_for_another_job() -> None:
    commitment, _ = signed(M0)
    for changes in ({"domain": "bob"}, {"job": b"other"}):
        payload = replace(commitment, **changes).to_bytes()
        with pytest.raises(SignatureError, match="one domain"):
            closing.close(request((payload, ALICE.sign(CONTEXT, payload))), ALICE)


def test_answers_are_those_of_this_job_and_of_these_units() -> None:
    other = answer(b"other job"), replace(answer(), units=(0,)), replace(answer(), stage="read")
    for bad in other:
        with pytest.raises(SignatureError):
            closing.close(request(answers=(bad,)), ALICE)


def test_a_signature_in_another_context_is_no_commitment() -> None:
    _, (payload, _) = signed(M0)
    with pytest.raises(SignatureError):
        closing.close(request((payload, ALICE.sign("closing", payload))), ALICE)


def test_a_closing_of_nothing_is_one() -> None:
    wire = closing.close(request(), ALICE)
    closing.closed(wire, Closing.of(PLAN.job, "alice", [], []), DOMAIN)


@given(st.binary(max_size=60))
def test_garbage_is_no_request(data: bytes) -> None:
    with pytest.raises(VerifyError):
        closing.close(data, ALICE)


@pytest.mark.parametrize(
    "said",
    [
        (b"job", (), 5),
        (b"job", ((b"one",),), ()),
        (b"job", (), (("map", 1, b"i", (0,), b"d"),)),
        (b"job", (), (("map", 1, b"i", [0], b"d", b"s"),)),
        ("job", (), ()),
        (b"job", ()),
        5,
    ],
)
def test_requests_have_their_form(said: object) -> None:
    with pytest.raises(DecodingError):
        closing.close(encode(said), ALICE)


def test_every_byte_of_a_closing_counts() -> None:
    _, pair = signed(M0)
    wire = closing.close(request(pair), ALICE)
    payload, signature = decode(wire)
    expected = Closing.from_bytes(payload)
    for at in range(len(wire)):
        other = wire[:at] + bytes([wire[at] ^ 1]) + wire[at + 1 :]
        with pytest.raises(VerifyError):
            closing.closed(other, expected, DOMAIN)
    assert len(signature) == 64
