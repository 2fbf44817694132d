"""Exhibits of every kind of divergence: made, read again, and computed again elsewhere."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import exhibiting as ex
import pytest

from dask_verify.core.canonical import encode
from dask_verify.core.seal import OUTPUT, asked
from dask_verify.errors import CodeRefusedError, EvidenceError
from dask_verify.evidence.exhibits.checks import blame
from dask_verify.evidence.exhibits.exhibit import Exhibit
from dask_verify.evidence.exhibits.replay import replay
from dask_verify.evidence.exhibits.showing import show
from dask_verify.protocol.divergence import Divergence, Proof
from dask_verify.protocol.messages import MAP, READ, REDUCE, Task
from dask_verify.protocol.serving import Reply, answers
from dask_verify.testing.liars import forged

M0, R1 = Task(MAP, 0), Task(REDUCE, 1)
KEY = ex.COORDINATOR.public_key


@pytest.fixture
def code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    return ex.install(tmp_path, monkeypatch)


def again(exhibit: Exhibit) -> Exhibit:
    """What somebody else reads of an exhibit."""
    data = exhibit.to_bytes(ex.COORDINATOR)
    read = Exhibit.from_bytes(data, KEY)
    assert read.payload() == exhibit.payload()
    assert Exhibit.from_bytes(data) == read
    return read


def court(code: Any, folder: Path, kind: str, task: Task, *leaves: int, **options: Any) -> ex.Court:
    """Alice and carol are honest; bob has changed some leaves."""
    unit_records = options.pop("unit_records", None)
    work = ex.bag(code) if kind == "bag" else ex.frames(code, unit_records)
    bench = ex.Court(work, task, folder, **options)
    honest = bench.truth
    bench.stores = {"alice": honest, "bob": ex.tampered(honest, *leaves), "carol": honest}
    return bench


# --- who is convicted -------------------------------------------------------------------------


@pytest.mark.parametrize("first", ["alice", "bob"])
@pytest.mark.parametrize(
    ("kind", "task", "unit_records", "leaf"),
    [
        ("bag", M0, None, 4),
        ("bag", R1, None, 1),
        ("frame", M0, None, 2),
        ("frame", M0, 3, 4),
        ("frame", R1, None, 0),
    ],
)
@pytest.mark.matrix
def test_a_replay_convicts_the_cheat_and_nobody_else(
    code: Any,
    tmp_path: Path,
    kind: str,
    task: Task,
    unit_records: int | None,
    leaf: int,
    first: str,
) -> None:
    bench = court(code, tmp_path, kind, task, leaf, unit_records=unit_records)
    names = [first, *(name for name in ex.NAMES if name != first)]
    exhibit = again(bench.exhibit([bench.claim(name) for name in names]))
    assert (exhibit.culprits, exhibit.excused, exhibit.unshown) == (("bob",), (), ())
    outcome = replay(exhibit)
    assert outcome.confirmed, outcome.said
    assert (outcome.contradicted, outcome.code) == (("bob",), "named")
    assert replay(exhibit, trust_code=True).contradicted == ("bob",)
    whole = kind == "frame" and task == M0 and unit_records is None
    assert outcome.on_trust[:1] == (("what the input of the unit is",) if whole else ())
    shown = show(exhibit)
    assert "bob" in shown
    assert "first difference in record" in shown


@pytest.mark.parametrize(("kind", "task"), [("bag", M0), ("bag", R1), ("frame", R1)])
def test_who_opens_nothing_is_convicted_by_the_whole_partition(
    code: Any, tmp_path: Path, kind: str, task: Task
) -> None:
    bench = court(code, tmp_path, kind, task, 1, refusing=("bob",))
    exhibit = again(bench.exhibit([bench.claim("alice"), bench.claim("bob")]))
    assert exhibit.given is not None
    assert exhibit.given.stop - exhibit.given.start > 1
    outcome = replay(exhibit)
    assert outcome.confirmed, outcome.said
    assert outcome.contradicted == ("bob",)


def test_a_root_that_belongs_to_no_data_is_convicted(code: Any, tmp_path: Path) -> None:
    bench = court(code, tmp_path, "bag", M0, refusing=("bob",))
    claim = bench.claim("bob")
    made = forged(claim.commitment)
    signed = ex.KEYS["bob"].sign("commitment", made.to_bytes())
    bob = replace(claim, said=made, signature=signed)
    exhibit = again(bench.exhibit([bob, bench.claim("alice")]))
    assert replay(exhibit).contradicted == ("bob",)


def test_both_sides_may_be_wrong(code: Any, tmp_path: Path) -> None:
    bench = court(code, tmp_path, "bag", M0, 1)
    bench.stores["alice"] = ex.tampered(bench.truth, 4)
    exhibit = again(bench.exhibit([bench.claim("alice"), bench.claim("bob")]))
    outcome = replay(exhibit)
    assert outcome.confirmed, outcome.said
    assert outcome.contradicted == ("alice", "bob")


def misread(bench: ex.Court) -> None:
    """Let bob read something else, and compute from it honestly."""
    from dask_verify.execution import compute

    records = ex.data(bench.work.kind, bench.task.partition)
    other = records[:-1] if bench.work.kind == "frame" else [*records[:-1], 99]
    bench.stores["bob"] = compute.map_partition(bench.work, 0, other)


@pytest.mark.parametrize("kind", ["bag", "frame"])
def test_a_misread_is_convicted_by_what_the_coordinator_read(
    code: Any, tmp_path: Path, kind: str
) -> None:
    bench = court(code, tmp_path, kind, M0)
    misread(bench)
    exhibit = again(bench.exhibit([bench.claim(name) for name in ex.NAMES]))
    assert (exhibit.cause, exhibit.culprits) == (READ, ("bob",))
    outcome = replay(exhibit)
    assert (outcome.confirmed, outcome.contradicted, outcome.code) == (True, ("bob",), "none")
    assert outcome.on_trust[0] == "what the source holds"
    assert "bob" in show(exhibit)


# --- audits -----------------------------------------------------------------------------------


@pytest.mark.parametrize("task", [M0, R1])
@pytest.mark.parametrize("liar", ["holder", "auditor"])
def test_an_audit_convicts_whichever_of_the_two_lies(
    code: Any, tmp_path: Path, task: Task, liar: str
) -> None:
    bench = court(code, tmp_path, "bag", task, *([1] if liar == "holder" else []))
    claim, unit = bench.claim("bob"), 1
    answer = bench.answer("carol", [unit], lie=liar == "auditor")
    exhibit = again(
        bench.exhibit([claim], answers=[answer[1]], objection=bench.objection(answer, unit, claim))
    )
    culprit = "bob" if liar == "holder" else "carol"
    assert exhibit.culprits == (culprit,)
    outcome = replay(exhibit)
    assert outcome.confirmed, outcome.said
    assert outcome.contradicted == (culprit,)
    assert "carol audited" in show(exhibit)


@pytest.mark.parametrize("liar", ["holder", "auditor"])
def test_an_audit_of_reading_convicts_whichever_lies(code: Any, tmp_path: Path, liar: str) -> None:
    bench = court(code, tmp_path, "bag", M0)
    if liar == "holder":
        misread(bench)
    claim = bench.claim("bob")
    root = bytes(32) if liar == "auditor" else bench.truth.input_tree.root
    answer = bench.read_answer("carol", root)
    exhibit = again(
        bench.exhibit(
            [claim],
            answers=[answer[1]],
            objection=bench.objection(answer, None, claim),
        )
    )
    assert replay(exhibit).contradicted == ("bob" if liar == "holder" else "carol",)


# --- what nobody recomputed -------------------------------------------------------------------


def test_votes_without_a_referee_are_borne_out_by_a_replay(code: Any, tmp_path: Path) -> None:
    bench = court(code, tmp_path, "bag", M0, 4)
    claims = [bench.claim(name) for name in ex.NAMES]
    exhibit = again(bench.exhibit(claims, settled="votes", culprits=("bob",), recompute=False))
    assert exhibit.referee is None
    outcome = replay(exhibit)
    assert outcome.confirmed, outcome.said
    assert outcome.contradicted == ("bob",)


def test_too_few_votes_blame_nobody(code: Any, tmp_path: Path) -> None:
    bench = court(code, tmp_path, "bag", M0, 4)
    claims = [bench.claim(name) for name in ("alice", "bob")]
    exhibit = bench.exhibit(claims, settled="votes", culprits=("bob",), recompute=False)
    assert exhibit.unshown == ("bob",)
    with pytest.raises(EvidenceError, match="unshown"):
        again(replace(exhibit, unshown=()))


@pytest.mark.parametrize("settled", ["exposed elsewhere", "counts"])
def test_what_nobody_arbitrated_is_shown_and_confirms_nothing(
    code: Any, tmp_path: Path, settled: str
) -> None:
    bench = court(code, tmp_path, "bag", M0, 4)
    claims = tuple(bench.claim(name) for name in ("alice", "bob"))
    proof = Proof(inputs=bench.inputs, claims=claims)
    sides = ("alice", "bob")
    divergence = Divergence(*M0, (), sides, ("bob",), MAP, settled, None, proof)
    exhibit = again(bench.shown(divergence))
    assert exhibit.unshown == ("bob",)
    assert not replay(exhibit).confirmed
    assert "No leaf" in show(exhibit)


def served(bench: ex.Court, wrong: Callable[[bytes], bytes]) -> Exhibit:
    commitment = bench.claim("bob").commitment
    request = asked(commitment, OUTPUT, 0, 1, "bob")
    opening = bench.stores["bob"].open(request)
    bad = replace(opening, leaves=(wrong(opening.leaves[0]),))
    wire = answers([bad], ex.KEYS["bob"])
    evidence = Reply.from_bytes(wire, [request]).evidence(0)
    proof = Proof(inputs=bench.inputs, claims=(bench.claim("bob"),), opening=evidence)
    who = ("bob",)
    return bench.shown(Divergence(*bench.task, (), who, who, "serve", "opening", None, proof))


def test_a_wrong_opening_needs_no_code(code: Any, tmp_path: Path) -> None:
    bench = court(code, tmp_path, "bag", R1)
    outcome = replay(again(served(bench, lambda leaf: leaf + b"?")))
    assert (outcome.confirmed, outcome.contradicted, outcome.code) == (True, ("bob",), "none")


def test_a_right_opening_convicts_nobody(code: Any, tmp_path: Path) -> None:
    bench = court(code, tmp_path, "bag", R1)
    with pytest.raises(EvidenceError, match="one that convicts"):
        served(bench, lambda leaf: leaf)


# --- a coordinator that frames ----------------------------------------------------------------


def framed(exhibit: Exhibit, culprit: str) -> Exhibit:
    """Claim that the referee computed what the cheat says, and blame somebody honest."""
    assert exhibit.referee is not None
    lie = next(
        leaf
        for leaf in exhibit.leaves
        if any(c.domain == "bob" and c.commitment.root == leaf.root for c in exhibit.claims)
    )
    runs = [
        run.replace(right.hash, lie.hash)
        for run in exhibit.referee.runs
        for right in exhibit.leaves
        if right is not lie
    ]
    shown = {"index": lie.index, "leaf": lie.data}
    referee = replace(exhibit.referee, runs=tuple(runs), commitment=None, **shown)
    made = replace(exhibit, referee=referee, culprits=(culprit,))
    excused, unshown = blame(made)
    return replace(made, excused=excused, unshown=unshown)


@pytest.mark.parametrize(("kind", "task"), [("bag", M0), ("bag", R1), ("frame", M0)])
def test_framing_an_honest_domain_is_found_out(
    code: Any, tmp_path: Path, kind: str, task: Task
) -> None:
    bench = court(code, tmp_path, kind, task, 1)
    exhibit = again(framed(bench.exhibit([bench.claim("alice"), bench.claim("bob")]), "alice"))
    assert exhibit.culprits == ("alice",)
    outcome = replay(exhibit)
    assert not outcome.confirmed
    assert outcome.contradicted == ("bob",)
    assert "the exhibit blames alice" in outcome.said


def test_blaming_against_the_exhibits_own_recomputation_is_refused(
    code: Any, tmp_path: Path
) -> None:
    bench = court(code, tmp_path, "bag", M0, 1)
    exhibit = bench.exhibit([bench.claim("alice"), bench.claim("bob")])
    with pytest.raises(EvidenceError, match="excused"):
        again(replace(exhibit, culprits=("alice",)))


def test_another_function_is_not_that_of_the_job(code: Any, tmp_path: Path) -> None:
    bench = court(code, tmp_path, "bag", M0, 1)
    exhibit = bench.exhibit([bench.claim("alice"), bench.claim("bob")])
    names = {**exhibit.functions.names, "mapper": "own_code:other_pairs"}
    by_name = replace(exhibit, functions=replace(exhibit.functions, names=names))
    with pytest.raises(EvidenceError, match="a name in what was shipped"):
        again(by_name)
    assert not replay(by_name).confirmed
    shipped = replace(exhibit, functions=replace(exhibit.functions, shipped=encode("x")))
    with pytest.raises(EvidenceError, match="functions"):
        again(shipped)


# --- code that is not run, or does not behave -------------------------------------------------


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("os:system", "of Python itself"),
        ("posix:system", "of Python itself"),
        ("builtins:eval", "of Python itself"),
        ("subprocess:run", "of Python itself"),
        ("pickle:loads", "of Python itself"),
        ("pandas:read_pickle", "a library for general use"),
        ("numpy:load", "a library for general use"),
        ("cloudpickle.cloudpickle:loads", "a library for general use"),
        ("dask_verify.execution.work:unship", "a library for general use"),
        ("hypothesis:given", "an installed package"),
        ("own_code:os.system", "no function of a module"),
        ("own_code:run", "the source of its module does not define"),
        ("own_code:closure", "the source of its module does not define"),
        ("own_code:wrapped", "in truth|a closure"),
        ("own_code:replaced", "no plain function"),
        ("own_code:aliased", "in truth own_code:pairs"),
        ("own_code:lifted", "in truth json"),
        ("dask_verify.demo:run", "a library for general use"),
        ("own_code:renamed", "the source of its module does not define"),
        ("own_code:shown", "the source of its module does not define"),
        ("own_code:part", "the source of its module does not define"),
        ("own_code:absent", "the source of its module does not define"),
        ("own_code:pd", "the source of its module does not define"),
        ("absent_code:pairs", "cannot be imported"),
        ("__main__:pairs", "a script or notebook"),
        ("own_code", "no function of a module"),
        (":pairs", "no function of a module"),
        ("..:pairs", "no function of a module"),
        ("own code:pairs", "no function of a module"),
    ],
)
def test_functions_that_are_not_run_by_name(code: Any, tmp_path: Path, name: str, why: str) -> None:
    bench = court(code, tmp_path, "bag", M0, 1)
    exhibit = bench.exhibit([bench.claim("alice"), bench.claim("bob")])
    names = {**exhibit.functions.names, "mapper": name}
    named = replace(exhibit, functions=replace(exhibit.functions, names=names))
    with pytest.raises(CodeRefusedError, match=why):
        replay(named)


def test_the_functions_of_the_demo_are_run_by_name() -> None:
    from dask_verify import demo
    from dask_verify.evidence.exhibits.names import find

    assert find("mapper", "dask_verify.demo:ones") is demo.ones


def test_a_function_that_was_shipped_by_value_needs_trust(code: Any, tmp_path: Path) -> None:
    work = ex.Work("bag", code.shown, code.total, None, ex.BUCKETS, ex.REDUCES, ex.UNIT)
    bench = ex.Court(work, M0, tmp_path)
    bench.stores = {"alice": bench.truth, "bob": ex.tampered(bench.truth, 4)}
    exhibit = again(bench.exhibit([bench.claim("alice"), bench.claim("bob")]))
    assert exhibit.functions.importable == {"reducer"}
    with pytest.raises(CodeRefusedError, match="no function of a module"):
        replay(exhibit)
    assert replay(exhibit, trust_code=True).contradicted == ("bob",)


def test_types_of_the_users_own_come_with_the_pickle_alone(code: Any, tmp_path: Path) -> None:
    bench = court(code, tmp_path, "bag", M0, 1)
    exhibit = bench.exhibit([bench.claim("alice"), bench.claim("bob")])
    with pytest.raises(CodeRefusedError, match="types"):
        replay(replace(exhibit, shape=replace(exhibit.shape, types=("own.Type",))))


def with_mapper(exhibit: Exhibit, name: str) -> Exhibit:
    names = {**exhibit.functions.names, "mapper": f"own_code:{name}"}
    return replace(exhibit, functions=replace(exhibit.functions, names=names))


@pytest.mark.matrix
def test_functions_that_misbehave_confirm_nothing(code: Any, tmp_path: Path) -> None:
    bench = court(code, tmp_path, "bag", M0, 1)
    exhibit = bench.exhibit([bench.claim("alice"), bench.claim("bob")])
    failed = replay(with_mapper(exhibit, "broken"))
    assert not failed.confirmed
    assert "ValueError: no" in failed.said
    endless = replay(with_mapper(exhibit, "endless"), timeout=3)
    assert not endless.confirmed
    assert "more than 3 s" in endless.said
    unstable = replay(with_mapper(exhibit, "unordered"))
    assert not unstable.confirmed
    assert "not deterministic" in unstable.said
