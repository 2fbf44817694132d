"""Questions to a server with nothing but Dask's own messages, as anybody may send them."""

from __future__ import annotations

import asyncio
import gc
import warnings
from typing import Any

from distributed.comm import connect
from distributed.security import Security


def arguments(security: Security | None) -> dict[str, Any]:
    """Return what to connect with, as a worker would."""
    return {} if security is None else security.get_connection_args("worker")


async def asked_aloud(address: str, security: Security | None, /, **message: Any) -> Any:
    """Send one message and return the answer, with nothing in it unpickled.

    Raises
    ------
    OSError
        If the connection ends.
    """
    comm = await connect(address, timeout=10, deserialize=False, **arguments(security))
    try:
        await comm.write({"op": "identity", **message})
        return await comm.read()
    finally:
        comm.abort()


async def asked(address: str, security: Security | None, /, **message: Any) -> Any:
    """Return the answer to one message; None if the connection ends."""
    try:
        return await asked_aloud(address, security, **message)
    except OSError:
        return None


def run(work: Any) -> Any:
    """Run a coroutine in an event loop of its own, within bounds."""
    with warnings.catch_warnings():
        # Somebody may be just connecting to a server whose loop ends: nobody closes his socket.
        warnings.simplefilter("ignore", ResourceWarning)
        try:
            return asyncio.run(asyncio.wait_for(work, 60))
        finally:
            gc.collect()
