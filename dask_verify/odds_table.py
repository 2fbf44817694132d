"""What ``dask verify odds`` prints: the figures as plain values, and as text.

What this module guarantees: the text is made of the figures in the JSON, and the JSON is valid:
what is infinite or cannot be had is ``null``.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from dask_verify.core import odds
from dask_verify.errors import InputError

RECORDS = 10_000_000_000  #: of the article's example
RATES = (0.001, 0.01)
CORRUPT = (1, 10, 69, 100, 230, 459, 500, 694, 5_000, 1_000_000)
LAYOUTS = ("packed", "spread")


@dataclass(frozen=True)
class Question:
    """What is asked. Without corruption a list of sizes is answered, else only that one.

    Parameters
    ----------
    units : int, optional
        Units in all; default: as many as ten billion records fill.
    unit_records : int
        Records in one unit.
    corrupt_units, corrupt_records : int, optional
        What is corrupt; not both.
    layouts : tuple of {"packed", "spread"}
        How corrupt records lie.
    rates : tuple of float
        Audit rates; if empty, those of the article, or the one that the corruption requires.
    confidence : float
        When corruption counts as caught.
    domains, faults : int
        Whose audits faulty domains cover; one domain, audited by the coordinator, by default.
    gain : float, optional
        What cheating on one unit brings.
    """

    units: int | None = None
    unit_records: int = 1
    corrupt_units: int | None = None
    corrupt_records: int | None = None
    layouts: tuple[str, ...] = LAYOUTS
    rates: tuple[float, ...] = ()
    confidence: float = 0.99
    domains: int = 1
    faults: int = 1
    gain: float | None = None


def answer(question: Question) -> dict[str, Any]:
    """Return every figure, fit for JSON.

    Parameters
    ----------
    question : Question

    Returns
    -------
    dict

    Raises
    ------
    InputError, PolicyError
        If a value is out of range, or values contradict each other.

    Examples
    --------
    >>> figures = answer(Question(corrupt_units=459))
    >>> [f"{row['rate']:.4f}" for row in figures["required"]]
    ['0.0100']
    """
    q, units = question, _units(question)
    rows = list(_corruptions(q, units))
    asked = q.corrupt_units is not None or q.corrupt_records is not None
    drawn = q.rates or (() if asked else RATES)
    rates = [_rate(q, units, rate) for rate in drawn]
    return {
        "units": units,
        "unit_records": q.unit_records,
        "records": units * q.unit_records,
        "confidence": q.confidence,
        "domains": q.domains,
        "faults": q.faults,
        "rates": rates,
        "corruption": [row | {"odds": _odds(row, rates)} for row in rows],
        "required": [_required(row, q, units) for row in rows] if asked and not q.rates else [],
    }


def as_text(figures: dict[str, Any]) -> str:
    """Return the figures as people read them.

    Parameters
    ----------
    figures : dict of str to object
        The figures, as they were computed.

    Returns
    -------
    str
    """
    parts = [_head(figures), _table(figures), _catches(figures), _needs(figures), _fines(figures)]
    return "\n\n".join("\n".join(part) for part in map(list, parts) if part)


# --- the figures ------------------------------------------------------------------------------


def _units(q: Question) -> int:
    if q.unit_records < 1:
        raise InputError(f"unit_records: expected at least 1 record, got {q.unit_records}")
    if q.units is None:
        return -(-RECORDS // q.unit_records)
    if q.units < 1:
        raise InputError(f"units: expected at least 1 unit, got {q.units}")
    return q.units


def _corruptions(q: Question, units: int) -> Iterator[dict[str, Any]]:
    """Yield what is corrupt: records in each layout, or units."""
    if q.corrupt_units is not None and q.corrupt_records is not None:
        raise InputError("corruption: expected units or records, got both; name one of them")
    if q.corrupt_units is not None:
        if not 0 <= q.corrupt_units <= units:
            raise InputError(
                f"corrupt units: expected from 0 to all {units:,} units, got {q.corrupt_units:,}"
            )
        yield {"records": None, "layout": None, "units": q.corrupt_units}
        return
    given = (q.corrupt_records,) if q.corrupt_records is not None else CORRUPT
    for records in given:
        if q.corrupt_records is None and records > units * q.unit_records:
            continue
        for layout in q.layouts if q.unit_records > 1 else q.layouts[:1]:
            held = odds.corrupt_units(records, q.unit_records, layout, units)
            yield {"records": records, "layout": layout, "units": held}


def _rate(q: Question, units: int, rate: float) -> dict[str, Any]:
    stage = odds.StageOdds.of(
        "map", units, units * q.unit_records, rate=rate, domains=q.domains, faults=q.faults
    )
    fine = None if q.gain is None else odds.penalty(q.gain, stage.effective)
    return {
        "rate": rate,
        "effective": stage.effective,
        "one_unit": stage.one_unit,
        "smallest_units": stage.smallest(q.confidence),
        "smallest_records_spread": stage.smallest_spread(q.confidence),
        "smallest_records_packed": stage.smallest_packed(q.confidence),
        "gain": q.gain,
        "penalty_per_unit": _finite(fine),
    }


def _odds(row: dict[str, Any], rates: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [
        {
            "rate": rate["rate"],
            "escape": odds.escape_probability(row["units"], rate["effective"]),
            "detection": odds.catch_probability(row["units"], rate["effective"]),
        }
        for rate in rates
    ]


def _required(row: dict[str, Any], q: Question, units: int) -> dict[str, Any]:
    effective = odds.required_rate(units, row["units"], q.confidence)
    rate = odds.drawn_rate(effective, q.domains, q.faults)
    return {
        "layout": row["layout"],
        "units": row["units"],
        "rate": rate,
        "effective": effective,
        "sample": odds.required_sample(units, row["units"], q.confidence),
        "gain": q.gain,
        "penalty_per_unit": None if q.gain is None else _finite(odds.penalty(q.gain, effective)),
    }


def _finite(value: float | None) -> float | None:
    return None if value is None or math.isinf(value) else value


# --- the words --------------------------------------------------------------------------------


def _head(figures: dict[str, Any]) -> Iterator[str]:
    size = figures["unit_records"]
    each = "one record each" if size == 1 else f"{size:,} records each"
    yield f"{figures['units']:,} units of {each}: {figures['records']:,} records"
    if figures["domains"] > 1:
        yield f"{figures['faults']:,} of {figures['domains']:,} domains faulty"


def _table(figures: dict[str, Any]) -> Iterator[str]:
    if not figures["rates"]:
        return
    yield "Chance that corruption escapes"
    shares = [f"at {odds.percent(rate['rate'])}" for rate in figures["rates"]]
    lines = [["records", "layout", "units", *shares]]
    for row in figures["corruption"]:
        records = "" if row["records"] is None else f"{row['records']:,}"
        escapes = [_escape(one, row["units"]) for one in row["odds"]]
        lines.append([records, row["layout"] or "", f"{row['units']:,}", *escapes])
    if figures["unit_records"] == 1:  # a record is a unit: say it once
        lines = [["records", *shares], *(line[2:] for line in lines[1:])]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for line in lines:
        yield "  " + "   ".join(map(str.rjust, line, widths))


def _escape(one: dict[str, Any], corrupt: int) -> str:
    if one["escape"] == 0 and one["rate"] < 1 and corrupt:
        return "under 1e-300 %"  # too small for a float, but not impossible
    return odds.percent(one["escape"])


def _catches(figures: dict[str, Any]) -> Iterator[str]:
    for rate in figures["rates"]:
        yield f"At {odds.percent(rate['rate'])}{_left(rate)}:"
        yield f"  a single corrupt unit has a {odds.percent(rate['one_unit'])} chance to be caught"
        yield f"  {_smallest(rate, figures)}"


def _left(rate: dict[str, Any]) -> str:
    if rate["effective"] == rate["rate"]:
        return ""
    return f", of which faulty auditors leave {odds.percent(rate['effective'])}"


def _smallest(rate: dict[str, Any], figures: dict[str, Any]) -> str:
    sure = odds.percent(figures["confidence"])
    if rate["smallest_units"] is None:
        return f"no corruption is caught with {sure}, however large"
    many = rate["smallest_units"] != 1
    units = f"{_corrupt(rate['smallest_units'])} {'are' if many else 'is'} caught with {sure}"
    if figures["unit_records"] == 1:
        return units
    packed, spread = rate["smallest_records_packed"], rate["smallest_records_spread"]
    return f"{units} (records: {packed:,} packed, {spread:,} spread)"


def _needs(figures: dict[str, Any]) -> Iterator[str]:
    sure = figures["confidence"]
    for row in figures["required"]:
        layout = f" ({row['layout']})" if row["layout"] and figures["unit_records"] > 1 else ""
        yield f"To catch {_corrupt(row['units'])}{layout} with {odds.percent(sure)}:"
        if row["rate"] is None:
            yield "  no rate is enough: faulty auditors cover for too much"
        else:
            yield f"  audit at a rate of {odds.round_up(row['rate']):g}"
        yield f"  or audit {row['sample']:,} units, drawn together, by honest auditors"


def _corrupt(units: int) -> str:
    return f"{units:,} corrupt unit" + ("" if units == 1 else "s")


def _fines(figures: dict[str, Any]) -> Iterator[str]:
    for row in [*figures["rates"], *figures["required"]]:
        if row["gain"] is None or row["rate"] is None:
            continue
        fine = row["penalty_per_unit"]
        yield f"At {odds.percent(row['rate'])} a gain of {row['gain']:g} a unit is deterred by " + (
            "no fine: nothing is caught" if fine is None else f"a fine of {fine:.6g} a corrupt unit"
        )
