"""The scheduler's side: tasks of one domain never run on the workers of another.

What holds:

* A worker belongs to the domain that its resources named (``domain:NAME``) when it arrived. No
  such resource, or several, means no domain, and no verified work.
* A task submitted under ``dask.annotate(verify_domain=NAME)`` runs only on workers of that
  domain: also after work stealing, retries and lost workers, and on workers that come later.
* A domain without workers keeps its tasks waiting; they never run elsewhere.

A worker's resources are its own claim. On a network where workers may lie about them, give each
domain a scheduler of its own.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, Any

from distributed.diagnostics.plugin import SchedulerPlugin

if TYPE_CHECKING:
    from collections.abc import Iterable

    from distributed.scheduler import Scheduler

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

    Examples
    --------
    >>> DomainPlugin().domains()
    {}
    """

    name = NAME
    idempotent = True

    def __init__(self, history: int = 100_000) -> None:
        self._history = history
        self._allowed: dict[str, set[str]] = {}
        self._domain_of: dict[str, str] = {}
        self._seen: dict[str, None] = {}
        self._executors: OrderedDict[Any, tuple[str, str | None]] = OrderedDict()
        self._scheduler: Any = None

    async def start(self, scheduler: Scheduler) -> None:
        """Take in the workers that are there already, and answer questions of clients."""
        self._scheduler = scheduler
        for address in list(scheduler.workers):
            self.add_worker(scheduler, address)
        scheduler.handlers["verify_domains"] = self.domains
        scheduler.handlers["verify_provenance"] = self.provenance

    def add_worker(self, scheduler: Scheduler, worker: str) -> None:
        """Give a new worker its domain, for good."""
        domain = claimed_domain(scheduler.workers[worker].resources)
        if domain is not None:
            self._domain_of[worker] = domain
            self._seen[domain] = None
            self._addresses(domain).add(worker)

    def remove_worker(self, scheduler: Scheduler, worker: str, **kwargs: Any) -> None:
        """Forget a worker that left."""
        domain = self._domain_of.pop(worker, None)
        if domain is not None:
            self._addresses(domain).discard(worker)

    def update_graph(
        self, scheduler: Scheduler, *, annotations: dict[str, dict[Any, Any]], **kwargs: Any
    ) -> None:
        """Bind annotated tasks to their domain, before any of them can start."""
        for key, domain in annotations.get(ANNOTATION, {}).items():
            task = scheduler.tasks[key]
            # The set itself, not a copy: workers that come later are in it too.
            task.worker_restrictions = self._addresses(str(domain))
            task.host_restrictions = None
            task.loose_restrictions = False

    def transition(
        self, key: Any, start: str, finish: str, *args: Any, worker: str = "", **kwargs: Any
    ) -> None:
        """Note which worker finished an annotated task."""
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
        """Return the addresses of every domain's workers; empty lists for lost domains."""
        return {name: sorted(self._allowed[name] - {NOWHERE}) for name in sorted(self._seen)}

    def provenance(self, keys: Iterable[Any]) -> list[tuple[str, str | None] | None]:
        """Return who computed each key: address and domain, or None for keys not remembered."""
        return [self._executors.get(key) for key in keys]

    def _addresses(self, domain: str) -> set[str]:
        return self._allowed.setdefault(domain, {NOWHERE})


def claimed_domain(resources: Iterable[str]) -> str | None:
    """Return the one domain that a worker's resources name, else None.

    Examples
    --------
    >>> claimed_domain({"domain:alice": 1, "GPU": 2})
    'alice'
    >>> claimed_domain({"domain:alice": 1, "domain:bob": 1}) is None
    True
    """
    names = [str(hint)[len(HINT) :] for hint in resources if str(hint).startswith(HINT)]
    return names[0] if len(names) == 1 and names[0] else None
