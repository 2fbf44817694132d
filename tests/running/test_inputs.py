"""The files that a command line names."""

from __future__ import annotations

import gzip

import fsspec
import pandas as pd
import pytest

from dask_verify.errors import InputError
from dask_verify.running.inputs import Inputs, collection, gathers, inputs


def names(found, folder):
    return [file.removeprefix(f"{folder}/") for file in found.files]


def test_folders_patterns_and_files_in_sorted_order(here):
    (here / "texts" / "deep").mkdir()
    (here / "texts" / "deep" / "c.log").write_text("c")
    (here / "texts" / ".hidden.txt").write_text("hidden")
    (here / "texts" / "_SUCCESS").write_text("")
    everything = ["texts/a.txt", "texts/b.txt", "texts/deep/c.log"]
    assert names(inputs(["texts"]), here) == everything
    assert names(inputs(["texts/"]), here) == everything
    assert names(inputs(["texts/*.txt"]), here) == everything[:2]
    assert names(inputs(["texts/d*"]), here) == everything[2:]
    assert names(inputs(["texts/b.txt", "texts/a.txt"]), here) == ["texts/b.txt", "texts/a.txt"]
    assert names(inputs(["texts/.hidden.txt"]), here) == ["texts/.hidden.txt"]


def test_urls():
    memory = fsspec.filesystem("memory")
    memory.pipe({"/cli/b.csv": b"k\n1\n", "/cli/a.csv": b"k\n2\n"})
    try:
        found = inputs(["memory://cli"])
        assert found == Inputs(("memory:///cli/a.csv", "memory:///cli/b.csv"), "csv")
        assert inputs(["memory://cli/*.csv"]) == found
        assert collection(found).k.compute(scheduler="sync").tolist() == [2, 1]
    finally:
        memory.rm("/cli", recursive=True)


@pytest.mark.parametrize(
    ("files", "asked", "expected"),
    [
        (["a.txt", "b.JSONL", "c.log"], None, ("text", None)),
        (["a.csv.gz", "b.csv.gz"], None, ("csv", "gzip")),
        (["a.parquet", "b.pq"], None, ("parquet", None)),
        (["a.csv", "b"], "text", ("text", None)),
        (["a.txt.bz2"], None, ("text", "bz2")),
    ],
)
def test_formats(here, files, asked, expected):
    for file in files:
        (here / file).write_bytes(b"")
    found = inputs(files, asked)
    assert (found.format, found.compression) == expected


@pytest.mark.parametrize(
    ("named", "words"),
    [
        (["nothing.txt"], "got 'nothing.txt', where nothing is"),
        (["nothing/*.txt"], "got 'nothing/*.txt', where nothing is"),
        (["empty"], "expected a folder with files, got 'empty', which has none"),
        (["notes"], "pass --format text, csv or parquet"),
        (["texts", "flights.csv"], "expected files of one format, got"),
        (["texts/a.txt", "z.txt.gz"], "expected files of one compression, got"),
        (["texts", "texts/a.txt"], "texts/a.txt' 2 times"),
        (["z.parquet.gz"], "expected Parquet files as they are"),
        (["odd[1].txt"], "expected files without *, ? and [ in their names"),
        (["no-such-scheme://x.txt"], "a URL that fsspec reads, got 'no-such-scheme://x.txt'"),
    ],
)
def test_what_cannot_be_used(here, named, words):
    (here / "empty").mkdir()
    for name in ("notes", "z.txt.gz", "z.parquet.gz", "odd[1].txt"):
        (here / name).write_bytes(b"")
    with pytest.raises(InputError) as caught:
        inputs(named)
    assert words in str(caught.value)
    assert str(caught.value).startswith("INPUT: ")


@pytest.mark.parametrize(
    ("named", "path", "expected"),
    [
        ("texts", "texts/c.jsonl", True),
        ("texts/", "./texts/deep/c.jsonl", True),
        (".", "c.jsonl", True),
        ("link", "texts/c.jsonl", True),
        ("texts/*", "texts/c.jsonl", True),
        ("texts/d*", "texts/deep/c.jsonl", True),
        ("memory://cli", "memory://cli/c.jsonl", True),
        ("texts", "c.jsonl", False),
        ("texts", "texts2/c.jsonl", False),
        ("texts", "texts/_out/c.jsonl", False),
        ("texts", "texts/.c.jsonl", False),
        ("texts/*.txt", "texts/c.jsonl", False),
        ("texts/d*", "texts/deep/_c.jsonl", False),
        ("texts/a.txt", "texts/c.jsonl", False),
        ("memory://cli", "memory://client/c.jsonl", False),
        ("memory://cli", "cli/c.jsonl", False),
    ],
)
def test_what_would_be_read_if_it_were_there(here, named, path, expected):
    (here / "link").symlink_to("texts")
    assert gathers(named, path) == expected


def test_text_is_cut_into_partitions_of_lines(here):
    (here / "long.txt").write_text("a line\n" * 1000)
    bag = collection(inputs(["long.txt"]), "1000 B")
    assert bag.npartitions == 7
    assert bag.compute(scheduler="sync") == ["a line\n"] * 1000


def test_compressed_files_are_one_partition_each(here):
    for name in ("a", "b"):
        (here / f"{name}.csv.gz").write_bytes(gzip.compress(b"k\n1\n"))
    found = inputs(["a.csv.gz", "b.csv.gz"])
    assert collection(found).npartitions == 2
    with pytest.raises(InputError, match="--blocksize: expected only for files that can be cut"):
        collection(found, "1 MiB")


def test_parquet(here):
    frame = pd.DataFrame({"k": [1, 2]})
    frame.to_parquet(here / "a.parquet")
    assert collection(inputs(["a.parquet"])).compute(scheduler="sync").equals(frame)


@pytest.mark.parametrize("size", ["large", "0", "-1 MiB"])
def test_a_block_size_that_is_none(here, size):
    with pytest.raises(InputError, match="--blocksize: expected a size such as '16 MiB', got"):
        collection(inputs(["texts"]), size)


@pytest.mark.parametrize(
    ("name", "form"), [("a.parquet", "parquet"), ("a.csv", "csv"), ("a.txt", "text")]
)
def test_files_that_are_empty(here, name, form):
    (here / name).write_bytes(b"")
    words = f"expected files that can be read as {form}, got '{here}/{name}', which is empty; leave"
    with pytest.raises(InputError, match=f"INPUT: {words}"):
        collection(inputs([name]))


@pytest.mark.parametrize(
    ("name", "form"), [("a.parquet", "parquet"), ("a.csv", "csv"), ("a.txt.gz", "text")]
)
def test_files_that_are_other_than_they_seem(here, name, form, monkeypatch):
    (here / name).write_bytes(b"\xff")
    if form == "text":  # is not looked into by its reader, which may fail all the same
        monkeypatch.setattr("dask.bag.read_text", lambda *given, **options: 1 / 0)
    words = f"INPUT: expected files that can be read as {form}, got [A-Z]"
    with pytest.raises(InputError, match=words):
        collection(inputs([name]))
