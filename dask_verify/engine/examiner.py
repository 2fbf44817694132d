"""Preparing challenges: what is recomputed and what it is compared with, proven before it counts.

* Nothing that a holder opens is believed unless it belongs to the root that the holder signed.
* Auditors get what they compute from, and never what is expected to come out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from dask_verify.core.canonical import decode_leaf, encode
from dask_verify.core.merkle import BLAKE3, MerkleTree
from dask_verify.core.seal import (
    INPUT,
    Answer,
    Commitment,
    asked,
    asked_columns,
    map_question,
    reduce_question,
)
from dask_verify.engine.graphs import Upstream
from dask_verify.engine.reader import GoneError, Reader
from dask_verify.engine.referee import Failure, Referee, Request
from dask_verify.errors import DecodingError
from dask_verify.execution.work import Shipped, Work
from dask_verify.protocol.board import Plan
from dask_verify.protocol.domain import COORDINATOR
from dask_verify.protocol.job import JobState
from dask_verify.protocol.messages import (
    MAP,
    READ,
    Audited,
    Challenge,
    Event,
    Recount,
    Recounted,
    Unaudited,
)

_AUDITS = "audits"  #: what bytes that audits move are counted as


@dataclass(frozen=True)
class Question:
    """What an auditor is asked, and what the holder's commitment says about it.

    Parameters
    ----------
    payloads : tuple of (int, bytes or tuple of bytes)
        Each challenged unit with its input, or its cells; empty where a partition is to be read.
    expected : tuple of bytes
        Leaf hashes, unit after unit, proven against the holder's root. No auditor sees them.
    digests : tuple of bytes
        Digests of the payloads.
    """

    payloads: tuple[tuple[int, Any], ...] = ()
    expected: tuple[bytes, ...] = ()
    digests: tuple[bytes, ...] = ()

    @property
    def asked(self) -> bytes:
        """What is sent to the auditor."""
        return encode(self.payloads)


@dataclass
class Examiner:
    """Opens what is challenged, audits in the coordinator's name, and counts records.

    Everything here blocks; it runs beside the driver's thread.

    Parameters
    ----------
    plan : Plan
        What the job is.
    work : Work
        The user's functions.
    shipped : Shipped
        The same as bytes.
    source : Upstream
        The graph that produces the input partitions.
    state : JobState
        The job as the protocol knows it.
    reader : Reader
        Reads what domains hold.
    referee : Referee
        Computes in fresh processes.
    ranges : callable
        What a reduce partition reads, by its number and the digest of its inputs.
    """

    plan: Plan
    work: Work
    shipped: Shipped
    source: Upstream
    state: JobState
    reader: Reader
    referee: Referee
    ranges: Callable[[int, bytes], Iterator[tuple[Commitment, int, int]]]

    def question(self, challenge: Challenge) -> Question | None:
        """Return what a challenge asks; None if the holder does not open it.

        Parameters
        ----------
        challenge : Challenge
            The challenge.

        Returns
        -------
        Question or None

        Raises
        ------
        GoneError
            If the challenged commitment does not count any more.
        UnservedError
            If a map partition that a challenged bucket is reduced from is not served now.
        """
        if challenge.kind == READ:
            return Question()
        state = self.state.state(challenge.task)
        claim = state.ballot.of(challenge.digest)
        if claim is None or state.inputs != challenge.inputs:
            raise GoneError(challenge.task)
        units, holder = challenge.units, challenge.holder
        columns = self.reader.columns(asked_columns(claim.commitment, units, holder), _AUDITS)
        if columns is None:
            return None
        mapping = challenge.task.stage == MAP
        payloads: list[Any] | None = (
            self._inputs(claim.commitment, challenge)
            if mapping
            else [self._cells(challenge.task.partition, unit, challenge.inputs) for unit in units]
        )
        if payloads is None:
            return None
        digest: Callable[[Any], bytes] = map_question if mapping else reduce_question
        return Question(
            tuple(zip(units, payloads, strict=True)),
            tuple(leaf for unit in units for leaf in columns.of(unit)),
            tuple(map(digest, payloads)),
        )

    def own(self, challenge: Challenge, question: Question) -> Event:
        """Audit in the coordinator's name: nothing is signed, and nobody else is told.

        Parameters
        ----------
        challenge : Challenge
            The challenge.
        question : Question
            What the challenge asks.

        Returns
        -------
        Event
        """
        runs = self.referee.run(self._request(challenge, question), 1)
        if isinstance(runs, Failure):
            return Unaudited(challenge, runs.text, failed=not runs.late)
        hashes, counts = _found(challenge, runs[0])
        answer = Answer(
            job=self.plan.job,
            stage=challenge.stage,
            partition=challenge.task.partition,
            domain=COORDINATOR,
            inputs=challenge.inputs,
            units=challenge.units,
            questions=question.digests,
            hashes=hashes,
            counts=counts,
        )
        return Audited(challenge, answer.to_bytes(), question.expected, question.digests)

    def recount(self, instruction: Recount) -> Recounted:
        """Count the records of everything that a reduce partition reads.

        Parameters
        ----------
        instruction : Recount
            Which reduce partition.

        Returns
        -------
        Recounted

        Raises
        ------
        UnservedError
            If a map partition is not served now.
        """
        ranges = list(self.ranges(instruction.task.partition, instruction.inputs))
        wrong, consumed = [], 0
        for (commitment, _, _), opening in zip(
            ranges, self.reader.sections(ranges, _AUDITS), strict=True
        ):
            records = _records(opening.leaves)
            consumed += records or 0
            if records != commitment.counts[instruction.task.partition]:
                wrong.append(commitment.partition)
        return Recounted(instruction.task, instruction.inputs, tuple(wrong), consumed)

    def _inputs(self, commitment: Commitment, challenge: Challenge) -> list[bytes] | None:
        requests = [
            asked(commitment, INPUT, unit, unit + 1, challenge.holder) for unit in challenge.units
        ]
        openings = self.reader.openings(requests, _AUDITS)
        return None if openings is None else [opening.leaves[0] for opening in openings]

    def _cells(self, partition: int, unit: int, inputs: bytes) -> tuple[bytes, ...]:
        bucket = partition * self.work.run + unit
        return self.reader.cells(self.ranges(partition, inputs), bucket, _AUDITS)

    def _request(self, challenge: Challenge, question: Question) -> Request:
        functions, task = self.shipped.data, challenge.task
        if challenge.kind == READ:
            graph, key = self.source.partition(task.partition), self.source.keys[task.partition]
            return Request(functions, READ, task.partition, graph=graph, key=key)
        return Request(functions, *task, payloads=question.payloads)


def _found(challenge: Challenge, run: Any) -> tuple[tuple[bytes, ...], tuple[int, ...]]:
    """Return the hashes and counts of an answer, from what a process gave."""
    if challenge.kind == READ:
        inputs, records = run
        return (MerkleTree(inputs, BLAKE3).root,), (records, len(inputs))
    return tuple(BLAKE3.leaf(leaf) for column in run for leaf in column), ()


def _records(leaves: Sequence[bytes]) -> int | None:
    """Return how many records some leaves have; None if they are no leaves at all."""
    try:
        return sum(len(decode_leaf(leaf)) for leaf in leaves)
    except DecodingError:
        return None
