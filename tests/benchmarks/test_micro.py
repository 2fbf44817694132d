"""The micro level without pytest."""

from __future__ import annotations

import sys

from benchmarks.micro import timing


def test_what_is_not_installed_is_left_out_and_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "starfix", None)
    (said,) = timing.timed(0.001, 1, ("starfix",))
    assert said == (
        "table: starfix: left out, starfix is not installed;"
        ' run pip install "dask-verify[benchmark]"'
    )


def test_the_best_of_the_rounds_counts(monkeypatch):
    took = iter([3.0, 1.0, 2.0])
    monkeypatch.setattr(timing, "_once", lambda run: next(took))
    (found,) = timing.timed(0.001, 3, ("table: seal, 64",))
    assert isinstance(found, timing.Timed)
    assert found.seconds == 1.0
