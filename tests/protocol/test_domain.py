"""Domains, keys and contexts."""

from __future__ import annotations

import pytest

from dask_verify.errors import InputError, SignatureError
from dask_verify.protocol.domain import COORDINATOR, Domain, Identity, environment
from dask_verify.testing.simulation.enrolment import identity

ALICE = Identity.generate("alice")
DOMAIN = Domain("alice", ALICE.public_key, {"python": "3"})


def test_a_signature_verifies_for_its_context_payload_and_key_only() -> None:
    signature = ALICE.sign("context", b"payload")
    DOMAIN.verify("context", b"payload", signature)
    for context, payload, got in (
        ("other", b"payload", signature),
        ("context", b"other", signature),
        ("context", b"payload", bytes(64)),
        ("context", b"payload", signature[:-1]),
        ("context", b"payload", b""),
        ("context", b"payload", Identity.generate("alice").sign("context", b"payload")),
    ):
        with pytest.raises(SignatureError, match="alice"):
            DOMAIN.verify(context, payload, got)


def test_a_context_cannot_run_over_into_the_payload() -> None:
    with pytest.raises(SignatureError):
        DOMAIN.verify("a", b"bc", ALICE.sign("ab", b"c"))


@pytest.mark.parametrize("name", ["", COORDINATOR, None, 3])
def test_reserved_and_empty_names_are_refused(name: object) -> None:
    with pytest.raises(InputError, match="domain name"):
        Domain(name, ALICE.public_key)  # type: ignore[arg-type]


@pytest.mark.parametrize("key", [b"", b"x" * 31, b"x" * 33, "x" * 32, None])
def test_what_is_no_key_is_refused(key: object) -> None:
    with pytest.raises(InputError, match="32 bytes"):
        Domain("alice", key)  # type: ignore[arg-type]


def test_an_enrolled_environment_does_not_change_afterwards() -> None:
    said = {"python": "3"}
    domain = Domain("alice", ALICE.public_key, said)
    said["python"] = "4"
    assert domain.environment == {"python": "3"}
    with pytest.raises(TypeError):
        domain.environment["python"] = "4"  # type: ignore[index]
    assert hash(domain) == hash(DOMAIN)


def test_a_private_key_comes_back_and_is_never_shown() -> None:
    copy = Identity("alice", ALICE.private_bytes())
    assert copy.public_key == ALICE.public_key
    assert ALICE.private_bytes().hex()[:16] not in repr(ALICE)
    assert identity("a").public_key != identity("b").public_key


def test_the_environment_names_what_may_explain_a_difference() -> None:
    assert {"python", "machine", "numpy", "pandas", "pyarrow"} <= set(environment())


@pytest.mark.parametrize(
    ("key", "message"),
    [
        (bytes(32), "small order"),
        (b"\x01" + bytes(31), "small order"),
        (b"\xff" * 32, "another encoding"),
        (b"\x02" + bytes(31), "expected a point of the curve"),
    ],
)
def test_a_key_that_is_nobodys_is_refused(key: bytes, message: str) -> None:
    with pytest.raises(InputError, match=f"domain 'alice': .*{message}"):
        Domain("alice", key)
