"""The odds of a job: which stage is the worst, and what is said of it."""

from __future__ import annotations

import dataclasses
import json

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from dask_verify.core import odds
from dask_verify.core.odds import Odds, StageOdds, percent, round_up
from dask_verify.errors import InputError


def stage(name="map", units=10_000, records=1_000_000, rate=0.01, domains=3, faults=1, **more):
    return StageOdds.of(name, units, records, rate=rate, domains=domains, faults=faults, **more)


def test_the_figures_of_a_stage():
    one = stage(rate=0.01, domains=5, faults=2, sampled=93)
    assert one.effective == one.one_unit == odds.effective_rate(0.01, 5, 2)
    assert one.detection(612) == odds.catch_probability(612, 0.0075) >= 0.99
    assert one.detection(611) < 0.99
    assert one.smallest(0.99) == one.smallest_spread(0.99) == 612
    assert one.smallest_packed(0.99) == 61_101


@given(st.integers(1, 500), st.integers(1, 40), st.floats(0.01, 1), st.floats(0.1, 0.99))
@example(1, 1, 0.25, 0.25)
def test_the_fewest_packed_records(units, size, rate, confidence):
    enough = confidence * (1 - 1e-12)  # a chance that equals the confidence may be rounded
    one = stage(units=units, records=units * size, rate=rate)
    caught = (
        records
        for records in range(1, units * size + 1)
        if one.detection(odds.corrupt_units(records, size, "packed")) >= enough
    )
    assert one.smallest_packed(confidence) == next(caught, None)


@pytest.mark.parametrize(
    ("units", "records", "spread", "packed"),
    [
        (1000, 0, None, None),  # not known
        (458, 10**6, None, None),  # too few units
        (459, 459, 459, 459),
        (1000, 458, None, None),  # too few records
        (1000, 700, 459, 459),
        (1000, 2500, 459, 1146),  # units of 2.5 records
    ],
)
def test_records_of_a_corruption_that_is_caught(units, records, spread, packed):
    one = stage(units=units, records=records)
    assert (one.smallest_spread(0.99), one.smallest_packed(0.99)) == (spread, packed)


def test_a_stage_of_a_million_million_units_takes_no_time():
    one = stage(units=10**12, records=10**15)
    assert one.smallest_packed(0.99) == 458_001
    assert Odds((one,)).advice == ""


@pytest.mark.parametrize(
    "changes",
    [{"stage": "sort"}, {"effective": 0.02}, {"sampled": 10_001}, {"sampled": -1}],
)
def test_bad_fields_are_refused(changes):
    with pytest.raises(InputError, match="expected"):
        dataclasses.replace(stage(), **changes)


@pytest.mark.parametrize("stages", [[stage()], (stage(), None), None])
def test_bad_stages_are_refused(stages):
    with pytest.raises(InputError, match="stages: expected"):
        Odds(stages)


# --- the worst ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("stages", "worst"),
    [
        ((stage("map"), stage("read", units=80)), "read"),
        ((stage("read", units=3, rate=1), stage("map")), "map"),  # all of few is not worse
        ((stage("map"), stage("reduce", rate=0.001)), "reduce"),
        ((stage("map"), stage("reduce", domains=3, faults=2)), "reduce"),
        ((stage("map"), stage("reduce", rate=0)), "reduce"),
        ((stage("read", units=0), stage("map")), "map"),  # nothing to corrupt
        ((stage("map"), stage("reduce")), "map"),  # of equals the first
    ],
)
def test_the_worst_stage(stages, worst):
    assert Odds(stages).worst.stage == worst
    assert Odds(stages).headline.startswith(f"{worst}: ")


@given(st.lists(st.tuples(st.integers(1, 30), st.floats(0, 0.9)), min_size=1), st.integers(1, 9))
def test_no_stage_catches_less_of_any_share(cases, share):
    stages = tuple(stage(units=10 * units, rate=rate) for units, rate in cases)
    worst = Odds(stages).worst
    floor = worst.detection(worst.units * share // 10)
    assert all(floor <= one.detection(one.units * share // 10) + 1e-12 for one in stages)


def test_no_stage_and_no_units():
    assert Odds(()).worst is Odds((stage(units=0),)).worst is None
    assert Odds(()).headline == "there is nothing to corrupt"
    assert Odds((stage(units=0),)).advice == ""


# --- the words ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("one", "words"),
    [
        (
            stage("reduce"),
            "reduce: corrupting 459 of 10,000 units (packed: 45,801 records) is caught with 99 %;"
            " a single corrupt unit with 1 %",
        ),
        (
            stage("reduce", records=0),
            "reduce: corrupting 459 of 10,000 units is caught with 99 %;"
            " a single corrupt unit with 1 %",
        ),
        (
            stage("read", units=80),
            "read: even corrupting all of its 80 units is caught with 55.2 % only, not with 99 %;"
            " a single corrupt unit with 1 %",
        ),
        (stage(rate=0), "map: nothing is audited, so no corruption is caught"),
        (stage(units=0), "map: there is nothing to corrupt"),
    ],
)
def test_sentences(one, words):
    assert one.describe(0.99) == words


@pytest.mark.parametrize(
    ("one", "parts"),
    [
        (stage(units=916), ["916 units are too few", "at least 918 units", "1,089 at most"]),
        (stage("read", units=80), ["at least 918 partitions", "rate to 0.109"]),
        (stage("reduce", units=3), ["more buckets", "rate to 0.9."]),
        (stage(rate=0), ["raise the audit rate above 0"]),
    ],
)
def test_advice_where_there_are_too_few_units(one, parts):
    advice = Odds((stage(units=10**6), one)).advice
    assert [part for part in parts if part not in advice] == []
    assert advice.startswith(f"{one.stage}: ")


def test_advice_for_each_stage_that_needs_it():
    advice = Odds((stage("read", units=8), stage("reduce", units=8))).advice
    assert "read: " in advice
    assert "reduce: " in advice


@pytest.mark.parametrize("units", [917, 918, 10_000])
def test_no_advice_where_half_of_the_units_is_caught(units):
    assert Odds((stage(units=units),)).advice == ""


def test_a_half_that_is_caught_with_just_the_confidence_is_enough():
    one = stage(units=1, rate=0.25)
    assert one.smallest(0.25) == 1
    assert one.advice(0.25) == ""


@pytest.mark.parametrize("units", [1, 2, 80, 916])
@pytest.mark.parametrize("crowd", [(3, 1), (5, 2), (1, 1)])
def test_advice_that_is_taken_helps(units, crowd):
    one = stage(units=units, domains=crowd[0], faults=crowd[1])
    words = one.advice(0.99).replace(",", "")
    more = int(words.split("at least ")[1].split()[0])
    assert stage(units=more, domains=crowd[0], faults=crowd[1]).advice(0.99) == ""
    if "rate to " not in words:
        assert odds.effective_rate(1, *crowd) < 0.99
        return
    rate = float(words.split("rate to ")[1].rstrip("."))
    assert stage(units=units, rate=rate, domains=crowd[0], faults=crowd[1]).advice(0.99) == ""


def test_the_dictionary():
    job = Odds((stage("read", units=80, records=0), stage()))
    figures = json.loads(json.dumps(job.to_dict(), allow_nan=False))
    assert figures["worst"] == "read"
    assert figures["headline"] == job.headline
    assert figures["advice"] == job.advice
    assert figures["stages"][0]["smallest_units"] is None
    assert figures["stages"][1] == {
        "stage": "map",
        "units": 10_000,
        "records": 1_000_000,
        "rate": 0.01,
        "effective": 0.01,
        "domains": 3,
        "faults": 1,
        "sampled": None,
        "largest_unit_records": None,
        "one_unit": 0.01,
        "smallest_units": 459,
        "smallest_records_spread": 459,
        "smallest_records_packed": 45_801,
    }


@given(st.floats(0, 1))
def test_only_certainty_reads_as_one_hundred(chance):
    assert (percent(chance) == "100 %") == (chance == 1)
    assert (percent(chance) == "0 %") == (chance == 0)


@given(st.floats(1e-300, 1))
def test_rounding_up(rate):
    assert rate <= round_up(rate) <= rate * 1.0101


# --- uneven units ---------------------------------------------------------------------------

UNEVEN = {"rate": 0.1, "domains": 2, "faults": 1}


def test_a_cheat_packs_into_the_largest_units():
    sizes = ((100_000, 1), (1, 99))
    stage = odds.StageOdds.of("read", 100, 100_099, sizes=sizes, **UNEVEN)
    assert stage.smallest(0.99) == 44
    assert stage.smallest_packed(0.99) == 100_000 + 42 + 1
    assert stage.holding(50_000) == 1
    assert "half of the records, in 1 of them, is caught with 10 % only" in stage.advice(0.99)


def test_units_without_records_hold_nothing():
    stage = odds.StageOdds.of("read", 8, 999, sizes=((500, 1), (499, 1), (0, 6)), rate=0.5,
                              domains=2, faults=1)  # fmt: skip
    assert stage.holding(999) == 2
    assert stage.smallest_packed(0.99) is None
    assert "2 largest units can hold all 999 records" in stage.describe(0.99)
    assert "caught with 75 % only" in stage.describe(0.99)


def test_the_worst_stage_is_the_one_with_the_largest_units():
    even = odds.StageOdds.of("map", 100, 1000, sizes=((10, 100),), **UNEVEN)
    uneven = odds.StageOdds.of("reduce", 1000, 1000, sizes=((900, 1), (1, 100), (0, 899)), **UNEVEN)
    assert odds.Odds((even, uneven)).worst is uneven


@given(st.integers(1, 50), st.integers(1, 30), st.floats(0.01, 0.5))
def test_even_sizes_change_nothing(size, units, rate):
    crowd = {"rate": rate, "domains": 2, "faults": 1}
    plain = odds.StageOdds.of("map", units, size * units, **crowd)
    sized = odds.StageOdds.of("map", units, size * units, sizes=((size, units),), **crowd)
    assert sized.smallest_packed(0.9) == plain.smallest_packed(0.9)
    assert sized.advice(0.9) == plain.advice(0.9)
    assert sized.describe(0.9) == plain.describe(0.9)
