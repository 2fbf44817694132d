"""Domains reached by Dask clients of this process: on one shared scheduler, or on one each.

* On a shared scheduler a task is sent off to no worker, and only `DomainPlugin` lets it in.
* Every method blocks.
"""

from __future__ import annotations

import asyncio
import threading
import time
import uuid
from abc import abstractmethod
from collections.abc import Hashable, Iterable, Mapping, Sequence
from concurrent.futures import CancelledError, wait
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any

import dask
from dask.base import annotate
from dask.typing import Key
from distributed import Client, Future

from dask_verify.engine.compat import (
    GraphNode,
    RawConnections,
    scheduler_address,
    submission,
    waited,
)
from dask_verify.engine.courier.pool import CourierPool
from dask_verify.engine.courier.remote import Remote
from dask_verify.engine.domainpool import TIMEOUT, DomainPool, check_workers, names_of
from dask_verify.engine.fetching import Fetcher
from dask_verify.engine.plain import plain
from dask_verify.engine.plugin import ANNOTATION, NOWHERE
from dask_verify.errors import InputError, one_of

if TYPE_CHECKING:
    from dask_verify.protocol.domain import Domain

#: Seconds that a scheduler has to say which workers it knows.
_GREETING = 5.0
_QUICK = 1.0  #: seconds that an answer or error may take after which one need not pause
_LOOP = 5.0  #: seconds more than an answer may take, after which the client's event loop has ended
_LOOK = 2.0  #: seconds between looks whether a worker that is asked is still there
_GLANCE = 1.0  #: seconds for each of these
_LARGE = "distributed.admin.large-graph-warning-threshold"
_CONFIGURING = threading.Lock()


class ClientPool(DomainPool):
    """A pool whose Dask clients live in this process."""

    def __init__(self) -> None:
        self._fetcher = Fetcher()

    @abstractmethod
    def _workers(self, domain: str) -> list[str]:
        """Return the addresses of one domain's workers at this moment."""

    @abstractmethod
    def _listed(self, domain: str, timeout: float) -> list[str]:
        """Return those that its scheduler names; it raises OSError if that does not answer."""

    @abstractmethod
    def _client(self, domain: str) -> Client:
        """Return the client whose scheduler has the domain's workers."""

    @abstractmethod
    def _connections(self, domain: str) -> RawConnections:
        """Return the connections to that scheduler."""

    @abstractmethod
    def _placement(self, domain: str) -> dict[str, Any]:
        """Return the annotations that keep a task in its domain."""

    @property
    def places(self) -> dict[str, Hashable]:
        """What the workers of each domain are called, whatever pool they are in."""
        return {name: (scheduler_address(self._client(name)), name) for name in self.names}

    def submit(
        self,
        domain: str,
        graph: Mapping[Key, GraphNode],
        keys: Sequence[Key],
        retries: int = 0,
        priority: int = 0,
    ) -> dict[Key, Future[Any]]:
        """Start computing some keys of a graph in one domain."""
        return self.send(domain, submission(graph), keys, retries, priority)

    def send(
        self, domain: str, graph: Any, keys: Sequence[Key], retries: int, priority: int
    ) -> dict[Key, Future[Any]]:
        """Submit a graph that is ready to be sent.

        Parameters
        ----------
        domain : str
            Name of the domain.
        graph : object
            The graph, packed for the way.
        keys : sequence of Key
            The keys that are wanted.
        retries : int
            How often a task is tried again whose worker is lost.
        priority : int
            Which tasks go first: higher ones.

        Returns
        -------
        dict of Key to Future
        """
        client = self._client(domain)
        # Literal partitions are part of a graph on purpose: each domain needs a copy of its own.
        placed = annotate(**self._placement(domain))
        with _CONFIGURING, dask.config.set({_LARGE: 2**62}), placed:
            # By default Dask starts the newest of a minute's submissions first: others look late.
            how = {"retries": retries, "priority": priority, "fifo_timeout": 0}
            futures = client.get(graph, list(keys), sync=False, **how)
        return dict(zip(keys, futures, strict=True))

    def results(self, landings: Sequence[tuple[str, Future[Any]]]) -> list[bytes | BaseException]:
        """Return what futures hold that are done: bytes, or why there are none."""
        return self._fetcher.results(landings)

    def scatter(
        self, domain: str, data: bytes, hint: str = "verify-data", *, timeout: float = TIMEOUT
    ) -> Future[Any]:
        """Put bytes into the memory of one of a domain's workers."""
        return self.put(domain, f"{hint}-{uuid.uuid4().hex}", data, timeout)

    def put(self, domain: str, key: str, data: bytes, timeout: float = TIMEOUT) -> Future[Any]:
        """Put bytes into the memory of one of a domain's workers, under a key that is new there.

        Parameters
        ----------
        domain : str
            Name of the domain.
        key : str
            Key of the data.
        data : bytes
            The bytes.
        timeout : float, optional
            Seconds that it may take.

        Returns
        -------
        Future

        Raises
        ------
        TimeoutError
            If the domain has not taken them in `timeout` seconds.
        ConnectionError
            If the domain has no worker now, or the way to it is lost.
        """
        workers = self._workers(self._known(domain))
        if not workers:
            raise ConnectionError(f"domain {domain!r} has no worker to hold data")
        client, how = self._client(domain), {"workers": workers, "hash": False}
        # Dask sets no limit: a scheduler that never answers would hold the caller forever.
        scatter = partial(client.scatter, {key: data}, asynchronous=True, **how)
        try:
            placed = waited(client, scatter, seconds=timeout)
        except TimeoutError as error:
            # It may still arrive, and would be there for as long as the client is.
            late = Future(key, client)
            late.add_done_callback(Future.release)
            what = f"domain {domain!r} has not taken {len(data):,} bytes in {timeout:.3g} s"
            raise TimeoutError(what) from error
        future: Future[Any] = placed[key]
        return future

    def call(
        self, address: str, domain: str, op: str, *, timeout: float = TIMEOUT, **msg: Any
    ) -> Any:
        """Ask one worker, through its scheduler, and return its answer.

        Raises
        ------
        ConnectionError
            If the worker, or the way to it, is lost.
        TimeoutError
            If there is no answer in time.
        """
        # A scheduler would try for long to connect to a worker that it lost.
        if address not in self._workers(self._known(domain)):
            raise ConnectionError(f"domain {domain!r} has no worker at {address} now")
        request = {"op": "proxy", "worker": address, "msg": {"op": op, **msg}}
        loop = self._client(domain).loop.asyncio_loop
        asked = self._connections(domain).ask(request, timeout)
        try:
            asking = asyncio.run_coroutine_threadsafe(asked, loop)
        except RuntimeError:
            asked.close()
            raise ConnectionError(f"the client of domain {domain!r} is closed") from None
        # Or loses while it is asked, as spot machines are lost; or the loop itself has ended.
        end = time.monotonic() + timeout + _LOOP
        while not wait([asking], min(_LOOK, timeout + _LOOP)).done:
            if self._lost(domain, address) and asking.cancel():
                raise ConnectionError(f"domain {domain!r} has lost its worker at {address}")
            if time.monotonic() >= end and asking.cancel():
                raise TimeoutError(f"the client of domain {domain!r} does not answer any more")
        try:
            return plain(asking.result(), request)
        except CancelledError:
            raise ConnectionError(f"the client of domain {domain!r} is closed") from None

    def _lost(self, domain: str, address: str) -> bool:
        """Whether a scheduler says that it has no such worker; what it does not say proves nothing.

        It does not count as its silence either: it may be as busy as the worker.
        """
        try:
            return address not in self._listed(domain, _GLANCE)
        except OSError:
            return False

    def broadcast(self, op: str, *, timeout: float = TIMEOUT, **msg: Any) -> dict[str, Any]:
        """Ask all workers of all domains, and return the answers of those who gave one."""
        answers: dict[str, Any] = {}
        for domain, workers in self.workers().items():
            request = {
                "op": "broadcast", "msg": {"op": op, **msg},
                "workers": workers, "on_error": "ignore",
            }  # fmt: skip
            # Best effort: a domain out of reach, or talking nonsense, has not answered.
            with suppress(OSError):
                answer = self._ask(domain, request, timeout)
                answers |= answer if isinstance(answer, dict) else {}
        return answers

    def cancel(self, futures: Iterable[Future[Any]]) -> None:
        """Stop waiting for results; what is not running yet never will."""
        by_client: dict[Client, list[Future[Any]]] = {}
        for future in futures:
            by_client.setdefault(future.client, []).append(future)
        for client, group in by_client.items():
            if client.status == "running":
                client.cancel(group)

    def _ask(self, domain: str, request: dict[str, Any], timeout: float) -> Any:
        client = self._client(domain)
        # One that is just connecting again has lost its own connection, and these may stand.
        if client.status not in ("running", "connecting"):
            raise ConnectionError(f"the client of domain {domain!r} is {client.status}")
        ask = self._connections(domain).ask
        return plain(waited(client, ask, request, timeout, seconds=timeout + _LOOP), request)


class SharedPool(ClientPool):
    """All domains on the scheduler of one client, kept apart by `DomainPlugin`.

    Parameters
    ----------
    client : distributed.Client
        A running, synchronous client.
    domains : sequence of Domain or str
        Which domains; each needs a worker.
    staffed : bool, optional
        Whether every domain must have a worker.

    Raises
    ------
    InputError
        If the client cannot be used, its scheduler lacks the plugin, or a domain has no worker.
    """

    publishes = True

    def __init__(
        self, client: Client, domains: Sequence[Domain | str], staffed: bool = True
    ) -> None:
        super().__init__()
        self._names = names_of(domains)
        self._only = _checked_client(client, "the client")
        self._raw = RawConnections(client)
        self._check_plugin()
        self.connected = not self._ask(self._names[0], {"op": "verify_separated"}, TIMEOUT)
        if staffed:
            check_workers(self.workers())

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the domains, in the order in which they were given."""
        return self._names

    def workers(self) -> dict[str, list[str]]:
        """Return the addresses of every domain's workers at this moment."""
        return self._named(TIMEOUT)

    def publish(self, notice: Mapping[str, Any], timeout: float) -> None:
        """Tell the scheduler, for its dashboard, how a job is.

        Raises
        ------
        ConnectionError
            If it does not take it.
        """
        request = {"op": "verify_publish", "notice": dict(notice)}
        flaw = self._ask(self._names[0], request, timeout)
        if flaw:
            raise ConnectionError(f"the scheduler does not take a notice: {flaw!r:.500}")

    def close(self) -> None:
        """Close the connections of the pool; the client stays open."""
        _close(self._only, self._raw)

    def _client(self, domain: str) -> Client:
        self._known(domain)
        return self._only

    def _connections(self, domain: str) -> RawConnections:
        return self._raw

    def _workers(self, domain: str) -> list[str]:
        return self.workers()[domain]

    def _listed(self, domain: str, timeout: float) -> list[str]:
        return self._named(timeout)[domain]

    def _named(self, timeout: float) -> dict[str, list[str]]:
        found = self._ask(self._names[0], {"op": "verify_domains"}, timeout) or {}
        return {name: list(found.get(name, ())) for name in self._names}

    def _placement(self, domain: str) -> dict[str, Any]:
        # Without the plugin's permission the task waits for an address that does not exist.
        return {ANNOTATION: domain, "workers": [NOWHERE], "allow_other_workers": False}

    def _check_plugin(self) -> None:
        # Workers that have just come may still have to prove the keys of their domains.
        if self._ask(self._names[0], {"op": "verify_settled"}, TIMEOUT) is None:
            raise InputError(
                "the scheduler does not keep domains apart: start it with the preload "
                "dask_verify.scheduler, or register the plugin, with "
                "client.register_plugin(dask_verify.DomainPlugin()), and start every worker with "
                "the resource domain:NAME=1; or pass a dict of one client for each domain"
            )


class SeparatePool(ClientPool):
    """A scheduler, and so a client, for each domain.

    Parameters
    ----------
    clients : mapping of str to distributed.Client
        Running, synchronous clients of different schedulers, by domain.
    staffed : bool
        Whether each needs a worker already.

    Raises
    ------
    InputError
        If a client cannot be used, two have the same scheduler, or one has no worker.
    """

    connected = False

    def __init__(self, clients: Mapping[str, Client], staffed: bool = True) -> None:
        super().__init__()
        if not isinstance(clients, Mapping):
            raise InputError(f"expected a dict of domain name to client, got {clients!r}")
        self._names = names_of(list(clients))
        self._clients = {
            name: _checked_client(client, f"the client of domain {name!r}")
            for name, client in clients.items()
        }
        self._slow: dict[str, tuple[float, float, list[str]]] = {}
        self._check_distinct()
        self._raw = {name: RawConnections(client) for name, client in self._clients.items()}
        if staffed:
            check_workers(self.workers())

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the domains, in the order in which they were given."""
        return self._names

    def workers(self) -> dict[str, list[str]]:
        """Return the addresses of every domain's workers at this moment."""
        return {name: self._workers(name) for name in self._names}

    def close(self) -> None:
        """Close the connections of the pool; the clients stay open."""
        for name, raw in self._raw.items():
            _close(self._clients[name], raw)

    def _client(self, domain: str) -> Client:
        return self._clients[self._known(domain)]

    def _connections(self, domain: str) -> RawConnections:
        return self._raw[domain]

    def _placement(self, domain: str) -> dict[str, Any]:
        return {}

    def _workers(self, domain: str) -> list[str]:
        # A domain whose scheduler is gone, or talks nonsense, has no workers; the others go on,
        # and wait for it less and less often: also where it does answer, but late each time.
        until, pause, known = self._slow.get(domain, (0.0, _GREETING, []))
        if time.monotonic() < until:
            return list(known)
        began = time.monotonic()
        try:
            found, answered = self._listed(domain, _GREETING), True
        except OSError:
            found, answered = [], False
        if time.monotonic() - began > _QUICK:
            self._slow[domain] = (time.monotonic() + pause, min(2 * pause, TIMEOUT), found)
        elif answered:
            self._slow.pop(domain, None)
        return list(found)

    def _listed(self, domain: str, timeout: float) -> list[str]:
        found = self._ask(domain, {"op": "ncores"}, timeout)
        return sorted(a for a in found if isinstance(a, str)) if type(found) is dict else []

    def _check_distinct(self) -> None:
        at: dict[str, str] = {}
        for name, client in self._clients.items():
            other = at.setdefault(scheduler_address(client), name)
            if other != name:
                raise InputError(
                    f"domains {other!r} and {name!r} have the same scheduler: give each its own, "
                    "or pass one client of a scheduler with DomainPlugin"
                )


def open_pool(
    client: Client | Mapping[str, Client | Remote],
    domains: Sequence[Domain | str],
    staffed: bool = True,
) -> DomainPool:
    """Return the pool that fits what the user passed: one client, or a dict of them or of remotes.

    With ``staffed`` every domain needs a worker now.

    Parameters
    ----------
    client : Client or mapping of str to Client or Remote
        The client, or one client or remote for each domain.
    domains : sequence of Domain or str
        Domains, or their names.
    staffed : bool, optional
        Whether every domain must have a worker.

    Returns
    -------
    DomainPool

    Raises
    ------
    InputError
        If it is neither, or the dict does not name exactly the enrolled domains.
    """
    if isinstance(client, Client):
        return SharedPool(client, domains, staffed)
    remote = isinstance(client, Mapping) and any(isinstance(c, Remote) for c in client.values())
    pool: DomainPool = CourierPool(client, staffed) if remote else SeparatePool(client, staffed)
    if set(pool.names) != set(names_of(domains)):
        pool.close()
        raise InputError(
            f"clients for {one_of(pool.names)}, but the domains are {one_of(names_of(domains))}"
        )
    return pool


def _checked_client(client: Any, what: str) -> Client:
    if not isinstance(client, Client):
        raise InputError(f"{what} is no distributed.Client but {type(client).__name__}")
    if client.asynchronous:
        raise InputError(f"{what} is asynchronous: pass a client made with asynchronous=False")
    if client.status != "running":
        raise InputError(f"{what} is {client.status}: pass one that is connected")
    return client


def _close(client: Client, raw: RawConnections) -> None:
    if client.status == "running":
        waited(client, raw.close, seconds=TIMEOUT)
