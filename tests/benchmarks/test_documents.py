"""The figures that are published are those of the results beside them."""

from __future__ import annotations

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


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.json")), ids=lambda path: path.stem)
def test_every_table_of_the_page_is_that_of_the_results(path):
    page = (ROOT / "docs" / "benchmarks.md").read_text(encoding="utf-8")
    found = results.load(path)
    tables = [results.relative(each) for each in found.comparisons]
    tables += [results.growth(each) for each in found.series]
    tables += [results.fault(each) for each in found.faults]
    assert tables
    for table in tables:
        assert results.as_markdown(table) in page
