from __future__ import annotations

import dask
import dask.array
import dask.bag as db
import dask.dataframe as dd
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dask_verify.engine.compat import Alias, DataNode, List, Task, TaskRef
from dask_verify.engine.graphs import (
    compute_partition,
    copy_for,
    renamed,
    source_digest,
    upstream,
)
from dask_verify.errors import InputError

pytestmark = pytest.mark.filterwarnings("ignore:The inplace keyword")  # Dask's own, on pandas 3.1

FRAME = pd.DataFrame({"a": range(20), "b": list("xyzuv") * 4})


EMPTY = FRAME.iloc[:0]


def maker():
    """Return a user's function; a local one, because workers cannot import this module."""
    frame = FRAME

    def make(i):
        return frame.iloc[i : i + 3]

    return make


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    for i in range(3):
        FRAME.to_csv(folder / f"{i}.csv", index=False)
    return folder


def collections(folder):
    FRAME.iloc[:6].to_parquet(folder / "one.parquet")
    files = str(folder / "*.csv")
    csv = dd.read_csv(files)
    return {
        "sequence": db.from_sequence(range(7), npartitions=3),
        "bag chain": db.from_sequence(range(7), npartitions=2).map(str).filter(bool),
        "text": db.read_text(files).map(str.strip),
        "text blocks": db.read_text(files, blocksize=30),
        "bag groupby": db.from_sequence(range(6), npartitions=2).groupby(bool, shuffle="tasks"),
        "bag delayed": db.from_delayed([dask.delayed(list)([i]) for i in range(2)]),
        "empty bag": db.Bag({}, "nothing", 0),
        "empty sequence": db.from_sequence([]),
        "pandas": dd.from_pandas(FRAME, npartitions=2),
        "no rows": dd.from_pandas(FRAME.iloc[:0], npartitions=1),
        "csv": csv,
        "parquet": dd.read_parquet(folder / "one.parquet"),
        "parquet arrow": dd.read_parquet(folder / "one.parquet", filesystem="arrow"),
        "broadcast merge": csv.merge(dd.read_csv(folder / "0.csv"), on="a"),
        "merge": csv.merge(csv, on="b"),
        "shuffle": csv.shuffle("a"),
        "groupby": csv.groupby("b").a.sum(split_out=2).to_frame(),
        "map": dd.from_map(maker(), [1, 2], meta=EMPTY),
        "delayed": dd.from_delayed([dask.delayed(maker())(i) for i in range(2)], meta=EMPTY),
    }


@pytest.fixture(scope="module")
def cases(folder):
    return collections(folder)


CASES = [
    "sequence", "bag chain", "text", "text blocks", "bag groupby", "bag delayed", "empty bag",
    "empty sequence", "pandas", "no rows", "csv", "parquet", "parquet arrow", "broadcast merge",
    "merge", "shuffle", "groupby", "map", "delayed",
]  # fmt: skip


def reference(collection):
    """Compute partition by partition as Dask would, without the module under test."""
    with dask.config.set({"dataframe.shuffle.method": "tasks", "scheduler": "sync"}):
        if isinstance(collection, db.Bag):
            return [list(p) for p in dask.get(dict(collection.dask), collection.__dask_keys__())]
        parts = [collection.partitions[i].compute() for i in range(collection.npartitions)]
        return [sorted(map(tuple, part.itertuples())) for part in parts]


def computed(plan, prefix=None):
    parts = []
    for i, key in enumerate(plan.keys):
        graph = plan.partition(i)
        if prefix is not None:
            graph, key = copy_for(graph, prefix), renamed(key, prefix)
        value = compute_partition(graph, key)
        frame = isinstance(value, pd.DataFrame)
        parts.append(sorted(map(tuple, value.itertuples())) if frame else list(value))
    return parts


@pytest.mark.parametrize("case", CASES)
def test_partitions_and_copies_compute_what_dask_does(cases, case):
    plan = upstream(cases[case])
    expected = reference(cases[case])
    assert len(plan.keys) == cases[case].npartitions
    assert computed(plan) == expected
    assert computed(plan, "alice/0") == expected


@pytest.mark.parametrize("case", CASES)
def test_copies_share_no_key_and_miss_none(cases, case):
    plan = upstream(cases[case])
    one, other = copy_for(plan.graph, "alice"), copy_for(plan.graph, "bob")
    assert len(one) == len(other) == len(plan.graph)
    assert one.keys().isdisjoint(other)
    assert one.keys().isdisjoint(plan.graph)
    for graph in (one, other):
        assert all(node.key == key for key, node in graph.items())
        assert all(node.dependencies <= graph.keys() for node in graph.values())


def slowly_shared(plan):
    parts = [set(plan.partition(i)) for i in range(len(plan.keys))]
    return {
        key
        for key, node in plan.graph.items()
        if sum(key in part for part in parts) > 1 and not isinstance(node, (DataNode, Alias))
    }


@pytest.mark.parametrize("case", CASES)
def test_shared_keys(cases, case):
    plan = upstream(cases[case])
    assert {k for k in plan.shared if not isinstance(plan.graph[k], Alias)} == slowly_shared(plan)
    assert bool(plan.shared) == (
        case in {"bag groupby", "broadcast merge", "merge", "shuffle", "groupby"}
    )


def test_literal_data_is_not_shared():
    same = dask.delayed([1, 2])
    plan = upstream(db.from_delayed([same, same]))
    assert plan.shared == frozenset()


@pytest.mark.parametrize("case", CASES)
def test_what_is_pinned(cases, case):
    plan = upstream(cases[case])
    expected = case not in {"map", "delayed"}
    assert [plan.pinned(i) for i in range(len(plan.keys))] == [expected] * len(plan.keys)


def test_only_partitions_that_depend_on_it_are_unpinned():
    parts = [dask.delayed(maker())(1), dask.delayed(pd.DataFrame)({"a": [1], "b": ["x"]})]
    plan = upstream(dd.from_delayed(parts, meta=EMPTY))
    assert [plan.pinned(0), plan.pinned(1)] == [False, True]


def test_digest_changes_with_the_files(folder, tmp_path):
    files = [tmp_path / "a.txt", tmp_path / "b.txt"]
    for file in files:
        file.write_text("one\n")
    first, again = (source_digest(upstream(db.read_text(str(tmp_path / "*")))) for _ in "12")
    only = source_digest(upstream(db.read_text(str(files[0]))))
    files[0].write_text("three\n")
    changed = source_digest(upstream(db.read_text(str(tmp_path / "*"))))
    assert first == again
    assert len({first, only, changed}) == 3


@pytest.mark.parametrize(
    "make_it",
    [
        lambda: dask.array.ones(3),
        lambda: dask.delayed(1),
        lambda: dd.from_pandas(FRAME, npartitions=1)["a"],
        lambda: db.from_sequence([1]).sum(),
        lambda: [1],
        lambda: FRAME,
    ],
)
def test_other_kinds_are_refused(make_it):
    with pytest.raises(InputError, match=r"expected a dask\.bag\.Bag or"):
        upstream(make_it())


@pytest.mark.parametrize(
    "make_it",
    [
        lambda: dd.from_pandas(FRAME, npartitions=2).shuffle("a", shuffle_method="disk"),
        lambda: db.from_sequence(range(4), npartitions=2).groupby(bool, shuffle="disk"),
    ],
)
def test_shuffles_that_cannot_be_copied_are_refused(make_it):
    with pytest.raises(InputError, match="tasks"):
        upstream(make_it())


KEYS = st.recursive(
    st.text() | st.integers() | st.floats(allow_nan=False) | st.binary(),
    lambda inner: st.lists(inner, min_size=1, max_size=3).map(tuple),
)


@given(st.tuples(st.text(min_size=1), KEYS), st.tuples(st.text(min_size=1), KEYS))
def test_different_copies_never_meet(one, other):
    if one != other:
        assert renamed(one[1], one[0]) != renamed(other[1], other[0])


def test_meeting_by_concatenation():
    assert renamed("b|c", "a") != renamed("c", "a|b")


@pytest.mark.parametrize("prefix", ["", None, 3])
def test_a_prefix_is_needed(prefix):
    with pytest.raises(InputError, match="prefix"):
        copy_for({"x": DataNode("x", 1)}, prefix)


def test_references_are_renamed_wherever_they_are():
    graph = {
        "x": DataNode("x", 1),
        "y": Task("y", lambda a, b, c: (a, b, c), TaskRef("x"), List(TaskRef("x"), 2),
                  c=Task(None, str, TaskRef("x"))),
        "z": Alias("z", "y"),
        "w": Task("w", max, TaskRef("x"), TaskRef("outside")),
    }  # fmt: skip
    copy = copy_for(graph, "p")
    assert compute_partition({k: v for k, v in copy.items() if k != "p|w"}, "p|z") == (
        1, [1, 2], "1",
    )  # fmt: skip
    assert copy["p|w"].dependencies == {"p|x", "outside"}
    with pytest.raises(InputError, match="'outside' is held by a cluster"):
        compute_partition(copy, "p|z")


# --- on a real cluster ------------------------------------------------------------------------


@pytest.fixture
def client(shared_cluster):
    return shared_cluster.get_client()


def run_copy(client, plan, domain, nonce):
    futures = []
    for i, key in enumerate(plan.keys):
        prefix = f"{nonce}/{domain}/{i}"
        with dask.annotate(verify_domain=domain):
            graph = copy_for(plan.partition(i), prefix)
            futures += client.get(graph, [renamed(key, prefix)], sync=False)
    values = client.gather(futures)
    found = client.sync(client.scheduler.verify_provenance, keys=[f.key for f in futures])
    return values, {entry[1] for entry in found}


@pytest.mark.parametrize("filesystem", ["fsspec", "arrow"])
def test_small_files_are_read_together_where_plain_dask_does_so(tmp_path, filesystem):
    wide = FRAME.assign(**{f"c{i}": 0 for i in range(10)})
    for i in range(16):
        wide.iloc[i : i + 1].to_parquet(tmp_path / f"{i:02}.parquet")
    frame = dd.read_parquet(tmp_path, columns=["a"], filesystem=filesystem)
    plan = upstream(frame)
    plain = frame.map_partitions(len).optimize()
    assert frame.npartitions == 16
    assert len(plan.keys) == plain.npartitions < 16
    parts = [compute_partition(plan.partition(i), key) for i, key in enumerate(plan.keys)]
    assert sorted(pd.concat(parts).a) == list(range(16))
    assert all(map(plan.pinned, range(len(plan.keys))))


@pytest.mark.cluster
@pytest.mark.parametrize("case", ["bag groupby", "text", "csv", "merge", "parquet arrow"])
def test_copies_run_in_their_domain_and_agree(client, folder, case):
    # Made here, where a client is about: then p2p is Dask's default.
    plan = upstream(collections(folder)[case])
    results = {}
    for domain in ("alice", "bob"):
        values, where = run_copy(client, plan, domain, case)
        assert where == {domain}
        results[domain] = [
            sorted(map(tuple, v.itertuples())) if isinstance(v, pd.DataFrame) else list(v)
            for v in values
        ]
    assert results["alice"] == results["bob"]


@pytest.mark.cluster
def test_p2p_is_refused(client):
    frame = dd.from_pandas(FRAME, npartitions=2)
    for collection in (
        frame.shuffle("a", shuffle_method="p2p"),
        frame.merge(frame, on="a", shuffle_method="p2p"),
    ):
        with pytest.raises(InputError, match="tasks"):
            upstream(collection)


def held_collections(client, held):
    frame = dd.from_pandas(FRAME, npartitions=2)
    bag = db.from_sequence(range(4), npartitions=2)
    frame_too = FRAME
    return {
        "frame": frame.persist(),
        "frame chain": frame.persist()["a"].to_frame(),
        "bag": bag.persist(),
        "bag chain": bag.persist().map(str),
        "bag argument": bag.map(lambda x, y: y, y=client.submit(int, "1")),
        "delayed futures": dd.from_delayed(client.map(lambda i: frame_too, [1, 2]), meta=FRAME),
        "map argument": dd.from_map(lambda i, x: x, [1], x=held, meta=FRAME),
    }


HELD = [
    "frame", "frame chain", "bag", "bag chain", "bag argument", "delayed futures", "map argument",
]  # fmt: skip


@pytest.mark.cluster
@pytest.mark.parametrize("case", HELD)
def test_held_data_is_refused_unless_trusted(client, case):
    # A key of its own: Dask may still be forgetting the one that the last case scattered.
    held = client.scatter(FRAME, hash=False)
    collection = held_collections(client, held)[case]
    with pytest.raises(InputError, match=r"key .* trust_input=True"):
        upstream(collection)
    plan = upstream(collection, trust_input=True)
    assert plan.external
    assert not plan.pinned(0)
    expected = [client.compute(part).result() for part in collection.to_delayed()]
    del collection
    values, where = run_copy(client, plan, "carol", f"held/{case}")
    assert where == {"carol"}
    for value, wanted in zip(values, expected, strict=True):
        if isinstance(wanted, pd.DataFrame):
            pd.testing.assert_frame_equal(value, wanted)
        else:
            assert list(value) == list(wanted)
