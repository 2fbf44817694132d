"""Building what is submitted: copies of the upstream graph with verified tasks on top."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from dask.typing import Key
from distributed import Future

from dask_verify.core.canonical import encode
from dask_verify.core.seal import Commitment, digest
from dask_verify.engine import compat
from dask_verify.engine.graphs import Upstream, copy_for, renamed
from dask_verify.engine.tasks import Order, run_map, run_reduce
from dask_verify.engine.work import Shipped
from dask_verify.protocol.messages import MAP, Run, Task

if TYPE_CHECKING:
    from dask_verify.engine.driver import Driver


def _bytes(data: bytes) -> bytes:
    return data


class Launcher:
    """Submits tasks of one job.

    Parameters
    ----------
    driver : Driver
        Whose pool, reader and state are used.
    source : Upstream
    shipped : Shipped
    """

    def __init__(self, driver: Driver, source: Upstream, shipped: Shipped) -> None:
        self._driver, self._source, self._shipped = driver, source, shipped
        self._job = driver.plan.job
        self._held: dict[Key, Future] = {}
        self._attempts = 0
        self._released: list[int] = []

    def maps(self, domain: str, runs: list[Run]) -> list[Future]:
        """Submit map tasks of one domain as one graph; return their futures."""
        functions = self._constant(domain, "functions", self._shipped.data)
        graph: dict[Key, Any] = {}
        shared = self._shared(domain)
        keys: list[Key] = []
        for run in runs:
            part = self._source.partition(run.task.partition)
            graph |= self._copy({k: n for k, n in part.items() if k not in shared}, domain)
            key = self._name(run)
            data = renamed(self._source.keys[run.task.partition], self._prefix(domain))
            graph[key] = compat.Task(
                key, run_map, self._order(run), compat.TaskRef(functions), compat.TaskRef(data)
            )
            keys.append(key)
        futures = self._driver.pool.submit(domain, graph, keys)
        return [futures[key] for key in keys]

    def reduce(self, run: Run, relay: bool) -> Future:
        """Submit one reduce task; sections out of its domain's reach are relayed to it."""
        functions = self._constant(run.domain, "functions", self._shipped.data)
        data = self._table(run.domain)
        table = self._constant(run.domain, "table", data)
        key = self._name(run)
        blob = self._relayed(run, relay)
        order = self._order(run, digest("table", data))
        graph: dict[Key, Any] = {
            key: compat.Task(
                key,
                run_reduce,
                order,
                compat.TaskRef(functions),
                compat.TaskRef(table),
                compat.TaskRef(blob.key) if blob else encode(()),
            )
        }
        future = self._driver.pool.submit(run.domain, graph, [key])[key]
        if blob is not None:
            future.add_done_callback(lambda _: blob.release())
        return future

    def ranges(self, partition: int) -> Iterator[tuple[Commitment, int, int]]:
        """Return, for every map partition, what a reduce partition reads of it."""
        for i in range(self._driver.plan.maps):
            accepted = self._accepted(i)
            start, stop = self._driver.work.bounds(accepted.units)[partition]
            yield accepted, start, stop

    def release(self, partition: int) -> None:
        """Let workers drop the inputs of an accepted partition, many at a time."""
        if self._driver.work.unit_records is None:
            return
        self._released.append(partition)
        last = len(self._released) >= 256 or self._driver.state.reduce_inputs
        if last and self._released:
            partitions, self._released = self._released, []
            self._driver.pool.broadcast(
                "verify_release", job=self._job, stage=MAP, partitions=partitions
            )

    def close(self) -> None:
        """Release what is held on the workers."""
        for future in self._held.values():
            future.release()
        self._held.clear()

    # --- parts ---------------------------------------------------------------------------------

    def _prefix(self, domain: str) -> str:
        return f"verify-{self._job.hex()[:16]}-{domain}"

    def _name(self, run: Run) -> str:
        self._attempts += 1
        stage, partition = run.task
        return f"{self._prefix(run.domain)}-{stage}-{partition}-{self._attempts}"

    def _order(self, run: Run, table: bytes = b"") -> bytes:
        return Order(
            self._job, run.inputs, self._shipped.digest, run.domain, run.task.partition, table
        ).to_bytes()

    def _constant(self, domain: str, what: str, data: bytes) -> Key:
        """Give a domain some bytes once; return the key under which its tasks find them."""
        key = f"{self._prefix(domain)}-{what}-{digest(what, data).hex()[:16]}"
        if key not in self._held:
            graph = {key: compat.Task(key, _bytes, data)}
            self._held |= self._driver.pool.submit(domain, graph, [key])
        return key

    def _shared(self, domain: str) -> frozenset[Key]:
        """Submit what several partitions need, once a domain, and hold it; return its keys."""
        shared = self._source.shared
        if not shared:
            return shared
        below: dict[Key, Any] = {}
        stack = list(shared)
        while stack:
            key = stack.pop()
            if key in self._source.graph and key not in below:
                below[key] = self._source.graph[key]
                stack.extend(below[key].dependencies)
        names = [renamed(key, self._prefix(domain)) for key in shared]
        if names[0] not in self._held:
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

    def _accepted(self, i: int) -> Commitment:
        accepted = self._driver.state.accepted(Task(MAP, i))
        if accepted is None:
            raise LookupError(f"map partition {i} is not accepted any more")
        return accepted

    def _table(self, domain: str) -> bytes:
        """Return the accepted commitments with the holders that a domain's workers can reach.

        An address is a claim of whoever answered: only those of its domain's workers are told.
        """
        workers = self._driver.pool.workers()
        rows = []
        for i in range(self._driver.plan.maps):
            reachable = [
                h
                for h in self._driver.reader.where(Task(MAP, i))
                if self._near(h, domain) and h[1] in workers[h[0]]
            ]
            rows.append((self._accepted(i).to_bytes(), tuple(reachable)))
        return encode(tuple(rows))

    def _near(self, holder: tuple[str, str], domain: str) -> bool:
        return self._driver.pool.connected or holder[0] == domain

    def _relayed(self, run: Run, everything: bool) -> Future | None:
        """Read sections here and put them into the domain's memory."""
        j, domain = run.task.partition, run.domain
        wanted = []
        for i, (accepted, start, stop) in enumerate(self.ranges(j)):
            holders = self._driver.reader.where(Task(MAP, i))
            near = any(self._near(holder, domain) for holder in holders)
            if accepted.counts[j] and (everything or not near):
                wanted.append((accepted, start, stop))
        if not wanted:
            return None
        openings = self._driver.reader.sections(wanted, "relayed")
        return self._driver.pool.scatter(domain, encode(tuple(o.to_bytes() for o in openings)))
