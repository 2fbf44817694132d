"""What a scheduler is told of jobs, what it keeps of that, and what it makes of it."""

from __future__ import annotations

import json
import pickle
import threading
from types import SimpleNamespace

import pytest
from bokeh.document import Document
from hypothesis import given
from hypothesis import strategies as st

from dask_verify.engine.dashboard.facts import gather_facts
from dask_verify.engine.dashboard.look import look_of
from dask_verify.engine.dashboard.metrics import families
from dask_verify.engine.dashboard.noticeboard import (
    COUNTED,
    JOBS,
    POINTS,
    SILENCE,
    UNHEARD,
    Noticeboard,
)
from dask_verify.engine.dashboard.notices import read_notice
from dask_verify.engine.dashboard.page import Page
from dask_verify.engine.dashboard.publisher import AGAIN, EVERY, Publisher
from dask_verify.engine.dashboard.summary import Teller
from dask_verify.engine.dashboard.texts import headline, job_table, shown_job
from dask_verify.errors import InputError
from dask_verify.protocol.audit import Audit
from dask_verify.protocol.board import Plan
from dask_verify.protocol.divergence import Divergence
from dask_verify.protocol.domain import Domain, Identity
from dask_verify.protocol.job import JobState
from dask_verify.protocol.messages import Standing, Task
from dask_verify.protocol.policy import Policy

NAMES = ("alice", "bob", "carol")


def notice(job="ab" * 32, **changes):
    return {
        "version": 1,
        "job": job,
        "status": "running",
        "replicas": 2,
        "audited": False,
        "progress": {"map": [3, 10], "reduce": [0, 4]},
        "divergences": {"map": 2},
        "audits": {},
        "standing": dict.fromkeys(NAMES, "trusted"),
    } | changes


def summary(plan, state, status, settled):
    return Teller(plan, state).summary(status, settled)


# --- what is told -------------------------------------------------------------------------------


def divergence(*culprits):
    return Divergence("map", 7, (5,), ("alice", "bob"), culprits, "map", "referee")


def a_state(audit):
    """A job in which something of everything has happened."""
    domains = tuple(Domain(name, Identity.generate(name).public_key) for name in NAMES)
    policy = Policy(replicas=1 if audit else 2, audit=audit)
    plan = Plan(bytes(32), policy, domains, maps=10, reduces=4, seed=bytes(range(32)))
    state = JobState(plan)
    state.start()
    state._crew.expose(["bob"])
    state._crew.suspect(["carol"], "map partition 9: silent")
    state.minutes.divergences += [divergence("bob"), divergence()]
    state.audits = SimpleNamespace(
        made=[
            Audit("map", 7, (5, 6), "units", ("bob",), "carol", outcome, "ab" * 32)
            for outcome in ("agreed", "contradicted", "pending")
        ]
    )
    return plan, state


@pytest.mark.parametrize("status", ["running", "interrupted", "cancelled", "inconclusive"])
def test_nothing_of_audits_is_told_before_a_verdict(status):
    """Nor how many were drawn, nor who was late with one, nor what came of one without blame."""
    told = summary(*a_state(audit=0.1), status, settled=False)
    assert told["audits"] == {}
    assert told["divergences"] == {"map": 1}
    assert told["standing"] == {"alice": "trusted", "bob": "exposed", "carol": "trusted"}


def test_before_a_verdict_audits_change_nothing_that_is_told():
    """Two jobs that differ in what was drawn, and in who was late with it, alone."""
    plan, state = a_state(audit=0.1)
    before = summary(plan, state, "running", settled=False)
    state.audits.made.clear()
    state._crew.standing["carol"] = Standing.TRUSTED
    del state.minutes.divergences[-1]
    assert summary(plan, state, "running", settled=False) == before


def test_what_an_objection_withdraws_is_not_told_before_a_verdict():
    """Who saw the number fall would know that something was drawn there, and what came of it."""
    plan, state = a_state(audit=0.1)
    teller = Teller(plan, state)
    state._open["map"] = 4
    for partition in (0, 1, 2, 3, 4, 5, 5):
        teller.accepted(Task("map", partition))
    assert teller.summary("running", settled=False)["progress"] == {
        "map": [6, 10],
        "reduce": [0, 4],
    }
    state._open["map"] = 5
    assert teller.summary("running", settled=False)["progress"]["map"] == [6, 10]
    assert teller.summary("sampled", settled=True)["progress"]["map"] == [5, 10]


def test_without_audits_it_is_told_what_is_accepted_now():
    plan, state = a_state(audit=0.0)
    teller = Teller(plan, state)
    teller.accepted(Task("map", 0))
    assert teller.summary("running", settled=False)["progress"]["map"] == [0, 10]


def test_all_counts_are_told_with_the_verdict():
    told = summary(*a_state(audit=0.1), "sampled", settled=True)
    assert told["audits"] == {"agreed": 1, "contradicted": 1, "pending": 1}
    assert told["divergences"] == {"map": 2}
    assert told["standing"]["carol"] == "suspected"


def test_without_audits_there_is_nothing_to_hide():
    told = summary(*a_state(audit=0.0), "running", settled=False)
    assert told["divergences"] == {"map": 2}
    assert told["standing"]["carol"] == "suspected"


@pytest.mark.parametrize("settled", [True, False])
def test_what_is_told_names_no_partition_unit_digest_or_secret(settled):
    plan, state = a_state(audit=0.1)
    told = json.dumps(summary(plan, state, "running", settled))
    for secret in (plan.seed.hex(), "ab" * 32, "partition", "silent", "units"):
        assert secret not in told
    # Only counts: the same whatever partitions, units and auditors these were.
    state.minutes.divergences = [
        Divergence("map", 1, (), (d.domains[1], d.domains[0]), d.culprits, "map", "votes")
        for d in state.minutes.divergences
    ]
    state.audits.made = [
        Audit("read", 1, (), "whole", ("alice",), "bob", audit.outcome, "cd" * 32)
        for audit in state.audits.made
    ]
    assert json.dumps(summary(plan, state, "running", settled)) == told


def test_what_is_told_is_taken():
    for settled in (True, False):
        told = summary(*a_state(audit=0.1), "sampled" if settled else "running", settled)
        assert read_notice(told, NAMES).standing["bob"] == "exposed"


# --- how it is told -----------------------------------------------------------------------------


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


def test_not_more_often_than_once_a_second_and_the_end_in_any_case():
    clock, told = Clock(), []
    publisher = Publisher(told.append, clock)
    made = []

    def make():
        made.append(clock.now)
        return {"at": clock.now}

    for tick in range(31):
        clock.now = tick * EVERY / 10
        publisher.look(make)
    assert made == pytest.approx([0, EVERY, 2 * EVERY, 3 * EVERY])
    publisher.close(lambda: {"at": "the end"})
    assert told[-1] == {"at": "the end"}
    assert len(told) <= 5


def test_what_did_not_change_is_told_twice_a_minute():
    clock, told = Clock(), []
    done = threading.Semaphore(0)
    publisher = Publisher(lambda what: (told.append(what), done.release()), clock)
    for now in (0, 2, AGAIN - 1, AGAIN + 1):
        clock.now = now
        publisher.look(lambda: {"same": True})
        if now in (0, AGAIN + 1):
            assert done.acquire(timeout=10)
    publisher.close(lambda: {"same": True})
    assert told == [{"same": True}] * 2


def test_a_scheduler_that_does_not_answer_holds_up_nobody():
    """Of what gathers meanwhile, the latest is told."""
    held, reached, told = threading.Event(), threading.Event(), []

    def send(what):
        reached.set()
        held.wait(30)
        told.append(what)

    publisher = Publisher(send)
    publisher.look(lambda: {"n": 0}, at_once=True)
    assert reached.wait(10)
    for n in (1, 2, 3):
        publisher.look(lambda n=n: {"n": n}, at_once=True)
    publisher.close(lambda: {"n": 4}, patience=0.01)
    assert told == []
    held.set()
    publisher.close(lambda: {"n": 4}, patience=10)
    assert told == [{"n": 0}, {"n": 4}]


def test_what_goes_wrong_is_nobodys_concern():
    tried = []

    def send(what):
        tried.append(what)
        raise OSError("gone")

    def broken():
        raise ZeroDivisionError

    publisher = Publisher(send)
    publisher.look(broken, at_once=True)
    publisher.look(lambda: {"n": 1}, at_once=True)
    publisher.close(lambda: {"n": 2})
    assert tried[-1] == {"n": 2}


def test_without_room_for_a_thread_nobody_is_told(monkeypatch):
    def start(thread):
        raise RuntimeError("can't start new thread")

    publisher = Publisher(lambda what: pytest.fail("told"))
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", start)
        publisher.look(lambda: {"n": 1}, at_once=True)
        publisher.close(lambda: {"n": 2})


def test_who_tells_nobody_starts_no_thread():
    publisher = Publisher(None)
    publisher.look(lambda: pytest.fail("asked"), at_once=True)
    publisher.close(lambda: pytest.fail("asked"))
    assert publisher._thread is None


# --- what is kept -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"version": 2}, "version 1"),
        ({"version": True}, "version 1"),
        ({"job": "xyz"}, "job id"),
        ({"job": "ab" * 1000}, "job id"),
        ({"job": 7}, "job id"),
        ({"status": "<script>"}, "status"),
        ({"status": ["running"]}, "status"),
        ({"replicas": -1}, "replicas"),
        ({"replicas": True}, "replicas"),
        ({"replicas": 1 << 41}, "replicas"),
        ({"replicas": 1.5}, "replicas"),
        ({"audited": 1}, "audits"),
        ({"progress": {"map": [1, 1]}}, "progress"),
        ({"progress": {"map": [2, 1], "reduce": [0, 1]}}, "at most 1 partitions"),
        ({"progress": {"map": "ab", "reduce": [0, 1]}}, "two numbers"),
        ({"progress": {"map": [0, 1, 2], "reduce": [0, 1]}}, "two numbers"),
        ({"divergences": {"<b>": 1}}, "divergences"),
        ({"divergences": {"map": "1"}}, "divergences"),
        ({"divergences": [("map", 1)]}, "divergences"),
        ({"audits": {f"{i}": 1 for i in range(1000)}}, "at most 6"),
        ({"standing": {"bob": "innocent"}}, "standing"),
        ({"standing": {f"{i}": "trusted" for i in range(1001)}}, "at most 1000"),
        ({"more": 1}, "9 fields"),
    ],
)
def test_what_is_no_notice_leaves_nothing_behind(changes, match):
    board = Noticeboard()
    with pytest.raises(InputError, match=match):
        board.put(notice(**changes), NAMES, now=0.0)
    assert board.jobs() == []
    assert not board.totals


def test_a_notice_without_a_field_is_none():
    for name in notice():
        less = {k: v for k, v in notice().items() if k != name}
        with pytest.raises(InputError, match="9 fields"):
            read_notice(less, NAMES)


JSON_LIKE = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.integers(), inner),
    max_leaves=8,
)


@given(JSON_LIKE)
def test_garbage_is_refused(raw):
    with pytest.raises(InputError) as refused:
        read_notice(raw, NAMES)
    assert len(str(refused.value)) < 1000


@given(st.sampled_from(sorted(notice())), JSON_LIKE)
def test_garbage_in_one_field_is_refused_or_harmless(name, raw):
    try:
        read = read_notice(notice(**{name: raw}), NAMES)
    except InputError:
        return
    assert set(read.standing) <= set(NAMES)
    json.dumps(read.counted() and list(read.counted().values()))


def test_domains_that_the_scheduler_does_not_know_are_not_kept():
    standing = {"alice": "exposed", "<img>": "exposed"}
    read = read_notice(notice(standing=standing), ["alice", "bob"])
    assert read.standing == {"alice": "exposed"}


MESSAGES = st.lists(
    st.tuples(
        st.integers(0, JOBS + 10),
        st.integers(0, 10),
        st.integers(0, 4),
        st.integers(0, 50),
        st.floats(-5, 100),
    ),
    max_size=200,
)


@given(MESSAGES)
def test_what_is_kept_is_bounded_and_totals_never_fall(messages):
    board, now, before = Noticeboard(), 1000.0, {}
    heard = []
    for number, mapped, reduced, diverged, passed in messages:
        now += passed  # clocks are set back, too
        name = f"{number:016x}"
        progress = {"map": [mapped, 10], "reduce": [reduced, 4]}
        board.put(notice(name, progress=progress, divergences={"map": diverged}), NAMES, now)
        heard = [other for other in heard if other != name] + [name]
        assert all(board.totals[key] >= n for key, n in before.items())
        before = dict(board.totals)
        assert {kept.notice.job for kept in board.jobs()} == set(heard[-JOBS:])
        heard = heard[-JOBS:]
    for kept in board.jobs():
        times = [t for t, *_ in kept.history]
        assert times == sorted(times)
        assert kept.history[-1][1:] == tuple(done for done, _ in kept.notice.progress.values())


def test_the_history_of_a_long_job_is_thinned():
    board = Noticeboard()
    for n in range(5000):
        progress = {"map": [n, 5000], "reduce": [0, 4]}
        board.put(notice(progress=progress), NAMES, now=float(n))
        (kept,) = board.jobs()
        assert len(kept.history) <= POINTS
        assert kept.history[-1] == (float(n), n, 0)
    assert kept.history[0] == (0.0, 0, 0)


def test_what_a_job_takes_back_is_not_taken_off():
    board = Noticeboard()
    for done in (5, 2, 5, 6):
        board.put(notice(progress={"map": [done, 10], "reduce": [0, 4]}), NAMES, now=0.0)
    assert board.totals["partitions", "map"] == 6
    assert board.totals["divergences", "map"] == 2


def test_of_more_jobs_than_are_kept_nothing_is_counted_twice():
    """Each goes before it is heard of again; an alert on divergences would never end."""
    board, jobs = Noticeboard(), JOBS + 5
    for now in range(3):
        for number in range(jobs):
            board.put(notice(f"{number:032x}"), NAMES, now=float(now))
    assert board.totals["divergences", "map"] == 2 * jobs
    assert board.totals["partitions", "map"] == 3 * jobs


def test_what_is_remembered_of_many_jobs_is_bounded():
    board = Noticeboard()
    for number in range(JOBS + COUNTED + 5):
        board.put(notice(f"{number:032x}"), NAMES, now=0.0)
    assert (len(board.jobs()), len(board._counted)) == (JOBS, COUNTED)


def test_a_running_job_that_nobody_hears_of_is_unheard():
    board = Noticeboard()
    board.put(notice(), NAMES, now=0.0)
    board.put(notice("cd" * 32, status="agreed"), NAMES, now=0.0)
    assert {kept.status(SILENCE) for kept in board.jobs()} == {"running", "agreed"}
    assert {kept.status(SILENCE + 1) for kept in board.jobs()} == {UNHEARD, "agreed"}


def test_the_worst_standing_counts():
    board = Noticeboard()
    for number, found in enumerate(("exposed", "trusted", "suspected")):
        job = f"{number:032x}"
        board.put(notice(job, standing={"bob": found, "carol": "trusted"}), NAMES, now=0.0)
    assert board.standing() == {"bob": "exposed", "carol": "trusted"}


def test_a_noticeboard_travels_with_its_plugin():
    board = Noticeboard()
    board.put(notice(), NAMES, now=0.0)
    assert pickle.loads(pickle.dumps(board)).jobs() == board.jobs()


# --- what is shown ------------------------------------------------------------------------------


def a_scheduler():
    tasks = [SimpleNamespace(annotations=a) for a in ({"verify_domain": "alice"}, {}, None)]
    return SimpleNamespace(workers={"w1": SimpleNamespace(processing=tasks)})


def facts(*notices, workers=None):
    board = Noticeboard()
    for number, one in enumerate(notices):
        board.put(one, NAMES, now=float(number))
    there = {"alice": ["w1", "gone"], "bob": []} if workers is None else workers
    return gather_facts(a_scheduler(), there, board, "verify_domain")


def test_facts_join_what_is_told_with_what_is_seen():
    found = facts(notice(), notice("cd" * 32, standing={"bob": "exposed"}))
    assert found["domains"] == {
        "alice": {"workers": 2, "in_flight": 1, "standing": "trusted"},
        "bob": {"workers": 0, "in_flight": 0, "standing": "exposed"},
    }
    assert [job["job"] for job in found["jobs"]] == ["cd" * 32, "ab" * 32]
    assert found["totals"]["divergences"] == {"map": 4}
    assert json.loads(json.dumps(found)) == found


def test_metrics_have_labels_from_fixed_lists_and_enrolled_domains():
    made = {family.name: family for family in families(facts(notice()))}
    values = {
        (sample.name, *sample.labels.values()): sample.value
        for family in made.values()
        for sample in family.samples
    }
    assert values["dask_verify_jobs", "unheard"] == 1  # it was heard of in 1970
    assert values["dask_verify_partitions_accepted_total", "map"] == 3
    assert values["dask_verify_divergences_total", "map"] == 2
    assert values["dask_verify_divergences_total", "serve"] == 0
    assert values["dask_verify_audits_total", "contradicted"] == 0
    assert values["dask_verify_workers", "alice"] == 2
    assert values["dask_verify_replicas_in_flight", "alice"] == 1
    assert values[("dask_verify_domains_exposed",)] == 0


EVIL = "<img src=x onerror=alert(1)>\"'&"


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_the_page_escapes_whatever_a_domain_is_called(theme):
    board = Noticeboard()
    board.put(notice(standing={EVIL: "exposed"}), [EVIL], now=0.0)
    found = gather_facts(a_scheduler(), {EVIL: []}, board, "verify_domain")
    job = shown_job(found, "")
    text = headline(found, job, theme) + job_table(found, job, theme)
    assert "<img" not in text
    assert "&lt;img" in text


@pytest.mark.parametrize("theme", [b"light", b"dark", b"<b>"])
@pytest.mark.parametrize("jobs", [(), (notice(),), (notice(), notice("cd" * 32, audited=True))])
def test_the_page_is_made_of_any_facts(theme, jobs):
    look = look_of({"theme": [theme]})
    page = Page(look, wanted="ab" * 32)
    doc = Document()
    page.update(facts(*jobs))
    doc.add_root(page.root)
    doc.theme = look.theme()
    assert json.dumps(doc.to_json(), default=str)
    page.update(facts(*jobs, workers={}))
    assert ("no verified job" in page.head.text) == (not jobs)
    assert page.table.text.count("<tr") == (len(jobs) + 1 if jobs else 0)


def test_an_unknown_job_is_the_newest():
    found = facts(notice(), notice("cd" * 32))
    assert shown_job(found, "ee")["job"] == "cd" * 32
    assert shown_job(found, "ab" * 32)["job"] == "ab" * 32
