"""Completion: what the shell asks `dask`, and what it is told."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from dask_verify.cli import verify
from dask_verify.completing import SHELLS, script

DASK = Path(sys.executable).parent / "dask"
ASK = """
PATH={folder}:$PATH
. ./complete.bash
compopt() {{ COMPREPLY+=("files"); }}
COMP_WORDS=({words}) COMP_CWORD={at} COMPREPLY=()
_dask_completion dask
echo "${{COMPREPLY[@]}}"
"""


def completed(folder, *words):
    """What bash is told for the last word, by the function that it calls for `dask`."""
    (folder / "complete.bash").write_text(script("bash"))
    quoted = " ".join(f"'{word}'" for word in words)
    code = ASK.format(folder=DASK.parent, words=quoted, at=len(words) - 1)
    command = ["bash", "--norc", "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, cwd=folder)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return done.stdout.split()


@pytest.mark.skipif(shutil.which("bash") is None or not DASK.exists(), reason="no bash, or no dask")
@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["dask", "verify", ""], sorted(verify.commands)),
        (["dask", "verify", "run", "x.py", "--rep"], ["--replicas", "--report"]),
        (["dask", "verify", "run", "wo"], ["files"]),
        (["dask", "verify", "exhibit", "r"], ["replay"]),
        (["dask", "verify", "completion", ""], list(SHELLS)),
    ],
)  # fmt: skip
def test_bash_completes(tmp_path, words, expected):
    assert completed(tmp_path, *words) == expected


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_other_shells_are_told_the_same(shell):
    asked = {"COMP_WORDS": "dask verify re", "COMP_CWORD": "re" if shell == "fish" else "2"}
    code = "import sys; sys.argv = ['dask']; from dask.cli import run_cli; run_cli()"
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True, text=True, timeout=60, check=False,
        env=os.environ | asked | {"_DASK_COMPLETE": f"{shell}_complete"},
    )  # fmt: skip
    assert "resume" in done.stdout
    assert "exhibit" not in done.stdout


@pytest.mark.parametrize("shell", SHELLS)
def test_the_script_is_printed(shell):
    done = CliRunner().invoke(verify, ["completion", shell])
    assert done.exit_code == 0
    assert done.stdout == script(shell) + "\n"
    assert f"_DASK_COMPLETE={shell}_complete" in done.stdout


def test_another_shell_is_refused():
    done = CliRunner().invoke(verify, ["completion", "tcsh"])
    assert done.exit_code == 2
    assert "'tcsh' is not one of 'bash', 'zsh', 'fish'" in done.stderr
