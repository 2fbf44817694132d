"""From the state of a finished job to what its receipt says, before anybody closes it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

from dask_verify.core.seal import Commitment
from dask_verify.evidence.data import ResultShape
from dask_verify.evidence.receipts.values import (
    AuditRow,
    Dispute,
    DisputedAnswer,
    Functions,
    Party,
    Receipt,
    Sampled,
    Signed,
    SourcePin,
    Stage,
)
from dask_verify.protocol.answers import signed_parts
from dask_verify.protocol.audit import WHOLE
from dask_verify.protocol.board import TaskState
from dask_verify.protocol.closing import SignedAnswer
from dask_verify.protocol.divergence import Divergence
from dask_verify.protocol.domain import COORDINATOR, Domain
from dask_verify.protocol.job import JobState
from dask_verify.protocol.messages import MAP, REDUCE, Task
from dask_verify.protocol.quorum import Claim
from dask_verify.protocol.terms import Terms, printable

_TEXT = 500  #: characters of a reason


@dataclass(frozen=True)
class About:
    """What a receipt says that the protocol does not know.

    Parameters
    ----------
    terms : Terms
    functions : Functions
    pins : tuple of SourcePin
    unpinned : int
        Input partitions without a pin for all that they read.
    started, finished : str
        UTC, as RFC 3339 writes it.
    version : str
        Of dask_verify.
    spent : mapping of str to int
        Nanoseconds of CPU time that each domain claims.
    meta : bytes
        Canonical bytes of the empty result of a dataframe; empty for a bag.
    """

    terms: Terms
    functions: Functions
    pins: tuple[SourcePin, ...]
    unpinned: int
    started: str
    finished: str
    version: str
    spent: Mapping[str, int]
    meta: bytes = b""


@dataclass
class Draft:
    """A receipt without closings, and the signatures that these will stand for.

    Parameters
    ----------
    receipt : Receipt
    commitments : dict of str to list of Signed
        For each domain, in the order of its closing.
    answers : dict of str to list of SignedAnswer
        The same for its answers as an auditor.
    divergences : tuple of Divergence
        What the receipt's disputes are about, in the same order.
    """

    receipt: Receipt
    commitments: dict[str, list[Signed]] = field(default_factory=dict)
    answers: dict[str, list[SignedAnswer]] = field(default_factory=dict)
    divergences: tuple[Divergence, ...] = ()


def draft(state: JobState, about: About, announced: bool = True) -> Draft:
    """Return what is known of a job at this moment.

    Parameters
    ----------
    state : JobState
        It must not change meanwhile.
    about : About
    announced : bool
        Whether the verdict, if there is one, has been given: until then a job has no answer, and
        its seed is a secret.

    Returns
    -------
    Draft
    """
    # What was to be made again and never was, is no answer.
    finished, plan = state.finished if announced and state.resting else None, state.plan
    answered = finished is not None and finished.verdict.answered
    stages = tuple(_stage(state, about.terms, name) for name in (MAP, REDUCE)) if answered else ()
    signatures = _audit_signatures(state) if answered and plan.policy.audited else []
    receipt = Receipt(
        terms=about.terms,
        functions=about.functions,
        pins=about.pins,
        unpinned=about.unpinned,
        verdict=finished.verdict.value if finished else "inconclusive",
        cause=finished.cause if finished else "crash",
        started=about.started,
        finished=about.finished,
        environment=plan.environment,
        version=about.version,
        parties=tuple(_party(state, domain, about.spent) for domain in plan.domains),
        stages=tuple(stage for stage, _ in stages),
        sampled=_sampled(state, signatures) if answered and plan.policy.audited else None,
        disputes=tuple(map(_dispute, state.divergences)),
        result=_shape(state, about) if answered else None,
    )
    names = [party.name for party in receipt.parties]
    return Draft(
        receipt,
        {n: _commitments(receipt, [held for _, held in stages], n) for n in names},
        {n: _answers(receipt, signatures, n) for n in names},
        tuple(state.divergences),
    )


def _tasks(state: JobState, terms: Terms, stage: str) -> Iterator[tuple[int, TaskState]]:
    for partition in range(terms.maps if stage == MAP else terms.reduces):
        yield partition, state.state(Task(stage, partition))


def _party(state: JobState, domain: Domain, spent: Mapping[str, int]) -> Party:
    own = [c for s in state.tasks() for c in s.ballot.claims if c.domain == domain.name]
    return Party(
        name=domain.name,
        key=domain.public_key,
        environment=domain.environment,
        standing=state.standing[domain.name].value,
        reason=printable(state.reasons.get(domain.name, ""))[:_TEXT],
        commitments=len(own),
        nbytes=sum(claim.said.nbytes for claim in own),
        cpu=spent.get(domain.name, 0),
    )


def _stage(state: JobState, terms: Terms, name: str) -> tuple[Stage, list[Signed]]:
    """Return a stage, and all signed commitments that were accepted in it."""
    accepted: list[Commitment] = []
    held: list[Signed] = []
    signers: dict[str, list[int]] = {}
    doubted, others = [], []
    for partition, task in _tasks(state, terms, name):
        claim = task.ballot.of(task.accepted)
        assert claim is not None, "an answered job has accepted all"
        accepted.append(claim.said)
        if task.doubted:
            doubted.append(partition)
        for one in task.ballot.claims:
            if one.digest == task.accepted:
                signers.setdefault(one.domain, []).append(partition)
                held.append(signed(one))
            elif one.domain != COORDINATOR:
                others.append(signed(one))
    stage = Stage(
        name=name,
        records_in=tuple(c.records_in for c in accepted),
        records_out=tuple(c.records_out for c in accepted),
        roots=tuple(c.root for c in accepted),
        rests=tuple(c.rest for c in accepted),
        signers={name: tuple(found) for name, found in sorted(signers.items())},
        doubted=tuple(doubted),
        others=tuple(others),
    )
    return stage, held


def _commitments(receipt: Receipt, held: list[list[Signed]], domain: str) -> list[Signed]:
    others = [other for stage in receipt.stages for other in stage.others]
    return [one for stage in (*held, others) for one in stage if one.domain == domain]


def _audit_signatures(state: JobState) -> list[tuple[AuditRow, bytes]]:
    """Return the checks of what the tasks are assigned now; a stage may have started again."""
    found = []
    for task, check in state.audits.checks:
        now = state.state(task)
        if check.inputs == now.inputs:
            row = AuditRow(
                *task,
                kind=check.kind,
                units=() if check.kind == WHOLE else check.units,
                auditor=check.auditor,
                outcome=check.outcome or "moot",
                commitment=b"" if check.digest == now.accepted else check.digest,
                answer=check.said,
            )
            found.append((row, check.signature))
    return found


def _answers(
    receipt: Receipt, signatures: list[tuple[AuditRow, bytes]], domain: str
) -> list[SignedAnswer]:
    own = [signature for row, signature in signatures if row.auditor == domain and row.answer]
    rows = receipt.answers_of(domain)
    return [replace(row, signature=s) for row, s in zip(rows, own, strict=True)]


def _sampled(state: JobState, signatures: list[tuple[AuditRow, bytes]]) -> Sampled:
    audits = state.audits
    return Sampled(
        seed=state.plan.seed,
        rate=audits.rate or 0.0,
        basis=audits.basis,
        small=audits.small,
        audits=tuple(row for row, _ in signatures),
    )


def _shape(state: JobState, about: About) -> ResultShape:
    terms = about.terms
    claims = [task.ballot.of(task.accepted) for _, task in _tasks(state, terms, REDUCE)]
    accepted = [claim.said for claim in claims if claim is not None]
    if not about.meta:
        return ResultShape(
            "bag",
            terms.reduces,
            terms.buckets,
            nbytes=sum(commitment.nbytes for commitment in accepted),
            records=sum(commitment.records_out for commitment in accepted),
        )
    return ResultShape(
        kind="frame",
        partitions=terms.reduces,
        buckets=terms.buckets,
        meta=about.meta,
        rows=tuple(commitment.counts for commitment in accepted),
        nbytes=sum(commitment.nbytes for commitment in accepted),
    )


def signed(claim: Claim) -> Signed:
    """Return a commitment as it was signed; the coordinator's own has no signature.

    Parameters
    ----------
    claim : Claim
        The claim.

    Returns
    -------
    Signed
    """
    return Signed(claim.domain, claim.commitment.to_bytes(), claim.signature)


def _dispute(divergence: Divergence) -> Dispute:
    proof = divergence.proof
    # An auditor may have been asked the same once more, of another commitment.
    answers = {answer.payload: answer for answer in map(_disputed_answer, proof.answers)}
    return Dispute(
        stage=divergence.stage,
        partition=divergence.partition,
        units=divergence.units,
        sides=divergence.domains,
        culprits=divergence.culprits,
        cause=divergence.cause,
        settled=divergence.settled,
        inputs=proof.inputs,
        accepted=proof.accepted,
        claims=tuple(map(signed, proof.claims)),
        answers=tuple(answers.values()),
        wrong=proof.wrong,
        liars=proof.liars,
        opening=proof.opening,
    )


def _disputed_answer(wire: bytes) -> DisputedAnswer:
    answer, payload, signature = signed_parts(wire)
    return DisputedAnswer(answer.domain, answer.stage, answer.units, payload, signature)
