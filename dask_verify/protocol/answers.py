"""Answers of auditors: whose they are, what they answer, and what they have against a commitment.

* An answer counts for a domain only with its signature, and only for the question it was asked.
* What is expected comes from the holder's proven columns; no answer is compared with less.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from dask_verify.core.seal import (
    ANSWER_CONTEXT,
    Answer,
    Commitment,
    answer_digest,
    answer_statement,
)
from dask_verify.errors import DecodingError, SignatureError
from dask_verify.protocol.domain import COORDINATOR, Domain
from dask_verify.protocol.messages import READ, Audited, Challenge, Objection
from dask_verify.protocol.serving import unwrap


def admit(event: Audited, job: bytes, domains: Mapping[str, Domain]) -> Answer:
    """Return a signed answer to a challenge, checking bytes before parsing them.

    Parameters
    ----------
    event : Audited
    job : bytes
    domains : mapping of str to Domain

    Returns
    -------
    Answer

    Raises
    ------
    DecodingError
        If the bytes are no signed answer.
    SignatureError
        If the signature is not the auditor's, or it answered something else than it was asked.
    """
    challenge, payload = event.challenge, event.wire
    if challenge.domain != COORDINATOR:
        payload, signature = unwrap(event.wire)
        said = (challenge.inputs, challenge.units, answer_digest(payload))
        statement = answer_statement(job, challenge.stage, challenge.task.partition, *said)
        domains[challenge.domain].verify(ANSWER_CONTEXT, statement, signature)
    answer = Answer.from_bytes(payload)
    reading = challenge.kind == READ
    hashes, counts = (1, 2) if reading else (len(event.expected), 0)
    fits = (len(answer.hashes), len(answer.counts)) == (hashes, counts)
    if answer != _wanted(answer, challenge, job, event.questions) or not fits:
        raise SignatureError(
            f"audit of {challenge.task.stage} partition {challenge.task.partition}: expected an"
            f" answer of {challenge.domain} to what it was asked, got one to something else"
        )
    return answer


def signed_parts(wire: bytes) -> tuple[Answer, bytes, bytes]:
    """Return an admitted answer with its payload and signature; the coordinator's has none.

    Parameters
    ----------
    wire : bytes
        As `admit` has admitted it.

    Returns
    -------
    tuple of (Answer, bytes, bytes)
    """
    try:
        payload, signature = unwrap(wire)
    except DecodingError:
        payload, signature = wire, b""
    return Answer.from_bytes(payload), payload, signature


def _wanted(
    answer: Answer, challenge: Challenge, job: bytes, questions: tuple[bytes, ...]
) -> Answer:
    """Return what an answer has to be, whatever it says."""
    return replace(
        answer,
        job=job,
        stage=READ if challenge.kind == READ else challenge.task.stage,
        partition=challenge.task.partition,
        domain=challenge.domain,
        inputs=challenge.inputs,
        units=challenge.units,
        questions=questions,
    )


def objection(event: Audited, answer: Answer, commitment: Commitment) -> Objection | None:
    """Return what an admitted answer has against a commitment; None if they agree.

    Parameters
    ----------
    event : Audited
        The answer, as it arrived.
    answer : Answer
        What it says.
    commitment : Commitment
        The commitment.

    Returns
    -------
    Objection or None
    """
    digest = event.challenge.digest
    if event.challenge.kind == READ:
        read = ((commitment.input_root,), (commitment.records_in, commitment.units))
        return None if (answer.hashes, answer.counts) == read else Objection(answer, digest, None)
    at = first_difference(answer.hashes, event.expected)
    if at is None:
        return None
    width = len(event.expected) // len(answer.units)
    return Objection(answer, digest, answer.units[at // width])


def first_difference(one: Sequence[bytes], other: Sequence[bytes]) -> int | None:
    """Return where two sequences of equal length differ first; None if they are equal.

    Parameters
    ----------
    one, other : sequence of bytes
        The sequences.

    Returns
    -------
    int or None

    Examples
    --------
    >>> first_difference([b"a", b"b"], [b"a", b"c"])
    1
    """
    pairs = enumerate(zip(one, other, strict=True))
    return next((at for at, (x, y) in pairs if x != y), None)
