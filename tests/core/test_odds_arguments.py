"""What is no count, rate, confidence, crowd or gain is refused, wherever it is passed."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from dask_verify.core import odds
from dask_verify.core.odds import Odds, StageOdds
from dask_verify.errors import InputError, PolicyError

NO_COUNT = [
    -1,
    True,
    1.0,
    float("nan"),
    float("inf"),
    "1",
    None,
    2**63,
    -(10**400),
    pytest.param(10**5000, id="very long"),
]
NO_RATE = [-0.001, 1.001, float("nan"), float("inf"), -float("inf"), True, "0.1", None, 10**400]
NO_CONFIDENCE = [*NO_RATE, 0, 1, 0.0, 1.0, 1 - Fraction(1, 10**30), np.float64("nan")]


@pytest.mark.parametrize("bad", NO_COUNT)
@pytest.mark.parametrize(
    "call",
    [
        lambda bad: odds.escape_probability(bad, 0.1),
        lambda bad: odds.catch_probability(bad, 0.1),
        lambda bad: odds.detection_probability(bad, 0, 0),
        lambda bad: odds.detection_probability(10, bad, 1),
        lambda bad: odds.detection_probability(10, 1, bad),
        lambda bad: odds.sample_escape_probability(10, 1, bad),
        lambda bad: odds.required_rate(bad, 1, 0.5),
        lambda bad: odds.required_rate(10, bad, 0.5),
        lambda bad: odds.required_sample(bad, 1, 0.5),
        lambda bad: odds.required_sample(10, bad, 0.5),
        lambda bad: odds.smallest_corruption_of_sample(bad, 0, 0.5),
        lambda bad: odds.smallest_corruption_of_sample(10, bad, 0.5),
        lambda bad: odds.penalty(1, 0.1, bad),
        lambda bad: odds.corrupt_units(bad, 1, "packed"),
        lambda bad: odds.corrupt_units(1, bad, "packed"),
        lambda bad: StageOdds("map", bad, 1, 0.1, 0.1, 3, 1),
        lambda bad: StageOdds("map", 1, bad, 0.1, 0.1, 3, 1),
        lambda bad: StageOdds.of("map", 9, 9, rate=0.1, domains=3, faults=1).detection(bad),
    ],
)
def test_what_is_no_count_is_refused(call, bad):
    with pytest.raises(InputError, match=r"expected a whole number from .*, got "):
        call(bad)


@pytest.mark.parametrize("bad", NO_RATE)
@pytest.mark.parametrize(
    "call",
    [
        lambda bad: odds.escape_probability(1, bad),
        lambda bad: odds.catch_probability(1, bad),
        lambda bad: odds.smallest_corruption(bad, 0.5),
        lambda bad: odds.effective_rate(bad, 3, 1),
        lambda bad: odds.drawn_rate(bad, 3, 1),
        lambda bad: odds.penalty(1, bad),
        lambda bad: StageOdds("map", 1, 1, bad, 0.0, 3, 1),
        lambda bad: StageOdds("map", 1, 1, 1.0, bad, 3, 1),
    ],
)
def test_what_is_no_rate_is_refused(call, bad):
    with pytest.raises(PolicyError, match=r"expected a share from 0 to 1 \(0.01 is 1 %\), got "):
        call(bad)


@pytest.mark.parametrize("bad", NO_CONFIDENCE)
@pytest.mark.parametrize(
    "call",
    [
        lambda bad: odds.required_rate(10, 1, bad),
        lambda bad: odds.required_sample(10, 1, bad),
        lambda bad: odds.smallest_corruption(0.1, bad),
        lambda bad: odds.smallest_corruption_of_sample(10, 1, bad),
        lambda bad: Odds((), bad),
    ],
)
def test_what_is_no_confidence_is_refused(call, bad):
    with pytest.raises(PolicyError, match="confidence: expected a chance above 0 and below 1, got"):
        call(bad)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [((10, 11, 1), "corrupt: expected .* to 10, got 11"), ((10, 1, 11), "sampled: .* got 11")],
)
def test_more_than_all_is_refused(arguments, words):
    with pytest.raises(InputError, match=words):
        odds.detection_probability(*arguments)


@pytest.mark.parametrize(
    ("domains", "faults"), [(0, 0), (1, 2), (2, 2), (3, 3), (3, -1), (3, True)]
)
def test_domains_without_an_honest_auditor_are_refused(domains, faults):
    with pytest.raises(PolicyError, match=r"(domains|faults): expected"):
        odds.effective_rate(0.1, domains, faults)


@pytest.mark.parametrize("bad", [-1, float("nan"), float("inf"), True, "1", 10**400])
def test_what_is_no_gain_is_refused(bad):
    with pytest.raises(InputError, match="gain: expected a finite amount"):
        odds.penalty(bad, 0.1)


def test_zero_corrupt_units_cannot_be_asked_for():
    for call in (odds.required_rate, odds.required_sample):
        with pytest.raises(InputError, match="corrupt: expected a whole number from 1 to 10"):
            call(10, 0, 0.5)


def test_numpy_numbers_are_numbers():
    assert odds.escape_probability(np.int64(2), np.float32(0.5)) == 0.25
