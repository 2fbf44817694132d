"""What `LocalDomainCluster` checks before it starts anything, and says if that fails."""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from dask_verify.errors import InputError, TrustError, one_of
from dask_verify.evidence.enrolment.texts import name_flaw

_HOOKS = ("read_input", "map_output", "reduce_output", "commit", "serve", "audit", "delay")


def checked_names(domains: Sequence[str], saboteurs: Mapping[str, Any]) -> list[str]:
    """Return the names of the domains, each usable and each once, with saboteurs for none else.

    Parameters
    ----------
    domains : sequence of str
        Names of the domains.
    saboteurs : mapping of str to object
        Saboteurs by the domain that each is put into.

    Returns
    -------
    list of str

    Raises
    ------
    InputError
        If it cannot be so.
    """
    if isinstance(domains, str) or not isinstance(domains, Sequence):
        raise InputError(f"expected a list of domain names, got {domains!r}")
    names = list(domains)
    if not names:
        raise InputError("no domain given: name at least one, such as ['alice', 'bob']")
    bad = [name for name in names if not isinstance(name, str) or not name]
    if bad:
        raise InputError(f"a domain name is a non-empty string, got {bad[0]!r}")
    for name in names:
        # As in the trust file: what cannot be enrolled later is not rehearsed.
        if flaw := name_flaw(name):
            raise InputError(str(TrustError("name", *flaw)))
    if len(set(names)) < len(names):
        raise InputError(f"domain names must differ, got {names}")
    unknown = sorted(set(saboteurs) - set(names), key=str)
    if unknown:
        raise InputError(f"saboteur for {unknown[0]!r}, but the domains are {one_of(names)}")
    return names


def check_saboteur(domain: str, saboteur: Any) -> None:
    """Refuse what is no saboteur: it would fail in a worker, in the middle of a job.

    Parameters
    ----------
    domain : str
        Name of the domain that it is put into, for the error.
    saboteur : object
        What was passed.

    Raises
    ------
    InputError
        If it cannot be so.

    Examples
    --------
    >>> check_saboteur("bob", 3)  # doctest: +ELLIPSIS
    Traceback (most recent call last):
        ...
    dask_verify.errors.InputError: saboteur of 'bob': expected a Saboteur or None, got int 3; ...
    """
    if isinstance(saboteur, type):
        raise InputError(
            f"saboteur of {domain!r}: expected an instance, got the class; write"
            f" {saboteur.__name__}()"
        )
    # The base class is in a layer above: known by all that workers call of it.
    if saboteur is not None and not all(callable(getattr(saboteur, hook, None)) for hook in _HOOKS):
        raise InputError(
            f"saboteur of {domain!r}: expected a Saboteur or None, got"
            f" {type(saboteur).__name__} {saboteur!r:.80}; take one of dask_verify.testing, or"
            " subclass its Saboteur"
        )


def check_count(what: str, count: int) -> None:
    """Refuse what is no number of at least one.

    Parameters
    ----------
    what : str
        Name of the argument, for the error.
    count : int
        What was passed.

    Raises
    ------
    InputError
        If it cannot be so.
    """
    if not isinstance(count, int) or isinstance(count, bool) or count < 1:
        raise InputError(f"{what} is a number of at least 1, got {count!r}")


def check_not_spawned() -> None:
    """Refuse to start a cluster in a worker process that imports the user's script.

    Raises
    ------
    InputError
        If it cannot be so.
    """
    if getattr(multiprocessing.current_process(), "_inheriting", False):
        raise InputError(
            "a worker process imported this script and tried to start a cluster itself: "
            'put the code that starts it under `if __name__ == "__main__":`'
        )


def first_cause(error: BaseException) -> str:
    """Return what an error goes back to, of which others only say that it failed.

    Parameters
    ----------
    error : BaseException
        The last one of the chain.

    Returns
    -------
    str

    Examples
    --------
    >>> error = RuntimeError("failed to start")
    >>> error.__cause__ = OSError("no port left")
    >>> first_cause(error)
    'OSError: no port left'
    """
    while error.__cause__ is not None:
        error = error.__cause__
    return f"{type(error).__name__}: {error!s:.500}"


@contextmanager
def starting(names: Sequence[str]) -> Iterator[None]:
    """Say in one line, for a shell, why domains do not start on this machine.

    Parameters
    ----------
    names : sequence of str
        Which domains.

    Yields
    ------
    None

    Raises
    ------
    OSError
        If a cluster cannot be started within.

    Examples
    --------
    >>> with starting(["alice"]):
    ...     raise RuntimeError("no port left")  # doctest: +ELLIPSIS
    Traceback (most recent call last):
        ...
    OSError: the workers of 'alice' did not start (RuntimeError: no port left); see ...
    """
    try:
        yield
    except RuntimeError as error:
        raise OSError(
            f"the workers of {one_of(names)} did not start ({first_cause(error)}); see whether"
            " memory, processes and room in the temporary folder suffice, or start fewer domains"
            " or workers"
        ) from error
