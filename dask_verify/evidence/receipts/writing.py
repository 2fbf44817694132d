"""From a receipt to the bytes that the coordinator signs: an in-toto statement."""

from __future__ import annotations

from typing import Any

import numpy as np

from dask_verify.evidence.data import ResultShape
from dask_verify.evidence.fields import base64_text as b64
from dask_verify.evidence.receipts.rows import audit_row, bitmap, joined
from dask_verify.evidence.receipts.values import (
    PREDICATE,
    RESULT_ROOT,
    Dispute,
    Party,
    Receipt,
    Signed,
    Stage,
)
from dask_verify.evidence.statement import Subject, write_statement
from dask_verify.protocol.policy import Detect, Policy
from dask_verify.protocol.terms import Terms


def write_receipt(receipt: Receipt) -> bytes:
    """Return the statement of a receipt.

    Parameters
    ----------
    receipt : Receipt

    Returns
    -------
    bytes
        What `reading.read_receipt` reads.
    """
    predicate = {
        "job": _job(receipt),
        "policy": _policy(receipt.terms.policy),
        "verdict": receipt.verdict,
        "cause": receipt.cause,
        "started": receipt.started,
        "finished": receipt.finished,
        "coordinator": {
            "publicKey": receipt.terms.coordinator.hex(),
            "version": receipt.version,
            "environment": dict(receipt.environment),
        },
        "domains": [_party(party) for party in receipt.parties],
        "stages": [_stage(stage) for stage in receipt.stages],
        "sampling": _sampling(receipt),
        "disputes": [_dispute(dispute) for dispute in receipt.disputes],
        "result": None if receipt.result is None else _result(receipt.result, receipt.sorted_by),
    }
    return write_statement(PREDICATE, subjects(receipt), predicate)


def subjects(receipt: Receipt) -> tuple[Subject, ...]:
    """Return what a receipt is about: the root of the result, and exported files.

    Parameters
    ----------
    receipt : Receipt
        The receipt.

    Returns
    -------
    tuple of Subject
    """
    files = tuple(Subject(name, "sha256", digest) for name, digest in receipt.files)
    if not receipt.stages:
        return files
    return (Subject(RESULT_ROOT, "blake3MerkleV1", receipt.result_root), *files)


def _job(receipt: Receipt) -> dict[str, Any]:
    terms = receipt.terms
    return {
        "id": receipt.job.hex(),
        "nonce": terms.nonce.hex(),
        "seedDigest": terms.seed_digest.hex(),
        "functions": {
            "digest": terms.functions.hex(),
            "mapper": receipt.functions.mapper,
            "reducer": receipt.functions.reducer,
            "combiner": receipt.functions.combiner,
        },
        "sources": {
            "digest": terms.sources.hex(),
            "pins": [
                {"path": p.path, "identity": [list(pair) for pair in p.identity]}
                for p in receipt.pins
            ],
            "unpinned": receipt.unpinned,
        },
        **_grid(terms),
    }


def _grid(terms: Terms) -> dict[str, int]:
    return {
        "maps": terms.maps,
        "reduces": terms.reduces,
        "buckets": terms.buckets,
        "unitRecords": terms.unit_records,
    }


def _policy(policy: Policy) -> dict[str, Any]:
    audit = policy.audit
    if isinstance(audit, Detect):
        rate: Any = {"corrupt": float(audit.corrupt), "confidence": float(audit.confidence)}
    else:
        rate = float(audit)
    return {
        "replicas": int(policy.replicas),
        "faults": int(policy.faults),
        "audit": rate,
        "unitRecords": policy.unit_records,
        "referee": policy.referee,
        "standIn": policy.stand_in,
        "trustInput": policy.trust_input,
        "deadline": None if policy.deadline is None else float(policy.deadline),
        "window": int(policy.window),
        "buckets": policy.buckets,
    }


def _party(party: Party) -> dict[str, Any]:
    said: dict[str, Any] = {
        "name": party.name,
        "publicKey": party.key.hex(),
        "environment": dict(party.environment),
        "standing": party.standing,
        "reason": party.reason,
        "commitments": party.commitments,
        "bytes": party.nbytes,
        "cpuNanoseconds": party.cpu,
    }
    if party.closing:
        return said | {"closing": b64(party.closing)}
    return said | {
        "signed": [_signed(one) for one in party.singles],
        "answers": [b64(signature) for signature in party.answers],
    }


def _signed(one: Signed) -> dict[str, str]:
    return {"domain": one.domain, "payload": b64(one.payload), "signature": b64(one.signature)}


def _stage(stage: Stage) -> dict[str, Any]:
    return {
        "name": stage.name,
        "recordsIn": list(stage.records_in),
        "recordsOut": list(stage.records_out),
        "roots": joined(stage.roots),
        "rests": joined(stage.rests),
        "signers": {name: bitmap(signed, len(stage)) for name, signed in stage.signers.items()},
        "doubted": list(stage.doubted),
        "others": [_signed(one) for one in stage.others],
    }


def _sampling(receipt: Receipt) -> dict[str, Any] | None:
    sampled = receipt.sampled
    if sampled is None:
        return None
    return {
        "seed": sampled.seed.hex(),
        "rate": sampled.rate,
        "basis": sampled.basis,
        "small": sampled.small,
        "audits": [audit_row(row) for row in sampled.audits],
    }


def dispute_outline(dispute: Dispute) -> dict[str, Any]:
    """Return who disagreed about what, and how it ended, without what was signed.

    Parameters
    ----------
    dispute : Dispute
        The dispute.

    Returns
    -------
    dict of str to object
    """
    return {
        "stage": dispute.stage,
        "partition": dispute.partition,
        "units": list(dispute.units),
        "sides": list(dispute.sides),
        "culprits": list(dispute.culprits),
        "cause": dispute.cause,
        "settled": dispute.settled,
    }


def _dispute(dispute: Dispute) -> dict[str, Any]:
    return dispute_outline(dispute) | {
        "inputs": dispute.inputs.hex(),
        "accepted": dispute.accepted.hex(),
        "claims": [_signed(one) for one in dispute.claims],
        "answers": [
            {
                "domain": answer.domain,
                "stage": answer.stage,
                "units": list(answer.units),
                "payload": b64(answer.payload),
                "signature": b64(answer.signature),
            }
            for answer in dispute.answers
        ],
        "wrong": [digest.hex() for digest in dispute.wrong],
        "liars": list(dispute.liars),
        "opening": b64(dispute.opening),
        "exhibit": dispute.exhibit.hex(),
    }


def _result(shape: ResultShape, by: tuple[str, ...]) -> dict[str, Any]:
    if shape.kind == "bag":
        return {"kind": "bag", "bytes": shape.nbytes}
    order = b"" if shape.order is None else np.array(shape.order, dtype=">u4").tobytes()
    return {
        "kind": "frame",
        "meta": b64(shape.meta),
        "rows": [list(rows) for rows in shape.rows],
        "sortedBy": list(by),
        "order": b64(order),
        "forms": [b64(form) for form in shape.forms],
        "formed": [list(numbers) for numbers in shape.formed],
        "bytes": shape.nbytes,
    }
