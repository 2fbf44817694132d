"""What the receipt's specification says, written down once more, with nothing of the package.

So the bytes that foreign programs verify here are not those that the package made for them. In
short:

* An envelope (DSSE, protocol version 1) is signed over
  ``"DSSEv1" SP LEN(type) SP type SP LEN(payload) SP payload``, lengths in ASCII decimals.
* A domain signs ``"dask_verify/v1/" context 0x00 payload`` with Ed25519.
* A value is encoded as ``0x11`` and deterministic CBOR (RFC 8949, section 4.2), a tuple as tag
  0xDA00 over an array.
* A digest is BLAKE3 in key derivation mode, in the context ``"dask_verify v1 " name``.
* A Merkle tree has the shape of RFC 6962 and keyed BLAKE3 with a key for each role: 32 bytes
  derived from nothing in the context ``"dask_verify blake3MerkleV1 " role``.
* What a domain signs in the end are roots over its commitments and over its answers as an auditor,
  in the order of the receipt: `closing`.
"""

from __future__ import annotations

import base64
import json
import tomllib

import cbor2
from blake3 import blake3

TUPLE = 0xDA00
SPKI_ED25519 = bytes.fromhex("302a300506032b6570032100")
"""RFC 8410: SEQUENCE { SEQUENCE { OID 1.3.101.112 }, BIT STRING }, up to the key's 32 bytes."""


def spki(key):
    """The key as a SubjectPublicKeyInfo, in DER."""
    return SPKI_ED25519 + key


def public_keys(trust_file):
    """Raw public keys by name, the coordinator's included."""
    trust = tomllib.loads(trust_file.read_text())
    keys = {one["name"]: bytes.fromhex(one["public-key"]) for one in trust["domain"]}
    return keys | {"coordinator": bytes.fromhex(trust["coordinator"]["public-key"])}


def pre_authentication(payload_type, payload):
    kind = payload_type.encode()
    return b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(payload), payload)


def signed_by_domain(context, payload):
    return b"dask_verify/v1/" + context.encode() + b"\0" + payload


def encode(value):
    return b"\x11" + cbor2.dumps(_tagged(value))


def _tagged(value):
    if isinstance(value, tuple):
        return cbor2.CBORTag(TUPLE, [_tagged(one) for one in value])
    return value


def digest(name, payload):
    return blake3(payload, derive_key_context=f"dask_verify v1 {name}").digest()


def merkle_root(leaves):
    """Return the root by the definition of RFC 6962: split at the largest power of two below."""
    if not leaves:
        return _keyed("empty", b"")
    if len(leaves) == 1:
        return _keyed("leaf", leaves[0])
    middle = 1 << (len(leaves) - 1).bit_length() - 1
    return _keyed("node", merkle_root(leaves[:middle]) + merkle_root(leaves[middle:]))


def _keyed(role, data):
    key = blake3(b"", derive_key_context=f"dask_verify blake3MerkleV1 {role}").digest()
    return blake3(data, key=key).digest()


class Told:
    """What a receipt's statement says, with everything in it computed that is not spelt out."""

    def __init__(self, payload):
        statement = json.loads(payload)
        self.said = statement["predicate"]
        self.job = bytes.fromhex(self.said["job"]["id"])
        self.stages = {stage["name"]: stage for stage in self.said["stages"]}
        self.digests = {name: self._digests(stage) for name, stage in self.stages.items()}

    def closing(self, name):
        """Return what the domain of this name signs over all that it did."""
        commitments, answers = self._commitments(name), self._answers(name)
        roots = merkle_root(commitments), merkle_root(answers)
        return encode((self.job, name, len(commitments), roots[0], len(answers), roots[1]))

    def _commitments(self, name):
        accepted = [
            encode((stage, i, self._inputs(stage, i), self.digests[stage][i]))
            for stage in self.stages
            for i in self._signed(stage, name)
        ]
        others = [
            _leaf_of(unbase64(other["payload"]))
            for stage in self.stages.values()
            for other in stage["others"]
            if other["domain"] == name
        ]
        return accepted + others

    def _answers(self, name):
        sampling = self.said["sampling"] or {"audits": []}
        return [
            encode(
                (
                    self.job,
                    "read" if kind == "read" else stage,
                    partition,
                    self._inputs(stage, partition),
                    tuple(units),
                    unbase64(answer),
                )
            )
            for stage, partition, kind, units, auditor, _, _, answer in sampling["audits"]
            if auditor == name and answer
        ]

    def _signed(self, stage, name):
        bits = unbase64(self.stages[stage]["signers"].get(name, ""))
        return [i for i in range(8 * len(bits)) if bits[i // 8] >> i % 8 & 1]

    def _inputs(self, stage, partition):
        if stage == "map":
            return digest("map inputs", encode((self.job, partition)))
        return digest("reduce inputs", encode((self.job, tuple(self.digests["map"]))))

    def _digests(self, stage):
        roots, rests = (_hashes(stage[column]) for column in ("roots", "rests"))
        rows = zip(stage["recordsIn"], stage["recordsOut"], roots, rests, strict=True)
        return [
            digest("commitment", encode((*self._shape(stage["name"], row[0]), *row)))
            for row in rows
        ]

    def _shape(self, stage, records):
        job = self.said["job"]
        if stage == "reduce":
            return job["buckets"] // job["reduces"], 1
        size = job["unitRecords"]
        return job["buckets"], max(1, -(-records // size)) if size else 1


def decoded_commitment(payload):
    """Return the fields of a commitment: job, stage, partition, domain, inputs, ..., root."""
    assert payload[:1] == b"\x11"
    value = cbor2.loads(payload[1:])
    assert value.tag == TUPLE
    return list(value.value)


def _leaf_of(payload):
    _, stage, partition, _, inputs, buckets, units, records, *rest, root = decoded_commitment(
        payload
    )
    counts, nbytes, input_root = tuple(rest[0].value), *rest[1:]
    remainder = digest("rest", encode((counts, nbytes, input_root)))
    shape = buckets, units, records, sum(counts)
    compared = digest("commitment", encode((*shape, root, remainder)))
    return encode((stage, partition, inputs, compared))


def unbase64(text):
    return base64.b64decode(text, validate=True)


def _hashes(text):
    data = unbase64(text)
    return [data[i : i + 32] for i in range(0, len(data), 32)]
