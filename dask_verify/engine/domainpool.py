"""One interface to the domains' workers, however they are reached.

What holds for every pool:

* What is submitted for a domain runs on workers of that domain or not at all.
* Answers of workers are plain values (numbers, text, bytes, and lists and dicts of them); they
  are read without unpickling. Everything else counts as no answer.
* Every method may be called from any thread.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Protocol

from dask.typing import Key

from dask_verify.errors import InputError, one_of

if TYPE_CHECKING:
    from dask_verify.engine.compat import GraphNode
    from dask_verify.protocol.domain import Domain

#: Seconds that a worker has for an answer.
TIMEOUT = 30.0


class Future(Protocol):
    """A result that a domain was asked for; a `distributed.Future` is one.

    Attributes
    ----------
    key : key
        Under which tasks of its domain can use it.
    status : str
        ``"pending"``, ``"finished"``, ``"error"``, ``"lost"`` or ``"cancelled"``.
    """

    key: Key

    @property
    def status(self) -> str:
        """How far it is."""

    def add_done_callback(self, fn: Callable[[Any], Any]) -> None:
        """Call a function, in whatever thread, once there is a result or never will be one.

        Parameters
        ----------
        fn : callable
            The function; it gets this future.
        """

    def release(self) -> None:
        """Let the domain forget the result."""


class DomainPool(ABC):
    """The workers of several domains.

    Attributes
    ----------
    connected : bool
        Whether workers of one domain can fetch from workers of another.
    direct : bool, optional
        Whether this process, and others without a part in the job, may connect to the workers.
    publishes : bool, optional
        Whether `publish` tells anybody: only a scheduler that is no domain's own.
    in_force : mapping of str to tuple of str, optional
        What confines the process that reaches each domain, where it is not this one.
    """

    #: Whether workers of one domain can fetch from workers of another.
    connected: bool
    #: Whether this process, and others without a part in the job, may connect to the workers.
    direct: bool = True
    #: Whether `publish` tells anybody: only a scheduler that is no domain's own.
    publishes: bool = False
    #: What confines the process that reaches each domain, where it is not this one.
    in_force: Mapping[str, tuple[str, ...]] = MappingProxyType({})

    @property
    @abstractmethod
    def names(self) -> tuple[str, ...]:
        """Names of the domains, in the order in which they were given."""

    @property
    def places(self) -> Mapping[str, Hashable]:
        """What the workers of each domain are called, whatever pool they are in."""
        return {}

    @abstractmethod
    def workers(self) -> dict[str, list[str]]:
        """Return the addresses of every domain's workers at this moment.

        Returns
        -------
        dict of str to list of str
        """

    @abstractmethod
    def submit(
        self,
        domain: str,
        graph: Mapping[Key, GraphNode],
        keys: Sequence[Key],
        retries: int = 0,
        priority: int = 0,
    ) -> Mapping[Key, Future]:
        """Start computing some keys of a graph in one domain.

        Parameters
        ----------
        domain : str
            Where.
        graph : mapping of key to GraphNode
            What, under keys that no other submission uses.
        keys : sequence of key
            Which results are wanted.
        retries : int
            How often Dask may try a failing task again.
        priority : int
            Tasks with a higher one start before those that are waiting already.

        Returns
        -------
        dict of key to Future
            To be released by the caller.
        """

    @abstractmethod
    def results(self, landings: Sequence[tuple[str, Any]]) -> Iterable[bytes | BaseException]:
        """Return what futures hold that are done: bytes, or why there are none.

        Parameters
        ----------
        landings : sequence of (str, Future)
            Each with its domain.

        Returns
        -------
        iterable of bytes or BaseException
        """

    @abstractmethod
    def scatter(
        self, domain: str, data: bytes, hint: str = "verify-data", *, timeout: float = TIMEOUT
    ) -> Future:
        """Put bytes into the memory of one of a domain's workers.

        The key starts with `hint` and may be used in that domain. Lost with the worker.

        Parameters
        ----------
        domain : str
            Name of the domain.
        data : bytes
            The bytes.
        hint : str, optional
            Beginning of the key.
        timeout : float, optional
            Seconds that it may take.

        Returns
        -------
        Future

        Raises
        ------
        OSError
            If the domain has no worker now, or the one that is to hold them does not answer.
        """

    @abstractmethod
    def call(
        self, address: str, domain: str, op: str, *, timeout: float = TIMEOUT, **msg: Any
    ) -> Any:
        """Ask one worker, through its scheduler, and return its answer.

        Parameters
        ----------
        address, domain : str
            Which worker, and of which domain.
        op : str
            Name of the handler, such as ``"verify_open"``.
        timeout : float
            Seconds to wait.
        **msg
            Arguments of the handler: plain values.

        Returns
        -------
        plain value
            Lists arrive as tuples. None also if the worker has no such handler.

        Raises
        ------
        OSError
            If the worker is gone, fails, is late, or answers with anything but plain values.
        """

    @abstractmethod
    def broadcast(self, op: str, *, timeout: float = TIMEOUT, **msg: Any) -> dict[str, Any]:
        """Ask all workers of all domains, and return the answers of those who gave one.

        Parameters
        ----------
        op : str
            Name of a worker's handler.
        timeout : float, optional
            Seconds that a worker has.
        **msg : object
            Arguments of the handler.

        Returns
        -------
        dict of str to object
        """

    def publish(self, notice: Mapping[str, Any], timeout: float) -> None:
        """Tell the domains' scheduler, for its dashboard, how a job is.

        Parameters
        ----------
        notice : mapping
            A summary of `Teller`.
        timeout : float
            Seconds to wait.

        Raises
        ------
        ConnectionError
            If it cannot be told: where each domain has its own, it would learn about the others.
        OSError
            If it does not answer.
        """
        raise ConnectionError("a scheduler that is a domain's own is told nothing of a job")

    @abstractmethod
    def cancel(self, futures: Iterable[Any]) -> None:
        """Stop waiting for results; what is not running yet never will.

        Parameters
        ----------
        futures : iterable
            The futures.
        """

    @abstractmethod
    def close(self) -> None:
        """Close what belongs to the pool; the clients that it was given stay open."""

    def __enter__(self) -> DomainPool:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def _known(self, domain: str) -> str:
        if domain not in self.names:
            raise InputError(f"no domain {domain!r} in this pool, only {one_of(self.names)}")
        return domain


def names_of(domains: Iterable[Domain | str]) -> tuple[str, ...]:
    """Return the names of domains.

    Parameters
    ----------
    domains : iterable of Domain or str
        Domains, or their names.

    Returns
    -------
    tuple of str

    Raises
    ------
    InputError
        If there is none, or two have the same.

    Examples
    --------
    >>> names_of(["alice", "bob"])
    ('alice', 'bob')
    """
    names = tuple(domain if isinstance(domain, str) else domain.name for domain in domains)
    if not names or len(set(names)) < len(names):
        raise InputError(f"expected at least one domain, all with distinct names, got {names}")
    return names


def check_workers(workers: Mapping[str, Sequence[str]]) -> None:
    """Refuse domains without a worker.

    Parameters
    ----------
    workers : mapping of str to sequence of str
        Addresses of workers, by domain.

    Raises
    ------
    InputError
        If there is one.
    """
    empty = [name for name, addresses in workers.items() if not addresses]
    if empty:
        raise InputError(
            f"no worker of domain {one_of(empty)}: start one, on a shared scheduler with "
            "resources={'domain:NAME': 1} or the preload dask_verify.worker, and wait for it; "
            "the scheduler's log names workers that did not prove the key of their domain"
        )
