"""A folder with scripts and files to run them on, and the commands in this process."""

from __future__ import annotations

import sys
from contextlib import contextmanager

import pytest
from click.testing import CliRunner

from dask_verify.cli import verify
from dask_verify.running import acting
from dask_verify.running.opening import Site

WORDS = """
import re

def mapper(line):
    return [(word, 1) for word in re.findall("[a-z]+", line.lower())]

def reducer(word, counts):
    return sum(counts)

def failing(line):
    return [(word, 1 // 0) for word in line.split()]

answer = 42

if __name__ == "__main__":
    raise SystemExit("run as a program")
"""
DELAYS = """
def landed(flights):
    return flights.dropna(subset=["delay"])

def means(flights):
    return flights.groupby("carrier", as_index=False).delay.mean()
"""


@pytest.fixture
def here(tmp_path, monkeypatch):
    """The current folder; what scripts do to this process is undone."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    modules = set(sys.modules)
    (tmp_path / "words.py").write_text(WORDS)
    (tmp_path / "delays.py").write_text(DELAYS)
    (tmp_path / "texts").mkdir()
    (tmp_path / "texts" / "b.txt").write_text("to sleep\n")
    (tmp_path / "texts" / "a.txt").write_text("to be or not to be\n")
    (tmp_path / "flights.csv").write_text("carrier,delay\nUA,1.0\nAA,2.0\nUA,\nUA,4.0\n")
    yield tmp_path
    for name in set(sys.modules) - modules:
        if getattr(sys.modules[name], "__verify_script__", None):
            del sys.modules[name]


@pytest.fixture
def run(here):
    """`dask verify run`, in this process."""
    return lambda *arguments: CliRunner().invoke(verify, ["run", *map(str, arguments)])


@pytest.fixture
def nothing_starts(monkeypatch):
    """Fail where anything is started."""

    @contextmanager
    def opened(place, say):
        pytest.fail(f"{place} was opened")
        yield

    monkeypatch.setattr(acting, "opened", opened)


@pytest.fixture
def started(monkeypatch, shared_cluster):
    """Use the cluster that there is, instead of starting one; returns the places asked for."""
    places = []

    @contextmanager
    def opened(place, say):
        places.append(place)
        yield Site(shared_cluster.get_client(), shared_cluster)

    monkeypatch.setattr(acting, "opened", opened)
    return places
