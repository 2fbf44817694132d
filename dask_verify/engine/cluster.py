"""Several domains on one machine: to rehearse, to learn and to test.

What holds:

* Every domain has worker processes of its own, under a hash seed of its own, and a throw-away
  signing key. A key is handed over when the process is spawned; it never passes a scheduler, and
  no other domain's process receives it. Workers prove it to their scheduler.
* ``shared=True`` puts all domains on one scheduler, ``shared=False`` gives each its own.
* A saboteur lives in a file of its domain, so it can be swapped while the cluster runs.

The processes all belong to one user of one machine, so this separates nobody from an attacker.

As with any cluster of local processes, a script has to start it under
``if __name__ == "__main__":``, because every worker process imports the script again.
"""

from __future__ import annotations

import logging
import os
import secrets
import signal
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from distributed import Client, Scheduler
from distributed.system import MEMORY_LIMIT
from distributed.utils import silence_logging_cmgr

from dask_verify.engine.cluster_arguments import (
    check_count,
    check_not_spawned,
    check_saboteur,
    checked_names,
    first_cause,
)
from dask_verify.engine.compat import (
    DomainCluster,
    DomainNanny,
    DomainWorker,
    correct_state,
    unheard,
)
from dask_verify.engine.courier.remote import Remote
from dask_verify.engine.enrolment import enrol
from dask_verify.engine.plugin import HINT, NAME, DomainPlugin
from dask_verify.errors import InputError, one_of
from dask_verify.protocol.domain import COORDINATOR, Domain, Identity, environment

if TYPE_CHECKING:
    from types import TracebackType

_SHARED = "all domains"


class LocalDomainCluster:
    """Domains as groups of local worker processes.

    Parameters
    ----------
    domains : sequence of str
        Distinct names.
    n_workers : int
        Worker processes per domain.
    shared : bool
        One scheduler for all domains, or one for each.
    saboteurs : mapping of str to Saboteur, optional
        What is wrong with a domain from the start, see `dask_verify.testing`.
    threads_per_worker : int
        Threads of each worker process.
    memory_limit : int, str or None
        Memory of each worker process as Dask takes it; ``"auto"`` shares the machine evenly.
    dashboard_address : str or None
        Where the dashboard of each scheduler listens; None means no dashboard.

    Attributes
    ----------
    domains : tuple of Domain
        Names, public keys and environments of the domains.
    coordinator : Identity
        The throw-away key with which its clients sign what they vouch for.

    Raises
    ------
    InputError
        If a name is missing, repeated or one that a trust file refuses, a saboteur is none, or is
        for no domain, or a number is below one; nothing has been started then.

    Examples
    --------
    >>> with LocalDomainCluster(["alice", "bob"]) as cluster:      # doctest: +SKIP
    ...     client = cluster.get_client()
    """

    def __init__(
        self,
        domains: Sequence[str],
        n_workers: int = 1,
        shared: bool = True,
        saboteurs: Mapping[str, Any] | None = None,
        threads_per_worker: int = 1,
        memory_limit: int | str | None = "auto",
        dashboard_address: str | None = ":0",
    ) -> None:
        saboteurs = dict(saboteurs or {})
        names = checked_names(domains, saboteurs)
        check_count("n_workers", n_workers)
        check_count("threads_per_worker", threads_per_worker)
        check_not_spawned()
        self._shared = shared
        self._identities = _identities(names)
        self._seeds = {name: secrets.randbelow(2**31) + 1 for name in names}
        self._threads, self._dashboard = threads_per_worker, dashboard_address
        self._memory = _memory(memory_limit, len(names) * n_workers)
        self.domains = _domains(self._identities)
        self.coordinator = Identity.generate(COORDINATOR)
        self._clusters: dict[str, DomainCluster] = {}
        self._clients: dict[str, Client] = {}
        self._remotes: dict[str, Remote] = {}
        self._closed = False
        with ExitStack() as stack:
            # Once around everything: schedulers that close one by one would each undo it.
            stack.enter_context(silence_logging_cmgr(logging.WARNING))
            self._folder = Path(
                stack.enter_context(tempfile.TemporaryDirectory(prefix="dask-verify-"))
            )
            stack.callback(self._stop)
            for name, saboteur in saboteurs.items():
                self.sabotage(name, saboteur)
            self._start(n_workers)
            self._exit = stack.pop_all()

    def get_client(self) -> Client | dict[str, Client]:
        """Return the client of the shared scheduler, or a dict of one client for each domain.

        The same client every time, closed together with the cluster. A shared one is also Dask's
        current client.

        Returns
        -------
        Client or dict of str to Client

        Raises
        ------
        InputError
            If the cluster is closed.

        Examples
        --------
        >>> client = cluster.get_client()  # doctest: +SKIP
        """
        self._check_open()
        for group, cluster in self._clusters.items():
            client = self._clients.get(group)
            if client is None or client.status in ("closed", "closing"):
                self._clients[group] = self._connect(group, cluster)
        return self._clients[_SHARED] if self._shared else dict(self._clients)

    def get_remotes(self) -> dict[str, Remote]:
        """Return where couriers reach the domains' schedulers, of which each has its own.

        Returns
        -------
        dict of str to Remote

        Raises
        ------
        InputError
            If all domains share one scheduler, or the cluster is closed.

        Examples
        --------
        >>> with LocalDomainCluster(["alice", "bob"], shared=False) as cluster:  # doctest: +SKIP
        ...     job = verified_map_reduce(lines, words, total, client=cluster.get_remotes())
        """
        if self._shared:
            raise InputError("couriers are for a scheduler of each domain: pass shared=False")
        self._check_open()
        for domain in self.domains:
            if domain.name not in self._remotes:
                remote = Remote(self._clusters[domain.name].scheduler_address)
                enrol(remote, [domain], coordinator=self.coordinator)
                self._remotes[domain.name] = remote
        return dict(self._remotes)

    def write_trust(self, path: str | os.PathLike[str]) -> None:
        """Write the trust file of the throw-away keys, in place of a file that is there.

        With it a receipt of a job on this cluster can be checked, as long as anybody cares.

        Parameters
        ----------
        path : str or path
            Path of the file.

        Raises
        ------
        TrustError
            If the file cannot be written.

        Examples
        --------
        >>> cluster.write_trust("domains.toml")  # doctest: +SKIP
        >>> dask_verify.load("means.parquet", trust="domains.toml")  # doctest: +SKIP
        """
        from dask_verify.evidence.enrolment.trust import Entry, Trust, save_trust

        entries = tuple(
            Entry(d.name, d.public_key, environment=d.environment) for d in self.domains
        )
        save_trust(path, Trust(entries, Entry(COORDINATOR, self.coordinator.public_key)))

    def sabotage(self, domain: str, saboteur: Any | None) -> None:
        """Put a saboteur into a domain, or remove it with None; it works from the next task on.

        Parameters
        ----------
        domain : str
            Name of the domain.
        saboteur : Saboteur or None
            The saboteur.

        Raises
        ------
        InputError
            If there is no such domain, or the saboteur is none, or a class, or cannot be pickled.

        Examples
        --------
        >>> from dask_verify.testing import Drop
        >>> cluster.sabotage("bob", Drop())  # doctest: +SKIP
        >>> cluster.sabotage("bob", None)  # doctest: +SKIP
        """
        check_saboteur(domain, saboteur)
        path = self._saboteur_path(domain)
        if saboteur is None:
            path.unlink(missing_ok=True)
            return
        # Readers see the old file or the new one, never half of it.
        draft = path.with_suffix(".new")
        draft.write_bytes(_pickled(saboteur))
        os.replace(draft, path)

    def add_worker(self, domain: str) -> str:
        """Start one more worker process in a domain and return the worker's name.

        It is a member of the domain when this returns.

        Parameters
        ----------
        domain : str
            Name of the domain.

        Returns
        -------
        str

        Examples
        --------
        >>> cluster.add_worker("bob")  # doctest: +SKIP
        'bob-1'
        """
        cluster = self._cluster(domain)
        taken = set(cluster.worker_spec)
        names = (f"{domain}-{i}" for i in range(len(taken) + 1))
        name = next(name for name in names if name not in taken)
        cluster.worker_spec[name] = self._worker(domain)
        cluster.sync(correct_state, cluster)
        _settle(cluster)
        return name

    def kill_worker(self, domain: str) -> str:
        """Kill one running worker process of a domain and return its address.

        Dask's nanny starts another process in its place, with nothing of the old one's memory.

        Parameters
        ----------
        domain : str
            Name of the domain.

        Returns
        -------
        str

        Examples
        --------
        >>> cluster.kill_worker("bob")  # doctest: +SKIP
        'tcp://127.0.0.1:41223'
        """
        return self._signal(domain, signal.SIGKILL, "kill")

    def pause_worker(self, domain: str) -> str:
        """Stop one running worker process of a domain in its tracks and return its address.

        Until `resume_worker` it neither works nor answers, and its scheduler does not know: a
        machine that hangs.

        Parameters
        ----------
        domain : str
            Name of the domain.

        Returns
        -------
        str

        Examples
        --------
        >>> cluster.pause_worker("bob")  # doctest: +SKIP
        >>> cluster.resume_worker("bob")  # doctest: +SKIP
        """
        return self._signal(domain, signal.SIGSTOP, "pause")

    def resume_worker(self, domain: str) -> None:
        """Let all worker processes of a domain go on that were paused.

        Parameters
        ----------
        domain : str
            Name of the domain.

        Examples
        --------
        >>> cluster.pause_worker("bob")  # doctest: +SKIP
        >>> cluster.resume_worker("bob")  # doctest: +SKIP
        """
        _resume(self._nannies(domain).values())

    def stop_domain(self, domain: str) -> None:
        """Stop every worker of a domain for good, without moving its data elsewhere.

        Parameters
        ----------
        domain : str
            Name of the domain.

        Examples
        --------
        >>> cluster.stop_domain("bob")  # doctest: +SKIP
        """
        cluster = self._cluster(domain)
        for name, nanny in self._nannies(domain).items():
            cluster.worker_spec.pop(name, None)
            cluster.sync(nanny.close)
            cluster.workers.pop(name, None)

    def close(self) -> None:
        """Close clients, workers and schedulers; closing twice does nothing.

        Examples
        --------
        >>> cluster = LocalDomainCluster(["alice", "bob"])  # doctest: +SKIP
        >>> cluster.close()  # doctest: +SKIP
        """
        self._closed = True
        self._exit.close()

    def __enter__(self) -> LocalDomainCluster:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        kind = "one scheduler" if self._shared else "a scheduler each"
        workers = sum(len(cluster.workers) for cluster in self._clusters.values())
        names = ", ".join(self._identities)
        return f"<LocalDomainCluster {names}: {kind}, {workers} workers>"

    def _start(self, n_workers: int) -> None:
        groups = self._groups()
        # What fails is raised: Dask would say it several times besides, with all tracebacks.
        with unheard(), ThreadPoolExecutor(len(groups)) as threads:
            starts = {
                group: threads.submit(self._start_group, names, n_workers)
                for group, names in groups.items()
            }
            try:
                wait(starts.values())
            finally:
                # Keep all that start, also after a Ctrl-C: what is kept is closed.
                for group, start in starts.items():
                    if start.exception() is None:
                        self._clusters[group] = start.result()
        for start in starts.values():
            start.result()

    def _groups(self) -> dict[str, list[str]]:
        names = list(self._identities)
        return {_SHARED: names} if self._shared else {name: [name] for name in names}

    def _start_group(self, names: list[str], n_workers: int) -> DomainCluster:
        workers = {f"{name}-{i}": self._worker(name) for name in names for i in range(n_workers)}
        scheduler = {"cls": Scheduler, "options": self._scheduler_options(names)}
        try:
            cluster = DomainCluster(workers=workers, scheduler=scheduler, name="LocalDomainCluster")
        except RuntimeError as error:
            raise RuntimeError(
                f"the workers of {one_of(names)} did not start: {first_cause(error)}. "
                'A script has to start the cluster under `if __name__ == "__main__":`'
            ) from error
        _settle(cluster)
        return cluster

    def _scheduler_options(self, names: Sequence[str]) -> dict[str, Any]:
        return {
            "host": "127.0.0.1",
            "port": 0,
            "dashboard": self._dashboard is not None,
            # There is a small HTTP server in any case, and its default port may be taken.
            "dashboard_address": self._dashboard or "127.0.0.1:0",
            "plugins": [DomainPlugin(domains=[d for d in self.domains if d.name in names])],
        }

    def _worker(self, domain: str) -> dict[str, Any]:
        from dask_verify.engine.worker import VerifyWorker

        plugin = VerifyWorker(
            domain,
            self._identities[domain].private_bytes(),
            saboteur_path=str(self._saboteur_path(domain)),
        )
        options = {
            "host": "127.0.0.1",
            "nthreads": self._threads,
            "memory_limit": self._memory,
            "resources": {f"{HINT}{domain}": 1},
            "env": {"PYTHONHASHSEED": str(self._seeds[domain])},
            "plugins": (plugin,),
            "worker_class": DomainWorker,
            "dashboard": False,
            "silence_logs": logging.WARNING,
        }
        return {"cls": DomainNanny, "options": options}

    def _connect(self, group: str, cluster: DomainCluster) -> Client:
        client = Client(cluster, set_as_default=self._shared)
        domains = [d for d in self.domains if group in (_SHARED, d.name)]
        enrol(client, domains, coordinator=self.coordinator)
        return client

    def _cluster(self, domain: str) -> DomainCluster:
        self._check_known(domain)
        return self._clusters[_SHARED if self._shared else domain]

    def _signal(self, domain: str, number: int, what: str) -> str:
        for nanny in self._nannies(domain).values():
            if nanny.pid is not None:
                address = str(nanny.worker_address)
                os.kill(nanny.pid, number)
                return address
        raise InputError(f"domain {domain!r} has no running worker to {what}: add one first")

    def _nannies(self, domain: str) -> dict[str, DomainNanny]:
        hint = f"{HINT}{domain}"
        workers = self._cluster(domain).workers
        return {name: n for name, n in workers.items() if hint in (n.resources or {})}

    def _saboteur_path(self, domain: str) -> Path:
        self._check_known(domain)
        return self._folder / f"saboteur-{list(self._identities).index(domain)}.pickle"

    def _check_known(self, domain: str) -> None:
        if domain not in self._identities:
            raise InputError(f"no domain {domain!r} here, only {one_of(self._identities)}")
        self._check_open()

    def _check_open(self) -> None:
        if self._closed:
            raise InputError(
                "expected a cluster that runs, got one that is closed: start another, and do what"
                " needs it before its `with` ends or close() is called"
            )

    def _stop(self) -> None:
        # Whatever breaks off now is closed; nobody has to be warned of it.
        with unheard():
            self._stop_all()

    def _stop_all(self) -> None:
        for cluster in self._clusters.values():
            _resume(cluster.workers.values())  # what is paused ends only if it is killed
        for client in self._clients.values():
            client.close()
        if self._clusters:
            with ThreadPoolExecutor(len(self._clusters)) as threads:
                list(threads.map(lambda cluster: cluster.close(), self._clusters.values()))
        self._clients.clear()
        self._clusters.clear()


def _identities(names: Sequence[str]) -> dict[str, Identity]:
    return {name: Identity.generate(name) for name in names}


def _domains(identities: Mapping[str, Identity]) -> tuple[Domain, ...]:
    here = environment()
    return tuple(Domain(name, key.public_key, here) for name, key in identities.items())


def _resume(nannies: Iterable[DomainNanny]) -> None:
    for nanny in nannies:
        if nanny.pid is not None:
            with suppress(ProcessLookupError):  # it has just died, and is started again
                os.kill(nanny.pid, signal.SIGCONT)


def _settle(cluster: DomainCluster) -> None:
    """Wait until the workers that are there have proved their keys, at most for a deadline."""
    cluster.sync(cluster.scheduler.plugins[NAME].settled, everybody=True)


def _memory(limit: int | str | None, workers: int) -> int | str | None:
    return MEMORY_LIMIT // workers if limit == "auto" else limit


def _pickled(saboteur: Any) -> bytes:
    import cloudpickle

    try:
        return bytes(cloudpickle.dumps(saboteur))
    except Exception as error:
        raise InputError(f"saboteur {saboteur!r} cannot be pickled: {error}") from error
