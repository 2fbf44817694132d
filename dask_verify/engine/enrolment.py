"""Which domains a Dask client may use: an entry per client, gone with the client.

A client that nobody enrolled has no domains: there is no default.
"""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING

from dask_verify.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from distributed import Client

    from dask_verify.protocol.domain import Domain

_ENROLLED: weakref.WeakKeyDictionary[Client, tuple[Domain, ...]] = weakref.WeakKeyDictionary()


def enrol(client: Client, domains: Iterable[Domain]) -> None:
    """Remember whose signatures count on the cluster of a client.

    Parameters
    ----------
    client : distributed.Client
        The client; another enrolment of the same client replaces the first.
    domains : iterable of Domain
        The domains, with distinct names.

    Raises
    ------
    InputError
        If there is no domain, or two have the same name.

    Examples
    --------
    >>> class Client: pass
    >>> client = Client()
    >>> enrol(client, [])
    Traceback (most recent call last):
    ...
    dask_verify.errors.InputError: no domain to enrol: name at least one
    """
    domains = tuple(domains)
    names = [domain.name for domain in domains]
    if not names:
        raise InputError("no domain to enrol: name at least one")
    if len(set(names)) < len(names):
        raise InputError(f"every domain is enrolled once, got {names}: remove the duplicates")
    _ENROLLED[client] = domains


def enrolled(client: Client) -> tuple[Domain, ...] | None:
    """Return the domains of a client, in the order of their enrolment; None if there are none.

    Examples
    --------
    >>> class Client: pass
    >>> enrolled(Client()) is None
    True
    """
    return _ENROLLED.get(client)
