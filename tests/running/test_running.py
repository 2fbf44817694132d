"""Jobs from the command line, on real domains."""

from __future__ import annotations

import gzip
import json
import os
import signal
import subprocess
import sys

import pandas as pd
import pytest
from commands import hears_ctrl_c

from dask_verify.errors import CourierError
from dask_verify.evidence.enrolment.trust import load_trust
from dask_verify.evidence.receipts.checking import check_receipt
from dask_verify.running import acting
from dask_verify.running.places import Local

pytestmark = pytest.mark.cluster
COUNTS = {"to": 3, "be": 2, "or": 1, "not": 1, "sleep": 1}
ONLY = ("--domain", "alice", "--domain", "bob")


def dask(*arguments, **options):
    command = [sys.executable, "-m", "dask", "verify", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=110, **options)


def counted(lines):
    return dict(map(json.loads, lines.splitlines()))


# --- on a cluster that is there ---------------------------------------------------------------


def test_text(run, started, here):
    done = run("words.py", "texts")
    assert done.exit_code == 0, done.output
    assert counted(done.stdout) == COUNTS
    assert "verdict      AGREED" in done.stderr
    assert "--out counts.jsonl writes all of it" in done.stderr
    assert done.stderr.endswith("and a report; in no particular order\n")
    assert started == [Local(("alice", "bob", "carol"))]
    assert {path.name for path in here.iterdir()} == {
        "delays.py", "flights.csv", "texts", "words.py",
    } | ({"__pycache__"} & {path.name for path in here.iterdir()})  # fmt: skip


@pytest.mark.usefixtures("started")
def test_a_result_is_saved_with_its_evidence(run, here):
    done = run(
        "words.py", "texts/*.txt", "--combiner", "reducer", "--out", "counts.jsonl", "--json"
    )
    assert done.exit_code == 0, done.output
    said = json.loads(done.stdout)
    assert (said["verdict"], said["rows"], said["answered"]) == ("agreed", 5, True)
    assert said["paths"] == {
        "result": "counts.jsonl",
        "receipt": "counts.jsonl.receipt.json",
        "trust": "counts.jsonl.trust.toml",
        "report": "counts.jsonl.report.html",
        "exhibits": [],
    }
    assert counted((here / "counts.jsonl").read_text()) == COUNTS
    assert "agreed" in (here / "counts.jsonl.report.html").read_text().lower()
    envelope = (here / "counts.jsonl.receipt.json").read_bytes()
    checked = check_receipt(envelope, load_trust("counts.jsonl.trust.toml"), path="counts.jsonl")
    assert checked.receipt.functions.mapper == "words:mapper"


@pytest.mark.usefixtures("started")
def test_csv_becomes_a_dataframe(run, here):
    arguments = ("delays.py:landed", "flights.csv", "--reducer", "means", "--by", "carrier")
    done = run(*arguments, "--sort", "--out", "means.parquet", "--report", "r.html", "--quiet")
    assert (done.exit_code, done.output) == (0, "")
    means = pd.read_parquet(here / "means.parquet")
    assert means.to_dict("list") == {"carrier": ["AA", "UA"], "delay": [2.0, 2.5]}
    assert (here / "r.html").exists()
    assert not (here / "means.parquet.report.html").exists()


@pytest.mark.usefixtures("started")
def test_parquet(run, here):
    pd.read_csv(here / "flights.csv").to_parquet(here / "flights.parquet")
    done = run(
        "delays.py:landed", "flights.parquet", "--reducer", "means", "--by", "carrier", "--sort"
    )
    assert done.exit_code == 0, done.output
    assert "order" not in done.stderr
    assert [line.split() for line in done.stdout.splitlines()] == [
        ["carrier", "delay"],
        ["0", "AA", "2.0"],
        ["1", "UA", "2.5"],
    ]


@pytest.mark.usefixtures("started")
def test_without_an_answer(run, here):
    """The reason in one line, a receipt apart, and what an earlier job left untouched."""
    (here / "counts.jsonl").write_text("earlier")
    done = run("words.py", "texts", "--replicas", "1", "--out", "counts.jsonl", "--quiet", "--json")
    assert done.exit_code == 1
    (line,) = done.stderr.splitlines()
    assert line.startswith("Error: no verified answer (unchecked): replicas=1 without an audit")
    said = json.loads(done.stdout)
    assert (said["answered"], said["verdict"]) == (False, "inconclusive")
    assert (said["cause"], said["rows"]) == ("unchecked", None)
    assert (here / "counts.jsonl").read_text() == "earlier"
    assert said["paths"]["receipt"] == "counts.jsonl.failed.receipt.json"
    assert all((here / path).exists() for path in list(said["paths"].values())[:-1])
    # The next one that has an answer takes away what this one left.
    assert run("words.py", "texts", "--out", "counts.jsonl").exit_code == 0
    assert not list(here.glob("*.failed.*"))


@pytest.mark.usefixtures("started")
def test_a_function_that_fails(run, here):
    done = run("words.py:failing", "texts", "--quiet")
    assert done.exit_code == 1
    assert done.stderr.startswith("Error: ZeroDivisionError: ")
    assert "modulo by zero (line 11, in " in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert done.stderr.endswith("mend them (traceback: pass --report FILE.html)\n")
    done = run("words.py:failing", "texts", "--quiet", "--report", "why.html")
    assert done.stderr.endswith("mend them (traceback: why.html)\n")
    assert "ZeroDivisionError" in (here / "why.html").read_text()


@pytest.mark.usefixtures("started")
@pytest.mark.parametrize("name", ["c.txt", "c.txt.gz"])
def test_text_that_is_not_utf_8(run, here, name):
    """It is the input that has to be mended, not the functions."""
    data = "caf\xe9 au lait\n".encode("latin-1")
    (here / name).write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
    done = run("words.py", name, "--quiet")
    assert done.exit_code == 1
    assert done.stderr.startswith("Error: INPUT: expected text in UTF-8, got a file with other")
    assert "mend" not in done.stderr


@pytest.mark.usefixtures("started")
def test_ctrl_c_cancels_the_job(run, monkeypatch):
    jobs = []

    def interrupted(job, **options):
        jobs.append(job)
        raise KeyboardInterrupt

    monkeypatch.setattr(acting.Job, "wait", interrupted)
    done = run("words.py", "texts")
    assert done.exit_code == 130
    assert done.stderr == "Interrupted: the job is cancelled\n"
    assert jobs[0].status == "cancelled"


@pytest.mark.parametrize(
    ("error", "code"),
    [(CourierError("gone"), 1), (OSError("unreachable"), 1), (KeyboardInterrupt(), 130)],
)
def test_domains_that_are_not_there(run, monkeypatch, error, code):
    def opened(place, say):
        raise error

    monkeypatch.setattr(acting, "opened", opened)
    done = run("words.py", "texts")
    assert done.exit_code == code
    assert len(done.stderr.splitlines()) == 1


def test_domains_that_do_not_start(run, monkeypatch):
    """In one line, and with what helps in a shell."""

    def failing(*arguments, **options):
        raise RuntimeError("start it under __main__") from OSError("no port left")

    monkeypatch.setattr("dask_verify.engine.cluster.LocalDomainCluster", failing)
    done = run("words.py", "texts", "--quiet")
    assert done.exit_code == 1
    (line,) = done.stderr.splitlines()
    assert line.startswith("Error: the workers of 'alice', 'bob', 'carol' did not start (OSError:")
    assert "__main__" not in line


# --- in processes of their own ----------------------------------------------------------------


def test_what_a_newcomer_does(here):
    """Count words of a folder with a domain that cheats, and check the receipt."""
    noisy = (
        (here / "words.py").read_text().replace("    return [", "    print('noise')\n    return [")
    )
    (here / "words.py").write_text("print('noise')\n" + noisy)
    done = dask(
        "run", "words.py", "texts", "--out", "counts.jsonl", "--cheat", "bob", *ONLY, cwd=here
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == ""
    assert "verdict      CORRECTED" in done.stderr
    assert "bob: EXPOSED" in done.stderr
    assert counted((here / "counts.jsonl").read_text()) == COUNTS
    (command,) = [line.split()[1:] for line in done.stderr.splitlines() if line[:6] == "check "]
    assert command[:3] == ["dask", "verify", "check"]
    checked = dask(*command[2:], "--json", cwd=here)
    assert checked.returncode == 0, checked.stderr
    said = json.loads(checked.stdout)
    assert said["domains"]["bob"]["standing"] == "exposed"
    exhibit = ("counts.jsonl.exhibit-0.json", "--trust", "counts.jsonl.trust.toml", "--json")
    shown = dask("exhibit", "show", *exhibit, cwd=here)
    assert json.loads(shown.stdout)["blamed"] == ["bob"]
    (here / "counts.jsonl").write_text('["to", 4]\n')
    assert dask(*command[2:], cwd=here).returncode == 1


@pytest.mark.matrix
def test_a_real_ctrl_c(here):
    (here / "slow.py").write_text(
        "import pathlib, time\n\n\ndef mapper(line):\n"
        f"    pathlib.Path({str(here / 'began')!r}).touch()\n    time.sleep(5)\n    return []\n\n\n"
        "def reducer(key, values):\n    return 0\n"
    )
    command = [sys.executable, "-m", "dask", "verify", "run", "slow.py", "texts", *ONLY]
    process = subprocess.Popen(
        command,
        cwd=here,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=hears_ctrl_c,
    )
    try:
        while not (here / "began").exists():
            assert process.poll() is None
        os.killpg(process.pid, signal.SIGINT)  # as a terminal does
        _, said = process.communicate(timeout=90)
    finally:
        process.kill()
    assert process.returncode == 130, said
    assert said.splitlines() == [
        "Starting alice, bob on this machine",
        "Interrupted: the job is cancelled",
    ]
