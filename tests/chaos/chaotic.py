"""What the chaos suite shares: a job with known roots, saboteurs that tell when, and strikes."""

from __future__ import annotations

import contextlib
import os
import resource
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dask.bag as db
from distributed.client import FutureCancelledError

from dask_verify import LocalDomainCluster, Policy, Standing, Verdict, verified_map_reduce
from dask_verify.engine.handle import Job
from dask_verify.errors import InputError
from dask_verify.testing import Saboteur, Silent

NAMES = ("alice", "bob", "carol")
BOUND = 75.0  #: seconds in which every job has to end
FLOOR = 6.0  #: seconds that every task is given: a loaded machine may need them
MEMORY = 500_000_000  #: bytes of a worker: about twice what one takes that does nothing
LINES = [f"to be or not to be {i}" for i in range(60)]
RIGHT = {"to": 120, "be": 120, "or": 60, "not": 60} | {str(i): 1 for i in range(60)}
#: What every disturbance is tried on, both at once.
MODES: dict[str, dict[str, Any]] = {
    "replicas": {"replicas": 2, "stand_in": False},
    "audit": {"replicas": 1, "audit": 0.5, "unit_records": 4},
}


def words(line: str) -> list[tuple[str, int]]:
    return [(word, 1) for word in line.split()]


def total(word: str, found: list[int]) -> int:
    return sum(found)


def start(cluster: LocalDomainCluster, mode: str) -> Job:
    bag = db.from_sequence(LINES, npartitions=6)
    how: dict[str, Any] = {"npartitions": 3, "policy": Policy(**MODES[mode])}
    while True:
        try:
            return verified_map_reduce(bag, words, total, client=cluster.get_client(), **how)
        except InputError as error:
            # The job before this one may just have cost a domain its worker, and another comes.
            if "no worker of domain" not in str(error):
                raise
            for name in NAMES:
                make_room(client_of(cluster, name), name)


Undisturbed = dict[str, dict[tuple[str, int], bytes]]


class Jobs:
    """A job of each mode, at the same time on the same cluster."""

    def __init__(self, cluster: LocalDomainCluster, undisturbed: Undisturbed) -> None:
        self.running = {mode: start(cluster, mode) for mode in MODES}
        self._undisturbed = undisturbed

    def end_well(self) -> list[str]:
        """Check that they end as they should; return what is said against alice."""
        for mode, job in self.running.items():
            ends_well(job, self._undisturbed[mode])
        return [job.report.domains["alice"].reason for job in self.running.values()]


# --- what must hold in the end --------------------------------------------------------------


def roots(job: Job) -> dict[tuple[str, int], bytes]:
    """Return the root of every partition that a job has accepted."""
    found = {}
    for state in job._driver.state.tasks():
        claim = state.ballot.of(state.accepted)
        if claim is not None:
            commitment = claim.commitment
            found[commitment.stage, commitment.partition] = commitment.root
    return found


def ends_well(job: Job, undisturbed: dict[tuple[str, int], bytes]) -> None:
    """Check that a job ends as the undisturbed one did: the same roots, and nobody is blamed."""
    assert job.wait(BOUND) is not None, f"no end in {BOUND:g} s: {job.report}"
    assert dict(job.result(timeout=BOUND)) == RIGHT, job.report
    assert job.verdict in (Verdict.AGREED, Verdict.SAMPLED), job.report
    assert roots(job) == undisturbed
    nobody_is_exposed(job)
    job.cancel()


def ends_without(job: Job, cause: str, undisturbed: dict[tuple[str, int], bytes]) -> None:
    """Check that a job ends without an answer, says why, and accepted nothing wrong."""
    assert job.wait(BOUND) is Verdict.INCONCLUSIVE, job.report
    assert job.report.cause == cause
    assert roots(job).items() <= undisturbed.items()
    nobody_is_exposed(job)
    job.cancel()


def nobody_is_exposed(job: Job) -> None:
    assert Standing.EXPOSED not in {d.standing for d in job.report.domains.values()}
    assert not job.report.divergences


# --- when -----------------------------------------------------------------------------------


class Telling(Saboteur):
    """Say through a pipe that a certain task has started, then do something in the worker.

    It is the first partition of a stage: in jobs of every mode that is one of alice's.
    """

    def __init__(self, path: str, stage: str) -> None:
        self.path, self.stage = path, stage

    def delay(self, stage: str, partition: int) -> float:
        if (stage, partition) != (self.stage, 0):
            return 0
        with open(self.path, "w") as pipe:
            pipe.write("x")
        return self.act()

    def act(self) -> float:
        """Hold the task up, until the saboteur is taken away."""
        return 1000


class Standstill(Telling):
    """Say that a stage has started, and hold up all of its tasks."""

    def delay(self, stage: str, partition: int) -> float:
        return super().delay(stage, 0)


class Glutton(Telling):
    """Take more memory than a worker has, though not more than the machine has."""

    def __init__(self, path: str, stage: str, nbytes: int) -> None:
        super().__init__(path, stage)
        self.nbytes = nbytes

    def act(self) -> float:
        hoard = b"x" * self.nbytes
        threading.Event().wait(1000)  # for the nanny: it kills who has too much
        return len(hoard)


class FullDisk(Telling):
    """Let every write to a file fail, as on a disk without any room."""

    def act(self) -> float:
        write_at_most(1)
        return 0


def write_at_most(nbytes: int) -> None:
    """Limit the size of the files that this process writes; the kernel refuses what is more."""
    most = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
    resource.setrlimit(resource.RLIMIT_FSIZE, (nbytes if nbytes >= 0 else most, most))


@contextlib.contextmanager
def told(cluster: LocalDomainCluster, domain: str, folder: Path, kind: type[Telling],
         stage: str, *given: Any) -> Iterator[Any]:  # fmt: skip
    """Put a saboteur into a domain; give a function that returns once all jobs are at its task."""
    path = folder / "pipe"
    os.mkfifo(path)
    pipe = os.open(path, os.O_RDWR)  # so that neither end ever waits for the other to open
    cluster.sabotage(domain, kind(str(path), stage, *given))
    try:
        yield lambda jobs=2: [os.read(pipe, 1) for _ in range(jobs)]
    finally:
        cluster.sabotage(domain, None)
        os.close(pipe)


@contextlib.contextmanager
def nothing_lands(cluster: LocalDomainCluster, folder: Path) -> Iterator[Job]:
    """Give a job whose maps have started, and are held up in every domain."""
    for name in NAMES[1:]:
        cluster.sabotage(name, Silent(stage="map"))
    with told(cluster, NAMES[0], folder, Standstill, "map") as started:
        job = start(cluster, "replicas")
        started(1)
        yield job


# --- strikes --------------------------------------------------------------------------------


def inner(cluster: LocalDomainCluster, domain: str) -> Any:
    """Return the Dask cluster of a domain, whose scheduler lives in this process."""
    return cluster._cluster(domain)


def pids(cluster: LocalDomainCluster, domain: str) -> set[int | None]:
    return {nanny.pid for nanny in cluster._nannies(domain).values()}


def drop_worker(cluster: LocalDomainCluster, domain: str) -> None:
    """Cut the connection between a worker and its scheduler, on the scheduler's side.

    The worker closes, and its nanny with it.
    """
    scheduler = inner(cluster, domain).scheduler
    addresses = {str(nanny.worker_address) for nanny in cluster._nannies(domain).values()}
    for address in addresses & set(scheduler.stream_comms):
        scheduler.loop.add_callback(scheduler.stream_comms[address].comm.abort)


def drop_client(cluster: LocalDomainCluster, domain: str) -> None:
    """Cut the connection between the client and a scheduler, on the scheduler's side."""
    scheduler = inner(cluster, domain).scheduler
    for stream in scheduler.client_comms.values():
        scheduler.loop.add_callback(stream.comm.abort)


def cut_opening(cluster: LocalDomainCluster, domain: str, cut: bool) -> None:
    """Let a domain's workers break every connection over which they are asked to open."""

    def swap(dask_worker: Any) -> None:
        side = dask_worker.plugins["dask-verify"]

        async def broken(comm: Any, request: bytes) -> None:
            comm.abort()

        if side.domain == domain:
            dask_worker.handlers["verify_open"] = broken if cut else side.open

    client_of(cluster, domain).run(swap)


def client_of(cluster: LocalDomainCluster, domain: str) -> Any:
    clients = cluster.get_client()
    return clients[domain] if isinstance(clients, dict) else clients


# --- starting and healing --------------------------------------------------------------------


def new_cluster(shared: bool) -> LocalDomainCluster:
    # One thread for each job, so that none waits behind another's held task.
    return LocalDomainCluster(
        NAMES, shared=shared, threads_per_worker=2, memory_limit=MEMORY, dashboard_address=None
    )


def heal(cluster: LocalDomainCluster) -> None:
    """Undo whatever was done to a cluster, and wait until each domain has a working worker."""
    for name in NAMES:
        cluster.sabotage(name, None)
        cluster.resume_worker(name)
        if not cluster._nannies(name):
            cluster.add_worker(name)
    for name in NAMES:
        make_room(client_of(cluster, name), name)


def make_room(client: Any, domain: str, attempts: int = 10) -> None:
    """Let a domain's worker write files of any size again."""
    where = {f"domain:{domain}": 1}
    for attempt in range(attempts):
        try:
            client.submit(write_at_most, -1, resources=where, pure=False).result(timeout=BOUND)
        except FutureCancelledError:
            # Dask's scheduler may drop a client that is back once more, with the old connection.
            if attempt == attempts - 1:
                raise
        else:
            return
