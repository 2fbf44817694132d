"""``... check``: exit codes, what is printed, and what a terminal must not get."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from made import NAMES, TRUST, closed, envelope, job

from dask_verify.evidence.__main__ import evidence
from dask_verify.evidence.enrolment.trust import Entry, Trust
from dask_verify.evidence.receipts.values import Receipt
from dask_verify.testing.simulation.enrolment import identity


def check(folder: Path, receipt: Receipt | bytes, *options: str, trust: Trust = TRUST) -> Result:
    path, known = folder / "receipt.json", folder / "domains.toml"
    path.write_bytes(receipt if isinstance(receipt, bytes) else envelope(receipt))
    known.write_bytes(trust.to_bytes())
    return CliRunner().invoke(evidence, ["check", str(path), "--trust", str(known), *options])


def corrected() -> Receipt:
    return closed(job(replicas=2, behaviours={"bob": "wrong"}))


def test_a_receipt_that_holds(tmp_path: Path) -> None:
    done = check(tmp_path, corrected())
    assert done.exit_code == 0
    assert "verdict      CORRECTED" in done.output
    assert "bob: EXPOSED" in done.output
    assert "blamed bob (referee)" in done.output
    assert "data         not compared (--data)" in done.output


def test_the_same_for_programs(tmp_path: Path) -> None:
    said = json.loads(check(tmp_path, corrected(), "--json").stdout)
    assert (said["holds"], said["verdict"], said["votes"]) == (True, "corrected", 2)
    assert [n for n, d in said["domains"].items() if d["standing"] == "exposed"] == ["bob"]
    assert {d["enrolled"] for d in said["domains"].values()} == {True}
    assert "bob" in said["disputes"][0]["culprits"]


@pytest.mark.parametrize("options", [("--replicas", "3"), ("--min-audit", "0.5")])
def test_a_demand_that_is_not_met(tmp_path: Path, options: tuple[str, ...]) -> None:
    done = check(tmp_path, corrected(), *options)
    assert done.exit_code == 1
    assert done.stderr.startswith("does not hold: ")
    done = check(tmp_path, corrected(), *options, "--json")
    said = json.loads(done.stdout)
    assert (done.exit_code, said["holds"]) == (1, False)
    assert done.stderr == f"does not hold: {said['error']}\n"
    assert {"statement", "expected", "got", "error"} <= said.keys()


@pytest.mark.parametrize("data", [b"", b"{}", b"\xff" * 100, b"[" * 10_000])
def test_what_is_no_receipt_at_all_is_wrong_usage(tmp_path: Path, data: bytes) -> None:
    done = check(tmp_path, data)
    assert done.exit_code == 2
    assert done.stderr.startswith("not a receipt: ")


@pytest.mark.parametrize(
    "data",
    [
        b'{"payload": ""}',
        rb'{"\u0070ayload": ""}',
        b'{"payload": "' + b"[" * 10_000,
        envelope(corrected())[:40],
        envelope(corrected())[:-40],
    ],
)
def test_what_looks_like_one_does_not_hold(tmp_path: Path, data: bytes) -> None:
    done = check(tmp_path, data)
    assert done.exit_code == 1
    assert done.stderr.startswith("does not hold: ")


@pytest.mark.parametrize(
    "options",
    [("--replicas", "0"), ("--min-audit", "2"), ("--data", "nowhere.jsonl"), ("--surprise",)],
)
def test_wrong_usage(tmp_path: Path, options: tuple[str, ...]) -> None:
    assert check(tmp_path, corrected(), *options).exit_code == 2


def test_files_that_are_not_there_are_wrong_usage(tmp_path: Path) -> None:
    check(tmp_path, corrected())
    receipt, trust = str(tmp_path / "receipt.json"), str(tmp_path / "domains.toml")
    for command in ([receipt, "--trust", "no"], ["no", "--trust", trust], [receipt]):
        assert CliRunner().invoke(evidence, ["check", *command]).exit_code == 2
    (tmp_path / "domains.toml").write_text("version = 2")
    done = CliRunner().invoke(evidence, ["check", receipt, "--trust", trust])
    assert done.exit_code == 2


def test_who_is_not_enrolled_or_has_another_name_there(tmp_path: Path) -> None:
    known = Trust(
        (Entry("ally", identity("alice").public_key), *TRUST.entries[2:]), TRUST.coordinator
    )
    done = check(tmp_path, closed(job(replicas=3, names=NAMES, faults=1)), trust=known)
    assert "ally in the trust file" in done.output
    assert "NOT in the trust file" in done.output


def test_penalty_and_contact_of_who_was_wrong_are_shown(tmp_path: Path) -> None:
    entries = [replace(e, penalty="a month", contact="ops@b") for e in TRUST.entries]
    done = check(tmp_path, corrected(), trust=Trust(tuple(entries), TRUST.coordinator))
    assert done.output.count("penalty: a month; contact: ops@b") == 1


@pytest.mark.parametrize("text", ["x\n\x1b[2Jdata  all is well", "\u202egnihton", "a\rb"])
def test_a_terminal_gets_no_orders(tmp_path: Path, text: str) -> None:
    honest = corrected()
    changes: list[dict[str, Any]] = [
        {"started": text},
        {"functions": replace(honest.functions, mapper=text)},
    ]
    for change in changes:
        done = check(tmp_path, replace(honest, **change))
        assert done.exit_code == 0
        assert not {"\x1b", "\u202e", "\r"}.intersection(done.output)
        assert len(done.output.splitlines()) == len(check(tmp_path, honest).output.splitlines())
