"""Keys that are the same in every run, domains that have them, and plans of small jobs."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from dask_verify.protocol.board import Plan
from dask_verify.protocol.domain import Domain, Identity
from dask_verify.protocol.policy import Policy
from dask_verify.testing.simulation.remembering import Keyring, KnownDomain


@lru_cache(maxsize=64)
def identity(name: str) -> Identity:
    """Return a key that is the same in every run.

    Parameters
    ----------
    name : str
        Name of the domain.

    Returns
    -------
    Identity
    """
    return Keyring(name, name.encode().ljust(32, b"."))


def enrol(
    *names: str, environment: Mapping[str, str] | None = None, remember: bool = False
) -> tuple[Domain, ...]:
    """Return domains with the keys of these names, in one environment.

    Parameters
    ----------
    names : str
    environment : mapping of str to str, optional
    remember : bool
        Whether they remember what has verified.

    Returns
    -------
    tuple of Domain
    """
    said = tuple((environment or {}).items())
    return tuple(_enrolled(name, said, remember) for name in names)


@lru_cache(maxsize=1024)
def _enrolled(name: str, environment: tuple[tuple[str, str], ...], remember: bool) -> Domain:
    kind = KnownDomain if remember else Domain
    return kind(name, identity(name).public_key, dict(environment))


def make_plan(
    *names: str,
    maps: int = 2,
    reduces: int = 2,
    domains: tuple[Domain, ...] = (),
    seed: bytes = b"s" * 32,
    unit_records: int | None = None,
    environment: Mapping[str, str] | None = None,
    **policy: Any,
) -> Plan:
    """Return the plan of a small job; what is not a parameter is one of the policy.

    Parameters
    ----------
    maps, reduces : int, optional
        Numbers of partitions.
    domains : tuple of Domain, optional
        The domains, where names do not do.
    seed : bytes, optional
        The secret seed.
    unit_records : int or None, optional
        Records in one unit; None for the default.
    environment : mapping of str to str or None, optional
        What all of them enrol.
    *names : str
        Names of the domains.
    **policy : object
        Arguments of the policy.

    Returns
    -------
    Plan
    """
    wanted = _policy(tuple(({"unit_records": unit_records or None} | policy).items()))
    enrolled, here = domains or enrol(*names), environment or {}
    shape = {"environment": here, "unit_records": unit_records, "seed": seed}
    return Plan(b"job", wanted, enrolled, maps, reduces, **shape)  # type: ignore[arg-type]


@lru_cache(maxsize=4096, typed=True)
def _policy(terms: tuple[tuple[str, Any], ...]) -> Policy:
    return Policy(**dict(terms))
