"""Which scheduler a hostile domain has, as the user says it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from dask_verify.errors import InputError

if TYPE_CHECKING:
    from distributed.security import Security

_SCHEMES = ("tcp", "tls", "ws", "wss")


class Remote:
    """The scheduler of a domain that may attack whoever talks to it.

    The coordinator never connects to it: a courier does, a process of its own.

    Parameters
    ----------
    address : str
        Of the scheduler, with its port.
    security : distributed.Security, optional
        Certificates for that scheduler alone: the courier gets them. Default: those of Dask's
        configuration.
    memory_limit : int, optional
        Bytes of address space of the courier; default: the setting ``verify.courier-memory``.

    Raises
    ------
    InputError
        If it is no such address.

    Examples
    --------
    >>> Remote("tls://scheduler.example.org:8786")
    <Remote 'tls://scheduler.example.org:8786'>
    >>> Remote("scheduler.example.org")
    Traceback (most recent call last):
        ...
    dask_verify.errors.InputError: expected an address such as 'tls://host:8786', got \
'scheduler.example.org'
    """

    def __init__(
        self, address: str, security: Security | None = None, memory_limit: int | None = None
    ) -> None:
        self.address, self.security, self.memory_limit = address, security, memory_limit
        self.port = _port(address)
        if security is not None:
            _check_security(security)
        if memory_limit is not None and (type(memory_limit) is not int or memory_limit < 1):
            raise InputError(f"memory_limit: expected a number of bytes, got {memory_limit!r}")

    def __repr__(self) -> str:
        return f"<Remote {self.address!r}>"


def remotes(client: Any) -> Any:
    """Return a dict of addresses as one of `Remote`, and anything else as it is.

    Parameters
    ----------
    client : object
        What the user passed: addresses, or tuples of an address and a ``Security``, by domain.

    Returns
    -------
    object

    Raises
    ------
    InputError
        If some values are addresses and others are not, or two domains have the same.

    Examples
    --------
    >>> remotes({"alice": "tcp://10.0.0.1:8786"})
    {'alice': <Remote 'tcp://10.0.0.1:8786'>}
    """
    if not isinstance(client, Mapping):
        return client
    found = {name: _remote(name, value) for name, value in client.items()}
    clients = [name for name, remote in found.items() if remote is None]
    if len(clients) == len(found):
        return client
    if clients:
        raise InputError(
            f"client: expected addresses for all domains or for none, got something else for"
            f" {clients[0]!r}; a client in this process trusts its domain, so pass addresses for"
            " all of them"
        )
    _check_distinct(found)
    return found


def _remote(name: Any, value: Any) -> Remote | None:
    if isinstance(value, Remote):
        return value
    if isinstance(value, str):
        return Remote(value)
    if isinstance(value, tuple):
        if len(value) != 2 or not isinstance(value[0], str):
            raise InputError(
                f"client of {name!r}: expected (address, Security), got a tuple of"
                f" {[type(part).__name__ for part in value]}"
            )
        return Remote(*value)
    return None


def _check_distinct(found: Mapping[str, Remote | None]) -> None:
    at: dict[str, str] = {}
    for name, remote in found.items():
        other = at.setdefault(remote.address if remote else "", name)
        if other != name:
            raise InputError(
                f"domains {other!r} and {name!r} have the same scheduler: give each its own"
            )


def _check_security(security: Any) -> None:
    from distributed.security import Security

    if not isinstance(security, Security):
        raise InputError(
            f"security: expected a distributed.Security, got {type(security).__name__}"
        )
    if security.extra_conn_args:
        raise InputError(
            "security: expected one without extra_conn_args, which no courier takes; leave them out"
        )


def _port(address: Any) -> int:
    try:
        parts = urlsplit(address)
        if parts.scheme in _SCHEMES and parts.hostname and parts.port:
            return int(parts.port)
    except (ValueError, TypeError, AttributeError):
        pass
    raise InputError(f"expected an address such as 'tls://host:8786', got {address!r}")
