"""What the coordinator computes itself: arbitrations, and partitions that it stands in for."""

from __future__ import annotations

import logging
import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from dask_verify.core.merkle import BLAKE3
from dask_verify.core.seal import Commitment, SealedPartition
from dask_verify.engine.bounded import within
from dask_verify.engine.exhibits import keep
from dask_verify.engine.graphs import Upstream, changed
from dask_verify.engine.reader import Reader, UnservedError
from dask_verify.engine.referee import Failure, Referee, Request, opened
from dask_verify.engine.store import Address
from dask_verify.engine.transcript import Made, Transcript
from dask_verify.errors import DecodingError
from dask_verify.evidence.exhibits.parts import Given, Source
from dask_verify.execution.work import Shipped, Work
from dask_verify.protocol.board import Plan
from dask_verify.protocol.dispute import (
    AskLeaves,
    AskNodes,
    Outcome,
    Query,
    Recompute,
    Recomputed,
    arbitrate,
)
from dask_verify.protocol.domain import COORDINATOR
from dask_verify.protocol.job import JobState
from dask_verify.protocol.messages import (
    MAP,
    REDUCE,
    Arbitrate,
    Event,
    Failed,
    Finding,
    Late,
    StandIn,
    StoodIn,
    Task,
)
from dask_verify.protocol.quorum import Claim
from dask_verify.protocol.serving import accused
from dask_verify.protocol.weighing import weigh

_log = logging.getLogger("distributed.dask_verify")

_RUNS = 2  #: fresh processes that a referee compares


@dataclass
class Arbiter:
    """Answers the questions of an arbitration, and executes tasks in the coordinator's name.

    Everything here blocks; it runs beside the driver's thread and posts events. What exhibits will
    show is kept in ``folder``, if there is one.

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
    ranges : callable
        What a reduce partition reads, by its number and the digest of its inputs.
    post : callable
        Takes what is found.
    folder : Path or None, optional
        Where exhibits are kept.
    referee : Referee, optional
        Computes in fresh processes.
    recomputed : list of tuple of (Task, int or None), optional
        The tasks and units that were computed here so far.
    """

    plan: Plan
    work: Work
    shipped: Shipped
    source: Upstream
    state: JobState
    reader: Reader
    ranges: Callable[[int, bytes], Iterator[tuple[Commitment, int, int]]]
    post: Callable[[Event], None]
    folder: Path | None = None
    referee: Referee = field(default_factory=Referee)
    recomputed: list[tuple[Task, int | None]] = field(default_factory=list)

    def close(self) -> None:
        """Stop what still computes."""
        self.referee.close()

    def stand_in(self, instruction: StandIn) -> None:
        """Execute a task, keep the sealed partition, and claim it.

        Parameters
        ----------
        instruction : StandIn
            The task, and what it is assigned.

        Raises
        ------
        UnservedError
            If a map partition that a reduce task reads is not served now.
        """
        task, inputs = instruction.task, instruction.inputs
        sealed = self.referee.sealed(self._whole(task, inputs))
        if isinstance(sealed, Failure) and sealed.late:
            self.post(Late(task, COORDINATOR, inputs, sealed.text))
            return
        if isinstance(sealed, Failure):
            self.post(Failed(task, COORDINATOR, inputs, sealed.text))
            return
        if self.state.state(task).inputs != inputs:
            return  # it took so long that another was started since, whose place that is
        self.reader.local[Address(self.plan.job, *task)] = sealed
        self.reader.copies[task, COORDINATOR] += 1
        commitment = sealed.commit(self.plan.job, *task, COORDINATOR, inputs)
        self.post(StoodIn(task, inputs, commitment.to_bytes()))

    def settle(self, instruction: Arbitrate) -> None:
        """Arbitrate one divergence and post what was found.

        Parameters
        ----------
        instruction : Arbitrate
            What to settle.

        Raises
        ------
        UnservedError
            If a map partition that a disputed reduce task reads is not served now, or replaced.
        """
        try:
            finding = self._arbitrated(instruction)
        except UnservedError:
            raise
        except Exception:
            # An arbitration that cannot be made decides nothing; the job must not wait for it.
            text = traceback.format_exc()
            task = instruction.task
            finding = Finding(task, instruction.inputs, task.stage, failure=text)
        self.post(replace(finding, number=instruction.number))

    def examine(self, item: tuple[int, bytes]) -> None:
        """Look for the holder that evidence, brought by a reducer, convicts.

        Parameters
        ----------
        item : tuple of (int, bytes)
            Number of the reduce partition, and what its reducer brought.
        """
        partition, evidence = item
        try:
            said = accused(evidence)
        except DecodingError:
            return
        # One look only: made-up evidence must not cost a signature check for every partition, and
        # others may be withdrawn at this moment.
        accepted = self.state.accepted(Task(MAP, said.partition))
        if accepted is not None:
            start, stop = self.work.bounds(accepted.units)[partition]
            # A reducer asks for as many buckets at a time as it has memory for.
            if start <= said.start < said.stop <= stop:
                self.reader.convict(evidence, accepted, said.start, said.stop)

    def _arbitrated(self, instruction: Arbitrate) -> Finding:
        task, state = instruction.task, self.state.state(instruction.task)
        if state.inputs != instruction.inputs:
            raise LookupError("the stage was started again")
        ballot = state.ballot
        one, other = ballot.of(instruction.one), ballot.of(instruction.other)
        vouched, answers = instruction.vouched, instruction.answers
        if one is not None and instruction.objection is not None:
            steps = weigh(task, one, instruction.objection, vouched, answers)
        elif one is not None and other is not None:
            steps = arbitrate(task, one, other, instruction.recompute, vouched, answers)
        else:
            raise LookupError("a claim is gone")
        sources = partial(self._sources, task.partition, instruction.inputs)
        transcript = Transcript(task, self.reader, sources)
        answer: Any = None
        try:
            while True:
                query = steps.send(answer)
                answer = self._answer(query, instruction.inputs, transcript)
                transcript.heard(query, answer)
        except StopIteration as stop:
            finding = self._with_source(stop.value, instruction)
        return replace(finding, material=self._kept(transcript, finding, instruction, one, other))

    def _kept(
        self,
        transcript: Transcript,
        finding: Finding,
        asked: Arbitrate,
        one: Claim,
        other: Claim | None,
    ) -> str:
        """Keep what an exhibit will show; without a name, it will show what was signed alone."""
        if self.folder is None or self.state.arbitrated != asked:
            return ""  # another question came before it: what it finds does not count
        path = self.folder / f"{asked.number}.json"
        claims = [claim for claim in (one, other) if claim is not None]
        try:
            return keep(path, transcript, finding, claims, asked.answers)
        except Exception as error:
            # Holders that serve no more, a full disk, or whatever a liar's answers raise here: the
            # finding stands even so.
            what = (type(error).__name__, str(error))
            _log.warning("No exhibit of %s partition %d: %s: %.300r", *finding.task, *what)
            return ""

    def _with_source(self, finding: Finding, asked: Arbitrate) -> Finding:
        """Say whether a source that changed may explain what nobody recomputes."""
        if asked.recompute:
            return finding
        return replace(finding, source_ok=self._source_ok(asked.task))

    def _answer(self, query: Query, inputs: bytes, transcript: Transcript) -> Any:
        if isinstance(query, AskNodes):
            return self.reader.nodes(query.request, query.level, query.index, query.depth)
        if isinstance(query, AskLeaves):
            return self.reader.open(query.request, "openings")
        self.recomputed.append((query.task, query.unit))
        if query.unit is None:
            return self._recompute_all(query.task, inputs, transcript)
        return self._recompute(query, query.unit, inputs, transcript)

    def _recompute(
        self, query: Recompute, unit: int, inputs: bytes, transcript: Transcript
    ) -> Recomputed:
        task, given = query.task, transcript.given(unit)
        if task.stage == REDUCE:
            given = Given(unit, unit + 1, sources=transcript.sources(unit, unit + 1))
        assert given is not None, "a map unit is recomputed from what was opened"
        payload = given.payload(task.stage, unit)
        request = Request(self.shipped.data, *task, payloads=((unit, payload),))
        runs = self.referee.run(request, _RUNS)
        if isinstance(runs, Failure):
            return Recomputed((), failure=runs.text)
        columns = [column for (column,) in runs]
        hashes = tuple(tuple(map(BLAKE3.leaf, column)) for column in columns)
        transcript.made = Made(given, hashes, columns[0])
        return Recomputed(tuple(columns))

    def _recompute_all(self, task: Task, inputs: bytes, transcript: Transcript) -> Recomputed:
        sources = transcript.sources(0, self.work.run) if task.stage == REDUCE else ()
        request = replace(self._whole(task, inputs, sources), show=True)
        runs = self.referee.run(request, _RUNS)
        if isinstance(runs, Failure):
            return Recomputed((), failure=runs.text)
        sealed, read = zip(*map(opened, runs), strict=True)
        outcomes = [self._outcome(task, one, inputs) for one in sealed]
        units = outcomes[0].commitment.units if task.stage == MAP else self.work.run
        root = outcomes[0].commitment.input_root
        given = Given(0, units, inputs=read[0], root=root, sources=sources)
        hashes = tuple(outcome.leaf_hashes for outcome in outcomes)
        transcript.made = Made(given, hashes, sealed[0].leaves, outcomes[0].commitment)
        return Recomputed(tuple(outcomes), self._source_ok(task))

    def _sources(self, partition: int, inputs: bytes, start: int, stop: int) -> tuple[Source, ...]:
        """Read the cells of some buckets of a reduce partition, with their proofs."""
        first, units = partition * self.work.run, [c for c, _, _ in self.ranges(partition, inputs)]
        ranges = [(c, (first + start) * c.units, (first + stop) * c.units) for c in units]
        openings = self.reader.sections(ranges, "openings")
        return tuple(
            Source(commitment.of(COORDINATOR), opening.leaves, opening.proof)
            for commitment, opening in zip(units, openings, strict=True)
        )

    def _outcome(self, task: Task, sealed: SealedPartition, inputs: bytes) -> Outcome:
        commitment = sealed.commit(self.plan.job, *task, COORDINATOR, inputs)
        input_hashes = sealed.input_tree.leaf_hashes if sealed.inputs else []
        return Outcome(commitment, tuple(input_hashes), tuple(sealed.output_tree.leaf_hashes))

    def _source_ok(self, task: Task) -> bool:
        if task.stage != MAP:
            return True
        try:
            found = within(self.referee.allowed(MAP), lambda: changed(self.source.pins))
        except TimeoutError:
            return False  # what cannot be looked at may have changed
        return self.source.pinned(task.partition) and not found

    def _whole(self, task: Task, inputs: bytes, sources: Sequence[Source] = ()) -> Request:
        if task.stage == MAP:
            graph, key = self.source.partition(task.partition), self.source.keys[task.partition]
            return Request(self.shipped.data, MAP, task.partition, graph=graph, key=key)
        found = sources or self._sources(task.partition, inputs, 0, self.work.run)
        sections = [source.leaves for source in found]
        return Request(self.shipped.data, REDUCE, task.partition, sections=sections)
