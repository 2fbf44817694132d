"""The programs in README.md run as they are printed there."""

from __future__ import annotations

import re
from pathlib import Path

import documents
import pytest
import yaml

import dask_verify

README = documents.read("README.md")
PROGRAMS = documents.programs(README)


@pytest.mark.cluster
@pytest.mark.parametrize("number", range(len(PROGRAMS)))
def test_programs_run(number, tmp_path):
    done = documents.run(PROGRAMS[number], tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout


def test_there_are_programs():
    assert len(PROGRAMS) == 2


def test_every_setting_is_in_the_table():
    settings = yaml.safe_load(Path(dask_verify.__file__).with_name("verify.yaml").read_text())
    rows = set(re.findall(r"^\| `([a-z-]+)` \|", README, re.M))
    assert set(settings["verify"]) == rows
