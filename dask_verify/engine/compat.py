"""Every private Dask name that the package touches, in one place.

Tested with dask and distributed 2026.8.0. What is used, and why nothing public does it:

* ``dask._task_spec``: the nodes of a low-level graph (there is no public name for them yet);
* ``dask._expr.LLGExpr`` with a token of our own: Dask hashes every object of a graph, dataframes of
  metadata included, to name a submission; that took milliseconds each and told apart what has keys
  of its own anyway;
* ``Client.get`` pickles whatever it is given for a graph: a courier passes graphs on as they were
  pickled elsewhere;
* ``Nanny.pre_spawn_env`` and ``Nanny.process``: a hash seed must be in the environment *before* a
  worker process starts, and that environment belongs to the parent process;
* ``multiprocessing.resource_tracker.ensure_running``, public by name but documented nowhere: worker
  processes start without hearing of Ctrl-C;
* ``SpecCluster._correct_state``: start workers that were added to the specification;
* ``Cluster._update_worker_status``: keep workers that their nannies are just starting again;
* ``Scheduler.connection_args`` and ``Scheduler.bulk_schedule_unrunnable_after_adding_worker``,
  public by name but documented nowhere: send a worker a message without an answer, and offer
  waiting tasks to a worker that may run them from now on;
* ``Worker.batched_stream.comm`` and ``Scheduler.stream_comms``: between which addresses the
  connection of a worker and its scheduler really runs;
* ``distributed.core.ConnectionPool`` with ``deserialize=False``, and the ``pickle`` of
  ``distributed.protocol.core``: an answer of a worker that is read without unpickling anything in
  it. Without ``deserialize`` Dask leaves values as they came, but unpickles what it calls
  ``Pickled``;
* ``distributed.comm.registry.backends`` and the TLS classes of ``distributed.comm.tcp``: whose
  certificate is at the other end of each connection, before the first byte of it is read;
* ``distributed.protocol.Serialized``: a value that passes a scheduler, and what would make a client
  of it;
* ``Scheduler.client_comms`` and the handler of ``register-client``: a client that comes back too
  soon is forgotten with its old connection;
* ``Client.scheduler``, and its scheduler's ``gather``: all calls of ``Client.gather`` share five
  places and the future of the next. What one domain keeps takes the places of others; who gives up
  cancels the future for everybody, and it stays there: every call after that fails;
* ``distributed.utils.sync``, behind ``Client.sync``: what is cancelled while it is waited for makes
  it raise UnboundLocalError;
* ``Scheduler.http_application``, ``distributed.dashboard`` and the list of collectors behind
  ``/metrics``: pages, plain HTTP and metrics of our own beside those of Dask, looking like them.
"""

from __future__ import annotations

import asyncio
import logging
import os
import pickle
import signal
import threading
import time
import uuid
from concurrent.futures import CancelledError
from contextlib import asynccontextmanager, contextmanager
from contextvars import ContextVar
from multiprocessing import resource_tracker
from typing import TYPE_CHECKING, Any

import cloudpickle
from dask._expr import LLGExpr
from dask._task_spec import (
    Alias,
    DataNode,
    GraphNode,
    List,
    NestedContainer,
    Task,
    TaskRef,
    convert_legacy_graph,
)
from distributed.comm.core import CommClosedError
from distributed.comm.registry import backends
from distributed.comm.tcp import TLS, TLSBackend, TLSConnector, TLSListener
from distributed.core import ConnectionPool, Status, connect, error_message
from distributed.deploy.spec import SpecCluster
from distributed.nanny import Nanny
from distributed.protocol import Serialized, core, serialize
from distributed.worker import Worker

from dask_verify.errors import GateError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence

    from dask.typing import Key
    from distributed import Client, Future, Scheduler

__all__ = [
    "TLS",
    "Alias",
    "CommClosedError",
    "DataNode",
    "DomainCluster",
    "DomainNanny",
    "DomainWorker",
    "GraphNode",
    "List",
    "NestedContainer",
    "Packed",
    "RawConnections",
    "Serialized",
    "TLSBackend",
    "TLSConnector",
    "TLSListener",
    "Task",
    "TaskRef",
    "add_collector",
    "add_handlers",
    "add_pages",
    "backends",
    "bytes_alone",
    "connected",
    "convert_legacy_graph",
    "correct_state",
    "error_message",
    "gathered",
    "inner_graph",
    "is_future",
    "joined",
    "let_clients_return",
    "local_end",
    "metric_name",
    "offer_waiting",
    "packed",
    "page_template",
    "processing",
    "remote_end",
    "scheduler_address",
    "submission",
    "tell",
    "unheard",
    "waited",
    "without_pickles",
]

_SPAWN = threading.Lock()
_CLOSE = 20.0  #: seconds that a worker has to end; of 5, Dask kills it after 4, and gives up
_CLEARED = 5.0  #: seconds that a client waits for its old connection to be cleared away
_CONNECT = 10.0  #: seconds to reach a scheduler; Dask would go on trying one that is gone for 30
_GLANCE = 0.1  #: seconds between looks whether what is fetched has been lost
_WARY: ContextVar[bool] = ContextVar("without_pickles", default=False)


class _Pickle:
    """What ``distributed.protocol`` pickles with, except where nothing may be unpickled."""

    dumps = staticmethod(core.pickle.dumps)
    _loads = staticmethod(core.pickle.loads)

    @classmethod
    def loads(cls, *args: Any, **kwargs: Any) -> Any:
        if _WARY.get():
            raise GateError("expected a message of plain values, got one with a pickle in it")
        return cls._loads(*args, **kwargs)


_decompress = core.decompress


def _wary_decompress(*args: Any, **kwargs: Any) -> Any:
    # Of what is not deserialized, only pickles are decompressed: a bomb before it is refused.
    if _WARY.get():
        raise GateError("expected a message of plain values, got one with a pickle in it")
    return _decompress(*args, **kwargs)


core.pickle, core.decompress = _Pickle, _wary_decompress


@contextmanager
def without_pickles() -> Iterator[None]:
    """Refuse messages with pickles in them, handshakes included, in this task and its children.

    Yields
    ------
    None

    Examples
    --------
    >>> with without_pickles():
    ...     core.loads(core.dumps({"op": core.ToPickle(print)}))
    Traceback (most recent call last):
        ...
    dask_verify.errors.GateError: expected a message of plain values, got one with a pickle in it
    """
    token = _WARY.set(True)
    try:
        yield
    finally:
        _WARY.reset(token)


def bytes_alone(value: Any) -> Any:
    """Return a value on its way to a client, if unpickling it can give nothing but bytes.

    Parameters
    ----------
    value : object
        The value.

    Returns
    -------
    object

    Raises
    ------
    GateError
        If it could give anything else, or has to be decompressed first.
    """
    if isinstance(value, Serialized):
        said = value.header
        opaque = said.get("serializer") == "dask" and said.get("type") == "bytes"
        if opaque and not any(said.get("compression") or ()):
            # With a header of our own: the class in the other one is a pickle.
            return Serialized(serialize(b"")[0], [b"".join(value.frames)])
    elif type(value) is bytes:
        return value
    raise GateError(f"expected the bytes of a verified task, got {type(value).__name__}")


@asynccontextmanager
async def connected(scheduler: Scheduler, address: str) -> AsyncIterator[Any]:
    """Connect to a server as a scheduler does, beside its pool, and read nothing but a handshake.

    Parameters
    ----------
    scheduler : Scheduler
        The scheduler.
    address : str
        Address of the server.

    Yields
    ------
    Comm
        The connection.

    Raises
    ------
    OSError
        If there is no connection.
    """
    # Not from the scheduler's pool: addresses where nobody answers would use up its connections.
    comm = await connect(address, deserialize=False, **scheduler.connection_args)
    try:
        yield comm
    finally:
        await comm.close()


def joined(graph: Mapping[Key, GraphNode], task: Task) -> dict[Key, GraphNode]:
    """Return a graph with a task on top: as a single task where the graph is a chain.

    Every task costs Dask some milliseconds, and what is read is not kept once it is used.

    Parameters
    ----------
    graph : mapping of Key to GraphNode
        The graph.
    task : Task
        The task on top.

    Returns
    -------
    dict of Key to GraphNode

    Examples
    --------
    >>> read = Task("read", list, "abc")
    >>> list(joined({"read": read}, Task("count", len, TaskRef("read"))))
    ['count']
    """
    whole = {**graph, task.key: task}
    chain, below = [], [task.key]
    while len(below) == 1:
        chain += below
        below = [key for key in whole[below[0]].dependencies if key in whole]
    # What dangles beside the chain is referred to by none of it.
    if below or len(chain) < len(whole):
        return whole
    return {task.key: Task.fuse(*whole.values(), key=task.key)}


def submission(graph: Mapping[Key, GraphNode]) -> LLGExpr:
    """Return a graph as `Client.get` takes it, named without a look at its contents.

    Parameters
    ----------
    graph : mapping of Key to GraphNode
        The graph.

    Returns
    -------
    LLGExpr

    Examples
    --------
    >>> submission({})._name == submission({})._name
    False
    """
    return LLGExpr(dict(graph), _determ_token=uuid.uuid4().hex)


def packed(graph: Mapping[Key, GraphNode]) -> bytes:
    """Return a graph as it is sent, for a process that only passes it on.

    Parameters
    ----------
    graph : mapping of Key to GraphNode
        The graph.

    Returns
    -------
    bytes

    Examples
    --------
    >>> Packed(packed({})).__reduce__()[0].__name__
    'loads'
    """
    return bytes(cloudpickle.dumps(submission(graph)))


class Packed:
    """A graph that is pickled already: for its receiver it is the graph itself.

    Parameters
    ----------
    data : bytes
        As `packed` returns it.
    """

    def __init__(self, data: bytes) -> None:
        self._data = data

    def __repr__(self) -> str:
        return f"<Packed {len(self._data)} bytes>"

    def __reduce__(self) -> tuple[Any, tuple[bytes]]:
        return pickle.loads, (self._data,)


def is_future(value: object) -> bool:
    """Tell whether a value inside a graph stands for data that a cluster already holds.

    Parameters
    ----------
    value : object
        The value.

    Returns
    -------
    bool

    Examples
    --------
    >>> is_future(1)
    False
    """
    if getattr(value, "__dask_future__", False):
        return True
    from distributed import Future

    return isinstance(value, Future)


def inner_graph(task: Task) -> dict[Any, Any] | None:
    """Return the tasks that were fused into one, or None for an ordinary task.

    Parameters
    ----------
    task : Task
        A task of Dask.

    Returns
    -------
    dict or None
    """
    return task.args[0] if task.has_subgraph() else None


def scheduler_address(client: Client) -> str:
    """Return where the scheduler of a connected client listens.

    Parameters
    ----------
    client : Client
        The client.

    Returns
    -------
    str
    """
    scheduler: Any = client.scheduler
    return str(scheduler.address)


def waited(client: Client, function: Callable[..., Any], *args: Any, seconds: float) -> Any:
    """Call a coroutine function in the event loop of a client, and wait for what it returns.

    Parameters
    ----------
    client : Client
        The client.
    function : callable
        The coroutine function.
    *args : object
        Its arguments.
    seconds : float
        How long to wait, also for a loop that does not run any more.

    Returns
    -------
    object

    Raises
    ------
    ConnectionError
        If it is cancelled, as with a client that closes, or the loop is closed.
    TimeoutError
        If it takes longer.
    """
    try:
        return client.sync(function, *args, callback_timeout=seconds)
    except (asyncio.CancelledError, CancelledError, UnboundLocalError) as error:
        raise ConnectionError("it was cancelled: is the client closing?") from error
    except RuntimeError as error:
        if not client.loop.asyncio_loop.is_closed():
            raise
        raise ConnectionError("the client's event loop is closed") from error


async def gathered(futures: Sequence[Future]) -> dict[Key, Any]:
    """Return what finished futures of one client hold, but for those that are lost meanwhile.

    Parameters
    ----------
    futures : sequence of Future
        At least one; to be called in the loop of their client.

    Returns
    -------
    dict of Key to object

    Raises
    ------
    ConnectionError
        If the scheduler does not hand them over.
    """
    scheduler, lost = futures[0].client.scheduler, set()
    while there := [f for f in futures if f.status == "finished" and f.key not in lost]:
        answer = await _unless_lost(scheduler.gather(keys=[f.key for f in there]), there)
        if answer is None:
            continue
        if answer["status"] == "OK":
            return {future.key: answer["data"][future.key] for future in there}
        missing = {future.key for future in there}.intersection(answer["keys"])
        if not missing:
            raise ConnectionError("the scheduler does not say which results it cannot gather")
        lost |= missing
    return {}


async def _unless_lost(asked: Any, futures: Sequence[Future]) -> Any:
    """Wait for an answer; None if a future is lost first.

    A scheduler goes on trying to reach a worker for long after it has given it up.
    """
    asking = asyncio.ensure_future(asked)
    try:
        while not asking.done() and all(future.status == "finished" for future in futures):
            await asyncio.wait([asking], timeout=_GLANCE)
    finally:
        unanswered = asking.cancel()
    return None if unanswered else asking.result()


async def tell(scheduler: Scheduler, address: str, message: dict[str, Any]) -> None:
    """Send one message to a worker; nothing that it could answer is read, let alone unpickled.

    Parameters
    ----------
    scheduler : Scheduler
        The scheduler.
    address : str
        Address of the worker.
    message : dict of str to object
        The message.

    Raises
    ------
    OSError
        If there is no connection.
    """
    async with connected(scheduler, address) as comm:
        await comm.write({**message, "reply": False})


def remote_end(worker: Worker) -> str:
    """Return the address of the scheduler at the other end of a worker's connection, else "".

    Parameters
    ----------
    worker : Worker
        The worker.

    Returns
    -------
    str
    """
    stream = worker.batched_stream
    comm = stream.comm if stream is not None else None
    return "" if comm is None or comm.closed() else str(comm.peer_address)


def local_end(scheduler: Scheduler, address: str) -> str:
    """Return the scheduler's own address on the connection from a worker, else "".

    Only where the operating system says so: in WebSockets it is what the other side says.

    Parameters
    ----------
    scheduler : Scheduler
        The scheduler.
    address : str
        Address of the worker.

    Returns
    -------
    str
    """
    stream = scheduler.stream_comms.get(address)
    comm = stream.comm if stream is not None else None
    local = "" if comm is None else str(comm.local_address)
    return local if local.startswith(("tcp://", "tls://", "inproc://")) else ""


def offer_waiting(scheduler: Scheduler, address: str) -> None:
    """Let a worker have the tasks that wait for one like it, as if it had come just now.

    Parameters
    ----------
    scheduler : Scheduler
        The scheduler.
    address : str
        Address of the worker.
    """
    worker = scheduler.workers.get(address)
    if worker is not None and worker.status == Status.running:
        waiting = scheduler.bulk_schedule_unrunnable_after_adding_worker(worker)
        scheduler.transitions(waiting, f"verify-offer-{time.time()}")


def let_clients_return(scheduler: Scheduler) -> None:
    """Let a client that comes back wait until its old connection is cleared away.

    Dask clears away by the client's name: whoever is back before that is forgotten along with the
    old connection, and never told of anything again.

    Parameters
    ----------
    scheduler : distributed.Scheduler
        Which to change; in one that was changed before, nothing happens.
    """
    register = scheduler.handlers["register-client"]
    if getattr(register, "lets_return", False):
        return

    async def returning(comm: Any, client: str, **said: Any) -> Any:
        before = scheduler.client_comms.get(client)
        if before is not None and before.comm is not None:
            before.comm.abort()
        until = time.monotonic() + _CLEARED
        while client in scheduler.client_comms and time.monotonic() < until:
            await asyncio.sleep(0.002)
        return await register(comm=comm, client=client, **said)

    returning.lets_return = True  # type: ignore[attr-defined]
    scheduler.handlers["register-client"] = returning


def processing(scheduler: Scheduler, address: str, annotation: str) -> int:
    """Return how many tasks with an annotation a worker has been given and has not finished.

    Parameters
    ----------
    scheduler : Scheduler
        The scheduler.
    address : str
        Address of the worker.
    annotation : str
        Name of the annotation, whatever its value.

    Returns
    -------
    int
        0 also of a worker that is gone.
    """
    worker = scheduler.workers.get(address)
    tasks = () if worker is None else worker.processing
    return sum(annotation in (task.annotations or ()) for task in tasks)


def add_handlers(scheduler: Scheduler, routes: list[tuple[Any, ...]]) -> None:
    """Let a scheduler's HTTP server answer on some routes of Tornado's, whatever its prefix.

    Parameters
    ----------
    scheduler : Scheduler
        The scheduler.
    routes : list of tuple
        Each with a pattern, a handler and its arguments.
    """
    scheduler.http_application.add_handlers(".*$", routes)


def add_pages(
    scheduler: Scheduler, pages: Mapping[str, Callable[..., None]], plots: Mapping[str, str]
) -> bool:
    """Add Bokeh pages to a scheduler's dashboard, and to the navigation of its own pages.

    Parameters
    ----------
    scheduler : distributed.Scheduler
    pages : mapping of str to callable
        By path, what fills a document: takes scheduler, variables for the template, and document.
    plots : mapping of str to str
        Which of them are single plots, with their names; the others are pages.

    Returns
    -------
    bool
        Whether there is a dashboard.

    Raises
    ------
    ImportError
        If there is no Bokeh.
    """
    from distributed.dashboard.core import BokehApplication, DaskBokehTornado
    from distributed.dashboard.scheduler import template_variables
    from tornado.ioloop import IOLoop

    there = scheduler.http_application.applications
    own = next((a for a in there if isinstance(a, DaskBokehTornado)), None)
    if own is None:
        return False
    # Dask makes these once for each scheduler, and all of its pages share the lists.
    variables = template_variables(scheduler)
    names = [path.strip("/") for path in pages if path not in plots]
    variables["pages"][-1:-1] = [name for name in names if name not in variables["pages"]]
    variables["plots"] += [{"url": path.strip("/"), "name": plots[path]} for path in plots]
    variables["plots"].sort(key=lambda plot: str(plot["name"]))
    application = BokehApplication(
        dict(pages), scheduler, prefix=own.prefix, template_variables=variables
    )
    scheduler.http_application.add_application(application)
    application.initialize(IOLoop.current())
    application.start()  # the scheduler stops it, with its own
    return True


def page_template(text: str) -> Any:
    """Return a Jinja template that may extend those of Dask's own pages.

    Parameters
    ----------
    text : str
        Source of the template.

    Returns
    -------
    jinja2.Template
    """
    from distributed.dashboard.components.scheduler import env

    return env.from_string(text)


def add_collector(kind: Any, scheduler: Scheduler) -> None:
    """Let ``/metrics`` collect from one more class, for each scheduler of this process.

    Parameters
    ----------
    kind : class
        A collector of prometheus_client, made with the scheduler.
    scheduler : Scheduler
        The one for which a collector is made now, if those of Dask exist already.

    Raises
    ------
    ImportError
        If there is no prometheus_client.
    """
    from distributed.http.scheduler.prometheus import core as metrics

    if kind in metrics.COLLECTORS:
        return
    metrics.COLLECTORS.append(kind)
    if metrics.PrometheusHandler._collectors:  # somebody has asked for metrics already
        made = kind(scheduler)
        metrics.PrometheusHandler._collectors += (made,)
        metrics.prometheus_client.REGISTRY.register(made)


def metric_name(name: str) -> str:
    """Return the full name of a metric of ours.

    Parameters
    ----------
    name : str
        Its name among ours.

    Returns
    -------
    str

    Examples
    --------
    >>> metric_name("jobs")
    'dask_verify_jobs'
    """
    from distributed.http.prometheus import PrometheusCollector

    collector = PrometheusCollector(None)
    collector.subsystem = "verify"
    return str(collector.build_name(name))


async def correct_state(cluster: SpecCluster) -> None:
    """Start the workers that were added to the specification of a cluster.

    Parameters
    ----------
    cluster : SpecCluster
        The cluster.
    """
    await cluster._correct_state()


class DomainCluster(SpecCluster):  # type: ignore[misc]
    """A cluster that never gives a worker up.

    ``SpecCluster`` closes a nanny for good if, 15 seconds after its worker died, there is no
    worker at that moment: for one that is killed again and again, that is a matter of chance.
    """

    def _update_worker_status(self, op: str, msg: Any) -> None:
        # Past SpecCluster's own method, straight to what keeps the list of workers.
        super(SpecCluster, self)._update_worker_status(op, msg)


@contextmanager
def unheard() -> Iterator[None]:
    """Let nobody see what Dask logs in this process meanwhile, but for what is critical.

    Not by the level of its handlers, which every nanny that starts sets anew.

    Yields
    ------
    None

    Examples
    --------
    >>> with unheard():
    ...     logging.getLogger("distributed.nanny").error("Failed to start process")
    """
    handlers = tuple(logging.getLogger("distributed").handlers)

    def critical(record: logging.LogRecord) -> bool:
        return record.levelno >= logging.CRITICAL

    for handler in handlers:
        handler.addFilter(critical)
    try:
        yield
    finally:
        for handler in handlers:
            handler.removeFilter(critical)


class DomainWorker(Worker):  # type: ignore[misc]
    """A worker that logs only what happens while it runs.

    Why it does not start, its nanny hears, and says so. While it closes, heartbeats and whatever
    else is under way break off: that is what closing means, and no error.

    Parameters
    ----------
    *args, **kwargs : object
        As Dask's own takes them.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        for handler in logging.getLogger("distributed").handlers:
            handler.addFilter(self._heard)
        super().__init__(*args, **kwargs)

    def _heard(self, record: logging.LogRecord) -> bool:
        return getattr(self, "status", None) in (Status.running, Status.paused)


class DomainNanny(Nanny):  # type: ignore[misc]
    """A nanny whose worker process really runs under a hash seed of its own.

    ``env={"PYTHONHASHSEED": ...}`` alone comes too late: the interpreter has fixed its seed by
    then. One spawn at a time, and the parent's environment is put back afterwards. The process
    hears of no Ctrl-C.
    """

    async def instantiate(self) -> Any:
        """Start the worker process; only the spawn itself excludes other spawns.

        Returns
        -------
        object
        """
        async with _spawning(self.env.get("PYTHONHASHSEED")) as seed:
            if seed is not None:
                self.pre_spawn_env["PYTHONHASHSEED"] = seed
            starting = asyncio.ensure_future(super().instantiate())
            while not starting.done() and not self._spawned():
                await asyncio.sleep(0.002)
        return await starting

    async def close(self, timeout: float = _CLOSE, reason: str = "nanny-close") -> Any:
        """Stop the worker process; it removes what it has on disk, which may be a lot.

        Parameters
        ----------
        timeout : float, optional
            Seconds that the process has.
        reason : str, optional
            Why, for the log.

        Returns
        -------
        object
        """
        return await super().close(timeout=timeout, reason=reason)

    def _spawned(self) -> bool:
        process = self.process and self.process.process
        return process is not None and process.pid is not None


@asynccontextmanager
async def _spawning(seed: str | None) -> AsyncIterator[str | None]:
    # What multiprocessing tracks resources with takes the mask off where it starts, so it has to
    # run already.
    resource_tracker.ensure_running()
    # Nannies may live on several event loops, so the lock is a thread's, taken without blocking.
    while not _SPAWN.acquire(blocking=False):
        await asyncio.sleep(0.002)
    before = os.environ.get("PYTHONHASHSEED")
    # A process has the mask of the thread that starts it. A Ctrl-C in a terminal is for the
    # program that started the cluster, and that one closes it.
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield seed
    finally:
        os.environ.pop("PYTHONHASHSEED", None)
        if before is not None:
            os.environ["PYTHONHASHSEED"] = before
        _SPAWN.release()
        # Last: it raises, where a Ctrl-C has waited for it.
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)


class RawConnections:
    """Requests to a server whose answers are read without unpickling what is in them.

    Parameters
    ----------
    client : distributed.Client
        Whose scheduler, event loop and security settings are used.
    """

    def __init__(self, client: Client) -> None:
        self._client = client
        self._address = scheduler_address(client)
        self._pool: ConnectionPool | None = None

    async def ask(self, message: dict[str, Any], timeout: float) -> Any:
        """Send one message to the scheduler and return its answer.

        Parameters
        ----------
        message : dict of str to object
            The message.
        timeout : float
            Seconds to wait at most.

        Returns
        -------
        object

        Raises
        ------
        OSError
            If there is no connection, or no answer within `timeout` seconds.
        TimeoutError
            If there is no answer in time.
        """
        try:
            return await asyncio.wait_for(self._asked(message), timeout)
        except TimeoutError as error:
            raise TimeoutError(f"no answer from {self._address} in {timeout:g} s") from error

    async def _asked(self, message: dict[str, Any]) -> Any:
        try:
            return await self._ask(message)
        except CommClosedError:
            # It may have been dead for long, without a question to notice it by: once more.
            return await self._ask(message)

    async def _ask(self, message: dict[str, Any]) -> Any:
        try:
            with without_pickles():
                return await self._answer(await self._connections(), message)
        except GateError as error:
            raise ConnectionError(f"{self._address}: {error}") from None

    async def _answer(self, pool: ConnectionPool, message: dict[str, Any]) -> Any:
        comm = await pool.connect(self._address, timeout=_CONNECT)
        answered = False
        try:
            await comm.write({**message, "reply": True})
            answer = await comm.read()
            answered = True
        finally:
            # A connection with a pending answer must not serve the next question.
            if not answered:
                comm.abort()
            pool.reuse(self._address, comm)
        return answer

    async def _connections(self) -> ConnectionPool:
        if self._pool is None:
            security = self._client.security
            self._pool = ConnectionPool(
                deserialize=False, connection_args=security.get_connection_args("client")
            )
            await self._pool.start()
        return self._pool

    async def close(self) -> None:
        """Close every connection; closing twice does nothing."""
        if self._pool is not None:
            pool, self._pool = self._pool, None
            await pool.close()
