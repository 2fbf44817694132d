from __future__ import annotations

import json
import pickle
from dataclasses import replace
from types import SimpleNamespace

import fsspec
import pytest

from dask_verify.core.odds import Odds, StageOdds
from dask_verify.engine.report import DomainReport, Report, describe
from dask_verify.engine.seen import SeenDivergence
from dask_verify.errors import InputError
from dask_verify.protocol.divergence import Divergence
from dask_verify.protocol.messages import Sample, Standing, Verdict
from dask_verify.protocol.pairs import Pair

DIVERGENCE = Divergence(
    stage="map",
    partition=3,
    units=(7,),
    domains=("alice", "bob"),
    culprits=("bob",),
    cause="map",
    settled="referee",
    sample=Sample(record=2, one="('be', 1)", other="('be', 2)"),
)

REPORT = Report(
    job="ab" * 32,
    verdict=Verdict.CORRECTED,
    cause="",
    domains={
        "alice": DomainReport(Standing.TRUSTED, 4, 12_345),
        "<b>": DomainReport(Standing.EXPOSED, 2, 1),
    },
    divergences=(DIVERGENCE,),
    bytes_moved={"answers": 900, "hashes": 96},
    bytes_compared=900,
    bytes_computed=1_234_567,
    recomputed=(("map", 3, 7),),
    progress={"map": (4, 4), "reduce": (1, 1)},
    trust_input=True,
)


def test_to_dict_survives_json():
    plain = REPORT.to_dict()
    again = json.loads(json.dumps(plain))
    assert again["verdict"] == "corrected"
    assert again["domains"]["<b>"] == {
        "standing": "exposed",
        "commitments": 2,
        "nbytes": 1,
        "reason": "",
    }
    assert again["divergences"][0]["units"] == [7]
    assert again["divergences"][0]["sample"] == {
        "record": 2,
        "one": "('be', 1)",
        "other": "('be', 2)",
    }
    assert again["recomputed"] == [["map", 3, 7]]
    assert again["bytes_moved"] == {"answers": 900, "hashes": 96}


def test_every_field_is_in_the_dict():
    assert set(REPORT.to_dict()) == set(Report.__dataclass_fields__)


def test_a_running_job_has_no_verdict():
    running = replace(REPORT, verdict=None, divergences=())
    assert running.to_dict()["verdict"] is None
    assert "running" in str(running)


@pytest.mark.parametrize(
    "fact",
    [
        "CORRECTED",
        "alice: TRUSTED, 4 partitions, 12,345 bytes",
        "map partition 3, unit 7",
        "blamed bob (referee)",
        "900 bytes of commitments for 1,234,567 bytes computed",
        "trust_input=True",
    ],
)
def test_the_text_names_every_fact(fact):
    assert fact in str(REPORT)


def test_what_never_was_is_not_told_and_one_is_no_plural():
    one = replace(REPORT.domains["alice"], commitments=1)
    nothing = replace(REPORT, bytes_compared=0, bytes_computed=0, domains={"alice": one})
    assert "compared" not in str(nothing)
    assert "1 partition, 12,345 bytes" in str(nothing)


def test_one_unit_is_no_plural():
    stage = StageOdds("map", 1, 10, 0.5, 0.5, 2, 1, sampled=1)
    told = str(replace(REPORT, odds=Odds((stage,))))
    assert "map: 1 of 1 unit recomputed elsewhere as committed (rate 0.5)" in told


def test_people_are_told_where_else_somebody_was_exposed():
    settled = replace(REPORT.divergences[0], settled="exposed elsewhere")
    assert "blamed bob (exposed in another divergence)" in describe(settled)


def test_the_cause_of_a_missing_answer_is_told():
    report = replace(REPORT, verdict=Verdict.INCONCLUSIVE, cause="unanswered")
    assert "INCONCLUSIVE (unanswered)" in str(report)


def test_agreement_is_a_list_in_json():
    report = replace(REPORT, agreement={("alice", "<b>"): Pair(3, 1, 0)})
    assert json.loads(json.dumps(report.to_dict()))["agreement"] == [
        {"domains": ["alice", "<b>"], "agreed": 3, "diverged": 1, "pending": 0}
    ]


def test_html_escapes_what_users_and_domains_wrote():
    page = REPORT._repr_html_()
    assert "<bdi><b></bdi>" not in page
    assert "&lt;b&gt;" in page
    evil = replace(DIVERGENCE, sample=Sample(0, "<script>", "x"))
    assert "<script>" not in replace(REPORT, divergences=(evil,))._repr_html_()


def test_a_terminal_acts_on_nothing_that_is_printed():
    evil = replace(DIVERGENCE, sample=Sample(0, "\x1b[2J", "\u202e\r\n"))
    domains = {"alice": DomainReport(Standing.SUSPECTED, 1, 1, "\x07")}
    text = str(replace(REPORT, divergences=(evil,), domains=domains))
    assert all(line.isprintable() for line in text.splitlines())
    assert r"\x1b[2J" in text


# --- pages ----------------------------------------------------------------------------------


@pytest.mark.parametrize("place", ["report.html", "memory://reports/report.html"])
def test_a_page_is_written_wherever_fsspec_can(tmp_path, place):
    path = place if "://" in place else tmp_path / place
    REPORT.save_html(path)
    REPORT.save_html(path)  # again, over what is there
    with fsspec.open(str(path), encoding="utf-8", mode="r") as file:
        page = file.read()
    assert page.startswith("<!doctype html>")
    assert "map partition 3, unit 7" in page


def test_a_page_that_cannot_be_written_is_an_error(tmp_path):
    with pytest.raises(OSError, match=str(tmp_path)):
        REPORT.save_html(tmp_path)


def seen(**changes):
    kept = SimpleNamespace(divergence=replace(DIVERGENCE, **changes), nbytes=10, exhibit=missing)
    return SeenDivergence.of(kept)


def missing():
    raise InputError("the job was cancelled")


def test_a_divergence_of_a_report_is_what_it_was_and_can_be_looked_at():
    one = seen()
    assert one == seen(partition=3)
    assert one != seen(partition=4)
    assert "kept" not in repr(one)
    assert "the job was cancelled" in one._repr_html_()
    assert describe(one) == describe(DIVERGENCE)


def test_what_was_kept_is_neither_pickled_nor_told():
    report = replace(REPORT, divergences=(seen(),))
    again = pickle.loads(pickle.dumps(report))
    assert again == report
    assert again.divergences[0].kept is None
    assert "not at hand here" in again.divergences[0]._repr_html_()
    assert report.to_dict() == REPORT.to_dict()


def test_a_page_shows_what_was_kept_unless_it_is_large(tmp_path):
    small, large = seen(), seen()
    large.kept.nbytes = 33 << 20
    for name, one in (("small", small), ("large", large)):
        replace(REPORT, divergences=(one,)).save_html(tmp_path / name)
    assert "the job was cancelled" in (tmp_path / "small").read_text()
    assert "the job was cancelled" not in (tmp_path / "large").read_text()


def test_a_line_about_a_divergence_shows_both_records():
    line = describe(DIVERGENCE)
    assert "alice against bob" in line
    assert "record 2: ('be', 1) against ('be', 2)" in line
    assert "blamed nobody" in describe(replace(DIVERGENCE, culprits=(), sample=None))
