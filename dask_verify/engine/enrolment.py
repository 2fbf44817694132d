"""Which domains a Dask client may use, and whose key its coordinator signs with.

* An enrolment belongs to a client, and is gone with it. A client that nobody enrolled has the
  domains and the key that the configuration names (``verify.trust``, ``verify.coordinator-key``).
* Without a key a coordinator signs with one that is thrown away with the process.
* Where a trust file names a coordinator, nobody else signs for it.
"""

from __future__ import annotations

import functools
import logging
import os
import weakref
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import dask

from dask_verify.engine.compat import RawConnections, waited
from dask_verify.engine.domainpool import TIMEOUT
from dask_verify.engine.plain import plain
from dask_verify.errors import InputError
from dask_verify.evidence.enrolment.keys import read_key
from dask_verify.evidence.enrolment.trust import Trust, load_trust
from dask_verify.protocol.domain import COORDINATOR, Domain, Identity

if TYPE_CHECKING:
    from distributed import Client

    from dask_verify.engine.courier.remote import Remote

Path = str | os.PathLike[str]
_log = logging.getLogger("distributed.dask_verify")


@dataclass(frozen=True)
class _Enrolment:
    domains: tuple[Domain, ...]
    trust: Trust | None
    coordinator: Identity | None


_ENROLLED: weakref.WeakKeyDictionary[Client | Remote, _Enrolment] = weakref.WeakKeyDictionary()


def enrol(
    client: Client | Remote,
    domains: Iterable[Domain] | None = None,
    *,
    trust: Path | Trust | None = None,
    coordinator: Path | Identity | None = None,
) -> None:
    """Remember whose signatures count on the cluster of a client.

    Parameters
    ----------
    client : distributed.Client or Remote
        The client; another enrolment of the same client replaces the first.
    domains : iterable of Domain, optional
        The domains, with distinct names.
    trust : path or Trust, optional
        A trust file, instead of the domains. One without a coordinator is good for a job, but its
        receipts cannot be checked with it; that is logged.
    coordinator : path or Identity, optional
        The key of the coordinator, or the file with it. Default: the configuration's
        ``verify.coordinator-key``, or a key that is thrown away with this process.

    Raises
    ------
    InputError
        If there is no domain, or two have the same name; or the coordinator's key is not of a
        coordinator, or not the one that the trust file names.
    TrustError
        If the trust file is none.

    Examples
    --------
    >>> class Client: pass
    >>> client = Client()
    >>> enrol(client, [])
    Traceback (most recent call last):
    ...
    dask_verify.errors.InputError: no domain to enrol: name at least one
    """
    if (domains is None) == (trust is None):
        raise InputError("expected domains, or trust= with a trust file; pass one of the two")
    if trust is not None:
        trust = trust if isinstance(trust, Trust) else _loaded(trust)
        domains = trust.domains
    domains = tuple(domains or ())
    _check_names(domains)
    identity = None if coordinator is None else _identity(coordinator)
    enrolment = _Enrolment(domains, trust, identity)
    _coordinator(enrolment.trust, identity)
    _ENROLLED[client] = enrolment
    if trust is not None and trust.coordinator is None:
        _log.warning(
            "The trust file has no [coordinator], so receipts cannot be checked with it: make a key"
            " with `dask verify keygen %s`, add it with `dask verify enroll TRUSTFILE %s.toml`, and"
            " pass coordinator= with the key file",
            COORDINATOR,
            COORDINATOR,
        )


def enrolled(client: Client | Remote) -> tuple[Domain, ...] | None:
    """Return the domains of a client, in the order of their enrolment; None if there are none.

    Parameters
    ----------
    client : Client or Remote
        The client, or where a courier reaches the scheduler.

    Returns
    -------
    tuple of Domain or None

    Examples
    --------
    >>> class Client: pass
    >>> enrolled(Client()) is None
    True
    """
    enrolment = _ENROLLED.get(client)
    return None if enrolment is None else enrolment.domains


def domains_of(client: Client | Remote, name: str | None = None) -> tuple[Domain, ...]:
    """Return the domains that a job may use: the enrolled ones, else those of the configuration.

    Parameters
    ----------
    client : distributed.Client or Remote
    name : str, optional
        With a client for each domain, which one this client is for. Without it the client is that
        of a shared scheduler: there the configured domains are used that have a worker now.

    Returns
    -------
    tuple of Domain
        Empty if nobody is enrolled.

    Raises
    ------
    TrustError
        If the configuration names a trust file that is none.

    Examples
    --------
    >>> from dask_verify.protocol.domain import Domain
    >>> class Client: pass
    >>> client = Client()
    >>> keys = {name: Identity.generate(name).public_key for name in ("alice", "bob")}
    >>> enrol(client, [Domain(name, key, {}) for name, key in keys.items()])
    >>> [domain.name for domain in domains_of(client)]
    ['alice', 'bob']
    >>> [domain.name for domain in domains_of(client, "bob")]
    ['bob']
    """
    domains = enrolled(client)
    if domains is None:
        trust = _configured()
        domains = trust.domains if trust is not None else ()
        if domains and name is None:
            domains = _present(client, domains)
    return tuple(d for d in domains if name is None or d.name == name)


def _present(client: Client, domains: tuple[Domain, ...]) -> tuple[Domain, ...]:
    """Leave out domains without workers; all stay if nobody can tell, and the pool complains."""
    if client.asynchronous or client.status != "running":
        return domains
    request, raw = {"op": "verify_settled"}, RawConnections(client)
    try:
        # The question has its own end, but not if the client's event loop ends before it.
        found = plain(waited(client, raw.ask, request, TIMEOUT, seconds=TIMEOUT + 5), request)
    finally:
        waited(client, raw.close, seconds=TIMEOUT)
    there = {name for name, workers in found.items() if workers} if type(found) is dict else set()
    return tuple(d for d in domains if d.name in there) or domains


def _configured() -> Trust | None:
    path = dask.config.get("verify.trust", None)
    return None if path is None else _loaded(path)


def coordinator_of(client: Client | Mapping[str, Client | Remote]) -> Identity:
    """Return the key with which the coordinator of a client, or of a dict of clients, signs.

    Parameters
    ----------
    client : Client or mapping of str to Client or Remote
        The client, or one client or remote for each domain.

    Returns
    -------
    Identity

    Raises
    ------
    InputError
        If it is not the one that the trust file names, or clients have different ones.

    Examples
    --------
    >>> class Client: pass
    >>> coordinator_of(Client()).name
    'coordinator'
    """
    clients = list(client.values()) if isinstance(client, Mapping) else [client]
    found = [_coordinator_of(one) for one in clients]
    if len({identity.public_key for identity in found}) != 1:
        raise InputError(
            f"expected clients with one coordinator among them, got {len(found)} clients with"
            " different ones; enrol all of them with the same coordinator="
        )
    return found[0]


def _coordinator_of(client: Client | Remote) -> Identity:
    enrolment = _ENROLLED.get(client)
    if enrolment is None:
        return _coordinator(_configured(), None)
    return _coordinator(enrolment.trust, enrolment.coordinator)


def _coordinator(trust: Trust | None, identity: Identity | None) -> Identity:
    """Return who signs, if the trust file has no objection."""
    path = dask.config.get("verify.coordinator-key", None)
    if identity is None and path is not None:
        identity = _identity(path)
    identity = identity or _throw_away()
    named = trust.coordinator if trust is not None else None
    if named is not None and named.public_key != identity.public_key:
        raise InputError(
            f"coordinator: expected the key {named.public_key.hex()[:16]}... that the trust file"
            f" names, got {identity.public_key.hex()[:16]}...; pass coordinator= with its key"
            " file, or set verify.coordinator-key"
        )
    return identity


@functools.cache
def _throw_away() -> Identity:
    return Identity.generate(COORDINATOR)


def is_throw_away(identity: Identity) -> bool:
    """Whether a coordinator's key will be gone with this process.

    Parameters
    ----------
    identity : Identity
        The coordinator's key.

    Returns
    -------
    bool

    Examples
    --------
    >>> is_throw_away(Identity.generate("coordinator"))
    False
    """
    return identity is _throw_away()


def _identity(coordinator: Path | Identity) -> Identity:
    if not isinstance(coordinator, Identity):
        coordinator = read_key(_expanded("the coordinator's key", coordinator))
    if coordinator.name != COORDINATOR:
        raise InputError(
            f"coordinator: expected a key named {COORDINATOR!r}, got one of {coordinator.name!r};"
            f" make one with `dask verify keygen {COORDINATOR}`"
        )
    return coordinator


def _loaded(path: Path) -> Trust:
    return load_trust(_expanded("the trust file", path))


def _expanded(what: str, path: object) -> str:
    if not isinstance(path, (str, os.PathLike)):
        raise InputError(f"{what}: expected a path, got {type(path).__name__}")
    return os.path.expanduser(os.fsdecode(path))


def _check_names(domains: tuple[Domain, ...]) -> None:
    names = [domain.name for domain in domains]
    if not names:
        raise InputError("no domain to enrol: name at least one")
    if len(set(names)) < len(names):
        raise InputError(f"every domain is enrolled once, got {names}: remove the duplicates")
