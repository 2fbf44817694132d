"""What SECURITY.md says is tested is tested, and what is tested there is said."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest

TESTS = Path(__file__).parent
DOCUMENT = (TESTS.parent / "SECURITY.md").read_text()
REFERENCE = re.compile(r"`([\w/]+\.py)::(test_\w+)`")
HEADER = "| attack | mode | what happens | test |"
#: Every test of these shows what somebody can or cannot do to a cluster.
COMPLETE = ("attacks/test_gate.py", "attacks/test_shared_scheduler.py")


def rows():
    """The rows of the tables of attacks, as lists of cells."""
    found, inside = [], False
    for line in DOCUMENT.splitlines():
        inside = line.startswith("|") and (inside or line == HEADER)
        if inside and line != HEADER and not line.startswith("|---"):
            found.append([cell.strip() for cell in line.strip("|").split("|")])
    return found


@cache
def names_in(name):
    tree = ast.parse((TESTS / name).read_text())
    return {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}


ROWS = rows()


def test_there_are_tables():
    assert len(ROWS) > 60
    assert DOCUMENT.count("\n| attack |") == DOCUMENT.count(f"\n{HEADER}\n") == 5


@pytest.mark.parametrize("row", ROWS, ids=lambda row: " ".join(row[:2])[:60])
def test_every_row_names_tests_that_exist(row):
    assert len(row) == 4
    _, mode, happens, named = row
    assert mode
    assert happens
    references = REFERENCE.findall(named)
    assert references
    assert len(references) == named.count("`") // 2
    for name, test in references:
        assert test in names_in(name)


@pytest.mark.parametrize("name", COMPLETE)
def test_every_test_of_an_attack_on_a_cluster_is_named(name):
    named = {test for file, test in REFERENCE.findall(DOCUMENT) if file == name}
    attacks = {test for test in names_in(name) if test.startswith("test_")}
    assert attacks - named == {"test_the_coordinator_may_do_what_dask_allows"} & attacks
