"""Claims: what is admitted, and how domains are counted."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dask_verify.core.canonical import encode
from dask_verify.errors import DecodingError, InputError, SignatureError
from dask_verify.protocol.board import Plan, required
from dask_verify.protocol.domain import Domain
from dask_verify.protocol.messages import MAP, REDUCE, Task
from dask_verify.protocol.policy import Policy
from dask_verify.protocol.quorum import Ballot, Claim, admit, honest_disagree, sign
from dask_verify.protocol.serving import CONTEXT as OPENING
from dask_verify.testing.simulation.enrolment import enrol, identity, make_plan
from dask_verify.testing.simulation.partitions import commit

TASK = Task(MAP, 1)
PLAN = make_plan("alice", "bob")
ALICE, BOB = PLAN.domains
INPUTS = PLAN.map_inputs(1)
COMMITMENT = commit(PLAN, TASK, "alice", INPUTS)
WIRE = sign(identity("alice"), COMMITMENT)


def test_an_honest_commitment_is_admitted() -> None:
    claim = admit(WIRE, TASK, PLAN.job, INPUTS, ALICE)
    assert claim.domain == "alice"
    assert claim.commitment == COMMITMENT


@pytest.mark.parametrize("at", range(0, len(WIRE), 7))
def test_a_changed_byte_is_refused(at: int) -> None:
    wire = WIRE[:at] + bytes([WIRE[at] ^ 1]) + WIRE[at + 1 :]
    with pytest.raises((DecodingError, SignatureError)):
        admit(wire, TASK, PLAN.job, INPUTS, ALICE)


@given(st.binary(max_size=300) | st.binary(max_size=40).map(lambda b: encode((b, b))))
def test_garbage_is_refused_and_crashes_nothing(wire: bytes) -> None:
    with pytest.raises((DecodingError, SignatureError)):
        admit(wire, TASK, PLAN.job, INPUTS, ALICE)


@pytest.mark.parametrize("payload", [b"", b"\x00", encode(()), encode((1,) * 12), encode(None)])
def test_signed_garbage_is_refused(payload: bytes) -> None:
    wire = encode((payload, identity("alice").sign("commitment", payload)))
    with pytest.raises(DecodingError):
        admit(wire, TASK, PLAN.job, INPUTS, ALICE)


@pytest.mark.parametrize(
    ("task", "job", "inputs"),
    [
        (Task(REDUCE, 1), PLAN.job, INPUTS),
        (Task(MAP, 0), PLAN.job, INPUTS),
        (TASK, b"another", INPUTS),
        (TASK, PLAN.job, b"others"),
    ],
)
def test_a_replay_elsewhere_is_refused(task: Task, job: bytes, inputs: bytes) -> None:
    with pytest.raises(SignatureError, match="expected"):
        admit(WIRE, task, job, inputs, ALICE)


def test_one_domains_commitment_is_not_anothers() -> None:
    with pytest.raises(SignatureError):
        admit(WIRE, TASK, PLAN.job, INPUTS, BOB)
    stolen = sign(identity("bob"), COMMITMENT)  # signed by bob, but in alice's name
    with pytest.raises(SignatureError, match="domain"):
        admit(stolen, TASK, PLAN.job, INPUTS, BOB)


def test_a_signature_of_another_context_is_refused() -> None:
    payload = COMMITMENT.to_bytes()
    wire = encode((payload, identity("alice").sign(OPENING, payload)))
    with pytest.raises(SignatureError):
        admit(wire, TASK, PLAN.job, INPUTS, ALICE)


# --- counting -------------------------------------------------------------------------------


def claim(domain: str, salt: str = "") -> Claim:
    return Claim(domain, commit(PLAN, TASK, domain, INPUTS, salt))


def ballot(*said: str) -> Ballot:
    """Claims from words such as ``a:x``: domain a says x."""
    votes = Ballot()
    for word in said:
        votes.add(claim(*word.split(":")))
    return votes


def counted(votes: Ballot, *excluded: str) -> list[list[str]]:
    return sorted(votes.voters(excluded).values())


def test_distinct_domains_are_counted_once_each() -> None:
    assert counted(ballot("a:x", "a:x", "b:x", "c:y")) == [["a", "b"], ["c"]]


def test_equal_claims_share_what_they_say_and_each_is_still_its_own() -> None:
    votes = ballot("alice", "bob")
    alice, bob = votes.claims
    assert bob.said is alice.said
    assert bob.digest is alice.digest
    assert (alice.commitment, bob.commitment) == (
        claim("alice").commitment,
        claim("bob").commitment,
    )
    assert bob.commitment.to_bytes() == claim("bob").commitment.to_bytes()


def test_a_self_contradictor_counts_for_nothing_but_stays_visible() -> None:
    votes = ballot("a:x", "a:y", "b:x")
    assert counted(votes) == [[], ["b"]]
    assert votes.domains() == ["a", "b"]


def test_a_third_claim_of_one_domain_is_not_kept() -> None:
    assert len(ballot("a:x", "a:y", "a:z", "a:w").claims) == 2


def test_excluded_domains_count_for_nothing() -> None:
    votes = ballot("a:x", "b:x", "c:y")
    assert counted(votes, "a", "c") == [["b"]]
    assert votes.domains(["a"]) == ["b", "c"]


def test_winners_need_the_quorum() -> None:
    votes = ballot("a:x", "b:x", "c:y")
    x = claim("a", "x").digest
    assert votes.winners((), 2) == [x]
    assert votes.winners((), 3) == []
    assert votes.winners((), 1)[0] == x


def test_the_digest_does_not_depend_on_who_commits() -> None:
    assert claim("a").digest == claim("b").digest
    for name in ("buckets", "units", "records_in", "nbytes"):
        changed = replace(COMMITMENT, **{name: getattr(COMMITMENT, name) + 1})
        assert changed.digest != COMMITMENT.digest
    for change in ({"counts": (1,)}, {"root": b"r" * 32}, {"input_root": b""}):
        assert replace(COMMITMENT, **change).digest != COMMITMENT.digest


@given(st.lists(st.integers(0, 2), min_size=1, max_size=7), st.integers(0, 3))
def test_honest_disagreement_is_what_no_choice_of_liars_explains(said: list[int], f: int) -> None:
    """Reference: is there a set of at most f liars without whom all say the same?"""
    groups = [said.count(v) for v in set(said)]
    explained = any(len(said) - size <= f for size in groups)
    assert honest_disagree(groups, len(said), f) is not explained


# --- how many must agree --------------------------------------------------------------------


@given(st.integers(1, 4), st.integers(0, 4), st.integers(0, 6))
def test_a_quorum_always_holds_an_honest_domain_that_is_not_exposed(
    faults: int, exposed: int, trusted: int
) -> None:
    policy = Policy(replicas=faults + 1, faults=faults)
    exposed = min(exposed, faults)
    needed = required(policy, exposed, trusted)
    assert needed > faults - exposed
    assert needed <= faults + 1
    if trusted > faults:
        assert needed == faults + 1


def test_a_single_replica_needs_nobody_else() -> None:
    assert required(Policy(replicas=1, faults=3), 0, 5) == 1


# --- the plan -------------------------------------------------------------------------------


def test_two_names_with_one_key_would_count_twice_and_are_refused() -> None:
    twice = (*enrol("a"), Domain("b", identity("a").public_key))
    with pytest.raises(InputError, match="public key"):
        Plan(b"job", Policy(), twice, 1, 1)


def test_one_name_twice_is_refused() -> None:
    twice = (*enrol("a"), Domain("a", identity("b").public_key))
    with pytest.raises(InputError, match="name"):
        Plan(b"job", Policy(), twice, 1, 1)


@pytest.mark.parametrize(("maps", "reduces"), [(-1, 1), (1, 0)])
def test_a_plan_without_partitions_is_refused(maps: int, reduces: int) -> None:
    with pytest.raises(InputError, match="expected at least"):
        Plan(b"job", Policy(), enrol("a"), maps, reduces)


def test_assigned_inputs_differ_by_job_stage_and_partition() -> None:
    other = replace(PLAN, job=b"other")
    digests = [p.map_inputs(i) for p in (PLAN, other) for i in (0, 1)]
    digests += [p.reduce_inputs([b"r"]) for p in (PLAN, other)]
    digests += [PLAN.reduce_inputs([b"r", b"s"]), PLAN.reduce_inputs([b"s", b"r"])]
    assert len(set(digests)) == len(digests)
