"""Building what is submitted: copies of the upstream graph with verified tasks on top."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from itertools import count
from threading import Lock
from typing import TYPE_CHECKING, Any

from dask.typing import Key

from dask_verify.core.canonical import encode
from dask_verify.core.seal import Commitment, Opening, digest
from dask_verify.engine import compat
from dask_verify.engine.domainpool import Future
from dask_verify.engine.graphs import Upstream, copy_for, renamed
from dask_verify.engine.reader import GoneError, ReplacedError
from dask_verify.engine.tasks import Order, run_audit, run_map, run_read, run_reduce
from dask_verify.execution.work import Shipped
from dask_verify.protocol.messages import MAP, READ, REDUCE, Challenge, Run, StartReduce, Task

if TYPE_CHECKING:
    from dask_verify.engine.driver import Driver


_FLUSH = 0.5  #: seconds between messages to workers about inputs that they may drop
_EPOCH = 10**12  #: attempts that nobody makes before a job is taken up again
_AUDIT_PRIORITY = 1  #: for Dask: above that of what waits in a window


def _bytes(data: bytes) -> bytes:
    return data


def _release(blob: Future, _: Future) -> None:
    blob.release()


def _packed(openings: list[Opening]) -> bytes:
    """Encode openings, letting go of each: they may take much memory."""
    openings.reverse()
    return encode(tuple(openings.pop().to_bytes() for _ in range(len(openings))))


def _priority(audit: bool) -> int:
    """Return the priority of an audit: inputs are held for it, so it does not queue."""
    return _AUDIT_PRIORITY if audit else 0


class Launcher:
    """Submits tasks of one job.

    Parameters
    ----------
    driver : Driver
        Whose pool, reader and state are used.
    source : Upstream
    shipped : Shipped
    epoch : int
        How often the job was taken up before: what was submitted then may still be there.
    """

    def __init__(self, driver: Driver, source: Upstream, shipped: Shipped, epoch: int = 0) -> None:
        self._driver, self._source, self._shipped = driver, source, shipped
        self._job = driver.plan.job
        self._held: dict[Key, Future] = {}
        self._attempts = count(epoch * _EPOCH + 1)
        self._released: dict[tuple[str, str], list[int]] = defaultdict(list)
        self._telling: set[tuple[str, str]] = set()
        self._flushed = 0.0
        self._maps: dict[bytes, tuple[Commitment, ...]] = {}
        self._rounds: dict[bytes, int] = {}
        self._relaying: dict[str, Lock] = {}

    def maps(self, domain: str, runs: list[Run]) -> list[Future]:
        """Submit map tasks of one domain as one graph, audits as another; return their futures.

        Parameters
        ----------
        domain : str
            Name of the domain.
        runs : list of Run
            The tasks.

        Returns
        -------
        list of Future
        """
        functions = compat.TaskRef(self._constant(domain, "functions", self._shipped.data))
        graphs: dict[bool, dict[Key, Any]] = defaultdict(dict)
        keys: list[Key] = []
        for run in runs:
            key = self._name(run.domain, *run.task)
            data, reading = self._reading(domain, run.task.partition)
            order = self._order(run, audit=run.audit)
            task = compat.Task(key, run_map, order, functions, data)
            graphs[run.audit] |= compat.joined(reading, task)
            keys.append(key)
        return self._submitted(domain, graphs, keys)

    def read(self, challenge: Challenge) -> Future:
        """Submit the reading of one input partition, to be compared with another domain's.

        Parameters
        ----------
        challenge : Challenge
            The challenge.

        Returns
        -------
        Future
        """
        data, graph = self._reading(challenge.domain, challenge.task.partition)
        return self._audit(challenge, READ, graph, run_read, data)

    def audit(self, challenge: Challenge, asked: bytes) -> Future:
        """Submit the recomputation of single units.

        Parameters
        ----------
        challenge : Challenge
            Of which partition, and by whom.
        asked : bytes
            The units and what they are computed from, as `tasks.run_audit` takes them.

        Returns
        -------
        Future
        """
        stage = challenge.task.stage
        return self._audit(challenge, f"audit-{stage}", {}, partial(run_audit, stage), asked)

    def reduces(self, domain: str, wanted: list[tuple[Run, bool]]) -> list[Future]:
        """Submit reduce tasks of one domain, as `maps` does.

        Parameters
        ----------
        domain : str
        wanted : list of (Run, bool)
            With whether all their sections are relayed; those out of the domain's reach always are.

        Returns
        -------
        list of Future

        Raises
        ------
        UnservedError
            If what one of them reads is not served; then none of them is submitted.
        GoneError
            If another stage was started meanwhile.
        """
        functions = compat.TaskRef(self._constant(domain, "functions", self._shipped.data))
        tables = {i: self._table(domain, i) for i in {run.inputs for run, _ in wanted}}
        blobs = [self._relayed(run, relay) for run, relay in wanted]
        for inputs in tables:
            self.sources(inputs)  # reading may have taken long
        graphs: dict[bool, dict[Key, Any]] = defaultdict(dict)
        keys: list[Key] = []
        for (run, _), blob in zip(wanted, blobs, strict=True):
            key = self._name(domain, *run.task)
            data = tables[run.inputs]
            table = compat.TaskRef(self._constant(domain, "table", data))
            order = self._order(run, digest("table", data), run.audit)
            relayed = compat.TaskRef(blob.key) if blob else encode(())
            task = compat.Task(key, run_reduce, order, functions, table, relayed)
            graphs[run.audit][key] = task
            keys.append(key)
        futures = self._submitted(domain, graphs, keys)
        for future, blob in zip(futures, blobs, strict=True):
            if blob is not None:
                future.add_done_callback(partial(_release, blob))
        return futures

    def started(self, start: StartReduce) -> None:
        """Note what the inputs of the reduce stage stand for.

        Parameters
        ----------
        start : StartReduce
            What was accepted of the map stage.
        """
        self._maps = {start.inputs: start.maps}
        self._rounds[start.inputs] = next(self._attempts)

    def sources(self, inputs: bytes) -> tuple[Commitment, ...]:
        """Return the map commitments that a reduce stage was started with.

        Parameters
        ----------
        inputs : bytes
            Digest of what the task is assigned.

        Returns
        -------
        tuple of Commitment

        Raises
        ------
        GoneError
            If another one was started since.
        ReplacedError
            If one of them is not accepted now: its holders may be others, or hold other bytes.
        """
        maps = self._maps.get(inputs)
        if maps is None:
            raise GoneError(Task(REDUCE, 0))
        for commitment in maps:
            task = Task(MAP, commitment.partition)
            accepted = self._driver.state.accepted(task)
            if accepted is None or accepted.digest != commitment.digest:
                raise ReplacedError(task, inputs)
        return maps

    def ranges(self, partition: int, inputs: bytes) -> Iterator[tuple[Commitment, int, int]]:
        """Return, for every map partition, what a reduce partition reads of it.

        Parameters
        ----------
        partition : int
            Number of the reduce partition.
        inputs : bytes
            Digest of what the task is assigned.

        Yields
        ------
        tuple of (Commitment, int, int)
            A map commitment, with the range of its leaves.

        Raises
        ------
        GoneError, ReplacedError
            As `sources` does.
        """
        for commitment in self.sources(inputs):
            start, stop = self._driver.work.bounds(commitment.units)[partition]
            yield commitment, start, stop

    def release(self, task: Task) -> None:
        """Note that the holders of a map partition will not be asked for its unit inputs any more.

        Whoever computes it anew later is another holder, and keeps them until that is settled.

        Parameters
        ----------
        task : Task
            The map task.
        """
        if task.stage == MAP and self._driver.work.unit_records is not None:
            for holder in self._driver.reader.where(task):
                self._released[holder].append(task.partition)

    def flush(self) -> None:
        """Let workers drop the inputs that are not needed any more, many partitions at a time."""
        if self._released and time.monotonic() - self._flushed > _FLUSH:
            self._flushed = time.monotonic()
            # One message to each at a time: who does not answer holds up no more than that.
            for holder in [h for h in self._released if h not in self._telling]:
                self._telling.add(holder)
                told = (*holder, self._released.pop(holder))
                self._driver.beside(self._tell, told, holder[0])

    def _tell(self, told: tuple[str, str, list[int]]) -> None:
        domain, address, partitions = told
        what: dict[str, Any] = {"job": self._job, "stage": MAP, "partitions": partitions}
        seconds = self._driver.reader.pace.soon
        # A worker that is gone holds nothing; one that does not listen is told nothing any more,
        # or it would keep a thread waiting again and again.
        with suppress(OSError):
            self._driver.pool.call(address, domain, "verify_release", timeout=seconds, **what)
            self._telling.discard((domain, address))

    def close(self) -> None:
        """Release what is held on the workers."""
        for future in self._held.values():
            future.release()
        self._held.clear()

    # --- parts ---------------------------------------------------------------------------------

    def _submitted(
        self, domain: str, graphs: dict[bool, dict[Key, Any]], keys: list[Key]
    ) -> list[Future]:
        """Submit a graph of tasks and one of audits; return the futures of some keys."""
        futures: dict[Key, Future] = {}
        for audit, graph in graphs.items():
            own = [key for key in keys if key in graph]
            futures |= self._driver.pool.submit(domain, graph, own, priority=_priority(audit))
        return [futures[key] for key in keys]

    def _prefix(self, domain: str) -> str:
        return f"verify-{self._job.hex()[:16]}-{domain}"

    def _name(self, domain: str, what: str, partition: int) -> str:
        """Return a key that no other attempt has."""
        return f"{self._prefix(domain)}-{what}-{partition}-{next(self._attempts)}"

    def _order(self, run: Run | Challenge, table: bytes = b"", audit: bool = False) -> bytes:
        return Order(
            job=self._job,
            inputs=run.inputs,
            functions=self._shipped.digest,
            domain=run.domain,
            partition=run.task.partition,
            table=table,
            audit=audit,
            round=self._rounds.get(run.inputs, 0),
        ).to_bytes()

    def _reading(self, domain: str, partition: int) -> tuple[compat.TaskRef, dict[Key, Any]]:
        """Return where a domain finds an input partition, and its own copy of what produces it.

        The keys are the domain's own, and never those of another domain.
        """
        shared = self._shared(domain)
        part = self._source.partition(partition)
        graph = self._copy({k: n for k, n in part.items() if k not in shared}, domain)
        return compat.TaskRef(renamed(self._source.keys[partition], self._prefix(domain))), graph

    def _audit(
        self,
        challenge: Challenge,
        what: str,
        graph: dict[Key, Any],
        function: Callable[..., bytes],
        given: Any,
    ) -> Future:
        domain = challenge.domain
        functions = compat.TaskRef(self._constant(domain, "functions", self._shipped.data))
        key = self._name(domain, what, challenge.task.partition)
        order = self._order(challenge, audit=True)
        graph = compat.joined(graph, compat.Task(key, function, order, functions, given))
        return self._driver.pool.submit(domain, graph, [key], priority=_priority(True))[key]

    def _constant(self, domain: str, what: str, data: bytes) -> Key:
        """Give a domain some bytes once; return the key under which its tasks find them."""
        key = f"{self._prefix(domain)}-{what}-{digest(what, data).hex()[:16]}"
        if self._gone(key):
            graph = {key: compat.Task(key, _bytes, data)}
            self._held |= self._driver.pool.submit(domain, graph, [key])
        return key

    def _gone(self, key: Key) -> bool:
        """Whether a domain has to be given something that its tasks need: again, if it is lost."""
        held = self._held.get(key)
        return held is None or held.status in ("lost", "cancelled")

    def _shared(self, domain: str) -> frozenset[Key]:
        """Submit what several partitions need, once a domain, and hold it; return its keys."""
        shared = self._source.shared
        names = [renamed(key, self._prefix(domain)) for key in shared]
        if not names or not any(map(self._gone, names)):
            return shared
        below: dict[Key, Any] = {}
        stack = list(shared)
        while stack:
            key = stack.pop()
            if key in self._source.graph and key not in below:
                below[key] = self._source.graph[key]
                stack.extend(below[key].dependencies)
        self._held |= self._driver.pool.submit(domain, self._copy(below, domain), names)
        return shared

    def _copy(self, graph: dict[Key, Any], domain: str) -> dict[Key, Any]:
        inner = {renamed(k, self._prefix(domain)) for k in self._source.shared}
        copy = copy_for(graph, self._prefix(domain))
        return copy if not inner else self._linked(copy, domain)

    def _linked(self, copy: dict[Key, Any], domain: str) -> dict[Key, Any]:
        """Let a copy refer to the shared tasks of its own domain."""
        names = {
            key: compat.TaskRef(renamed(key, self._prefix(domain)))
            for key in self._source.shared
            if renamed(key, self._prefix(domain)) not in copy
        }
        return {key: node.substitute(names) for key, node in copy.items()}

    def _table(self, domain: str, inputs: bytes) -> bytes:
        """Return the commitments behind some inputs with the holders that a domain can reach.

        An address is a claim of whoever answered: only those of its domain's workers are told.
        """
        workers = self._driver.pool.workers()
        rows = []
        for commitment in self.sources(inputs):
            reachable = [
                h
                for h in self._driver.reader.where(Task(MAP, commitment.partition))
                if self._near(h, domain) and h[1] in workers[h[0]]
            ]
            rows.append((commitment.to_bytes(), tuple(reachable)))
        most = max((len(reachable) for _, reachable in rows), default=0)
        return encode((self._trusted, self._driver.reader.pace.holder(most), tuple(rows)))

    @property
    def _trusted(self) -> bool:
        """Whether several domains counted the records, so that empty sections may be left out."""
        return self._driver.plan.policy.replicas > 1

    def _near(self, holder: tuple[str, str], domain: str) -> bool:
        return self._driver.pool.connected or holder[0] == domain

    def _relayed(self, run: Run, everything: bool) -> Future | None:
        """Read sections here and put them into the domain's memory."""
        j, domain = run.task.partition, run.domain
        wanted = []
        for i, (accepted, start, stop) in enumerate(self.ranges(j, run.inputs)):
            holders = self._driver.reader.where(Task(MAP, i))
            near = any(self._near(holder, domain) for holder in holders)
            if (accepted.counts[j] or not self._trusted) and (everything or not near):
                wanted.append((accepted, start, stop))
        if not wanted:
            return None
        # Whole sections pass through here: those of one reduce partition at a time are enough for
        # a domain. None waits for another domain, which takes data as slowly as it likes.
        with self._relaying.setdefault(domain, Lock()):
            data = _packed(self._driver.reader.sections(wanted, "relayed"))
            # To the scheduler, and from there to the worker.
            pool, patience = self._driver.pool, self._driver.reader.pace.answer(2 * len(data))
            return pool.scatter(domain, data, timeout=patience)
