"""What domains may send for a task, and what is made of it."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from distributed.scheduler import KilledWorker

from dask_verify.core.canonical import encode
from dask_verify.engine import answers
from dask_verify.errors import DecodingError
from dask_verify.protocol.messages import (
    MAP,
    Challenge,
    Failed,
    Late,
    Run,
    Task,
    Unaudited,
)

RUN = Run(Task(MAP, 3), "bob", b"inputs")
CHALLENGE = Challenge(Task(MAP, 3), b"inputs", b"digest", "units", (1,), "alice", "bob")


class Gone:
    status = "lost"


class Broken:
    status = "error"


def test_a_commitment_comes_with_its_address_and_evidence():
    reply = answers.read(encode(("committed", "tcp://here", (b"one", b"two"), (b"wrong",), 7)))
    assert reply == answers.Reply("tcp://here", (b"one", b"two"), (b"wrong",), cpu=7)


def test_a_failure_is_text():
    assert answers.read(encode(("failed", "1 / 0"))) == answers.Reply(failure="1 / 0")


def test_what_could_not_be_kept_is_no_failure():
    assert answers.read(encode(("unkept", "full"))) == answers.Reply(unkept="full")
    assert len(answers.read(encode(("unkept", "x" * 10_000))).unkept) == 500


def test_evidence_is_bounded():
    many = tuple(bytes([n]) for n in range(100))
    assert len(answers.read(encode(("missing", (1,), many))).evidence) == 8
    assert answers.read(encode(("missing", (1,), many))).missing


def test_evidence_and_audits_have_a_size(monkeypatch):
    """What is kept until there is time for it, or written down before it is looked at."""
    monkeypatch.setattr(answers, "_LARGEST", 10)
    monkeypatch.setattr(answers, "_AUDIT", 10)
    some = (b"x" * 11, b"y" * 10)
    assert answers.read(encode(("missing", (1,), some))).evidence == (b"y" * 10,)
    assert answers.read(encode(("committed", "a", (b"1",), some, 7))).evidence == (b"y" * 10,)
    assert answers.read_audit(encode(("audited", b"x" * 10, 7))).audited == b"x" * 10
    with pytest.raises(DecodingError, match="answer to a challenge"):
        answers.read_audit(encode(("audited", b"x" * 11, 7)))


@pytest.mark.parametrize(
    "said",
    [
        ("committed", "tcp://here", (), (), 0),
        ("committed", 5, (b"one",), (), 0),
        ("committed", "tcp://here", b"one", (), 0),
        ("committed", "tcp://here", ("one",), (), 0),
        ("committed", "tcp://here", (b"one",), (5,), 0),
        ("committed", "tcp://here", (b"one",), ()),
        ("failed", b"1 / 0"),
        ("failed",),
        ("missing", (1,), 5),
        ("missing", (1,), (None,)),
        ("audited", b"answer", 0),
        (),
        ("committed",),
        "committed",
        [1],
        5,
        None,
    ],
    ids=repr,
)
def test_everything_else_is_no_answer(said):
    with pytest.raises(DecodingError, match="expected an answer to a task, got"):
        answers.read(encode(said))


def test_what_is_no_canonical_value_is_no_answer():
    with pytest.raises(DecodingError):
        answers.read(b"\x00 nonsense")


def test_tasks_and_challenges_are_late_each_in_its_way():
    assert answers.late(RUN, "slow") == Late(RUN.task, "bob", b"inputs", "slow")
    assert answers.late(CHALLENGE, "slow") == Unaudited(CHALLENGE, "slow")


@pytest.mark.parametrize(
    ("error", "future", "kind"),
    [
        (OSError("gone"), Broken, Late),
        (KilledWorker("task", SimpleNamespace(address="tcp://here"), 3), Broken, Late),
        (ValueError("lost"), Gone, Late),
        (ValueError("of the function"), Broken, Failed),
    ],
)
def test_functions_that_fail_are_told_from_workers_that_die(error, future, kind):
    event = answers.failed(RUN, error, future())
    assert type(event) is kind
    assert (event.task, event.domain, event.inputs) == (RUN.task, "bob", b"inputs")


@pytest.mark.parametrize(
    "said",
    [
        10**5000,
        (10**5000, 1),
        ("committed", "here", (b"wire",) * 1000, (), 0),
        ("committed", "here", np.arange(3), (), 0),
        (np.arange(3), "here", (b"wire",), ()),
        pd.DataFrame({"a": [1]}),
        ("committed", "here", pd.NA, (), 0),
        (pd.NA, 1),
    ],
    ids=range(8),
)
def test_nothing_that_can_be_encoded_is_more_than_no_answer(said):
    with pytest.raises(DecodingError):
        answers.read(encode(said))


def test_what_is_kept_of_a_failure_is_bounded():
    failure = answers.read(encode(("failed", "x" * 10**6))).failure
    assert failure is not None
    assert len(failure) <= 20_000


def test_an_address_is_no_longer_than_addresses_are():
    with pytest.raises(DecodingError):
        answers.read(encode(("committed", "tcp://" + "x" * 1000, (b"one",), (), 0)))


@pytest.mark.parametrize("said", [-1, 10**30, "1", None, 1.5, True])
def test_a_time_that_cannot_be_is_none(said):
    reply = answers.read(encode(("committed", "tcp://here", (b"one",), (), said)))
    assert reply == answers.Reply("tcp://here", (b"one",))


def test_commitments_are_no_larger_than_commitments_are():
    answer = ("committed", "tcp://here", (bytes(9 << 20),), (), 0)
    assert answers.read(encode(answer)).wires
    for wires in [(bytes((16 << 20) + 1),), (bytes(9 << 20),) * 2]:
        with pytest.raises(DecodingError):
            answers.read(encode(("committed", "tcp://here", wires, (), 0)))


def test_what_is_kept_of_a_failure_that_dask_reports_is_bounded():
    event = answers.failed(RUN, ValueError("x" * 10**6), Broken())
    assert len(event.text) <= 20_000
