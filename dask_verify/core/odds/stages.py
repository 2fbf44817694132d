"""The odds of a job, stage by stage, in units and in records, and in words.

What this module guarantees: the worst stage is the headline, for corruption packed into the fewest
units and with faulty auditors counted; a stage that promises nothing is never worded as a promise.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from dask_verify.core.odds import arguments
from dask_verify.core.odds.detection import catch_probability, log_escape
from dask_verify.core.odds.planning import (
    drawn_rate,
    effective_rate,
    required_rate,
    smallest_corruption,
)
from dask_verify.core.odds.wording import percent, round_up
from dask_verify.errors import InputError

#: What makes the units of a stage more, and smaller.
_SMALLER = {
    "read": "cut the input into at least {units:,} partitions",
    "map": "cut it into at least {units:,} units (a smaller unit_records{size})",
    "reduce": "cut it into at least {units:,} units (more buckets, or a larger npartitions)",
}


@dataclass(frozen=True)
class StageOdds:
    """What the audit of one stage notices.

    The figures are those of the draw: each unit by itself, at the effective rate. They were true
    before anything was drawn, and a unit that is drawn besides only improves them.

    Parameters
    ----------
    stage : {"read", "map", "reduce"}
        The units of ``read`` are partitions.
    units : int
        Units in all.
    records : int
        Records in all of them; 0 if that is unknown.
    rate : float
        Rate at which units were drawn.
    effective : float
        What faulty auditors leave of it (``effective_rate``).
    domains, faults : int
        Domains, and how many of them may be faulty.
    sampled : int, optional
        Units that were drawn.
    sizes : tuple of (int, int)
        How many records a unit has at most, and how many such units there are, the largest first;
        empty if all are taken as equally large. A cheat packs into the largest ones.

    Raises
    ------
    InputError, PolicyError
        If a value is out of range, or ``effective`` above ``rate``.

    Examples
    --------
    >>> odds = StageOdds.of("map", 10_000, 10_000_000, rate=0.01, domains=3, faults=1)
    >>> odds.smallest(0.99), odds.smallest_packed(0.99), f"{odds.detection(69):.2f}"
    (459, 458001, '0.50')
    """

    stage: str
    units: int
    records: int
    rate: float
    effective: float
    domains: int
    faults: int
    sampled: int | None = None
    sizes: tuple[tuple[int, int], ...] = ()

    def __post_init__(self) -> None:
        if self.stage not in _SMALLER:
            raise InputError(f"stage: expected 'read', 'map' or 'reduce', got {self.stage!r}")
        arguments.count("units", self.units)
        arguments.count("records", self.records)
        arguments.rate(self.rate)
        arguments.crowd(self.domains, self.faults)
        if self.sampled is not None:
            arguments.count("sampled", self.sampled, most=self.units)
        if arguments.rate(self.effective, "effective") > self.rate:
            raise InputError(
                f"effective: expected at most the rate {self.rate}, got {self.effective};"
                " pass effective_rate(rate, domains, faults)"
            )

    @classmethod
    def of(
        cls,
        stage: str,
        units: int,
        records: int,
        *,
        rate: float,
        domains: int,
        faults: int,
        sampled: int | None = None,
        sizes: tuple[tuple[int, int], ...] = (),
    ) -> StageOdds:
        """Return the odds of a stage, its effective rate worked out.

        Parameters
        ----------
        stage, units, records, rate, domains, faults, sampled, sizes
            As of the class.

        Returns
        -------
        StageOdds

        Examples
        --------
        >>> StageOdds.of("map", 1_000, 50_000, rate=0.01, domains=3, faults=1).effective
        0.01
        """
        effective = effective_rate(rate, domains, faults)
        return cls(stage, units, records, rate, effective, domains, faults, sampled, sizes)

    def holding(self, records: int) -> int:
        """Return into how few units so many records can be packed, ``units`` at most.

        Parameters
        ----------
        records : int

        Returns
        -------
        int

        Examples
        --------
        >>> odds = StageOdds.of("map", 1_000, 50_000, rate=0.01, domains=3, faults=1)
        >>> odds.holding(120)
        3
        """
        if not self.sizes:
            return min(self.units, -(-records * self.units // max(1, self.records)))
        taken = 0
        for size, number in self.sizes:
            if size <= 0 or records <= 0:
                break
            wanted = min(number, -(-records // size))
            taken, records = taken + wanted, records - wanted * size
        return min(self.units, taken)

    @property
    def one_unit(self) -> float:
        """Chance that a single corrupt unit is caught: the effective rate."""
        return self.effective

    def detection(self, corrupt_units: int) -> float:
        """Return the chance that corrupt units are caught.

        Parameters
        ----------
        corrupt_units : int
            From 0 to ``units``.

        Returns
        -------
        float

        Examples
        --------
        >>> odds = StageOdds.of("map", 1_000, 50_000, rate=0.01, domains=3, faults=1)
        >>> f"{odds.detection(1):.3f} {odds.detection(500):.3f}"
        '0.010 0.993'
        """
        m = arguments.count("corrupt_units", corrupt_units, most=self.units)
        return catch_probability(m, self.effective)

    def smallest(self, confidence: float) -> int | None:
        """Return the fewest corrupt units that are caught with a confidence.

        Parameters
        ----------
        confidence : float

        Returns
        -------
        int or None
            ``None`` if the stage could be corrupt as a whole with a better chance to escape.

        Examples
        --------
        >>> crowd = {"rate": 0.01, "domains": 3, "faults": 1}
        >>> StageOdds.of("map", 1_000, 50_000, **crowd).smallest(0.99)
        459
        >>> StageOdds.of("map", 100, 50_000, **crowd).smallest(0.99) is None
        True
        """
        fewest = smallest_corruption(self.effective, confidence)
        return None if fewest is None or fewest > self.units else fewest

    def smallest_spread(self, confidence: float) -> int | None:
        """Return the fewest corrupt records that are caught, each in a unit of its own.

        Parameters
        ----------
        confidence : float

        Returns
        -------
        int or None
            ``None`` if no number of records is, or the records are not known.

        Examples
        --------
        >>> odds = StageOdds.of("map", 1_000, 50_000, rate=0.01, domains=3, faults=1)
        >>> odds.smallest_spread(0.99)
        459
        """
        fewest = self.smallest(confidence)
        return None if fewest is None or fewest > self.records else fewest

    def smallest_packed(self, confidence: float) -> int | None:
        """Return the fewest corrupt records that are caught, packed into the fewest units.

        All units but the last of ``smallest`` are full then, and they are the largest ones.

        Parameters
        ----------
        confidence : float

        Returns
        -------
        int or None
            ``None`` if no number of records is, or the records are not known.

        Examples
        --------
        >>> odds = StageOdds.of("map", 1_000, 50_000, rate=0.01, domains=3, faults=1)
        >>> odds.smallest_packed(0.99)
        22901
        """
        fewest = self.smallest_spread(confidence)
        if fewest is None:
            return None
        if not self.sizes:
            return (fewest - 1) * max(self.records, self.units) // self.units + 1
        packed = self._packed(fewest - 1) + 1
        return packed if packed <= self.records else None

    def _packed(self, units: int) -> int:
        """Return how many records the largest units have."""
        total = 0
        for size, number in self.sizes:
            taken = min(number, units)
            total, units = total + taken * size, units - taken
        return min(total, self.records)

    def describe(self, confidence: float) -> str:
        """Return one sentence on what is caught with a confidence, and what is not.

        Parameters
        ----------
        confidence : float

        Returns
        -------
        str

        Examples
        --------
        >>> odds = StageOdds.of("map", 1_000, 50_000, rate=0.01, domains=3, faults=0)
        >>> odds.describe(0.99).partition(";")[0]
        'map: corrupting 459 of 1,000 units (packed: 22,901 records) is caught with 99 %'
        """
        if not self.units:
            return f"{self.stage}: there is nothing to corrupt"
        if not self.effective:
            return f"{self.stage}: nothing is audited, so no corruption is caught"
        single = f"a single corrupt unit with {percent(self.one_unit)}"
        fewest, packed = self.smallest(confidence), self.smallest_packed(confidence)
        if fewest is None:
            whole = percent(self.detection(self.units))
            return (
                f"{self.stage}: even corrupting all of its {self.units:,} units is caught with"
                f" {whole} only, not with {percent(confidence)}; {single}"
            )
        if packed is None and self.sizes and self.records:
            largest = self.holding(self.records)
            return (
                f"{self.stage}: its {largest:,} largest units can hold all {self.records:,}"
                f" records, and corrupting those is caught with {percent(self.detection(largest))}"
                f" only, not with {percent(confidence)}; {single}"
            )
        records = "" if packed is None else f" (packed: {packed:,} records)"
        return (
            f"{self.stage}: corrupting {fewest:,} of {self.units:,} units{records} is caught with"
            f" {percent(confidence)}; {single}"
        )

    def advice(self, confidence: float) -> str:
        """Return what to change where half of the units may be corrupt and not be caught.

        Parameters
        ----------
        confidence : float

        Returns
        -------
        str
            Empty if corrupting half of the units is caught with the confidence.

        Examples
        --------
        >>> crowd = {"rate": 0.01, "domains": 3, "faults": 1}
        >>> StageOdds.of("map", 10_000, 50_000, **crowd).advice(0.99)
        ''
        >>> print(StageOdds.of("map", 100, 50_000, **crowd).advice(0.99)[:70] + "...")
        map: 100 units are too few to promise anything at a rate of 0.01: corr...
        """
        half = self._half()
        needed = smallest_corruption(self.effective, confidence)
        if not self.units or (needed is not None and needed <= half):
            return ""
        if not self.effective:
            return f"{self.stage}: nothing is audited; raise the audit rate above 0."
        ways = [] if needed is None else [self._smaller(2 * needed)]
        rate = drawn_rate(required_rate(self.units, half, confidence), self.domains, self.faults)
        ways += [] if rate is None else [f"raise the audit rate to {round_up(rate):g}"]
        if not ways:
            ways = ["raise the audit rate as far as you can, and cut the stage into more units"]
        return (
            f"{self.stage}: {self.units:,} units are too few to promise anything at a rate of"
            f" {self.rate:g}: corrupting {self._half_named(half)} is caught with"
            f" {percent(self.detection(half))} only; {', or '.join(ways)}."
        )

    def _half(self) -> int:
        """Return how few units can hold half of the records, or are half of the units."""
        half = (self.units + 1) // 2
        return (
            min(half, self.holding((self.records + 1) // 2))
            if self.sizes and self.records
            else half
        )

    def _half_named(self, half: int) -> str:
        even = not self.sizes or half == (self.units + 1) // 2
        return "half of them" if even else f"half of the records, in {half:,} of them,"

    def _smaller(self, units: int) -> str:
        size = self.records // units
        return _SMALLER[self.stage].format(units=units, size=f", {size:,} at most" if size else "")

    def to_dict(self, confidence: float) -> dict[str, Any]:
        """Return the fields and the figures at a confidence, all fit for JSON.

        Parameters
        ----------
        confidence : float

        Returns
        -------
        dict of str to object

        Examples
        --------
        >>> odds = StageOdds.of("map", 1_000, 50_000, rate=0.01, domains=3, faults=1)
        >>> found = odds.to_dict(0.99)
        >>> found["one_unit"], found["smallest_units"]
        (0.01, 459)
        """
        fields = asdict(self)
        del fields["sizes"]
        return {
            **fields,
            "largest_unit_records": self.sizes[0][0] if self.sizes else None,
            "one_unit": self.one_unit,
            "smallest_units": self.smallest(confidence),
            "smallest_records_spread": self.smallest_spread(confidence),
            "smallest_records_packed": self.smallest_packed(confidence),
        }


@dataclass(frozen=True)
class Odds:
    """What the audits of a job notice.

    Parameters
    ----------
    stages : tuple of StageOdds
    confidence : float
        The confidence at which corruption counts as caught.

    Raises
    ------
    InputError, PolicyError
        If ``stages`` holds anything else, or ``confidence`` is out of range.

    Examples
    --------
    >>> crowd = {"rate": 0.01, "domains": 3, "faults": 1}
    >>> read = StageOdds.of("read", 80, 8_000_000, **crowd)
    >>> job = Odds((read, StageOdds.of("map", 8_000, 8_000_000, **crowd)))
    >>> print(job.headline)  # doctest: +NORMALIZE_WHITESPACE
    read: even corrupting all of its 80 units is caught with 55.2 % only, not with 99 %; a single
    corrupt unit with 1 %
    """

    stages: tuple[StageOdds, ...]
    confidence: float = 0.99

    def __post_init__(self) -> None:
        arguments.confidence(self.confidence)
        if not isinstance(self.stages, tuple):
            raise InputError(f"stages: expected a tuple of StageOdds, got {self.stages!r:.100}")
        for stage in self.stages:
            if not isinstance(stage, StageOdds):
                raise InputError(f"stages: expected StageOdds only, got {stage!r:.100}")

    @property
    def worst(self) -> StageOdds | None:
        """The stage where the same share of corrupt units is least likely to be caught.

        A share ``x`` of ``N`` units escapes with ``(1 - p) ** (x * N)``, so the order of stages is
        the same for every ``x``, and that of ``N * log(1 - p)``. Packed corruption of the same
        share of records fills that share of the units, or less where some are larger: then, ``N``
        is the number of units that can hold half of the records, twice. Stages without units
        cannot be corrupted and do not count; ``None`` if no other is there. Of equals, the first.
        """
        return max(
            (stage for stage in self.stages if stage.units),
            key=lambda stage: log_escape(min(stage.units, 2 * stage._half()), stage.effective),
            default=None,
        )

    @property
    def headline(self) -> str:
        """One sentence on the worst stage."""
        if self.worst is None:
            return "there is nothing to corrupt"
        return self.worst.describe(self.confidence)

    @property
    def advice(self) -> str:
        """What to change, for each stage that has too few units; empty if none has."""
        return " ".join(filter(None, (stage.advice(self.confidence) for stage in self.stages)))

    def to_dict(self) -> dict[str, Any]:
        """Return everything above, all of it fit for JSON.

        Returns
        -------
        dict of str to object

        Examples
        --------
        >>> map_odds = StageOdds.of("map", 1_000, 50_000, rate=0.01, domains=3, faults=1)
        >>> Odds((map_odds,)).to_dict()["worst"]
        'map'
        """
        return {
            "confidence": self.confidence,
            "stages": [stage.to_dict(self.confidence) for stage in self.stages],
            "worst": self.worst.stage if self.worst else None,
            "headline": self.headline,
            "advice": self.advice,
        }
