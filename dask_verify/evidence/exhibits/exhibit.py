"""Exhibits: the smallest re-runnable proof of one divergence, in one file.

What this module guarantees: an exhibit that was read is one whose every statement has been held
against the others, in this order:

1. The coordinator's signature, over the bytes.
2. Types and ranges of all fields; no field too many.
3. Leaves, inputs and cells lead to their roots; the digest of the functions is theirs.
4. The job id is the digest of terms that name the coordinator's key, the domains with theirs, and
   the functions; commitments and answers carry the domains' signatures, and are about this task of
   this job.
5. Those roots are ones that somebody signed.
6. Whoever is blamed is blamed by what is in the exhibit, or it says that this is not so.

An exhibit rests on the coordinator's word for what only a replay can tell: what the unit is when
it is computed honestly. What else it cannot prove, `Exhibit.on_trust` says.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from dask_verify.core.seal import Answer
from dask_verify.errors import EvidenceError
from dask_verify.evidence import envelope, statement
from dask_verify.evidence.exhibits.parts import Given, Leaf, Recomputation
from dask_verify.evidence.exhibits.truth import Truth, contradicts, gainsays, reading_of
from dask_verify.evidence.exhibits.work import Bound, Functions, Shape
from dask_verify.evidence.fields import Fields, base64_text
from dask_verify.protocol.domain import Identity
from dask_verify.protocol.messages import MAP, READ
from dask_verify.protocol.quorum import Claim

PREDICATE = "urn:dask-verify:exhibit:v1"
ROOT = "blake3MerkleV1"
SERVE = "serve"
REFEREE, VOTES, OPENING = "referee", "votes", "opening"
ELSEWHERE = "exposed elsewhere"
SETTLED = (REFEREE, VOTES, ELSEWHERE, OPENING, "counts")
WITHHELD = "withheld: "


@dataclass(frozen=True)
class Exhibit:
    """One divergence, with all that was signed about it and what it takes to recompute it.

    Parameters
    ----------
    stage : {"map", "reduce"}
    partition : int
    units : tuple of int
        The differing unit; empty where none was named.
    cause : {"read", "map", "reduce", "serve"}
    settled : str
        By what, as the report says it.
    culprits : tuple of str
        Who was blamed.
    excused : tuple of str
        Who is contradicted and not blamed: exposed already, or in another environment.
    unshown : tuple of str
        Culprits against whom this exhibit holds nothing that can be checked.
    terms : Bound
        What the job id binds.
    inputs : bytes
        Digest of what the task was assigned.
    shape : Shape
    functions : Functions
    claims : tuple of Claim
        Commitments; the coordinator's own carries no signature but that of the exhibit.
    answers : tuple of (Answer, bytes)
        Auditors' answers, with their signatures.
    leaves : tuple of Leaf
        Of trees that were committed to.
    given : Given or None
        What the unit is computed from.
    referee : Recomputation or None
        What the coordinator computed.
    opening : bytes
        A signed wrong opening, as `protocol.serving.convicts` takes it.

    Examples
    --------
    >>> exhibit = Exhibit.from_bytes(Path("exhibit.json").read_bytes())  # doctest: +SKIP
    >>> exhibit.stage, exhibit.partition, exhibit.culprits  # doctest: +SKIP
    ('map', 4, ('bob',))
    """

    stage: str
    partition: int
    units: tuple[int, ...]
    cause: str
    settled: str
    culprits: tuple[str, ...]
    excused: tuple[str, ...]
    unshown: tuple[str, ...]
    terms: Bound
    inputs: bytes
    shape: Shape
    functions: Functions = field(repr=False)
    claims: tuple[Claim, ...] = field(repr=False)
    answers: tuple[tuple[Answer, bytes], ...] = field(repr=False)
    leaves: tuple[Leaf, ...] = field(repr=False)
    given: Given | None = field(repr=False)
    referee: Recomputation | None = field(repr=False)
    opening: bytes = field(default=b"", repr=False)

    # --- reading and writing -----------------------------------------------------------------

    @classmethod
    def from_bytes(cls, data: bytes, key: bytes | None = None) -> Exhibit:
        """Return an exhibit after checking it, see the module.

        Parameters
        ----------
        data : bytes
            What `to_bytes` returned, from anybody.
        key : bytes, optional
            The coordinator's public key. Without it, the key is the one that the job id names, so
            that nothing is known of whose it is.

        Returns
        -------
        Exhibit

        Raises
        ------
        EvidenceError
            If anything about it does not hold.

        Examples
        --------
        >>> Exhibit.from_bytes(b"{}")
        Traceback (most recent call last):
            ...
        dask_verify.errors.EvidenceError: envelope.payloadType: expected a value, got nothing
        """
        from dask_verify.evidence.exhibits.checks import coordinator_of, read_exhibit

        if key is None:
            key = coordinator_of(statement_of(envelope.unverified(data))[1])
        about, fields = statement_of(envelope.opened(data, key))
        exhibit = read_exhibit(fields)
        if exhibit.terms.coordinator != key:
            raise EvidenceError("terms", "a job of the coordinator who signed", "one of another")
        if about != subjects(exhibit):
            raise EvidenceError("statement.subject", "the roots that were signed", "others")
        return exhibit

    def to_bytes(self, identity: Identity) -> bytes:
        """Return the exhibit in an envelope, signed by the coordinator.

        Parameters
        ----------
        identity : Identity
            Whose key signs.

        Returns
        -------
        bytes

        Examples
        --------
        >>> data = exhibit.to_bytes(coordinator)  # doctest: +SKIP
        >>> Exhibit.from_bytes(data, coordinator.public_key)  # doctest: +SKIP
        """
        return envelope.seal(self.payload(), identity)

    def payload(self) -> bytes:
        """Return the in-toto statement.

        Returns
        -------
        bytes

        Examples
        --------
        >>> about, fields = statement_of(exhibit.payload())  # doctest: +SKIP
        """
        return statement.write_statement(PREDICATE, subjects(self), self._plain())

    @property
    def job(self) -> bytes:
        """The job id."""
        return self.terms.job

    @property
    def domains(self) -> tuple[str, ...]:
        """Who signed something about it, or is blamed for it."""
        names = [*(c.domain for c in self.claims), *(a.domain for a, _ in self.answers)]
        return tuple(dict.fromkeys([*names, *self.culprits]))

    def _plain(self) -> dict[str, Any]:
        parts = {"given": self.given, "referee": self.referee}
        answers = [(a.domain, a.to_bytes(), signature) for a, signature in self.answers]
        claims = [(c.domain, c.commitment.to_bytes(), c.signature) for c in self.claims]
        return {
            "job": self.job.hex(),
            "stage": self.stage,
            "partition": self.partition,
            "units": list(self.units),
            "cause": self.cause,
            "settled": self.settled,
            "culprits": list(self.culprits),
            "excused": list(self.excused),
            "unshown": list(self.unshown),
            "terms": base64_text(self.terms.data),
            "inputs": self.inputs.hex(),
            "work": self.shape.plain(),
            "functions": self.functions.plain(),
            "claims": [_signed(*claim) for claim in claims],
            "answers": [_signed(*answer) for answer in answers],
            "leaves": [leaf.plain() for leaf in self.leaves],
            "opening": base64_text(self.opening),
            **{name: part.plain() for name, part in parts.items() if part is not None},
        }

    # --- what it says ------------------------------------------------------------------------

    @property
    def told(self) -> Truth | None:
        """What the coordinator's recomputation found, by its word; None if it decided nothing."""
        if self.referee is None or not self.referee.stable:
            return None
        whole = self.referee.commitment
        start, stop = (self.given.start, self.given.stop) if self.given else (0, 0)
        reading = reading_of(whole) if whole is not None and self.stage == MAP else None
        found = (self.stage, start, stop, self.referee.hashes(), whole, reading)
        return Truth(*found, source=reading is not None)

    def contradicted(self, truth: Truth) -> frozenset[str]:
        """Return whom a recomputation contradicts: by commitments, and by auditors' answers.

        Parameters
        ----------
        truth : Truth
            What was recomputed.

        Returns
        -------
        frozenset

        Examples
        --------
        >>> exhibit.contradicted(exhibit.told)  # doctest: +SKIP
        frozenset({'bob'})
        """
        given = self.given
        names = {
            claim.domain
            for claim in self.claims
            if contradicts(truth, claim.commitment, self.leaves, given)
        }
        names |= {answer.domain for answer, _ in self.answers if gainsays(truth, answer, given)}
        return frozenset(names)

    def outvoted(self) -> frozenset[str]:
        """Return whom more domains than may be faulty have signed the contrary of.

        Returns
        -------
        frozenset

        Examples
        --------
        >>> exhibit.outvoted()  # doctest: +SKIP
        frozenset()
        """
        said: dict[bytes, set[str]] = {}
        for claim in self.claims:
            if claim.signature:
                said.setdefault(claim.digest, set()).add(claim.domain)
        return frozenset(
            claim.domain
            for claim in self.claims
            for digest, voters in said.items()
            if claim.digest != digest and len(voters - {claim.domain}) > self.terms.faults
        )

    @property
    def on_trust(self) -> tuple[str, ...]:
        """What this exhibit shows only on the coordinator's word."""
        notes = []
        readers = {answer.domain for answer, _ in self.answers if answer.stage == READ}
        if self.cause == READ or not readers.isdisjoint(self.culprits):
            notes.append("what the source holds")
        if self.cause == self.stage == MAP and self.given is not None:
            signed = self._signed_input(self.given)
            if not signed or not signed.issuperset(self.culprits):
                notes.append("what the input of the unit is")
        return tuple(notes)

    def _signed_input(self, given: Given) -> frozenset[str]:
        """Return who signed the input: its root, or as an auditor a statement about it."""
        signed = {
            claim.domain
            for claim in self.claims
            if claim.signature and given.root and claim.commitment.input_root == given.root
        }
        for answer, _ in self.answers:
            asked = zip(answer.units, answer.questions, strict=False)
            if answer.hashes == (given.root,) or any(
                given.start <= unit < given.stop and question == given.question(MAP, unit)
                for unit, question in asked
            ):
                signed.add(answer.domain)
        return frozenset(signed)


def _signed(domain: str, payload: bytes, signature: bytes) -> dict[str, str]:
    return {
        "domain": domain,
        "payload": base64_text(payload),
        "signature": base64_text(signature),
    }


def statement_of(payload: bytes) -> tuple[tuple[statement.Subject, ...], Fields]:
    """Return what a payload is about, and its fields to be read.

    Parameters
    ----------
    payload : bytes
        Bytes of the statement.

    Returns
    -------
    tuple of (tuple of statement.Subject, Fields)

    Examples
    --------
    >>> payload = statement.write_statement(PREDICATE, (), {"stage": "map"})
    >>> about, fields = statement_of(payload)
    >>> about, fields.text("stage")
    ((), 'map')
    """
    return statement.read_statement(payload, PREDICATE, (ROOT,))


def subjects(exhibit: Exhibit) -> tuple[statement.Subject, ...]:
    """Return what an exhibit is about: every root that was committed to, once.

    Parameters
    ----------
    exhibit : Exhibit
        The exhibit.

    Returns
    -------
    tuple of statement.Subject

    Examples
    --------
    >>> [subject.name for subject in subjects(exhibit)]  # doctest: +SKIP
    """
    name = f"{exhibit.stage}/{exhibit.partition}"
    roots = dict.fromkeys(claim.commitment.root for claim in exhibit.claims)
    return tuple(statement.Subject(name, ROOT, root) for root in roots)
