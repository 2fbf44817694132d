"""What one step of a job's thread does in which order."""

from __future__ import annotations

import threading
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from dask_verify.engine.driver import Driver
from dask_verify.engine.inbox import Look
from dask_verify.errors import JournalError
from dask_verify.protocol.messages import Finished, Verdict

AGREED, CORRECTED = Finished(Verdict.AGREED, "", ""), Finished(Verdict.CORRECTED, "", "")


def nothing(*_: Any) -> None:
    """Do what does not matter here."""


def stepping(*taken: Any, sync: Callable[[], None] = lambda: None) -> Any:
    """A driver that has ended with an answer, and is told some things."""
    of: Any = object.__new__(Driver)
    of._events = SimpleNamespace(queue=None)
    of._dispatcher = SimpleNamespace(
        pump=nothing, next_of=lambda queue: list(taken), overdue=dict, drop=nothing
    )
    of._carrier, of._launcher = SimpleNamespace(landed=nothing), SimpleNamespace(flush=nothing)
    of._publisher = SimpleNamespace(look=nothing)
    of._recorder = SimpleNamespace(sync=sync)
    of.state = SimpleNamespace(finished=AGREED, resting=True, exposed=frozenset())
    of.changed = threading.Condition()
    of._decided, of._dropped = [], frozenset()
    of._closed, of._written = False, AGREED
    of.crash, of.rests = "", True
    return of


def corrects(of: Any) -> None:
    of.state.finished = CORRECTED


def test_others_look_at_what_is_written_down() -> None:
    """A receipt may be signed of what is seen there, and the machine fail before it is on disk."""
    on_disk: list[bool] = []
    look = Look(lambda: (bool(on_disk), of.finished))
    of = stepping(look, lambda: corrects(of), sync=lambda: on_disk.append(True))
    assert of._step()
    assert look.found.result(0) == (True, CORRECTED)


def test_what_cannot_be_written_down_is_seen_by_nobody() -> None:
    def full() -> None:
        raise JournalError("make room")

    look = Look(lambda: of.finished)
    of = stepping(look, lambda: corrects(of), sync=full)
    with pytest.raises(JournalError):
        of._step()
    assert not look.found.done()
    assert of.finished is AGREED  # until the end of the thread says that nothing holds
    of.crash = "make room"
    assert of.finished is None


@pytest.mark.parametrize("crash", ["", "a defect"])
@pytest.mark.parametrize("keeps", [True, False])
def test_nothing_is_signed_of_what_a_journal_may_lack(crash: str, keeps: bool) -> None:
    """Whatever the thread ended by: what it handled last is not on disk."""
    of = stepping()
    of.crash, of._recorder.keeps = crash, keeps
    if crash and keeps:
        with pytest.raises(JournalError, match=crash):
            of.check_written()
    else:
        of.check_written()


@pytest.mark.parametrize("asked", ["first", "second"])
def test_a_question_that_was_set_aside_is_not_arbitrated(asked: str) -> None:
    of, settled = stepping(), list[str]()
    of.state.arbitrated = "second"
    of.arbiter = SimpleNamespace(settle=settled.append)
    of._settle(asked)
    assert settled == (["second"] if asked == "second" else [])
