"""Looking at real jobs: while they run, with a cheat in them, and after they are gone."""

from __future__ import annotations

import re
import sys
from types import SimpleNamespace
from typing import Any

import dask.bag as db
import pytest
from distributed import Event

from dask_verify import Standing, Verdict, verified_map_reduce
from dask_verify.testing import Tamper

pytestmark = pytest.mark.cluster

LINES = ["to be or not to be", "that is the question"] * 3


def words(line):
    return [(word, 1) for word in line.split()]


def total(word, counts):
    return sum(counts)


def started(cluster: Any, mapper: Any = words) -> Any:
    lines = db.from_sequence(LINES, npartitions=3)
    return verified_map_reduce(lines, mapper, total, client=cluster.get_client())


def blamed(page: str) -> set[str]:
    return set(re.findall(r'<b>([^<]*)</b></bdi> <span class="dv-badge dv-bad"', page))


def test_a_cheat_is_shown_with_its_record(shared_cluster: Any, tmp_path: Any) -> None:
    shared_cluster.sabotage("bob", Tamper())
    try:
        job = started(shared_cluster)
        job.save(tmp_path / "words.jsonl")
    finally:
        shared_cluster.sabotage("bob", None)
    report = job.report
    assert report.verdict is Verdict.CORRECTED
    pairs = report.agreement
    assert pairs["alice", "bob"].diverged + pairs["bob", "carol"].diverged > 0
    assert pairs["alice", "carol"].agreed > 0
    assert pairs["alice", "carol"].diverged == 0
    assert [name.rpartition("/")[2] for name in report.exhibits] == [
        f"words.jsonl.exhibit-{i}.json" for i in range(len(report.divergences))
    ]
    report.save_html(tmp_path / "report.html")
    page = (tmp_path / "report.html").read_text()
    assert 'href="./words.jsonl.exhibit-0.json"' in page
    decided = next(i for i, d in enumerate(report.divergences) if d.settled == "referee")
    shown = report.divergences[decided]._repr_html_()
    assert shown == job.exhibits[decided]._repr_html_()
    for view in (page, shown):
        assert "<svg" in view
        assert 'class="dv-diff"' in view
        assert blamed(view) == {"bob"}
    assert report.domains["bob"].standing is Standing.EXPOSED
    job.cancel()
    gone = report.divergences[decided]._repr_html_()
    assert "Shown from the report alone" in gone
    assert 'class="dv-diff"' in gone


def words_once_it_is_seen(line):
    Event("a notebook has shown the job").wait()
    return words(line)


def test_a_notebook_sees_a_job_run(shared_cluster: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    client = shared_cluster.get_client()
    shown: list[str] = []

    def display(content: dict[str, str], **how: Any) -> Any:
        shown.append(content["text/html"])
        Event("a notebook has shown the job", client=client).set()
        return SimpleNamespace(update=display)

    shell = SimpleNamespace(kernel=object())
    ipython = SimpleNamespace(get_ipython=lambda: shell, display=SimpleNamespace(display=display))
    monkeypatch.setitem(sys.modules, "IPython", ipython)
    monkeypatch.setitem(sys.modules, "IPython.display", ipython.display)
    job = started(shared_cluster, words_once_it_is_seen)
    assert dict(job.result(60))["to"] == 6
    assert "No verdict yet" in shown[0]
    assert "0 of 3 partitions accepted" in shown[0]
    assert "AGREED" in shown[-1]
    assert "3 of 3 partitions accepted" in shown[-1]
    before = len(shown)
    job.wait()
    assert len(shown) == before, "it has ended"
    job.cancel()
