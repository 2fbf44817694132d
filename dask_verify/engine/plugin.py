"""The scheduler's side: tasks of one domain never run on the workers of another.

What holds:

* A worker claims the domain that its resources name (``domain:NAME``) when it arrives. No such
  resource, or several, means no domain, and no verified work.
* Where the plugin knows the enrolled domains, a worker belongs to the one that it claims from the
  moment in which it proved that domain's key (`dask_verify.engine.membership`), until it leaves.
* A task submitted under ``dask.annotate(verify_domain=NAME)`` runs only on workers of that
  domain: also after work stealing, retries and lost workers, and on workers that come later.
* A domain without workers keeps its tasks waiting; they never run elsewhere.

Without the enrolled domains a claim is enough: a hint, for a network where nobody lies. In both
cases a stock scheduler can be taken over by those who may connect to it, so give each domain a
scheduler of its own where domains may attack the cluster software.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from typing import TYPE_CHECKING, Any

from distributed.diagnostics.plugin import SchedulerPlugin

from dask_verify.engine.compat import let_clients_return, offer_waiting
from dask_verify.engine.dashboard.facts import gather_facts
from dask_verify.engine.dashboard.installing import install
from dask_verify.engine.dashboard.noticeboard import Noticeboard
from dask_verify.engine.membership import Doorkeeper
from dask_verify.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from distributed.scheduler import Scheduler

    from dask_verify.protocol.domain import Domain

ANNOTATION = "verify_domain"
HINT = "domain:"
NAME = "dask-verify-domains"
# An address that no worker can have: Dask takes an empty set of addresses for "anywhere".
NOWHERE = "tcp://0.0.0.0:0"


class DomainPlugin(SchedulerPlugin):  # type: ignore[misc]
    """Keep every annotated task on the workers of its domain, and note who computed it.

    Parameters
    ----------
    history : int
        For how many of the latest tasks the executing worker is remembered.
    domains : iterable of Domain, optional
        The enrolled domains: workers have to prove the keys of these, and there are no others.
        Without them a worker is believed to be of the domain that it claims.
    addresses : iterable of str, optional
        Under which workers reach the scheduler, besides those that it has itself: of a proxy or
        load balancer in front of it, say. Only with `domains`.
    separated : bool
        Whether workers of different domains cannot reach each other, because neither trusts the
        other's certificates, say. The coordinator then relays what one reads from another.

    Raises
    ------
    InputError
        If `domains` is empty, or two of them have the same name; or an address is none.

    Notes
    -----
    A scheduler takes one such plugin. Dask ignores a second without `domains`; one with `domains`
    raises, because the scheduler would go on believing whom it believed before.

    Examples
    --------
    >>> DomainPlugin().domains()
    {}
    """

    name = NAME

    def __init__(
        self,
        history: int = 100_000,
        domains: Iterable[Domain] | None = None,
        addresses: Iterable[str] = (),
        separated: bool = False,
    ) -> None:
        self._separated = separated
        self._history = history
        # Dask drops an idempotent plugin without a word where there is one of that name.
        self.idempotent = domains is None
        self._door = None if domains is None else Doorkeeper(domains, self._admit, addresses)
        self._allowed: dict[str, set[str]] = {}
        self._domain_of: dict[str, str] = {}
        self._seen: dict[str, None] = {}
        self._executors: OrderedDict[Any, tuple[str, str | None]] = OrderedDict()
        self._board = Noticeboard()
        self._scheduler: Any = None

    async def start(self, scheduler: Scheduler) -> None:
        """Take in the workers that are there already, and answer questions of clients.

        Parameters
        ----------
        scheduler : Scheduler
            The scheduler that it runs in.

        Raises
        ------
        InputError
            If the scheduler has such a plugin already.
        """
        others = (plugin for plugin in scheduler.plugins.values() if plugin is not self)
        if any(isinstance(plugin, DomainPlugin) for plugin in others):
            raise InputError(
                "expected a scheduler without a DomainPlugin, got one that has it, and keeps"
                " believing whom it believed before; start the scheduler anew, with the domains"
            )
        self._scheduler = scheduler
        if self._door is not None:
            self._door.start(scheduler)
        for address in list(scheduler.workers):
            self.add_worker(scheduler, address)
        let_clients_return(scheduler)
        scheduler.handlers["verify_domains"] = self.domains
        scheduler.handlers["verify_settled"] = self.settled
        scheduler.handlers["verify_separated"] = self.separated
        scheduler.handlers["verify_provenance"] = self.provenance
        scheduler.handlers["verify_publish"] = self.publish
        install(scheduler, NAME)

    def add_worker(self, scheduler: Scheduler, worker: str) -> None:
        """Give a new worker its domain, for good, or ask it to prove that it is of this domain.

        Parameters
        ----------
        scheduler : Scheduler
            The scheduler that it runs in.
        worker : str
            Address of the worker.
        """
        domain = claimed_domain(scheduler.workers[worker].resources)
        if domain is not None and self._door is None:
            self._admit(worker, domain)
        elif domain is not None and self._door is not None:
            # Not awaited: a worker answers nobody before it is told that it is registered.
            self._door.challenge(worker, domain)

    def remove_worker(self, scheduler: Scheduler, worker: str, **kwargs: Any) -> None:
        """Forget a worker that left; if it comes again, it has to prove its key again.

        Parameters
        ----------
        scheduler : Scheduler
            The scheduler that it runs in.
        worker : str
            Address of the worker.
        **kwargs : object
            What Dask passes besides, and is not used.
        """
        if self._door is not None:
            self._door.forget(worker)
        domain = self._domain_of.pop(worker, None)
        if domain is not None:
            self._addresses(domain).discard(worker)

    def update_graph(
        self, scheduler: Scheduler, *, annotations: dict[str, dict[Any, Any]], **kwargs: Any
    ) -> None:
        """Bind annotated tasks to their domain, before any of them can start.

        Parameters
        ----------
        scheduler : Scheduler
            The scheduler that it runs in.
        annotations : dict of str to dict
            Annotations of the graph's tasks, by kind and key.
        **kwargs : object
            What Dask passes besides, and is not used.
        """
        for key, domain in annotations.get(ANNOTATION, {}).items():
            task = scheduler.tasks[key]
            # The set itself, not a copy: workers that come later are in it too.
            task.worker_restrictions = self._addresses(str(domain))
            task.host_restrictions = None
            task.loose_restrictions = False

    def transition(
        self, key: Any, start: str, finish: str, *args: Any, worker: str = "", **kwargs: Any
    ) -> None:
        """Note which worker finished an annotated task.

        Parameters
        ----------
        key : object
            Key of the task.
        start, finish : str
            Its states before and after.
        worker : str, optional
            Address of the worker.
        *args : object
            What Dask passes besides, and is not used.
        **kwargs : object
            What Dask passes besides, and is not used.
        """
        if start != "processing" or finish != "memory":
            return
        task = self._scheduler.tasks.get(key)
        if task is None or ANNOTATION not in (task.annotations or {}):
            return
        self._executors[key] = (worker, self._domain_of.get(worker))
        self._executors.move_to_end(key)
        while len(self._executors) > self._history:
            self._executors.popitem(last=False)

    def domains(self) -> dict[str, list[str]]:
        """Return the addresses of every domain's workers; empty lists for lost domains.

        Returns
        -------
        dict of str to list of str

        Examples
        --------
        >>> DomainPlugin().domains()
        {}
        """
        return {name: self._members(name) for name in sorted(self._seen)}

    def separated(self) -> bool:
        """Return whether workers of different domains cannot reach each other.

        Returns
        -------
        bool

        Examples
        --------
        >>> DomainPlugin(separated=True).separated()
        True
        """
        return self._separated

    async def settled(self, everybody: bool = False) -> dict[str, list[str]]:
        """Return what `domains` does, once each claimed domain has a member, or none in time.

        With `everybody`, once every worker that came has proved its key, or not in time.

        Parameters
        ----------
        everybody : bool, optional
            Whether to wait for the proof of every worker that came.

        Returns
        -------
        dict of str to list of str

        Examples
        --------
        >>> import asyncio
        >>> asyncio.run(DomainPlugin().settled())
        {}
        """
        if self._door is not None:
            await self._door.settled(everybody is True)
        return self.domains()

    async def close(self) -> None:
        """Stop waiting for proofs."""
        if self._door is not None:
            await self._door.close()

    def provenance(self, keys: Iterable[Any]) -> list[tuple[str, str | None] | None]:
        """Return who computed each key: address and domain, or None for keys not remembered.

        Parameters
        ----------
        keys : iterable
            The keys.

        Returns
        -------
        list of tuple of (str, str or None) or None

        Examples
        --------
        >>> DomainPlugin().provenance(["a key that no worker has finished"])
        [None]
        """
        return [self._executors.get(key) for key in keys]

    def publish(self, notice: Any = None) -> str:
        """Take a coordinator's word of its job, for the dashboard; return what is wrong with it.

        Whoever reaches the scheduler may say so: it is shown to people, and decides nothing.

        Parameters
        ----------
        notice : object
            Whatever arrived; what `read_notice` takes is kept.

        Returns
        -------
        str
            Empty if it was kept.

        Examples
        --------
        >>> DomainPlugin().publish({"version": 1})
        "notice: expected a dict of 9 fields, got ['version']"
        """
        try:
            self._board.put(notice, self._known(), time.time())
        except InputError as error:
            return str(error)
        return ""

    def facts(self) -> dict[str, Any]:
        """Return what the dashboard shows; docs/dashboard.md says what each field means.

        Returns
        -------
        dict
            JSON-like values.

        Examples
        --------
        >>> facts = DomainPlugin().facts()
        >>> facts["domains"], facts["jobs"]
        ({}, [])
        """
        workers = {name: self._members(name) for name in self._known()}
        return gather_facts(self._scheduler, workers, self._board, ANNOTATION)

    def _known(self) -> list[str]:
        """Return the names of the enrolled domains, or of those that workers have claimed."""
        return list(self._seen) if self._door is None else list(self._door.names)

    def _members(self, domain: str) -> list[str]:
        return sorted(self._allowed.get(domain, {NOWHERE}) - {NOWHERE})

    def _admit(self, worker: str, domain: str) -> None:
        self._domain_of[worker] = domain
        self._seen[domain] = None
        self._addresses(domain).add(worker)
        if self._door is not None:
            # Dask offered it the tasks that wait when it came, and it might do none of them yet.
            offer_waiting(self._scheduler, worker)

    def _addresses(self, domain: str) -> set[str]:
        return self._allowed.setdefault(domain, {NOWHERE})


def claimed_domain(resources: Iterable[str]) -> str | None:
    """Return the one domain that a worker's resources name, else None.

    Parameters
    ----------
    resources : iterable of str
        Names of the worker's resources.

    Returns
    -------
    str or None

    Examples
    --------
    >>> claimed_domain({"domain:alice": 1, "GPU": 2})
    'alice'
    >>> claimed_domain({"domain:alice": 1, "domain:bob": 1}) is None
    True
    """
    names = [str(hint)[len(HINT) :] for hint in resources if str(hint).startswith(HINT)]
    return names[0] if len(names) == 1 and names[0] else None
