"""Jobs whose domains are reached by couriers do all that others do."""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dask.bag as db
import dask.dataframe as dd
import pandas as pd
import pytest
from pandas.testing import assert_frame_equal

from dask_verify import LocalDomainCluster, Policy, Standing, Verdict, load, verified_map_reduce
from dask_verify.engine.courier.confinement import COMPLETE
from dask_verify.engine.courier.line import Line
from dask_verify.engine.courier.pool import CourierPool
from dask_verify.engine.courier.remote import Remote
from dask_verify.engine.enrolment import enrol
from dask_verify.errors import InputError, JobCancelledError
from dask_verify.testing import Tamper

pytestmark = pytest.mark.cluster

WORDS = ["to", "be", "or", "not", "to", "be"] * 4
COUNTS = {"to": 8, "be": 8, "or": 4, "not": 4}


def counted(cluster: LocalDomainCluster, policy: Policy | None = None, **options: Any) -> Any:
    return verified_map_reduce(
        db.from_sequence(WORDS, npartitions=6),
        lambda word: [(word, 1)],
        lambda word, ones: sum(ones),
        npartitions=4,
        policy=policy,
        client=options.pop("client", None) or cluster.get_remotes(),
    )


def grouped(cluster: LocalDomainCluster) -> Any:
    pdf = pd.DataFrame({"k": [i % 5 for i in range(40)], "x": range(40)})
    return verified_map_reduce(
        dd.from_pandas(pdf, npartitions=4), lambda d: d,
        lambda d: d.groupby("k", as_index=False).x.sum(),
        by="k", sort=True, npartitions=3, client=cluster.get_remotes(),
    )  # fmt: skip


@pytest.fixture
def tampering(separate_cluster: LocalDomainCluster) -> Iterator[LocalDomainCluster]:
    separate_cluster.sabotage("bob", Tamper())
    yield separate_cluster
    separate_cluster.sabotage("bob", None)


def test_a_bag_its_collection_and_its_file(
    separate_cluster: LocalDomainCluster, tmp_path: Path
) -> None:
    separate_cluster.write_trust(tmp_path / "domains.toml")
    job = counted(separate_cluster)
    assert dict(job.result(timeout=60)) == COUNTS
    assert job.verdict is Verdict.AGREED
    assert job.report.couriers == dict.fromkeys(("alice", "bob", "carol"), COMPLETE)
    assert "courier      bob: confined in limits, privileges, files" in str(job.report)
    bag = job.to_collection()
    assert dict(bag.compute(scheduler="threads")) == COUNTS
    with pytest.raises(InputError, match="pass scheduler='threads'"):
        pickle.dumps(job._lease)
    with pytest.raises(TypeError, match="Could not serialize"):
        bag.compute(scheduler=separate_cluster.get_client()["alice"])
    signed = job.save(tmp_path / "words.jsonl")
    job.cancel()
    assert dict(load(tmp_path / "words.jsonl", trust=tmp_path / "domains.toml")) == COUNTS
    # Its parts are closed by the domains: their workers were asked through the couriers.
    assert all(party.closing for party in signed.content.parties)


@pytest.mark.matrix
def test_a_dataframe(separate_cluster: LocalDomainCluster) -> None:
    job = grouped(separate_cluster)
    expected = pd.DataFrame({"k": range(5), "x": [140, 148, 156, 164, 172]})
    assert_frame_equal(job.result(timeout=60), expected)
    job.cancel()


@pytest.mark.matrix
def test_a_liar_is_exposed_with_an_exhibit(tampering: LocalDomainCluster) -> None:
    job = counted(tampering)
    assert dict(job.result(timeout=60)) == COUNTS
    assert job.verdict is Verdict.CORRECTED
    assert job.report.domains["bob"].standing is Standing.EXPOSED
    assert len(job.exhibits) >= 1
    job.cancel()


@pytest.mark.matrix
def test_audits(tampering: LocalDomainCluster) -> None:
    policy = Policy(replicas=1, audit=1.0, unit_records=2)
    job = counted(tampering, policy)
    assert dict(job.result(timeout=60)) == COUNTS
    assert job.report.domains["bob"].standing is Standing.EXPOSED
    assert {d.standing for n, d in job.report.domains.items() if n != "bob"} == {Standing.TRUSTED}
    assert job.report.audits
    job.cancel()


def test_a_courier_that_is_killed_costs_its_domain_and_nobody_else(
    separate_cluster: LocalDomainCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent = Line.tell

    def killed(line: Line, op: str, *given: Any, **options: Any) -> None:
        sent(line, op, *given, **options)
        if op == "submit" and line._domain == "bob":
            line._kill()

    monkeypatch.setattr(Line, "tell", killed)
    job = counted(separate_cluster)
    assert dict(job.result(timeout=60)) == COUNTS
    standing = {name: domain.standing for name, domain in job.report.domains.items()}
    assert standing == {
        "alice": Standing.TRUSTED, "bob": Standing.SUSPECTED, "carol": Standing.TRUSTED,
    }  # fmt: skip
    job.cancel()


@pytest.mark.matrix
def test_a_courier_that_was_killed_is_replaced_within_the_job(
    separate_cluster: LocalDomainCluster,
) -> None:
    with CourierPool(separate_cluster.get_remotes()) as pool:
        before = pool._couriers["bob"].line
        before._kill()
        while pool._couriers["bob"]._line is before or not pool.workers()["bob"]:
            assert pool._couriers["bob"]._restarts <= 1
        [address] = pool.workers()["bob"]
        assert pool.call(address, "bob", "verify_unheard_of") is None


def test_cancelling(separate_cluster: LocalDomainCluster) -> None:
    job = counted(separate_cluster)
    pool = job._driver.pool
    processes = [courier.line._process for courier in pool._couriers.values()]
    job.cancel()
    with pytest.raises(JobCancelledError):
        job.result(timeout=10)
    assert all(process.returncode is not None for process in processes)


# --- input that cannot be used --------------------------------------------------------------------


def enrolled(cluster: LocalDomainCluster, **others: Remote) -> dict[str, Remote]:
    found = {**cluster.get_remotes(), **others}
    for domain in cluster.domains:
        if domain.name in others:
            enrol(found[domain.name], [domain], coordinator=cluster.coordinator)
    return found


@pytest.mark.matrix
def test_an_address_where_nobody_listens(separate_cluster: LocalDomainCluster) -> None:
    nobody = enrolled(separate_cluster, bob=Remote("tcp://127.0.0.1:1"))
    with pytest.raises(InputError, match=r"domain 'bob' cannot reach tcp://127.0.0.1:1"):
        counted(separate_cluster, client=nobody)


def test_addresses_that_nobody_enrolled(separate_cluster: LocalDomainCluster) -> None:
    addresses = {name: to.address for name, to in separate_cluster.get_remotes().items()}
    with pytest.raises(InputError, match="that nobody enrolled"):
        counted(separate_cluster, client=addresses)


def test_clients_and_addresses_together(separate_cluster: LocalDomainCluster) -> None:
    mixed = {**separate_cluster.get_client(), "bob": "tcp://127.0.0.1:1"}
    with pytest.raises(InputError, match="for all domains or for none"):
        counted(separate_cluster, client=mixed)


def test_one_address_alone(shared_cluster: LocalDomainCluster) -> None:
    with pytest.raises(InputError, match="or of addresses, got Remote"):
        counted(shared_cluster, client=Remote("tcp://127.0.0.1:1"))
    with pytest.raises(InputError, match="shared=False"):
        shared_cluster.get_remotes()
