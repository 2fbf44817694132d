"""The contenders: plain Dask, dask_verify in three modes, and verification by hand.

What holds: all of them run on the same cluster, with the same functions over the same data. What
is timed is from the first line that builds the computation to the answer in the client; for
``commit``, which verifies nothing and so has no answer, to the verdict. Each answer is compared
with that of plain Dask after the clock has stopped.
"""

from __future__ import annotations

import gc
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from benchmarks.measuring import BenchmarkError, Meter, Sample
from benchmarks.tasks import Task
from dask_verify import LocalDomainCluster, Policy, Verdict, verified_map_reduce
from dask_verify.mapreduce import Job

DOMAINS = ("alice", "bob")
RATE = 0.01


@dataclass(frozen=True)
class Arena:
    """The cluster that all contenders run on."""

    cluster: LocalDomainCluster
    client: Any
    workers: Mapping[str, list[str]]  #: addresses, by domain


@contextmanager
def arena(domains: Sequence[str] = DOMAINS, **options: Any) -> Iterator[Arena]:
    """Start one worker for each domain, all on one scheduler."""
    # It announces every p2p shuffle as a warning.
    logging.getLogger("distributed.shuffle").setLevel(logging.ERROR)
    with LocalDomainCluster(domains, n_workers=1, dashboard_address=None, **options) as cluster:
        client = cluster.get_client()
        if not isinstance(client, dict):
            yield Arena(cluster, client, _workers(client, domains))
            return
        raise BenchmarkError("expected one client of a shared scheduler, got one for each domain")


def _workers(client: Any, domains: Sequence[str]) -> dict[str, list[str]]:
    found = client.scheduler_info(n_workers=-1)["workers"]
    return {
        name: [a for a, info in found.items() if f"domain:{name}" in info["resources"]]
        for name in domains
    }


@dataclass
class Run:
    """What a contender left behind: the answer, or how to get it, and its job."""

    answer: Callable[[], Any]
    job: Job | None = None


@dataclass(frozen=True)
class Contender:
    """One way to compute a task."""

    name: str
    title: str
    run: Callable[[Arena, Task], Run]
    verdict: Verdict | None = None


def _done(answer: Any) -> Run:
    return Run(lambda: answer)


def _plain(arena: Arena, task: Task) -> Run:
    return _done(arena.client.compute(task.plain()).result())


def _plain_one(arena: Arena, task: Task) -> Run:
    """Compute on the workers of one domain: as many as each replica has to itself."""
    one = next(iter(arena.workers.values()))
    return _done(arena.client.compute(task.plain(), workers=one).result())


def _by_hand(arena: Arena, task: Task) -> Run:
    """Compute everything twice, one after the other on all workers, and compare both here."""
    one = arena.client.compute(task.plain()).result()
    other = arena.client.compute(task.plain()).result()
    if not task.same(one, other):
        raise BenchmarkError("by hand: the two answers differ")
    return _done(one)


def _idiom(name: str, arena: Arena, task: Task) -> Run:
    return _done(arena.client.compute(task.others[name]()).result())


def start(arena: Arena, task: Task, **policy: Any) -> Job:
    """Start a verified job."""
    return verified_map_reduce(
        task.collection,
        task.mapper,
        task.reducer,
        combiner=task.combiner,
        policy=Policy(**{**task.policy, **policy}),
        client=arena.client,
        **task.options,
    )


def _committed(arena: Arena, task: Task) -> Run:
    job = start(arena, task, replicas=1, audit=0)
    job.wait(progress=False)
    return Run(partial(_unverified, job), job)


def _unverified(job: Job) -> Any:
    """Read what a job without any check committed to, which `Job.result` refuses to give."""
    from dask_verify.execution.compute import kind

    work = job._driver.work
    of = kind(work)
    reading = job._reading(None)
    parts = [of.decode(leaf) for c in reading.accepted() or () for leaf in reading.leaves(c)]
    return (
        [p for part in parts for p in part] if work.kind == "bag" else of.concat(parts, work.meta)
    )


def verified(arena: Arena, task: Task, **policy: Any) -> Run:
    """Run a verified job to its answer."""
    job = start(arena, task, **policy)
    job.wait(progress=False)
    return Run(partial(_keep, job.result()), job)


def _keep(answer: Any) -> Any:
    return answer


CONTENDERS: dict[str, Contender] = {
    each.name: each
    for each in (
        Contender("plain", "plain Dask", _plain),
        Contender("commit", "replicas=1, audit=0", _committed, Verdict.INCONCLUSIVE),
        Contender(
            "audit",
            f"replicas=1, audit={RATE}",
            partial(verified, replicas=1, audit=RATE),
            Verdict.SAMPLED,
        ),
        Contender("replicas", "replicas=2", partial(verified, replicas=2), Verdict.AGREED),
        Contender("hand", "plain Dask twice, compared", _by_hand),
        Contender("plain-one", "plain Dask, one domain's workers", _plain_one),
    )
}


def chosen(names: Sequence[str], task: Task) -> list[Contender]:
    """Return the contenders of these names, plain Dask always among them; without names, all."""
    others = {
        name: Contender(name, f"plain Dask, {name}", partial(_idiom, name)) for name in task.others
    }
    known = CONTENDERS | others
    unknown = [name for name in names if name not in known and name not in _optional()]
    if unknown:
        raise BenchmarkError(f"contender: expected some of {', '.join(known)}, got {unknown[0]!r}")
    return [one for name, one in known.items() if not names or name in {"plain", *names}]


def _optional() -> tuple[str, ...]:
    return ("frequencies", "tasks")  # idioms that only some workloads have


@dataclass
class Match:
    """One task and its contenders; the first answer of plain Dask is what all must equal."""

    arena: Arena
    task: Task
    expected: Any = field(default=None)

    def turn(self, contender: Contender) -> Sample:
        """Run a contender once, measure it, and check its verdict and its answer."""
        self._settle()
        with Meter() as meter:
            run = contender.run(self.arena, self.task)
        sample = meter.sample
        if run.job is not None:
            sample = _counted(sample, contender, run.job)
        self._check(contender.name, run.answer())
        if run.job is not None:
            run.job.cancel()
        return sample

    def turns(self, contenders: Sequence[Contender]) -> dict[str, Callable[[], Sample]]:
        """Return what `measuring.alternate` takes."""
        return {each.name: partial(self.turn, each) for each in contenders}

    def _settle(self) -> None:
        """Let what earlier runs left be cleared away before the clock starts."""
        gc.collect()
        self.arena.client.run(gc.collect)

    def _check(self, name: str, answer: Any) -> None:
        if self.expected is None:
            self.expected = answer
        elif not self.task.same(answer, self.expected):
            raise BenchmarkError(f"{name}: the answer is not that of plain Dask")


def _counted(sample: Sample, contender: Contender, job: Job) -> Sample:
    report = job.report
    if report.verdict is not contender.verdict:
        raise BenchmarkError(
            f"{contender.name}: expected {contender.verdict}, got\n{report!s:.2000}"
        )
    moved = sum(report.bytes_moved.values())
    return replace(sample, moved=moved, compared=report.bytes_compared)
