"""Whose signatures are on a receipt: every one of them is verified, over what the receipt says.

1. Nobody appears twice: no two domains have one name or one key, and none has the coordinator's.
2. A domain's closing is over exactly the commitments and answers that the receipt ascribes to it;
   or each of these carries its own signature.
3. It signed as many commitments as the receipt says.
4. A commitment to anything else than what was accepted carries its own signature, and is to a task
   of this job.
"""

from __future__ import annotations

from collections import Counter

from dask_verify.core.public_keys import public_key_flaw
from dask_verify.core.seal import ANSWER_CONTEXT, Commitment
from dask_verify.errors import DecodingError, EvidenceError, SignatureError
from dask_verify.evidence.enrolment.texts import name_flaw
from dask_verify.evidence.receipts.values import Party, Receipt, Signed, Stage
from dask_verify.protocol.closing import CONTEXT as CLOSING_CONTEXT
from dask_verify.protocol.closing import Closing, leaf_of
from dask_verify.protocol.domain import COORDINATOR, Domain
from dask_verify.protocol.quorum import CONTEXT as COMMITMENT_CONTEXT


def check_signatures(receipt: Receipt) -> None:
    """Verify every signature of the domains.

    Parameters
    ----------
    receipt : Receipt
        The receipt.

    Raises
    ------
    EvidenceError
        If one is missing, too many or wrong.
    """
    check_names(receipt)
    for stage in receipt.stages:
        for other in stage.others:
            _check_other(receipt, stage, other)
    for party in receipt.parties:
        _check_party(receipt, party)


def check_names(receipt: Receipt) -> None:
    """Check that everybody who appears is there once, and nobody else does.

    Parameters
    ----------
    receipt : Receipt
        The receipt.

    Raises
    ------
    EvidenceError
        If it does not hold.
    """
    names = [party.name for party in receipt.parties]
    for party in receipt.parties:
        if flaw := name_flaw(party.name):
            raise EvidenceError("domains, name", *flaw)
        if flaw := public_key_flaw(party.key):
            raise EvidenceError("domains, public key", *flaw)
    keys = [receipt.terms.coordinator.hex(), *(party.key.hex() for party in receipt.parties)]
    for what, values in (("name", [COORDINATOR, *names]), ("public key", keys)):
        value, times = Counter(values).most_common(1)[0]
        if times > 1:
            raise EvidenceError(f"domains, {what}", "one for each", f"{value} {times} times")
    for stage in receipt.stages:
        for name in stage.signers:
            if name not in names and name != COORDINATOR:
                raise EvidenceError(f"stage {stage.name}, signers", f"some of {names}", name)


def domain_of(receipt: Receipt, name: str, where: str) -> Domain:
    """Return a domain of the receipt.

    Parameters
    ----------
    receipt : Receipt
        The receipt.
    name : str
        Name of the domain.
    where : str
        What names it, for the error.

    Returns
    -------
    Domain

    Raises
    ------
    EvidenceError
        If there is none of this name.
    """
    for party in receipt.parties:
        if party.name == name:
            return Domain(party.name, party.key)
    raise EvidenceError(where, "a domain of the job", name)


def signed_commitment(receipt: Receipt, one: Signed, where: str) -> Commitment:
    """Return a commitment whose signature is verified; the coordinator's own needs none.

    Parameters
    ----------
    receipt : Receipt
        The receipt.
    one : Signed
        The signed commitment.
    where : str
        What names it, for the error.

    Returns
    -------
    Commitment

    Raises
    ------
    EvidenceError
        If it is not signed by the domain that it names, or is none to a task of this job.
    """
    try:
        if one.domain != COORDINATOR:
            domain = domain_of(receipt, one.domain, where)
            domain.verify(COMMITMENT_CONTEXT, one.payload, one.signature)
        commitment = Commitment.from_bytes(one.payload)
    except (DecodingError, SignatureError) as error:
        raise EvidenceError(where, f"a commitment signed by {one.domain}", str(error)) from None
    if (commitment.job, commitment.domain) != (receipt.job, one.domain):
        got = f"one of {commitment.domain!r:.80} to job {commitment.job.hex()[:64]}"
        raise EvidenceError(where, f"one of {one.domain} to job {receipt.job.hex()}", got)
    return commitment


def _check_other(receipt: Receipt, stage: Stage, other: Signed) -> None:
    where = f"stage {stage.name}, others"
    if other.domain == COORDINATOR:
        raise EvidenceError(where, "commitments of domains", COORDINATOR)
    commitment = signed_commitment(receipt, other, where)
    task = (commitment.stage, commitment.partition)
    if commitment.stage != stage.name or commitment.partition >= len(stage):
        raise EvidenceError(where, f"a partition of {stage.name} below {len(stage)}", task)
    if commitment.inputs != receipt.inputs(*task):
        raise EvidenceError(f"{where}, inputs", receipt.inputs(*task), commitment.inputs)
    if commitment.digest == receipt.digests[stage.name][commitment.partition]:
        raise EvidenceError(where, "something else than what was accepted", commitment.digest)


def _check_party(receipt: Receipt, party: Party) -> None:
    where, domain = f"domain {party.name}", Domain(party.name, party.key)
    check = _check_closing if party.closing else _check_singles
    signed = check(receipt, party, domain, where)
    if party.commitments != signed:
        raise EvidenceError(f"{where}, commitments", signed, party.commitments)


def _check_closing(receipt: Receipt, party: Party, domain: Domain, where: str) -> int:
    """Verify the one signature over all; return how many commitments it is over."""
    closing = receipt.closing(party)
    try:
        domain.verify(CLOSING_CONTEXT, closing.to_bytes(), party.closing)
    except SignatureError as error:
        raise EvidenceError(f"{where}, closing", _closes(closing), str(error)) from None
    return closing.commitments


def _check_singles(receipt: Receipt, party: Party, domain: Domain, where: str) -> int:
    """Verify a signature for each commitment and answer; return how many commitments there are."""
    got = [leaf_of(signed_commitment(receipt, one, where)) for one in party.singles]
    wanted = receipt.leaves(party)
    if got != wanted or any(one.domain != party.name for one in party.singles):
        raise EvidenceError(f"{where}, signed", f"its {len(wanted)} commitments in order", "others")
    answers = receipt.answers_of(party.name)
    if len(answers) != len(party.answers):
        raise EvidenceError(f"{where}, answers", f"{len(answers)} signatures", len(party.answers))
    for answer, signature in zip(answers, party.answers, strict=True):
        try:
            domain.verify(ANSWER_CONTEXT, answer.statement(receipt.job), signature)
        except SignatureError as error:
            raise EvidenceError(f"{where}, answers", "its signatures", str(error)) from None
    return len(wanted)


def _closes(closing: Closing) -> str:
    return (
        f"a signature over {closing.commitments} commitments (root"
        f" {closing.commitment_root.hex()[:16]}...) and {closing.answers} answers"
    )
