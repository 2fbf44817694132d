"""The programs in README.md run as they are printed there."""

from __future__ import annotations

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


def test_there_are_programs():
    assert len(PROGRAMS) == 2
