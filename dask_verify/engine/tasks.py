"""What runs inside a worker: a function for each stage and each audit. All return bytes.

* An exception of a user function travels as text: the coordinator unpickles nothing.
* An auditor is told what to compute from, and never what is expected to come out.
"""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from typing import Any

from dask_verify.core.canonical import decode_plain, encode
from dask_verify.core.merkle import BLAKE3, MerkleTree
from dask_verify.core.record import Record
from dask_verify.core.seal import (
    ANSWER_CONTEXT,
    OUTPUT,
    Answer,
    Commitment,
    Opening,
    SealedPartition,
    asked,
    digest,
    map_question,
    reduce_question,
)
from dask_verify.engine.asking import ask
from dask_verify.engine.store import Address
from dask_verify.engine.worker import UnkeptError, VerifyWorker, this_side
from dask_verify.errors import InputError, ProofError
from dask_verify.execution.compute import (
    Sections,
    map_partition,
    map_unit,
    read_partition,
    reduce_in_turn,
    reduce_unit,
)
from dask_verify.execution.work import Work, unship
from dask_verify.protocol.messages import MAP, READ, REDUCE
from dask_verify.protocol.serving import Reply

COMMITTED, FAILED, MISSING, AUDITED = "committed", "failed", "missing", "audited"
UNKEPT = "unkept"
_TEXT = 20_000  #: characters of a traceback that are sent
_EVIDENCE = 8  #: wrong openings that a task reports
Answered = tuple[Any, ...]  #: what is encoded as the answer, with the CPU time that it took
Sealed = tuple[SealedPartition, Sequence[bytes]]  #: with evidence of wrong openings met on the way


@dataclass(frozen=True)
class Order(Record):
    """What a worker is told about one task.

    Parameters
    ----------
    job, inputs, functions : bytes
        Job id; digest of the assigned inputs; digest of the shipped functions.
    domain : str
        Who is meant to execute it.
    partition : int
    table : bytes
        Digest of the table of accepted maps (reduce only).
    audit : bool
        Whether the partition is produced to check what another domain committed to.
    round : int
        Of two for other inputs, the one with the larger number was started later.
    """

    job: bytes
    inputs: bytes
    functions: bytes
    domain: str
    partition: int
    table: bytes = b""
    audit: bool = False
    round: int = 0

    @classmethod
    def _types(cls) -> dict[str, type]:
        octets = dict.fromkeys(("job", "inputs", "functions", "table"), bytes)
        return octets | {"domain": str, "partition": int, "audit": bool, "round": int}


def run_map(order_bytes: bytes, functions: bytes, data: Any) -> bytes:
    """Map one partition, keep it sealed, return the signed commitment.

    Parameters
    ----------
    order_bytes : bytes
        The order, as the driver encoded it.
    functions : bytes
        The shipped work.
    data : object
        The input partition.

    Returns
    -------
    bytes
    """

    def seal(side: VerifyWorker, order: Order, work: Work) -> Sealed:
        return map_partition(work, order.partition, data, _hooks(side, order)), ()

    return _executed(MAP, order_bytes, functions, partial(_committed, MAP, seal))


def run_reduce(order_bytes: bytes, functions: bytes, table: bytes, relayed: bytes) -> bytes:
    """Collect the sections of one reduce partition, check them, reduce, keep, commit.

    Parameters
    ----------
    order_bytes : bytes
        The order, as the driver encoded it.
    functions : bytes
        The shipped work.
    table : bytes
        The map commitments, and who holds them.
    relayed : bytes
        Openings that the coordinator passes on; empty where workers read for themselves.

    Returns
    -------
    bytes
    """

    def seal(side: VerifyWorker, order: Order, work: Work) -> Sealed:
        _expect("table of accepted maps", digest("table", table), order.table)
        collector = _Collector(side, order, work, table, decode_plain(relayed))
        sealed = reduce_in_turn(work, order.partition, collector.turns(), _hooks(side, order))
        return sealed, collector.evidence

    return _executed(REDUCE, order_bytes, functions, partial(_committed, REDUCE, seal))


def run_read(order_bytes: bytes, functions: bytes, data: Any) -> bytes:
    """Cut a partition that was read again into units; return the signed root over their inputs.

    Parameters
    ----------
    order_bytes : bytes
        The order, as the driver encoded it.
    functions : bytes
        The shipped work.
    data : object
        The input partition.

    Returns
    -------
    bytes
    """

    def answer(side: VerifyWorker, order: Order, work: Work) -> Answered:
        inputs, records = read_partition(work, data)
        root = MerkleTree(inputs, BLAKE3).root
        return _audited(side, order, READ, hashes=(root,), counts=(records, len(inputs)))

    return _executed(READ, order_bytes, functions, answer)


def run_audit(stage: str, order_bytes: bytes, functions: bytes, asked_bytes: bytes) -> bytes:
    """Compute some units of a partition again; return their signed leaf hashes.

    ``asked_bytes`` encodes pairs of a unit and what it is computed from: the canonical input of a
    map unit, or the cells of a bucket.

    Parameters
    ----------
    stage : str
        Name of the stage.
    order_bytes : bytes
        The order, as the driver encoded it.
    functions : bytes
        The shipped work.
    asked_bytes : bytes
        The question, as the coordinator encoded it.

    Returns
    -------
    bytes
    """

    def answer(side: VerifyWorker, order: Order, work: Work) -> Answered:
        units, payloads = zip(*decode_plain(asked_bytes), strict=True)
        columns = [_unit(work, stage, order, *pair) for pair in zip(units, payloads, strict=True)]
        question = map_question if stage == MAP else reduce_question
        return _audited(
            side,
            order,
            stage,
            units=units,
            questions=tuple(map(question, payloads)),
            hashes=tuple(BLAKE3.leaf(leaf) for column in columns for leaf in column),
        )

    return _executed(stage, order_bytes, functions, answer)


def _unit(work: Work, stage: str, order: Order, unit: int, payload: Any) -> tuple[bytes, ...]:
    if stage == MAP:
        return map_unit(work, order.partition, unit, payload)
    return (reduce_unit(work, order.partition, unit, payload),)


def _hooks(side: VerifyWorker, order: Order) -> Any:
    """Return who may interfere with the records; in an audit nobody, see `Saboteur.audit`."""
    return None if order.audit else side.saboteur


def _executed(
    stage: str,
    order_bytes: bytes,
    functions: bytes,
    execute: Callable[[VerifyWorker, Order, Work], Answered],
) -> bytes:
    began = time.thread_time_ns()
    try:
        side, order = this_side(), Order.from_bytes(order_bytes)
        _expect("domain", side.domain, order.domain)
        _expect("functions", digest("functions", functions), order.functions)
        side.delay(order.job, stage, order.partition)
        return encode((*execute(side, order, unship(functions)), time.thread_time_ns() - began))
    except SectionsMissingError as missing:
        return encode((MISSING, tuple(missing.partitions), tuple(missing.evidence[:_EVIDENCE])))
    except UnkeptError as error:
        return encode((UNKEPT, str(error)))
    except Exception:
        # Whatever the user's function raised becomes text: it must not be unpickled anywhere.
        text = traceback.format_exc()[-_TEXT:]
        return encode((FAILED, text.encode(errors="replace").decode()))


def _committed(
    stage: str,
    seal: Callable[[VerifyWorker, Order, Work], Sealed],
    side: VerifyWorker,
    order: Order,
    work: Work,
) -> Answered:
    """Seal a partition, keep it, and return the signed commitment to it."""
    sealed, evidence = seal(side, order, work)
    commitment = sealed.commit(order.job, stage, order.partition, side.domain, order.inputs)
    if order.audit:
        commitment = _rehearsed(side, sealed, commitment)
    signed = side.keep(sealed, commitment, order.audit, order.round)
    return COMMITTED, side.address, signed, tuple(evidence[:_EVIDENCE])


def _rehearsed(side: VerifyWorker, sealed: SealedPartition, commitment: Commitment) -> Commitment:
    """Return the commitment to the hashes that a saboteur signs in an audit."""
    hashes = tuple(sealed.output_tree.leaf_hashes)
    said = side.rehearsed(hashes)
    if said == hashes:
        return commitment
    return replace(commitment, root=MerkleTree.from_leaf_hashes(said, BLAKE3).root)


def _audited(
    side: VerifyWorker,
    order: Order,
    stage: str,
    *,
    units: tuple[int, ...] = (),
    questions: tuple[bytes, ...] = (),
    hashes: tuple[bytes, ...] = (),
    counts: tuple[int, ...] = (),
) -> Answered:
    """Sign an auditor's answer."""
    answer = Answer(
        job=order.job,
        stage=stage,
        partition=order.partition,
        domain=side.domain,
        inputs=order.inputs,
        units=units,
        questions=questions,
        hashes=side.rehearsed(hashes),
        counts=counts,
    )
    signature = side.identity.sign(ANSWER_CONTEXT, answer.statement())
    return AUDITED, encode((answer.to_bytes(), signature))


def _expect(what: str, got: object, want: object) -> None:
    if got != want:
        raise InputError(f"{what}: expected {want!r:.80}, got {got!r:.80}")


class SectionsMissingError(Exception):
    """Sections that no holder served as committed.

    Parameters
    ----------
    partitions : sequence of int
        Numbers of the map partitions.
    evidence : sequence of bytes
        Signed statements about wrong openings.
    """

    def __init__(self, partitions: Iterable[int], evidence: Iterable[bytes]) -> None:
        self.partitions = list(partitions)
        self.evidence = list(evidence)
        super().__init__(f"no sections of map partitions {self.partitions}")


@lru_cache(maxsize=4)
def _table(data: bytes) -> tuple[bool, float, list[Commitment], list[Any]]:
    """Decode the table of accepted maps, once for all reduce partitions of a worker."""
    trusted, seconds, rows = decode_plain(data)
    accepted = [Commitment.from_bytes(commitment) for commitment, _ in rows]
    return trusted, seconds, accepted, [holders for _, holders in rows]


class _Collector:
    """Collects the sections of one reduce partition, from near to far, checking each.

    ``table`` says whether committed counts may be trusted and how many seconds each holder has, and
    has, for each map partition, the accepted commitment and its holders as ``((domain, address),
    ...)``; ``relayed`` has openings that the coordinator passed on.
    """

    def __init__(
        self, side: VerifyWorker, order: Order, work: Work, table: bytes, relayed: Any
    ) -> None:
        self._side = side
        self._trusted, self._seconds, self._accepted, self._holders = _table(table)
        self._partition = order.partition
        self._work = work
        self._buckets = range(work.run)  #: those that are collected now
        self._relayed = [Opening.from_bytes(data) for data in relayed]
        self._sections: dict[int, Sequence[bytes]] = {}
        self._unheard: set[str] = set()  #: addresses that were asked and served nothing
        self.evidence: list[bytes] = []

    def turns(self) -> Iterator[tuple[range, Sections]]:
        """Yield buckets, as many at a time as fit into memory, with their verified leaves."""
        self._take(iter(self._relayed))
        relayed, self._relayed = self._sections, []
        for buckets in self._cut():
            self._buckets = buckets
            self._sections = {i: self._part(i, leaves) for i, leaves in relayed.items()}
            yield buckets, self._collected()

    def request(self, i: int, domain: str) -> Opening:
        """Return the request for what is read now of one section."""
        accepted = self._accepted[i]
        start, _ = self._work.bounds(accepted.units)[self._partition]
        first, last = (
            start + b * accepted.units for b in (self._buckets[0], self._buckets[-1] + 1)
        )
        return asked(accepted, OUTPUT, first, last, domain)

    def _cut(self) -> Iterator[range]:
        """Cut the buckets into runs of about as many bytes as may be in memory, at least one."""
        run = self._work.run
        read = sum(c.nbytes * c.counts[self._partition] // (c.records_out or 1)
                   for c in self._accepted)  # fmt: skip
        step = max(1, min(run, run * self._side.memory // max(1, read)))
        return (range(run)[start : start + step] for start in range(0, run, step))

    def _part(self, i: int, leaves: Sequence[bytes]) -> Sequence[bytes]:
        units = self._accepted[i].units
        return leaves[self._buckets[0] * units : (self._buckets[-1] + 1) * units]

    def _collected(self) -> Sections:
        # Where one domain alone counted, a false zero would hide the records from the reducer.
        counts = [commitment.counts[self._partition] for commitment in self._accepted]
        wanted = [i for i, records in enumerate(counts) if records or not self._trusted]
        self._take(self._local(i) for i in wanted if i not in self._sections)
        for rank in range(max(map(len, self._holders), default=0)):
            self._fetch([i for i in wanted if i not in self._sections], rank)
        missing = [i for i in wanted if i not in self._sections]
        if missing:
            raise SectionsMissingError(missing, self.evidence)
        return [self._sections.get(i, ()) for i in range(len(self._accepted))]

    def _take(self, openings: Iterable[Opening | None]) -> None:
        for opening in openings:
            if opening is not None:
                self._accept(opening)

    def _accept(self, opening: Opening) -> bool:
        try:
            opening.verify(self.request(opening.partition, opening.domain))
        except (ProofError, IndexError):
            return False
        self._sections[opening.partition] = opening.leaves
        return True

    def _local(self, i: int) -> Opening | None:
        at = Address(self._accepted[i].job, MAP, i)
        try:
            return self._side.store[at].open(self.request(i, self._side.domain))
        except (KeyError, ProofError):
            return None  # of another shape, or gone: this copy is not the one that was accepted

    def _fetch(self, wanted: Sequence[int], rank: int) -> None:
        """Ask each partition's holder of a rank; own domain first, then as the table says."""
        by_holder: dict[tuple[str, str], list[int]] = {}
        for i in wanted:
            near = sorted(self._holders[i], key=lambda h: h[0] != self._side.domain)
            if rank < len(near) and near[rank][1] not in self._unheard:
                by_holder.setdefault(tuple(near[rank]), []).append(i)
        requests = {h: [self.request(i, h[0]) for i in by_holder[h]] for h in by_holder}
        heard = ask(requests, self._seconds, self._side.grudges) if requests else {}
        for (_, address), replies in heard.items():
            if not any(opening is not None for reply in replies for opening in reply.believed):
                # Asking it once is enough: there may be many more buckets to ask for.
                self._unheard.add(address)
            for reply in replies:
                self._check(reply)

    def _check(self, reply: Reply) -> None:
        for opening in reply.believed:
            if opening is not None:
                self._sections[opening.partition] = opening.leaves
        if reply.wrong is not None and len(self.evidence) < _EVIDENCE:
            self.evidence.append(reply.evidence(reply.wrong))
