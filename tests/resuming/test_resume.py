"""The coordinator is killed while it works, and another process goes on with its job."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cloudpickle
import dask.bag as db
import pytest

import dask_verify
from dask_verify import Policy, Standing, Verdict, verified_map_reduce
from dask_verify.engine.dossier import Dossier
from dask_verify.engine.journal import Journal
from dask_verify.errors import InconclusiveError, InputError, JobCancelledError, JournalError
from dask_verify.protocol.domain import Domain, Identity
from dask_verify.protocol.messages import MAP, REDUCE, Committed, Task
from dask_verify.testing import Saboteur, ServeOther, Tamper

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dask_verify.engine.cluster import LocalDomainCluster

pytestmark = pytest.mark.cluster
LINES = [f"to be or not to be {i}" for i in range(48)]
RIGHT = {"to": 96, "be": 96, "or": 48, "not": 48} | {str(i): 1 for i in range(48)}
NAMES = ("alice", "bob", "carol")
MAPS, REDUCES = 6, 3
HERE = Path(__file__).parent


@pytest.fixture
def cluster(request: pytest.FixtureRequest) -> Iterator[LocalDomainCluster]:
    cluster = request.getfixturevalue(f"{request.param}_cluster")
    yield cluster
    for name in NAMES:
        cluster.sabotage(name, None)


@pytest.fixture
def shared(shared_cluster: LocalDomainCluster) -> Iterator[LocalDomainCluster]:
    yield shared_cluster
    for name in NAMES:
        shared_cluster.sabotage(name, None)


class Hold(Saboteur):
    """Hold a domain up in one stage, from some partition on."""

    def __init__(self, stage: str, but: int) -> None:
        self.stage, self.but = stage, but

    def delay(self, stage: str, partition: int) -> float:
        return 1000 if stage == self.stage and partition != self.but else 0


def given(marks: Path, **policy: Any) -> dict[str, Any]:
    """A word count whose functions leave a mark for each time that they are called."""

    def mapper(line: str) -> list[tuple[str, int]]:
        with marks.open("a") as file:
            file.write("m")
        return [(word, 1) for word in line.split()]

    def reducer(word: str, found: list[int]) -> int:
        with marks.open("a") as file:
            file.write("r")
        return sum(found)

    return {
        "collection": db.from_sequence(LINES, npartitions=MAPS),
        "mapper": mapper,
        "reducer": reducer,
        "npartitions": REDUCES,
        "policy": Policy(**{"deadline": 60, "stand_in": False} | policy),
    }


def called(marks: Path) -> Counter[str]:
    return Counter(marks.read_text() if marks.exists() else "")


def addresses(cluster: LocalDomainCluster) -> dict[str, str]:
    found = cluster._clusters
    if len(found) == 1:
        return {"": next(iter(found.values())).scheduler_address}
    return {name: one.scheduler_address for name, one in found.items()}


@contextlib.contextmanager
def coordinator(
    cluster: LocalDomainCluster, folder: Path, stage: str, number: int, **policy: Any
) -> Iterator[subprocess.Popen[str]]:
    """A job in another process that has got so far."""
    cluster.get_client()
    cluster.write_trust(folder / "trust.toml")
    (folder / "key").write_bytes(cluster.coordinator.private_bytes())
    (folder / "job.json").write_text(json.dumps({"addresses": addresses(cluster)}))
    what = given(folder / "marks", **policy)
    (folder / "job.pickle").write_bytes(cloudpickle.dumps(what))
    command = [sys.executable, str(HERE / "coordinator.py"), str(folder), stage, str(number)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
    with subprocess.Popen(command, text=True, **pipes) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "reached\n"
            yield process
        finally:
            process.kill()


def roots(job: Any) -> dict[Any, bytes]:
    state = job._driver.state
    return {task: state.accepted(task).root for task in state.assigned()}


def undisturbed(cluster: LocalDomainCluster, folder: Path, **policy: Any) -> dict[Any, bytes]:
    """The roots of the same job where nothing happens to it."""
    job = verified_map_reduce(**given(folder / "others", **policy), client=cluster.get_client())
    assert dict(job.result(timeout=60)) == RIGHT
    found = roots(job)
    job.cancel()
    return found


@pytest.mark.parametrize(
    ("cluster", "stage"),
    [
        ("shared", REDUCE),
        pytest.param("shared", MAP, marks=pytest.mark.matrix),
        pytest.param("separate", MAP, marks=pytest.mark.matrix),
        pytest.param("separate", REDUCE, marks=pytest.mark.matrix),
    ],
    indirect=["cluster"],
)
def test_a_killed_coordinator_s_job_goes_on(
    cluster: LocalDomainCluster, tmp_path: Path, stage: str
) -> None:
    # Of three partitions that alice helps with, one is done; what bob and carol did is accepted.
    cluster.sabotage("alice", Hold(stage, but=-1))
    with coordinator(cluster, tmp_path, stage, 1):
        cluster.sabotage("alice", None)
    before = called(tmp_path / "marks")
    job = dask_verify.resume(tmp_path / "journal", client=cluster.get_client())
    found = job.result(timeout=60)
    assert dict(found) == RIGHT
    assert len(found) == len(RIGHT)
    assert job.verdict is Verdict.AGREED
    assert all(d.standing is Standing.TRUSTED for d in job.report.domains.values())
    assert roots(job) == undisturbed(cluster, tmp_path)
    assert job.receipt is not None
    # Of what was accepted nothing is computed again; each task ran at most twice for a domain.
    more = called(tmp_path / "marks") - before
    if stage == REDUCE:
        assert not more["m"]
    assert before["m"] + more["m"] <= 2 * len(LINES) + len(LINES)
    job.cancel()


@pytest.mark.matrix
def test_a_domain_that_was_exposed_stays_so(shared: LocalDomainCluster, tmp_path: Path) -> None:
    shared.sabotage("bob", Tamper(stage=MAP))
    with coordinator(shared, tmp_path, REDUCE, 1, replicas=2):
        shared.sabotage("bob", None)
    job = dask_verify.resume(tmp_path / "journal", client=shared.get_client())
    assert dict(job.result(timeout=60)) == RIGHT
    assert job.verdict is Verdict.CORRECTED
    assert job.report.domains["bob"].standing is Standing.EXPOSED
    assert job.report.divergences
    assert all(d.culprits == ("bob",) for d in job.report.divergences)
    assert job.exhibits  # what was signed can still be shown
    job.exhibits[0].to_bytes()
    job.cancel()


def test_challenges_that_were_drawn_stay_drawn(shared: LocalDomainCluster, tmp_path: Path) -> None:
    shared.sabotage("alice", Hold(REDUCE, but=-1))
    policy = {"replicas": 1, "audit": 0.5}
    with coordinator(shared, tmp_path, MAP, MAPS, **policy):
        shared.sabotage("alice", None)
    opened, records = Journal.reopen(tmp_path / "journal")
    opened.close()
    dossier = Dossier.from_record(records[0])
    job = dask_verify.resume(tmp_path / "journal", client=shared.get_client())
    assert dict(job.result(timeout=60)) == RIGHT
    assert job.verdict is Verdict.SAMPLED
    report = job.report
    assert report.seed == dossier.seed.hex()
    assert report.job == dossier.terms.job.hex()
    made = [a for a in report.audits if a.stage == MAP]
    assert made
    assert len({(a.partition, a.commitment, a.units) for a in made}) == len(made)
    assert {a.outcome for a in report.audits} == {"agreed"}
    job.cancel()


@pytest.mark.matrix
def test_a_job_that_has_its_answer_is_read_again(
    shared: LocalDomainCluster, tmp_path: Path
) -> None:
    with coordinator(shared, tmp_path, REDUCE, REDUCES):
        pass
    before = called(tmp_path / "marks")
    job = dask_verify.resume(tmp_path / "journal", client=shared.get_client())
    assert dict(job.result(timeout=60)) == RIGHT
    assert called(tmp_path / "marks")["m"] == before["m"]
    job.cancel()
    # Now no worker keeps anything of it.
    again = dask_verify.resume(tmp_path / "journal", client=shared.get_client())
    assert dict(again.result(timeout=60)) == RIGHT
    assert roots(again) == roots(job)
    assert called(tmp_path / "marks")["m"] > before["m"]
    again.cancel()


@pytest.mark.matrix
def test_workers_that_died_as_well_lose_what_they_held_and_no_more(
    shared: LocalDomainCluster, tmp_path: Path
) -> None:
    shared.sabotage("alice", Hold(REDUCE, but=-1))
    with coordinator(shared, tmp_path, MAP, MAPS):
        shared.sabotage("alice", None)
        shared.kill_worker("bob")
    client = shared.get_client()
    client.submit(int, resources={"domain:bob": 1}, pure=False).result(timeout=60)
    job = dask_verify.resume(tmp_path / "journal", client=client)
    assert dict(job.result(timeout=90)) == RIGHT
    assert job.verdict is Verdict.AGREED
    assert roots(job) == undisturbed(shared, tmp_path)
    job.cancel()


def test_an_interrupted_job_goes_on(
    shared: LocalDomainCluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shared.sabotage("alice", Hold(REDUCE, but=-1))
    what = given(tmp_path / "marks")
    job = verified_map_reduce(**what, client=shared.get_client(), journal=tmp_path / "journal")
    changed = job._driver.changed
    with changed:
        assert changed.wait_for(lambda: job.report.progress[MAP][0] == MAPS, 60)

    def interrupt(timeout: float | None = None) -> bool:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(job._driver.decided, "wait", interrupt)
        with pytest.raises(KeyboardInterrupt):
            job.result()
    assert job.status == "interrupted"
    with pytest.raises(JobCancelledError, match=r"go on with it with dask_verify\.resume"):
        job.result()
    shared.sabotage("alice", None)
    before = called(tmp_path / "marks")
    again = dask_verify.resume(tmp_path / "journal", client=shared.get_client())
    assert dict(again.result(timeout=60)) == RIGHT
    assert called(tmp_path / "marks")["m"] == before["m"]
    again.cancel()


@pytest.mark.matrix
def test_a_job_that_runs_is_not_taken_up(shared: LocalDomainCluster, tmp_path: Path) -> None:
    shared.sabotage("alice", Hold(MAP, but=-1))
    with (
        coordinator(shared, tmp_path, MAP, 1),
        pytest.raises(JournalError, match="one that is in use"),
    ):
        dask_verify.resume(tmp_path / "journal", client=shared.get_client())


def count(cluster: LocalDomainCluster, folder: Path, **more: Any) -> Any:
    return verified_map_reduce(
        **given(folder / "marks") | more, client=cluster.get_client(), journal=folder / "journal"
    )


def test_functions_that_cannot_be_imported_are_refused_before_the_job_goes_on(
    shared: LocalDomainCluster,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    job = count(shared, tmp_path)
    job.result(timeout=60)
    job._end(forget=False)
    written = (tmp_path / "journal").read_bytes()

    def missing(data: bytes) -> Any:
        raise ModuleNotFoundError("No module named 'wc'", name="wc")

    with monkeypatch.context() as patch, caplog.at_level("INFO", "distributed.dask_verify"):
        patch.setattr("dask_verify.resuming.unship", missing)
        with pytest.raises(JournalError, match=r"expected module 'wc', .* in PYTHONPATH"):
            dask_verify.resume(tmp_path / "journal", client=shared.get_client())
    assert "Resumed" not in caplog.text
    assert (tmp_path / "journal").read_bytes() == written
    again = dask_verify.resume(tmp_path / "journal", client=shared.get_client())
    assert dict(again.result(timeout=60)) == RIGHT
    again.cancel()


def test_every_acceptance_is_on_disk_before_it_is_acted_on(
    shared: LocalDomainCluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is on disk whenever an instruction is carried out leads to that very instruction."""
    from dask_verify.engine import driver as module
    from dask_verify.engine.dossier import Past

    kept = module.Driver._do
    seen = []

    def looked(self: Any, instruction: Any) -> None:
        name = type(instruction).__name__
        if name in ("Accepted", "StartReduce", "Finished"):
            copy = tmp_path / "copy"
            copy.write_bytes((tmp_path / "journal").read_bytes())
            opened, records = Journal.reopen(copy)
            opened.close()
            state = Past.read(self.plan, records[1:]).state
            seen.append((name, _happened(state, instruction)))
        kept(self, instruction)

    monkeypatch.setattr(module.Driver, "_do", looked)
    job = count(shared, tmp_path)
    assert dict(job.result(timeout=60)) == RIGHT
    assert Counter(seen) == {
        ("Accepted", True): MAPS + REDUCES,
        ("StartReduce", True): 1,
        ("Finished", True): 1,
    }
    job.cancel()


def _happened(state: Any, instruction: Any) -> bool:
    name = type(instruction).__name__
    if name == "Accepted":
        return state.accepted(instruction.task) is not None
    return bool(state.reduce_inputs if name == "StartReduce" else state.finished)


@pytest.fixture
def full(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Whether there is room for journals; to be changed."""
    from dask_verify.engine.journal import LocalLog

    full, add = [False], LocalLog.add

    def adding(self: LocalLog, data: bytes) -> None:
        if full[0]:
            raise OSError("No space left on device")
        add(self, data)

    monkeypatch.setattr(LocalLog, "add", adding)
    return full


def test_without_room_for_the_journal_there_is_no_answer(
    shared: LocalDomainCluster, tmp_path: Path, full: list[bool]
) -> None:
    shared.sabotage("alice", Hold(REDUCE, but=-1))
    job = count(shared, tmp_path)
    changed = job._driver.changed
    with changed:
        assert changed.wait_for(lambda: job.report.progress[MAP][0] == MAPS, 60)
    full[0] = True
    shared.sabotage("alice", None)
    with pytest.raises(InconclusiveError, match=r"(?s)journal.*make room.*No space left"):
        job.result(timeout=60)
    assert job.verdict is Verdict.INCONCLUSIVE
    with pytest.raises(JournalError, match="make room"):
        _ = job.receipt
    full[0] = False
    before = called(tmp_path / "marks")
    again = dask_verify.resume(tmp_path / "journal", client=shared.get_client())
    assert dict(again.result(timeout=60)) == RIGHT
    assert called(tmp_path / "marks")["m"] == before["m"]
    again.cancel()


def test_what_comes_to_light_without_room_for_the_journal_is_told_to_nobody(
    shared: LocalDomainCluster, tmp_path: Path, full: list[bool]
) -> None:
    """Resumed, the job knows nothing of it: two receipts would say two things of one domain."""
    job = count(shared, tmp_path)
    assert job.wait(timeout=60) is Verdict.AGREED
    state = job._driver.state
    liar = state.holders(Task(REDUCE, 0))[0]
    full[0] = True
    shared.sabotage(liar, ServeOther())
    with pytest.raises(InconclusiveError, match=r"(?s)journal.*make room.*No space left"):
        job.result(timeout=60)
    assert job.verdict is Verdict.INCONCLUSIVE
    assert state.exposed == {liar}
    (exhibit,) = job.exhibits
    for ask in (
        lambda: job.receipt,
        lambda: job.save(tmp_path / "counts.jsonl"),
        lambda: exhibit.save(tmp_path / "exhibit.json"),
    ):
        with pytest.raises((JournalError, InconclusiveError), match="make room"):
            ask()
    assert not list(tmp_path.glob("*.json*"))
    full[0] = False
    again = dask_verify.resume(tmp_path / "journal", client=shared.get_client())
    assert dict(again.result(timeout=60)) == RIGHT
    assert again.verdict is Verdict.CORRECTED
    assert [p.name for p in again.receipt.content.parties if p.standing == "exposed"] == [liar]
    again.cancel()


@pytest.mark.parametrize("journal", [5, b"path", object()])
def test_a_journal_is_a_path(shared: LocalDomainCluster, journal: Any) -> None:
    what = given(Path("nowhere"))
    with pytest.raises(InputError, match="journal: expected a path or URL, got"):
        verified_map_reduce(**what, client=shared.get_client(), journal=journal)
    with pytest.raises(InputError, match="journal: expected a path or URL, got"):
        dask_verify.resume(journal, client=shared.get_client())


def test_held_data_cannot_be_gone_on_with(shared: LocalDomainCluster, tmp_path: Path) -> None:
    client = shared.get_client()
    what = given(tmp_path / "marks", trust_input=True)
    what["collection"] = client.persist(what["collection"])
    with pytest.raises(InputError, match="expected a collection that can be computed again"):
        verified_map_reduce(**what, client=client, journal=tmp_path / "journal")
    assert not (tmp_path / "journal").exists()


@pytest.fixture
def ended(shared: LocalDomainCluster, tmp_path: Path) -> Path:
    """The journal of a job that is over."""
    job = count(shared, tmp_path)
    job.result(timeout=60)
    job.cancel()
    return tmp_path / "journal"


def test_other_domains_cannot_go_on(
    shared: LocalDomainCluster, ended: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    client, domains = shared.get_client(), {d.name: d for d in shared.domains}

    def among(*others: Domain) -> None:
        found = client, others
        monkeypatch.setattr("dask_verify.resuming.enrolled_domains", lambda client: found)

    among(domains["alice"], domains["bob"])
    with pytest.raises(InputError, match="expected domain 'carol' of the journal's job"):
        dask_verify.resume(ended, client=client)
    other = Domain("carol", Identity.generate("carol").public_key, domains["carol"].environment)
    among(domains["alice"], domains["bob"], other)
    with pytest.raises(InputError, match="expected domain 'carol' with the key"):
        dask_verify.resume(ended, client=client)
    newer = Domain("carol", domains["carol"].public_key, {"python": "4"})
    among(domains["alice"], domains["bob"], newer)
    with pytest.raises(JournalError, match="in the environment that it enrolled"):
        dask_verify.resume(ended, client=client)


def test_another_coordinator_cannot_go_on(
    shared: LocalDomainCluster, ended: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = Identity.generate("coordinator")
    monkeypatch.setattr("dask_verify.resuming.coordinator_of", lambda client: other)
    with pytest.raises(InputError, match="that the journal's job was begun with"):
        dask_verify.resume(ended, client=shared.get_client())
    # A refusal leaves the journal to others.
    monkeypatch.undo()
    assert dict(dask_verify.resume(ended, client=shared.get_client()).result(60)) == RIGHT


def test_a_journal_whose_decisions_come_out_otherwise_is_refused(
    shared: LocalDomainCluster, ended: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from dask_verify.protocol import quorum

    monkeypatch.setattr(quorum.Ballot, "winners", lambda self, excluded, quorum: [])
    with pytest.raises(JournalError, match="expected the decisions that were made then"):
        dask_verify.resume(ended, client=shared.get_client())


def test_a_journal_may_be_anywhere_that_fsspec_writes(
    shared: LocalDomainCluster, tmp_path: Path
) -> None:
    import fsspec

    place = f"memory://{os.getpid()}/journal"
    try:
        job = verified_map_reduce(
            **given(tmp_path / "marks"), client=shared.get_client(), journal=place
        )
        assert dict(job.result(timeout=60)) == RIGHT
        job.cancel()
        again = dask_verify.resume(place, client=shared.get_client())
        assert dict(again.result(timeout=60)) == RIGHT
        assert roots(again) == roots(job)
        again.cancel()
        opened, records = Journal.reopen(place)
        assert any(Committed.__name__.encode() in record for record in records)
        opened.close()
    finally:
        filesystem = fsspec.filesystem("memory")
        filesystem.store.clear()
        filesystem.pseudo_dirs[:] = [""]


def test_a_job_that_cannot_begin_leaves_nothing_open(
    shared: LocalDomainCluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from dask_verify.engine.journal import LocalLog
    from dask_verify.engine.pool import SharedPool

    closed: list[Any] = []
    close = SharedPool.close
    monkeypatch.setattr(SharedPool, "close", lambda pool: (closed.append(pool), close(pool)))

    def full(self: LocalLog, data: bytes) -> None:
        raise OSError("No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(LocalLog, "add", full)
        with pytest.raises(JournalError, match="No space left"):
            count(shared, tmp_path)
    with pytest.raises(JournalError, match="nothing whole"):  # and not: it is in use
        Journal.reopen(tmp_path / "journal")
    with pytest.raises(JournalError, match="expected no file of that name"):
        count(shared, tmp_path)
    assert len(closed) == 2
