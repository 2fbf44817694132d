"""The published vectors, made anew: keys, a commitment, its signature, roots, a whole receipt."""

from __future__ import annotations

import json
from dataclasses import fields
from pathlib import Path
from typing import Any

from made import NAMES, TRUST, closed, envelope, job

from dask_verify.core.seal import Commitment
from dask_verify.evidence.receipts.values import Receipt
from dask_verify.protocol.domain import Identity
from dask_verify.testing.simulation.enrolment import identity

FILE = Path(__file__).parents[3] / "docs" / "receipt-v1-vectors.json"


def vectors() -> dict[str, Any]:
    """Everything that follows from fixed keys and a fixed job with a cheat."""
    policy = {"replicas": 2, "audit": 0.5, "behaviours": {"bob": "wrong"}}
    receipt = closed(job(**policy), ("carol",))
    return {
        "keys": {name: _key(identity(name)) for name in ("coordinator", *NAMES[:3])},
        "commitment": _commitment(receipt),
        "closing": _closing(receipt),
        "job": receipt.job.hex(),
        "reduceInputs": receipt.reduce_inputs.hex(),
        "digests": {name: [d.hex() for d in found] for name, found in receipt.digests.items()},
        "resultRoot": receipt.result_root.hex(),
        "exposed": ["bob"],
        "trust": TRUST.to_bytes().decode(),
        "receipt": envelope(receipt).decode(),
    }


def _key(known: Identity) -> dict[str, str]:
    return {"private": known.private_bytes().hex(), "public": known.public_key.hex()}


def _commitment(receipt: Receipt) -> dict[str, Any]:
    carol = next(party for party in receipt.parties if party.name == "carol")
    signed = carol.singles[0]
    commitment = Commitment.from_bytes(signed.payload)
    said = {f.name: _plain(getattr(commitment, f.name)) for f in fields(commitment) if f.init}
    return {
        "fields": said,
        "payload": signed.payload.hex(),
        "digest": commitment.digest.hex(),
        "signature": signed.signature.hex(),
    }


def _closing(receipt: Receipt) -> dict[str, str]:
    alice = next(party for party in receipt.parties if party.name == "alice")
    payload = receipt.closing(alice).to_bytes()
    return {"domain": "alice", "payload": payload.hex(), "signature": alice.closing.hex()}


def _plain(value: Any) -> Any:
    return value.hex() if isinstance(value, bytes) else value


def text() -> str:
    """The file's text."""
    return json.dumps(vectors(), indent=1) + "\n"
