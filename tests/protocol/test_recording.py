"""Events as bytes: what is read is what happened, and nothing else is an event."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, get_args

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dask_verify.core.canonical import encode
from dask_verify.errors import DecodingError
from dask_verify.protocol.messages import (
    MAP,
    REDUCE,
    Accepted,
    Arbitrate,
    Audited,
    Challenge,
    Committed,
    Event,
    Failed,
    Finding,
    Finished,
    Late,
    Recounted,
    Run,
    Sample,
    ServedWrong,
    StartReduce,
    StoodIn,
    Task,
    Unaudited,
    Unopened,
    Unserved,
    Verdict,
)
from dask_verify.protocol.recording import decisions, read_event, write_event

TEXT, BYTES, COUNT = st.text(max_size=9), st.binary(max_size=9), st.integers(0, 2**40)
TASKS = st.builds(Task, st.sampled_from([MAP, REDUCE]), COUNT)
COUNTS = st.lists(COUNT, max_size=3).map(tuple)
MANY = st.lists(BYTES, max_size=3).map(tuple)
CHALLENGES = st.builds(Challenge, TASKS, BYTES, BYTES, TEXT, COUNTS, TEXT, TEXT)
EVENTS = {
    Committed: st.builds(Committed, TASKS, TEXT, BYTES, BYTES),
    StoodIn: st.builds(StoodIn, TASKS, BYTES, BYTES),
    Failed: st.builds(Failed, TASKS, TEXT, BYTES, TEXT),
    Late: st.builds(Late, TASKS, TEXT, BYTES, TEXT),
    Unserved: st.builds(Unserved, TASKS, TEXT, BYTES),
    ServedWrong: st.builds(ServedWrong, TASKS, TEXT, BYTES),
    Finding: st.builds(
        Finding,
        TASKS,
        BYTES,
        TEXT,
        COUNTS,
        st.frozensets(BYTES),
        st.booleans(),
        st.booleans(),
        st.booleans(),
        TEXT,
        st.none() | st.builds(Sample, COUNT, TEXT, TEXT),
        st.frozensets(TEXT),
        TEXT,
    ),
    Audited: st.builds(Audited, CHALLENGES, BYTES, MANY, MANY),
    Unopened: st.builds(Unopened, CHALLENGES),
    Unaudited: st.builds(Unaudited, CHALLENGES, TEXT, st.booleans()),
    Recounted: st.builds(Recounted, TASKS, BYTES, COUNTS, COUNT),
}


def same(one: Event, other: Event) -> bool:
    """Equal, with the fields that a comparison leaves out, such as evidence."""
    return one == other and vars(one) == vars(other)


def test_every_event_is_covered() -> None:
    assert set(EVENTS) == set(get_args(Event))


@given(st.one_of(*EVENTS.values()))
def test_an_event_is_read_as_it_was(event: Event) -> None:
    assert same(read_event(write_event(event)), event)


@given(st.one_of(*EVENTS.values()), st.one_of(*EVENTS.values()))
def test_different_events_have_different_bytes(one: Event, other: Event) -> None:
    assert (write_event(one) == write_event(other)) == same(one, other)


@given(st.one_of(*EVENTS.values()), st.data())
def test_changed_bytes_are_another_event_or_none(event: Event, draw: st.DataObject) -> None:
    data = bytearray(write_event(event))
    data[draw.draw(st.integers(0, len(data) - 1))] ^= draw.draw(st.integers(1, 255))
    try:
        other = read_event(bytes(data))
    except DecodingError:
        return
    assert not same(other, event)
    assert write_event(other) == bytes(data)


@pytest.mark.parametrize(
    "value",
    [
        None,
        "Late",
        ("Late",),
        ("Late", ()),
        ("Late", (("map", 0), "bob", b"")),
        ("Late", (("map", 0), "bob", b"", "late", 1)),
        ("Late", (("map",), "bob", b"", "late")),
        ("Late", (5, "bob", b"", "late")),
        ("Late", ["map"]),
        ("Run", (("map", 0), "bob", b"", False)),
        ("JobState", ()),
        (["Late"], ()),
        ("Finding", (("map", 0), b"", "map", (), 5, True, True, True, "", None, (), "")),
        ("Finding", (("map", 0), b"", "map", (), (), True, True, True, "", (1,), (), "")),
        ("Finding", (("map", 0), b"", "map", (), (b"b", b"a"), True, True, True, "", None, (), "")),
        ("Unopened", (("map",),)),
    ],
)
def test_what_is_no_event_is_refused(value: Any) -> None:
    with pytest.raises(DecodingError):
        read_event(encode(value))


def test_text_without_a_utf8_form_is_kept_as_far_as_it_goes() -> None:
    late = Late(Task(MAP, 0), "bob", b"", "a\udc80")
    assert read_event(write_event(late)) == replace(late, reason="a\\udc80")


def test_decisions_tell_instructions_apart_but_not_their_order() -> None:
    run = Run(Task(MAP, 0), "bob", b"inputs")
    others = [
        replace(run, domain="eve"),
        replace(run, task=Task(MAP, 1)),
        replace(run, inputs=b""),
        replace(run, audit=True),
        Accepted(run.task),
        StartReduce(b"inputs"),
        StartReduce(b"others"),
        Finished(Verdict.AGREED, ""),
        Finished(Verdict.INCONCLUSIVE, "faults"),
        Arbitrate(run.task, b"inputs", b"1", b"2", True),
        Arbitrate(run.task, b"inputs", b"1", b"3", True),
    ]
    marks = [decisions([one]) for one in [run, *others]]
    assert len(set(marks)) == len(marks)
    assert decisions([run, *others]) == decisions([*others, run])
    assert decisions([run]) != decisions([run, run]) != decisions([])


def test_a_verdict_is_part_of_a_decision() -> None:
    ends = [Finished(verdict, "cause") for verdict in Verdict]
    assert len({decisions([end]) for end in ends}) == len(ends)


@pytest.mark.parametrize("more", [{"maps": (np.int64(3),)}, {"consumed": np.int64(5)}])
def test_nothing_is_left_out_of_an_event(more: Any) -> None:
    with pytest.raises(TypeError, match="plain values"):
        write_event(replace(Recounted(Task(REDUCE, 0), b"inputs", (), 0), **more))
