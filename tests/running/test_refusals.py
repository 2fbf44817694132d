"""What cannot be done is refused in one line, with 2, before anything is started."""

from __future__ import annotations

import os

import pytest
from click.testing import CliRunner

from dask_verify.cli import verify
from dask_verify.evidence.enrolment.trust import Entry, Trust, save_trust
from dask_verify.protocol.domain import Identity

pytestmark = pytest.mark.usefixtures("nothing_starts")
TCP = "tcp://127.0.0.1:1"


@pytest.fixture
def trust(here):
    keys = {name: Identity.generate(name).public_key for name in ("alice", "bob")}
    save_trust("domains.toml", Trust(tuple(Entry(n, k) for n, k in keys.items())))


@pytest.mark.usefixtures("trust")
@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["words.py"], "Missing argument 'INPUT...'; see `verify run --help`"),
        (["words.py", "texts", "--surprise"], "--surprise"),
        (["words.py", "texts", "--npartitions", "0"], "0 is not in the range"),
        (["words.py", "texts", "--workers", "0"], "0 is not in the range"),
        (["words.py", "texts", "--audit", "much"], "'much' is not a valid float"),
        (["words.py", "texts", "--referee", "nobody"], "'nobody' is not one of"),
        (["words.py", "texts", "--format", "orc"], "'orc' is not one of"),
        (["words.py", "nowhere"], "INPUT: expected a file"),
        (["words.py", "texts", "flights.csv"], "INPUT: expected files of one format"),
        (["words.py:maper", "texts"], "FUNCTION: expected the function 'maper'"),
        (["words.py", "texts", "--reducer", "total"], "--reducer: expected the function 'total'"),
        (["words.py", "texts", "--combiner", "x"], "--combiner: expected the function 'x'"),
        (["words.py", "texts", "--by", "word"], "--by: expected only for files with columns"),
        (["words.py", "flights.csv"], "--by: expected a key column for csv"),
        (["words.py", "texts", "--sort"], "--sort: expected only with --by"),
        (
            ["delays.py:landed", "flights.csv", "--reducer", "means", "--by", "x"],
            "by: expected key",
        ),
        (["words.py", "flights.csv", "--by", "carrier"], "check the names of the columns first"),
        (["words.py", "texts", "--replicas", "4"], "--replicas=4: expected at least as many"),
        (["words.py", "texts", "--replicas", "0"], "--replicas: expected a whole number"),
        (["words.py", "texts", "--faults", "0"], "--faults: expected a whole number"),
        (["words.py", "texts", "--audit", "2"], "--audit: expected a rate from 0 to 1"),
        (["words.py", "texts", "--unit-records", "0"], "--unit-records: expected a whole"),
        (["words.py", "texts", "--domain", "alice"], "--replicas=2: expected at least as many"),
        (["words.py", "texts", "--cheat", "mallory"], "--cheat: expected one of"),
        (
            ["words.py", "texts", "--cheat", "bob", "--cheat", "alice"],
            "--cheat: expected it once, got 'bob' and 'alice'; name one; see `verify run --help`",
        ),
        (["words.py", "texts", "--journal", "j"], "--journal: expected domains with keys that"),
        (["words.py", "texts", "--scheduler", TCP], "--trust: expected the trust file"),
        (
            ["words.py", "texts", "--trust", "no.toml", "--scheduler", TCP],
            "'no.toml' does not exist",
        ),
        (["words.py", "texts", "--trust", "words.py", "--scheduler", TCP], "words.py, trust file"),
        (
            ["words.py", "texts", "--trust", "domains.toml", "--domain", f"carol={TCP}"],
            "--domain: expected names of the trust file domains.toml, which are 'alice', 'bob', got"
            " 'carol'",
        ),
        (
            [
                "words.py",
                "texts",
                "--trust",
                "domains.toml",
                "--key",
                "words.py",
                "--scheduler",
                TCP,
            ],
            "key file words.py",
        ),
        (["words.py", "texts", "--out", "no/a.jsonl"], "--out: expected a file in a folder that"),
        (["words.py", "texts", "--out", "texts"], "--out: expected a file, got the folder"),
        (["words.py", "texts", "--out", "a.parquet"], "--out: expected the name of a file that is"),
        (
            ["words.py", "texts", "--out", "/proc/counts.jsonl"],
            "--out: expected a ",
        ),
        (
            ["words.py", "texts", "--report", "/proc/r.html"],
            "--report: expected a ",
        ),
        (["words.py", "texts", "--out", "texts/a.txt"], "--out: expected a file that is no input"),
        (
            ["words.py", "texts", "--out", "texts/counts.jsonl"],
            "--out: expected a file that is not among what 'texts' names, got 'texts/counts.jsonl'",
        ),
        (
            ["words.py", "texts/*", "--out", "./texts/counts.jsonl"],
            "got './texts/counts.jsonl', which the next run would read as input; name one",
        ),
        (
            ["words.py", "texts", "--report", "texts/r.html"],
            "--report: expected a file that is not among what 'texts' names",
        ),
        (
            [
                *("words.py", "texts", "--trust", "domains.toml", "--scheduler", TCP),
                *("--journal", "texts/j"),
            ],
            "--journal: expected a file that is not among what 'texts' names",
        ),
        (["words.py", "texts", "--report", "no/a.html"], "--report: expected a file in a folder"),
        (
            ["words.py", "texts", "--out", "counts"],
            "--out: expected a name with a suffix, such as co",
        ),
        (
            ["words.py", "texts", "--report", "r.pdf"],
            "--report: expected the name of a file that is HTML",
        ),
        (["words.py", "texts", "--out", "words.py"], "--out: expected a file that is no script"),
        (
            ["words.py", "texts", "--report", "./words.py"],
            "--report: expected the name of a file that is HTML",
        ),
        (
            ["words.py", "texts", "--out", "a.html", "--report", "./a.html"],
            "--report: expected a file that is no file of the result",
        ),
        (["words.py", "texts", "--out", "/dev/null"], "--out: expected a file, or a path"),
        (
            [
                "words.py",
                "texts",
                "--trust",
                "domains.toml",
                "--scheduler",
                TCP,
                "--out",
                "domains.toml",
            ],
            "--out: expected a file that is no trust file",
        ),
        (["words.py", "texts", "--blocksize", "x"], "--blocksize: expected a size"),
    ],
)
def test_run(run, arguments, words):
    done = run(*arguments)
    assert done.exit_code == 2, done.output
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    assert line.startswith("Error: ")
    assert words in line


def test_an_input_is_known_under_any_name(run, here):
    (here / "link.jsonl").symlink_to("texts/a.txt")
    os.link("texts/a.txt", "same.jsonl")
    (here / "c.jsonl.report.html").symlink_to("texts/b.txt")
    for name in ("link.jsonl", "same.jsonl", f"file://{here}/texts/a.txt", "c.jsonl"):
        done = run("words.py", "texts", "--out", name)
        assert (done.exit_code, "--out: expected a file that is no input" in done.stderr) == (2, 1)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_may_not_be_written(run, here):
    (here / "locked").mkdir(mode=0o500)
    done = run("words.py", "texts", "--out", "locked/a.jsonl")
    assert done.exit_code == 2
    assert "which you may not write" in done.stderr


@pytest.mark.usefixtures("trust")
@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["j"], "resume: expected the domains that the job began with, got none"),
        (["j", "--domain", "alice"], "resume: expected the domains that the job began with"),
        (["j", "--scheduler", TCP], "--trust: expected the trust file"),
        (
            ["j", "--scheduler", TCP, "--trust", "domains.toml", "--out", "no/a.jsonl"],
            "--out: expected a file in a folder that is there",
        ),
        (
            ["j", "--scheduler", TCP, "--trust", "domains.toml", "--out", "j"],
            "--out: expected a file that is no journal",
        ),
        ([], "Missing argument 'JOURNAL'"),
    ],
)
def test_resume(arguments, words):
    done = CliRunner().invoke(verify, ["resume", *arguments])
    assert done.exit_code == 2, done.output
    (line,) = done.stderr.splitlines()
    assert words in line


def test_a_text_from_elsewhere_breaks_no_line(run, here):
    (here / "broken.py").write_text("raise ValueError('two\\nlines\\x1b[2J')")
    done = run("broken.py", "texts")
    assert done.exit_code == 2
    (line,) = done.stderr.splitlines()
    assert "two; lines\\x1b[2J" in line


def test_ctrl_c_before_a_job_and_in_other_commands(run, here, monkeypatch):
    """With 1, a receipt would look as if it did not hold."""
    (here / "slow.py").write_text("raise KeyboardInterrupt")
    done = run("slow.py", "texts")
    assert (done.exit_code, done.stderr) == (130, "Interrupted\n")

    def interrupted(path):
        raise KeyboardInterrupt

    monkeypatch.setattr("dask_verify.evidence.enrolment.trust.load_trust", interrupted)
    done = CliRunner().invoke(verify, ["check", "words.py", "--trust", "words.py"])
    assert (done.exit_code, done.stderr) == (130, "Interrupted\n")
