"""Collections over verified partitions: read where they lie, and checked again."""

from __future__ import annotations

import pickle
from dataclasses import replace
from types import SimpleNamespace

import dask
import dask.bag as db
import dask.dataframe as dd
import pandas as pd
import pytest
from pandas.testing import assert_frame_equal

from dask_verify import verified_map_reduce
from dask_verify.core.seal import Commitment
from dask_verify.engine import collection
from dask_verify.engine.collection import Lease, read_partition
from dask_verify.engine.handle import Job
from dask_verify.engine.reader import UnservedError
from dask_verify.errors import InconclusiveError, InputError
from dask_verify.protocol.messages import Task

pytestmark = pytest.mark.cluster

WORDS = ["to", "be", "or", "not", "to", "be"]


@pytest.fixture(params=["shared", "separate"])
def any_client(request):
    return request.getfixturevalue(f"{request.param}_cluster").get_client()


@pytest.fixture
def client(shared_cluster):
    return shared_cluster.get_client()


def counted(client, npartitions=3):
    bag = db.from_sequence(WORDS, npartitions=3)
    return verified_map_reduce(
        bag, lambda word: [(word, 1)], lambda word, ones: sum(ones),
        client=client, npartitions=npartitions,
    )  # fmt: skip


def grouped(client):
    pdf = pd.DataFrame({"k": [i % 5 for i in range(40)], "x": range(40)})
    return verified_map_reduce(
        dd.from_pandas(pdf, npartitions=4), lambda d: d,
        lambda d: d.groupby("k", as_index=False).x.sum(),
        by="k", client=client, npartitions=3,
    )  # fmt: skip


def test_a_bag_of_the_result(any_client):
    job = counted(any_client)
    bag = job.to_collection()
    assert isinstance(bag, db.Bag)
    assert bag.npartitions == 3
    assert bag.compute(scheduler="sync") == job.result(60)
    assert bag.pluck(1).sum().compute(scheduler="sync") == len(WORDS)


def test_a_frame_of_the_result(any_client):
    job = grouped(any_client)
    ddf = job.to_collection()
    assert isinstance(ddf, dd.DataFrame)
    assert_frame_equal(ddf.compute(scheduler="sync"), job.result(60))
    assert ddf.x.sum().compute(scheduler="sync") == sum(range(40))


def test_a_collection_is_read_on_the_cluster(client):
    bag = counted(client).to_collection()
    assert sorted(bag.compute(scheduler=client)) == [("be", 2), ("not", 1), ("or", 1), ("to", 2)]
    ddf = grouped(client).to_collection()
    assert client.compute(ddf.x.sum()).result() == sum(range(40))


def test_a_collection_outlives_its_job(client):
    job = counted(client)
    bag = job.to_collection()
    closed = job._driver._thread
    del job
    assert closed.is_alive()
    assert len(bag.compute(scheduler="sync")) == 4


def test_nothing_is_gathered_to_make_a_collection(client):
    job = counted(client)
    job.to_collection()
    assert job.report.bytes_moved.get("results", 0) == 0


def test_a_collection_can_be_the_input_of_another_job(client):
    first = counted(client).to_collection()
    second = verified_map_reduce(
        first, lambda pair: [(pair[1], pair[0])], lambda n, words: sorted(words), client=client
    )
    assert dict(second.result(60)) == {2: ["be", "to"], 1: ["not", "or"]}


# --- what is read is checked ----------------------------------------------------------------


def sources(job: Job):
    driver = job._driver
    job.wait(60)
    outputs = job._reading(None).carried()
    return [collection._source(held) for held in outputs], driver.shipped.data


def test_a_holder_that_serves_something_else_is_passed_over(client, monkeypatch):
    job = counted(client, npartitions=1)
    ((data, holders, _),), functions = sources(job)
    ask, asked = collection._ask, []

    def first_lies(address, request):
        asked.append(address)
        reply = ask(address, request)
        return reply.replace(b"not", b"NOT") if len(asked) == 1 else reply

    monkeypatch.setattr(collection, "_ask", first_lies)
    found = read_partition((data, holders, ()), functions, Lease(None))
    assert found == job.result(60)
    assert len(asked) == 2


@pytest.mark.parametrize("answer", [b"", b"nonsense", None, 5])
def test_without_an_honest_holder_there_is_no_partition(client, monkeypatch, answer):
    ((data, holders, _),), functions = sources(job := counted(client, npartitions=1))
    monkeypatch.setattr(collection, "_ask", lambda address, request: answer)
    with pytest.raises(InconclusiveError, match=r"expected reduce partition 0 from .*alice|bob"):
        read_partition((data, holders, ()), functions, Lease(None))
    del job


def test_another_commitment_does_not_fit_the_bytes(client):
    job = counted(client, npartitions=2)
    ((one, holders, _), (other, _, _)), functions = sources(job)
    root = Commitment.from_bytes(other).root
    mixed = replace(Commitment.from_bytes(one), root=root)
    with pytest.raises(InconclusiveError):
        read_partition((mixed.to_bytes(), holders, ()), functions, Lease(None))


def test_partitions_that_the_coordinator_made_travel_with_the_graph(client):
    job = counted(client, npartitions=1)
    ((data, _, _),), functions = sources(job)
    reading = job._reading(None)
    (accepted,) = reading.outputs()
    leaves = tuple(reading.leaves(accepted))
    assert read_partition((data, (), leaves), functions, Lease(None)) == job.result(60)


def test_what_travels_with_the_graph_is_checked_too(client):
    job = counted(client, npartitions=1)
    ((data, holders, _),), functions = sources(job)
    leaves = tuple(job._reading(None).leaves(Commitment.from_bytes(data)))
    for wrong in ((*leaves, leaves[0]), tuple(x.replace(b"not", b"NOT") for x in leaves)):
        with pytest.raises(InconclusiveError, match="as agreed"):
            read_partition((data, (), wrong), functions, Lease(None))
        assert read_partition((data, holders, wrong), functions, Lease(None)) == job.result(60)


def test_a_lease_names_its_job():
    assert dask.tokenize.tokenize(Lease(None)) == dask.tokenize.tokenize(Lease(None))


class Carried:
    """A job whose domains are reached by couriers, and of which nobody serves anything."""

    pool = SimpleNamespace(direct=False)

    def __init__(self, leaves):
        self.reader = SimpleNamespace(leaves=leaves)


def test_through_couriers_a_collection_reads_in_this_process_alone():
    lease = Lease(Carried(lambda commitment, start, stop, what: [start, stop, what]))
    assert lease.leaves(SimpleNamespace(size=3)) == [0, 3, "results"]
    assert Lease(None).leaves(SimpleNamespace(size=3)) is None
    with pytest.raises(InputError, match="pass scheduler='threads'"):
        pickle.dumps(lease)


def test_through_couriers_too_a_partition_may_be_served_by_nobody():
    def unserved(*given):
        raise UnservedError(Task("reduce", 2))

    with pytest.raises(InconclusiveError, match="no holder serves reduce partition 2 as agreed"):
        Lease(Carried(unserved)).leaves(SimpleNamespace(size=3))
