"""The gate of a shared scheduler: what the workers of a domain may say to it, and nothing else.

What holds on a scheduler with a gate, whose connections are all TLS:

1. Every domain, and the coordinator, has a certificate authority of its own. Whose a connection is
   says the authority that signed the certificate at its other end, never a name in it. A
   connection whose certificate none of them signed directly is closed before it is read.
2. The coordinator's connections may do all that Dask allows. Those of a domain do what a worker
   needs, by a list of operations; all else is refused.
3. A worker is registered only if it claims the domain of its certificate, and if whoever listens at
   its address, and at its nanny's, has a certificate of that domain as well.
4. Nothing that a domain sends is unpickled here, handshakes included, or goes on to the
   coordinator's client as a pickle: results are bytes, exceptions are text, events are plain, and
   there are none for it to print or to unpickle.
5. A worker speaks for itself and about tasks of its domain: what it says in the name of another is
   refused, and about another domain's tasks it is not listened to.

This module knows whose is what; `dask_verify.engine.hearing` decides on messages, and
`dask_verify.engine.transport` stands at the connections.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from distributed.comm import normalize_address, resolve_address

from dask_verify.engine.compat import connected
from dask_verify.engine.plugin import ANNOTATION
from dask_verify.errors import GateError, InputError, one_of
from dask_verify.protocol.domain import COORDINATOR

if TYPE_CHECKING:
    from distributed.scheduler import Scheduler

#: Seconds in which whoever listens at a new worker's address has to show its certificate.
DEADLINE = 10.0


class Gate:
    """Whose certificate is whose, and what a domain may say.

    Parameters
    ----------
    authorities : mapping of str to cryptography.x509.Certificate
        The certificate authority of each domain, and of ``"coordinator"``.

    Raises
    ------
    InputError
        If there is none of the coordinator, or two have the same key.
    """

    def __init__(self, authorities: Mapping[str, x509.Certificate]) -> None:
        if COORDINATOR not in authorities:
            raise InputError(f"expected an authority of {COORDINATOR!r}, got {list(authorities)}")
        self.authorities = dict(authorities)
        _check_distinct(self.authorities)
        self._places: dict[str, str] = {}
        self._scheduler: Any = None

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Gate) and self.authorities == other.authorities

    __hash__ = None  # type: ignore[assignment]

    def start(self, scheduler: Scheduler, domains: Iterable[str]) -> None:
        """Stand before a scheduler, whose connections are already this gate's.

        Parameters
        ----------
        scheduler : Scheduler
            The scheduler that it runs in.
        domains : iterable of str
            Names of the domains.

        Raises
        ------
        InputError
            If a domain has no authority, or an authority no domain.
        """
        expected, got = {*domains, COORDINATOR}, set(self.authorities)
        if expected != got:
            raise InputError(
                f"expected an authority of each of {one_of(sorted(expected))}, got those of"
                f" {one_of(sorted(got))}"
            )
        self._scheduler = scheduler

    def identify(self, certificate: bytes | None) -> str | None:
        """Return whose certificate this is, in DER; None if no authority here has signed it.

        TLS has checked its dates, and that its owner has the key; here it is only told whose it is.

        Parameters
        ----------
        certificate : bytes or None
            The certificate.

        Returns
        -------
        str or None
        """
        try:
            shown = x509.load_der_x509_certificate(certificate or b"")
        except ValueError:
            return None
        return next((who for who, ca in self.authorities.items() if _signed(shown, ca)), None)

    def domain_at(self, address: str) -> str | None:
        """Return whose certificate was shown at the address of a worker or nanny.

        Parameters
        ----------
        address : str
            The address.

        Returns
        -------
        str or None
        """
        return self._places.get(address)

    async def visit(self, address: Any, domain: str) -> str:
        """Return an address in its one form, if a certificate of the domain is shown there.

        Parameters
        ----------
        address : object
            The address.
        domain : str
            Name of the domain.

        Returns
        -------
        str

        Raises
        ------
        GateError
            If not.
        """
        where = canonical(address)
        try:
            async with asyncio.timeout(DEADLINE), connected(self._scheduler, where) as comm:
                found = comm.owner
        except (OSError, TimeoutError) as error:
            raise GateError(f"expected {domain!r} at {where:.100}, got {error!r:.200}") from None
        if found != domain:
            raise GateError(f"expected {domain!r} at {where:.100}, got {found!r}")
        self._places[where] = domain
        return where

    def concerns(self, key: Any, domain: str) -> bool:
        """Tell whether a task is one that workers of a domain have something to do with.

        Parameters
        ----------
        key : object
            Key of the task.
        domain : str
            Name of the domain.

        Returns
        -------
        bool
        """
        try:
            task = self._scheduler.tasks.get(key)
        except TypeError:  # no key at all
            return False
        if task is None:
            return True  # forgotten meanwhile; Dask answers so
        bound = (task.annotations or {}).get(ANNOTATION)
        if bound is not None:
            return str(bound) == domain
        near = task.who_has or ([task.processing_on] if task.processing_on else [])
        return not near or any(self.domain_at(worker.address) == domain for worker in near)


def canonical(address: Any) -> str:
    """Return the one form that a scheduler gives an address, unless it is an alias.

    Parameters
    ----------
    address : object
        The address.

    Returns
    -------
    str

    Raises
    ------
    GateError
        If it is no address.

    Examples
    --------
    >>> canonical("tls://127.0.0.1:5000")
    'tls://127.0.0.1:5000'
    """
    try:
        if isinstance(address, str):
            where = str(normalize_address(resolve_address(address)))
            if where.startswith("tls://"):
                return where
    except (OSError, ValueError):
        pass
    raise GateError(f"expected a tls:// address, got {address!r:.100}")


def _signed(shown: x509.Certificate, authority: x509.Certificate) -> bool:
    try:
        shown.verify_directly_issued_by(authority)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True


def _check_distinct(authorities: Mapping[str, x509.Certificate]) -> None:
    whose: dict[bytes, str] = {}
    for name, certificate in authorities.items():
        key = certificate.public_key()
        form = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        other = whose.setdefault(form, name)
        if other != name:
            raise InputError(f"expected authorities with keys of their own, got one key for"
                             f" {other!r} and {name!r}")  # fmt: skip
