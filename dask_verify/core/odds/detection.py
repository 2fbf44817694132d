"""The chance that a sample meets a corrupt unit, drawn unit by unit or as a fixed number.

What this module guarantees: chances of escape and of detection are computed apart, each from the
logarithm of the chance of escape, so the small one of the two keeps all its digits.
"""

from __future__ import annotations

import math

from dask_verify.core.odds import arguments

#: Up to here factors are multiplied one by one, and from here on Stirling's series is exact:
#: the first term that it leaves out is below ``1 / (1260 * 4096**5)``.
_FACTORS = 4096

#: ``exp`` of anything below this is 0.
_NEVER = -800.0


def escape_probability(corrupt: int, rate: float) -> float:
    r"""Return the chance that none of the corrupt units is drawn, at a rate.

    Units are drawn independently, so it is :math:`(1 - p)^m`.

    Parameters
    ----------
    corrupt : int
        Corrupt units, ``m``.
    rate : float
        Chance ``p`` of each unit to be drawn.

    Returns
    -------
    float

    Raises
    ------
    InputError, PolicyError
        If the number is negative, or the rate is not from 0 to 1.

    Examples
    --------
    >>> f"{escape_probability(694, 0.001):.4f}"
    '0.4994'
    >>> f"{escape_probability(5000, 0.01):.1e}"
    '1.5e-22'
    """
    return math.exp(log_escape(corrupt, rate))


def catch_probability(corrupt: int, rate: float) -> float:
    r"""Return the chance that a corrupt unit is drawn, at a rate: :math:`1 - (1 - p)^m`.

    Parameters
    ----------
    corrupt : int
        Corrupt units, ``m``.
    rate : float
        Chance ``p`` of each unit to be drawn.

    Returns
    -------
    float

    Raises
    ------
    InputError, PolicyError
        If the number is negative, or the rate is not from 0 to 1.

    Examples
    --------
    >>> catch_probability(1, 1e-18)
    1e-18
    >>> f"{catch_probability(69, 0.01):.3f}"
    '0.500'
    """
    return abs(math.expm1(log_escape(corrupt, rate)))


def detection_probability(units: int, corrupt: int, sampled: int) -> float:
    r"""Return the chance that a sample of fixed size holds a corrupt unit.

    Drawn without replacement, the number of corrupt units in the sample is hypergeometric, so the
    chance is :math:`1 - \binom{N - m}{s} / \binom{N}{s}`: 1 as soon as the sample is larger
    than the number of sound units.

    Parameters
    ----------
    units : int
        Units in all, ``N``.
    corrupt : int
        Corrupt ones, ``m``.
    sampled : int
        Size of the sample, ``s``.

    Returns
    -------
    float

    Raises
    ------
    InputError
        If a number is negative, or ``corrupt`` or ``sampled`` exceeds ``units``.

    References
    ----------
    N. L. Johnson, A. W. Kemp, S. Kotz, *Univariate Discrete Distributions*, 3rd edition, 6.1.

    Examples
    --------
    >>> f"{detection_probability(100, 2, 10):.6f}"  # 1 - (90 * 89) / (100 * 99)
    '0.190909'
    >>> detection_probability(10**12, 1, 10**10)
    0.01
    >>> detection_probability(10, 3, 8)
    1.0
    """
    return abs(math.expm1(log_sample_escape(units, corrupt, sampled)))


def sample_escape_probability(units: int, corrupt: int, sampled: int) -> float:
    r"""Return the chance that a sample of fixed size misses every corrupt unit.

    It is :math:`\binom{N - m}{s} / \binom{N}{s}`, the rest of ``detection_probability``.

    Parameters
    ----------
    units, corrupt, sampled : int
        As in ``detection_probability``.

    Returns
    -------
    float

    Raises
    ------
    InputError
        If a number is negative, or ``corrupt`` or ``sampled`` exceeds ``units``.

    Examples
    --------
    >>> f"{sample_escape_probability(10**6, 5000, 10**4):.2e}"
    '1.32e-22'
    """
    return math.exp(log_sample_escape(units, corrupt, sampled))


def log_escape(corrupt: int, rate: float) -> float:
    """Return the logarithm of ``escape_probability``, minus infinity where that is 0.

    Parameters
    ----------
    corrupt : int
        Number of corrupt units.
    rate : float
        Chance of each unit to be drawn.

    Returns
    -------
    float
    """
    m, p = arguments.count("corrupt", corrupt), arguments.rate(rate)
    if p == 1:
        return -math.inf if m else 0.0
    return m * math.log1p(-p)


def log_sample_escape(units: int, corrupt: int, sampled: int) -> float:
    """Return the logarithm of ``sample_escape_probability``; far below zero, only a bound of it.

    Parameters
    ----------
    units : int
        Number of units.
    corrupt : int
        Number of corrupt units.
    sampled : int
        Number of units in the sample.

    Returns
    -------
    float
    """
    n = arguments.count("units", units)
    m = arguments.count("corrupt", corrupt, most=n)
    s = arguments.count("sampled", sampled, most=n)
    few, many = sorted((m, s))  # they may change places
    if few + many > n:
        return -math.inf
    if few <= _FACTORS:
        return math.fsum(_log_share_left(n - i, many) for i in range(few))
    bound = few * _log_share_left(n, many)  # each further factor is smaller
    return bound if bound < _NEVER else _log_by_stirling(n, m, s)


def _log_share_left(whole: int, taken: int) -> float:
    left = whole - taken  # below one half, log1p would magnify the rounding of its argument
    return math.log1p(-taken / whole) if 2 * left > whole else math.log(left / whole)


def _log_by_stirling(n: int, m: int, s: int) -> float:
    """Return ``log((n-m)! (n-s)! / (n! r!))`` with ``r = n - m - s``; all four are large.

    In ``log x! = x log x - x + log(2 pi x) / 2 + 1 / (12 x) - 1 / (360 x**3)`` the large parts
    cancel between the four. They are cancelled here by algebra, since floats would keep noise only.
    """
    r = n - m - s
    powers = [
        n * math.log1p(m * s / (n * r)),
        -m * math.log1p(s / r),
        -s * math.log1p(m / r),
    ]
    roots = math.log1p(m * s / (n * r)) / 2
    tails = [_tail(n - m), _tail(n - s), -_tail(n), -_tail(r)]
    return math.fsum([*powers, roots, *tails])


def _tail(x: int) -> float:
    return 1 / (12 * x) - 1 / (360 * x**3)
