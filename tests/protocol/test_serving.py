"""Openings: believed only if they hash to the root, held against a domain only if it signed."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from partitions import commit, partition
from simulator import enrol, identity, make_plan

from dask_verify.core.canonical import encode
from dask_verify.core.seal import INPUT, OUTPUT, Opening, asked
from dask_verify.errors import DecodingError, ProofError
from dask_verify.protocol.messages import MAP, Task
from dask_verify.protocol.serving import CONTEXT, believe, convicts, evidence_of

PLAN = make_plan("alice", "bob")
TASK = Task(MAP, 0)
STORE = partition(PLAN, TASK)
COMMITMENT = commit(PLAN, TASK, "alice", b"i")
(ALICE, BOB) = enrol("alice", "bob")
RANGES = [(a, b) for a in range(COMMITMENT.size) for b in range(a + 1, COMMITMENT.size + 1)]


def wired(opening: Opening, signer: str = "alice", context: str = CONTEXT) -> bytes:
    statement = opening.statement()
    return encode((opening.to_bytes(), identity(signer).sign(context, statement)))


def request(start: int = 2, stop: int = 4, tree: str = OUTPUT) -> Opening:
    return asked(COMMITMENT, tree, start, stop, "alice")


def tampered(opening: Opening) -> Opening:
    return replace(opening, leaves=(b"lie", *opening.leaves[1:]))


@pytest.mark.parametrize(("start", "stop"), RANGES)
def test_an_honest_opening_is_believed_and_never_convicts(start: int, stop: int) -> None:
    wanted = request(start, stop)
    wire = wired(STORE.open(wanted))
    assert believe(wire, wanted).leaves == STORE.leaves[start:stop]
    evidence = evidence_of(wire)
    assert evidence is not None
    assert not convicts(evidence, wanted, ALICE)


def test_the_input_tree_is_opened_alike() -> None:
    wanted = request(0, 2, INPUT)
    wire = wired(STORE.open(wanted))
    assert believe(wire, wanted).leaves == STORE.inputs
    assert not convicts(evidence_of(wire) or b"", wanted, ALICE)


def test_a_signed_lie_is_refused_and_convicts_without_the_data() -> None:
    wire = wired(tampered(STORE.open(request())))
    with pytest.raises(ProofError):
        believe(wire, request())
    evidence = evidence_of(wire)
    assert evidence is not None
    assert b"lie" not in evidence
    assert convicts(evidence, request(), ALICE)


@pytest.mark.parametrize("signer", ["bob", "mallory"])
def test_a_lie_that_another_signed_does_not_convict(signer: str) -> None:
    wire = wired(tampered(STORE.open(request())), signer)
    assert not convicts(evidence_of(wire) or b"", request(), ALICE)


def test_a_signature_of_another_context_does_not_convict() -> None:
    wire = wired(tampered(STORE.open(request())), context="commitment")
    assert not convicts(evidence_of(wire) or b"", request(), ALICE)


def test_an_accusers_own_leaves_under_an_honest_signature_do_not_convict() -> None:
    honest = STORE.open(request())
    signature = identity("alice").sign(CONTEXT, honest.statement())
    forged = encode((tampered(honest).statement(), signature))
    assert not convicts(forged, request(), ALICE)


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
def test_an_opening_of_something_else_is_refused_and_does_not_convict(change: dict) -> None:
    wire = wired(replace(tampered(STORE.open(request())), **change))
    with pytest.raises(ProofError):
        believe(wire, request())
    assert not convicts(evidence_of(wire) or b"", request(), ALICE)


@pytest.mark.parametrize("cut", ["leaves", "proof"])
def test_a_truncated_opening_is_refused(cut: str) -> None:
    opening = STORE.open(request())
    short = replace(opening, **{cut: getattr(opening, cut)[:-1]})
    with pytest.raises(ProofError):
        believe(wired(short), request())


@given(st.binary(max_size=200))
def test_garbage_is_neither_believed_nor_evidence(wire: bytes) -> None:
    with pytest.raises(DecodingError):
        believe(wire, request())
    assert evidence_of(wire) is None
    assert not convicts(wire, request(), ALICE)


def test_no_byte_can_be_changed_in_evidence() -> None:
    evidence = evidence_of(wired(tampered(STORE.open(request())))) or b""
    for at in range(0, len(evidence), 11):
        changed = evidence[:at] + bytes([evidence[at] ^ 1]) + evidence[at + 1 :]
        assert not convicts(changed, request(), ALICE)
    assert not convicts(evidence, request(), BOB)
