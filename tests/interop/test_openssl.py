"""OpenSSL accepts what was signed, over bytes that the test builds from the specification."""

from __future__ import annotations

import subprocess

import pytest
import specified
from programs import need
from tampered import Case

pytestmark = [pytest.mark.interop, pytest.mark.cluster]

ANSWERS = {
    (0, "Signature Verified Successfully"): True,
    (1, "Signature Verification Failure"): False,
}


@pytest.fixture
def openssl(tmp_path):
    """Ask the program whether a signature verifies; whatever is no clear answer fails."""
    need("openssl")
    key, message, signature = (tmp_path / name for name in ("key.der", "message", "signature"))
    command = ["openssl", "pkeyutl", "-verify", "-rawin", "-pubin", "-keyform", "DER"]
    command += ["-inkey", key, "-in", message, "-sigfile", signature]

    def verifies(public, signed, sig):
        key.write_bytes(specified.spki(public))
        message.write_bytes(signed)
        signature.write_bytes(sig)
        done = subprocess.run(command, capture_output=True, text=True)
        answer = (done.returncode, done.stdout.strip())
        assert answer in ANSWERS, done
        return ANSWERS[answer]

    return verifies


@pytest.fixture
def told(saved):
    return specified.Told(specified.unbase64(saved.envelope["payload"]))


def test_it_accepts_receipts_and_exhibits(openssl, evidence, keys):
    assert len(evidence.envelopes) > len(evidence.results), "with exhibits"
    for name, envelope in evidence.envelopes.items():
        case = Case(name, envelope, keys["coordinator"])
        assert openssl(case.key, case.message, case.signature), name


def test_it_rejects_every_tampered_receipt(openssl, mutants):
    assert [c.name for c in mutants if openssl(c.key, c.message, c.signature)] == []


def test_it_accepts_the_closing_of_every_domain(openssl, told, keys):
    assert {party["name"] for party in told.said["domains"]} == set(keys) - {"coordinator"}
    if told.said["sampling"]:
        assert any(row[-1] for row in told.said["sampling"]["audits"]), "answers are closed over"
    for party in told.said["domains"]:
        domain, signature = party["name"], specified.unbase64(party["closing"])
        message = specified.signed_by_domain("closing", told.closing(domain))
        assert openssl(keys[domain], message, signature)
        assert not openssl(keys[domain], told.closing(domain), signature), "not in its context"
        for another in set(keys) - {domain}:
            assert not openssl(keys[another], message, signature)


def test_it_accepts_the_single_commitments_of_disputes(openssl, told, keys):
    claims = [
        (dispute, claim)
        for dispute in told.said["disputes"]
        for claim in dispute["claims"]
        if claim["domain"] != "coordinator"
    ]
    assert "bob" in {claim["domain"] for _, claim in claims}
    for dispute, claim in claims:
        payload, signature = (specified.unbase64(claim[x]) for x in ("payload", "signature"))
        job, stage, partition, domain, *_ = specified.decoded_commitment(payload)
        assert (job, domain) == (told.job, claim["domain"])
        assert (stage, partition) == (dispute["stage"], dispute["partition"])
        message = specified.signed_by_domain("commitment", payload)
        assert openssl(keys[domain], message, signature)
        assert not openssl(keys[domain], specified.signed_by_domain("closing", payload), signature)
        assert not openssl(keys[domain], message[:-1] + bytes([message[-1] ^ 1]), signature)
