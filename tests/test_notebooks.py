"""Sources of notebooks: ``make notebooks`` runs them, which takes minutes."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[1] / "notebooks"
SOURCES = sorted(FOLDER.glob("[0-9]_*.py"))


def test_there_are_five_and_nothing_that_they_have_shown() -> None:
    assert [source.name[0] for source in SOURCES] == list("12345")
    assert not list(FOLDER.glob("*.ipynb"))


@pytest.mark.parametrize("source", SOURCES, ids=lambda source: source.stem)
def test_a_notebook_starts_with_a_title_and_can_be_compiled(source: Path) -> None:
    text = source.read_text()
    assert text.split("# %% [markdown]\n", 1)[1].startswith("# # ")
    ast.parse(text)


@pytest.mark.parametrize("source", SOURCES, ids=lambda source: source.stem)
def test_a_notebook_checks_what_it_shows_and_closes_what_it_opens(source: Path) -> None:
    text = source.read_text()
    assert "\nassert " in text
    assert text.count("LocalDomainCluster(") == text.count("\ncluster.close()") == 1
