"""How much to sample, what a sample is good for, and what makes cheating unprofitable.

What this module guarantees: a rate or a sample that is returned for a confidence reaches it, and a
smallest number is the smallest: one fewer fails. Where nothing reaches it the answer is ``None``.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Literal

from dask_verify.core.odds import arguments
from dask_verify.core.odds.detection import catch_probability, log_escape, log_sample_escape
from dask_verify.errors import InputError

#: How corrupt records lie: each in a unit of its own, or in the fewest units.
Layout = Literal["spread", "packed"]


def required_rate(units: int, corrupt: int, confidence: float) -> float:
    r"""Return the rate at which corrupt units are caught with a confidence.

    Each unit is drawn independently, so it is :math:`1 - (1 - c)^{1/m}`, whatever ``units``.

    Parameters
    ----------
    units : int
        Units in all.
    corrupt : int
        Corrupt ones, ``m``; at least 1.
    confidence : float
        Chance ``c`` to catch them, above 0 and below 1.

    Returns
    -------
    float
        Never below what is needed, and above it by rounding only.

    Raises
    ------
    InputError, PolicyError
        If ``corrupt`` is not from 1 to ``units``, or ``confidence`` not a chance.

    Examples
    --------
    >>> f"{required_rate(1_000_000, 459, 0.99):.5f}"
    '0.00998'
    """
    n = arguments.count("units", units, 1)
    m, allowed = arguments.count("corrupt", corrupt, 1, n), _allowed(confidence)
    rate = min(1.0, -math.expm1(allowed / m))
    while log_escape(m, rate) > allowed:  # rounding: a step or two
        rate = math.nextafter(rate, 1.0)
    return rate


def required_sample(units: int, corrupt: int, confidence: float) -> int:
    """Return the smallest sample of fixed size that catches corrupt units with a confidence.

    The smallest ``s`` whose ``detection_probability(units, corrupt, s)`` is the confidence or more,
    found by bisection.

    Parameters
    ----------
    units : int
        Units in all.
    corrupt : int
        Corrupt ones; at least 1.
    confidence : float
        Chance to catch them, above 0 and below 1.

    Returns
    -------
    int

    Raises
    ------
    InputError, PolicyError
        If ``corrupt`` is not from 1 to ``units``, or ``confidence`` not a chance.

    Examples
    --------
    >>> required_sample(100, 1, 0.99), required_sample(10**10, 10**6, 0.99)
    (99, 46050)
    """
    n = arguments.count("units", units, 1)
    m, allowed = arguments.count("corrupt", corrupt, 1, n), _allowed(confidence)
    return _first(n - m + 1, lambda s: log_sample_escape(n, m, s) <= allowed)


def smallest_corruption(rate: float, confidence: float) -> int | None:
    r"""Return the fewest corrupt units that a rate catches with a confidence.

    The smallest ``m`` with :math:`1 - (1 - p)^m \ge c`, so :math:`\lceil \log(1 - c) / \log(1 - p)
    \rceil`. Fewer escape more easily than that.

    Parameters
    ----------
    rate : float
        Chance ``p`` of each unit to be drawn.
    confidence : float
        Chance ``c`` to catch them, above 0 and below 1.

    Returns
    -------
    int or None
        ``None`` where no number up to ``2**63 - 1`` is caught: at rate 0, above all.

    Raises
    ------
    PolicyError
        If ``rate`` or ``confidence`` is out of range.

    Examples
    --------
    >>> smallest_corruption(0.01, 0.99), smallest_corruption(0.001, 0.99)
    (459, 4603)
    >>> smallest_corruption(0, 0.99) is None
    True
    """
    p, allowed = arguments.rate(rate), _allowed(confidence)
    most = arguments.LARGEST_COUNT
    if log_escape(most, p) > allowed:
        return None
    return _first(most, lambda m: log_escape(m, p) <= allowed)


def smallest_corruption_of_sample(units: int, sampled: int, confidence: float) -> int | None:
    """Return the fewest corrupt units that a sample of fixed size catches with a confidence.

    The smallest ``m`` whose ``detection_probability(units, m, sampled)`` is the confidence or more,
    found by bisection.

    Parameters
    ----------
    units : int
        Units in all.
    sampled : int
        Size of the sample.
    confidence : float
        Chance to catch them, above 0 and below 1.

    Returns
    -------
    int or None
        ``None`` for an empty sample, which catches nothing.

    Raises
    ------
    InputError, PolicyError
        If ``sampled`` exceeds ``units``, or ``confidence`` is not a chance.

    Examples
    --------
    >>> smallest_corruption_of_sample(10**10, 10**8, 0.99)
    459
    >>> smallest_corruption_of_sample(1000, 10, 0.99)
    368
    """
    n, allowed = arguments.count("units", units), _allowed(confidence)
    s = arguments.count("sampled", sampled, most=n)
    if s == 0:
        return None
    return _first(n - s + 1, lambda m: log_sample_escape(n, m, s) <= allowed)


def effective_rate(rate: float, domains: int, faults: int) -> float:
    r"""Return the rate that is left when faulty auditors cover for faulty domains.

    Of the :math:`D - 1` domains that may audit a faulty one, :math:`D - f` are honest, so it is
    :math:`p (D - f) / (D - 1)`. With one domain the coordinator, which is trusted, audits, and with
    no faulty one nobody covers: the rate stays as it is.

    What it gives is the chance of one unit. Units with the same auditor share its honesty: corrupt
    units that all meet one auditor are caught with a chance of at most
    :math:`(D - f) / (D - 1)`, however many they are.

    Parameters
    ----------
    rate : float
        Rate ``p`` at which units are drawn.
    domains, faults : int
        Domains ``D``, and how many of them are faulty, ``f``.

    Returns
    -------
    float

    Raises
    ------
    PolicyError
        If the rate is out of range, or no domain is left to audit honestly.

    Examples
    --------
    >>> effective_rate(0.01, 5, 1), effective_rate(0.01, 5, 2), effective_rate(0.01, 1, 1)
    (0.01, 0.0075, 0.01)
    """
    return arguments.rate(rate) * _honest_share(domains, faults)


def drawn_rate(effective: float, domains: int, faults: int) -> float | None:
    """Return the rate to draw at, so that ``effective_rate`` of it is as wanted.

    Parameters
    ----------
    effective : float
        Rate that has to be left.
    domains, faults : int
        Domains, and how many of them are faulty.

    Returns
    -------
    float or None
        ``None`` where even auditing everything leaves less.

    Raises
    ------
    PolicyError
        If the rate is out of range, or no domain is left to audit honestly.

    Examples
    --------
    >>> drawn_rate(0.0075, 5, 2)
    0.01
    >>> drawn_rate(0.9, 5, 2) is None
    True
    """
    share = _honest_share(domains, faults)
    drawn = arguments.rate(effective, "effective") / share
    while drawn * share < effective:  # rounding: a step or two
        drawn = math.nextafter(drawn, math.inf)
    return drawn if drawn <= 1 else None


def penalty(gain: float, rate: float, corrupt: int = 1) -> float:
    r"""Return the fine, once caught, that makes cheating unprofitable.

    Cheating on ``m`` units brings ``g`` each, caught or not (the work was saved either way), and
    costs the fine ``F`` with the chance of being caught. So :math:`m g - F (1 - (1 - p)^m) \le 0`,
    and :math:`F = m g / (1 - (1 - p)^m)`. A cheat who loses the gain too when caught needs
    ``m g`` less. It grows with ``m``: a fine for each corrupt *unit* has to be
    ``penalty(gain, rate)``, which covers any number.

    Parameters
    ----------
    gain : float
        What cheating on one unit brings, ``g``; at least 0.
    rate : float
        Rate ``p`` at which units are drawn, effectively.
    corrupt : int
        Units that are cheated on, ``m``; at least 1.

    Returns
    -------
    float
        Infinite at rate 0, unless there is nothing to gain.

    Raises
    ------
    InputError, PolicyError
        If an argument is out of range.

    References
    ----------
    G. S. Becker, "Crime and Punishment: An Economic Approach", *Journal of Political Economy* 76
    (1968): the fine that deters is the gain over the chance of being caught.

    Examples
    --------
    >>> penalty(2.0, 0.01), penalty(1.0, 0)
    (200.0, inf)
    """
    g, m = arguments.gain(gain), arguments.count("corrupt", corrupt, 1)
    caught = catch_probability(m, rate)
    if g == 0:
        return 0.0
    return m * g / caught if caught else math.inf


def corrupt_units(records: int, unit_records: int, layout: str, units: int | None = None) -> int:
    """Return how many units hold corrupt records.

    Parameters
    ----------
    records : int
        Corrupt records.
    unit_records : int
        Records in one unit.
    layout : {"spread", "packed"}
        Each record in a unit of its own, as far as there are ``units``, or all in the fewest.
    units : int, optional
        Units in all; unlimited by default.

    Returns
    -------
    int

    Raises
    ------
    InputError
        If an argument is out of range, or the records do not fit in the units.

    Examples
    --------
    >>> corrupt_units(1500, 1000, "spread"), corrupt_units(1500, 1000, "packed")
    (1500, 2)
    >>> corrupt_units(1500, 1000, "spread", units=100)
    100
    """
    r = arguments.count("records", records)
    size = arguments.count("unit_records", unit_records, 1)
    n = r if units is None else arguments.count("units", units)
    fewest = -(-r // size)
    if fewest > n:
        raise InputError(
            f"records: expected at most {n * size:,}, which is what {n:,} units of {size:,} hold,"
            f" got {r:,}; corrupt fewer, or raise units or unit_records"
        )
    if layout not in ("spread", "packed"):
        raise InputError(f"layout: expected 'spread' or 'packed', got {layout!r}")
    return fewest if layout == "packed" else min(r, n)


def _allowed(confidence: float) -> float:
    """Return the logarithm of the chance of escape that a confidence allows."""
    return math.log1p(-arguments.confidence(confidence))


def _honest_share(domains: int, faults: int) -> float:
    d, f = arguments.crowd(domains, faults)
    return 1.0 if d == 1 or f == 0 else (d - f) / (d - 1)


def _first(most: int, enough: Callable[[int], bool]) -> int:
    """Return the smallest of ``1 .. most`` that is enough, where ``most`` is."""
    low, high = 1, most
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle + 1, high)
    return low
