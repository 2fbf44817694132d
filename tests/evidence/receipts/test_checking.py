"""Receipts of a coordinator that lies: it has its own key, and nobody else's."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from typing import Any

import pytest
from made import COORDINATOR, NAMES, TRUST, checked, closed, envelope, job

from dask_verify.core.seal import Commitment
from dask_verify.errors import EvidenceError
from dask_verify.evidence.enrolment.trust import Entry, Trust
from dask_verify.evidence.receipts.checking import check_receipt
from dask_verify.evidence.receipts.counting import count_votes
from dask_verify.evidence.receipts.redrawing import check_sampling
from dask_verify.evidence.receipts.signatures import check_signatures
from dask_verify.evidence.receipts.telling import tell
from dask_verify.evidence.receipts.values import AuditRow, Dispute, Party, Receipt, Signed, Stage
from dask_verify.protocol.draws import seed_digest
from dask_verify.testing.simulation.behaviours import served_wrong
from dask_verify.testing.simulation.enrolment import identity


@lru_cache
def made(**options: Any) -> Receipt:
    return closed(job(**options))


def agreed() -> Receipt:
    return made(replicas=2)


def corrected() -> Receipt:
    return closed(job(replicas=2, behaviours={"bob": "wrong"}))


def sampled() -> Receipt:
    return made(replicas=1, audit=0.4)


def with_stage(receipt: Receipt, number: int, **changes: Any) -> Receipt:
    stages = list(receipt.stages)
    stages[number] = replace(stages[number], **changes)
    return replace(receipt, stages=tuple(stages))


def with_party(receipt: Receipt, name: str, **changes: Any) -> Receipt:
    parties = tuple(replace(p, **changes) if p.name == name else p for p in receipt.parties)
    return replace(receipt, parties=parties)


def refused(receipt: Receipt, match: str, **asked: Any) -> None:
    with pytest.raises(EvidenceError, match=match):
        checked(receipt, **asked)


# --- who signed -----------------------------------------------------------------------------


def test_a_signer_cannot_be_added() -> None:
    receipt = agreed()
    stage = receipt.stages[0]
    every = tuple(range(len(stage)))
    for name in NAMES[:3]:
        forged = with_stage(receipt, 0, signers={**stage.signers, name: every})
        more = next(p for p in forged.parties if p.name == name)
        forged = with_party(forged, name, commitments=len(forged.leaves(more)))
        refused(forged, f"domain {name}, closing")


def test_what_nobody_signed_is_not_vouched_for() -> None:
    receipt = agreed()
    bare = replace(receipt, parties=tuple(_silent(party) for party in receipt.parties))
    stages = tuple(replace(stage, signers={}) for stage in receipt.stages)
    refused(replace(bare, stages=stages), "expected 2 distinct trusted domains, got 0")


def test_the_coordinator_alone_is_one_signer() -> None:
    receipt = agreed()
    bare = replace(receipt, parties=tuple(_silent(party) for party in receipt.parties))
    stages = tuple(_by_coordinator(stage) for stage in receipt.stages)
    refused(replace(bare, stages=stages), "got 0, and the coordinator's own word")


def test_no_partition_rests_on_the_coordinators_word_alone() -> None:
    receipt = made(replicas=1, audit=1.0)
    bare = replace(receipt, parties=tuple(_silent(party) for party in receipt.parties))
    assert bare.sampled is not None
    stages = tuple(_by_coordinator(stage) for stage in receipt.stages)
    forged = with_audits(replace(bare, stages=stages), ())
    refused(forged, "got 0, and the coordinator's own word", min_audit=1.0)


def test_the_coordinators_word_is_none_of_the_signatures_that_are_demanded() -> None:
    """With one domain and the coordinator a job of two replicas may have an answer."""
    receipt = closed(job(replicas=2, names=NAMES[:2], behaviours={"bob": "silent"}))
    found = checked(receipt)
    assert (found.votes.fewest, found.votes.lent) == (1, 5)
    refused(receipt, "2 distinct trusted domains", replicas=2)
    strict = replace(receipt.terms, policy=replace(receipt.terms.policy, stand_in=False))
    trusted = {entry.public_key for entry in TRUST.entries}
    with pytest.raises(EvidenceError, match="2 distinct trusted domains, got 1"):
        count_votes(replace(receipt, terms=strict), trusted, frozenset())


def test_a_made_up_domain_lowers_no_quorum() -> None:
    receipt = closed(job(replicas=2, behaviours={"bob": "wrong"}))
    count_votes(receipt, {e.public_key for e in TRUST.entries}, frozenset({"bob"}))
    known = {e.public_key for e in TRUST.entries if e.name == "alice"}
    with pytest.raises(EvidenceError, match="2 distinct trusted domains"):
        count_votes(receipt, known, frozenset({"bob"}))


def test_what_was_accepted_in_the_end_is_not_wrong() -> None:
    receipt = corrected()
    dispute = next(d for d in receipt.disputes if d.settled == "referee")
    honest = next(c for c in dispute.claims if c.domain != "bob")
    digest = Commitment.from_bytes(honest.payload).digest
    for changes in (
        {"wrong": (digest,), "culprits": (honest.domain,)},
        {"settled": "counts", "accepted": digest, "culprits": (honest.domain,)},
    ):
        refused(_disputed(receipt, dispute, replace(dispute, **changes)), "accepted in the end")


def test_another_environment_explains_that_what_was_accepted_is_contradicted() -> None:
    """Enough domains agreed on it all the same; but nobody can be blamed for having done so."""
    receipt = corrected()
    dispute = next(d for d in receipt.disputes if d.settled == "referee")
    honest = next(c for c in dispute.claims if c.domain != "bob")
    digest = Commitment.from_bytes(honest.payload).digest
    both = _disputed(receipt, dispute, replace(dispute, wrong=(*dispute.wrong, digest)))
    refused(both, "accepted in the end")
    assert checked(with_party(both, "carol", environment={"python": "2.7"})).exposed == {"bob"}
    framed = replace(dispute, wrong=(digest,), culprits=(honest.domain,))
    apart = with_party(receipt, "carol", environment={"python": "2.7"})
    refused(_disputed(apart, dispute, framed), f"something that {honest.domain} signed")


def test_a_changed_source_explains_that_what_was_accepted_is_contradicted() -> None:
    receipt = corrected()
    dispute = next(d for d in receipt.disputes if d.settled == "referee")
    honest = next(c for c in dispute.claims if c.domain != "bob")
    digest = Commitment.from_bytes(honest.payload).digest
    for settled in ("withheld: source", "withheld: environment"):
        another = replace(dispute, wrong=(digest,), culprits=(), settled=settled)
        assert checked(replace(receipt, disputes=(*receipt.disputes, another))).exposed == {"bob"}
    another = replace(another, settled="withheld: not deterministic")
    refused(replace(receipt, disputes=(*receipt.disputes, another)), "accepted in the end")


def test_a_replica_is_no_auditor() -> None:
    """With two replicas either of them would pass as the auditor of the other."""
    receipt = made(replicas=2, audit=1.0, unit_records=0)
    assert checked(receipt).sampled
    assert receipt.sampled is not None
    for stage in range(2):
        signers = dict(receipt.stages[stage].signers)
        for name in signers:
            fewer = {n: at for n, at in signers.items() if n != name}
            undersampled(with_stage(receipt, stage, signers=fewer), "elsewhere")


def test_no_number_is_no_demand() -> None:
    refused(sampled(), "at least nan", min_audit=float("nan"))


def test_rows_name_units_only_where_units_were_asked_for() -> None:
    receipt = made(replicas=1, audit=1.0)
    assert receipt.sampled is not None
    for changes in ({"kind": "whole", "units": (1,)}, {"kind": "read", "units": (1,)},
                    {"kind": "read", "units": (), "stage": "reduce", "partition": 0}):  # fmt: skip
        row = replace(receipt.sampled.audits[0], **changes)
        undersampled(with_audits(receipt, (row, *receipt.sampled.audits)), "units|read again")


def _silent(party: Party) -> Party:
    return replace(party, closing=b"", commitments=0)


def _by_coordinator(stage: Stage) -> Stage:
    return replace(stage, signers={"coordinator": tuple(range(len(stage)))})


def test_one_key_under_two_names_counts_once() -> None:
    alice = identity("alice").public_key
    trust = Trust(
        (Entry("alice", alice), Entry("alice-again", alice), *TRUST.entries[1:]),
        TRUST.coordinator,
    )
    assert check_receipt(envelope(agreed()), trust).votes.fewest == 2
    only = Trust((Entry("alice", alice), Entry("other", alice)), TRUST.coordinator)
    with pytest.raises(EvidenceError, match=r"2 distinct trusted domains, got [01]"):
        check_receipt(envelope(agreed()), only)


def test_votes_are_counted_by_keys_and_not_by_names() -> None:
    """Whatever else of a receipt is checked: two names of one key are one domain."""
    assert votes(agreed()) == 2
    forged = agreed()
    for name in NAMES[:3]:
        forged = with_party(forged, name, key=identity("alice").public_key)
    with pytest.raises(EvidenceError, match="2 distinct trusted domains, got 1"):
        votes(forged)


def test_two_domains_of_a_receipt_have_two_keys() -> None:
    receipt = agreed()
    domains = tuple((name, identity("alice").public_key) for name, _ in receipt.terms.domains)
    parties = tuple(replace(p, key=identity("alice").public_key) for p in receipt.parties)
    terms = replace(receipt.terms, domains=domains)
    refused(replace(receipt, terms=terms, parties=parties), "public key: expected one for each")


def test_a_key_under_which_anybody_can_sign_is_none() -> None:
    receipt = agreed()
    domains = tuple((name, bytes(32)) for name, _ in receipt.terms.domains[:1])
    terms = replace(receipt.terms, domains=domains + receipt.terms.domains[1:])
    forged = with_party(replace(receipt, terms=terms), domains[0][0], key=bytes(32))
    refused(forged, "domains, public key: expected a public key of full order")


def test_a_domain_that_is_not_in_the_trust_file_counts_for_nothing() -> None:
    known = Trust(TRUST.entries[:1], TRUST.coordinator)
    with pytest.raises(EvidenceError, match="2 distinct trusted domains"):
        check_receipt(envelope(agreed()), known)


def test_without_a_coordinator_in_the_trust_file_nothing_holds() -> None:
    with pytest.raises(EvidenceError, match="coordinator"):
        check_receipt(envelope(agreed()), Trust(TRUST.entries))


def test_the_checker_demands_more_than_the_job_did() -> None:
    assert checked(agreed(), replicas=2).votes.fewest == 2
    refused(agreed(), "3 distinct trusted domains", replicas=3)
    refused(sampled(), "2 distinct trusted domains", replicas=2)
    refused(agreed(), "at least 0.01", min_audit=0.01)
    assert checked(sampled(), min_audit=0.4).sampled > 0
    refused(sampled(), "at least 0.41", min_audit=0.41)


# --- who was wrong --------------------------------------------------------------------------


def test_an_honest_domain_cannot_be_exposed_without_a_dispute() -> None:
    refused(with_party(agreed(), "alice", standing="exposed"), "domains, exposed")


def test_a_cheat_cannot_be_acquitted() -> None:
    refused(with_party(corrected(), "bob", standing="trusted"), "domains, exposed")
    refused(replace(corrected(), disputes=()), "verdict")


def test_an_honest_side_cannot_be_blamed_for_what_it_did_not_sign() -> None:
    receipt = corrected()
    dispute = next(d for d in receipt.disputes if d.settled == "referee")
    honest = next(name for name in dispute.sides if name != "bob")
    framed = replace(dispute, culprits=(honest,))
    refused(_disputed(receipt, dispute, framed), f"something that {honest} signed")
    # Blamed for its true commitment it signed what is "wrong": that is the coordinator's word.
    refused(_disputed(receipt, dispute, replace(dispute, settled="votes")), "by_votes|votes")
    refused(_disputed(receipt, dispute, replace(dispute, settled="opening")), "opening")
    refused(_disputed(receipt, dispute, replace(dispute, settled="whatever")), "whatever")


def test_nobody_is_exposed_elsewhere_only() -> None:
    receipt = corrected()
    disputes = tuple(replace(d, settled="exposed elsewhere") for d in receipt.disputes)
    refused(replace(receipt, disputes=disputes), "some that are proven")


def test_votes_of_strangers_blame_nobody() -> None:
    behaviours = {"bob": "wrong"}
    receipt = closed(job(replicas=2, referee="domains", behaviours=behaviours))
    assert checked(receipt).exposed == {"bob"}
    known = Trust(tuple(e for e in TRUST.entries if e.name != "carol"), TRUST.coordinator)
    with pytest.raises(EvidenceError, match="bob signed"):
        check_receipt(envelope(receipt), known)


def test_a_claim_of_another_task_or_job_is_no_side() -> None:
    receipt = corrected()
    dispute = next(d for d in receipt.disputes if d.settled == "referee")
    other = next(d for d in receipt.disputes if d.partition != dispute.partition)
    refused(_disputed(receipt, dispute, replace(dispute, claims=other.claims)), "its task")
    foreign = closed(job(replicas=2, seed=b"t" * 32, behaviours={"bob": "wrong"})).disputes[0]
    refused(_disputed(receipt, dispute, replace(dispute, claims=foreign.claims)), "to job")


def test_a_claim_needs_its_own_signature() -> None:
    receipt = corrected()
    dispute = next(d for d in receipt.disputes if d.settled == "referee")
    one, two = dispute.claims[:2]
    swapped = (replace(one, signature=two.signature), two)
    refused(_disputed(receipt, dispute, replace(dispute, claims=swapped)), "a commitment signed by")
    unsigned = (Signed("coordinator", one.payload, b""), two)
    refused(_disputed(receipt, dispute, replace(dispute, claims=unsigned)), "one of coordinator")


def _disputed(receipt: Receipt, old: Dispute, new: Dispute) -> Receipt:
    return replace(receipt, disputes=tuple(new if d is old else d for d in receipt.disputes))


def test_one_unit_is_no_plural() -> None:
    found = replace(checked(sampled()), sampled=1, units=1)
    assert any("1 of 1 unit recomputed" in line for line in tell(found, TRUST))


# --- how it was sampled ---------------------------------------------------------------------


def undersampled(receipt: Receipt, match: str, exposed: frozenset[str] = frozenset()) -> None:
    """The check of samples alone refuses it: signatures are checked before, and by themselves."""
    trusted = {entry.public_key for entry in TRUST.entries}
    with pytest.raises(EvidenceError, match=match):
        check_sampling(receipt, trusted, exposed)


def with_audits(receipt: Receipt, audits: tuple[AuditRow, ...]) -> Receipt:
    assert receipt.sampled is not None
    return replace(receipt, sampled=replace(receipt.sampled, audits=audits))


@pytest.mark.parametrize("options", [{"audit": 0.4}, {"audit": 1.0, "unit_records": 0}])
def test_no_check_that_was_drawn_can_be_left_out_or_made_up(options: dict[str, Any]) -> None:
    receipt = made(replicas=1, **options)
    assert receipt.sampled is not None
    audits = receipt.sampled.audits
    assert {row.outcome for row in audits} == {"agreed"}
    elsewhere = "recomputed elsewhere|read again elsewhere"
    for number, row in enumerate(audits):
        before, after = audits[:number], audits[number + 1 :]
        undersampled(with_audits(receipt, before + after), elsewhere)
        for changes in (
            {"outcome": "moot"},
            {"outcome": "contradicted"},
            {"commitment": b"x" * 32},
            {"auditor": "dave"},
            {"answer": b"", "kind": row.kind if row.kind != "whole" else "units"},
        ):
            if row.auditor == "coordinator" and "answer" in changes and row.kind != "whole":
                continue  # its own word needs no signature
            other = replace(row, **changes)
            undersampled(with_audits(receipt, (*before, other, *after)), f"{elsewhere}|a domain")
        undersampled(receipt, elsewhere, frozenset(NAMES))


def test_whoever_signed_a_commitment_alone_does_not_audit_it() -> None:
    receipt, tried = sampled(), 0
    assert receipt.sampled is not None
    for stage in receipt.stages:
        signers = [(at, name) for name, found in stage.signers.items() for at in found]
        for partition in range(len(stage)):
            names = [name for at, name in signers if at == partition]
            audits = tuple(
                replace(row, auditor=names[0])
                if (row.stage, row.partition) == (stage.name, partition)
                else row
                for row in receipt.sampled.audits
            )
            if len(names) == 1 and audits != receipt.sampled.audits:
                undersampled(with_audits(receipt, audits), "elsewhere")
                tried += 1
    assert tried


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"seed": b"x" * 32}, "its digest"),
        ({"rate": 0.2}, "rate"),
        ({"rate": 0.0}, "rate"),
        ({"small": False}, "small"),
        ({"basis": 5}, "basis"),
        ({"audits": ()}, "elsewhere"),
    ],
)
def test_a_sample_follows_from_the_terms(changes: dict[str, Any], match: str) -> None:
    receipt = sampled()
    assert receipt.sampled is not None
    undersampled(replace(receipt, sampled=replace(receipt.sampled, **changes)), match)


def test_no_sample_is_no_sample() -> None:
    undersampled(replace(sampled(), sampled=None), "as the policy says")
    undersampled(replace(agreed(), sampled=sampled().sampled), "as the policy says")


def test_the_seed_cannot_be_chosen_afterwards() -> None:
    receipt = sampled()
    assert receipt.sampled is not None
    terms = replace(receipt.terms, seed_digest=seed_digest(b"x" * 32))
    forged = replace(receipt, terms=terms, sampled=replace(receipt.sampled, seed=b"x" * 32))
    refused(forged, "job.id|closing")


def test_the_seed_is_the_one_that_the_job_bound() -> None:
    receipt = sampled()
    assert receipt.sampled is not None
    other = replace(receipt, sampled=replace(receipt.sampled, seed=b"x" * 32))
    undersampled(other, "sampling.seed, its digest")


# --- what it is about -----------------------------------------------------------------------


def test_a_receipt_is_about_its_own_root() -> None:
    receipt = agreed()
    stage = receipt.stages[1]
    forged = with_stage(receipt, 1, roots=(bytes(32), *stage.roots[1:]))
    refused(forged, "closing")


def test_another_coordinators_receipt_is_none_of_this_trust_file() -> None:
    receipt = agreed()
    terms = replace(receipt.terms, coordinator=identity("alice").public_key)
    refused(replace(receipt, terms=terms), "publicKey")
    assert COORDINATOR.public_key == receipt.terms.coordinator


@pytest.mark.parametrize("verdict", ["corrected", "sampled", "inconclusive", "nondeterministic"])
def test_the_verdict_follows_from_what_happened(verdict: str) -> None:
    refused(replace(agreed(), verdict=verdict), "verdict")


# --- each check by itself -------------------------------------------------------------------


def votes(receipt: Receipt, exposed: frozenset[str] = frozenset(), replicas: int = 2) -> int:
    trusted = {entry.public_key for entry in TRUST.entries}
    return count_votes(receipt, trusted, exposed, replicas).fewest


def test_an_exposed_domain_does_not_count() -> None:
    assert votes(agreed()) == 2
    for name in NAMES[:3]:
        with pytest.raises(EvidenceError, match="2 distinct trusted domains, got 1"):
            votes(agreed(), frozenset({name}))


def test_a_key_counts_once_whoever_has_it() -> None:
    key = identity("alice").public_key
    alike = replace(agreed(), parties=tuple(replace(p, key=key) for p in agreed().parties))
    with pytest.raises(EvidenceError, match="2 distinct trusted domains, got 1"):
        votes(alike)


def test_who_signed_something_else_too_counts_for_neither() -> None:
    receipt = agreed()
    stage = receipt.stages[0]
    name, at = next((name, found[0]) for name, found in stage.signers.items())
    other = other_commitment(receipt, name, at)
    with pytest.raises(EvidenceError, match=f"partition {at}, signers"):
        votes(with_stage(receipt, 0, others=(other,)))


def other_commitment(receipt: Receipt, name: str, at: int, **changes: Any) -> Signed:
    """What a domain signs besides what was accepted."""
    said: dict[str, Any] = {
        "job": receipt.job,
        "stage": "map",
        "partition": at,
        "domain": name,
        "inputs": receipt.inputs("map", at),
        "buckets": 4,
        "units": 3,
        "records_in": 12,
        "counts": (1, 2),
        "nbytes": 9,
        "input_root": bytes(32),
        "root": b"r" * 32,
    }
    payload = Commitment(**said | changes).to_bytes()
    return Signed(name, payload, identity(name).sign("commitment", payload))


def with_other(receipt: Receipt, other: Signed) -> Receipt:
    """A receipt with one commitment more, which its domain closes over."""
    added = with_stage(receipt, 0, others=(*receipt.stages[0].others, other))
    party = next(p for p in added.parties if p.name == other.domain)
    signature = identity(party.name).sign("closing", added.closing(party).to_bytes())
    number = len(added.leaves(party))
    return with_party(added, party.name, closing=signature, commitments=number)


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"inputs": b"i" * 32}, "inputs"),
        ({"job": b"j" * 32}, "to job"),
        ({"stage": "reduce"}, "a partition of map"),
        ({"partition": 3}, "a partition of map"),
        ({"domain": "bob"}, "one of alice"),
    ],
)
def test_what_else_was_signed_is_about_this_job(changes: dict[str, Any], match: str) -> None:
    receipt = closed(job(replicas=3, names=NAMES))
    at = next(i for i in range(3) if i not in receipt.stages[0].signers.get("alice", ()))
    check_signatures(with_other(receipt, other_commitment(receipt, "alice", at)))
    forged = with_stage(receipt, 0, others=(other_commitment(receipt, "alice", at, **changes),))
    with pytest.raises(EvidenceError, match=match):
        check_signatures(forged)


def test_all_units_one_by_one_are_not_the_whole() -> None:
    receipt = made(replicas=1, audit=1.0, unit_records=0)
    assert receipt.sampled is not None
    for number, row in enumerate(receipt.sampled.audits):
        if row.kind == "whole":
            parts = replace(row, kind="units", units=tuple(range(9)), answer=b"a" * 32)
            audits = list(receipt.sampled.audits)
            audits[number] = parts
            undersampled(with_audits(receipt, tuple(audits)), "all of it")


def test_single_answers_carry_their_own_signatures() -> None:
    receipt = closed(job(replicas=1, audit=0.6), NAMES)
    assert checked(receipt).sampled
    party = next(p for p in receipt.parties if p.answers)
    for answers in (
        (bytes(64), *party.answers[1:]),
        party.answers[1:],
        (*party.answers, b"x" * 64),
    ):
        refused(with_party(receipt, party.name, answers=answers), "answers")


def test_votes_of_other_environments_blame_nobody() -> None:
    receipt = closed(job(replicas=2, referee="domains", behaviours={"bob": "wrong"}))
    other = with_party(receipt, "carol", environment={"python": "2.7"})
    refused(other, "something that bob signed")


def test_an_opening_of_a_root_that_it_never_signed_proves_nothing() -> None:
    receipt = closed(job(replicas=2, behaviours={"carol": "serves_wrong"}))
    assert checked(receipt).exposed == {"carol"}
    dispute = receipt.disputes[0]
    own = next(c for c in dispute.claims if c.domain == "carol")
    stranger = replace(Commitment.from_bytes(own.payload), root=b"r" * 32)
    for opening in (served_wrong(stranger), b"", b"garbage"):
        refused(_disputed(receipt, dispute, replace(dispute, opening=opening)), "something that")


def test_an_answer_that_blames_is_signed() -> None:
    behaviours = {"alice": "frames"}
    receipt = closed(job(replicas=1, audit=1.0, unit_records=1, behaviours=behaviours))
    dispute = next((d for d in receipt.disputes if d.answers), None)
    if dispute is None:
        receipt = closed(job(replicas=1, audit=0.9, order=2, behaviours={"alice": "one"}))
        dispute = next(d for d in receipt.disputes if d.answers)
    answer = next(a for a in dispute.answers if a.signature)
    other = next(name for name in NAMES[:3] if name != answer.domain)
    for changes in ({"signature": bytes(64)}, {"units": (99,)}, {"domain": other}):
        rest = tuple(a for a in dispute.answers if a is not answer)
        forged = replace(dispute, answers=(replace(answer, **changes), *rest))
        refused(_disputed(receipt, dispute, forged), "answers|liars|sides|culprits")
