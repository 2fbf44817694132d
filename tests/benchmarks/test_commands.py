"""The commands run: smallest sizes, one pair."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def benchmarks(*args):
    return subprocess.run(
        [sys.executable, "-m", "benchmarks", *args],
        cwd=ROOT, capture_output=True, text=True, timeout=110,
    )  # fmt: skip


def test_list():
    done = benchmarks("list")
    assert done.returncode == 0, done.stderr
    assert {"words", "audit", "partitions", "record"} <= set(done.stdout.split())


@pytest.mark.cluster
@pytest.mark.matrix
def test_run_writes_what_show_prints(tmp_path):
    out = tmp_path / "results.json"
    done = benchmarks(
        "run",
        "busy",
        "--scale",
        "0.0003",
        "--pairs",
        "1",
        "--contender",
        "audit",
        "--out",
        str(out),
    )
    assert done.returncode == 0, done.stderr
    assert "audit / plain" in done.stdout
    assert set(json.loads(out.read_text())["comparisons"][0]["samples"]) == {"plain", "audit"}
    assert benchmarks("show", str(out)).stdout.split("\n\n")[1:] == done.stdout.split("\n\n")[1:]


def test_a_wrong_name_is_an_error_without_traceback():
    done = benchmarks("run", "nothing")
    assert done.returncode != 0
    assert "expected some of" in done.stderr
    assert "Traceback" not in done.stderr
