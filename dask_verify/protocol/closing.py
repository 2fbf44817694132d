"""Closings: one signature of a domain over all that it committed to and answered in a job.

* A domain signs a closing only over what it finds its own signatures under: it need not remember
  anything, and any of its workers can do it.
* A receipt holds closings instead of single signatures: whoever checks it rebuilds what was signed.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from dask_verify.core.canonical import decode_plain, encode
from dask_verify.core.merkle import BLAKE3, MerkleTree
from dask_verify.core.record import Record
from dask_verify.core.seal import ANSWER_CONTEXT, Commitment, answer_statement
from dask_verify.errors import DecodingError, SignatureError
from dask_verify.protocol.domain import Domain, Identity
from dask_verify.protocol.quorum import CONTEXT as COMMITMENT_CONTEXT
from dask_verify.protocol.serving import unwrap

CONTEXT = "closing"


@dataclass(frozen=True)
class Closing(Record):
    """What a domain signs in the end.

    Parameters
    ----------
    job : bytes
    domain : str
    commitments, answers : int
        How many.
    commitment_root, answer_root : bytes
        Merkle roots over `commitment_leaf` of each commitment, and over the statement of each
        answer, in the order of the receipt.
    """

    job: bytes
    domain: str
    commitments: int
    commitment_root: bytes
    answers: int
    answer_root: bytes

    @classmethod
    def of(
        cls, job: bytes, domain: str, commitments: Sequence[bytes], answers: Sequence[bytes]
    ) -> Closing:
        """Return the closing over some leaves.

        Parameters
        ----------
        job : bytes
        domain : str
        commitments : sequence of bytes
            As `commitment_leaf` returns them.
        answers : sequence of bytes
            As `answer_statement` returns them.

        Returns
        -------
        Closing

        Examples
        --------
        >>> one = Closing.of(b"j", "alice", [commitment_leaf("map", 0, b"i", b"d")], [])
        >>> one.commitments, Closing.from_bytes(one.to_bytes()) == one
        (1, True)
        """
        roots = [MerkleTree(leaves, BLAKE3).root for leaves in (commitments, answers)]
        return cls(job, domain, len(commitments), roots[0], len(answers), roots[1])

    @classmethod
    def _types(cls) -> dict[str, type]:
        return (
            dict.fromkeys(("job", "commitment_root", "answer_root"), bytes)
            | dict.fromkeys(("commitments", "answers"), int)
            | {"domain": str}
        )


@dataclass(frozen=True)
class SignedAnswer:
    """What is known of an answer after the job: what it answered, its digest and signature.

    Parameters
    ----------
    stage : {"read", "map", "reduce"}
    partition : int
    inputs : bytes
    units : tuple of int
    digest : bytes
        As `answer_digest` returns it.
    signature : bytes
    """

    stage: str
    partition: int
    inputs: bytes
    units: tuple[int, ...]
    digest: bytes
    signature: bytes

    def statement(self, job: bytes) -> bytes:
        """Return what is signed.

        Parameters
        ----------
        job : bytes
            The job's id.

        Returns
        -------
        bytes
        """
        what = (self.stage, self.partition, self.inputs, self.units, self.digest)
        return answer_statement(job, *what)


def commitment_leaf(stage: str, partition: int, inputs: bytes, digest: bytes) -> bytes:
    """Return what stands for a commitment in a closing.

    Parameters
    ----------
    stage : str
        Name of the stage.
    partition : int
        Number of the partition.
    inputs : bytes
        Digest of what the task is assigned.
    digest : bytes
        Digest of the commitment.

    Returns
    -------
    bytes
    """
    return encode((stage, partition, inputs, digest))


def leaf_of(commitment: Commitment) -> bytes:
    """Return `commitment_leaf` of a commitment.

    Parameters
    ----------
    commitment : Commitment
        The commitment.

    Returns
    -------
    bytes
    """
    what = (commitment.stage, commitment.partition, commitment.inputs, commitment.digest)
    return commitment_leaf(*what)


# --- asking a domain for it -----------------------------------------------------------------


def request(
    job: bytes, commitments: Iterable[tuple[bytes, bytes]], answers: Iterable[SignedAnswer]
) -> bytes:
    """Encode what a domain is asked to close over.

    Parameters
    ----------
    job : bytes
    commitments : iterable of (bytes, bytes)
        Payload and signature of each.
    answers : iterable of SignedAnswer

    Returns
    -------
    bytes
    """
    rows = tuple((a.stage, a.partition, a.inputs, a.units, a.digest, a.signature) for a in answers)
    return encode((job, tuple(commitments), rows))


def close(wire: bytes, identity: Identity) -> bytes:
    """Sign a closing over what this domain finds its own signatures under.

    Parameters
    ----------
    wire : bytes
        What `request` encoded, from whomever.
    identity : Identity

    Returns
    -------
    bytes
        Payload and signature, encoded.

    Raises
    ------
    DecodingError
        If the bytes are no request.
    SignatureError
        If anything in it is not signed by this domain for this job.
    """
    job, commitments, answers = _requested(wire)
    domain = Domain(identity.name, identity.public_key)
    closing = Closing.of(
        job,
        domain.name,
        [_own_commitment(job, domain, *pair) for pair in commitments],
        [_own_answer(job, domain, answer) for answer in answers],
    )
    payload = closing.to_bytes()
    return encode((payload, identity.sign(CONTEXT, payload)))


def closed(wire: bytes, expected: Closing, domain: Domain) -> bytes:
    """Return the signature of a domain's closing.

    Parameters
    ----------
    wire : bytes
        What arrived.
    expected : Closing
        What it has to be.
    domain : Domain

    Returns
    -------
    bytes

    Raises
    ------
    DecodingError
        If the bytes are no signed closing.
    SignatureError
        If it is another closing, or not signed by the domain.
    """
    payload, signature = unwrap(wire)
    if payload != expected.to_bytes():
        raise SignatureError(f"closing of {domain.name!r}: expected one over what it signed")
    domain.verify(CONTEXT, payload, signature)
    return signature


def _requested(wire: bytes) -> tuple[bytes, tuple[tuple[bytes, bytes], ...], list[SignedAnswer]]:
    parts = decode_plain(wire)
    if not (isinstance(parts, tuple) and len(parts) == 3 and type(parts[0]) is bytes):
        raise DecodingError("expected a job, commitments and answers")
    job, commitments, answers = parts
    if not all(isinstance(rows, tuple) for rows in (commitments, answers)):
        raise DecodingError("expected commitments and answers")
    if not all(_octets(pair, 2) for pair in commitments):
        raise DecodingError("expected payload and signature of each commitment")
    return job, commitments, [_answer(row) for row in answers]


def _octets(values: object, number: int) -> bool:
    good = isinstance(values, tuple) and len(values) == number
    return good and all(type(value) is bytes for value in values)  # type: ignore[attr-defined]


def _answer(row: object) -> SignedAnswer:
    match row:
        case [str(stage), int(partition), bytes(inputs), tuple(units), bytes(said), bytes(sig)]:
            return SignedAnswer(stage, partition, inputs, units, said, sig)
    raise DecodingError("expected what an answer is about, its digest and its signature")


def _own_commitment(job: bytes, domain: Domain, payload: bytes, signature: bytes) -> bytes:
    domain.verify(COMMITMENT_CONTEXT, payload, signature)
    commitment = Commitment.from_bytes(payload)
    if (commitment.job, commitment.domain) != (job, domain.name):
        raise SignatureError("closing: expected commitments of one domain to one job")
    return leaf_of(commitment)


def _own_answer(job: bytes, domain: Domain, answer: SignedAnswer) -> bytes:
    statement = answer.statement(job)
    domain.verify(ANSWER_CONTEXT, statement, answer.signature)
    return statement
