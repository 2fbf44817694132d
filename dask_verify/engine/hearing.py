"""What a gated scheduler hears: of what workers say to it, and of what they answer.

The rules are those of `dask_verify.engine.gate`, numbers 2 to 5.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from functools import wraps
from typing import TYPE_CHECKING, Any

from dask_verify.engine.compat import bytes_alone
from dask_verify.engine.gate import Gate, canonical
from dask_verify.engine.plain import is_plain
from dask_verify.engine.plugin import claimed_domain
from dask_verify.errors import GateError, one_of

if TYPE_CHECKING:
    from distributed.scheduler import Scheduler

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

        Parameters
        ----------
        message : object
            The message.

        Returns
        -------
        object

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


def _without_pickles(message: dict[str, Any]) -> dict[str, Any]:
    if message["op"] == "task-finished":
        return {**message, "type": None}  # a pickled class, for a client to look at
    if message["op"] == "task-erred":
        text = str(message.get("exception_text"))[:_LONGEST]
        return {**message, "exception": text, "traceback": None}
    return message


def answered(message: Any) -> Any:
    """Return what a scheduler may hear of an answer to one of its own questions.

    Values of tasks that are not bytes are replaced by `REFUSED`.

    Parameters
    ----------
    message : object
        The message.

    Returns
    -------
    object

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


def guard(scheduler: Scheduler) -> None:
    """Refuse to the coordinator's own client what would make it unpickle what workers sent.

    Parameters
    ----------
    scheduler : Scheduler
        The scheduler that it runs in.
    """
    for op, refusing in (("gather", _without_refused), ("broadcast", _without_run)):
        scheduler.handlers[op] = refusing(scheduler.handlers[op])


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
