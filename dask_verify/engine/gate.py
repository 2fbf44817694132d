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

It decides on messages; `dask_verify.engine.transport` stands at the connections.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping
from functools import wraps
from typing import TYPE_CHECKING, Any

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from distributed.comm import normalize_address, resolve_address

from dask_verify.engine.compat import bytes_alone, connected
from dask_verify.engine.plain import is_plain
from dask_verify.engine.plugin import ANNOTATION, claimed_domain
from dask_verify.errors import GateError, InputError, one_of
from dask_verify.protocol.domain import COORDINATOR

if TYPE_CHECKING:
    from distributed.scheduler import Scheduler

#: Seconds in which whoever listens at a new worker's address has to show its certificate.
DEADLINE = 10.0

_ABOUT_A_TASK = {
    "task-finished",
    "task-erred",
    "long-running",
    "reschedule",
    "release-worker-data",
    "steal-response",
}
_ABOUT_TASKS = {"add-keys", "request-refresh-who-has"}
_ABOUT_ITSELF = {"keep-alive", "log-event", "worker-status-change", "close-stream", "verify-proof"}
#: Topics that every client listens to: what is said there it prints, or unpickles.
_UNPICKLED = ("print", "warn")
_LONGEST = 10_000  #: characters of an exception
#: What stands for a value that a client would have to unpickle.
REFUSED = "refused by the gate of the scheduler"
_log = logging.getLogger("distributed.dask_verify")


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
        for op, refusing in (("gather", _without_refused), ("broadcast", _without_run)):
            scheduler.handlers[op] = refusing(scheduler.handlers[op])

    def identify(self, certificate: bytes | None) -> str | None:
        """Return whose certificate this is, in DER; None if no authority here has signed it.

        TLS has checked its dates, and that its owner has the key; here it is only told whose it is.
        """
        try:
            shown = x509.load_der_x509_certificate(certificate or b"")
        except ValueError:
            return None
        return next((who for who, ca in self.authorities.items() if _signed(shown, ca)), None)

    def domain_at(self, address: str) -> str | None:
        """Return whose certificate was shown at the address of a worker or nanny."""
        return self._places.get(address)

    async def visit(self, address: Any, domain: str) -> str:
        """Return an address in its one form, if a certificate of the domain is shown there.

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
        """Tell whether a task is one that workers of a domain have something to do with."""
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


class Visitor:
    """What is said on one connection from a domain, before the scheduler hears it.

    Parameters
    ----------
    gate : Gate
    domain : str
        Whose certificate is at the other end.
    """

    def __init__(self, gate: Gate, domain: str) -> None:
        self._gate, self._domain = gate, domain
        self._worker: str | None = None
        self._arrived = False
        self._requests: dict[str, Callable[[dict[str, Any]], Awaitable[None]]] = {
            "register-worker": self._registering,
            "register_nanny": self._arriving,
            "heartbeat_worker": self._about_itself,
            "unregister": self._about_itself,
            "retire_workers": self._retiring,
            "log_event": self._telling,
            "close": self._anything,
        }

    @property
    def streaming(self) -> bool:
        """Whether this is a worker's lasting connection, on which nothing is answered."""
        return self._worker is not None

    async def heard(self, message: Any) -> Any:
        """Return what the scheduler may hear of a message.

        Raises
        ------
        GateError
            If it may hear nothing of it.
        """
        if self._worker is None:
            return await self._request(message)
        several = message if isinstance(message, (list, tuple)) else (message,)
        heard = [self._said(one, self._worker) for one in several]
        return [one for one in heard if one is not None]

    async def _request(self, message: Any) -> Any:
        if self._arrived and isinstance(message, dict) and set(message) == {"status"}:
            return message  # with it a nanny ends what began with its arrival
        op = message.get("op") if isinstance(message, dict) else None
        allowed = self._requests.get(op) if isinstance(op, str) else None
        if allowed is None:
            raise GateError(f"expected one of {one_of(self._requests)}, got {op!r:.50}")
        if not is_plain(message):
            raise GateError(f"{op}: expected plain values, got others among them")
        await allowed(message)
        return message

    async def _registering(self, message: dict[str, Any]) -> None:
        """Let a worker of this domain in: see rule 3 of the module."""
        claimed = claimed_domain(message.get("resources") or {})
        if claimed != self._domain:
            raise GateError(f"expected a worker of {self._domain!r}, got one of {claimed!r}")
        name = message.get("name")
        # Dask lets an address be an alias for the worker of that name.
        if isinstance(name, str) and "://" in name and name != message.get("address"):
            raise GateError(f"expected a name, got the address {name!r:.100}")
        if message.get("nanny") is not None:
            message["nanny"] = await self._gate.visit(message["nanny"], self._domain)
        message["address"] = await self._gate.visit(message.get("address"), self._domain)
        self._worker = message["address"]

    async def _arriving(self, message: dict[str, Any]) -> None:
        message["address"] = await self._gate.visit(message.get("address"), self._domain)
        self._arrived = True

    async def _about_itself(self, message: dict[str, Any]) -> None:
        message["address"] = self._own(message.get("address"))

    async def _retiring(self, message: dict[str, Any]) -> None:
        workers = message.get("workers")
        if not isinstance(workers, (list, tuple)) or not workers or message.get("names"):
            raise GateError("expected the addresses of workers to retire, got another choice")
        message["workers"] = [self._own(address) for address in workers]

    async def _telling(self, message: dict[str, Any]) -> None:
        if message.get("topic") in _UNPICKLED:
            raise GateError(f"expected another topic, got {message['topic']!r}")

    async def _anything(self, message: dict[str, Any]) -> None:
        """Take it as it is."""

    def _own(self, address: Any) -> str:
        where = canonical(address)
        if self._gate.domain_at(where) != self._domain:
            raise GateError(f"expected an address of {self._domain!r}, got {where:.100}")
        return where

    def _said(self, message: Any, worker: str) -> Any:
        """Return what a registered worker said, or None where it is not listened to."""
        if message == "OK":
            return message
        op = message.get("op") if isinstance(message, dict) else None
        if not isinstance(op, str) or op not in _ABOUT_A_TASK | _ABOUT_TASKS | _ABOUT_ITSELF:
            raise GateError(f"expected what a worker says, got {op!r:.50}")
        if message.setdefault("worker", worker) != worker:
            raise GateError(f"{op}: expected of {worker}, got of {message['worker']!r:.100}")
        if op == "log-event" and message.get("topic") in _UNPICKLED:
            return None  # as an honest task may print, too
        if op in _ABOUT_A_TASK and not self._concerns(message.get("key")):
            return None
        if op in _ABOUT_TASKS:
            message["keys"] = [k for k in message.get("keys") or () if self._concerns(k)]
        said = _without_pickles(message)
        if not is_plain(said):
            raise GateError(f"{op}: expected plain values, got others among them")
        return said

    def _concerns(self, key: Any) -> bool:
        concerned = self._gate.concerns(key, self._domain)
        if not concerned:
            _log.warning("Domain %r is not heard about %.200r", self._domain, key)
        return concerned


def canonical(address: Any) -> str:
    """Return the one form that a scheduler gives an address, unless it is an alias.

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


def _without_pickles(message: dict[str, Any]) -> dict[str, Any]:
    if message["op"] == "task-finished":
        return {**message, "type": None}  # a pickled class, for a client to look at
    if message["op"] == "task-erred":
        text = str(message.get("exception_text"))[:_LONGEST]
        return {**message, "exception": text, "traceback": None}
    return message


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


def answered(message: Any) -> Any:
    """Return what a scheduler may hear of an answer to one of its own questions.

    Values of tasks that are not bytes are replaced by `REFUSED`.

    Raises
    ------
    GateError
        If there is more in it than plain values, and values of tasks.
    """
    if not isinstance(message, dict):
        rest, data = message, None
    elif str(message.get("status")).endswith("error"):
        text = str(message.get("exception_text"))[:_LONGEST]
        rest, data = {**message, "exception": text, "traceback": None}, None
    else:
        rest, data = dict(message), message.get("data")
    if isinstance(data, dict):
        del rest["data"]
    if not is_plain(rest):
        raise GateError("expected an answer of plain values, got others among them")
    return {**rest, "data": {k: _bytes_or_refused(v) for k, v in data.items()}} if data else rest


def _bytes_or_refused(value: Any) -> Any:
    try:
        return bytes_alone(value)
    except GateError as error:
        _log.warning("Refused the result of a task: %s", error)
        return REFUSED


def _without_refused(handler: Callable[..., Any]) -> Callable[..., Any]:
    """Return the handler that gathers results for a client, which fails if one was refused."""

    @wraps(handler)
    async def gather(*args: Any, **kwargs: Any) -> Any:
        answer = await handler(*args, **kwargs)
        refused = [k for k, value in (answer.get("data") or {}).items() if value is REFUSED]
        if refused:
            raise GateError(
                f"expected the bytes of verified tasks, got something else of {refused[0]!r:.100};"
                " behind a gate nothing that a worker sends is unpickled, so only verified jobs run"
            )
        return answer

    return gather


def _without_run(handler: Callable[..., Any]) -> Callable[..., Any]:
    """Return the handler that asks all workers, but not for what a client unpickles unasked."""

    @wraps(handler)
    async def broadcast(*args: Any, on_error: str = "raise", **kwargs: Any) -> Any:
        if on_error == "return_pickle":
            raise GateError(
                "expected a verified job, got Client.run: it unpickles what workers answer"
            )
        return await handler(*args, on_error=on_error, **kwargs)

    return broadcast
