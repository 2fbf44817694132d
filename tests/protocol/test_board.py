"""What is known about a task takes memory only for what there is."""

from __future__ import annotations

from typing import Any

import pytest
from script import R0, Script

from dask_verify.core.seal import Commitment
from dask_verify.errors import DecodingError, InputError
from dask_verify.protocol.board import _CONTAINERS, _SLOTS, Plan, TaskState
from dask_verify.protocol.domain import Domain, Identity
from dask_verify.protocol.messages import MAP, Task, Verdict
from dask_verify.protocol.policy import Policy
from dask_verify.testing.simulation.enrolment import make_plan


@pytest.mark.parametrize("name", _CONTAINERS)
def test_a_container_is_made_when_it_is_looked_at_and_stays(name: str) -> None:
    state = TaskState(b"inputs")
    assert not state._seen(name)
    made = getattr(state, name)
    assert not made
    assert getattr(state, name) is made


@pytest.mark.parametrize("looked", [False, True])
def test_only_what_is_empty_is_shed(looked: bool) -> None:
    state = TaskState(b"inputs", doubted=True)
    state.running.add("alice")
    state.tried.append("alice")
    if looked:
        assert not state.late
    state.shed()
    state.shed()
    assert (state.running, state.tried, state.late) == ({"alice"}, ["alice"], set())
    assert (state.inputs, state.doubted, state.accepted) == (b"inputs", True, None)


def test_asking_for_holders_makes_no_container() -> None:
    state = TaskState(b"inputs")
    state.accepted = b"digest"
    assert state.holders(()) == []
    assert state._seen("lost") == ()
    state.lost.add("alice")
    assert state._seen("lost") == {"alice"}


def test_nothing_else_can_be_asked_for_or_added() -> None:
    state = TaskState(b"inputs")
    with pytest.raises(AttributeError, match="votess"):
        state.votess  # noqa: B018
    with pytest.raises(AttributeError):
        state.votess = 1


def test_tasks_of_a_job_that_has_ended_hold_nothing_empty() -> None:
    script = Script("a", "b", maps=3)
    for i in range(3):
        script.agree(Task(MAP, i), *script.job.state(Task(MAP, i)).running)
    script.agree(R0, "a", "b")
    assert script.ended == (Verdict.AGREED, "")
    for state in script.job.tasks():
        held = [name for name, slot in _SLOTS.items() if hasattr_bare(slot, state)]
        assert [name for name in held if not state._seen(name)] == []
        assert state._seen("tried")


def hasattr_bare(slot: Any, state: TaskState) -> bool:
    """Whether a slot has a value; `hasattr` would make one."""
    try:
        slot.__get__(state)
    except AttributeError:
        return False
    return True


def test_one_key_under_two_names_is_named() -> None:
    """Whoever enrolled twice would count twice; the message says who to ask."""
    alice, carol = Identity.generate("alice"), Identity.generate("carol")
    twice = Domain("alice", alice.public_key), Domain("bob\x1b", alice.public_key)
    domains = (Domain("carol", carol.public_key), *twice)
    with pytest.raises(InputError, match=r"for 'alice' and 'bob\\x1b'; they would count twice"):
        Plan(b"job", Policy(), domains, maps=1, reduces=1)
    with pytest.raises(InputError, match="a name for each, got 'carol' 2 times"):
        Plan(b"job", Policy(), (domains[0], domains[0]), maps=1, reduces=1)


def shaped(unit_records: int | None, units: int, root: bytes, records: int = 12) -> None:
    plan = make_plan("alice", maps=1, reduces=1, faults=1, replicas=1, unit_records=unit_records)
    own = Commitment(b"job", MAP, 0, "alice", b"i", 2, units, records, (4,), 9, root, b"r" * 32)
    plan.check_shape(own)


@pytest.mark.parametrize(
    ("unit_records", "units", "root"), [(5, 3, b"n" * 32), (12, 1, b"n" * 32), (None, 7, b"")]
)
def test_units_follow_from_the_records(unit_records: int | None, units: int, root: bytes) -> None:
    shaped(unit_records, units, root)


@pytest.mark.parametrize(
    ("unit_records", "units", "root"),
    [(5, 1, b"n" * 32), (5, 2, b"n" * 32), (5, 4, b"n" * 32), (5, 3, b"")],
    ids=["one", "fewer", "more", "without inputs"],
)
def test_fewer_units_than_planned_would_be_drawn_less_often(
    unit_records: int, units: int, root: bytes
) -> None:
    with pytest.raises(DecodingError, match=f"of {units} units for 12 records"):
        shaped(unit_records, units, root)
