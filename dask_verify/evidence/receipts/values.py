"""What a receipt says: plain values, and what follows from them alone.

`writing` and `reading` turn them into JSON and back, `checking` says whether they hold. The format
is specified in ``docs/receipt-v1.md``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from dask_verify.core.merkle import BLAKE3, MerkleTree
from dask_verify.core.seal import Commitment, compared
from dask_verify.evidence.data import ResultShape
from dask_verify.protocol.closing import Closing, SignedAnswer, commitment_leaf, leaf_of
from dask_verify.protocol.domain import COORDINATOR
from dask_verify.protocol.messages import MAP, REDUCE
from dask_verify.protocol.terms import Terms, map_inputs, reduce_inputs

PREDICATE = "urn:dask-verify:receipt:v1"
"""Type of the predicate of a receipt."""

RESULT_ROOT = "result-root"
"""Name of the subject that is the result itself."""


@dataclass(frozen=True)
class Functions:
    """Names of the functions, as their modules call them: hints for people.

    Parameters
    ----------
    mapper, reducer : str
        ``module:qualname``.
    combiner : str
        The same; empty for none.
    """

    mapper: str
    reducer: str
    combiner: str = ""


@dataclass(frozen=True)
class SourcePin:
    """One file as it was when the job started.

    Parameters
    ----------
    path : str
    identity : tuple of (str, str)
        Named properties.
    """

    path: str
    identity: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Signed:
    """Bytes with the signature of a domain.

    Parameters
    ----------
    domain : str
        Name of the domain.
    payload : bytes
        What is signed.
    signature : bytes
        The signature; empty for the coordinator's own words.
    """

    domain: str
    payload: bytes
    signature: bytes


@dataclass(frozen=True)
class Party:
    """One domain's part.

    Parameters
    ----------
    name : str
    key : bytes
        Public key.
    environment : mapping of str to str
        As it was enrolled.
    standing : {"trusted", "suspected", "exposed"}
    reason : str
        Why it is suspected.
    commitments, nbytes, cpu : int
        How many it signed, their canonical bytes, and the nanoseconds of CPU time that it claims.
    closing : bytes
        Signature of its closing; empty where it gave none.
    singles : tuple of Signed
        Without a closing: every commitment that it signed, in the order of its closing.
    answers : tuple of bytes
        Without a closing: its signatures under its answers, in the order of its closing.
    """

    name: str
    key: bytes
    environment: Mapping[str, str]
    standing: str
    reason: str
    commitments: int
    nbytes: int
    cpu: int
    closing: bytes = b""
    singles: tuple[Signed, ...] = ()
    answers: tuple[bytes, ...] = ()


@dataclass(frozen=True)
class Stage:
    """The accepted partitions of one stage, in order.

    Parameters
    ----------
    name : {"map", "reduce"}
    records_in, records_out : tuple of int
    roots, rests : tuple of bytes
        As `core.seal.Commitment` has them.
    signers : mapping of str to tuple of int
        Domains, and the partitions whose accepted commitment they signed, ascending.
    doubted : tuple of int
        Partitions that a full quorum decided, so that nothing of them is sampled.
    others : tuple of Signed
        Commitments to anything else that were signed for these partitions.
    """

    name: str
    records_in: tuple[int, ...]
    records_out: tuple[int, ...]
    roots: tuple[bytes, ...]
    rests: tuple[bytes, ...]
    signers: Mapping[str, tuple[int, ...]]
    doubted: tuple[int, ...] = ()
    others: tuple[Signed, ...] = ()

    def __len__(self) -> int:
        return len(self.roots)


@dataclass(frozen=True)
class AuditRow:
    """One check of a commitment.

    Parameters
    ----------
    stage : {"map", "reduce"}
    partition : int
    kind : {"read", "units", "whole"}
    units : tuple of int
    auditor : str
    outcome : {"agreed", "contradicted", "unopened", "failed", "moot"}
    commitment : bytes
        Digest of the commitment; empty for the accepted one.
    answer : bytes
        Digest of what the auditor signed; empty where it signed a commitment, or nothing.
    """

    stage: str
    partition: int
    kind: str
    units: tuple[int, ...]
    auditor: str
    outcome: str
    commitment: bytes = b""
    answer: bytes = b""


@dataclass(frozen=True)
class Sampled:
    """How the job was sampled.

    Parameters
    ----------
    seed : bytes
        What the challenges were drawn with.
    rate : float
        Chance of each unit.
    basis : int
        Units that the rate was derived from; 0 where the policy names it.
    small : bool
        Whether the reduce stage was audited whole.
    audits : tuple of AuditRow
    """

    seed: bytes
    rate: float
    basis: int
    small: bool
    audits: tuple[AuditRow, ...]


@dataclass(frozen=True)
class DisputedAnswer:
    """What an auditor signed about a disputed partition.

    Parameters
    ----------
    domain, stage : str
    units : tuple of int
    payload, signature : bytes
    """

    domain: str
    stage: str
    units: tuple[int, ...]
    payload: bytes
    signature: bytes


@dataclass(frozen=True)
class Dispute:
    """One divergence: what was signed, who was wrong, and what says so.

    Parameters
    ----------
    stage, cause, settled : str
        As in `protocol.board.Divergence`.
    partition : int
    units : tuple of int
    sides, culprits : tuple of str
    inputs, accepted : bytes
        Digests of the assigned inputs, and of the commitment that was accepted then.
    claims : tuple of Signed
        Commitments; the coordinator's own has no signature.
    answers : tuple of DisputedAnswer
    wrong : tuple of bytes
        Digests of commitments that the referee contradicts.
    liars : tuple of str
        Auditors whose answers the referee contradicts.
    opening : bytes
        A signed wrong opening.
    exhibit : bytes
        SHA-256 of the exhibit's statement; empty where there is none.
    """

    stage: str
    partition: int
    units: tuple[int, ...]
    sides: tuple[str, ...]
    culprits: tuple[str, ...]
    cause: str
    settled: str
    inputs: bytes
    accepted: bytes
    claims: tuple[Signed, ...]
    answers: tuple[DisputedAnswer, ...] = ()
    wrong: tuple[bytes, ...] = ()
    liars: tuple[str, ...] = ()
    opening: bytes = b""
    exhibit: bytes = b""


@dataclass(frozen=True)
class Receipt:
    """What the coordinator signs of a job.

    Parameters
    ----------
    terms : Terms
    functions : Functions
    pins : tuple of SourcePin
    unpinned : int
        Input partitions of which something that they read has no pin.
    verdict, cause : str
    started, finished : str
        UTC, as RFC 3339 writes it.
    environment : mapping of str to str
        The coordinator's own.
    version : str
        Of dask_verify.
    parties : tuple of Party
        In the order of the terms.
    stages : tuple of Stage
        Map and reduce; none where the job has no answer.
    disputes : tuple of Dispute
    sampled : Sampled or None
    result : ResultShape or None
        None where the job has no answer.
    files : tuple of (str, bytes)
        Names and SHA-256 of exported files.
    sorted_by : tuple of str
        Keys that the exported dataframe is sorted by.
    """

    terms: Terms
    functions: Functions
    pins: tuple[SourcePin, ...]
    unpinned: int
    verdict: str
    cause: str
    started: str
    finished: str
    environment: Mapping[str, str]
    version: str
    parties: tuple[Party, ...]
    stages: tuple[Stage, ...] = ()
    disputes: tuple[Dispute, ...] = ()
    sampled: Sampled | None = None
    result: ResultShape | None = None
    files: tuple[tuple[str, bytes], ...] = ()
    sorted_by: tuple[str, ...] = ()

    @cached_property
    def job(self) -> bytes:
        """The job id."""
        return self.terms.job

    def stage(self, name: str) -> Stage:
        """Return one of the stages.

        Parameters
        ----------
        name : str
            Name of the stage.

        Returns
        -------
        Stage
        """
        return next(stage for stage in self.stages if stage.name == name)

    @cached_property
    def digests(self) -> dict[str, tuple[bytes, ...]]:
        """Digests of the accepted commitments, by stage."""
        return {stage.name: self._digests(stage) for stage in self.stages}

    @cached_property
    def reduce_inputs(self) -> bytes:
        """What every reduce task was assigned: all accepted maps."""
        return reduce_inputs(self.job, self.digests[MAP])

    @property
    def result_root(self) -> bytes:
        """Root over the roots of the reduce partitions: it stands for the result."""
        return result_root(self.stage(REDUCE).roots)

    def inputs(self, stage: str, partition: int) -> bytes:
        """Return the digest of what a task was assigned.

        Parameters
        ----------
        stage : str
            Name of the stage.
        partition : int
            Number of the partition.

        Returns
        -------
        bytes
        """
        return map_inputs(self.job, partition) if stage == MAP else self.reduce_inputs

    def inputs_now(self, stage: str, partition: int) -> bytes:
        """Return the same, or nothing where the receipt has no partitions.

        Parameters
        ----------
        stage : str
            Name of the stage.
        partition : int
            Number of the partition.

        Returns
        -------
        bytes
        """
        return self.inputs(stage, partition) if self.stages else b""

    def shape(self, stage: Stage, partition: int) -> tuple[int, int]:
        """Return buckets and units of a partition: they follow from the terms and its records.

        Parameters
        ----------
        stage : Stage
            The stage.
        partition : int
            Number of the partition.

        Returns
        -------
        tuple of (int, int)
        """
        terms = self.terms
        if stage.name == REDUCE:
            return terms.buckets // terms.reduces, 1
        size = terms.unit_records
        return terms.buckets, max(1, -(-stage.records_in[partition] // size)) if size else 1

    def closing(self, party: Party) -> Closing:
        """Return the closing that a domain must have signed.

        Parameters
        ----------
        party : Party
            The domain's part.

        Returns
        -------
        Closing
        """
        answers = [a.statement(self.job) for a in self.answers_of(party.name)]
        return Closing.of(self.job, party.name, self.leaves(party), answers)

    def leaves(self, party: Party) -> list[bytes]:
        """Return what stands for each commitment of a domain in its closing, in order.

        Parameters
        ----------
        party : Party
            The domain's part.

        Returns
        -------
        list of bytes
        """
        leaves = [self._accepted_leaf(s, i) for s in self.stages for i in self._signed(s, party)]
        others = [o for s in self.stages for o in s.others if o.domain == party.name]
        return leaves + [leaf_of(Commitment.from_bytes(other.payload)) for other in others]

    def answers_of(self, domain: str) -> list[SignedAnswer]:
        """Return what a domain answered as an auditor, in order, without signatures.

        Parameters
        ----------
        domain : str
            Name of the domain.

        Returns
        -------
        list of SignedAnswer
        """
        audits = self.sampled.audits if self.sampled is not None else ()
        return [
            SignedAnswer(
                "read" if row.kind == "read" else row.stage,
                row.partition,
                self.inputs(row.stage, row.partition),
                row.units,
                row.answer,
                b"",
            )
            for row in audits
            if row.auditor == domain and row.answer and domain != COORDINATOR
        ]

    def _accepted_leaf(self, stage: Stage, partition: int) -> bytes:
        inputs = self.inputs(stage.name, partition)
        return commitment_leaf(stage.name, partition, inputs, self.digests[stage.name][partition])

    @staticmethod
    def _signed(stage: Stage, party: Party) -> tuple[int, ...]:
        return stage.signers.get(party.name, ())

    def _digests(self, stage: Stage) -> tuple[bytes, ...]:
        rows = zip(stage.records_in, stage.records_out, stage.roots, stage.rests, strict=True)
        return tuple(
            compared(*self.shape(stage, i), into, out, root, rest)
            for i, (into, out, root, rest) in enumerate(rows)
        )


def result_root(roots: tuple[bytes, ...]) -> bytes:
    """Return the root that stands for a result.

    Parameters
    ----------
    roots : tuple of bytes
        Of the reduce partitions, in order.

    Returns
    -------
    bytes
    """
    return MerkleTree(roots, BLAKE3).root
