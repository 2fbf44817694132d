"""in-toto Statements v1: subjects, and what is said of them.

The format is that of https://github.com/in-toto/attestation, ``spec/v1/statement.md``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dask_verify.errors import EvidenceError
from dask_verify.evidence.fields import Fields, parse

TYPE = "https://in-toto.io/Statement/v1"


@dataclass(frozen=True)
class Subject:
    """What a statement is about.

    Parameters
    ----------
    name : str
    algorithm : str
        ``"blake3MerkleV1"`` for a Merkle root, ``"sha256"`` for the bytes of a file.
    digest : bytes
        32 bytes.

    Examples
    --------
    >>> Subject("means.parquet", "sha256", bytes(32)).algorithm
    'sha256'
    """

    name: str
    algorithm: str
    digest: bytes


def write_statement(
    predicate_type: str, subjects: Sequence[Subject], predicate: Mapping[str, Any]
) -> bytes:
    """Return a statement as bytes.

    Parameters
    ----------
    predicate_type : str
        URI of what kind of statement it is.
    subjects : sequence of Subject
    predicate : mapping
        JSON values.

    Returns
    -------
    bytes

    Examples
    --------
    >>> data = write_statement("urn:x", [Subject("a", "sha256", bytes(32))], {"n": 1})
    >>> subjects, predicate = read_statement(data, "urn:x")
    >>> subjects[0].name, predicate.number("n")
    ('a', 1)
    """
    statement = {
        "_type": TYPE,
        "subject": [{"name": s.name, "digest": {s.algorithm: s.digest.hex()}} for s in subjects],
        "predicateType": predicate_type,
        "predicate": predicate,
    }
    text = json.dumps(statement, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return text.encode()


def read_statement(
    payload: bytes, predicate_type: str, algorithms: Sequence[str] = ("blake3MerkleV1", "sha256")
) -> tuple[tuple[Subject, ...], Fields]:
    """Return the subjects of a statement, and its predicate to be read.

    Parameters
    ----------
    payload : bytes
        Bytes of the statement.
    predicate_type : str
        The type that its predicate must have.
    algorithms : sequence of str, optional
        Names of digests that a subject may have.

    Returns
    -------
    tuple of (tuple of Subject, Fields)

    Raises
    ------
    EvidenceError
        If it is no statement of this kind.

    Examples
    --------
    >>> data = write_statement("urn:x", [Subject("a", "sha256", bytes(32))], {"n": 1})
    >>> read_statement(data, "urn:y")
    Traceback (most recent call last):
        ...
    dask_verify.errors.EvidenceError: statement.predicateType: expected one of ('urn:y',), got urn:x
    """
    fields = parse(payload, "statement")
    fields.choice("_type", (TYPE,))
    fields.choice("predicateType", (predicate_type,))
    subjects = tuple(_subject(one, tuple(algorithms)) for one in fields.objects("subject"))
    predicate = fields.object("predicate")
    fields.end()
    return subjects, predicate


def _subject(fields: Fields, algorithms: tuple[str, ...]) -> Subject:
    name, digests = fields.text("name"), fields.object("digest")
    fields.end()
    algorithm = next((a for a in algorithms if digests.has(a)), None)
    if algorithm is None:
        raise EvidenceError(digests.path, f"a digest that is one of {algorithms}", "none")
    subject = Subject(name, algorithm, digests.digest(algorithm))
    digests.end()
    return subject
