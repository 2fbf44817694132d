"""A report as a page: complete, bounded, and harmless whatever domains wrote."""

from __future__ import annotations

import re
from dataclasses import fields, replace

import pytest
from looking import HOSTILE, Page, harmless_page
from reports import AUDIT, DIVERGENCE, EMPTY, REPORT

from dask_verify.engine.report import DomainReport
from dask_verify.protocol.messages import Sample, Standing, Verdict
from dask_verify.protocol.pairs import Pair
from dask_verify.views.report import compact_html, page_html, report_html

ENDS = {
    "running": (None, ""),
    "cancelled": (None, ""),
    "interrupted": (None, ""),
    "agreed": (Verdict.AGREED, ""),
    "corrected": (Verdict.CORRECTED, ""),
    "sampled": (Verdict.SAMPLED, ""),
    "nondeterministic": (Verdict.NONDETERMINISTIC, ""),
    "inconclusive": (Verdict.INCONCLUSIVE, "unanswered"),
    "of no known cause": (Verdict.INCONCLUSIVE, ""),
}
VIEWS = {
    "notebook": report_html,
    "compact": compact_html,
    "file": lambda told: page_html(told, "r.html", lambda _: None),
}
views = pytest.mark.parametrize("view", VIEWS.values(), ids=VIEWS)


def head(page: Page) -> str:
    """The class of the square: what is seen first."""
    return next(c for c in page.classes() if c.startswith("dv-square"))


@views
@pytest.mark.parametrize("status", ENDS)
def test_every_end_of_a_job_is_shown_and_only_answers_look_like_one(view, status) -> None:
    verdict, cause = ENDS[status]
    page = harmless_page(view(replace(REPORT, verdict=verdict, cause=cause, status=status)))
    answered = verdict is not None and verdict.answered
    assert head(page).endswith(("dv-good", "dv-fair")) == answered
    assert (verdict.name if verdict is not None else status.upper()) in page.text
    assert bool(re.search(r"No (verified answer|verdict)", page.text)) == (not answered)


def test_nobody_is_said_to_have_computed_where_domains_alone_did() -> None:
    """With ``referee="domains"`` the coordinator has no processes in which outputs could differ."""
    page = Page(report_html(replace(REPORT, verdict=Verdict.NONDETERMINISTIC)))
    assert "or in more domains than may be faulty" in page.text


def test_only_an_undisturbed_answer_is_green() -> None:
    tones = {
        verdict: head(Page(report_html(replace(REPORT, verdict=verdict, status=verdict.value))))
        for verdict in Verdict
    }
    assert [v for v, tone in tones.items() if tone.endswith("good")] == [Verdict.AGREED]


@views
def test_a_report_with_nothing_in_it_is_a_page(view) -> None:
    page = harmless_page(view(EMPTY))
    assert "RUNNING" in page.text
    assert "no domains" in page.text


@pytest.mark.parametrize(
    "fact",
    [
        "CORRECTED",
        "ab" * 32,
        "4 of 4 partitions accepted",
        "0 of 1 partition accepted",
        "alice TRUSTED 4 12,345",
        "bob EXPOSED 2 6,000",
        "map partition 0: not answered in time; this proves nothing",
        "3 agreed 1 diverged",
        "2 pending",
        "map partition 3, unit 7: alice not blamed against bob wrong",
        "The coordinator computed it again",
        "('be', 1)",
        "job.exhibits[0].save",
        "a single corrupt unit with 1 %",
        "map 100 2 1 % 1 % 1",
        "map partition 1 contradicted bob carol",
        "secret until the verdict",
        "900 bytes of commitments were compared for 1,234,567 bytes computed",
        "answers 900",
        "computed 1 unit or partition again",
        "accepted as it was",
        "bob seccomp, landlock",
        "carol nothing",
    ],
)
@pytest.mark.parametrize("view", [VIEWS["notebook"], VIEWS["file"]], ids=["notebook", "file"])
def test_every_fact_is_there(view, fact) -> None:
    assert fact in harmless_page(view(REPORT)).text


def test_without_audits_nothing_is_promised() -> None:
    text = Page(report_html(replace(REPORT, audits=(), odds=None, seed_digest=""))).text
    assert "Nothing was audited: there are no odds." in text
    text = Page(report_html(replace(REPORT, odds=None))).text
    assert "No odds: nothing is promised without an answer." in text


def test_a_page_is_one_file_that_loads_and_runs_nothing() -> None:
    html = VIEWS["file"](REPORT)
    assert html.startswith("<!doctype html>")
    assert "default-src 'none'; style-src 'unsafe-inline'" in html
    assert not re.search(r"https?:|url\(|@import|<script|<link", html)


# --- exhibits -------------------------------------------------------------------------------


def test_exhibits_beside_the_page_are_linked() -> None:
    report = replace(REPORT, exhibits=("out/w & <o>.exhibit-0.json",))
    page = harmless_page(page_html(report, "out/report.html", lambda _: None))
    assert ("href", "./w%20%26%20%3Co%3E.exhibit-0.json") in page.attributes
    assert "w & <o>.exhibit-0.json" in page.text


@pytest.mark.parametrize("place", ["report.html", "other/report.html", "s3://b/out/report.html"])
def test_exhibits_elsewhere_are_named(place) -> None:
    report = replace(REPORT, exhibits=("out/words.exhibit-0.json",))
    page = harmless_page(page_html(report, place, lambda _: None))
    assert "a" not in page.tags
    assert "out/words.exhibit-0.json" in page.text


@pytest.mark.parametrize("name", ["javascript:alert(1)", "//evil.example", "../../x", "\\\\host"])
def test_no_name_becomes_another_address(name) -> None:
    report = replace(REPORT, exhibits=(name,))
    harmless_page(page_html(report, "report.html", lambda _: None))


# --- bounds ---------------------------------------------------------------------------------


def test_of_hundreds_of_divergences_the_first_are_shown_and_the_others_counted() -> None:
    many = replace(REPORT, divergences=(DIVERGENCE,) * 700)
    page = Page(report_html(many))
    assert page.text.count("map partition 3, unit 7") == 10
    assert "and 690 divergences more" in page.text
    asked = []
    page = Page(page_html(many, "r.html", asked.append))
    assert page.text.count("map partition 3, unit 7") == 200
    assert "and 500 divergences more" in page.text
    assert len(asked) == 20


def test_many_domains_are_bounded() -> None:
    names = [f"d{i:03}" for i in range(300)]
    pairs = {(a, b): Pair(agreed=1) for a in names for b in names if a < b}
    domains = {name: DomainReport(Standing.TRUSTED, 1, 1) for name in names}
    audits = (AUDIT,) * 5000
    report = replace(
        REPORT,
        domains=domains,
        agreement=pairs,
        audits=audits,
        couriers=dict.fromkeys(names, ("x" * 900,) * 99),
        divergences=(replace(DIVERGENCE, domains=tuple(names), culprits=tuple(names)),),
    )
    html = report_html(report)
    text = Page(html).text
    assert len(html) < 900_000
    for more in ("260 domains more", "288 domains more", "4,980 audits more", "288 more"):
        assert more in text.replace("and ", ""), more


@views
def test_text_without_end_is_cut(view) -> None:
    endless = "x" * (4 << 20)
    domains = {endless: DomainReport(Standing.SUSPECTED, 1, 1, endless)}
    sample = Sample(0, endless, endless + "y")
    evil = replace(DIVERGENCE, domains=(endless,), cause=endless, settled=endless, sample=sample)
    audit = replace(AUDIT, auditor=endless, domains=(endless,), outcome=endless)
    report = replace(
        REPORT,
        domains=domains,
        divergences=(evil,),
        audits=(audit,),
        cause=endless,
        verdict=Verdict.INCONCLUSIVE,
        failure=endless + "\n" + "line\n" * 100_000,
        exhibits=(endless,),
        agreement={(endless, "b"): Pair(agreed=1)},
    )
    assert len(view(report)) < 200_000


# --- what domains wrote ---------------------------------------------------------------------


def hostile_report(text):
    domains = {
        text: DomainReport(Standing.SUSPECTED, 1, 1, text),
        text + "2": DomainReport(Standing.EXPOSED, 1, 1),
    }
    evil = replace(
        DIVERGENCE,
        domains=(text, "bob"),
        culprits=(text,),
        cause=text,
        settled=text,
        sample=Sample(1, text, text + "!"),
    )
    blameless = replace(evil, culprits=(), settled=f"withheld: {text}")
    return replace(
        REPORT,
        job=text,
        domains=domains,
        cause=text,
        divergences=(evil, blameless),
        audits=(replace(AUDIT, stage=text, auditor=text, domains=(text,), outcome=text),),
        failure=f"Traceback\n  {text}",
        seed=text,
        seed_digest=text,
        status=text,
        couriers={text: (text,)},
        agreement={(text, "b"): Pair(1, 1, 1)},
        exhibits=(text, f"out/{text}"),
        bytes_moved={text: 1},
        progress={text: (1, 2)},
    )


@views
@pytest.mark.parametrize("end", [None, *Verdict])
@pytest.mark.parametrize("kind", HOSTILE)
def test_what_domains_wrote_is_shown_harmlessly(view, end, kind) -> None:
    page = harmless_page(view(replace(hostile_report(HOSTILE[kind]), verdict=end)))
    assert "1337" not in page.text, "templates in names are not evaluated"


def test_hostile_text_is_shown_as_it_is() -> None:
    text = Page(report_html(hostile_report(HOSTILE["script"]))).text
    assert "<script>alert(1)</script>" in text
    text = Page(report_html(hostile_report(HOSTILE["terminal"]))).text
    assert r"\x1b[2J" in text


def test_the_cases_above_cover_every_field_with_text() -> None:
    numbers = {"bytes_compared", "bytes_computed", "recomputed", "trust_input", "log", "odds"}
    evil = hostile_report(HOSTILE["script"])
    same = {f.name for f in fields(evil) if getattr(evil, f.name) == getattr(REPORT, f.name)}
    assert same <= numbers | {"verdict"}


# --- blame ----------------------------------------------------------------------------------


def reds(html: str) -> list[str]:
    """Names that are shown in red."""
    found = re.findall(
        r"<bdi>(?:<b>)?([^<]*)(?:</b>)?</bdi>[^<]*(?:</th><td>)?"
        r'<span class="dv-badge dv-bad"',
        html,
    )
    return sorted(set(found))


@pytest.mark.parametrize("culprits", [(), ("bob",), ("alice", "bob")])
def test_nobody_is_red_but_culprits_and_exposed_ones(culprits) -> None:
    divergence = replace(DIVERGENCE, culprits=culprits, settled="withheld: source")
    domains = {n: DomainReport(Standing.TRUSTED, 1, 1) for n in ("alice", "bob", "carol")}
    report = replace(REPORT, domains=domains, divergences=(divergence,))
    assert reds(report_html(report)) == sorted(culprits)
    exposed = {**domains, "carol": DomainReport(Standing.EXPOSED, 1, 1)}
    assert reds(report_html(replace(report, domains=exposed))) == sorted({*culprits, "carol"})
