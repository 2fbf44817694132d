"""Much data through little memory: workers of 1 GiB spill, are not restarted, and agree."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import psutil
import pytest
from coordinating import highest
from generated import BYTES, Generated, bought, totals
from pandas.testing import assert_frame_equal

from dask_verify import LocalDomainCluster, Policy, Verdict, verified_map_reduce

pytestmark = [pytest.mark.large, pytest.mark.cluster]

LIMIT = 1 << 30  #: of each worker, as its nanny enforces it


class Process(NamedTuple):
    """One worker process; another one at the same address is another process."""

    address: str
    pid: int
    began: float
    folder: str


def _process(dask_worker: Any) -> Process:
    me = psutil.Process()
    return Process(dask_worker.address, me.pid, me.create_time(), dask_worker.local_directory)


@pytest.fixture
def client() -> Iterator[Any]:
    with LocalDomainCluster(
        ["alice", "bob"], n_workers=1, memory_limit=LIMIT, dashboard_address=None
    ) as cluster:
        yield cluster.get_client()


def spilled(process: Process) -> int:
    """Return the bytes that a worker has on disk now."""
    return sum(f.stat().st_size for f in Path(process.folder).rglob("*") if f.is_file())


def pauses(client: Any, process: Process) -> int:
    """Return how often a worker paused."""
    events = [said for _, said in client.get_events(process.address)]
    return sum(e.get("status") == "paused" for e in events if isinstance(e, dict))


@pytest.mark.timeout(3600)
def test_two_workers_of_a_gigabyte_agree_on_twenty(client: Any, full: bool, tell: Any) -> None:
    data = Generated(-(-(20 if full else 2) * 10**9 // BYTES))
    before = sorted(client.run(_process).values())
    job = verified_map_reduce(
        data.collection(), bought, totals, by="user", sort=True, client=client,
        policy=Policy(replicas=2),
    )  # fmt: skip
    assert job.wait(progress=False) is Verdict.AGREED
    on_disk = [spilled(process) for process in before]
    peaks = [highest(process.pid) for process in before if psutil.pid_exists(process.pid)]
    tell(
        f"{data.partitions} partitions of {data.nbytes / 1e9:.1f} GB,"
        f" {job.report.bytes_computed / 1e9:.2f} GB sealed, {sum(on_disk) / 1e9:.2f} GB spilled,"
        f" highest memory of the workers {[round(p / 1e6) for p in peaks]} MB,"
        f" paused {sum(pauses(client, p) for p in before)} times"
    )
    assert sorted(client.run(_process).values()) == before, "a worker was restarted"
    assert max(peaks) < LIMIT
    assert sum(on_disk) > job.report.bytes_computed // 3, "what was sealed fitted into memory"
    assert_frame_equal(job.result().reset_index(drop=True), data.answer())
    # Not by another way: neither were tasks repeated, nor sections sent through the coordinator.
    assert set(job.report.bytes_moved) == {"answers", "results"}
