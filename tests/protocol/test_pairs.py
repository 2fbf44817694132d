"""Who agreed with whom."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from script import M0, Script

from dask_verify.core.seal import Commitment
from dask_verify.protocol.minutes import Minutes
from dask_verify.protocol.pairs import Pair, agreement
from dask_verify.protocol.quorum import Claim
from dask_verify.testing.simulation.enrolment import make_plan
from dask_verify.testing.simulation.partitions import commit

NAMES = ("alice", "bob", "carol", "coordinator")
PLAN = make_plan("alice", "bob")
SAID = [commit(PLAN, M0, "alice", PLAN.map_inputs(0), salt) for salt in ("", "1", "2")]


def claim(name: str, said: Commitment) -> Claim:
    return Claim(name, replace(said, domain=name))


def reference(tasks, names):
    """Every pair, every task, one question after the other."""
    known = {*names, *(n for c, u in tasks for n in (*(x.domain for x in c), *u))}
    found = {}
    for one in known:
        for other in known:
            if one < other:
                outcomes = [outcome(one, other, *task) for task in tasks]
                what = ("agreed", "diverged", "pending")
                found[one, other] = Pair(**{w: outcomes.count(w) for w in what})
    return found


def outcome(one, other, claims, unanswered):
    said = {name: [c.digest for c in claims if c.domain == name] for name in (one, other)}
    if not all(said[name] or name in unanswered for name in said):
        return "never asked"
    if any(len(set(said[name])) == 2 for name in said):
        return "diverged"
    if not all(said.values()):
        return "pending"
    return "agreed" if said[one][0] == said[other][0] else "diverged"


claims = st.lists(
    st.builds(claim, st.sampled_from(NAMES), st.sampled_from(SAID[:2])), max_size=6, unique=True
)
tasks = st.lists(st.tuples(claims, st.sets(st.sampled_from(NAMES))), max_size=5)


@given(tasks, st.sets(st.sampled_from((*NAMES, "dave"))))
def test_it_counts_as_the_obvious_way_does(tasks, names) -> None:
    assert agreement(tasks, names) == reference(tasks, names)


@given(tasks)
def test_the_order_of_tasks_and_claims_is_nothing_to_it(tasks) -> None:
    turned = [(claims[::-1], unanswered) for claims, unanswered in reversed(tasks)]
    assert agreement(turned) == agreement(tasks)


@pytest.mark.parametrize(
    ("claims", "pair"),
    [
        ([claim("alice", SAID[0]), claim("bob", SAID[0])], Pair(agreed=1)),
        ([claim("alice", SAID[0]), claim("bob", SAID[1])], Pair(diverged=1)),
        ([claim("alice", SAID[0])], Pair(pending=1)),
        ([claim("alice", SAID[0]), claim("alice", SAID[1])], Pair(diverged=1)),
        ([claim("alice", s) for s in SAID[:2]] + [claim("bob", SAID[0])], Pair(diverged=1)),
        ([], Pair(pending=1)),
    ],
)
def test_each_outcome_by_itself(claims, pair) -> None:
    assert agreement([(claims, {"alice", "bob"})]) == {("alice", "bob"): pair}


def test_who_was_not_asked_is_compared_with_nobody() -> None:
    found = agreement([([claim("alice", SAID[0])], {"bob"})], NAMES[:3])
    assert found["alice", "carol"] == found["bob", "carol"] == Pair()


def test_a_job_tells_who_has_not_answered() -> None:
    script = Script("alice", "bob", "carol")
    state = script.job.state(M0)
    assert state.unanswered == {"alice", "bob"}
    script.says(M0, "alice")
    assert state.unanswered == {"bob"}
    script.late(M0, "bob")
    assert state.unanswered == {"bob", "carol"}, "late answers stay welcome"
    script.says(M0, "carol")
    assert state.accepted is not None
    assert state.unanswered == {"bob"}


def test_an_entry_that_is_being_written_is_not_in_the_log_yet() -> None:
    minutes = Minutes()
    minutes.write("accepted", M0)
    minutes._what.append("settled")  # as another thread sees it in between
    assert [entry.what for entry in minutes.log] == ["accepted"]
