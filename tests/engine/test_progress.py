"""What a job shows while it runs: in a terminal, in a notebook, and where nobody watches."""

from __future__ import annotations

import fcntl
import io
import os
import struct
import sys
import termios
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from dask_verify.engine import progress
from dask_verify.engine.handle import Job
from dask_verify.engine.progress import Announced, Progress
from dask_verify.engine.report import Report
from dask_verify.protocol.audit import Audit
from dask_verify.protocol.divergence import Divergence
from dask_verify.views.lines import width_of

DIVERGENCE = Divergence("map", 3, (7,), ("alice", "bob"), ("bob",), "map", "referee")
AUDIT = Audit("map", 1, (4,), "units", ("bob",), "carol", "agreed", "ab" * 32)
WIDTHS = (2, 3, 9, 20, 40, 79, 80, 200)


class FakeJob:
    """What progress reads of a job."""

    def __init__(self) -> None:
        self.status = "running"
        self.looks = 0
        self._announced = Announced()
        self.audits: list[Audit] = []
        self.state = SimpleNamespace(
            progress={"map": (1, 4), "reduce": (0, 2)},
            divergences=[],
            audits=SimpleNamespace(made=self.audits),
        )
        self._driver = SimpleNamespace(state=self.state)

    def _report(self, brief: bool) -> Report:
        assert brief
        self.looks += 1
        stages = self.state.progress
        return Report("ab", None, "", {}, (), {}, 0, 0, (), stages, False, status=self.status)


class Watched(io.StringIO):
    """What claims to be a terminal, and does not say how wide."""

    def isatty(self) -> bool:
        return True


class Screen:
    """A terminal of some width: what stands in its lines after all that was written."""

    def __init__(self, width: int) -> None:
        self.width, self.at = width, 0
        self.lines: list[list[str]] = [[]]

    def write(self, text: str) -> None:
        for character in text:
            if character == "\n":
                self.lines.append([])
                self.at = 0
            elif character == "\r":
                self.at = 0
            else:
                assert character.isprintable(), repr(character)
                line = self.lines[-1]
                line += [" "] * (self.at + width_of(character) - len(line))
                line[self.at : self.at + width_of(character)] = [character, ""][
                    : width_of(character)
                ]
                self.at += width_of(character)
                assert self.at < max(2, self.width), "the terminal would begin a new line"

    @property
    def text(self) -> list[str]:
        return ["".join(line).rstrip() for line in self.lines]


@contextmanager
def terminal(monkeypatch: pytest.MonkeyPatch, width: int = 80) -> Iterator[Any]:
    """A pseudo-terminal as stderr; gives what has been written so far."""
    master, slave = os.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, width, 0, 0))
    settings = termios.tcgetattr(slave)
    settings[1] &= ~termios.OPOST  # a newline stays one character
    termios.tcsetattr(slave, termios.TCSANOW, settings)
    os.set_blocking(master, False)
    got = b""

    def written() -> str:
        nonlocal got
        try:
            while piece := os.read(master, 1 << 16):
                got += piece
        except BlockingIOError:
            pass
        return got.decode()

    with open(slave, "w", encoding="utf-8") as stream, monkeypatch.context() as patch:
        patch.setattr(sys, "stderr", stream)
        yield written
    os.close(master)


def screen(text: str, width: int = 80) -> list[str]:
    found = Screen(width)
    found.write(text)
    return found.text


# --- terminals ------------------------------------------------------------------------------


def test_a_line_is_redrawn_and_stays_in_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    job = FakeJob()
    with terminal(monkeypatch) as written:
        with Progress(job, True) as shown:
            shown.update()
            assert screen(written()) == [
                "map [###         ] 1/4  reduce [            ] 0/2  divergences 0  running"
            ]
            job.state.progress = {"map": (4, 4), "reduce": (2, 2)}
            job.status = "agreed"
        assert screen(written()) == [
            "map [############] 4/4  reduce [############] 2/2  divergences 0  agreed",
            "",
        ]


@pytest.mark.parametrize("width", WIDTHS)
def test_nothing_is_wider_than_the_terminal(monkeypatch: pytest.MonkeyPatch, width: int) -> None:
    job = FakeJob()
    with terminal(monkeypatch, width) as written:
        with Progress(job, True) as shown:
            shown.update()
            job.audits += [AUDIT, replace(AUDIT, outcome="contradicted", auditor="漢" * 99)]
            job.state.divergences.append(replace(DIVERGENCE, domains=("x" * 9, "漢字" * 99)))
            shown.update()
        lines = screen(written(), width)
        assert all(width_of(line) < max(2, width) for line in lines)
        assert len(lines) == 5


def test_a_narrower_terminal_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    job = FakeJob()
    with terminal(monkeypatch) as written, Progress(job, True) as shown:
        shown.update()
        before = len(written())
        fcntl.ioctl(sys.stderr, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 30, 0, 0))
        shown.update()
        assert len(written()[before:]) <= 30


def test_a_line_that_says_the_same_is_not_written_again(monkeypatch: pytest.MonkeyPatch) -> None:
    with terminal(monkeypatch) as written, Progress(FakeJob(), True) as shown:
        shown.update()
        before = written()
        shown.update()
        assert written() == before != ""


def test_a_terminal_of_no_size_counts_as_a_usual_one(monkeypatch: pytest.MonkeyPatch) -> None:
    with terminal(monkeypatch, 0) as written:
        with Progress(FakeJob(), True):
            pass
        assert "map [###         ] 1/4" in screen(written())[0]


def test_audits_and_divergences_come_as_lines_once(monkeypatch: pytest.MonkeyPatch) -> None:
    job = FakeJob()
    job.audits.append(replace(AUDIT, outcome="pending"))
    with terminal(monkeypatch, 120) as written:
        with Progress(job, True) as shown:
            shown.update()
            assert len(screen(written(), 120)) == 1, "pending is no news"
            job.audits[0] = AUDIT
            job.state.divergences.append(DIVERGENCE)
            shown.update()
            shown.update()
        assert screen(written(), 120)[:2] == [
            "audit        map partition 1: agreed (by carol)",
            "divergence   map partition 3, unit 7: blamed bob (referee); alice against bob",
        ]
        assert len(screen(written(), 120)) == 4
        before = len(written())
        with Progress(job, True):  # somebody waits again
            pass
        assert "partition" not in written()[before:]


def test_many_are_counted_only(monkeypatch: pytest.MonkeyPatch) -> None:
    job = FakeJob()
    job.audits += [AUDIT] * 5000 + [replace(AUDIT, outcome="unopened")] * 70
    job.state.divergences += [DIVERGENCE] * 3000
    stream = Watched()  # a pseudo-terminal holds less, and nobody reads it meanwhile
    monkeypatch.setattr(sys, "stderr", stream)
    with Progress(job, True):
        pass
    text = stream.getvalue()
    assert text.count("agreed (by carol)") == 20
    assert text.count("unopened (by carol)") == 70
    assert text.count("divergence ") == 30
    assert text.count("only counted from here on") == 1
    assert text.count("more are in job.report from here on") == 1
    assert "divergences 3000  audits 5070  running" in text


def test_what_domains_wrote_does_nothing_to_the_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    job = FakeJob()
    evil = "\x1b[2J\x1b]0;x\x07\u202e\r\n\udcff"
    job.state.divergences.append(replace(DIVERGENCE, domains=(evil,), settled=evil))
    job.audits.append(replace(AUDIT, outcome=evil, auditor=evil))
    with terminal(monkeypatch, 200) as written:
        with Progress(job, True):
            pass
        assert len(screen(written(), 200)) == 4  # asserts that all is printable


def test_ctrl_c_leaves_the_line_and_begins_another(monkeypatch: pytest.MonkeyPatch) -> None:
    with terminal(monkeypatch) as written:
        shown = Progress(FakeJob(), True)

        def interrupted() -> None:
            with shown:
                shown.update()
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            interrupted()
        assert len(screen(written())) == 2
        before = written()
        shown.update()
        assert written() == before, "nothing is written after the end"


def test_nothing_is_shown_of_a_job_that_has_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    job = FakeJob()
    job.status = "agreed"
    with terminal(monkeypatch) as written:
        with Progress(job, True) as shown:
            shown.update()
        assert written() == ""


@pytest.mark.parametrize("enabled", [True, False])
def test_where_nobody_watches_nothing_is_written(
    monkeypatch: pytest.MonkeyPatch, enabled: bool
) -> None:
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stderr", stream)
    with Progress(FakeJob(), enabled) as shown:
        shown.update()
        assert shown.interval(None) == 1.0
    assert stream.getvalue() == ""


def test_progress_can_be_switched_off_in_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    with terminal(monkeypatch) as written:
        with Progress(FakeJob(), False) as shown:
            shown.update()
        assert written() == ""


@pytest.mark.parametrize("stream", [None, "closed", "broken"])
def test_a_terminal_that_is_gone_stops_no_job(monkeypatch: pytest.MonkeyPatch, stream: Any) -> None:
    class Broken(Watched):
        def write(self, text: str) -> int:
            raise BrokenPipeError

    found = {None: None, "closed": io.StringIO(), "broken": Broken()}[stream]
    if stream == "closed":
        found.close()
    monkeypatch.setattr(sys, "stderr", found)
    with Progress(FakeJob(), True) as shown:
        shown.update()
        assert shown.interval(None) == 1.0, "nobody looks any more"


def test_looking_takes_a_small_share_of_the_time(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([0.0, 3.0, 10.0, 10.001])
    monkeypatch.setattr(progress.time, "perf_counter", lambda: next(clock))
    with terminal(monkeypatch):
        shown = Progress(FakeJob(), True)
        shown.update()
        assert shown.interval(None) == 60.0
        shown.update()
        assert shown.interval(None) == 0.2


# --- a job ----------------------------------------------------------------------------------


class Interrupting:
    """Stands for the event of a verdict; somebody presses Ctrl-C while it is waited for."""

    def wait(self, timeout: float | None) -> bool:
        raise KeyboardInterrupt


def test_ctrl_c_ends_the_job_and_its_line(monkeypatch: pytest.MonkeyPatch) -> None:
    closed = []
    driver = SimpleNamespace(
        decided=Interrupting(),
        state=FakeJob().state,
        finished=None,
        crash="",
        resumable=False,
        leave=lambda: None,
        close=closed.append,
    )
    job = Job(driver, [], SimpleNamespace())  # type: ignore[arg-type]
    with terminal(monkeypatch) as written:
        with pytest.raises(KeyboardInterrupt):
            job.wait()
        assert written() == "", "it was never drawn"
    assert closed == [False]
    assert job.status == "cancelled"


# --- notebooks ------------------------------------------------------------------------------


class Handle:
    """A display that remembers what it showed."""

    def __init__(self) -> None:
        self.shown: list[dict[str, str]] = []

    def update(self, shown: dict[str, str], raw: bool) -> None:
        assert raw
        self.shown.append(shown)


@pytest.fixture
def notebook(monkeypatch: pytest.MonkeyPatch) -> Handle:
    """A notebook whose displays are one handle."""
    handle = Handle()

    def display(shown: dict[str, str], raw: bool, display_id: bool) -> Handle:
        assert display_id
        handle.update(shown, raw)
        return handle

    shell = SimpleNamespace(kernel=object())
    ipython = SimpleNamespace(get_ipython=lambda: shell, display=SimpleNamespace(display=display))
    monkeypatch.setitem(sys.modules, "IPython", ipython)
    monkeypatch.setitem(sys.modules, "IPython.display", ipython.display)
    return handle


def test_a_notebook_has_one_display_that_is_replaced(notebook: Handle) -> None:
    job = FakeJob()
    with Progress(job, True) as shown:
        shown.update()
        assert shown.interval(None) >= 0.5
        job.status = "agreed"
    assert [len(s) for s in notebook.shown] == [2, 2]
    first, last = notebook.shown
    assert "RUNNING" in first["text/html"]
    assert "No verdict yet" in first["text/html"]
    assert "1 of 4 partitions accepted" in first["text/html"]
    assert "verdict      agreed" in last["text/plain"]
    shown.update()
    assert len(notebook.shown) == 2, "nothing is shown after the end"


def test_a_notebook_that_replaces_nothing_is_shown_one_display(
    notebook: Handle, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown_once: list[Any] = []
    monkeypatch.setattr(
        sys.modules["IPython.display"], "display", lambda shown, **how: shown_once.append(shown)
    )
    with Progress(FakeJob(), True) as shown:
        shown.update()
        shown.update()
    assert len(shown_once) == 1


def test_a_notebook_that_is_gone_stops_no_job(
    notebook: Handle, monkeypatch: pytest.MonkeyPatch
) -> None:
    def gone(shown: dict[str, str], raw: bool) -> None:
        raise RuntimeError("no kernel is listening")

    monkeypatch.setattr(notebook, "update", gone)
    with Progress(FakeJob(), True) as shown:
        shown.update()
        assert shown.interval(None) == 1.0, "nobody looks any more"


def test_a_notebook_needs_no_terminal(notebook: Handle, monkeypatch: pytest.MonkeyPatch) -> None:
    with terminal(monkeypatch) as written:
        with Progress(FakeJob(), True) as shown:
            shown.update()
        assert written() == ""
    assert notebook.shown
