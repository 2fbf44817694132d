"""The figures that are published are those of the results beside them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from benchmarks import results

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "docs" / "benchmarks"


def loaded(name: str) -> results.Results:
    return results.load(FOLDER / f"{name}.json")


def test_the_table_of_the_readme_is_that_of_the_results():
    table = results.as_markdown(results.overview(loaded("run").comparisons))
    assert table in (ROOT / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", ["run", "growth", "faults"])
def test_every_table_of_the_page_is_that_of_the_results(name):
    page = (ROOT / "docs" / "benchmarks.md").read_text(encoding="utf-8")
    found = loaded(name)
    tables = [make(c) for c in found.comparisons for make in (results.absolute, results.relative)]
    tables += [results.growth(each) for each in found.series]
    tables += [results.fault(each) for each in found.faults]
    assert tables
    for table in tables:
        assert results.as_markdown(table) in page


def test_nothing_is_published_that_no_table_shows():
    assert {path.stem for path in FOLDER.glob("*.json")} == {"run", "growth", "faults"}


@pytest.mark.parametrize("page", ["README.md", "docs/benchmarks.md"])
def test_every_file_that_a_page_links_to_is_there(page):
    path = ROOT / page
    linked = re.findall(r"\]\(([^):#]+)\)", path.read_text(encoding="utf-8"))
    assert len(linked) > 1
    assert [link for link in linked if not (path.parent / link).exists()] == []
