"""Envelopes: one signature, over exactly these bytes, before anything is parsed."""

from __future__ import annotations

import base64
import hashlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dask_verify.errors import EvidenceError
from dask_verify.evidence.envelope import PAYLOAD_TYPE, key_id, opened, seal, unverified
from dask_verify.protocol.domain import Identity

ALICE = Identity("coordinator", b"a" * 32)
BOB = Identity("coordinator", b"b" * 32)
KEY = ALICE.public_key


def parts(payload: bytes = b'{"a": 1}', by: Identity = ALICE) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(seal(payload, by))
    return found


def refused(envelope: Any, key: bytes = KEY) -> None:
    data = envelope if isinstance(envelope, bytes) else json.dumps(envelope).encode()
    with pytest.raises(EvidenceError):
        opened(data, key)


@given(st.binary(max_size=200))
def test_a_payload_comes_out_as_it_went_in(payload: bytes) -> None:
    assert opened(seal(payload, ALICE), KEY) == payload
    assert unverified(seal(payload, BOB)) == payload
    refused(seal(payload, BOB))


def test_spaces_and_the_order_of_names_do_not_matter() -> None:
    reordered = dict(reversed(parts().items()))
    assert opened(json.dumps(reordered, indent=4).encode(), KEY) == b'{"a": 1}'


def test_there_is_one_signature() -> None:
    good, other = parts(), parts(by=BOB)
    for signatures in (
        [],
        [*good["signatures"], *other["signatures"]],
        [*other["signatures"], *good["signatures"]],
        good["signatures"] * 2,
    ):
        refused(good | {"signatures": signatures})


def test_a_signature_is_over_this_payload_and_type_by_this_key() -> None:
    good = parts()
    refused(good | {"payload": parts(b'{"a": 2}')["payload"]})
    refused(good | {"payloadType": "application/json"})
    refused(good | {"signatures": parts(by=BOB)["signatures"]})
    named = [{"keyid": key_id(KEY), "sig": parts(by=BOB)["signatures"][0]["sig"]}]
    refused(good | {"signatures": named})
    renamed = [good["signatures"][0] | {"keyid": key_id(BOB.public_key)}]
    refused(good | {"signatures": renamed})
    assert good["payloadType"] == PAYLOAD_TYPE


def test_the_key_id_is_the_one_that_the_format_describes() -> None:
    text = f'{{"keytype":"ed25519","keyval":{{"public":"{KEY.hex()}"}},"scheme":"ed25519"}}'
    assert key_id(KEY) == hashlib.sha256(text.encode()).hexdigest()


def test_nothing_is_added_or_left_out() -> None:
    good = parts()
    refused(good | {"surprise": 1})
    for name in good:
        refused({key: value for key, value in good.items() if key != name})
    refused(good | {"signatures": [good["signatures"][0] | {"x": 1}]})


@pytest.mark.parametrize("key", [b"", bytes(31), bytes(33), "text", None])
def test_a_key_is_a_key(key: Any) -> None:
    refused(seal(b"{}", ALICE), key)


def test_every_byte_of_the_signature_counts() -> None:
    good = parts()
    signature = base64.b64decode(good["signatures"][0]["sig"])
    for at in range(64):
        other = signature[:at] + bytes([signature[at] ^ 1]) + signature[at + 1 :]
        sig = base64.b64encode(other).decode()
        refused(good | {"signatures": [good["signatures"][0] | {"sig": sig}]})
    for cut in (signature[:63], signature + b"x", b""):
        sig = base64.b64encode(cut).decode()
        refused(good | {"signatures": [good["signatures"][0] | {"sig": sig}]})


@given(st.binary(max_size=100))
def test_garbage_is_no_envelope(data: bytes) -> None:
    refused(data)
