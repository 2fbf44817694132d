"""One divergence as a page: what differs is marked, and nobody is blamed who is not to blame."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import exhibiting as ex
import pandas as pd
import pytest
from looking import HOSTILE, Page, harmless_page
from reports import DIVERGENCE

from dask_verify.core.canonical import encode_frame, encode_records
from dask_verify.core.merkle import BLAKE3, MerkleTree
from dask_verify.errors import InputError
from dask_verify.evidence.exhibits.parts import Leaf
from dask_verify.protocol.divergence import Divergence, Proof
from dask_verify.protocol.messages import MAP, REDUCE, Task
from dask_verify.views.divergence import divergence_html

M0, R1 = Task(MAP, 0), Task(REDUCE, 1)


@pytest.fixture
def code(tmp_path: Any, monkeypatch: Any) -> Any:
    return ex.install(tmp_path, monkeypatch)


def court(code: Any, folder: Any, kind: str = "bag", task: Task = M0, leaf: int = 4) -> ex.Court:
    """A dispute in which bob alone lies."""
    work = ex.bag(code) if kind == "bag" else ex.frames(code)
    bench = ex.Court(work, task, folder)
    bench.stores = dict.fromkeys(ex.NAMES, bench.truth)
    bench.stores["bob"] = ex.tampered(bench.truth, leaf)
    return bench


def divergence_of(exhibit: Any, **changes: Any) -> Divergence:
    where = (exhibit.stage, exhibit.partition, exhibit.units, exhibit.domains)
    found = Divergence(*where, exhibit.culprits, exhibit.cause, exhibit.settled)
    return replace(found, proof=Proof(claims=exhibit.claims), **changes)


def page_of(exhibit: Any, **changes: Any) -> Page:
    html = divergence_html(divergence_of(exhibit, **changes), lambda: exhibit)
    return harmless_page(html)


def marks(page: Page) -> list[str]:
    return re.findall(r'<mark class="dv-diff">(.*?)</mark>', page.html)


def blamed(page: Page) -> set[str]:
    return set(re.findall(r'<b>([^<]*)</b></bdi> <span class="dv-badge dv-bad"', page.html))


@pytest.mark.parametrize(
    ("kind", "task", "leaf", "field"),
    [
        ("bag", M0, 4, "value"),
        ("frame", M0, 2, "x"),
        ("bag", R1, 1, "value"),
        ("frame", R1, 0, "x"),
    ],
)
def test_the_differing_field_of_the_differing_record_is_marked(
    code: Any, tmp_path: Any, kind: str, task: Task, leaf: int, field: str
) -> None:
    bench = court(code, tmp_path, kind, task, leaf)
    exhibit = bench.exhibit([bench.claim("alice"), bench.claim("bob")])
    page = page_of(exhibit)
    assert blamed(page) == {"bob"}
    differing = re.findall(r'<tr class="dv-differs"><td>\d*</td><td><bdi>(\w+)</bdi>', page.html)
    assert differing == [field]
    assert len(marks(page)) == 2
    assert "the coordinator referee, alice the same" in page.text
    assert "The coordinator computed it again" in page.text
    assert all(claim.digest.hex() in page.text for claim in exhibit.claims)


def test_the_way_down_names_what_the_trees_share(code: Any, tmp_path: Any) -> None:
    bench = court(code, tmp_path)
    exhibit = bench.exhibit([bench.claim("alice"), bench.claim("bob")])
    page = page_of(exhibit)
    one, other = exhibit.leaves
    assert one.index == other.index
    assert f"leaf {one.index}: {one.hash.hex()[:10]}… ≠ {other.hash.hex()[:10]}…" in page.text
    levels = len(one.proof) + 1
    assert page.html.count('class="dv-way"') == levels + levels - 1  # dots and edges
    assert "the same in both" in page.text
    assert "differ as well" not in page.text


@pytest.mark.parametrize(
    ("settled", "culprits", "said"),
    [
        ("votes", ("bob",), "More domains than may be faulty"),
        ("withheld: not deterministic", (), "Nobody is blamed: not deterministic."),
        ("withheld: source", (), "Nobody is blamed: source."),
        ("exposed elsewhere", ("bob",), "had exposed the signer already"),
    ],
)
def test_only_culprits_are_blamed_whatever_was_computed(
    code: Any, tmp_path: Any, settled: str, culprits: tuple[str, ...], said: str
) -> None:
    bench = court(code, tmp_path)
    exhibit = bench.exhibit([bench.claim("alice"), bench.claim("bob")], settled, culprits=culprits)
    page = page_of(exhibit)
    assert blamed(page) == set(culprits)
    assert said in page.text


def test_blame_that_was_taken_back_is_not_shown(code: Any, tmp_path: Any) -> None:
    bench = court(code, tmp_path)
    exhibit = bench.exhibit([bench.claim("alice"), bench.claim("bob")])
    assert exhibit.culprits == ("bob",)
    page = page_of(exhibit, culprits=(), settled="withheld: not deterministic")
    assert blamed(page) == set()
    assert "dv-bad" not in page.classes()


def test_an_auditor_who_signed_hashes_alone_is_named(code: Any, tmp_path: Any) -> None:
    bench = court(code, tmp_path, leaf=1)
    claim = bench.claim("bob")
    answer = bench.answer("carol", [1])
    found = bench.objection(answer, 1, claim)
    page = page_of(bench.exhibit([claim], answers=[answer[1]], objection=found))
    assert blamed(page) == {"bob"}
    assert "carol audited units (1,)" in page.text
    assert "The way through the output tree of bob" in page.text


def test_nothing_to_show_is_said_to_be_so(code: Any, tmp_path: Any) -> None:
    bench = court(code, tmp_path)
    made = bench.exhibit([bench.claim("alice"), bench.claim("bob")])
    page = page_of(replace(made, leaves=(), referee=None, given=None))
    assert "No leaf of the differing unit was opened." in page.text
    assert "svg" not in page.tags


def test_without_its_exhibit_a_divergence_shows_what_the_report_has() -> None:
    def gone() -> Any:
        raise InputError("the job was <cancelled>\x1b")

    page = harmless_page(divergence_html(DIVERGENCE, gone))
    assert marks(page) == ["1", "2"]
    assert "Shown from the report alone. the job was <cancelled>\\x1b" in page.text
    page = harmless_page(divergence_html(replace(DIVERGENCE, sample=None), None))
    assert "not at hand here" in page.text


# --- what liars committed to ----------------------------------------------------------------


def with_leaves(exhibit: Any, *data: bytes) -> Any:
    """An exhibit whose sides opened other leaves, each of a tree of its own."""
    leaves = []
    for made, leaf in zip(exhibit.leaves, data, strict=False):
        hashes = [bytes([i]) * 32 for i in range(made.size)]
        hashes[made.index] = BLAKE3.leaf(leaf)
        tree = MerkleTree.from_leaf_hashes(hashes)
        place = (made.tree, tree.root, made.size, made.index, hashes[made.index])
        leaves.append(Leaf(*place, tuple(tree.inclusion_proof(made.index)), leaf))
    roots = [leaf.root for leaf in leaves]
    claims = tuple(
        replace(claim, said=replace(claim.said, root=root))
        for claim, root in zip(exhibit.claims, roots, strict=False)
    )
    return replace(exhibit, leaves=tuple(leaves), claims=claims, referee=None)


@pytest.fixture
def made(code: Any, tmp_path: Any) -> Any:
    bench = court(code, tmp_path)
    return bench.exhibit([bench.claim("alice"), bench.claim("bob")])


@pytest.mark.parametrize("kind", [kind for kind in HOSTILE if kind != "surrogate"])
def test_records_are_shown_harmlessly(made: Any, kind: str) -> None:
    text = HOSTILE[kind]
    bags = with_leaves(made, *(encode_records([(text, {text: [n]})]) for n in (1, 2)))
    page = page_of(bags, culprits=("bob", text), domains=("alice", "bob", text))
    assert "1337" not in page.text
    assert marks(page) == ["1", "2"]
    frames = [pd.DataFrame({text: [text, text + str(n)]}) for n in (1, 2)]
    page = page_of(with_leaves(made, *map(encode_frame, frames)))
    assert len(marks(page)) == 2
    other = encode_frame(frames[0].rename(columns={text: text + "2"}))
    page = page_of(with_leaves(made, encode_frame(frames[0]), other))
    assert "columns" in page.text


@pytest.mark.parametrize(
    "leaf",
    [
        b"garbage <b>",
        encode_frame(pd.DataFrame(index=pd.RangeIndex(2**40))),
        encode_records([10**5000]),
        encode_records([b"\x00" * (5 << 20)]),
    ],
)
def test_leaves_that_cannot_be_shown_are_said_to_be_so(made: Any, leaf: bytes) -> None:
    page = page_of(with_leaves(made, encode_records([("a", 1)]), leaf))
    assert "differ from byte" in page.text
    assert len(page.html) < 40_000


@pytest.mark.parametrize(
    "leaves",
    [
        [encode_records([("x" * 2_000_000 + end, 1)]) for end in "ab"],
        [encode_frame(pd.DataFrame({f"c{i}": [n] for i in range(4000)})) for n in (1, 2)],
        [encode_frame(pd.DataFrame({"c" * 100_000 + str(i): [n] for i in range(9)}))
         for n in (1, 2)],
        [encode_records([(i, n) for i in range(100_000)]) for n in (1, 2)],
    ],
    ids=["long", "wide", "names", "many"],
)  # fmt: skip
def test_what_is_shown_of_large_leaves_is_bounded(made: Any, leaves: list[bytes]) -> None:
    page = page_of(with_leaves(made, *leaves))
    assert len(page.html) < 60_000
    assert marks(page)


def test_differing_columns_are_shown_first_and_the_others_counted(made: Any) -> None:
    one = pd.DataFrame({f"c{i}": [0] for i in range(50)})
    other = one.assign(c40=1)
    page = page_of(with_leaves(made, encode_frame(one), encode_frame(other)))
    assert "c40" in page.text
    assert "… 39 fields more" in page.text
    assert marks(page) == ["0", "1"]


def test_more_sides_than_anybody_looks_at_are_counted(made: Any) -> None:
    leaves = []
    for n in range(30):
        data = encode_records([("a", n)])
        leaves.append(replace(made.leaves[0], data=data, hash=BLAKE3.leaf(data)))
    exhibit = replace(made, leaves=(*made.leaves, *leaves), claims=made.claims * 50)
    page = page_of(exhibit)
    assert re.search(r"and 2\d leaves more, in the exhibit", page.text)
    assert "and 88 commitments more" in page.text
    assert len(page.html) < 90_000
