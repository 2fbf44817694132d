"""Openings on the wire: believing one, and proving that one was signed and wrong.

* An opening is believed if its leaves belong to the root that was asked for, whoever sent it.
* Its sender is exposed only by its own signature under leaves that do not belong to the root that
  it committed to. A complaint proves nothing.
"""

from __future__ import annotations

from dask_verify.core.canonical import decode, encode
from dask_verify.core.merkle import BLAKE3, verify_range
from dask_verify.core.seal import Opening
from dask_verify.errors import DecodingError, ProofError, SignatureError
from dask_verify.protocol.domain import Domain

CONTEXT = "opening"


def unwrap(wire: bytes) -> tuple[bytes, bytes]:
    """Split what was sent into payload and signature.

    Raises
    ------
    DecodingError
        If the bytes are no such pair.
    """
    parts = decode(wire)
    if not (isinstance(parts, tuple) and len(parts) == 2 and all(type(p) is bytes for p in parts)):
        raise DecodingError("expected a payload and its signature")
    payload, signature = parts
    return payload, signature


def believe(wire: bytes, request: Opening) -> Opening:
    """Return an opening whose leaves belong to the root that was asked for.

    Raises
    ------
    DecodingError, ProofError
        If they do not.
    """
    opening = Opening.from_bytes(unwrap(wire)[0])
    opening.verify(request)
    return opening


def evidence_of(wire: bytes) -> bytes | None:
    """Reduce a bad opening to what proves it bad: the signed statement, without the data.

    None if it is not even an opening.
    """
    try:
        payload, signature = unwrap(wire)
        return encode((Opening.from_bytes(payload).statement(), signature))
    except DecodingError:
        return None


def convicts(evidence: bytes, request: Opening, domain: Domain) -> bool:
    """Whether a signed statement proves that a domain served what it had not committed to.

    Parameters
    ----------
    evidence : bytes
        What `evidence_of` returned, from anybody.
    request : Opening
        What the domain was asked for, under the root that the domain itself signed.
    domain : Domain
        Whose signature must be on it.

    Returns
    -------
    bool
        False also for anything malformed, unsigned, or about another root, range or job.
    """
    try:
        statement, signature = unwrap(evidence)
        domain.verify(CONTEXT, statement, signature)
        said = Opening.from_bytes(statement)
    except (DecodingError, SignatureError):
        return False
    names = ("job", "stage", "partition", "domain", "tree", "root", "size", "start", "stop")
    if any(getattr(said, n) != getattr(request, n) for n in names):
        return False
    try:
        verify_range(BLAKE3, said.start, said.stop, said.size, said.leaves, said.proof, said.root)
    except ProofError:
        return True
    return False
