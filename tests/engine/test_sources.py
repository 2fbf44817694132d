from __future__ import annotations

import functools
import os

import dask.bag as db
import dask.dataframe as dd
import fsspec
import pandas as pd
import pytest

from dask_verify.engine.compat import DataNode, GraphNode, Task, TaskRef
from dask_verify.engine.graphs import upstream
from dask_verify.engine.sources import changed, read_pins

pytestmark = pytest.mark.filterwarnings("ignore:The inplace keyword")  # Dask's own, on pandas 3.1


def load(path, *more):
    return path


def leaf(function, *args, **kwargs):
    return {"x": Task("x", function, *args, **kwargs)}


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "data.csv"
    path.write_text("a\n1\n2\n")
    return path


@pytest.mark.parametrize(
    "wrap",
    [
        lambda path: leaf(load, str(path)),
        lambda path: leaf(load, path),
        lambda path: leaf(load, [{"k": (path, 1)}]),
        lambda path: leaf(load, path=str(path)),
        lambda path: leaf(functools.partial(load, str(path))),
        lambda path: leaf(load, f"file://{path}"),
        lambda path: leaf(load, fsspec.open(str(path))),
        lambda path: leaf(len, Task(None, load, str(path))),
        lambda path: {
            "x": GraphNode.fuse(Task("y", load, str(path)), Task("x", len, TaskRef("y")))
        },
    ],
)
def test_a_file_is_found_wherever_a_leaf_names_it(file, wrap):
    sources = read_pins(wrap(file))
    assert [pin.path for pin in sources.pins] == [str(file)]
    assert dict(sources.pins[0].identity)["size"] == "6"
    assert not sources.unpinnable


@pytest.mark.parametrize(
    "read",
    [
        lambda path: db.read_text(path),
        lambda path: db.read_text(path, blocksize=3),
        lambda path: dd.read_csv(path),
        lambda path: dd.from_map(pd.read_csv, [path], meta=pd.DataFrame({"a": [1]})),
    ],
)
def test_readers(file, read):
    assert [pin.path for pin in upstream(read(str(file))).pins] == [str(file)]


@pytest.mark.parametrize("filesystem", ["fsspec", "arrow"])
def test_parquet(tmp_path, filesystem):
    for name in "ab":
        pd.DataFrame({"a": [1, 2]}).to_parquet(tmp_path / f"{name}.parquet")
    plan = upstream(dd.read_parquet(tmp_path, filesystem=filesystem))
    assert [pin.path for pin in plan.pins] == [str(tmp_path / f"{n}.parquet") for n in "ab"]
    os.utime(tmp_path / "b.parquet", ns=(1, 1))
    assert [pin.path for pin in changed(plan.pins)] == [str(tmp_path / "b.parquet")]


def rewrite(path):
    path.write_text("b\n1\n2\n")
    os.utime(path, ns=(1, 1))


def replace_by_equal_looking(path):
    status = path.stat()
    other = path.with_suffix(".new")
    other.write_text("b\n1\n2\n")
    os.utime(other, ns=(status.st_atime_ns, status.st_mtime_ns))
    os.replace(other, path)


@pytest.mark.parametrize(
    "change",
    [
        lambda path: path.write_text("a\n1\n2\n3\n"),
        rewrite,
        replace_by_equal_looking,
        lambda path: path.unlink(),
        lambda path: (path.unlink(), path.mkdir()),
    ],
)
def test_changes_are_seen(file, change):
    pins = read_pins(leaf(load, str(file))).pins
    assert [pin.path for pin in pins] == [str(file)]
    assert changed(pins) == []
    change(file)
    assert changed(pins) == list(pins)


def test_stores_without_paths_on_disk(file):
    memory = fsspec.filesystem("memory")
    memory.pipe("/verify/one.txt", b"one")
    plan = upstream(db.read_text("memory://verify/one.txt"))
    assert [pin.path for pin in plan.pins] == ["memory:///verify/one.txt"]
    assert changed(plan.pins) == []
    memory.pipe("/verify/one.txt", b"two")
    assert changed(plan.pins) == list(plan.pins)


class SizeOnly(fsspec.AbstractFileSystem):
    protocol = "sizeonly"

    def info(self, path, **kwargs):
        return {"name": path, "size": 3, "type": "file"}


def test_a_size_alone_is_no_pin():
    opened = fsspec.core.OpenFile(SizeOnly(), "/x")
    sources = read_pins(leaf(load, opened))
    assert sources.pins == ()
    assert sources.unpinnable == {"x"}


@pytest.mark.parametrize(
    ("graph", "unpinnable"),
    [
        (leaf(load, 1), True),
        (leaf(load, "/no/such/file"), True),
        (leaf(load, "word\nword\0"), True),
        (leaf(load, "no-such-protocol://there"), True),
        (leaf(map, load, [1]), True),
        (leaf(functools.partial(map, load), [1]), True),
        (leaf(lambda: 1), True),
        (leaf(pd.read_csv, "/no/such/file"), True),
        (leaf(len, Task(None, load, 1)), True),
        ({"x": GraphNode.fuse(Task("y", load, 1), Task("x", len, TaskRef("y")))}, True),
        (leaf(len, [1]), False),
        (leaf(pd.DataFrame, {"a": [1]}), False),
        ({"x": DataNode("x", load)}, False),
        ({"x": Task("x", load, TaskRef("y")), "y": DataNode("y", 1)}, False),
    ],
)
def test_what_may_read_anything(graph, unpinnable):
    sources = read_pins(graph)
    assert sources.unpinnable == ({"x"} if unpinnable else set())
    assert sources.pins == ()


def test_each_file_is_looked_at_once_and_listed_in_order(tmp_path):
    files = [tmp_path / name for name in ("c", "a", "b")]
    for file in files:
        file.write_text(file.name)
    graph = {(i, f.name): Task((i, f.name), load, str(f)) for i in range(2) for f in files}
    pins = read_pins(graph).pins
    assert [os.path.basename(pin.path) for pin in pins] == ["a", "b", "c"]
