"""From bytes to a receipt: every field is read, each with its type and range, and no other.

What this module guarantees: what it returns says exactly what the bytes say, up to white space and
the order of names; everything else is an :class:`~dask_verify.errors.EvidenceError`. It does not
say whether anything in it is true.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TypeVar

import numpy as np

from dask_verify.errors import DataError, EvidenceError, PolicyError
from dask_verify.evidence.data import ResultShape
from dask_verify.evidence.enrolment.texts import text_flaw
from dask_verify.evidence.fields import Fields
from dask_verify.evidence.receipts.rows import audit_rows, bits, hashes
from dask_verify.evidence.receipts.values import (
    PREDICATE,
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
from dask_verify.evidence.receipts.writing import subjects
from dask_verify.evidence.statement import Subject, read_statement
from dask_verify.protocol.board import MAX_COUNT, MAX_UNITS
from dask_verify.protocol.messages import MAP, READ, REDUCE, Standing, Verdict
from dask_verify.protocol.policy import Detect, Policy
from dask_verify.protocol.terms import Terms, sources_digest

T = TypeVar("T")

MOST_PARTITIONS = 1 << 24
"""Partitions of a stage that a receipt may have."""
_VERDICTS = tuple(v.value for v in Verdict)
_STANDINGS = tuple(s.value for s in Standing)
_STAGES = (MAP, REDUCE)


def read_receipt(payload: bytes) -> Receipt:
    """Return the receipt that a statement holds.

    Parameters
    ----------
    payload : bytes
        Verified bytes.

    Returns
    -------
    Receipt

    Raises
    ------
    EvidenceError
        If they are no receipt.
    """
    about, fields = read_statement(payload, PREDICATE)
    return _with_subjects(_all(fields, _receipt), about)


def _with_subjects(receipt: Receipt, about: tuple[Subject, ...]) -> Receipt:
    """Add the files among the subjects; the rest must be what the receipt itself says."""
    files = tuple((s.name, s.digest) for s in about if s.algorithm == "sha256")
    for name, _ in files:
        if flaw := text_flaw(name):
            raise EvidenceError("statement.subject, name", *flaw)
    if len({subject.name for subject in about}) < len(about):
        raise EvidenceError("statement.subject", "every name once", "one of them twice")
    found = replace(receipt, files=files)
    wanted = subjects(found)
    if about != wanted:
        raise EvidenceError("statement.subject", _shown(wanted), _shown(about))
    return found


def _shown(about: tuple[Subject, ...]) -> str:
    return ", ".join(f"{s.name} {s.algorithm} {s.digest.hex()}" for s in about) or "nothing"


def _all(fields: Fields, read: Callable[[Fields], T]) -> T:
    """Read an object; nothing of it may be left unread."""
    value = read(fields)
    fields.end()
    return value


def _receipt(fields: Fields) -> Receipt:
    policy = _all(fields.object("policy"), _policy)
    coordinator = fields.object("coordinator")
    key = coordinator.digest("publicKey")
    version, environment = coordinator.text("version"), coordinator.mapping("environment")
    coordinator.end()
    parties = tuple(_all(one, _party) for one in fields.objects("domains"))
    names = tuple((party.name, party.key) for party in parties)
    job = fields.object("job")
    terms, functions, pins, unpinned = _all(job, lambda f: _job(f, key, policy, names))
    if terms.job != job.digest("id"):
        raise EvidenceError(job.at("id"), terms.job.hex(), job.digest("id").hex())
    stages = _stages(fields, terms)
    pairs = sum(stages[-1].records_out) if stages else 0
    result = _optional(fields, "result", lambda f: _result(f, terms, pairs))
    return Receipt(
        terms=terms,
        functions=functions,
        pins=pins,
        unpinned=unpinned,
        verdict=fields.choice("verdict", _VERDICTS),
        cause=fields.text("cause"),
        started=fields.text("started"),
        finished=fields.text("finished"),
        environment=environment,
        version=version,
        parties=parties,
        stages=stages,
        sampled=_optional(fields, "sampling", _sampled),
        disputes=tuple(_all(one, _dispute) for one in fields.objects("disputes")),
        result=result[0] if result is not None else None,
        sorted_by=result[1] if result is not None else (),
    )


def _optional(fields: Fields, name: str, read: Callable[[Fields], T]) -> T | None:
    return None if fields.null(name) else _all(fields.object(name), read)


def _job(
    fields: Fields, coordinator: bytes, policy: Policy, domains: tuple[tuple[str, bytes], ...]
) -> tuple[Terms, Functions, tuple[SourcePin, ...], int]:
    fields.digest("id")
    functions, sources = fields.object("functions"), fields.object("sources")
    terms = Terms(
        nonce=fields.digest("nonce"),
        seed_digest=fields.digest("seedDigest"),
        coordinator=coordinator,
        policy=policy,
        domains=domains,
        functions=functions.digest("digest"),
        sources=sources.digest("digest"),
        maps=fields.number("maps", 0, MOST_PARTITIONS),
        reduces=fields.number("reduces", 1, MOST_PARTITIONS),
        buckets=fields.number("buckets", 1),
        unit_records=fields.number("unitRecords"),
    )
    named = Functions(*(functions.text(role) for role in ("mapper", "reducer", "combiner")))
    pins = tuple(_all(one, _pin) for one in sources.objects("pins"))
    unpinned = sources.number("unpinned", 0, terms.maps)
    functions.end()
    sources.end()
    found = sources_digest((pin.path, pin.identity) for pin in pins)
    if found != terms.sources:
        raise EvidenceError(sources.at("digest"), found, terms.sources)
    return terms, named, pins, unpinned


def _pin(fields: Fields) -> SourcePin:
    pairs = tuple((pair.text("0"), pair.text("1")) for pair in fields.rows("identity", 2))
    return SourcePin(fields.text("path"), pairs)


def _policy(fields: Fields) -> Policy:
    try:
        return Policy(
            replicas=fields.number("replicas", 1),
            faults=fields.number("faults", 1),
            audit=_audit(fields),
            unit_records=_number_or_none(fields, "unitRecords"),
            referee=fields.text("referee"),
            stand_in=fields.flag("standIn"),
            trust_input=fields.flag("trustInput"),
            deadline=None if fields.null("deadline") else fields.real("deadline"),
            window=fields.number("window", 1),
            buckets=_number_or_none(fields, "buckets"),
        )
    except PolicyError as error:
        raise EvidenceError(fields.path, "a policy", str(error)) from None


def _audit(fields: Fields) -> float | Detect:
    if not fields.nested("audit"):
        return fields.real("audit", 0, 1)
    wanted = fields.object("audit")
    corrupt, confidence = wanted.real("corrupt"), wanted.real("confidence")
    wanted.end()
    return Detect(int(corrupt) if corrupt >= 1 and corrupt == int(corrupt) else corrupt, confidence)


def _number_or_none(fields: Fields, name: str) -> int | None:
    return None if fields.null(name) else fields.number(name, 1)


def _party(fields: Fields) -> Party:
    closed = fields.has("closing")
    return Party(
        name=fields.text("name"),
        key=fields.digest("publicKey"),
        environment=fields.mapping("environment"),
        standing=fields.choice("standing", _STANDINGS),
        reason=fields.text("reason"),
        commitments=fields.number("commitments"),
        nbytes=fields.number("bytes"),
        cpu=fields.number("cpuNanoseconds"),
        closing=fields.octets("closing", 64) if closed else b"",
        singles=() if closed else _signed(fields, "signed"),
        answers=() if closed else fields.blobs("answers"),
    )


def _signed(fields: Fields, name: str) -> tuple[Signed, ...]:
    return tuple(
        _all(f, lambda f: Signed(f.text("domain"), f.octets("payload"), f.octets("signature")))
        for f in fields.objects(name)
    )


def _stages(fields: Fields, terms: Terms) -> tuple[Stage, ...]:
    """Return map and reduce with all their partitions; or nothing, where there is no answer."""
    stages = tuple(_all(one, _stage) for one in fields.objects("stages"))
    found = [(stage.name, len(stage)) for stage in stages]
    wanted = [(MAP, terms.maps), (REDUCE, terms.reduces)]
    if found not in ([], wanted):
        raise EvidenceError(fields.at("stages"), f"none, or {wanted}", found)
    return stages


def _stage(fields: Fields) -> Stage:
    roots = hashes(fields, "roots")
    size, signers = len(roots), fields.object("signers")
    stage = Stage(
        name=fields.choice("name", _STAGES),
        records_in=fields.numbers("recordsIn", 0, MAX_COUNT),
        records_out=fields.numbers("recordsOut", 0, MAX_COUNT * MAX_UNITS),
        roots=roots,
        rests=hashes(fields, "rests"),
        signers={name: bits(signers, name, size) for name in signers.names()},
        doubted=fields.ascending("doubted", max(0, size - 1)),
        others=_signed(fields, "others"),
    )
    fields.distinct("others", stage.others)
    for name in ("records_in", "records_out", "rests"):
        values = getattr(stage, name)
        if len(values) != size:
            raise EvidenceError(f"{fields.path}, {name}", f"{size} values", len(values))
    return stage


def _sampled(fields: Fields) -> Sampled:
    return Sampled(
        seed=fields.digest("seed"),
        rate=fields.real("rate", 0, 1),
        basis=fields.number("basis"),
        small=fields.flag("small"),
        audits=audit_rows(fields, "audits"),
    )


def _dispute(fields: Fields) -> Dispute:
    dispute = Dispute(
        stage=fields.choice("stage", _STAGES),
        partition=fields.number("partition", 0, MOST_PARTITIONS),
        units=fields.numbers("units"),
        sides=fields.texts("sides"),
        culprits=fields.texts("culprits"),
        cause=fields.choice("cause", (READ, MAP, REDUCE, "serve")),
        settled=fields.text("settled"),
        inputs=fields.digest("inputs"),
        accepted=_hash_or_none(fields, "accepted"),
        claims=_signed(fields, "claims"),
        answers=tuple(_all(one, _disputed_answer) for one in fields.objects("answers")),
        wrong=fields.digests("wrong"),
        liars=fields.texts("liars"),
        opening=fields.octets("opening"),
        exhibit=_hash_or_none(fields, "exhibit"),
    )
    for name in ("units", "sides", "culprits", "claims", "answers", "wrong", "liars"):
        fields.distinct(name, getattr(dispute, name))
    return dispute


def _hash_or_none(fields: Fields, name: str) -> bytes:
    return b"" if fields.empty(name) else fields.digest(name)


def _disputed_answer(fields: Fields) -> DisputedAnswer:
    return DisputedAnswer(
        domain=fields.text("domain"),
        stage=fields.choice("stage", (READ, *_STAGES)),
        units=fields.numbers("units"),
        payload=fields.octets("payload"),
        signature=fields.octets("signature"),
    )


def _result(fields: Fields, terms: Terms, pairs: int) -> tuple[ResultShape, tuple[str, ...]]:
    bag = fields.choice("kind", ("bag", "frame")) == "bag"
    shape, by = _bag(fields, terms, pairs) if bag else _frame(fields, terms)
    try:
        shape.check()
    except DataError as error:
        raise EvidenceError(fields.path, "the shape of a result", str(error)) from None
    return shape, by


def _bag(fields: Fields, terms: Terms, pairs: int) -> tuple[ResultShape, tuple[str, ...]]:
    size = fields.number("bytes")
    return ResultShape("bag", terms.reduces, terms.buckets, nbytes=size, records=pairs), ()


def _frame(fields: Fields, terms: Terms) -> tuple[ResultShape, tuple[str, ...]]:
    by, order = fields.texts("sortedBy"), fields.octets("order")
    if len(order) % 4 or (order and not by):
        raise EvidenceError(fields.at("order"), "4 bytes for each row, if sorted", len(order))
    shape = ResultShape(
        kind="frame",
        partitions=terms.reduces,
        buckets=terms.buckets,
        meta=fields.octets("meta"),
        rows=fields.tables("rows"),
        order=tuple(np.frombuffer(order, ">u4").tolist()) if by else None,
        forms=fields.blobs("forms"),
        formed=fields.tables("formed"),
        nbytes=fields.number("bytes"),
    )
    return shape, by
