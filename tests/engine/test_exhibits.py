"""Exhibits of jobs on a cluster: each cheat is convicted by whoever computes the unit again."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import audited
import pytest

from dask_verify import Policy, Verdict
from dask_verify.errors import InputError
from dask_verify.evidence.exhibits.exhibit import Exhibit
from dask_verify.evidence.exhibits.replay import Replay, replay
from dask_verify.testing import ReadOther, ServeOther, Tamper
from dask_verify.testing.evaders import Frame
from dask_verify.testing.liars import ForgeRoot, RefuseDescent, SignTwice

pytestmark = [pytest.mark.cluster, pytest.mark.matrix]


@contextmanager
def sabotaged(cluster: Any, name: str, saboteur: Any) -> Iterator[None]:
    cluster.sabotage(name, saboteur)
    try:
        yield
    finally:
        cluster.sabotage(name, None)


def shown(job: Any, tmp_path: Path) -> list[Exhibit]:
    """The exhibits of a job as somebody else reads them from their files."""
    found = []
    for number, kept in enumerate(job.exhibits):
        path = tmp_path / f"{number}.json"
        kept.save(path)
        found.append(Exhibit.from_bytes(path.read_bytes()))
    return found


def run(cluster: Any, kind: str, policy: Policy, tmp_path: Path) -> list[Exhibit]:
    job = audited.start(kind, cluster.get_client(), policy)
    audited.check(kind, job.result(timeout=60))
    found = shown(job, tmp_path)
    assert job.verdict is Verdict.CORRECTED
    assert [e.culprits for e in found] == [d.culprits for d in job.report.divergences]
    job.cancel()
    return found


def replayed(exhibit: Exhibit) -> Replay:
    """Compute again with the shipped functions, which are those of a test."""
    return replay(exhibit, trust_code=True)


def decisive(found: list[Exhibit]) -> list[Exhibit]:
    return [e for e in found if e.settled in ("referee", "opening")]


@pytest.mark.parametrize(
    ("kind", "unit_records", "saboteur", "cause"),
    [
        pytest.param("bag", 5, Tamper(), "map", id="unit"),
        pytest.param("frame", None, Tamper(), "map", id="partition"),
        pytest.param("bag", 5, Tamper(stage="reduce"), "reduce", id="reduce-bag"),
        pytest.param("frame", None, Tamper(stage="reduce"), "reduce", id="reduce-frame"),
        pytest.param("bag", 5, ReadOther(), "read", id="read"),
        pytest.param("bag", 5, RefuseDescent(), "map", id="refused"),
        pytest.param("bag", 5, ForgeRoot(), "map", id="forged"),
        pytest.param("bag", 5, SignTwice(), "map", id="twice"),
    ],
)
def test_a_replica_that_lies(
    shared_cluster: Any, tmp_path: Path, kind: str, unit_records: Any, saboteur: Any, cause: str
) -> None:
    with sabotaged(shared_cluster, "bob", saboteur):
        found = run(shared_cluster, kind, Policy(unit_records=unit_records), tmp_path)
    one = decisive(found)[0]
    assert (one.cause, one.culprits, one.unshown) == (cause, ("bob",), ())
    outcome = replayed(one)
    assert outcome.confirmed, outcome.said
    assert outcome.contradicted == ("bob",)


@pytest.mark.parametrize("saboteur", [Tamper(), Tamper(stage="reduce"), ReadOther()])
def test_an_audited_holder_that_lies(shared_cluster: Any, tmp_path: Path, saboteur: Any) -> None:
    with sabotaged(shared_cluster, "bob", saboteur):
        policy = Policy(replicas=1, audit=0.9, unit_records=5)
        found = run(shared_cluster, "bag", policy, tmp_path)
    for one in decisive(found):
        assert (one.culprits, one.unshown) == (("bob",), ())
        outcome = replayed(one)
        assert outcome.confirmed, outcome.said
        assert outcome.contradicted == ("bob",)


def test_an_auditor_that_lies(shared_cluster: Any, tmp_path: Path) -> None:
    with sabotaged(shared_cluster, "carol", Frame()):
        policy = Policy(replicas=1, audit=0.9, unit_records=5)
        found = run(shared_cluster, "bag", policy, tmp_path)
    assert decisive(found)
    for one in decisive(found):
        assert one.culprits == ("carol",)
        outcome = replayed(one)
        assert outcome.confirmed, outcome.said
        assert outcome.contradicted == ("carol",)


def test_a_holder_that_serves_something_else(shared_cluster: Any, tmp_path: Path) -> None:
    with sabotaged(shared_cluster, "alice", ServeOther()):
        found = run(shared_cluster, "bag", Policy(unit_records=5), tmp_path)
    one = next(e for e in found if e.cause == "serve")
    outcome = replay(one)
    assert (outcome.confirmed, outcome.contradicted) == (True, ("alice",))


def test_exhibits_go_with_their_job(shared_cluster: Any, tmp_path: Path) -> None:
    with sabotaged(shared_cluster, "bob", Tamper()):
        job = audited.start("bag", shared_cluster.get_client(), Policy(unit_records=5))
        job.result(timeout=60)
    kept = job.exhibits[0]
    job.cancel()
    with pytest.raises(InputError, match="before the job is cancelled"):
        kept.save(tmp_path / "late.json")
