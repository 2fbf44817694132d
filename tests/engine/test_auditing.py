"""Challenges on their way: what is asked, and what becomes of answers."""

from __future__ import annotations

from collections import Counter
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from distributed.scheduler import KilledWorker

from dask_verify.core.canonical import decode, encode
from dask_verify.engine.auditing import Auditor
from dask_verify.engine.dispatch import Flight
from dask_verify.engine.examiner import Question
from dask_verify.engine.reader import GoneError, UnservedError
from dask_verify.protocol.domain import COORDINATOR
from dask_verify.protocol.messages import (
    MAP,
    REDUCE,
    Audited,
    Challenge,
    Recount,
    Recounted,
    Task,
    Unaudited,
    Unopened,
)

TASK = Task(REDUCE, 1)
QUESTION = Question(((4, (b"cell",)),), (b"expected leaf hash",), (b"digest of the question",))


def challenge(domain="bob"):
    return Challenge(TASK, b"inputs", b"digest", "units", (4,), "alice", domain)


class Examiner:
    """Asks what it is told to, or raises it."""

    def __init__(self, question):
        self._question = question
        self.reader = SimpleNamespace(moved=Counter())

    def question(self, challenge):
        if isinstance(self._question, Exception):
            raise self._question
        return self._question

    def own(self, challenge, question):
        return Audited(challenge, b"own", question.expected, question.digests)

    def recount(self, instruction):
        if isinstance(self._question, Exception):
            raise self._question
        return Recounted(instruction.task, instruction.inputs, (), 5)


class Futures:
    """A launcher and a dispatcher that keep what they are given."""

    def __init__(self, error=None):
        self.error, self.sent, self.flying, self.done = error, [], {}, []

    def audit(self, challenge, asked):
        if self.error is not None:
            raise self.error
        self.sent.append(asked)
        return SimpleNamespace(status="pending", add_done_callback=self.done.append)

    read = audit

    def challenge(self, challenge, question):
        self.flying[challenge] = Flight(challenge, False, 0.0, question=question)
        return self.flying[challenge]

    def landed(self, challenge):
        return self.flying.pop(challenge, None)


class Stage:
    def __init__(self, question=QUESTION, error=None):
        self.futures, self.events, self.waiting, self.landings = Futures(error), [], [], []
        self.auditor = Auditor(
            Examiner(question),
            self.futures,
            self.futures,
            post=self.events.append,
            later=lambda action: action(),
            when_served=lambda task, action: self.waiting.append((task, action)),
            beside=lambda function, argument, about="": function(argument),
            landing=self.landings.append,
            spent=Counter(),
        )


def landed(answer, status="finished", question=QUESTION):
    flight = Flight(challenge(), False, 0.0, SimpleNamespace(status=status), question)
    return Stage().auditor.landed(flight, answer)


def test_an_auditor_is_sent_the_question_and_nothing_that_is_expected():
    stage = Stage()
    stage.auditor.challenge(challenge())
    (asked,) = stage.futures.sent
    assert decode(asked) == ((4, (b"cell",)),)
    assert QUESTION.expected[0] not in asked
    assert stage.auditor.examiner.reader.moved["audits"] == len(asked)
    assert list(stage.futures.flying) == [challenge()]
    assert not stage.events


def test_what_lands_is_handed_on_with_its_challenge():
    stage = Stage()
    stage.auditor.challenge(challenge())
    (callback,) = stage.futures.done
    callback("future")
    assert stage.landings == [(challenge(), "future")]


def test_the_coordinator_asks_itself():
    stage = Stage()
    stage.auditor.challenge(challenge(COORDINATOR))
    (event,) = stage.events
    assert (event.wire, event.expected) == (b"own", QUESTION.expected)
    assert not stage.futures.sent


def test_a_holder_that_opens_nothing_is_reported():
    stage = Stage(question=None)
    stage.auditor.challenge(challenge())
    assert stage.events == [Unopened(challenge())]


def test_a_challenge_of_what_was_replaced_is_dropped():
    stage = Stage(question=GoneError("replaced"))
    stage.auditor.challenge(challenge())
    assert not stage.events
    assert not stage.waiting
    assert not stage.futures.sent


def test_a_challenge_waits_until_its_cells_are_served():
    stage = Stage(question=UnservedError(Task(MAP, 2)))
    stage.auditor.challenge(challenge())
    ((error, again),) = stage.waiting
    assert error.task == Task(MAP, 2)
    stage.auditor.examiner._question = QUESTION
    again()
    assert len(stage.futures.sent) == 1


def test_a_count_waits_until_its_cells_are_served():
    stage = Stage(question=UnservedError(Task(MAP, 2)))
    recount = Recount(TASK, b"inputs")
    stage.auditor.recount(recount)
    stage.auditor.examiner._question = QUESTION
    stage.waiting[0][1]()
    assert stage.events == [Recounted(TASK, b"inputs", (), 5)]


def test_a_cluster_that_takes_no_challenge_has_not_answered():
    stage = Stage(error=ConnectionError("no cluster"))
    stage.auditor.challenge(challenge())
    (event,) = stage.events
    assert isinstance(event, Unaudited)
    assert "no cluster" in event.reason
    assert not event.failed
    assert not stage.futures.flying


def test_an_answer_comes_with_what_the_holder_committed_to():
    event = landed(encode(("audited", b"signed", 5)))
    assert event == Audited(challenge(), b"signed", QUESTION.expected, QUESTION.digests)


def test_a_failure_of_the_function_is_told_from_a_lost_worker():
    assert landed(encode(("failed", "1 / 0"))) == Unaudited(challenge(), "1 / 0", failed=True)
    assert landed(ValueError("of the function")).failed
    assert not landed(ValueError("lost"), status="lost").failed
    assert not landed(ConnectionError("gone")).failed
    last = SimpleNamespace(address="tcp://here")
    assert not landed(KilledWorker("audit", last, 3), status="error").failed


@pytest.mark.parametrize(
    "answer",
    [b"", b"nonsense", encode(5), encode(("audited", "text", 0)), encode(("audited",)),
     encode(("failed", 5)), encode(("committed", "tcp://x", (b"c",), (), 0)), 5, None],
    ids=repr,
)  # fmt: skip
def test_everything_else_is_no_answer(answer):
    event = landed(answer)
    assert isinstance(event, Unaudited)
    assert event.reason.startswith("garbage: ")
    assert not event.failed


def test_an_answer_without_a_question_is_no_answer():
    event = landed(encode(("audited", b"signed", 5)), question=None)
    assert event == Unaudited(challenge(), "never asked")


@pytest.mark.parametrize(
    "said",
    [(pd.NA, 1), np.arange(2), 10**5000, pd.DataFrame({"a": [1, 2]}), ("audited",)],
    ids=range(5),
)
def test_nothing_that_can_be_encoded_is_more_than_garbage(said):
    event = landed(encode(said))
    assert (type(event), event.failed) == (Unaudited, False)
    assert event.reason.startswith("garbage: ")
