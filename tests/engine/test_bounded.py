"""Waiting with an end for what knows none of its own."""

from __future__ import annotations

import threading

import pytest

from dask_verify.engine.bounded import within


def test_who_never_returns_is_left_alone() -> None:
    gate = threading.Event()
    with pytest.raises(TimeoutError):
        within(0.01, gate.wait)
    gate.set()


def test_what_it_raises_is_raised() -> None:
    with pytest.raises(ZeroDivisionError):
        within(60.0, lambda: 1 // 0)
