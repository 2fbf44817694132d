"""Asking the holder of sealed partitions for openings, from one worker to another.

* Nobody is waited for long who is gone, or does not greet: others may have the same.
* What a holder has sent before it fails counts, above all what it has signed.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any

from distributed import Worker, get_worker
from distributed.comm import get_address_host_port
from distributed.core import send_recv
from distributed.utils import sync

from dask_verify.core.seal import Opening
from dask_verify.engine.patience import Patience
from dask_verify.protocol.serving import Reply, questions

_CONNECT = 2.0  #: seconds for a connection and a greeting; Dask sets no limit to the latter
_AT_FIRST = 0.2  #: seconds after which to look whether anybody listens there at all
_REPLY = 5.0  #: seconds that a reply may take which was asked for in time


def ask(address: str, requests: list[Opening]) -> list[Reply]:
    """Ask one holder for openings, in as many replies as it takes.

    Parameters
    ----------
    address : str
        Of the worker that is said to hold them.
    requests : list of Opening
        Each without leaves.

    Returns
    -------
    list of Reply
        All that came before it did not answer, or not as it should; its openings are looked at,
        and say themselves which are believed.
    """
    worker = get_worker()
    replies: list[Reply] = []

    async def asking() -> None:
        waiting, patience = requests, Patience()
        while waiting and not patience.over:
            opened = _opened(worker, address, questions(waiting))
            wire = await asyncio.wait_for(opened, patience.left + _REPLY)
            reply = Reply.from_bytes(wire, waiting)
            replies.append(reply)
            if not any(reply.believed):
                break
            patience.moved += reply.moved
            waiting = waiting[len(reply.openings) :]

    # Whatever a holder does, an exception of its own making included, it does not serve; that must
    # not look like a failure of the user's function here.
    with suppress(Exception):
        sync(worker.loop, asking)
    return replies


async def _opened(worker: Worker, address: str, request: bytes) -> bytes:
    comm = await asyncio.wait_for(_reached(worker, address), _CONNECT)
    try:
        answer = await send_recv(comm, op="verify_open", request=request)
    finally:
        worker.rpc.reuse(address, comm)
    return answer if isinstance(answer, bytes) else b""


async def _reached(worker: Worker, address: str) -> Any:
    """Connect to a holder; Dask would try on for as long as it may, although it is gone."""
    try:
        return await worker.rpc.connect(address, timeout=_AT_FIRST)
    except OSError:
        # What Dask raises tells only how its last attempt ended, mostly for want of time.
        if await _nobody_listens(address):
            raise
    return await worker.rpc.connect(address, timeout=_CONNECT)


async def _nobody_listens(address: str) -> bool:
    """Whether a connection is refused: no process is there, not even a slow one."""
    try:
        connecting = asyncio.open_connection(*get_address_host_port(address))
        _, writer = await asyncio.wait_for(connecting, _AT_FIRST)
    except ConnectionRefusedError:
        return True
    except (OSError, ValueError):
        return False
    writer.close()
    return False
