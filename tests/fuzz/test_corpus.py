"""The corpus of malformed files: each is refused as its name says, in little time and memory."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from bounded import outcome
from parsers import PARSERS

HERE = Path(__file__).parent
FILES = sorted((HERE / "corpus").glob("*/*"))
SECONDS, SPACE, RESIDENT = 60, 6 << 30, 192 << 10
"""What all of them together may take, in a process of its own: seconds of CPU time, bytes of
address space, kilobytes of memory beyond what the imports take."""


@pytest.mark.parametrize("path", FILES, ids=[f"{f.parent.name}: {f.stem}" for f in FILES])
def test_a_malformed_file_is_refused_as_its_name_says(path: Path) -> None:
    parser, expected = PARSERS[path.parent.name], path.suffix.removeprefix(".")
    assert outcome(parser, path.read_bytes()) == expected


def test_all_of_them_together_take_little_of_a_small_machine() -> None:
    """Also where neither calls of Python functions nor its own memory would tell."""
    path = os.pathsep.join(folder for folder in sys.path if folder)
    done = subprocess.run(
        [sys.executable, str(HERE / "confined.py"), str(SECONDS), str(SPACE)],
        env=os.environ | {"PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    files, kilobytes = map(int, done.stdout.split()[-2:])
    assert files == len(FILES)
    assert kilobytes < RESIDENT
