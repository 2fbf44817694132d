"""Results survive JSON, and tables say what was measured."""

from __future__ import annotations

import json

import pytest

from benchmarks import plotting, results
from benchmarks.measuring import BenchmarkError, Sample
from benchmarks.results import Comparison, Fault, Point, Series


def found():
    samples = {
        "plain": [Sample(1.0, 2.0, 10, 5), Sample(2.0, 4.0, 10, 5)],
        "audit": [Sample(1.1, 2.4, 10, 5, 7, 3), Sample(2.2, 4.8, 10, 5, 7, 3)],
    }
    comparison = Comparison(
        "words", "word count", {"partitions": 100}, samples, {"audit/wall": 1.15, "audit/cpu": 1.15}
    )
    series = Series("rows", "Rows", "rows", [Point(10, samples, {"extra": 1.5})])
    fault = Fault("liar", "a liar", {"extra bytes": 12_345, "verdict": "corrected"}, samples)
    return results.here("the command", comparisons=[comparison], series=[series], faults=[fault])


def test_json_round_trip(tmp_path):
    path = tmp_path / "results.json"
    path.write_text(found().to_json())
    again = results.load(path)
    assert json.loads(again.to_json()) == json.loads(found().to_json()) | {"date": again.date}
    assert again.comparisons[0].samples["audit"][1].moved == 7
    assert again.machine["cores"] >= 1
    assert again.versions["dask"]


@pytest.mark.parametrize("text", ["nothing", "[]", '{"format": "another"}'])
def test_what_is_no_results_file_is_refused(tmp_path, text):
    path = tmp_path / "results.json"
    path.write_text(text)
    with pytest.raises(BenchmarkError, match="expected"):
        results.load(path)


def test_tables_name_ratios_and_whether_targets_are_met():
    text = results.everything(found())
    assert "the command" in text
    assert "1.100 (1.100 to 1.100) met 1.15" in text
    assert "1.200 (1.200 to 1.200) MISSED 1.15" in text
    assert "12,345" in text


def test_markdown_tables_have_equal_rows():
    lines = results.as_markdown(results.overview(found().comparisons)).splitlines()
    assert {line.count("|") for line in lines} == {lines[0].count("|")}
    assert "1.10" in lines[2]


@pytest.mark.parametrize(
    ("value", "text"),
    [(-8.9e-15, "0"), (0.0, "0"), (100, "100"), (1e8, "100,000,000"), (-1.25, "-1.25"),
     (1_950.8138, "1,950.814")],
)  # fmt: skip
def test_figures_have_no_exponents(value, text):
    of = Series("rows", "Rows", "rows", [Point(value, found().series[0].points[0].samples)])
    assert results.growth(of)[1][0][0] == text


def test_pictures(tmp_path):
    drawn = plotting.draw(found(), tmp_path)
    assert {path.name for path in drawn} == {
        "ratios.svg", "ratios.png", "growth-rows.svg", "growth-rows.png"
    }  # fmt: skip
    assert all(path.stat().st_size > 1_000 for path in drawn)
