"""Odds of sampled audits: what a sample catches, how much to sample, and what deters a cheat.

What this package guarantees: every figure is exact but for rounding (a relative error under 1e-9,
for chances of 1e-300 and for 9e18 units alike) and takes milliseconds; arguments out of range are
refused. Nothing is claimed about collusion beyond what ``effective_rate`` says.
"""

from __future__ import annotations

from dask_verify.core.odds.detection import (
    catch_probability,
    detection_probability,
    escape_probability,
    sample_escape_probability,
)
from dask_verify.core.odds.planning import (
    corrupt_units,
    drawn_rate,
    effective_rate,
    penalty,
    required_rate,
    required_sample,
    smallest_corruption,
    smallest_corruption_of_sample,
)
from dask_verify.core.odds.stages import Odds, StageOdds
from dask_verify.core.odds.wording import percent, round_up

__all__ = [
    "Odds",
    "StageOdds",
    "catch_probability",
    "corrupt_units",
    "detection_probability",
    "drawn_rate",
    "effective_rate",
    "escape_probability",
    "penalty",
    "percent",
    "required_rate",
    "required_sample",
    "round_up",
    "sample_escape_probability",
    "smallest_corruption",
    "smallest_corruption_of_sample",
]
