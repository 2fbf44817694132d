"""Sampled audits on real clusters: what they promise, show, and leave behind."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import audited
import dask.bag as db
import pytest
from distributed import Client

from dask_verify import LocalDomainCluster, Policy, Standing, Verdict, verified_map_reduce
from dask_verify.engine.enrolment import enrol
from dask_verify.engine.store import Address
from dask_verify.errors import InconclusiveError, PolicyError, TaskError
from dask_verify.protocol.draws import Draws, seed_digest
from dask_verify.protocol.messages import MAP, READ, REDUCE, Task
from dask_verify.protocol.policy import Detect
from dask_verify.testing import Tamper

pytestmark = pytest.mark.cluster

UNIT = 5  # records, so that there are 12 units in a partition


@pytest.fixture(params=["shared", pytest.param("separate", marks=pytest.mark.matrix)])
def any_client(request):
    return request.getfixturevalue(f"{request.param}_cluster").get_client()


@pytest.fixture(scope="session")
def client(shared_cluster):
    return shared_cluster.get_client()


@pytest.fixture(scope="module")
def lonely():
    with LocalDomainCluster(["alice"], dashboard_address=None) as cluster:
        yield cluster


def finished(kind, client, policy, **options):
    job = audited.start(kind, client, policy, **options)
    audited.check(kind, job.result(timeout=60), options.get("records", 360))
    return job


# --- an honest job --------------------------------------------------------------------------


@pytest.mark.parametrize("unit_records", [None, UNIT])
@pytest.mark.parametrize("kind", ["bag", "frame"])
def test_an_honest_job_is_sampled(kind, any_client, unit_records):
    job = finished(kind, any_client, Policy(replicas=1, audit=0.2, unit_records=unit_records))
    report = job.report
    assert report.verdict is Verdict.SAMPLED
    assert set(audited.standings(job).values()) == {Standing.TRUSTED}
    assert not report.divergences
    assert {audit.outcome for audit in report.audits} == {"agreed"}
    # However few units there are, something of every stage is recomputed.
    whole = kind == "frame" and unit_records is None
    stages = [s.stage for s in report.odds.stages]
    assert stages == ([MAP, REDUCE] if whole else [READ, MAP, REDUCE])
    assert all(stage.sampled for stage in report.odds.stages)
    assert report.odds.stages[-2].units == audited.MAPS * (12 if unit_records else 1)
    assert report.bytes_computed < 2 * sum(d.nbytes for d in report.domains.values())
    plain = json.loads(json.dumps(report.to_dict()))
    assert plain["odds"]["headline"] in str(report)


def test_all_domains_compute_and_all_audit(client):
    job = finished("bag", client, Policy(replicas=1, audit=0.3, unit_records=UNIT), maps=12)
    committed = {d for audit in job.report.audits for d in audit.domains}
    assert committed == {"alice", "bob", "carol"}
    assert {audit.auditor for audit in job.report.audits} == committed


def test_at_rate_one_every_partition_is_produced_twice(any_client):
    job = finished("bag", any_client, Policy(replicas=1, audit=1.0, unit_records=UNIT))
    assert job.verdict is Verdict.SAMPLED
    assert Counter(a.kind for a in job.report.audits) == {"whole": audited.MAPS + audited.REDUCES}
    assert all(stage.sampled == stage.units for stage in job.report.odds.stages)


def test_audits_on_top_of_replication(any_client):
    policy = Policy(replicas=2, audit=0.3, unit_records=UNIT)
    job = finished("bag", any_client, policy)
    assert job.verdict is Verdict.AGREED
    assert job.report.audits
    for audit in job.report.audits:
        assert len(audit.domains) == 2
        assert audit.auditor not in audit.domains


def test_the_rate_follows_from_what_must_be_noticed(client):
    wanted = Detect(corrupt=0.25, confidence=0.9)
    job = finished("bag", client, Policy(replicas=1, audit=wanted, unit_records=UNIT))
    assert job.verdict is Verdict.SAMPLED
    reading, mapping, _ = job.report.odds.stages
    assert mapping.rate == wanted.rate(units=mapping.units, domains=3, faults=1)
    assert mapping.detection(round(0.25 * mapping.units)) >= 0.9
    assert reading.rate == mapping.rate


# --- order ----------------------------------------------------------------------------------


@pytest.fixture
def sampled(any_client):
    return finished("bag", any_client, Policy(replicas=1, audit=0.3, unit_records=UNIT))


def task_of(entry):
    return (MAP if entry.stage == READ else entry.stage, entry.partition)


def test_no_challenge_comes_before_its_commitment(sampled):
    signed: dict[tuple, set[str]] = {}
    challenges = 0
    for entry in sampled.report.log:
        if entry.what == "committed":
            signed.setdefault((*task_of(entry), entry.digest), set()).add(entry.domain)
        elif entry.what == "challenged":
            challenges += 1
            assert entry.domain not in signed[(*task_of(entry), entry.digest)]
    assert challenges == len(sampled.report.audits)


def test_reducing_begins_when_every_map_audit_is_settled(sampled):
    log = sampled.report.log
    first = next(i for i, e in enumerate(log) if (e.what, e.stage) == ("committed", REDUCE))
    settled = {e.partition for e in log[:first] if (e.what, e.stage) == ("settled", MAP)}
    assert settled == set(range(audited.MAPS))
    assert not [e for e in log[first:] if e.what == "challenged" and e.stage in (MAP, READ)]


def test_whoever_has_the_seed_draws_the_same_challenges(sampled):
    report = sampled.report
    seed, job = bytes.fromhex(report.seed), bytes.fromhex(report.job)
    assert seed_digest(seed).hex() == report.seed_digest
    draws, expected = Draws(seed, job), set()
    for entry in report.log:
        if entry.what == "accepted":
            at = bytes.fromhex(entry.inputs), bytes.fromhex(entry.digest)
            expected |= redrawn(draws, Task(entry.stage, entry.partition), *at)
    assert expected == {
        (a.stage, a.partition, a.kind, unit) for a in report.audits for unit in a.units or (None,)
    }


def redrawn(draws, task, *at):
    """Return what has to be challenged of a commitment, unit by unit."""
    if task.stage == REDUCE:  # so few records are audited whole
        return {(REDUCE, task.partition, "whole", unit) for unit in range(8)}
    units = set(draws.units(task, *at, 12, 0.3))
    if task.partition == draws.chosen(MAP, audited.MAPS):
        units.add(draws.one(task, *at, 12))
    kind = "whole" if len(units) == 12 else "units"
    found = {(MAP, task.partition, kind, unit) for unit in units}
    again = draws.reads(task.partition, *at, 0.3)
    if kind == "units" and (again or task.partition == draws.chosen(READ, audited.MAPS)):
        found.add((READ, task.partition, "read", None))
    return found


def test_the_seed_is_secret_until_the_verdict(client, tmp_path):
    gate = tmp_path / "open"

    def waiting(n, path=str(gate)):
        while not Path(path).exists():
            pass
        return [(n % 2, n)]

    job = verified_map_reduce(
        db.from_sequence(range(6), npartitions=3),
        waiting,
        audited.total,
        policy=Policy(replicas=1, audit=0.5),
        client=client,
    )
    try:
        running = job.report
    finally:
        gate.touch()
    job.result(timeout=60)
    assert (running.verdict, running.seed) == (None, "")
    assert running.seed_digest == job.report.seed_digest
    assert bytes.fromhex(job.report.seed)
    assert finished("bag", client, Policy()).report.seed_digest == ""


# --- what travels, and what stays -----------------------------------------------------------


def kept_inputs(client, job):
    """Return, for every map partition that a worker keeps, how many unit inputs it holds."""

    def look(job, maps, dask_worker):
        store = dask_worker.plugins["dask-verify"].store
        kept = (at for at in (Address(job, "map", i) for i in range(maps)) if at in store)
        return [len(store[at].inputs) for at in kept]

    clients = client.values() if isinstance(client, dict) else [client]
    asked = bytes.fromhex(job.report.job), job.report.progress[MAP][1]
    return [n for one in clients for found in one.run(look, *asked).values() for n in found]


@pytest.mark.parametrize("audit", [0.0, 0.3])
def test_inputs_are_released_once_nobody_will_ask_for_them(any_client, audit):
    policy = Policy(replicas=1 if audit else 2, audit=audit, unit_records=UNIT)
    job = finished("bag", any_client, policy)
    kept = kept_inputs(any_client, job)
    for _ in range(200):  # each look is a round trip
        if not any(kept):
            break
        kept = kept_inputs(any_client, job)
    assert kept
    assert set(kept) == {0}


def test_only_what_is_challenged_travels(client):
    lines = [f"{n % audited.KEYS:02}" + "x" * 500 for n in range(12_000)]
    job = verified_map_reduce(
        db.from_sequence(lines, npartitions=12),
        lambda line: [(line[:2], line)],
        lambda key, lines: len(lines),
        policy=Policy(replicas=1, audit=0.01, unit_records=20),
        client=client,
    )
    job.result(timeout=60)
    report = job.report
    assert report.odds.stages[1].sampled > 0
    # What is opened goes on to an auditor, so that about 2 % travel, and some proofs.
    assert 0 < report.bytes_moved["audits"] < 0.06 * report.bytes_computed


# --- a single domain ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "unit_records"),
    [
        ("bag", UNIT),
        pytest.param("frame", None, marks=pytest.mark.matrix),
        pytest.param("bag", None, marks=pytest.mark.matrix),
        pytest.param("frame", UNIT, marks=pytest.mark.matrix),
    ],
)
def test_the_coordinator_audits_a_single_domain(lonely, kind, unit_records):
    policy = Policy(replicas=1, audit=0.3, unit_records=unit_records)
    job = finished(kind, lonely.get_client(), policy, maps=2)
    assert job.verdict is Verdict.SAMPLED
    assert {audit.auditor for audit in job.report.audits} == {"coordinator"}


def test_a_single_domain_that_lies_is_replaced_by_the_coordinator(lonely):
    lonely.sabotage("alice", Tamper())
    try:
        policy = Policy(replicas=1, audit=0.9, unit_records=UNIT)
        job = finished("bag", lonely.get_client(), policy, maps=2)
    finally:
        lonely.sabotage("alice", None)
    assert job.verdict is Verdict.CORRECTED
    assert audited.standings(job) == {"alice": Standing.EXPOSED}


# --- refusals -------------------------------------------------------------------------------


@pytest.mark.parametrize("rate", [float("nan"), -1, -0.001, 1.1, True, "0.01", None])
def test_rates_that_are_none_are_refused(rate):
    with pytest.raises(PolicyError, match="audit"):
        Policy(replicas=1, audit=rate)


@pytest.mark.parametrize("unit_records", [0, -1, 1.5, True])
def test_units_of_no_record_are_refused(unit_records):
    with pytest.raises(PolicyError, match="unit_records"):
        Policy(replicas=1, audit=0.1, unit_records=unit_records)


def refused(client, tmp_path, policy):
    """Say whether a job is refused before anything runs."""
    mark = tmp_path / "ran"

    def mapper(n, path=str(mark)):
        Path(path).touch()
        return [(n, n)]

    bag = db.from_sequence(range(3), npartitions=1)
    with pytest.raises(PolicyError) as caught:
        verified_map_reduce(bag, mapper, audited.total, policy=policy, client=client)
    assert not mark.exists()
    return str(caught.value)


def test_one_domain_without_a_coordinator_to_audit_is_refused(lonely, tmp_path):
    text = refused(lonely.get_client(), tmp_path, Policy(replicas=1, audit=0.1, referee="domains"))
    assert "a domain that audits" in text
    assert "referee='coordinator'" in text


def test_more_faulty_domains_than_there_are_auditors_are_refused(client, tmp_path):
    text = refused(client, tmp_path, Policy(replicas=1, audit=0.1, faults=3))
    assert "faults=3" in text


def test_two_domains_audit_each_other(shared_cluster):
    whole = shared_cluster.get_client()
    with Client(whole.scheduler.address, set_as_default=False) as client:
        enrol(client, shared_cluster.domains[:2])
        policy = Policy(replicas=1, audit=0.3, unit_records=UNIT, referee="domains")
        job = finished("bag", client, policy)
    assert job.verdict is Verdict.SAMPLED
    assert {a.auditor for a in job.report.audits} <= {"alice", "bob"}


# --- no answer ------------------------------------------------------------------------------


@pytest.mark.parametrize("unit_records", [None, 1])
def test_an_error_of_the_function_is_the_users(any_client, unit_records):
    def mapper(n):
        raise ZeroDivisionError(f"no {n} today")

    job = verified_map_reduce(
        db.from_sequence(range(9), npartitions=3),
        mapper,
        audited.total,
        policy=Policy(replicas=1, audit=0.5, unit_records=unit_records),
        client=any_client,
    )
    with pytest.raises(TaskError, match="today"):
        job.result(timeout=60)
    assert set(audited.standings(job).values()) == {Standing.TRUSTED}


def test_one_replica_without_audits_checks_nothing(client):
    job = audited.start("bag", client, Policy(replicas=1))
    with pytest.raises(InconclusiveError, match=r"audit=0\.01 or replicas=2") as caught:
        job.result(timeout=60)
    assert caught.value.report.cause == "unchecked"
    assert not caught.value.report.audits
    assert caught.value.report.odds is None
