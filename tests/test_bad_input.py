"""What cannot work is refused before anything starts, with what was expected, got, and to do."""

from __future__ import annotations

import threading
from types import SimpleNamespace

import dask.array as da
import dask.bag as db
import dask.dataframe as dd
import pandas as pd
import pytest
from distributed import Client

from dask_verify import LocalDomainCluster, Policy, verified_map_reduce
from dask_verify.engine.driver import Driver
from dask_verify.errors import InputError, MetaError, PolicyError

pytestmark = pytest.mark.cluster


@pytest.fixture(scope="session")
def client(shared_cluster):
    return shared_cluster.get_client()


@pytest.fixture(autouse=True)
def nothing_starts(monkeypatch):
    def start(self):
        raise AssertionError("a job was started")

    monkeypatch.setattr(Driver, "start", start)


def one(record):
    return [(record, 1)]


def total(key, values):
    return sum(values)


def bag():
    return db.from_sequence(["a", "b"], npartitions=2)


def frame(**columns):
    columns = columns or {"k": ["a", "b"], "x": [1, 2]}
    return dd.from_pandas(pd.DataFrame(columns), npartitions=1)


def same(d):
    return d


def sums(d):
    return d.groupby("k", as_index=False).sum()


def refused(error, *words):
    """Expect an error whose message has every one of some words."""

    class Refusal:
        def __enter__(self):
            self.raises = pytest.raises(error)
            self.caught = self.raises.__enter__()

        def __exit__(self, *exc):
            done = self.raises.__exit__(*exc)
            assert [word for word in words if word not in str(self.caught.value)] == []
            return done

    return Refusal()


# --- who computes ---------------------------------------------------------------------------


def test_more_replicas_than_domains(client):
    with refused(PolicyError, "replicas=4", "got 3", "'alice'", "enrol more domains"):
        verified_map_reduce(bag(), one, total, client=client, policy=Policy(replicas=4))


def test_no_client():
    with refused(InputError, "client: expected", "got none", "LocalDomainCluster"):
        threading_free(lambda: verified_map_reduce(bag(), one, total))


def threading_free(call):
    """Call where no Dask client is current: those of the session are, in this process."""
    from distributed.client import _global_clients

    saved = dict(_global_clients)
    _global_clients.clear()
    try:
        call()
    finally:
        _global_clients.update(saved)


def test_a_client_without_enrolled_domains(client):
    with (
        Client(client.scheduler.address, set_as_default=False) as stranger,
        refused(InputError, "enrolled domains", "nobody enrolled", "enrol(client"),
    ):
        verified_map_reduce(bag(), one, total, client=stranger)


@pytest.mark.parametrize("what", ["tcp://127.0.0.1:8786", {"alice": 5}])
def test_something_else_than_a_client(what):
    with refused(InputError, "expected a distributed.Client", "got"):
        verified_map_reduce(bag(), one, total, client=what)


def test_a_domain_without_workers():
    with LocalDomainCluster(["alice", "bob"], dashboard_address=None) as cluster:
        cluster.stop_domain("bob")
        with refused(InputError, "bob", "worker"):
            verified_map_reduce(bag(), one, total, client=cluster.get_client())


def test_something_else_than_a_policy(client):
    with refused(InputError, "policy: expected a dask_verify.Policy", "got dict"):
        verified_map_reduce(bag(), one, total, client=client, policy={"replicas": 2})


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"audit": 2}, ["audit: expected a rate", "2"]),
        ({"replicas": 0}, ["replicas", "at least 1", "0"]),
        ({"replicas": 2, "faults": 2}, ["faults + 1 = 3", "got 2"]),
        ({"referee": "nobody"}, ["'coordinator' or 'domains'", "'nobody'"]),
        ({"deadline": -1}, ["positive", "-1"]),
        ({"unit_records": 0}, ["unit_records", "0"]),
        ({"trust_input": "yes"}, ["True or False", "'yes'"]),
    ],
)
def test_a_policy_that_makes_no_sense(given, words):
    with refused(PolicyError, *words):
        Policy(**given)


# --- what is computed -----------------------------------------------------------------------


@pytest.mark.parametrize("role", ["mapper", "reducer", "combiner"])
def test_a_function_that_cannot_be_pickled(client, role):
    lock = threading.Lock()
    functions = {"mapper": one, "reducer": total, role: lambda *args: lock}
    with refused(InputError, f"{role}: expected a function that can be pickled", "lock"):
        verified_map_reduce(bag(), client=client, **functions)


@pytest.mark.parametrize("role", ["mapper", "reducer", "combiner"])
def test_something_else_than_a_function(client, role):
    functions = {"mapper": one, "reducer": total, role: "sum"}
    with refused(InputError, f"{role}: expected a function", "got str"):
        verified_map_reduce(bag(), client=client, **functions)


@pytest.mark.parametrize(
    "collection",
    [
        da.ones(3),
        ["a", "b"],
        pd.DataFrame({"k": [1]}),
        SimpleNamespace(),
    ],
    ids=["array", "list", "pandas", "anything"],
)
def test_something_else_than_a_collection(client, collection):
    with refused(InputError, "dask.bag.Bag", "got", "convert"):
        verified_map_reduce(collection, one, total, client=client)


def test_a_dask_series(client):
    with refused(InputError, "Series", "to_frame"):
        verified_map_reduce(frame()["x"], one, total, by="x", client=client)


@pytest.mark.parametrize("npartitions", [0, -1, 1.5, True, "2"])
def test_a_wrong_number_of_partitions(client, npartitions):
    with refused(InputError, "npartitions: expected a whole number of at least 1", "got"):
        verified_map_reduce(bag(), one, total, client=client, npartitions=npartitions)


@pytest.mark.parametrize(
    "given", [{"by": "k"}, {"meta": pd.DataFrame()}, {"map_meta": pd.DataFrame()}, {"sort": True}]
)
def test_options_of_dataframes_for_a_bag(client, given):
    (name,) = given
    with refused(InputError, name, "only for a DataFrame", "leave"):
        verified_map_reduce(bag(), one, total, client=client, **given)


# --- dataframes -----------------------------------------------------------------------------


@pytest.mark.parametrize("by", [None, [], "missing", ["k", "missing"], 5])
def test_keys_that_are_not_there(client, by):
    with refused(InputError, "by: expected", "got"):
        verified_map_reduce(frame(), same, sums, by=by, client=client)


def test_a_key_that_is_column_and_level(client):
    def ambiguous(d):
        return d.set_index("k", drop=False)

    with refused(InputError, "'k'", "ambiguous"):
        verified_map_reduce(frame(), ambiguous, same, by="k", client=client)


def test_functions_whose_meta_cannot_be_inferred(client):
    def fails(d):
        raise KeyError("y")

    with refused(MetaError, "mapper", "could not infer", "map_meta="):
        verified_map_reduce(frame(), fails, sums, by="k", client=client)
    with refused(MetaError, "reducer", "could not infer", "meta="):
        verified_map_reduce(frame(), same, fails, by="k", client=client)


def test_metas_that_are_no_frames(client):
    with refused(MetaError, "meta: expected a pandas DataFrame", "dict"):
        verified_map_reduce(frame(), same, sums, by="k", meta={"k": "str"}, client=client)
    with refused(MetaError, "meta: expected a pandas DataFrame", "Series", ".to_frame()"):
        verified_map_reduce(frame(), same, lambda d: d.groupby("k").x.sum(), by="k", client=client)


@pytest.mark.parametrize(
    "column",
    [pd.period_range("2013-01", periods=2, freq="M"), pd.interval_range(0, 2)],
    ids=["period", "interval"],
)
def test_dtypes_that_have_no_canonical_bytes(client, column):
    def mapper(d):
        return d.assign(y=pd.Series(column[:1].repeat(len(d)), index=d.index))

    with refused(InputError, "map_meta", str(column.dtype), "use"):
        verified_map_reduce(frame(), mapper, sums, by="k", client=client)


def test_sorting_by_keys_that_the_reducer_drops(client):
    with refused(InputError, "sort=True", "['k']", "'x'"):
        verified_map_reduce(
            frame(), same, lambda d: d[["x"]].sum().to_frame().T, by="k", sort=True, client=client
        )


# --- data that nobody verified --------------------------------------------------------------


def test_a_persisted_bag(client):
    held = bag().persist(scheduler=client)
    with refused(InputError, "trust_input=True", "persist()"):
        verified_map_reduce(held, one, total, client=client)


def test_a_persisted_frame(client):
    held = client.persist(frame())
    with refused(InputError, "trust_input=True", "persist()"):
        verified_map_reduce(held, same, sums, by="k", client=client)


def test_data_of_one_cluster_for_many(client, separate_cluster):
    held = bag().persist(scheduler=client)
    with refused(InputError, "single cluster", "persist()"):
        verified_map_reduce(
            held, one, total, client=separate_cluster.get_client(), policy=Policy(trust_input=True)
        )
