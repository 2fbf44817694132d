"""Nobody honest is exposed because two honest executions of a function may differ."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import dask
import dask.bag as db
import pytest
from distributed import get_worker

from dask_verify import Policy, Standing, verified_map_reduce
from dask_verify.core.canonical import decode_records, encode_records, normalise_records
from dask_verify.engine.referee import Referee, Request
from dask_verify.errors import NondeterministicError
from dask_verify.execution.work import Work, ship
from dask_verify.protocol.messages import MAP

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from dask_verify.engine.cluster import LocalDomainCluster


def once() -> Callable[[Any], Any]:
    """Return a mapper that remembers what it has seen, and leaves repetitions out."""
    seen: set[Any] = set()

    def mapper(record: Any) -> list[tuple[Any, int]]:
        new = record not in seen
        seen.add(record)
        return [(record, 1)] if new else []

    return mapper


def shipped(mapper: Callable[[Any], Any]) -> bytes:
    work = Work("bag", mapper, lambda key, values: sum(values), None, 1, 1, 10)
    return ship(work).data


def unit(mapper: Callable[[Any], Any], records: list[Any]) -> Request:
    return Request(shipped(mapper), MAP, 0, payloads=((0, encode_records(records)),))


def test_a_referee_sees_that_a_function_remembers() -> None:
    one, other = Referee().run(unit(once(), ["to", "be"]), 2)
    assert one != other


@pytest.mark.cluster
def test_a_mapper_with_a_memory_exposes_nobody(shared_cluster: LocalDomainCluster) -> None:
    job = verified_map_reduce(
        db.from_sequence(["to"] * 8, npartitions=8),
        once(),
        lambda word, ones: sum(ones),
        client=shared_cluster.get_client(),
    )
    with pytest.raises(NondeterministicError):
        job.result(timeout=60)
    assert Standing.EXPOSED not in {d.standing for d in job.report.domains.values()}


def test_a_referee_looks_for_modules_in_the_order_of_its_parent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for folder in ("first", "second"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "attacked_helper.py").write_text(f"WHERE = {folder!r}\n")
    monkeypatch.chdir(tmp_path / "second")  # where "-m" would look before anything else
    monkeypatch.setattr(sys, "path", [str(tmp_path / "first"), *sys.path])

    def mapper(record: Any) -> list[Any]:
        import attacked_helper  # type: ignore[import-not-found]

        return [(attacked_helper.WHERE, 1)]

    [((cell,),)] = Referee().run(unit(mapper, ["x"]), 1)
    assert decode_records(cell) == [("first", 1)]


@pytest.mark.cluster
def test_votes_expose_nobody_for_a_source_that_nobody_could_pin(
    shared_cluster: LocalDomainCluster,
) -> None:
    """A source that gave one domain something else: it changed, or has no identity at all."""

    def read() -> list[str]:
        return ["old" if get_worker().plugins["dask-verify"].domain == "alice" else "new"]

    job = verified_map_reduce(
        db.from_delayed([dask.delayed(read)()]),
        lambda word: [(word, 1)],
        lambda word, ones: sum(ones),
        policy=Policy(replicas=3, faults=1, referee="domains"),
        client=shared_cluster.get_client(),
    )
    assert job.result(timeout=60) == [("new", 1)]
    assert Standing.EXPOSED not in {d.standing for d in job.report.domains.values()}


def test_a_unit_is_the_same_when_it_is_normalised_and_when_it_is_decoded() -> None:
    nan = float("nan")
    records = [(1.0, nan, nan)]
    first = [len(set(record)) for record in normalise_records(records)]
    again = [len(set(record)) for record in decode_records(encode_records(records))]
    assert first == again
