"""Schedulers and holders of a faulty domain may answer with anything, or never."""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dask
import dask.bag as db
import pytest
from distributed.protocol import to_serialize
from distributed.protocol.serialize import ToPickle

from dask_verify import Standing, verified_map_reduce
from dask_verify.engine import collection, pool

if TYPE_CHECKING:
    from dask_verify.engine.cluster import LocalDomainCluster

pytestmark = pytest.mark.cluster

WORDS = ["to", "be", "or", "not", "to", "be"] * 4


async def never(*args: Any, **kwargs: Any) -> None:
    await asyncio.Event().wait()


def run(cluster: LocalDomainCluster) -> Any:
    job = verified_map_reduce(
        db.from_sequence(WORDS, npartitions=6),
        lambda word: [(word, 1)],
        lambda word, ones: sum(ones),
        npartitions=6,
        client=cluster.get_client(),
    )
    assert dict(job.result(timeout=90)) == {word: WORDS.count(word) for word in WORDS}
    standing = {name: d.standing for name, d in job.report.domains.items()}
    assert standing["alice"] is standing["carol"] is Standing.TRUSTED
    return standing["bob"]


@pytest.mark.parametrize("answer", [5, None, ["a", 1], {1: 1}, "x"])
def test_a_scheduler_that_talks_nonsense_of_its_workers(
    separate_cluster: LocalDomainCluster, monkeypatch: pytest.MonkeyPatch, answer: Any
) -> None:
    handlers = separate_cluster._clusters["bob"].scheduler.handlers
    # It was sensible while the job was set up.
    monkeypatch.setattr(pool, "check_workers", lambda workers: None)
    monkeypatch.setitem(handlers, "ncores", lambda workers=None: answer)
    assert run(separate_cluster) is not Standing.EXPOSED


def test_a_scheduler_that_talks_nonsense_when_everybody_is_asked(
    separate_cluster: LocalDomainCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    handlers = separate_cluster._clusters["bob"].scheduler.handlers
    monkeypatch.setitem(handlers, "broadcast", lambda **message: 5)
    assert run(separate_cluster) is not Standing.EXPOSED


@pytest.mark.matrix
def test_a_scheduler_that_never_takes_data(
    separate_cluster: LocalDomainCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    handlers = separate_cluster._clusters["bob"].scheduler.handlers
    monkeypatch.setitem(handlers, "scatter", never)
    with dask.config.set({"verify.deadline-floor": 6.0}):
        assert run(separate_cluster) is Standing.SUSPECTED


class Evil:
    """Runs code where it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> Any:
        return Path.touch, (self.mark,)


@pytest.mark.parametrize("kind", [to_serialize, ToPickle])
def test_reading_a_collection_unpickles_nothing_of_what_a_holder_sends(
    shared_cluster: LocalDomainCluster, tmp_path: Path, kind: Any
) -> None:
    client, mark = shared_cluster.get_client(), tmp_path / "unpickled"

    def replace(dask_worker: Any = None) -> str:
        dask_worker.kept = dask_worker.handlers["verify_open"]
        dask_worker.handlers["verify_open"] = lambda request: kind(Evil(mark))
        return str(dask_worker.address)

    def restore(dask_worker: Any = None) -> None:
        dask_worker.handlers["verify_open"] = dask_worker.kept

    address = next(iter(client.run(replace).values()))
    try:
        with contextlib.suppress(ConnectionError):
            assert not isinstance(collection._ask(address, b""), bytes)
    finally:
        client.run(restore)
    assert not mark.exists()


@pytest.mark.parametrize("kind", [to_serialize, ToPickle])
def test_asking_a_scheduler_unpickles_nothing_of_what_it_answers(
    separate_cluster: LocalDomainCluster,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    kind: Any,
) -> None:
    mark = tmp_path / "unpickled"
    handlers = separate_cluster._clusters["bob"].scheduler.handlers
    with pool.open_pool(separate_cluster.get_client(), separate_cluster.domains) as opened:
        (address,) = opened.workers()["bob"]
        monkeypatch.setitem(handlers, "proxy", lambda **message: kind(Evil(mark)))
        with pytest.raises(ConnectionError):
            opened.call(address, "bob", "verify_open", request=b"")
    assert not mark.exists()
