"""The coordinator's own computing has an end, too."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from types import SimpleNamespace
from typing import Any

import pytest

from dask_verify.core.canonical import encode_records
from dask_verify.engine import arbiter
from dask_verify.engine.arbiter import Arbiter
from dask_verify.engine.examiner import Examiner, Question
from dask_verify.engine.referee import Failure, Referee, Request, _end
from dask_verify.execution.work import Work, ship
from dask_verify.protocol.domain import COORDINATOR
from dask_verify.protocol.messages import MAP, READ, Challenge, Late, StandIn, Task, Unaudited

NEVER = Failure("no result within 7 s", late=True)


def never(record: Any) -> list[Any]:
    threading.Event().wait()
    return []


def test_a_process_that_never_answers_is_killed_when_its_time_is_up() -> None:
    asked: list[str] = []
    work = Work("bag", never, lambda key, values: sum(values), None, 1, 1, 10)
    request = Request(ship(work).data, MAP, 0, payloads=((0, encode_records(["x"])),))
    referee = Referee(lambda stage: asked.append(stage) or 0.5)  # type: ignore[func-returns-value]
    failure = referee.run(request, 2)
    assert isinstance(failure, Failure)
    assert (failure.late, failure.text) == (True, "no result within 0 s")
    assert (asked, referee._running) == ([MAP], set())


def test_what_a_process_has_started_does_not_keep_it_open() -> None:
    """Whoever is left has its pipes, and may live for ever."""
    orphan = [sys.executable, "-c", "import signal; signal.alarm(60); signal.pause()"]
    code = (
        f"import subprocess; p = subprocess.Popen({orphan!r}); print(p.pid, flush=True); p.wait()"
    )
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
    assert process.stdout is not None
    child = int(process.stdout.readline())
    try:
        _end(process)
        assert process.returncode == -signal.SIGKILL
        assert process.stdout.closed
    finally:
        os.kill(child, signal.SIGKILL)


def test_standing_in_too_slowly_is_lateness_and_no_failure() -> None:
    posted: list[Any] = []
    made: Any = SimpleNamespace(
        referee=SimpleNamespace(sealed=lambda request: NEVER),
        _whole=lambda task, inputs: None,
        post=posted.append,
    )
    Arbiter.stand_in(made, StandIn(Task(MAP, 1), b"in"))
    assert posted == [Late(Task(MAP, 1), COORDINATOR, b"in", NEVER.text)]


def test_auditing_too_slowly_is_no_failure_of_the_function() -> None:
    asked = Challenge(Task(MAP, 1), b"in", b"digest", READ, (), "alice", COORDINATOR)
    made: Any = SimpleNamespace(
        referee=SimpleNamespace(run=lambda request, runs: NEVER), _request=lambda *what: None
    )
    assert Examiner.own(made, asked, Question()) == Unaudited(asked, NEVER.text, failed=False)


@pytest.mark.parametrize("hangs", [True, False])
def test_a_source_that_cannot_be_looked_at_may_have_changed(
    monkeypatch: pytest.MonkeyPatch, hangs: bool
) -> None:
    gate = threading.Event()
    monkeypatch.setattr(arbiter, "changed", lambda pins: gate.wait() if hangs else [])
    made: Any = SimpleNamespace(
        source=SimpleNamespace(pinned=lambda partition: True, pins=()),
        referee=Referee(lambda stage: 0.01 if hangs else 60.0),
    )
    assert Arbiter._source_ok(made, Task(MAP, 0)) is not hangs
    gate.set()
