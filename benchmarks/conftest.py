"""Run each micro case once, as a plain test, unless pytest-benchmark is asked to measure.

pytest benchmarks/micro                      # plain tests, small data
pytest benchmarks/micro --benchmark-only     # measured, full size
"""

from __future__ import annotations

import pytest


def _asked(config: pytest.Config) -> bool:
    options = ("benchmark_only", "benchmark_enable")
    return any(config.getoption(name, False) for name in options)


@pytest.hookimpl(tryfirst=True)  # before pytest-benchmark looks at its options
def pytest_configure(config: pytest.Config) -> None:
    if not _asked(config):
        config.option.benchmark_disable = True


@pytest.fixture
def measures(request: pytest.FixtureRequest) -> bool:
    """Whether pytest-benchmark was asked to measure."""
    return _asked(request.config)
