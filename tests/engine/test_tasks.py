"""Tasks check what reached them before they use it, and what audits compute is what is signed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cloudpickle
import pandas as pd
import pytest
from holding import SECTIONS, Holder, lie

from dask_verify.core.canonical import decode, decode_records, encode, encode_records
from dask_verify.core.merkle import BLAKE3, MerkleTree
from dask_verify.core.seal import (
    ANSWER_CONTEXT,
    OUTPUT,
    Answer,
    Commitment,
    Opening,
    SealedPartition,
    digest,
    map_question,
    reduce_question,
)
from dask_verify.core.seal import asked as opening_asked
from dask_verify.engine import tasks
from dask_verify.engine.grudges import Grudges
from dask_verify.engine.store import Address, Store
from dask_verify.engine.tasks import (
    AUDITED,
    COMMITTED,
    FAILED,
    MISSING,
    UNKEPT,
    Order,
    run_audit,
    run_map,
    run_read,
    run_reduce,
)
from dask_verify.engine.worker import VerifyWorker, _Rehearsal
from dask_verify.execution import compute
from dask_verify.execution.work import Work, ship
from dask_verify.protocol.domain import Domain, Identity
from dask_verify.protocol.messages import Task
from dask_verify.protocol.quorum import admit
from dask_verify.protocol.serving import Reply, answers, unwrap
from dask_verify.testing import Echo, ForgeRoot, Frame, ReadOther, Saboteur, Tamper

FUNCTIONS = b"not even a pickle"
TABLE = encode((True, 10.0, ()))
ORDER = Order(b"job", b"inputs", digest("functions", FUNCTIONS), "alice", 0, digest("table", TABLE))


@pytest.fixture
def unshipped(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """Functions that were unpickled; the worker is alice's."""
    seen: list[bytes] = []
    alice = SimpleNamespace(domain="alice", delay=lambda *where: None, saboteur=None)
    monkeypatch.setattr(tasks, "this_side", lambda: alice)
    monkeypatch.setattr(tasks, "unship", lambda data: seen.append(data))
    return seen


def failure(answer: bytes) -> str:
    what, text = decode(answer)
    assert what == FAILED
    return str(text)


def test_other_functions_than_ordered_are_not_unpickled(unshipped: list[bytes]) -> None:
    other = run_map(ORDER.to_bytes(), FUNCTIONS + b"!", [])
    assert "functions: expected" in failure(other)
    assert unshipped == []


def test_an_order_for_another_domain_is_refused(unshipped: list[bytes]) -> None:
    order = replace(ORDER, domain="bob").to_bytes()
    assert "domain: expected 'bob', got 'alice'" in failure(run_map(order, FUNCTIONS, []))
    assert unshipped == []


def test_another_table_than_ordered_is_refused(unshipped: list[bytes]) -> None:
    other: Any = encode((True, 10.0, ((b"commitment", ()),)))
    answer = run_reduce(ORDER.to_bytes(), FUNCTIONS, other, encode(()))
    assert "table of accepted maps: expected" in failure(answer)


# --- audits ---------------------------------------------------------------------------------

ALICE = Identity.generate("alice")
RECORDS = [f"word{i % 7} word{i % 3}" for i in range(10)]
FRAME = pd.DataFrame({"k": [i % 5 for i in range(10)], "x": range(10)})
BAG = Work(
    kind="bag",
    mapper=lambda line: [(word, 1) for word in line.split()],
    reducer=lambda key, values: sum(values),
    combiner=None,
    buckets=6,
    partitions=2,
    unit_records=4,
)
TABULAR = replace(
    BAG,
    kind="frame",
    mapper=lambda d: d,
    reducer=lambda d: d.groupby("k", as_index=False).x.sum(),
    by=("k",),
    map_meta=FRAME.iloc[:0],
    meta=FRAME.iloc[:0],
)
CASES = pytest.mark.parametrize(
    ("work", "data"), [(BAG, RECORDS), (TABULAR, FRAME)], ids=["bag", "frame"]
)
Sabotage = Callable[[Any], VerifyWorker]


@pytest.fixture
def alice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Sabotage:
    """Be a worker of alice's, with the saboteur that one passes."""
    side = VerifyWorker("alice", ALICE.private_bytes(), store_memory=1 << 20)
    threads = SimpleNamespace(nthreads=1)
    worker: Any = SimpleNamespace(
        address="here", local_directory=str(tmp_path), handlers={}, state=threads
    )
    side.setup(worker)
    monkeypatch.setattr(tasks, "this_side", lambda: side)

    def sabotage(saboteur: Any) -> VerifyWorker:
        path = tmp_path / "saboteur"
        path.write_bytes(cloudpickle.dumps(saboteur))
        side._rehearsal = _Rehearsal(str(path))
        return side

    sabotage(None)
    return sabotage


def order(work: Work, partition: int = 3, **changes: Any) -> bytes:
    ordered = Order(b"job", b"inputs", ship(work).digest, "alice", partition)
    return replace(ordered, **changes).to_bytes()


def committed(answer: bytes, task: Task) -> Commitment:
    what, address, (wire,), evidence, _ = decode(answer)
    assert (what, address, evidence) == (COMMITTED, "here", ())
    return admit(wire, task, b"job", b"inputs", Domain("alice", ALICE.public_key)).commitment


def answered(answer: bytes) -> Answer:
    what, wire, _ = decode(answer)
    assert what == AUDITED
    payload, signature = unwrap(wire)
    answer = Answer.from_bytes(payload)
    Domain("alice", ALICE.public_key).verify(ANSWER_CONTEXT, answer.statement(), signature)
    return answer


def audited_units(work: Work, sealed: SealedPartition, units: tuple[int, ...]) -> bytes:
    asked = encode(tuple((unit, sealed.inputs[unit]) for unit in units))
    return run_audit("map", order(work, audit=True), ship(work).data, asked)


@CASES
def test_a_full_disk_is_no_failure_of_the_function(
    alice: Sabotage, work: Work, data: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*what: Any) -> None:
        raise OSError(28, "No space left on device")

    side = alice(None)
    monkeypatch.setattr(side.store._whole, "n", 0)
    monkeypatch.setattr(side.store._whole, "on_evict", [full])
    what, why = decode(run_map(order(work), ship(work).data, data))
    assert (what, why[:33]) == (UNKEPT, "no place for it on its worker's d")
    assert len(side.store) == 0


@CASES
def test_a_partition_read_again_gives_the_committed_input_root(
    alice: Sabotage, work: Work, data: Any
) -> None:
    unmapped = replace(work, mapper=None)
    answer = answered(run_read(order(unmapped, audit=True), ship(unmapped).data, data))
    sealed = compute.map_partition(work, 3, data)
    assert answer == Answer(
        b"job", "read", 3, "alice", b"inputs", (), (), (sealed.input_tree.root,), (10, 3)
    )
    other = answered(run_read(order(unmapped), ship(unmapped).data, data[1:]))
    assert other.hashes != answer.hashes


@CASES
def test_an_empty_partition_read_again_is_one_unit(alice: Sabotage, work: Work, data: Any) -> None:
    answer = answered(run_read(order(work), ship(work).data, data[:0]))
    sealed = compute.map_partition(work, 3, data[:0])
    assert (answer.hashes, answer.counts) == ((sealed.input_tree.root,), (0, 1))


@CASES
def test_map_units_computed_again_give_their_columns(
    alice: Sabotage, work: Work, data: Any
) -> None:
    sealed = compute.map_partition(work, 3, data)
    answer = answered(audited_units(work, sealed, (0, 2)))
    leaves = [*sealed.leaves[0::3], *sealed.leaves[2::3]]
    assert (answer.stage, answer.partition, answer.units) == ("map", 3, (0, 2))
    assert answer.hashes == tuple(map(BLAKE3.leaf, leaves))
    assert answer.questions == tuple(map_question(sealed.inputs[unit]) for unit in (0, 2))
    assert answer.questions == (sealed.input_tree.node(0, 0), sealed.input_tree.node(0, 2))


@CASES
def test_buckets_computed_again_give_their_leaves(alice: Sabotage, work: Work, data: Any) -> None:
    maps = [compute.map_partition(work, i, data[i * 5 : i * 5 + 5]) for i in range(2)]
    sections = [s.leaves[slice(*work.bounds(s.units)[1])] for s in maps]
    sealed = compute.reduce_partition(work, 1, sections)
    cells = {unit: tuple(compute.cells_of(sections, unit, work.run)) for unit in (0, 2)}
    asked = encode(tuple(cells.items()))
    answer = answered(run_audit("reduce", order(work, 1), ship(work).data, asked))
    assert (answer.stage, answer.partition, answer.units) == ("reduce", 1, (0, 2))
    assert answer.hashes == tuple(BLAKE3.leaf(sealed.leaves[unit]) for unit in (0, 2))
    assert answer.questions == tuple(map(reduce_question, cells.values()))


def test_no_hook_but_that_of_audits_touches_one(alice: Sabotage) -> None:
    honest = compute.map_partition(BAG, 3, RECORDS)
    data = ship(BAG).data
    for saboteur in (Tamper(), ReadOther(), ForgeRoot()):
        alice(saboteur)
        whole = committed(run_map(order(BAG, audit=True), data, RECORDS), Task("map", 3))
        assert whole == honest.commit(b"job", "map", 3, "alice", b"inputs")
        lied = committed(run_map(order(BAG), data, RECORDS), Task("map", 3))
        assert lied.digest != whole.digest
        units = answered(audited_units(BAG, honest, (0, 1, 2)))
        assert sorted(units.hashes) == sorted(honest.output_tree.leaf_hashes)
        read = answered(run_read(order(BAG, audit=True), data, RECORDS))
        assert read.hashes == (honest.input_tree.root,)


def test_a_reduce_audit_is_not_touched_either(alice: Sabotage) -> None:
    side = alice(Tamper("reduce"))
    table, sections = kept(side, counts=(7, 7))
    honest = compute.reduce_partition(BAG, 0, sections)
    given = (ship(BAG).data, table, encode(()))
    ordered = {"table": digest("table", table)}
    audit = committed(run_reduce(order(BAG, 0, audit=True, **ordered), *given), Task("reduce", 0))
    assert audit.root == honest.output_tree.root
    lie = committed(run_reduce(order(BAG, 0, **ordered), *given), Task("reduce", 0))
    assert lie.root != audit.root


@pytest.mark.parametrize("saboteur", [Frame(), Echo()], ids=["frame", "echo"])
def test_an_auditor_that_lies_signs_its_lie(alice: Sabotage, saboteur: Saboteur) -> None:
    side = alice(saboteur)
    honest, data = compute.map_partition(BAG, 3, RECORDS), ship(BAG).data
    units = answered(audited_units(BAG, honest, (1,)))
    truth = tuple(map(BLAKE3.leaf, honest.leaves[1::3]))
    assert units.hashes == tuple(saboteur.audit(truth)) != truth
    read = answered(run_read(order(BAG, audit=True), data, RECORDS))
    assert read.hashes == tuple(saboteur.audit((honest.input_tree.root,)))
    whole = committed(run_map(order(BAG, audit=True), data, RECORDS), Task("map", 3))
    said = saboteur.audit(tuple(honest.output_tree.leaf_hashes))
    assert whole.root == MerkleTree.from_leaf_hashes(said).root != honest.output_tree.root
    assert side.store[Address(b"job", "map", 3)] == honest


def test_an_auditor_that_says_nothing_usable_fails(alice: Sabotage) -> None:
    class Shrug(Saboteur):
        def audit(self, answer: Any) -> Any:
            return None

    alice(Shrug())
    sealed = compute.map_partition(BAG, 3, RECORDS)
    assert "Shrug.audit: expected" in failure(audited_units(BAG, sealed, (1,)))
    assert "Shrug.audit: expected" in failure(
        run_map(order(BAG, audit=True), ship(BAG).data, RECORDS)
    )


def test_a_failing_function_is_told_as_text(alice: Sabotage) -> None:
    def broken(line: str) -> list[Any]:
        raise ZeroDivisionError("in an audit")

    work = replace(BAG, mapper=broken)
    sealed = compute.map_partition(BAG, 3, RECORDS)
    assert "ZeroDivisionError: in an audit" in failure(audited_units(work, sealed, (1,)))


@pytest.mark.parametrize("asked", [b"", b"x", encode(()), encode((1, 2)), encode(((0, b"x"),))])
def test_questions_that_cannot_be_answered_fail(alice: Sabotage, asked: bytes) -> None:
    for stage in ("map", "reduce"):
        failure(run_audit(stage, order(BAG), ship(BAG).data, asked))


def test_audits_check_whom_and_what_they_are_for(alice: Sabotage) -> None:
    data = ship(BAG).data
    asked = encode(())
    for run, last in ((run_read, RECORDS), (lambda *a: run_audit("map", *a), asked)):
        assert "domain: expected 'bob'" in failure(run(order(BAG, domain="bob"), data, last))
        assert "functions: expected" in failure(run(order(BAG), data + b"!", last))


# --- counts ---------------------------------------------------------------------------------


def kept(
    side: VerifyWorker, counts: tuple[int, ...], trusted: bool = True
) -> tuple[bytes, list[Any]]:
    """Keep one map partition; return the table that tells its counts, and its section."""
    sealed = replace(compute.map_partition(BAG, 0, RECORDS), counts=counts)
    commitment = sealed.commit(b"job", "map", 0, "alice", b"inputs")
    side.store[Address(b"job", "map", 0)] = sealed
    table = encode((trusted, 10.0, ((commitment.to_bytes(), ()),)))
    return table, [sealed.leaves[slice(*BAG.bounds(sealed.units)[0])]]


def reduced(side: VerifyWorker, table: bytes) -> bytes:
    ordered = order(BAG, 0, table=digest("table", table))
    return run_reduce(ordered, ship(BAG).data, table, encode(()))


@pytest.mark.parametrize("trusted", [True, False])
def test_a_false_zero_hides_records_only_where_counts_are_trusted(
    alice: Sabotage, trusted: bool
) -> None:
    side = alice(None)
    table, sections = kept(side, (0, 0), trusted)
    found = committed(reduced(side, table), Task("reduce", 0))
    pairs = [pair for section in sections for leaf in section for pair in decode_records(leaf)]
    assert found.records_in == (0 if trusted else len(pairs))
    assert pairs


def test_an_untrusted_empty_section_that_nobody_has_is_missing(alice: Sabotage) -> None:
    side = alice(None)
    table, _ = kept(side, (0, 0), trusted=False)
    side.forget(b"job")
    assert decode(reduced(side, table)) == (MISSING, (0,), ())


@pytest.mark.parametrize("lie", [False, True])
def test_a_section_is_taken_only_if_it_belongs_to_the_accepted_root(
    alice: Sabotage, lie: bool
) -> None:
    side = alice(None)
    table, (section,) = kept(side, (9, 9))
    sealed = side.store[Address(b"job", "map", 0)]
    commitment = sealed.commit(b"job", "map", 0, "alice", b"inputs")
    opening = sealed.open(opening_asked(commitment, OUTPUT, 0, len(section), "bob"))
    if lie:
        opening = replace(opening, leaves=(encode_records([("a", 1)]), *opening.leaves[1:]))
    side.forget(b"job")
    ordered = order(BAG, 0, table=digest("table", table))
    answer = run_reduce(ordered, ship(BAG).data, table, encode((opening.to_bytes(),)))
    assert decode(answer)[0] == (MISSING if lie else COMMITTED)


# --- as much at a time as fits into memory --------------------------------------------------


def collector(side: VerifyWorker, table: bytes, relayed: tuple[bytes, ...] = ()) -> Any:
    return tasks._Collector(side, Order.from_bytes(order(BAG, 0)), BAG, table, relayed)


@pytest.mark.parametrize(("memory", "turns"), [(0, 3), (0.4, 3), (0.7, 2), (1, 1), (99, 1)])
def test_a_reducer_collects_as_many_buckets_at_a_time_as_it_may_hold(
    alice: Sabotage, memory: float, turns: int
) -> None:
    side = alice(None)
    table, (section,) = kept(side, counts=(7, 0))
    # By the counts, all of the partition is for this reduce partition.
    side.memory = round(memory * sum(map(len, side.store[Address(b"job", "map", 0)].leaves)))
    found = list(collector(side, table).turns())
    assert [b for buckets, _ in found for b in buckets] == [0, 1, 2]
    assert len(found) == turns
    assert tuple(leaf for _, (part,) in found for leaf in part) == section


@pytest.mark.parametrize("how", ["kept", "relayed", "fetched"])
def test_the_commitment_does_not_depend_on_the_memory(
    alice: Sabotage, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    side, roots, asked_for = alice(None), set(), []
    table, _ = kept(side, counts=(7, 7))
    sealed = side.store[Address(b"job", "map", 0)]
    relayed: tuple[bytes, ...] = ()
    if how == "relayed":
        ask = collector(side, table).request(0, "bob")
        relayed = (sealed.open(ask).to_bytes(),)
    if how == "fetched":
        commitment = sealed.commit(b"job", "map", 0, "alice", b"inputs")
        table = encode((True, 10.0, ((commitment.to_bytes(), (("alice", "tcp://there"),)),)))

    def serve(requests: list[Opening]) -> list[Opening | None]:
        asked_for.append([(o.start, o.stop) for o in requests])
        return [sealed.open(o) for o in requests]

    if how != "kept":
        side.forget(b"job")
        side.closed.clear()
        Holder(monkeypatch, 0, serve)
    given = (ship(BAG).data, table, encode(relayed))
    for side.memory in (0, 1 << 20):
        ordered = order(BAG, 0, table=digest("table", table))
        roots.add(committed(run_reduce(ordered, *given), Task("reduce", 0)).root)
    assert len(roots) == 1
    by_bucket = [[(0, 3)], [(3, 6)], [(6, 9)], [(0, 9)]]
    assert asked_for == (by_bucket if how == "fetched" else [])


def test_a_holder_that_serves_nothing_is_not_asked_for_every_bucket(
    alice: Sabotage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may be gone, and then every question takes seconds: honest reducers looked late."""
    side = alice(None)
    side.memory = 0  # so that buckets are collected one by one
    sealed = replace(compute.map_partition(BAG, 0, RECORDS), counts=(9, 9))
    commitment = sealed.commit(b"job", "map", 0, "bob", b"inputs")
    holders = (("bob", "tcp://gone"), ("carol", "tcp://there"))
    table = encode((True, 10.0, ((commitment.to_bytes(), holders),)))
    asked_for: list[str] = []

    def ask(wanted: Any, seconds: float, grudges: Grudges) -> Any:
        ((holder, requests),) = wanted.items()
        asked_for.append(holder[1])
        assert (seconds, grudges) == (10.0, side.grudges)
        found = [sealed.open(o) for o in requests] if holder[1] == "tcp://there" else []
        return {holder: [SimpleNamespace(believed=found, wrong=None)] if found else []}

    monkeypatch.setattr(tasks, "ask", ask)
    turns = list(collector(side, table).turns())
    assert len(turns) == 3
    assert asked_for == ["tcp://gone", *["tcp://there"] * 3]


def test_evidence_of_many_lies_is_bounded() -> None:
    collector: Any = object.__new__(tasks._Collector)
    collector._sections, collector.evidence = {}, []
    reply = Reply.from_bytes(answers([lie(SECTIONS[0])], ALICE), SECTIONS)
    for _ in range(20):
        collector._check(reply)
    assert len(collector.evidence) == 8
    assert collector._sections == {}


def test_a_copy_of_its_own_that_is_gone_is_asked_for_elsewhere(
    alice: Sabotage, tmp_path: Path
) -> None:
    """That is no failure of the function, which the user would be told of."""
    side = alice(None)
    side.store = Store(str(tmp_path / "spilled"), memory=0)
    table, _ = kept(side, (1, 1))
    for file in (tmp_path / "spilled").glob("*.leaves"):
        file.unlink()
    assert decode(reduced(side, table)) == (MISSING, (0,), ())
