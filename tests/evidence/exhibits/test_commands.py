"""``exhibit show`` and ``exhibit replay``: what they print, and how they end."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import exhibiting as ex
import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

from dask_verify.core.canonical import encode_frame, encode_records
from dask_verify.core.merkle import BLAKE3
from dask_verify.evidence.enrolment.trust import Entry, Trust, save_trust
from dask_verify.evidence.exhibits.commands import exhibit as command
from dask_verify.evidence.exhibits.exhibit import Exhibit
from dask_verify.evidence.exhibits.showing import _beside, show
from dask_verify.protocol.messages import MAP, Task


@pytest.fixture
def made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Exhibit:
    bench = ex.Court(ex.bag(ex.install(tmp_path, monkeypatch)), Task(MAP, 0), tmp_path)
    bench.stores = {"alice": bench.truth, "bob": ex.tampered(bench.truth, 4)}
    return bench.exhibit([bench.claim("alice"), bench.claim("bob")])


@pytest.fixture
def file(made: Exhibit, tmp_path: Path) -> str:
    path = tmp_path / "exhibit.json"
    path.write_bytes(made.to_bytes(ex.COORDINATOR))
    return str(path)


def trust_file(folder: Path, *names: str, **keys: bytes) -> str:
    known = {**{n: i.public_key for n, i in ex.KEYS.items()}, **keys}
    path = folder / "domains.toml"
    coordinator = known.get("coordinator", ex.COORDINATOR.public_key)
    entries = tuple(Entry(name, known[name]) for name in names)
    save_trust(path, Trust(entries, Entry("coordinator", coordinator)))
    return str(path)


def run(*arguments: str) -> Any:
    return CliRunner().invoke(command, arguments)


def test_show_prints_the_differing_records_side_by_side(file: str) -> None:
    done = run("show", file)
    assert done.exit_code == 0, done.output
    lines = done.output.splitlines()
    assert "blamed       bob" in lines
    assert "mapper       own_code:pairs" in lines
    assert any("the coordinator, alice" in line and "| bob" in line for line in lines)
    assert any(line.startswith("*2 ") and "|" in line for line in lines)
    assert "not checked against a trust file" in lines[-1]
    assert max(map(len, lines[:-1])) <= 100


def test_replay_says_who_was_right(file: str, tmp_path: Path) -> None:
    done = run("replay", file, "--trust", trust_file(tmp_path, "alice", "bob"))
    assert done.exit_code == 0, done.output
    assert "confirmed     the recomputation contradicts bob" in done.output
    assert "keys checked against" in done.output
    plain = json.loads(run("replay", file, "--json").output)
    assert (plain["confirmed"], plain["contradicted"]) == (True, ["bob"])
    assert (plain["trust"], plain["code"]) == (None, "named")


def test_show_says_the_same_to_programs(file: str, made: Exhibit, tmp_path: Path) -> None:
    said = json.loads(run("show", file, "--json").stdout)
    assert (said["stage"], said["partition"], said["blamed"]) == ("map", 0, ["bob"])
    assert said["functions"]["mapper"] == "own_code:pairs"
    assert set(said["signed"]) == {"alice", "bob"}
    assert (said["text"], said["trust"]) == (show(made), None)
    trust = trust_file(tmp_path, "alice", "bob")
    assert json.loads(run("show", file, "--json", "--trust", trust).stdout)["trust"] == trust


@pytest.mark.parametrize("command", ["show", "replay"])
@pytest.mark.parametrize(
    ("names", "keys", "words"),
    [
        (("alice",), {}, "key of bob: expected a domain of the trust file"),
        (("alice", "bob"), {"bob": ex.KEYS["carol"].public_key}, "key of bob"),
        (
            ("alice", "bob"),
            {"coordinator": ex.KEYS["carol"].public_key},
            "envelope: expected a signature by",
        ),
    ],
)
def test_keys_that_are_not_trusted_do_not_hold(
    file: str, tmp_path: Path, command: str, names: Any, keys: Any, words: str
) -> None:
    done = run(command, file, "--trust", trust_file(tmp_path, *names, **keys))
    assert done.exit_code == 1
    assert f"does not hold: {words}" in done.output


def test_code_that_is_not_run_is_a_matter_of_usage(made: Exhibit, file: str) -> None:
    names = {**made.functions.names, "mapper": "os:system"}
    functions = replace(made.functions, names=names, importable=frozenset())
    Path(file).write_bytes(replace(made, functions=functions).to_bytes(ex.COORDINATOR))
    done = run("replay", file)
    assert done.exit_code == 2
    assert "not run: mapper: expected a function of the user's own code" in done.output
    assert run("replay", file, "--trust-code").exit_code == 0


@pytest.mark.parametrize("command", ["show", "replay"])
def test_files_that_are_none(tmp_path: Path, file: str, command: str) -> None:
    bad = tmp_path / "bad.json"
    bad.write_bytes(b"{}")
    done = run(command, str(bad))
    assert done.exit_code == 2
    assert done.stderr.startswith("not an exhibit: ")
    bad.write_bytes(Path(file).read_bytes()[:-40])
    assert run(command, str(bad)).exit_code == 1
    assert run(command, str(tmp_path / "absent")).exit_code == 2
    assert run(command, str(tmp_path)).exit_code == 2
    assert run(command, file, "--trust", str(bad)).exit_code == 2
    assert run(command).exit_code == 2


def test_a_replay_imports_nothing_of_dask(file: str, tmp_path: Path) -> None:
    for name in ("dask", "distributed"):  # found first, here and in the fresh processes
        (tmp_path / f"{name}.py").write_text("raise ImportError('there is no Dask')")
    code = (
        f"from dask_verify.evidence.exhibits.commands import exhibit\nexhibit(['replay', {file!r}])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr


def test_what_lies_in_the_current_folder_is_not_imported(
    file: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "downloads"
    folder.mkdir()
    (folder / "own_code.py").write_text("raise SystemExit('ran what lay beside the exhibit')")
    monkeypatch.chdir(folder)
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))
    done = run("replay", file)
    assert done.exit_code == 2
    assert "cannot be imported; set an absolute PYTHONPATH" in done.output


# --- what liars would have shown --------------------------------------------------------------


def beside(one: bytes, other: bytes) -> str:
    return "\n".join(_beside(("alice", one), ("bob", other)))


def test_unequal_lengths_are_shown() -> None:
    text = beside(encode_records(["a", "b"]), encode_records(["a"]))
    assert "first difference in record 1" in text
    assert "(no record)" in text


def test_only_some_records_around_the_difference_are_shown() -> None:
    one, other = list(range(1000)), list(range(1000))
    other[500] = -1
    lines = beside(encode_records(one), encode_records(other)).splitlines()
    assert len(lines) == 9
    assert "*500" in "\n".join(lines)


def test_the_differing_part_of_a_long_record_is_shown() -> None:
    text = beside(encode_records(["x" * 9000 + "a"]), encode_records(["x" * 9000 + "b"]))
    assert "xa'" in text
    assert "xb'" in text


def test_records_that_read_the_same_are_told_apart_by_type() -> None:
    one = pd.DataFrame({"x": np.array([1], dtype="int32")})
    text = beside(encode_frame(one), encode_frame(one.astype("int8")))
    assert "differ in their types" in text
    assert "int32" in text
    assert "int8" in text


@pytest.mark.parametrize(
    "leaf",
    [
        b"garbage",
        encode_frame(pd.DataFrame(index=pd.RangeIndex(2**40))),
        encode_records([10**5000]),
        encode_records([b"\x00" * (5 << 20)]),
    ],
)
def test_leaves_that_cannot_be_shown_are_said_to_be_so(leaf: bytes) -> None:
    text = beside(encode_records(["a"]), leaf)
    assert "(" in text
    assert "differ from byte" in text


def test_nothing_reaches_the_terminal_that_it_would_act_on(made: Exhibit) -> None:
    (leaf, *rest) = made.leaves
    hostile = encode_frame(pd.DataFrame({"\x1b[2J\u202e\n": [1]}))
    bad = replace(leaf, data=hostile, hash=BLAKE3.leaf(hostile))
    names = {**made.functions.names, "mapper": "\x1b]0;x\x07:y"}
    functions = replace(made.functions, names=names)
    text = show(replace(made, leaves=(bad, *rest), functions=functions, settled="withheld: \r"))
    assert all(line.isprintable() for line in text.splitlines())
