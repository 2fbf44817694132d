"""The checks of arguments: what passes is an ``int`` or ``float`` in its range."""

from __future__ import annotations

import numbers
import sys
from typing import TypeGuard

from dask_verify.errors import InputError, PolicyError

#: Counts beyond this one are refused, so that every count has a float near it.
LARGEST_COUNT = 2**63 - 1


def count(name: str, value: object, least: int = 0, most: int = LARGEST_COUNT) -> int:
    """Return ``value`` as an int from ``least`` to ``most``, or raise ``InputError``.

    Parameters
    ----------
    name : str
        Name of the argument, for the error.
    value : object
        What was passed.
    least, most : int, optional
        The range.

    Returns
    -------
    int

    Raises
    ------
    InputError
        If it is not.

    Examples
    --------
    >>> count("corrupt", 11, most=10)
    Traceback (most recent call last):
        ...
    dask_verify.errors.InputError: corrupt: expected a whole number from 0 to 10, got 11
    """
    if _whole(value) and least <= value <= most:
        return int(value)
    top = "2**63 - 1" if most == LARGEST_COUNT else f"{most:,}"
    raise InputError(f"{name}: expected a whole number from {least} to {top}, got {_show(value)}")


def rate(value: object, name: str = "rate") -> float:
    """Return ``value`` as a float from 0 to 1, or raise ``PolicyError``.

    Parameters
    ----------
    value : object
        What was passed.
    name : str, optional
        Name of the argument, for the error.

    Returns
    -------
    float

    Raises
    ------
    PolicyError
        If it is not.

    Examples
    --------
    >>> rate(1.5)
    Traceback (most recent call last):
        ...
    dask_verify.errors.PolicyError: rate: expected a share from 0 to 1 (0.01 is 1 %), got 1.5
    """
    if _real(value) and 0 <= value <= 1:
        return float(value)
    raise PolicyError(f"{name}: expected a share from 0 to 1 (0.01 is 1 %), got {_show(value)}")


def confidence(value: object) -> float:
    """Return ``value`` as a float above 0 and below 1, or raise ``PolicyError``.

    Parameters
    ----------
    value : object
        What was passed.

    Returns
    -------
    float

    Raises
    ------
    PolicyError
        If it is not.

    Examples
    --------
    >>> confidence(1)
    Traceback (most recent call last):
        ...
    dask_verify.errors.PolicyError: confidence: expected a chance above 0 and below 1, got 1; ...
    """
    if _real(value) and 0 < value < 1 and 0 < float(value) < 1:  # not one that rounds to 1
        return float(value)
    raise PolicyError(
        f"confidence: expected a chance above 0 and below 1, got {_show(value)};"
        " a sample never gives certainty, so pass 0.99, say"
    )


def gain(value: object) -> float:
    """Return ``value`` as a finite float that is not negative, or raise ``InputError``.

    Parameters
    ----------
    value : object
        What was passed.

    Returns
    -------
    float

    Raises
    ------
    InputError
        If it is not.
    """
    if _real(value) and 0 <= value <= sys.float_info.max:
        return float(value)
    raise InputError(f"gain: expected a finite amount of at least 0, got {_show(value)}")


def crowd(domains: object, faults: object) -> tuple[int, int]:
    """Return the numbers of domains and of faulty ones, or raise ``PolicyError``.

    A single domain is audited by the coordinator, so it may be faulty itself; of several, one at
    least must be left to audit honestly.

    Parameters
    ----------
    domains, faults : object
        What was passed.

    Returns
    -------
    tuple of (int, int)

    Raises
    ------
    PolicyError
        If it is not.
    """
    try:
        d, f = count("domains", domains, 1), count("faults", faults)
    except InputError as error:
        raise PolicyError(str(error)) from None
    if f > max(1, d - 1):
        raise PolicyError(
            f"faults: expected at most {max(1, d - 1)} of {d} domains, got {f};"
            " somebody has to audit honestly, so add domains or lower faults"
        )
    return d, f


def _whole(value: object) -> TypeGuard[int]:
    return isinstance(value, numbers.Integral) and not isinstance(value, bool)


def _real(value: object) -> TypeGuard[float]:
    return isinstance(value, numbers.Real) and not isinstance(value, bool)


def _show(value: object) -> str:
    if isinstance(value, int) and value.bit_length() > 256:
        return f"an int of {value.bit_length()} bits"  # repr refuses the longest ones
    text = repr(value)
    return text if len(text) <= 100 else f"{text[:100]}..."
