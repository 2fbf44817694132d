"""``docs/odds.md``: every table and every number in it is computed again."""

from __future__ import annotations

import math
import re
from pathlib import Path

import pytest

from dask_verify import odds_table
from dask_verify.core import odds
from dask_verify.core.odds import percent

TEXT = (Path(__file__).parents[2] / "docs" / "odds.md").read_text()
PROSE = " ".join(TEXT.split())


def table(header):
    """Return the cells below the row that starts with a header."""
    lines = TEXT.splitlines()
    start = next(i for i, line in enumerate(lines) if line.startswith(f"| {header} |"))
    rows = []
    for line in lines[start + 2 :]:
        if not line.startswith("|"):
            return rows
        rows.append([cell.strip() for cell in line.strip("|").split("|")])
    return rows


def rate(text):
    return float(text.removesuffix(" %")) / 100


def escape(corrupt, at):
    chance = odds.escape_probability(corrupt, at)
    return percent(chance) if chance else "under 1e-300 %"


def test_the_table_of_ten_billion_records():
    rows = table("records corrupted")
    sizes = tuple(int(row[0].replace(",", "")) for row in rows)
    assert sizes == odds_table.CORRUPT
    wanted = [[escape(m, 0.001), escape(m, 0.01)] for m in sizes]
    assert [row[1:] for row in rows] == wanted


def test_the_table_of_ten_billion_records_by_plain_arithmetic():
    for size, tenth, one in table("records corrupted")[:-1]:
        m = int(size.replace(",", ""))
        assert rate(tenth) == pytest.approx(0.999**m, rel=5e-3)
        assert rate(one) == pytest.approx(0.99**m, rel=5e-3)


def test_the_table_of_smallest_corruptions():
    rows = table("rate")
    assert [row[0] for row in rows] == ["0.1 %", "1 %", "10 %"]
    for at, *fewest in rows:
        wanted = [odds.smallest_corruption(rate(at), c) for c in (0.99, 0.999)]
        assert fewest == [f"{m:,}" for m in wanted]


def test_the_table_of_formulas():
    names = {"m": 7, "N": 50, "s": 9, "c": 0.9, "p": 0.03, "f": 2, "D": 5, "g": 3.0}
    m, n, s, c, p, f, d, g = names.values()
    values = {
        "escape_probability": odds.escape_probability(m, p),
        "catch_probability": odds.catch_probability(m, p),
        "detection_probability": odds.detection_probability(n, m, s),
        "required_rate": odds.required_rate(n, m, c),
        "smallest_corruption": odds.smallest_corruption(p, c),
        "effective_rate": odds.effective_rate(p, d, f),
        "penalty": odds.penalty(g, p, m),
    }
    rows = {row[2].strip("`"): row[1] for row in table("question")}
    assert rows.pop("required_sample") == "by bisection"
    assert sorted(rows) == sorted(values)
    for name, cell in rows.items():
        assert evaluate(cell, names) == pytest.approx(values[name], rel=1e-12), name


def evaluate(cell, names):
    formula = re.search("`(.*)`", cell).group(1).replace("^", "**")
    formula = formula.replace("m g", "m * g").replace("p (", "p * (")
    value = eval(formula, {"C": math.comb, "log": math.log, **names})
    return math.ceil(value) if "rounded up" in cell else value


def count(value):
    return f"{value:,}"


STAGE = odds.StageOdds.of("map", 10**7, 10**10, rate=0.01, domains=3, faults=1)
PARTITIONS = odds.StageOdds.of("read", 80, 0, rate=0.01, domains=3, faults=1)
HALF = odds.smallest_corruption(0.01, 0.5)
SURE = odds.smallest_corruption(0.01, 0.99)
UNITS = -(-SURE * 100 // 5)
SENTENCES = [
    f"one corrupt record has a {percent(odds.catch_probability(1, 0.01))} chance of being caught"
    " by a 1 % audit",
    f"and a {percent(odds.escape_probability(1, 0.01))} chance to escape",
    "Policy(replicas=2)",
    # The article's words, and the sizes that it is wrong about.
    "of a 1 % sample of this table that a function must corrupt fewer than 694 records to stay"
    " under a 50 % chance of detection, and that 5,000 corrupt records leave a 0.7 % chance",
    "the figures of a 0.1 % sample",
    f"`0.999^694 = {odds.escape_probability(694, 0.001):.4f}`",
    f"`0.999^5000 = {odds.escape_probability(5000, 0.001):.4f}`",
    f"At 1 % it is {HALF} records for 50 %",
    f"500 records for an escape of {100 * odds.escape_probability(500, 0.01):.2f} %",
    f"`{odds.escape_probability(5000, 0.01):.1e}` for 5,000",
    "With 1,000 records in a unit, 1,000 corrupt records escape a 1 % audit with"
    f" {percent(odds.escape_probability(odds.corrupt_units(1000, 1000, 'spread'), 0.01))} if they"
    " are spread, and with"
    f" {percent(odds.escape_probability(odds.corrupt_units(1000, 1000, 'packed'), 0.01))} if",
    f"The first {SURE - 1} units may be full: {count(STAGE.smallest_packed(0.99))} packed records"
    " are the fewest that are caught with 99 %",
    "A job of 80 partitions has 80 units there: at 1 %, even corrupting all of them is caught with"
    f" {percent(PARTITIONS.detection(80))} only",
    f"With 2 faulty ones of 5, a rate of 1 % is worth {percent(odds.effective_rate(0.01, 5, 2))},"
    f" and {odds.smallest_corruption(odds.effective_rate(0.01, 5, 2), 0.99)} units are needed"
    f" instead of {SURE} to be caught with 99 %",
    "2 faulty domains of 5 win it with"
    f" {percent(odds.escape_probability(1, odds.effective_rate(1, 5, 2)))}",
    f"At 1 % it is {odds.penalty(1, 0.01):g} times the gain, at 0.1 %"
    f" {count(round(odds.penalty(1, 0.001)))} times",
    f"For a cheat on 100 units at once {odds.penalty(1, 0.01, 100):.0f} times the gain of one",
    f"a fine for each corrupt unit of {odds.penalty(1, 0.01):g} times covers every number",
    "A float below 1 is a share of the map units",
    "Policy(audit=Detect(corrupt=1e-4, confidence=0.999))",
    f"For 1,000,000 units that are {int(1e-4 * 1_000_000)} corrupt ones, and a rate of"
    f" {percent(odds.required_rate(1_000_000, 100, 0.999))}",
    "For 10,000 units it is a single one, and a rate of"
    f" {percent(odds.required_rate(10_000, 1, 0.999))}",
    f"with 99 % at a rate of 1 %, have at least {SURE} units in that share: for 5 % that takes"
    f" {count(UNITS)} units, so at most {1_000_000 // UNITS} records in each unit of a table of"
    " 1,000,000",
    "`unit_records=1`",
]


@pytest.mark.parametrize("sentence", SENTENCES)
def test_a_sentence(sentence):
    assert sentence in PROSE


def test_no_number_is_left_unchecked():
    prose = " ".join(line for line in TEXT.splitlines() if not line.startswith("|"))
    prose = " ".join(prose.split())
    for sentence in SENTENCES:
        prose = prose.replace(sentence, "")
    assert re.findall(r"\S*\d\S*", prose) == []
