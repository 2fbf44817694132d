"""DSSE envelopes with one Ed25519 signature: bytes are verified before anybody parses them.

* The signature is made and verified by securesystemslib, over the pre-authentication encoding of
  https://github.com/secure-systems-lab/dsse (protocol version 1).
* The envelope itself is read strictly: one signature, no other fields, base64 in one form only.
"""

from __future__ import annotations

import json

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from securesystemslib.dsse import Envelope
from securesystemslib.exceptions import Error
from securesystemslib.signer import CryptoSigner, Signature, SSlibKey

from dask_verify.errors import EvidenceError
from dask_verify.evidence.fields import Fields, parse
from dask_verify.protocol.domain import Identity

PAYLOAD_TYPE = "application/vnd.in-toto+json"
"""What every payload is: an in-toto statement."""


def key_id(key: bytes) -> str:
    """Return the name of a public key in an envelope: a hint, which proves nothing.

    Parameters
    ----------
    key : bytes
        The public key, 32 bytes.

    Returns
    -------
    str

    Examples
    --------
    >>> from dask_verify.protocol.domain import Identity
    >>> len(key_id(Identity.generate("coordinator").public_key))
    64
    """
    return str(_public(key).keyid)


def seal(payload: bytes, identity: Identity) -> bytes:
    """Return a payload in an envelope, signed.

    Parameters
    ----------
    payload : bytes
        An in-toto statement.
    identity : Identity
        Who signs.

    Returns
    -------
    bytes
        UTF-8 JSON, one line.

    Examples
    --------
    >>> alice = Identity.generate("coordinator")
    >>> opened(seal(b"{}", alice), alice.public_key)
    b'{}'
    """
    private = Ed25519PrivateKey.from_private_bytes(identity.private_bytes())
    envelope = Envelope(payload, PAYLOAD_TYPE, {})
    envelope.sign(CryptoSigner(private))
    return json.dumps(envelope.to_dict(), separators=(",", ":")).encode() + b"\n"


def opened(data: bytes, key: bytes) -> bytes:
    """Return the payload of an envelope that is signed with a key.

    Parameters
    ----------
    data : bytes
        What `seal` returned, from anybody.
    key : bytes
        Raw Ed25519 public key, 32 bytes.

    Returns
    -------
    bytes

    Raises
    ------
    EvidenceError
        If it is no envelope, or does not carry this key's signature over its payload.

    Examples
    --------
    >>> alice, mallory = Identity.generate("coordinator"), Identity.generate("coordinator")
    >>> opened(seal(b"{}", alice), alice.public_key)
    b'{}'
    >>> try:
    ...     opened(seal(b"{}", mallory), alice.public_key)
    ... except EvidenceError:
    ...     print("not alice's")
    not alice's
    """
    payload, signature = _read(data)
    envelope = Envelope(payload, PAYLOAD_TYPE, {signature.keyid: signature})
    public = _public(key)
    if signature.keyid != public.keyid:
        wanted = f"a signature by the coordinator whose key is {key.hex()}"
        raise EvidenceError("envelope", wanted, f"one by another, key id {signature.keyid:.64}")
    try:
        envelope.verify([public], threshold=1)
    except Error:
        raise EvidenceError(
            "envelope, signature",
            f"one by the key {key.hex()} over exactly this payload",
            "one that does not verify",
        ) from None
    return payload


def unverified(data: bytes) -> bytes:
    """Return the payload of an envelope without checking its signature: for showing only.

    Parameters
    ----------
    data : bytes
        The envelope.

    Returns
    -------
    bytes

    Raises
    ------
    EvidenceError
        If it is no envelope.

    Examples
    --------
    >>> unverified(seal(b"{}", Identity.generate("coordinator")))
    b'{}'
    """
    return _read(data)[0]


def is_no_envelope(data: bytes) -> bool:
    """Tell whether bytes are no envelope at all, not even one that was damaged or cut short.

    Parameters
    ----------
    data : bytes
        From anybody.

    Returns
    -------
    bool

    Examples
    --------
    >>> cut = seal(b"{}", Identity.generate("coordinator"))[:40]
    >>> is_no_envelope(b"to be or not to be"), is_no_envelope(cut)
    (True, False)
    """
    # JSON may write every letter of a name as a number.
    return b"payload" not in data and rb"\u" not in data


def _read(data: bytes) -> tuple[bytes, Signature]:
    fields = parse(data, "envelope")
    fields.choice("payloadType", (PAYLOAD_TYPE,))
    payload = fields.octets("payload")
    signatures = fields.objects("signatures")
    fields.end()
    if len(signatures) != 1:
        raise EvidenceError("envelope.signatures", "one signature", f"{len(signatures)}")
    return payload, _signature(signatures[0])


def _signature(fields: Fields) -> Signature:
    key_id, signature = fields.text("keyid"), fields.octets("sig", 64)
    fields.end()
    return Signature(key_id, signature.hex())


def _public(key: bytes) -> SSlibKey:
    try:
        return SSlibKey.from_crypto(Ed25519PublicKey.from_public_bytes(key))
    except (TypeError, ValueError):
        raise EvidenceError("key", "a raw Ed25519 public key of 32 bytes", key) from None


__all__ = ["PAYLOAD_TYPE", "is_no_envelope", "key_id", "opened", "seal", "unverified"]
