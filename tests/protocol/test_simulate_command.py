"""The command: what it prints, how it exits, and that a seed is the same job everywhere."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest
from click.testing import CliRunner, Result

from dask_verify.protocol.job import JobState
from dask_verify.protocol.staffing import Crew
from dask_verify.testing import simulate as command
from dask_verify.testing.simulation.mixes import MIXES, mix_of, scenario
from dask_verify.testing.simulation.pending import shown
from dask_verify.testing.simulation.report import MEANING, Report
from dask_verify.testing.simulation.running import reports, simulate_range


def call(*arguments: str | int) -> Result:
    return CliRunner().invoke(command.main, list(map(str, arguments)))


def test_it_exits_with_0_and_counts_every_mix() -> None:
    done = call("--seeds", len(MIXES), "--first", 40)
    assert done.exit_code == 0, done.output
    for mix in MIXES:
        assert mix in done.stdout
    for meaning in MEANING.values():
        assert f"          0 {meaning}" in done.stdout
    assert f"{len(MIXES)} jobs" in done.stdout


def test_it_prints_json() -> None:
    done = call("--seeds", 6, "--mix", "lying", "--json")
    report = json.loads(done.stdout)
    assert (report["jobs"], report["sound"], report["failures"]) == (6, True, [])
    assert list(report["mixes"]) == ["lying"]
    assert set(report["broken"]) == set(MEANING)


@pytest.mark.parametrize("wrong", [("--seeds", 0), ("--first", -1), ("--mix", "no such"), ("x",)])
def test_it_exits_with_2_where_it_is_called_wrongly(wrong: tuple[str | int, ...]) -> None:
    assert call(*wrong).exit_code == 2


def test_it_exits_with_1_and_says_how_to_replay(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Crew, "_quorum", lambda crew, doubted: 1)
    done = call("--seeds", 60, "--mix", "colluding")
    assert done.exit_code == 1
    assert " 0 wrong answers accepted" not in done.stdout
    line = next(line for line in done.stdout.splitlines() if line.startswith("wrong"))
    _, arguments = line.split("python -m dask_verify.testing.simulate ")
    again = call(*arguments.split())
    assert again.exit_code == 1
    assert "broken: wrong answers accepted" in again.stdout


def test_an_error_of_the_protocol_is_a_failure_that_can_be_replayed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(*args: object) -> None:
        raise ZeroDivisionError("a defect")

    monkeypatch.setattr(JobState, "_claimed", fail)
    assert "1 errors in the protocol" in call("--seeds", 1).stdout
    again = call("--replay", 0)
    assert again.exit_code == 1
    assert "a defect" in again.stderr


def test_a_replay_shows_every_event_and_the_verdict() -> None:
    world = scenario(23)
    done = call("--replay", 23)
    assert done.exit_code == 0
    world.run()
    for number, event in enumerate(world.events, 1):
        assert f"{number:>5}  {shown(event)}" in done.stdout
    assert world.job.finished is not None
    assert world.job.finished.verdict.value in done.stdout
    assert mix_of(23) in done.stdout


def test_several_processes_give_the_same_report() -> None:
    parts = list(reports(range(45), jobs=2, part=20))
    assert [part.jobs for part in parts] == [20, 20, 5]
    merged = Report()
    for part in parts:
        merged.merge(part)
    assert merged.to_dict() == simulate_range(range(45)).to_dict()


SCRIPT = """
import random, sys
random.seed({random})
from dask_verify.testing.simulation.mixes import scenario
from dask_verify.testing.simulation.pending import shown
from dask_verify.testing.simulation.promises import play
from dask_verify.testing.simulation.replaying import snapshot
for seed in {seeds}:
    world = scenario(seed)
    random.random()
    print(seed, world.behaviours, play(world))
    print(*map(shown, world.events), sep="\\n")
    print(snapshot(world.job)[:5])
"""


def test_a_seed_is_the_same_job_in_every_process() -> None:
    """Whatever the order of sets, the state of `random`, and what ran before."""
    seeds = list(range(2 * len(MIXES)))
    logs = [
        _log(hash_seed="1", random=1, seeds=seeds),
        _log(hash_seed="77", random=2, seeds=seeds),
    ]
    assert len(logs[0].splitlines()) > 10 * len(seeds)
    assert logs[0] == logs[1]
    assert _log(hash_seed="5", random=3, seeds=seeds[30:]) in logs[0]


def _log(hash_seed: str, **values: object) -> str:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT.format(**values)],
        capture_output=True,
        text=True,
        check=True,
        env=os.environ | {"PYTHONHASHSEED": hash_seed},
    )
    return done.stdout
