"""What a domain sends in place of an answer must cost it its own standing, and nobody else's."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any

import dask.bag as db
import pytest

from dask_verify import Standing, verified_map_reduce
from dask_verify.core.canonical import encode
from dask_verify.engine import fetching, tasks
from dask_verify.testing import Saboteur

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dask_verify.engine.cluster import LocalDomainCluster

pytestmark = pytest.mark.cluster

WORDS = ["to", "be", "or", "not", "to", "be"]


class SignNothing(Saboteur):
    """Claim to have committed, without any commitment."""

    def commit(self, commitment: Any) -> Any:
        return ()


@contextlib.contextmanager
def executing(cluster: LocalDomainCluster, domain: str, answer: Any) -> Iterator[None]:
    """Let a domain's workers answer tasks with any value at all."""
    client = cluster.get_client()

    def replace(dask_worker: Any = None) -> None:
        if dask_worker.plugins[tasks_plugin].domain == domain:
            tasks._kept = tasks._executed
            tasks._executed = lambda *args: answer

    def restore() -> None:
        tasks._executed = getattr(tasks, "_kept", tasks._executed)

    tasks_plugin = "dask-verify"
    client.run(replace)
    try:
        yield
    finally:
        client.run(restore)


def run(cluster: LocalDomainCluster) -> Any:
    return verified_map_reduce(
        db.from_sequence(WORDS, npartitions=3),
        lambda word: [(word, 1)],
        lambda word, ones: sum(ones),
        client=cluster.get_client(),
    )


def check(job: Any) -> None:
    assert dict(job.result(timeout=60)) == {word: WORDS.count(word) for word in WORDS}
    assert job.report.domains["bob"].standing is Standing.SUSPECTED
    assert job.report.domains["alice"].standing is Standing.TRUSTED
    assert job.report.domains["carol"].standing is Standing.TRUSTED


def test_what_answers_a_challenge_is_no_answer_to_a_task(
    shared_cluster: LocalDomainCluster,
) -> None:
    with executing(shared_cluster, "bob", encode((tasks.AUDITED, b"signed", 0))):
        check(run(shared_cluster))


def test_committing_to_nothing_is_no_answer(shared_cluster: LocalDomainCluster) -> None:
    shared_cluster.sabotage("bob", SignNothing())
    try:
        check(run(shared_cluster))
    finally:
        shared_cluster.sabotage("bob", None)


@pytest.mark.parametrize(
    "answer",
    [
        5,
        None,
        ["committed"],
        encode(5),
        encode(("committed", "tcp://x", "", (), 0)),
        encode({"a": 1}),
    ],
)
def test_any_value_in_place_of_an_answer_is_no_answer(
    shared_cluster: LocalDomainCluster, answer: Any
) -> None:
    with executing(shared_cluster, "bob", answer):
        check(run(shared_cluster))


def test_a_result_that_is_never_handed_over_holds_nobody_up(
    shared_cluster: LocalDomainCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetching, "_GATHER", 2.0)
    client = shared_cluster.get_client()

    def withhold(dask_worker: Any = None) -> None:
        if dask_worker.plugins["dask-verify"].domain == "bob":
            dask_worker.kept = dask_worker.handlers["get_data"]

            async def never(*args: Any, **kwargs: Any) -> None:
                await asyncio.Event().wait()

            dask_worker.handlers["get_data"] = never

    def restore(dask_worker: Any = None) -> None:
        if hasattr(dask_worker, "kept"):
            dask_worker.handlers["get_data"] = dask_worker.kept
            del dask_worker.kept

    client.run(withhold)
    try:
        check(run(shared_cluster))
    finally:
        client.run(restore)
