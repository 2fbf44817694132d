"""A coordinator that frames somebody, and liars who want no exhibit of an honest one to exist."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import exhibiting as ex
import pytest

from dask_verify.core.merkle import BLAKE3
from dask_verify.core.seal import OUTPUT, Commitment, SealedPartition, asked
from dask_verify.engine import arbiter, exhibits
from dask_verify.errors import EvidenceError
from dask_verify.evidence.exhibits.checks import MOST, blame
from dask_verify.evidence.exhibits.exhibit import Exhibit
from dask_verify.evidence.exhibits.parts import Given, Recomputation, Source
from dask_verify.evidence.exhibits.replay import replay
from dask_verify.evidence.exhibits.showing import show
from dask_verify.execution import compute
from dask_verify.protocol.divergence import Divergence, Proof
from dask_verify.protocol.domain import Identity
from dask_verify.protocol.messages import MAP, READ, REDUCE, Task
from dask_verify.protocol.quorum import CONTEXT, Claim
from dask_verify.protocol.serving import Reply, answers

M0, R1 = Task(MAP, 0), Task(REDUCE, 1)
KEY = ex.COORDINATOR.public_key


@pytest.fixture
def code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    return ex.install(tmp_path, monkeypatch)


@pytest.fixture
def bench(code: Any, tmp_path: Path) -> ex.Court:
    """Alice and bob are honest; carol colludes with whoever makes the exhibit."""
    made = ex.Court(ex.bag(code), M0, tmp_path)
    made.stores = {"alice": made.truth, "bob": made.truth, "carol": ex.tampered(made.truth, 4)}
    return made


def again(exhibit: Exhibit) -> Exhibit:
    """What somebody else reads of an exhibit."""
    return Exhibit.from_bytes(exhibit.to_bytes(ex.COORDINATOR), KEY)


def reblamed(exhibit: Exhibit) -> Exhibit:
    excused, unshown = blame(exhibit)
    return replace(exhibit, excused=excused, unshown=unshown)


def said(sealed: SealedPartition, whole: Commitment | None = None) -> Recomputation:
    """What a coordinator says that it computed."""
    runs = (b"".join(map(BLAKE3.leaf, sealed.leaves)),) * 2
    return Recomputation(runs, whole, 0, sealed.leaves[0])


def wrong_opening(bench: ex.Court, who: Identity) -> bytes:
    """A signed opening of one's own commitment that is not what it was committed to."""
    sealed = bench.stores.get(who.name, bench.truth)
    commitment = sealed.commit(bench.job, *M0, who.name, bench.inputs)
    request = asked(commitment, OUTPUT, 0, 1, who.name)
    bad = replace(sealed.open(request), leaves=(ex.changed(sealed.leaves[0]),))
    return Reply.from_bytes(answers([bad], who), [request]).evidence(0)


def opened(bench: ex.Court, culprits: tuple[str, ...], opening: bytes) -> Exhibit:
    base = bench.exhibit([bench.claim("alice"), bench.claim("carol")])
    shown = {"culprits": culprits, "opening": opening, "excused": (), "unshown": ()}
    claims = (bench.claim("bob"), bench.claim("carol"))
    what = {"cause": "serve", "settled": "opening", "given": None, "referee": None, "leaves": ()}
    return replace(base, claims=claims, **what, **shown)


# --- a coordinator that frames ----------------------------------------------------------------


def test_an_opening_blames_nobody_but_who_signed_it(bench: ex.Court) -> None:
    opening = wrong_opening(bench, ex.KEYS["carol"])
    right = again(opened(bench, ("carol",), opening))
    assert replay(right).contradicted == ("carol",)
    for culprits in (("bob",), ("bob", "carol"), ()):
        framing = opened(bench, culprits, opening)
        with pytest.raises(EvidenceError, match=r"culprits: expected \['carol'\]"):
            again(framing)
        # Nor by what a referee is said to have computed.
        base = bench.exhibit([bench.claim("alice"), bench.claim("carol")])
        with pytest.raises(EvidenceError):
            again(replace(framing, given=base.given, referee=base.referee))


def test_nobody_signs_an_exhibit_of_another_coordinators_job(bench: ex.Court) -> None:
    made = bench.exhibit([bench.claim("alice"), bench.claim("carol")])
    data, key = made.to_bytes(ex.KEYS["carol"]), ex.KEYS["carol"].public_key
    with pytest.raises(EvidenceError, match="terms: expected a job of the coordinator who signed"):
        Exhibit.from_bytes(data, key)


def test_blame_for_an_opening_may_be_withheld(bench: ex.Court) -> None:
    made = opened(bench, (), wrong_opening(bench, ex.KEYS["carol"]))
    withheld = again(replace(made, settled="withheld: not deterministic", excused=("carol",)))
    assert not replay(withheld).confirmed


def test_the_coordinators_own_opening_convicts_nobody(bench: ex.Court) -> None:
    made = opened(bench, (), wrong_opening(bench, Identity("coordinator", b"z" * 32)))
    own = Claim("coordinator", bench.truth.commit(bench.job, *M0, "coordinator", bench.inputs))
    with pytest.raises(EvidenceError, match="opening: expected one of"):
        again(replace(made, claims=(*made.claims, own)))


def test_an_input_that_a_domain_did_not_sign_convicts_it_of_nothing(bench: ex.Court) -> None:
    made_up = compute.map_partition(bench.work, 0, [7] * 8)  # what the source never held
    bench.stores["carol"] = made_up
    base = bench.exhibit([bench.claim("alice"), bench.claim("carol")])
    given = Given(0, made_up.units, inputs=tuple(made_up.inputs), root=made_up.input_tree.root)
    framing = reblamed(
        replace(
            base,
            cause=MAP,
            units=(),
            settled="votes",
            culprits=("bob",),
            claims=(bench.claim("bob"), bench.claim("carol")),
            leaves=(),
            given=given,
            referee=said(made_up),
        )
    )
    assert framing.unshown == ("bob",)
    outcome = replay(again(framing))
    assert (outcome.confirmed, outcome.contradicted) == (False, ())
    assert outcome.on_trust == ("what the input of the unit is",)


def test_what_was_read_rightly_is_computed_again(bench: ex.Court) -> None:
    """The coordinator's word on the source says nothing about what bob made of it."""
    bench.stores["carol"] = compute.map_partition(bench.work, 0, [*ex.data("bag", 0)[:-1], 99])
    base = bench.exhibit([bench.claim("alice"), bench.claim("carol")])
    lie = ex.tampered(bench.truth, *range(6))
    framing = reblamed(
        replace(
            base,
            cause=READ,
            units=(),
            culprits=("bob", "carol"),
            claims=(bench.claim("bob"), bench.claim("carol")),
            leaves=(),
            given=Given(0, lie.units, inputs=tuple(lie.inputs), root=lie.input_tree.root),
            referee=said(lie, lie.commit(bench.job, *M0, "coordinator", bench.inputs)),
        )
    )
    outcome = replay(again(framing))
    assert (outcome.confirmed, outcome.contradicted, outcome.code) == (False, ("carol",), "named")


def test_one_may_have_misread_and_another_have_computed_wrongly(bench: ex.Court) -> None:
    bench.stores["bob"] = compute.map_partition(bench.work, 0, [*ex.data("bag", 0)[:-1], 99])
    exhibit = again(bench.exhibit([bench.claim("bob"), bench.claim("carol")]))
    assert (exhibit.cause, exhibit.culprits) == (READ, ("bob", "carol"))
    outcome = replay(exhibit)
    assert outcome.confirmed, outcome.said
    assert (outcome.contradicted, outcome.code) == (("bob", "carol"), "named")


@pytest.mark.parametrize("name", ["units", "buckets"])
def test_a_commitment_to_nothing_is_none(bench: ex.Court, name: str) -> None:
    base = bench.exhibit([bench.claim("alice"), bench.claim("carol")])
    nothing = replace(bench.claim("bob").commitment, **{name: 0})
    signed = Claim("bob", nothing, ex.KEYS["bob"].sign(CONTEXT, nothing.to_bytes()))
    with pytest.raises(EvidenceError, match="one to none"):
        again(replace(base, claims=(signed, *base.claims)))


def test_what_an_exhibit_makes_others_compute_is_bounded(bench: ex.Court) -> None:
    base = bench.exhibit([bench.claim("alice"), bench.claim("carol")])
    assert base.given is not None
    for bad in (
        replace(base, shape=replace(base.shape, buckets=1 << 30)),
        replace(base, given=replace(base.given, stop=1 << 21)),
        replace(base, claims=base.claims * MOST),
        replace(base, leaves=base.leaves * MOST),
    ):
        with pytest.raises(EvidenceError, match=r"expected (a whole number|at most|a number)"):
            again(bad)


def test_show_shows_some_of_many(bench: ex.Court) -> None:
    base = bench.exhibit([bench.claim("alice"), bench.claim("carol")])
    leaf = base.leaves[0]
    leaves = [replace(leaf, data=leaf.data + bytes([i])) for i in range(100)]
    text = show(replace(base, leaves=tuple(leaves), claims=base.claims * 200))
    assert "... and 380 more" in text
    assert "leaves more" in text
    assert len(text.splitlines()) < 150


def test_cells_are_cut_out_of_a_large_partition_once_each() -> None:
    seen = Counter[str]()

    class Cells(tuple[bytes, ...]):
        def __getitem__(self, at: Any) -> Any:
            found = super().__getitem__(at)
            seen["cells"] += len(found)
            return found

    buckets = 1000
    about = (b"j" * 32, MAP, 0, "coordinator", b"i", buckets, 1, 1, (1,), 1, b"", b"r" * 32)
    source = Source(Commitment(*about), Cells([b""] * buckets), ())
    given = Given(0, buckets, sources=(source,))
    assert all(given.payload(REDUCE, unit) == (b"",) for unit in range(buckets))
    assert seen["cells"] == buckets


# --- liars who want no exhibit of an honest coordinator -----------------------------------------


@pytest.mark.parametrize("records", [[1], [1] * 30])
def test_who_claims_another_shape_and_opens_nothing_is_convicted(
    bench: ex.Court, records: list[int]
) -> None:
    bench.refusing = ("bob",)
    bench.stores["bob"] = compute.map_partition(bench.work, 0, records)
    exhibit = again(bench.exhibit([bench.claim("alice"), bench.claim("bob")]))
    assert (exhibit.culprits, exhibit.unshown) == (("bob",), ())
    assert replay(exhibit).confirmed


@pytest.mark.parametrize("unit_records", [None, 3])
def test_a_unit_that_does_not_exist_is_not_named(
    code: Any, tmp_path: Path, unit_records: int | None
) -> None:
    made = ex.Court(ex.frames(code, unit_records), M0, tmp_path)
    cut = made.truth.buckets * 5
    shape = {"units": 5, "leaves": (made.truth.leaves * 5)[:cut], "inputs": (b"i",) * 5}
    lies = [replace(made.truth, **shape) for _ in range(2)]
    lies[1] = replace(lies[1], inputs=(b"i",) * 4 + (b"o",))
    made.stores = {"alice": lies[0], "bob": lies[1]}
    exhibit = again(made.exhibit([made.claim("alice"), made.claim("bob")]))
    assert (exhibit.culprits, exhibit.unshown) == (("alice", "bob"), ())
    assert replay(exhibit).confirmed


def test_an_exhibit_that_could_not_be_read_shows_less(
    bench: ex.Court, monkeypatch: pytest.MonkeyPatch
) -> None:
    def spoiled(*arguments: Any) -> exhibits.Kept:
        found = keep(*arguments)
        assert found.referee is not None
        return replace(found, referee=replace(found.referee, leaf=b"another"))

    keep = exhibits.kept
    monkeypatch.setattr(exhibits, "kept", spoiled)
    exhibit = again(bench.exhibit([bench.claim("alice"), bench.claim("carol")]))
    assert (exhibit.referee, exhibit.unshown) == (None, ("carol",))
    assert exhibit.leaves
    assert not replay(exhibit).confirmed


def test_a_signer_of_the_right_root_and_a_wrong_size_spoils_nothing(bench: ex.Court) -> None:
    odd = replace(bench.claim("bob").commitment, units=7)
    bob = Claim("bob", odd, ex.KEYS["bob"].sign(CONTEXT, odd.to_bytes()))
    base = bench.exhibit([bench.claim("alice"), bench.claim("carol")])
    exhibit = again(reblamed(replace(base, claims=(bob, *base.claims))))
    assert replay(exhibit).contradicted == ("carol",)


@pytest.mark.parametrize("error", [OSError(), MemoryError(), ZeroDivisionError(), AssertionError()])
def test_a_finding_stands_whatever_keeping_it_raises(
    bench: ex.Court, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def broken(*_: Any) -> str:
        raise error

    monkeypatch.setattr(arbiter, "keep", broken)
    finding = bench.finding([bench.claim("alice"), bench.claim("carol")])
    assert finding.wrong == {bench.claim("carol").digest}
    assert (finding.material, finding.failure) == ("", "")


@pytest.mark.parametrize("budget", [1, 10_000])
def test_a_job_keeps_so_much_for_its_exhibits_and_no_more(
    bench: ex.Court, monkeypatch: pytest.MonkeyPatch, budget: int
) -> None:
    monkeypatch.setattr(exhibits, "_BUDGET", budget)
    claims = [bench.claim("alice"), bench.claim("carol")]
    names = [bench.finding(claims).material for _ in range(20)]
    assert names[-1] == ""
    assert bool(names[0]) == (budget > 1)
    assert sum(path.stat().st_size for path in (bench.folder / "exhibits").iterdir()) <= budget
    assert again(bench.exhibit(claims)).unshown == ("carol",)


# --- what was not arbitrated --------------------------------------------------------------------


def test_what_was_settled_elsewhere_says_so(bench: ex.Court) -> None:
    claims = tuple(bench.claim(name) for name in ("alice", "carol"))
    proof = Proof(inputs=bench.inputs, claims=claims)
    what = (("alice", "carol"), ("carol",), MAP, "exposed elsewhere", None, proof)
    outcome = replay(again(bench.shown(Divergence(*M0, (), *what))))
    assert not outcome.confirmed
    assert "was not arbitrated: carol had been shown to be wrong by another exhibit" in outcome.said


def test_the_functions_of_a_script_are_said_to_need_trust(bench: ex.Court) -> None:
    exhibit = bench.exhibit([bench.claim("alice"), bench.claim("carol")])
    names = {"mapper": "__main__:pairs", "reducer": "own_code:total"}
    functions = replace(exhibit.functions, names=names, importable=frozenset())
    text = show(replace(exhibit, functions=functions))
    assert "__main__:pairs (of a script: replay needs --trust-code)" in text
    assert "own_code:total (only as it was shipped: replay needs --trust-code)" in text
