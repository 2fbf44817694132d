"""The published vectors are what this version makes, and what it accepts."""

from __future__ import annotations

import json

from published import FILE, text

from dask_verify.evidence.enrolment.trust import Trust
from dask_verify.evidence.receipts.checking import check_receipt
from dask_verify.protocol.domain import Domain, Identity
from dask_verify.protocol.quorum import CONTEXT

VECTORS = json.loads(FILE.read_text())


def test_they_are_made_as_they_were_published() -> None:
    assert json.loads(text()) == VECTORS


def test_keys_and_signatures_are_those_of_ed25519() -> None:
    for name, key in VECTORS["keys"].items():
        assert Identity(name, bytes.fromhex(key["private"])).public_key.hex() == key["public"]
    carol = Domain("carol", bytes.fromhex(VECTORS["keys"]["carol"]["public"]))
    said = VECTORS["commitment"]
    carol.verify(CONTEXT, bytes.fromhex(said["payload"]), bytes.fromhex(said["signature"]))


def test_the_receipt_holds_and_convicts_the_cheat() -> None:
    trust = Trust.from_bytes(VECTORS["trust"].encode())
    found = check_receipt(VECTORS["receipt"].encode(), trust)
    assert sorted(found.exposed) == VECTORS["exposed"]
    assert found.receipt.result_root.hex() == VECTORS["resultRoot"]
    assert found.receipt.job.hex() == VECTORS["job"]
