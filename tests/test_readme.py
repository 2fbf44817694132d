"""The programs in README.md run as they are printed there."""

from __future__ import annotations

import re
import subprocess
import sys

import documents
import pytest

README = documents.read("README.md")
PROGRAMS = documents.programs(README)


@pytest.mark.cluster
@pytest.mark.parametrize("number", range(len(PROGRAMS)))
def test_programs_run(number, tmp_path):
    done = documents.run(PROGRAMS[number], tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout
    assert list((tmp_path / "temporary").glob("dask-verify-*")) == [], "left behind at the end"


@pytest.mark.cluster
@pytest.mark.matrix
def test_what_is_shown_of_the_shell_is_what_its_commands_print(tmp_path):
    part = README.partition("### Run it from a shell")[2]
    (tmp_path / "words.py").write_text(re.findall(r"```python notest\n(.*?)```", part, re.S)[0])
    commands = re.findall(r"^\$ (.*?)(?: {2,}#.*)?$", part, re.M)
    (made,) = [one for one in commands if one.startswith("mkdir texts; ")]
    (saved,) = [one for one in commands if one.startswith("dask ") and "--cheat bob" in one]
    subprocess.run(made, shell=True, check=True, cwd=tmp_path)
    done = subprocess.run(
        [sys.executable, "-m", *saved.split()],
        capture_output=True, text=True, timeout=110, cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    shown = part.partition("--cheat bob")[2].partition("\n...\n")[0].splitlines()[1:]
    assert len(shown) == 5
    said = done.stderr.splitlines()
    # How much a liar does before it is caught is not the same every time.
    assert [line for line in shown if "bob" not in line and line not in said] == []
    assert "domain       bob: EXPOSED, " in done.stderr


def test_there_are_programs():
    assert len(PROGRAMS) == 2
