"""Envelopes that were tampered with, one change each."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass
from random import Random

import specified

SAMPLE = 500


@dataclass(frozen=True)
class Case:
    """An envelope, and the key that it should be signed with."""

    name: str
    envelope: dict
    key: bytes

    @property
    def message(self):
        """What its signature has to be over."""
        payload = specified.unbase64(self.envelope["payload"])
        return specified.pre_authentication(self.envelope["payloadType"], payload)

    @property
    def signature(self):
        return specified.unbase64(self.envelope["signatures"][0]["sig"])

    def to_bytes(self):
        return json.dumps(self.envelope).encode()


def cases(envelope, other, keys):
    """Yield tampered versions of an envelope; the other is signed with the same key."""
    key = keys["coordinator"]
    good, foreign = Case("as it is", envelope, key), Case("other", other, key)
    payload = specified.unbase64(envelope["payload"])
    for name, changed in _payloads(payload):
        yield Case(name, envelope | {"payload": _text(changed)}, key)
    yield Case("payload of another", envelope | {"payload": other["payload"]}, key)
    for kind in ("application/json", envelope["payloadType"] + " ", ""):
        yield Case(f"payload type {kind!r}", envelope | {"payloadType": kind}, key)
    for name, signature in _signatures(good.signature, foreign.signature):
        yield Case(name, _signed(envelope, signature), key)
    for name, public in keys.items():
        if name != "coordinator":
            yield Case(f"key of {name}", envelope, public)


def _payloads(payload):
    positions = {0, len(payload) - 1, *Random(1).sample(range(len(payload)), SAMPLE)}
    for at in sorted(positions):
        yield f"payload byte {at}", _flipped(payload, at, 1 << at % 8)
    yield "payload cut", payload[:-1]
    yield "payload longer", payload + b" "


def _signatures(signature, foreign):
    for at in range(len(signature)):
        yield f"signature byte {at}", _flipped(signature, at, 1 << at % 8)
    yield "signature of another", foreign
    yield "signature of zeros", bytes(64)
    yield "halves swapped", signature[32:] + signature[:32]


def _signed(envelope, signature):
    return envelope | {"signatures": [envelope["signatures"][0] | {"sig": _text(signature)}]}


def _flipped(data, at, bit):
    return data[:at] + bytes([data[at] ^ bit]) + data[at + 1 :]


def _text(data):
    return base64.b64encode(data).decode()
