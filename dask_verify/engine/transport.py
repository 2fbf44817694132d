"""The connections of a gated scheduler: nothing is read before it is known whose they are.

The gate stands at all TLS connections of its process, from before the scheduler listens, since
Dask unpickles what it finds in the very first message. So a gated scheduler has a process of its
own: that of ``dask scheduler --preload dask_verify.scheduler --authority ...``.
"""

from __future__ import annotations

import logging
from functools import partial
from typing import TYPE_CHECKING, Any

from dask_verify.engine.compat import (
    TLS,
    CommClosedError,
    TLSBackend,
    TLSConnector,
    TLSListener,
    backends,
    error_message,
    without_pickles,
)
from dask_verify.engine.gate import Gate
from dask_verify.engine.hearing import Visitor, answered
from dask_verify.engine.plain import is_plain
from dask_verify.errors import GateError, InputError
from dask_verify.protocol.domain import COORDINATOR

if TYPE_CHECKING:
    from distributed.scheduler import Scheduler

_log = logging.getLogger("distributed.dask_verify")


class GatedTLS(TLS):  # type: ignore[misc]
    """One connection.

    Parameters
    ----------
    gate : Gate
        The gate.
    stream : IOStream
        The connection beneath.
    *args, **kwargs : object
        What Dask passes on.

    Attributes
    ----------
    owner : str or None
        Whose certificate is at the other end.
    """

    def __init__(self, gate: Gate, stream: Any, *args: Any, **kwargs: Any) -> None:
        super().__init__(stream, *args, **kwargs)
        self.owner = gate.identify(stream.socket.getpeercert(binary_form=True))
        self._greeted = False

    async def read(self, deserializers: Any = None) -> Any:
        """Return the next message, once it may be heard.

        Parameters
        ----------
        deserializers : object, optional
            Which formats the reader takes; from domains, plain values alone.

        Returns
        -------
        object
        """
        if self.owner == COORDINATOR:
            return await super().read(deserializers)
        try:
            message = await self._plain()
        except GateError as error:
            self._refuse(error)
        if self._greeted:
            return await self._heard(message)
        self._greeted = True
        return message

    async def _plain(self) -> Any:
        if self.owner is None:
            raise GateError("expected a certificate of a domain or the coordinator, got another")
        with without_pickles():
            message = await super().read()
        if not self._greeted and not (isinstance(message, dict) and is_plain(message)):
            raise GateError("expected a greeting of plain values, got another")
        return message

    async def _heard(self, message: Any) -> Any:
        """Return an answer to the scheduler, which made this connection."""
        try:
            return answered(message)
        except GateError as error:
            self._refuse(error)

    def _refuse(self, error: GateError) -> None:
        """End the connection."""
        self._tell(error)
        self.abort()
        raise CommClosedError(str(error))

    def _tell(self, error: GateError) -> None:
        _log.warning("Refused %s of %r: %s", self.peer_address, self.owner, error)


class Visit(GatedTLS):
    """A connection that somebody made to the scheduler.

    Parameters
    ----------
    gate : Gate
        The gate.
    *args, **kwargs : object
        What Dask passes on.
    """

    def __init__(self, gate: Gate, *args: Any, **kwargs: Any) -> None:
        super().__init__(gate, *args, **kwargs)
        self._visitor = Visitor(gate, self.owner or "")

    async def _heard(self, message: Any) -> Any:
        try:
            return await self._visitor.heard(message)
        except GateError as error:
            if not self._visitor.streaming and isinstance(message, dict):
                await self._answer(message, error)
            self._refuse(error)

    async def _answer(self, message: dict[Any, Any], error: GateError) -> None:
        # As an error that whoever asked can read, also without this package.
        if message.get("reply", True):
            await self.write(error_message(PermissionError(str(error)), status="uncaught-error"))


class GatedBackend(TLSBackend):  # type: ignore[misc]
    """TLS as Dask knows it, with a gate at every connection.

    Parameters
    ----------
    gate : Gate
        The gate.
    """

    def __init__(self, gate: Gate) -> None:
        self.gate = gate
        there = {"comm_class": staticmethod(partial(GatedTLS, gate))}
        here = {"comm_class": staticmethod(partial(Visit, gate)), "gate": gate}
        self._connector_class = type("GatedConnector", (TLSConnector,), there)
        self._listener_class = type("GatedListener", (TLSListener,), here)


def install(gate: Gate) -> Gate:
    """Let a gate stand at all TLS connections that this process makes or takes from now on.

    Parameters
    ----------
    gate : Gate
        The gate.

    Returns
    -------
    Gate
        The one that stands there already, if it is for the same authorities.
    """
    there = backends["tls"]
    if not isinstance(there, GatedBackend) or there.gate != gate:
        there = backends["tls"] = GatedBackend(gate)
    return there.gate


def check_gated(scheduler: Scheduler, gate: Gate) -> None:
    """Check that a scheduler listens behind a gate alone.

    Parameters
    ----------
    scheduler : Scheduler
        The scheduler that it runs in.
    gate : Gate
        The gate.

    Raises
    ------
    InputError
        If it can also be reached otherwise.
    """
    for listener in scheduler.listeners:
        if getattr(listener, "gate", None) is not gate:
            raise InputError(
                "expected a scheduler that listens behind its gate alone, got"
                f" {listener.listen_address}; start it with --tls-ca-file, --tls-cert, --tls-key"
                " and with the preload and its options on the command line, since those of the"
                " configuration are read when it listens already"
            )
    if scheduler.jupyter:
        raise InputError("expected no --jupyter: it opens another way to the scheduler")
