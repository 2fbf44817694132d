"""Evidence is checked where Dask is not: another environment, process and hash seed.

The environment has what ``dask_verify/evidence/requirements.txt`` lists, and a wheel of this
checkout without its other dependencies.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

pytestmark = [pytest.mark.interop, pytest.mark.cluster, pytest.mark.timeout(400)]

ROOT = Path(__file__).parents[2]
REQUIREMENTS = ROOT / "dask_verify" / "evidence" / "requirements.txt"
PIP = ("-m", "pip", "--disable-pip-version-check")
NAMES = ("alice", "bob", "carol")


@pytest.fixture(scope="session")
def python(tmp_path_factory):
    """Run the other environment's Python, in a folder of its own."""
    folder = tmp_path_factory.mktemp("bare")
    subprocess.run([sys.executable, "-m", "venv", folder / "venv"], check=True)
    program = folder / "venv" / "bin" / "python"
    outer = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}

    def run(*arguments, seed="7919"):
        environment = outer | {"PYTHONHASHSEED": seed}
        command = [program, *arguments]
        return subprocess.run(command, capture_output=True, text=True, env=environment, cwd=folder)

    for wanted in (("-r", REQUIREMENTS), ("--no-deps", ROOT)):
        installed = run(*PIP, "install", "--quiet", *wanted)
        assert installed.returncode == 0, installed.stderr
    return run


@pytest.fixture(scope="session")
def command(python):
    """Run ``python -m dask_verify.evidence``; it never ends with a traceback."""

    def run(*arguments, **options):
        done = python("-m", "dask_verify.evidence", *arguments, **options)
        assert "Traceback" not in done.stderr, done.stderr
        return done

    return run


@pytest.fixture
def check(command, evidence):
    """Check a receipt; return the exit code and what was printed as JSON."""

    def run(receipt, *options, trust=evidence.trust, **more):
        done = command("check", receipt, "--trust", trust, "--json", *options, **more)
        return done.returncode, json.loads(done.stdout)

    return run


@pytest.mark.parametrize("name", ["dask", "distributed", "yaml", "zict"])
def test_dask_is_not_there(python, name):
    done = python("-c", f"import {name}")
    assert done.returncode == 1
    assert f"ModuleNotFoundError: No module named '{name}'" in done.stderr


def test_the_package_is_the_installed_one_with_its_data(python):
    code = """
import sys, dask_verify
from importlib.resources import files
assert dask_verify.__file__.startswith(sys.prefix), dask_verify.__file__
for name in ("py.typed", "verify.yaml", "evidence/requirements.txt"):
    assert (files(dask_verify) / name).is_file(), name
"""
    done = python("-c", code)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("seed", ["0", "104729"])
def test_it_convicts_exactly_the_cheat(check, saved, seed):
    code, told = check(saved.receipt, "--data", saved.data, seed=seed)
    assert (code, told["holds"], told["verdict"]) == (0, True, "corrected")
    standings = {name: domain["standing"] for name, domain in told["domains"].items()}
    assert standings == dict.fromkeys(NAMES, "trusted") | {"bob": "exposed"}
    assert told["disputes"]
    assert told["data"] == str(saved.data)


def test_the_sample_is_drawn_again(check, evidence):
    means = evidence.results["means.parquet"].receipt
    code, told = check(means, "--min-audit", "0.7")
    assert (code, told["rate"]) == (0, 0.7)
    assert told["sampled"] > 0
    assert check(means, "--min-audit", "0.71")[0] == 1


def test_a_tampered_receipt_does_not_hold(check, mutants, tmp_path):
    by_name = {case.name: case for case in mutants}
    chosen = ("payload byte 0", "payload longer", "payload of another", "signature of another")
    for case in map(by_name.__getitem__, chosen):
        path = tmp_path / f"{case.name}.json"
        path.write_bytes(case.to_bytes())
        code, told = check(path)
        assert (code, told["holds"]) == (1, False), case.name
        assert told["statement"].startswith("envelope"), case.name


def test_the_receipt_of_other_data_does_not_hold(check, evidence):
    words, means = (evidence.results[name] for name in ("words.jsonl", "means.parquet"))
    code, told = check(words.receipt, "--data", means.data)
    assert (code, told["holds"]) == (1, False)


def test_tampered_lines_do_not_hold(check, evidence, tmp_path):
    words, path = evidence.results["words.jsonl"], tmp_path / "words.jsonl"
    text = words.data.read_text()
    assert "40" in text
    path.write_text(text.replace("40", "41", 1))
    code, told = check(words.receipt, "--data", path)
    assert (code, told["holds"]) == (1, False)


def test_a_tampered_table_does_not_hold_and_another_file_of_the_same_values_does(
    check, evidence, tmp_path
):
    means, path = evidence.results["means.parquet"], tmp_path / "means.parquet"
    frame = pd.read_parquet(means.data)
    frame.to_parquet(path, compression="gzip", row_group_size=2)
    assert path.read_bytes() != means.data.read_bytes()
    assert check(means.receipt, "--data", path)[0] == 0
    frame.loc[0, "delay"] += 1e-9
    frame.to_parquet(path)
    code, told = check(means.receipt, "--data", path)
    assert (code, told["holds"]) == (1, False)


def test_a_checker_may_demand_more_than_the_job_did(check, evidence):
    honest = evidence.results["honest.jsonl"].receipt
    code, told = check(honest, "--replicas", "2")
    assert (code, told["verdict"], told["votes"], told["disputes"]) == (0, "agreed", 2, [])
    for demand in (("--replicas", "3"), ("--min-audit", "0.5")):
        code, told = check(honest, *demand)
        assert (code, told["holds"]) == (1, False)
        assert told["expected"]
    code, told = check(evidence.results["words.jsonl"].receipt, "--replicas", "4")
    assert (code, told["holds"]) == (1, False)


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["check"],
        ["check", "RECEIPT"],
        ["check", "RECEIPT", "--trust", "no-such-file"],
        ["check", "no-such-file", "--trust", "TRUST"],
        ["check", "RECEIPT", "--trust", "RECEIPT"],
        ["check", "RECEIPT", "--trust", "TRUST", "--replicas", "none"],
        ["check", "RECEIPT", "--trust", "TRUST", "--min-audit", "2"],
        ["check", "RECEIPT", "--trust", "TRUST", "--force"],
        ["no-such-command"],
    ],
    ids=" ".join,
)
def test_what_cannot_be_asked_so_ends_with_2(command, evidence, arguments):
    paths = {"RECEIPT": evidence.results["words.jsonl"].receipt, "TRUST": evidence.trust}
    done = command(*(paths.get(a, a) for a in arguments))
    assert done.returncode == 2
    if arguments:
        (line,) = done.stderr.splitlines()
        assert line.startswith("Error: ")
    else:
        assert "Usage:" in done.stderr


def test_keys_are_made_and_enrolled(command, check, evidence, tmp_path):
    trust = tmp_path / "trust.toml"
    trust.write_bytes(evidence.trust.read_bytes())
    made = command("keygen", "dave", "--out", tmp_path, "--contact", "dave@example.org")
    assert made.returncode == 0, made.stderr
    assert (tmp_path / "dave.key").stat().st_mode & 0o077 == 0
    enrolled = command("enroll", trust, tmp_path / "dave.toml")
    assert enrolled.returncode == 0, enrolled.stderr
    assert 'name = "dave"' in trust.read_text()
    assert check(evidence.results["words.jsonl"].receipt, trust=trust)[0] == 0


def test_exhibits_are_shown_and_computed_again(command, saved, evidence):
    assert saved.exhibits
    exhibit, *_ = saved.exhibits
    shown = command("exhibit", "show", exhibit, "--trust", evidence.trust)
    assert shown.returncode == 0, shown.stderr
    assert "bob" in shown.stdout
    refused = command("exhibit", "replay", exhibit, "--trust", evidence.trust)
    assert refused.returncode == 2, "the functions are in a pickle"
    asked = ["--trust", evidence.trust, "--trust-code", "--json"]
    replayed = command("exhibit", "replay", exhibit, *asked)
    assert replayed.returncode == 0, replayed.stdout + replayed.stderr
    assert "bob" in replayed.stdout
