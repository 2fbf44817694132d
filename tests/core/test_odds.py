from __future__ import annotations

import itertools
import math
import subprocess
import sys
from decimal import Decimal, localcontext
from fractions import Fraction

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st
from scipy import stats

from dask_verify.core import odds
from dask_verify.errors import InputError

counts = st.integers(0, 10**12)
rates = st.floats(0, 1)
confidences = st.floats(1e-6, 1 - 1e-9)


@st.composite
def samples(draw, most=10**12):
    """Units, corrupt ones and sampled ones."""
    units = draw(st.integers(0, most))
    return units, draw(st.integers(0, units)), draw(st.integers(0, units))


# --- the references: slow and obvious -------------------------------------------------------


def escape_by_listing(units, corrupt, sampled):
    """Look at every sample there is."""
    drawn = list(itertools.combinations(range(units), sampled))
    return Fraction(sum(all(unit >= corrupt for unit in one) for one in drawn), len(drawn))


def escape_by_product(units, corrupt, sampled):
    """Draw one by one, with 60 digits."""
    with localcontext() as context:
        context.prec = 60
        chance, (few, many) = Decimal(1), sorted((corrupt, sampled))
        for i in range(few):
            chance = chance * (units - many - i) / (units - i)
        return chance, 1 - chance


def close(value, exact, relative=1e-12):
    exact = Decimal(exact)
    return abs(Decimal(value) - exact) <= Decimal(relative) * abs(exact)


# --- a fixed number of units ----------------------------------------------------------------


def test_every_small_sample():
    for units in range(9):
        for corrupt, sampled in itertools.product(range(units + 1), repeat=2):
            exact = escape_by_listing(units, corrupt, sampled)
            escape = odds.sample_escape_probability(units, corrupt, sampled)
            detection = odds.detection_probability(units, corrupt, sampled)
            assert escape == pytest.approx(float(exact), rel=1e-14)
            assert detection == pytest.approx(float(1 - exact), rel=1e-14)


@given(samples(most=3000))
def test_scipy_agrees_on_a_sample_of_fixed_size(case):
    units, corrupt, sampled = case
    assume(units)  # of nothing scipy says NaN
    distribution = stats.hypergeom(units, corrupt, sampled)
    detection, escape = odds.detection_probability(*case), odds.sample_escape_probability(*case)
    assert detection == pytest.approx(distribution.sf(0), rel=1e-9, abs=1e-300)
    assert escape == pytest.approx(distribution.pmf(0), rel=1e-9, abs=1e-300)


@pytest.mark.parametrize(
    "case",
    [
        # Both sides of the change of method, at 4096 factors.
        (10**12, 4096, 4096),
        (10**12, 4097, 4097),
        (10**12, 4097, 10**10),
        (10**12, 20_000, 10**9),
        (10**12, 200_000, 100_000),
        (10**6, 5_000, 10**4),
        (10**5, 4_200, 9_000),
        (10**5, 4_097, 4_097),
        (2**63 - 1, 5_000, 10**15),
        (2**63 - 1, 1, 1),
        (10**12, 1, 1),
        (10**12, 10**12 - 2, 2),  # what is left is much smaller than what is taken
        (10**12, 10**12 - 3, 3),
        (10_000, 5_000, 4_999),
    ],
)
def test_large_samples_keep_their_digits(case):
    escape, detection = escape_by_product(*case)
    assert close(odds.detection_probability(*case), detection)
    if escape > 1e-300:
        assert close(odds.sample_escape_probability(*case), escape)


@given(samples())
@example((10**12, 5 * 10**11, 5 * 10**11))
@example((10**12, 10**6, 10**6))
def test_any_sample_gives_a_chance_and_its_rest(case):
    units, corrupt, sampled = case
    detection, escape = odds.detection_probability(*case), odds.sample_escape_probability(*case)
    assert 0 <= detection <= 1
    assert detection + escape == pytest.approx(1, rel=1e-12)
    assert detection == odds.detection_probability(units, sampled, corrupt)
    assert (detection == 0) == (corrupt * sampled == 0)


@given(samples())
def test_a_sample_larger_than_the_sound_units_is_certain(case):
    units, corrupt, _ = case
    assume(corrupt)
    assert odds.detection_probability(units, corrupt, units - corrupt + 1) == 1


@given(samples(), st.integers(1, 10**6))
def test_more_is_never_worse(case, more):
    units, corrupt, sampled = case
    now = odds.detection_probability(*case)
    floor = now * (1 - 1e-12)
    assert odds.detection_probability(units, corrupt, min(units, sampled + more)) >= floor
    assert odds.detection_probability(units, min(units, corrupt + more), sampled) >= floor
    assert odds.detection_probability(units + more, corrupt, sampled) <= now * (1 + 1e-12)


# --- units drawn by themselves --------------------------------------------------------------


@given(st.integers(0, 20), st.fractions(0, 1, max_denominator=1000))
def test_a_rate_is_an_exact_power(corrupt, rate):
    exact = (1 - Fraction(float(rate))) ** corrupt
    assert close(odds.escape_probability(corrupt, rate), Decimal(float(exact)))
    assert odds.catch_probability(corrupt, rate) == pytest.approx(float(1 - exact), rel=1e-12)


@given(st.integers(0, 10**6), st.floats(1e-9, 0.999))
def test_scipy_agrees_on_a_rate(corrupt, rate):
    distribution = stats.binom(corrupt, rate)
    caught = odds.catch_probability(corrupt, rate)
    assert caught == pytest.approx(distribution.sf(0), rel=1e-9)
    assert odds.escape_probability(corrupt, rate) == pytest.approx(
        distribution.pmf(0), rel=1e-9, abs=1e-300
    )


def test_the_figures_of_the_article_are_those_of_a_tenth_of_its_rate():
    assert round(odds.escape_probability(694, 0.001), 4) == 0.4994
    assert round(odds.escape_probability(5000, 0.001), 4) == 0.0067
    assert round(odds.escape_probability(69, 0.01), 4) == 0.4998
    assert round(odds.escape_probability(500, 0.01), 4) == 0.0066
    assert f"{odds.escape_probability(5000, 0.01):.1e}" == "1.5e-22"
    assert odds.catch_probability(1, 0.01) == 0.01


def test_the_ends_of_a_rate():
    assert odds.escape_probability(0, 1) == 1
    assert odds.escape_probability(1, 1) == 0
    assert odds.escape_probability(10**12, 0) == 1
    assert math.copysign(1, odds.catch_probability(0, 0.5)) == 1
    assert odds.catch_probability(1, 5e-324) == 5e-324


@given(st.integers(0, 10**6), st.floats(1e-9, 1), st.integers(1, 10**6))
def test_a_large_table_makes_drawing_with_or_without_replacement_equal(corrupt, rate, more):
    assert odds.catch_probability(corrupt + more, rate) >= odds.catch_probability(corrupt, rate)
    assert odds.catch_probability(corrupt, min(1, rate * 1.5)) >= odds.catch_probability(
        corrupt, rate
    )
    sampled = 10**6
    fixed = odds.detection_probability(10**15, corrupt, sampled)
    assert fixed == pytest.approx(odds.catch_probability(corrupt, 1e-9), rel=1e-6, abs=1e-18)


# --- how much to sample ---------------------------------------------------------------------


@given(st.integers(1, 10**12), st.floats(1e-6, 0.999))
def test_the_required_rate_reaches_the_confidence_and_wastes_nothing(corrupt, confidence):
    rate = odds.required_rate(10**12, corrupt, confidence)
    assert odds.catch_probability(corrupt, rate) >= confidence * (1 - 1e-15)
    assert odds.catch_probability(corrupt, rate * (1 - 1e-9)) < confidence


@given(st.integers(1, 10**6), st.floats(0.01, 1 - 1e-9))
def test_the_required_rate_and_the_smallest_corruption_are_inverse(corrupt, confidence):
    rate = odds.required_rate(10**6, corrupt, confidence)
    assume(rate < 1)
    assert odds.smallest_corruption(rate, confidence) == corrupt


@given(st.integers(1, 60), st.data(), confidences)
def test_the_required_sample_is_the_first_that_is_enough(units, data, confidence):
    corrupt = data.draw(st.integers(1, units))
    detection = [odds.detection_probability(units, corrupt, s) for s in range(units + 1)]
    assume(all(abs(chance - confidence) > 1e-9 for chance in detection))
    first = next(s for s, chance in enumerate(detection) if chance >= confidence)
    assert odds.required_sample(units, corrupt, confidence) == first


@given(st.integers(1, 60), st.data(), confidences)
def test_the_smallest_corruption_of_a_sample_is_the_first_that_is_caught(units, data, confidence):
    sampled = data.draw(st.integers(1, units))
    detection = [odds.detection_probability(units, m, sampled) for m in range(units + 1)]
    assume(all(abs(chance - confidence) > 1e-9 for chance in detection))
    first = next(m for m, chance in enumerate(detection) if chance >= confidence)
    assert odds.smallest_corruption_of_sample(units, sampled, confidence) == first


@given(st.integers(1, 10**12), st.data(), confidences)
def test_large_required_samples_are_tight(units, data, confidence):
    corrupt = data.draw(st.integers(1, units))
    sample = odds.required_sample(units, corrupt, confidence)
    assert odds.detection_probability(units, corrupt, sample) >= confidence * (1 - 1e-12)
    assert odds.detection_probability(units, corrupt, sample - 1) <= confidence * (1 + 1e-12)


@given(st.floats(1e-6, 1), confidences)
def test_the_smallest_corruption_of_a_rate_is_tight(rate, confidence):
    fewest = odds.smallest_corruption(rate, confidence)
    assert odds.catch_probability(fewest, rate) >= confidence * (1 - 1e-12)
    assert odds.catch_probability(fewest - 1, rate) <= confidence * (1 + 1e-12)


def test_confidence_that_is_met_exactly_counts():
    assert odds.smallest_corruption(0.01, 0.01) == 1
    assert odds.smallest_corruption(0.5, 0.75) == 2
    assert odds.required_rate(10, 1, 0.75) == 0.75


def test_nothing_is_caught_where_nothing_is_drawn():
    assert odds.smallest_corruption(0.0, 0.5) is None
    assert odds.smallest_corruption(5e-324, 0.5) is None
    assert odds.smallest_corruption_of_sample(10, 0, 0.5) is None
    assert odds.smallest_corruption_of_sample(0, 0, 0.5) is None


# --- faulty auditors, fines, layouts --------------------------------------------------------


@pytest.mark.parametrize(("domains", "faults"), [(2, 1), (3, 1), (3, 2), (5, 2), (5, 4), (9, 3)])
def test_the_effective_rate_counts_honest_auditors(domains, faults):
    cheat, names = 0, range(domains)
    auditors = [name for name in names if name != cheat]
    honest = [name for name in auditors if name >= faults]
    wanted = 0.04 * len(honest) / len(auditors)
    assert odds.effective_rate(0.04, domains, faults) == pytest.approx(wanted, rel=1e-15)


@pytest.mark.parametrize(("domains", "faults"), [(1, 0), (1, 1), (2, 0), (7, 0), (7, 1)])
def test_nobody_covers_for_a_lone_cheat(domains, faults):
    assert odds.effective_rate(0.04, domains, faults) == 0.04


def test_a_rate_that_is_far_out_of_reach_is_none():
    assert odds.drawn_rate(0.4611410946858513, 22, 18) is None


@given(rates, st.integers(1, 50), st.data())
def test_the_drawn_rate_leaves_what_is_wanted(rate, domains, data):
    faults = data.draw(st.integers(0, max(1, domains - 1)))
    drawn = odds.drawn_rate(rate, domains, faults)
    if drawn is None:
        assert odds.effective_rate(1, domains, faults) < rate
    else:
        assert rate <= odds.effective_rate(drawn, domains, faults) <= rate * (1 + 1e-12) + 1e-320


@given(st.floats(1e-6, 1e6), st.floats(1e-6, 1), st.integers(1, 1000))
def test_a_fine_leaves_no_profit(gain, rate, corrupt):
    fine = odds.penalty(gain, rate, corrupt)
    profit = corrupt * gain - odds.catch_probability(corrupt, rate) * fine
    assert abs(profit) <= 1e-9 * corrupt * gain
    assert fine <= corrupt * odds.penalty(gain, rate) * (1 + 1e-12)


def test_no_fine_deters_where_nobody_looks():
    assert odds.penalty(1, 0) == math.inf
    assert odds.penalty(0, 0) == 0
    assert odds.penalty(3, 0.5, 2) == 8


@given(st.integers(0, 500), st.integers(1, 20))
def test_layouts(records, size):
    spread, packed = (odds.corrupt_units(records, size, x) for x in ("spread", "packed"))
    assert (spread, packed) == (records, len(range(0, records, size)))
    units = max(1, packed)
    assert odds.corrupt_units(records, size, "spread", units) == min(records, units)
    assert odds.corrupt_units(records, size, "packed", units) == packed


def test_records_that_do_not_fit_are_refused():
    with pytest.raises(InputError, match="at most 20, which is what 2 units of 10 hold, got 21"):
        odds.corrupt_units(21, 10, "spread", 2)
    with pytest.raises(InputError, match="expected 'spread' or 'packed', got 'heap'"):
        odds.corrupt_units(1, 1, "heap")


def test_odds_need_no_dask():
    code = "import sys, dask_verify.core.odds; sys.exit('dask' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], timeout=60).returncode == 0
