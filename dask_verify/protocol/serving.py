"""Openings on the wire: asking for many at once, believing them, and proving that one was wrong.

* An opening is believed if its leaves belong to the root that was asked for, whoever sent it.
* Its sender is exposed only by its own signature under leaves that do not belong to the root that
  it committed to. A complaint proves nothing.
* One signature covers all openings of a reply, each by a digest of its own: evidence against one of
  them shows the others' digests and nothing else.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from dask_verify.core.canonical import decode_plain, encode
from dask_verify.core.merkle import BLAKE3, verify_range
from dask_verify.core.record import digest
from dask_verify.core.seal import Opening
from dask_verify.errors import DecodingError, ProofError, SignatureError
from dask_verify.protocol.domain import Domain, Identity

CONTEXT = "openings"
_SIGNATURE = 64  #: bytes of a signature
_COMMON = ("job", "stage", "domain", "tree")
_OWN = ("partition", "root", "size", "start", "stop")


def unwrap(wire: bytes) -> tuple[bytes, bytes]:
    """Split what was sent into payload and signature.

    Parameters
    ----------
    wire : bytes
        What was sent.

    Returns
    -------
    tuple of (bytes, bytes)

    Raises
    ------
    DecodingError
        If the bytes are no such pair.
    """
    parts = decode_plain(wire)
    if not (isinstance(parts, tuple) and len(parts) == 2 and all(type(p) is bytes for p in parts)):
        raise DecodingError("expected a payload and its signature")
    payload, signature = parts
    return payload, signature


# --- asking and answering -------------------------------------------------------------------


def questions(requests: Sequence[Opening]) -> bytes:
    """Encode requests to one domain; job, stage and tree of all of them are those of the first.

    Parameters
    ----------
    requests : sequence of Opening
        What was asked for.

    Returns
    -------
    bytes
    """
    common = tuple(getattr(requests[0], name) for name in _COMMON)
    rows = tuple((r.partition, r.root, r.size, r.start, r.stop) for r in requests)
    return encode((*common, rows))


def requested(data: bytes, most: int) -> list[Opening]:
    """Return the requests that `questions` encoded.

    Parameters
    ----------
    data : bytes
    most : int
        How many of the first ones are looked at.

    Returns
    -------
    list of Opening

    Raises
    ------
    DecodingError
        If the bytes are no such encoding.
    """
    parts = decode_plain(data)
    rows = parts[-1] if isinstance(parts, tuple) and len(parts) == len(_COMMON) + 1 else None
    if not isinstance(rows, tuple):
        raise DecodingError("expected what all requests share, and the requests")
    common = dict(zip(_COMMON, parts, strict=False))
    return [_request(common, row) for row in rows[:most]]


def _request(common: dict[str, Any], row: Any) -> Opening:
    if not isinstance(row, tuple) or len(row) != len(_OWN):
        raise DecodingError(f"expected {', '.join(_OWN)} of a request")
    request = Opening(**common, **dict(zip(_OWN, row, strict=True)), leaves=(), proof=())
    request.check()
    return request


def answers(openings: Iterable[Opening | None], identity: Identity) -> bytes:
    """Encode and sign the openings that were asked for, in order; None: not here.

    Parameters
    ----------
    openings : iterable of Opening or None
        The openings.
    identity : Identity
        Whose key signs.

    Returns
    -------
    bytes
    """
    opened = list(openings)
    rows = tuple(() if o is None else (o.leaves, o.proof) for o in opened)
    said = tuple(_digest(o.statement()) for o in opened if o is not None)
    return encode((rows, identity.sign(CONTEXT, encode(said))))


@dataclass(frozen=True)
class Reply:
    """What a domain answered to the first of some requests.

    Parameters
    ----------
    openings : tuple of Opening or None
        As asked for, with leaves and proof as they came; None where nothing was served.
    signature : bytes
    """

    openings: tuple[Opening | None, ...]
    signature: bytes

    @classmethod
    def from_bytes(cls, wire: bytes, requests: Sequence[Opening]) -> Reply:
        """Decode an answer; nothing is checked but its form.

        Parameters
        ----------
        wire : bytes
            What was sent.
        requests : sequence of Opening
            What was asked for.

        Returns
        -------
        Reply

        Raises
        ------
        DecodingError
            If the bytes are no answer to so many requests.
        """
        parts = decode_plain(wire)
        if not (isinstance(parts, tuple) and len(parts) == 2 and isinstance(parts[0], tuple)):
            raise DecodingError("expected openings and a signature")
        rows, signature = parts
        if len(rows) > len(requests) or not _octets((signature,)) or len(signature) != _SIGNATURE:
            raise DecodingError("expected no more openings than were asked for, and a signature")
        return cls(tuple(map(_opened, requests, rows)), signature)

    @cached_property
    def believed(self) -> tuple[Opening | None, ...]:
        """The openings whose leaves belong to the root that was asked for; None for the others."""
        return tuple(map(_proven, self.openings))

    @property
    def moved(self) -> int:
        """Bytes of the believed leaves: nothing else counts as progress."""
        return sum(sum(map(len, o.leaves)) for o in self.believed if o is not None)

    @property
    def wrong(self) -> int | None:
        """Position of the first opening that was served and is not believed."""
        pairs = enumerate(zip(self.openings, self.believed, strict=True))
        return next((i for i, (served, good) in pairs if served is not good), None)

    def evidence(self, index: int) -> bytes:
        """Return what proves an opening bad: the signed statement, without the data.

        The signature is on all openings or on none: evidence against one of them is enough.

        Parameters
        ----------
        index : int
            Number of the opening.

        Returns
        -------
        bytes
        """
        accused = self.openings[index]
        assert accused is not None, "only what was served can be wrong"
        said = tuple(_digest(o.statement()) for o in self.openings if o is not None)
        return encode((accused.statement(), said, self.signature))


def _proven(opening: Opening | None) -> Opening | None:
    try:
        return opening and opening.proven()
    except ProofError:
        return None


def _opened(request: Opening, row: Any) -> Opening | None:
    if isinstance(row, tuple) and not row:
        return None
    if not (isinstance(row, tuple) and len(row) == 2 and all(map(_octets, row))):
        raise DecodingError("expected leaves and proof of an opening, as bytes")
    return replace(request, leaves=row[0], proof=row[1])


def _octets(values: Any) -> bool:
    return isinstance(values, tuple) and all(type(value) is bytes for value in values)


def _digest(statement: bytes) -> bytes:
    return digest("opening", statement)


# --- evidence -------------------------------------------------------------------------------


def accused(evidence: bytes) -> Opening:
    """Return the opening, with hashes for leaves, that evidence is about; nothing is checked.

    Parameters
    ----------
    evidence : bytes
        The signed statement.

    Returns
    -------
    Opening

    Raises
    ------
    DecodingError
        If it is no evidence.
    """
    return _parts(evidence)[0]


def _parts(evidence: bytes) -> tuple[Opening, bytes, tuple[bytes, ...], bytes]:
    parts = decode_plain(evidence)
    if not (isinstance(parts, tuple) and len(parts) == 3 and _octets(parts[1])):
        raise DecodingError("expected a statement, digests and their signature")
    statement, said, signature = parts
    if not _octets((statement, signature)):
        raise DecodingError("expected statement and signature as bytes")
    return Opening.from_bytes(statement), statement, said, signature


def convicts(evidence: bytes, request: Opening, domain: Domain) -> bool:
    """Whether a signed statement proves that a domain served what it had not committed to.

    Parameters
    ----------
    evidence : bytes
        What `Reply.evidence` returned, from anybody.
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
        opening, statement, said, signature = _parts(evidence)
        domain.verify(CONTEXT, encode(said), signature)
    except (DecodingError, SignatureError):
        return False
    if _digest(statement) not in said:
        return False
    if any(getattr(opening, n) != getattr(request, n) for n in (*_COMMON, *_OWN)):
        return False
    ends = opening.start, opening.stop, opening.size
    try:
        verify_range(BLAKE3, *ends, opening.leaves, opening.proof, opening.root)
    except ProofError:
        return True
    return False
