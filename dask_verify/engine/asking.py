"""Asking the holder of sealed partitions for openings, from one worker to another.

* Nobody is waited for long who is gone or silent, nor twice: others may have the same.
* What a holder has sent before it fails counts, above all what it has signed.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any

from distributed import Worker, get_worker
from distributed.comm import get_address_host_port
from distributed.core import send_recv
from distributed.utils import sync

from dask_verify.core.seal import Opening
from dask_verify.engine.grudges import Grudges
from dask_verify.engine.patience import Patience
from dask_verify.protocol.serving import Reply, questions

_CONNECT = 2.0  #: seconds for a connection; Dask would go on trying one that is gone for 30
_AT_FIRST = 0.2  #: seconds after which to look whether anybody listens there at all
_LAST = 4  #: part of the time that a reply has at least
_QUICK = 0.5  #: seconds in which anybody may refuse

Holder = tuple[str, str]  #: a domain, and the address of one of its workers

_log = logging.getLogger("distributed.dask_verify")


def ask(
    wanted: Mapping[Holder, Sequence[Opening]], seconds: float, grudges: Grudges
) -> dict[Holder, list[Reply]]:
    """Ask some holders for openings at the same time, each in as many replies as it takes.

    Parameters
    ----------
    wanted : mapping of (str, str) to sequence of Opening
        By domain and address of the worker that is said to hold them; each without leaves.
    seconds : float
        For each holder, and one more for each MiB that has arrived from it.
    grudges : Grudges
        Who is not asked now: others may have the same, and else the coordinator passes it on.
        Whoever does not answer in time is noted, or not with what it was asked for.

    Returns
    -------
    dict of (str, str) to list of Reply
        All that came before a holder did not answer, or not as it should; its openings are looked
        at, and say themselves which are believed.
    """
    worker = get_worker()
    replies: dict[Holder, list[Reply]] = {holder: [] for holder in wanted}
    # That a worker closes meanwhile is no failure of the user's function here.
    with suppress(Exception):
        sync(worker.loop, partial(_all, worker, wanted, seconds, grudges, replies))
    return replies


async def _all(
    worker: Worker,
    wanted: Mapping[Holder, Sequence[Opening]],
    seconds: float,
    grudges: Grudges,
    replies: dict[Holder, list[Reply]],
) -> None:
    async def one(holder: Holder) -> None:
        try:
            await _ask(worker, holder, wanted[holder], seconds, grudges, replies[holder])
        except Exception:
            # Whatever a holder does, an exception of its own making included, it does not serve;
            # that must not look like a failure of the user's function here.
            _log.debug("%s does not serve", holder, exc_info=True)

    await asyncio.gather(*(one(holder) for holder in wanted if not grudges.bars(*holder)))


async def _ask(
    worker: Worker,
    holder: Holder,
    requests: Sequence[Opening],
    seconds: float,
    grudges: Grudges,
    replies: list[Reply],
) -> None:
    waiting, patience = requests, Patience(seconds)
    while waiting:
        # What is asked for in time has some time to come.
        least = seconds / _LAST
        with _accountable(holder, max(_QUICK, least), grudges):
            if patience.over:
                raise TimeoutError("it serves a drop at a time")
            asking = _opened(worker, holder[1], questions(waiting))
            wire = await asyncio.wait_for(asking, max(patience.left, least))
            reply = Reply.from_bytes(wire, waiting)
            replies.append(reply)
            if not any(reply.believed):
                raise LookupError("it serves nothing as it was committed to")
        patience.moved += reply.moved
        waiting = waiting[len(reply.openings) :]


@contextmanager
def _accountable(holder: Holder, long: float, grudges: Grudges) -> Iterator[None]:
    """Note who brings nothing, be it just in time: else it could do so to each task anew."""
    began = time.monotonic()
    try:
        yield
    except Exception as error:
        # Who refuses at once has kept nobody waiting.
        if isinstance(error, TimeoutError) or time.monotonic() - began >= long:
            grudges.silent(*holder, began)
        raise


async def _opened(worker: Worker, address: str, request: bytes) -> bytes:
    comm = await _reached(worker, address)
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
    try:
        return await worker.rpc.connect(address, timeout=_CONNECT)
    except OSError as error:
        raise TimeoutError(f"nobody can be reached at {address}") from error


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
