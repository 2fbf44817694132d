"""The programs in README.md run as they are printed there."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

import dask_verify

README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")
PROGRAMS = re.findall(r"```python\n(.*?)```", README, re.S)


@pytest.mark.cluster
@pytest.mark.parametrize("number", range(len(PROGRAMS)))
def test_programs_run(number, tmp_path):
    script = tmp_path / "program.py"
    script.write_text(PROGRAMS[number])
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, timeout=110)
    assert done.returncode == 0, done.stderr
    assert done.stdout


def test_there_are_programs():
    assert len(PROGRAMS) == 2


def test_every_setting_is_in_the_table():
    settings = yaml.safe_load(Path(dask_verify.__file__).with_name("verify.yaml").read_text())
    rows = set(re.findall(r"^\| `([a-z-]+)` \|", README, re.M))
    assert set(settings["verify"]) == rows
