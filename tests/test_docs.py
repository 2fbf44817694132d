"""The pages below docs/ run as they are printed, lead somewhere, and show what the code does."""

from __future__ import annotations

import doctest
import importlib.util
import re
import runpy
import subprocess
import sys
from pathlib import Path

import documents
import pytest
import yaml

import dask_verify
from dask_verify.errors import PolicyError

PAGES = sorted(
    str(path.relative_to(documents.ROOT))
    for path in (documents.ROOT / "docs").rglob("*.md")
    if "_build" not in path.parts
)
WITH_EXAMPLES = [page for page in PAGES if documents.examples(documents.read(page))]
#: What README.md prints as well is run there.
PROGRAMS = {
    f"{page} {number}": program
    for page in PAGES
    for number, program in enumerate(documents.programs(documents.read(page)))
    if program not in documents.programs(documents.read("README.md"))
}


@pytest.mark.parametrize("page", WITH_EXAMPLES)
def test_examples_print_what_is_printed(page):
    text = documents.examples(documents.read(page))
    found = doctest.DocTestParser().get_doctest(text, {}, page, page, 0)
    said = []
    results = doctest.DocTestRunner().run(found, out=said.append)
    assert results.attempted
    assert not results.failed, "".join(said)


def test_there_are_examples():
    assert {"docs/start.md", "docs/how-it-works.md", "docs/policy.md"} <= set(WITH_EXAMPLES)


@pytest.mark.cluster
def test_programs_run(tmp_path):
    for name, program in PROGRAMS.items():
        done = documents.run(program, tmp_path)
        assert done.returncode == 0, f"{name}: {done.stderr}"
        assert done.stdout


def test_the_first_programs_are_there():
    assert len(documents.programs(documents.read("docs/start.md"))) == 2


@pytest.mark.parametrize("page", [*PAGES, "README.md", "SECURITY.md"])
def test_links_lead_somewhere(page):
    for link in documents.links(documents.read(page)):
        name, _, anchor = link.partition("#")
        target = (documents.ROOT / page).parent / name if name else documents.ROOT / page
        assert target.exists(), link
        if anchor:
            text = target.read_text(encoding="utf-8")
            # This page shows another one, headings and all.
            text = documents.read("SECURITY.md") if target.name == "security.md" else text
            assert anchor in documents.anchors(text), link


def test_every_page_is_in_the_index():
    index = documents.read("docs/index.md") + documents.read("docs/reference/index.md")
    listed = set(re.findall(r"^[\w/*-]+$", index, re.M))
    names = {Path(page).relative_to("docs").with_suffix("") for page in PAGES} - {Path("index")}
    for name in names:
        patterns = {pattern for pattern in listed if name.match(pattern)}
        assert patterns or name.name in listed, name


def test_every_setting_is_in_the_table():
    settings = yaml.safe_load(Path(dask_verify.__file__).with_name("verify.yaml").read_text())
    rows = set(re.findall(r"^\| `([a-z-]+)` \|", documents.read("docs/settings.md"), re.M))
    assert set(settings["verify"]) == rows


def test_policies_that_are_recommended_can_be_made():
    found = re.findall(r"`(Policy\([^`]*\))`", documents.read("docs/policy.md"))
    assert len(found) > 6
    names = {name: getattr(dask_verify, name) for name in ("Policy", "Detect")}
    for text in found:
        try:
            eval(text, names)
        except PolicyError as error:
            pytest.fail(f"{text}: {error}")


@pytest.fixture(scope="module")
def figures():
    return runpy.run_path(str(documents.ROOT / "docs" / "figures.py"))


def test_figures_are_those_of_the_code(figures):
    kept = {path.stem: path.read_text(encoding="utf-8") for path in figures["FOLDER"].glob("*")}
    assert kept == {name: str(draw()) for name, draw in figures["FIGURES"].items()}


def test_a_figure_that_is_equal_stays_untouched(figures, tmp_path):
    figures["write"](tmp_path)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    figures["write"](tmp_path)
    assert before == {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    assert len(before) == len(figures["FIGURES"])


@pytest.mark.matrix
@pytest.mark.skipif(
    any(importlib.util.find_spec(name) is None for name in ("sphinx", "myst_parser", "numpydoc")),
    reason="the documentation is built with what `make docs` installs",
)
def test_the_pages_are_built_without_a_warning(tmp_path):
    options = ["-W", "--keep-going", "-q", "-b", "html", "-d", tmp_path / "trees"]
    command = [sys.executable, "-m", "sphinx", *options, "docs", tmp_path / "html"]
    done = subprocess.run(command, cwd=documents.ROOT, capture_output=True, text=True, timeout=110)
    assert done.returncode == 0, done.stderr
    assert "verified_map_reduce" in (tmp_path / "html/reference/mapreduce.html").read_text()
