from __future__ import annotations

import json
from dataclasses import replace

import pytest

from dask_verify.engine.report import DomainReport, Report, describe
from dask_verify.protocol.divergence import Divergence
from dask_verify.protocol.messages import Sample, Standing, Verdict

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


def test_the_cause_of_a_missing_answer_is_told():
    report = replace(REPORT, verdict=Verdict.INCONCLUSIVE, cause="unanswered")
    assert "INCONCLUSIVE (unanswered)" in str(report)


def test_html_escapes_what_users_and_domains_wrote():
    page = REPORT._repr_html_()
    assert "<b>" not in page
    assert "&lt;b&gt;: EXPOSED" in page
    evil = replace(DIVERGENCE, sample=Sample(0, "<script>", "x"))
    assert "<script>" not in replace(REPORT, divergences=(evil,))._repr_html_()


def test_a_line_about_a_divergence_shows_both_records():
    line = describe(DIVERGENCE)
    assert "alice against bob" in line
    assert "record 2: ('be', 1) against ('be', 2)" in line
    assert "blamed nobody" in describe(replace(DIVERGENCE, culprits=(), sample=None))
