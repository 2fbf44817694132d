"""Convicting: who was wrong, and whether what the receipt shows of it says so.

1. Every commitment, answer and opening of a dispute carries the signature of whom it is ascribed
   to, and is about the task of the dispute.
2. A culprit has signed what was contradicted: by the referee, by the signatures of enough others,
   by its own opening, or by the records of its own cells.
3. Whoever is a culprit anywhere is exposed, and nobody else is.

That the referee recomputed what the receipt says is the coordinator's word: the exhibit of a
dispute can be replayed.
"""

from __future__ import annotations

from collections.abc import Collection

from dask_verify.core.seal import (
    ANSWER_CONTEXT,
    Answer,
    Commitment,
    answer_digest,
    answer_statement,
)
from dask_verify.errors import DecodingError, EvidenceError, SignatureError
from dask_verify.evidence.receipts.signatures import domain_of, signed_commitment
from dask_verify.evidence.receipts.values import Dispute, DisputedAnswer, Receipt
from dask_verify.protocol.domain import COORDINATOR
from dask_verify.protocol.messages import MAP, READ, Standing, Verdict
from dask_verify.protocol.serving import accused, convicts
from dask_verify.protocol.terms import map_inputs

ELSEWHERE = "exposed elsewhere"
#: Why the coordinator may find something else than what enough domains agree on.
_EXPLAINED = ("withheld: environment", "withheld: source")
Claims = list[tuple[str, Commitment]]


def convict(receipt: Receipt, trusted: Collection[bytes]) -> frozenset[str]:
    """Return the domains that are proven wrong.

    Parameters
    ----------
    receipt : Receipt
    trusted : collection of bytes
        Public keys whose signatures blame others.

    Returns
    -------
    frozenset

    Raises
    ------
    EvidenceError
        If a dispute does not show what it says, or standings do not follow from the disputes.
    """
    keys = {party.name for party in receipt.parties if party.key in trusted}
    proven: set[str] = set()
    for number, dispute in enumerate(receipt.disputes):
        proven |= _culprits(receipt, dispute, keys, f"disputes[{number}]")
    for number, dispute in enumerate(receipt.disputes):
        if dispute.settled == ELSEWHERE and not proven.issuperset(dispute.culprits):
            unproven = sorted({*dispute.culprits} - proven)
            raise EvidenceError(f"disputes[{number}].culprits", "some that are proven", unproven)
    standing = Standing.EXPOSED.value
    exposed = {party.name for party in receipt.parties if party.standing == standing}
    if exposed != proven:
        raise EvidenceError("domains, exposed", sorted(proven), sorted(exposed))
    answered = Verdict(receipt.verdict).answered
    if answered and len(exposed) > receipt.terms.policy.faults:
        raise EvidenceError("domains, exposed", f"at most {receipt.terms.policy.faults}", exposed)
    return frozenset(proven)


def _culprits(receipt: Receipt, dispute: Dispute, keys: Collection[str], where: str) -> set[str]:
    """Return the proven culprits of one dispute; all signatures in it are verified."""
    _check_task(receipt, dispute, where)
    claims = [(c.domain, signed_commitment(receipt, c, f"{where}.claims")) for c in dispute.claims]
    for _, commitment in claims:
        task = (commitment.stage, commitment.partition, commitment.inputs)
        if task != (dispute.stage, dispute.partition, dispute.inputs):
            raise EvidenceError(f"{where}.claims", "commitments to its task", task[:2])
    for answer in dispute.answers:
        _check_answer(receipt, dispute, answer, f"{where}.answers")
    _check_sides(receipt, dispute, claims, where)
    if dispute.settled == ELSEWHERE:
        return set()
    for culprit in dispute.culprits:
        _prove(receipt, dispute, claims, culprit, keys, where)
    return set(dispute.culprits)


def _check_task(receipt: Receipt, dispute: Dispute, where: str) -> None:
    terms = receipt.terms
    count = terms.maps if dispute.stage == MAP else terms.reduces
    if dispute.partition >= count:
        raise EvidenceError(f"{where}.partition", f"one below {count}", dispute.partition)
    if dispute.stage == MAP and dispute.inputs != map_inputs(receipt.job, dispute.partition):
        wanted = map_inputs(receipt.job, dispute.partition)
        raise EvidenceError(f"{where}.inputs", wanted, dispute.inputs)


def _check_sides(receipt: Receipt, dispute: Dispute, claims: Claims, where: str) -> None:
    """Check that whoever is named has signed something that is shown."""
    said = {name for name, _ in claims} | {answer.domain for answer in dispute.answers}
    for what, names in (("sides", dispute.sides), ("culprits", dispute.culprits)):
        if len(set(names)) < len(names) or not said.issuperset(names):
            raise EvidenceError(f"{where}.{what}", f"some of {sorted(said)}, each once", names)
    if COORDINATOR in dispute.culprits:
        raise EvidenceError(f"{where}.culprits", "domains", COORDINATOR)
    if not {*dispute.liars} <= {answer.domain for answer in dispute.answers}:
        raise EvidenceError(f"{where}.liars", "some who answered", dispute.liars)
    _check_outcome(receipt, dispute, where)
    digests = {commitment.digest for _, commitment in claims}
    if not digests.issuperset(dispute.wrong):
        raise EvidenceError(f"{where}.wrong", "digests of its claims", dispute.wrong)
    if dispute.accepted and dispute.accepted not in digests:
        raise EvidenceError(f"{where}.accepted", "the digest of a claim", dispute.accepted)


def _check_outcome(receipt: Receipt, dispute: Dispute, where: str) -> None:
    """Check that nothing was accepted in the end that was contradicted without an explanation."""
    final = _final(receipt, dispute)
    wrong = () if _explained(receipt, dispute) else dispute.wrong
    blamed = dispute.accepted if dispute.settled == "counts" else None
    if final is not None and final in (*wrong, blamed):
        raise EvidenceError(f"{where}.wrong", "nothing that was accepted in the end", final)


def _final(receipt: Receipt, dispute: Dispute) -> bytes | None:
    """Return what was accepted in the end, if it was for the same inputs."""
    if dispute.inputs != receipt.inputs_now(dispute.stage, dispute.partition):
        return None
    return receipt.digests[dispute.stage][dispute.partition]


def _explained(receipt: Receipt, dispute: Dispute) -> bool:
    """Whether environments or a source explain that the coordinator finds something else."""
    environments = {tuple(sorted(party.environment.items())) for party in receipt.parties}
    return dispute.settled in _EXPLAINED or len(environments) > 1


def _check_answer(receipt: Receipt, dispute: Dispute, answer: DisputedAnswer, where: str) -> None:
    what = (answer.stage, dispute.partition, dispute.inputs, answer.units)
    statement = answer_statement(receipt.job, *what, answer_digest(answer.payload))
    try:
        if answer.domain != COORDINATOR:
            domain = domain_of(receipt, answer.domain, where)
            domain.verify(ANSWER_CONTEXT, statement, answer.signature)
        said = Answer.from_bytes(answer.payload)
    except (DecodingError, SignatureError) as error:
        raise EvidenceError(where, f"an answer signed by {answer.domain}", str(error)) from None
    got = (said.job, said.domain, said.stage, said.partition, said.inputs, said.units)
    if got != (receipt.job, answer.domain, *what):
        raise EvidenceError(where, "an answer about its task", got[1:4])


# --- what proves it -------------------------------------------------------------------------


def _prove(
    receipt: Receipt,
    dispute: Dispute,
    claims: Claims,
    culprit: str,
    keys: Collection[str],
    where: str,
) -> None:
    """Raise unless what is shown contradicts what a domain signed."""
    own = {commitment.digest for name, commitment in claims if name == culprit}
    # That an answer contradicts what was accepted is the coordinator's word; a reading never does,
    # since a source that changed may explain it.
    answered = any(a.domain == culprit and a.stage != READ for a in dispute.answers)
    match dispute.settled:
        case "referee":
            wrong = {*dispute.wrong} - {_final(receipt, dispute)}
            proven = bool(own & wrong) or culprit in dispute.liars
        case "votes":
            others = _peers(receipt, dispute, claims, culprit, keys)
            contradicted = bool(own - {dispute.accepted}) or answered
            proven = contradicted and len(others) > receipt.terms.policy.faults
        case "opening":
            proven = _opened_wrong(receipt, dispute, claims, culprit, where)
        case "counts":
            proven = dispute.accepted in own
        case _:
            proven = False
    if not proven:
        what = f"something that {culprit} signed and that is contradicted ({dispute.settled})"
        raise EvidenceError(f"{where}.culprits", what, "nothing that says so")


def _peers(
    receipt: Receipt, dispute: Dispute, claims: Claims, culprit: str, keys: Collection[str]
) -> set[str]:
    """Return the trusted domains of a culprit's environment that signed what was accepted."""
    where = {party.name: dict(party.environment) for party in receipt.parties}
    agreed = {name for name, commitment in claims if commitment.digest == dispute.accepted}
    return {
        name for name in agreed - {culprit, COORDINATOR}
        if name in keys and where[name] == where.get(culprit)
    }  # fmt: skip


def _opened_wrong(
    receipt: Receipt, dispute: Dispute, claims: Claims, culprit: str, where: str
) -> bool:
    """Whether a domain signed an opening that does not belong to the root that it signed."""
    try:
        opening = accused(dispute.opening)
    except DecodingError:
        return False
    task = (opening.job, opening.stage, opening.partition, opening.domain)
    if task != (receipt.job, dispute.stage, dispute.partition, culprit):
        return False
    own = [commitment for name, commitment in claims if name == culprit]
    roots = {("output", c.root, c.size) for c in own}
    roots |= {("input", c.input_root, c.units) for c in own if c.input_root}
    if (opening.tree, opening.root, opening.size) not in roots:
        return False
    return convicts(dispute.opening, opening, domain_of(receipt, culprit, where))
