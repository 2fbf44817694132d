"""Chances and rates as people read them, never rounded to a promise that they do not keep."""

from __future__ import annotations

from decimal import ROUND_CEILING, Context
from fractions import Fraction


def percent(chance: float) -> str:
    """Return a chance in percent with three digits; only certainty reads as 100 %.

    Parameters
    ----------
    chance : float
        The chance, from 0 to 1.

    Returns
    -------
    str

    Examples
    --------
    >>> percent(0.01), percent(0.999999), percent(1.5e-22), percent(1)
    ('1 %', '99.9999 %', '1.5e-20 %', '100 %')
    """
    exact = Fraction(chance) * 100
    if exact in (0, 100):
        return f"{int(exact)} %"
    texts = (f"{float(exact):.{digits}g}" for digits in range(3, 17))
    return next((text for text in texts if text != "100"), "99.99999999999999") + " %"


def round_up(rate: float) -> float:
    """Return a rate with three digits that is no smaller.

    Parameters
    ----------
    rate : float
        The rate, from 0 to 1.

    Returns
    -------
    float

    Examples
    --------
    >>> round_up(0.12345), round_up(0.5), round_up(0.9999)
    (0.124, 0.5, 1.0)
    """
    return float(Context(prec=3, rounding=ROUND_CEILING).create_decimal_from_float(rate))
