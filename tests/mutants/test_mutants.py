"""Whether the tests notice what is wrong: each planted defect fails a test that is about it.

A defect is planted in a copy of the package, and its tests run against this copy, in a process of
their own. A test must fail: a copy that cannot be imported, or tests that cannot be collected, do
not count. The copy without a defect must pass all of these tests, or their failing means nothing.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest
from planted import MUTANTS, Mutant

import dask_verify

TESTS = Path(__file__).parents[1]
PACKAGE = Path(dask_verify.__file__).parent
TOGETHER = 2  #: copies that are tested at a time
SECONDS = 300  #: that the tests of one copy may take, or the defect has made them hang
LEAST = 40
IDS = [mutant.name for mutant in MUTANTS]


# --- the list: quick, and with every run of the suite ------------------------------------------


@pytest.mark.parametrize("mutant", MUTANTS, ids=IDS)
def test_a_defect_can_be_planted(mutant: Mutant) -> None:
    source = (PACKAGE / mutant.file).read_text()
    assert source.count(mutant.old) == 1, f"{mutant.file} has changed: so must the list"
    assert mutant.old != mutant.new
    compile(planted(source, mutant), mutant.file, "exec")
    for test in mutant.tests:
        assert (TESTS / test.partition("::")[0]).is_file()


def test_every_rule_has_several_defects_that_break_it() -> None:
    rules = [int(mutant.name.split()[0]) for mutant in MUTANTS]
    assert len(MUTANTS) >= LEAST
    assert len(set(IDS)) == len(IDS)
    # The ninth is about the words of errors: the tests of each error pin them.
    assert [n for n in range(1, 11) if n != 9 and rules.count(n) < 2] == []


# --- the runs ----------------------------------------------------------------------------------


def planted(source: str, mutant: Mutant) -> str:
    return source.replace(mutant.old, mutant.new)


def copied(folder: Path) -> Path:
    """Copy the package, with what Python has compiled of it, to a folder of its own."""
    shutil.copytree(PACKAGE, folder / PACKAGE.name)
    return folder


def verdict_of(folder: Path, tests: tuple[str, ...]) -> subprocess.CompletedProcess[str]:
    """Run tests against the copy in a folder, up to the first that fails."""
    return subprocess.run(
        [
            *(sys.executable, "-m", "pytest", "-x", "-q", "--tb=line", "-p", "no:cacheprovider"),
            *("-c", str(TESTS.parent / "pyproject.toml"), "--rootdir", str(TESTS.parent)),
            *(str(TESTS / test) for test in tests),
        ],
        cwd=folder,  # where Python looks first
        env=os.environ | {"PYTHONPATH": str(folder)},
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )


def attempt(folder: Path, mutant: Mutant) -> subprocess.CompletedProcess[str]:
    file = copied(folder) / PACKAGE.name / mutant.file
    for compiled in (file.parent / "__pycache__").glob(f"{file.stem}.*"):
        compiled.unlink()  # it may be as old and as long as the file with the defect
    file.write_text(planted(file.read_text(), mutant))
    return verdict_of(folder, mutant.tests)


Runs = dict[str, Future[subprocess.CompletedProcess[str]]]


@pytest.fixture(scope="module")
def runs(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Runs]:
    """Start the runs of all the mutants that are asked for, some at a time."""
    wanted = {getattr(item, "callspec", None) and item.name for item in request.session.items}
    chosen = [m for m in MUTANTS if f"test_a_defect_is_noticed[{m.name}]" in wanted]
    with ThreadPoolExecutor(TOGETHER) as pool:
        yield {m.name: pool.submit(attempt, tmp_path_factory.mktemp("m"), m) for m in chosen}
        pool.shutdown(cancel_futures=True)


@pytest.mark.mutants
@pytest.mark.timeout(SECONDS * 2)
def test_without_a_defect_all_of_these_tests_pass(tmp_path: Path) -> None:
    tests = tuple(dict.fromkeys(test for mutant in MUTANTS for test in mutant.tests))
    done = verdict_of(copied(tmp_path), tests)
    assert done.returncode == 0, done.stdout[-3000:]


@pytest.mark.mutants
@pytest.mark.timeout(SECONDS * 2)
@pytest.mark.parametrize("mutant", MUTANTS, ids=IDS)
def test_a_defect_is_noticed(mutant: Mutant, runs: Runs) -> None:
    done = runs[mutant.name].result()
    last = done.stdout.strip().splitlines()[-1] if done.stdout.strip() else done.stderr
    assert done.returncode == 1, f"survived, or broke more than it should: {last}"
    assert re.search(r"\b1 failed\b", last)
    assert not re.search(r"\berrors?\b", last), "a test could not even start"
    assert not re.search(r"\b(ImportError|NameError|SyntaxError)\b", done.stdout)
