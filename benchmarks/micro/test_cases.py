"""All micro cases, as plain tests or under pytest-benchmark; see ``benchmarks/conftest.py``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from benchmarks.micro.cases import CASES, Case


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.group}: {case.name}")
def test_case(case: Case, benchmark: Callable[..., Any], measures: bool) -> None:
    run, records, nbytes = case.prepare(1.0 if measures else 0.001)
    if measures:
        benchmark.group = case.group  # type: ignore[attr-defined]
        benchmark.extra_info.update(records=records, bytes=nbytes)  # type: ignore[attr-defined]
    benchmark(run)
    assert records > 0
    assert nbytes > 0
