"""Receipts of real jobs: closed by real workers, checked, saved and loaded."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
from hashlib import sha256
from typing import TYPE_CHECKING, Any

import dask.bag as db
import dask.dataframe as dd
import pandas as pd
import pytest
from pandas.testing import assert_frame_equal

from dask_verify import LocalDomainCluster, Policy, load, verified_map_reduce
from dask_verify.errors import DataError, EvidenceError, JobCancelledError
from dask_verify.evidence.enrolment.trust import Entry, Trust, load_trust
from dask_verify.evidence.envelope import unverified
from dask_verify.evidence.receipts.checking import Checked, check_receipt
from dask_verify.protocol.domain import Identity
from dask_verify.testing import Saboteur, SignTwice, Tamper

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.cluster
LINES = ["to be or not to be", "that is the question"] * 30
FLIGHTS = pd.DataFrame(
    {
        "carrier": pd.Categorical(["UA", "AA", "B6", "UA", "DL", "AA"] * 20),
        "delay": [1.5, -2.0, 3.25, float("nan"), 0.1, 7.0] * 20,
    }
)


@pytest.fixture(
    scope="module",
    params=[True, pytest.param(False, marks=pytest.mark.matrix)],
    ids=["shared", "separate"],
)
def cluster(request: pytest.FixtureRequest) -> Iterator[LocalDomainCluster]:
    names = ["alice", "bob", "carol"]
    with LocalDomainCluster(names, shared=request.param, dashboard_address=None) as started:
        yield started


@pytest.fixture
def trust(cluster: LocalDomainCluster, tmp_path: Path) -> Path:
    path = tmp_path / "domains.toml"
    cluster.write_trust(path)
    return path


def words(line: str) -> list[tuple[str, int]]:
    return [(word, 1) for word in line.split()]


def total(word: str, ones: list[int]) -> int:
    return sum(ones)


def count(cluster: LocalDomainCluster, **policy: Any) -> Any:
    lines = db.from_sequence(LINES, npartitions=4)
    return verified_map_reduce(
        lines, words, total, policy=Policy(**policy), npartitions=2, client=cluster.get_client()
    )


def mean(cluster: LocalDomainCluster, sort: bool = False, **policy: Any) -> Any:
    return verified_map_reduce(
        dd.from_pandas(FLIGHTS, npartitions=3),
        lambda df: df.dropna(),
        lambda df: df.groupby("carrier", observed=True).agg({"delay": "mean"}).reset_index(),
        by="carrier",
        sort=sort,
        policy=Policy(**policy),
        npartitions=2,
        client=cluster.get_client(),
    )


def checked(job: Any, trust: Path, **asked: Any) -> Checked:
    return check_receipt(job.receipt.to_bytes(), load_trust(trust), **asked)


def test_a_receipt_holds_and_has_one_closing_of_each_domain(
    cluster: LocalDomainCluster, trust: Path
) -> None:
    job = count(cluster, replicas=2)
    found = checked(job, trust, replicas=2)
    assert (found.votes.fewest, found.exposed, found.receipt.verdict) == (2, frozenset(), "agreed")
    assert all(party.closing and not party.singles for party in found.receipt.parties)
    assert all(party.cpu > 0 and party.nbytes > 0 for party in found.receipt.parties)
    assert found.receipt.started < found.receipt.finished
    assert job.receipt is job.receipt
    with pytest.raises(EvidenceError, match="3 distinct"):
        checked(job, trust, replicas=3)


def test_a_sample_is_drawn_again(cluster: LocalDomainCluster, trust: Path) -> None:
    job = count(cluster, replicas=1, audit=0.3, unit_records=5)
    found = checked(job, trust, min_audit=0.3)
    assert found.sampled > 0
    assert any(row.answer for row in found.receipt.sampled.audits)
    with pytest.raises(EvidenceError, match="rate"):
        checked(job, trust, min_audit=0.31)


@pytest.mark.parametrize("saboteur", [Tamper(), SignTwice()], ids=repr)
def test_the_cheat_is_convicted_and_nobody_else(
    cluster: LocalDomainCluster, trust: Path, saboteur: Saboteur
) -> None:
    cluster.sabotage("bob", saboteur)
    try:
        job = count(cluster, replicas=2)
        found = checked(job, trust)
    finally:
        cluster.sabotage("bob", None)
    assert found.exposed == {"bob"}
    assert found.receipt.verdict == "corrected"
    named = [dispute.exhibit for dispute in found.receipt.disputes if dispute.exhibit]
    made = [sha256(kept.exhibit().payload()).digest() for kept in job.exhibits]
    assert named
    assert set(named) <= set(made)


def test_what_cannot_be_shown_any_more_is_told_of_and_saved_without(
    cluster: LocalDomainCluster,
    trust: Path,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    cluster.sabotage("bob", Tamper())
    try:
        job, path = count(cluster, replicas=2), tmp_path / "counts.jsonl"
        job.result()
    finally:
        cluster.sabotage("bob", None)
    for kept in job._driver.exhibits.iterdir():
        kept.unlink()
    monkeypatch.setattr(logging.getLogger("distributed"), "propagate", True)
    job.save(path)
    assert load(path, trust=trust) == job.result()
    assert "Exhibit 0 of " in caplog.text
    assert not list(tmp_path.glob("*.exhibit-0.json"))


def test_whoever_does_not_close_has_its_single_signatures_there(
    cluster: LocalDomainCluster, trust: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = count(cluster, replicas=2)
    job.result()
    pool = job._driver.pool
    answer = pool.call

    def call(address: str, domain: str, op: str, **rest: Any) -> Any:
        refuses = (domain, op) == ("carol", "verify_close")
        return b"no" if refuses else answer(address, domain, op, **rest)

    monkeypatch.setattr(pool, "call", call)
    found = checked(job, trust)
    carol = next(party for party in found.receipt.parties if party.name == "carol")
    assert not carol.closing
    assert len(carol.singles) == carol.commitments > 0


def test_a_bag_is_saved_as_json_lines(
    cluster: LocalDomainCluster, trust: Path, tmp_path: Path
) -> None:
    job, path = count(cluster, replicas=2), tmp_path / "counts.jsonl"
    job.save(path)
    assert load(path, trust=trust) == job.result()
    assert all(len(json.loads(line)) == 2 for line in path.read_text().splitlines())
    path.write_text(path.read_text().replace("60", "61", 1))
    with pytest.raises(DataError, match="partition"):
        load(path, trust=trust)


@pytest.mark.parametrize("sort", [False, True])
def test_a_dataframe_is_saved_as_parquet(
    cluster: LocalDomainCluster, trust: Path, tmp_path: Path, sort: bool
) -> None:
    job, path = mean(cluster, sort, replicas=2), tmp_path / "means.parquet"
    job.save(path)
    again = load(path, trust=trust, replicas=2)
    assert_frame_equal(again, job.result())
    if sort:
        assert list(pd.read_parquet(path).carrier) == sorted(set(FLIGHTS.carrier))
    frame = pd.read_parquet(path)
    frame.to_parquet(path, compression="gzip", row_group_size=2)
    assert_frame_equal(load(path, trust=trust), job.result())
    frame.assign(delay=frame.delay + 1e-9).to_parquet(path)
    with pytest.raises(DataError, match="partition"):
        load(path, trust=trust)


def test_the_users_own_file_is_compared_with_the_bare_receipt(
    cluster: LocalDomainCluster, trust: Path, tmp_path: Path
) -> None:
    job, path = mean(cluster, replicas=2), tmp_path / "own.parquet"
    job.result().to_parquet(path)
    job.receipt.save(tmp_path / "receipt.json")
    again = load(path, trust=trust, receipt=tmp_path / "receipt.json")
    assert_frame_equal(again, job.result())


def test_a_receipt_is_checked_in_a_process_without_a_cluster(
    cluster: LocalDomainCluster, trust: Path, tmp_path: Path
) -> None:
    job, path = count(cluster, replicas=2), tmp_path / "counts.jsonl"
    job.save(path)
    command = [sys.executable, "-m", "dask_verify.evidence", "check", f"{path}.receipt.json"]
    command += ["--trust", str(trust), "--data", str(path)]
    told = subprocess.run([*command, "--json"], capture_output=True, check=True)
    assert json.loads(told.stdout)["verdict"] == "agreed"
    path.write_text("")
    refused = subprocess.run(command, capture_output=True, text=True)
    assert refused.returncode == 1
    assert refused.stderr.startswith("does not hold: ")


def test_a_job_without_an_answer_has_a_receipt_that_holds_for_nothing(
    cluster: LocalDomainCluster, trust: Path
) -> None:
    job = count(cluster, replicas=1)
    assert job.receipt.content.stages == ()
    with pytest.raises(EvidenceError, match="inconclusive"):
        checked(job, trust)


def test_a_receipt_of_another_coordinator_is_none(cluster: LocalDomainCluster, trust: Path) -> None:
    job, known = count(cluster, replicas=2), load_trust(trust)
    other = Entry("coordinator", Identity.generate("coordinator").public_key)
    with pytest.raises(EvidenceError, match="key"):
        check_receipt(job.receipt.to_bytes(), Trust(known.entries, other))


def test_a_cancelled_job_has_no_receipt(cluster: LocalDomainCluster) -> None:
    job = count(cluster, replicas=2)
    job.cancel()
    if job.verdict is None:
        with pytest.raises(JobCancelledError):
            _ = job.receipt


def test_the_seed_is_in_the_receipt_and_bound_before(cluster: LocalDomainCluster) -> None:
    job = count(cluster, replicas=1, audit=1.0)
    said = json.loads(unverified(job.receipt.to_bytes()))["predicate"]
    assert said["sampling"]["seed"] == job.report.seed
    assert said["job"]["seedDigest"] == job.report.seed_digest
