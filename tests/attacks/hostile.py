"""What somebody who may connect to a scheduler does, with nothing but Dask's own messages."""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path
from typing import Any

import cloudpickle
from asking import arguments
from distributed.comm import connect
from distributed.core import Server
from distributed.protocol.serialize import ToPickle
from distributed.security import Security

cloudpickle.register_pickle_by_value(sys.modules[__name__])  # workers cannot import it

#: Without these a scheduler takes half a worker in.
METRICS = {
    "bandwidth": {"total": 1e8, "workers": {}, "types": {}},
    "digests_total_since_heartbeat": {},
    "memory": 0,
    "managed_bytes": 0,
    "spilled_bytes": {"memory": 0, "disk": 0},
    "transfer": {"incoming_bytes": 0, "outgoing_bytes": 0},
    "task_counts": {},
    "cpu": 0,
}


class Evil:
    """Runs code where it is unpickled: it makes a file."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> Any:
        return Path.touch, (self.mark,)


async def greeted(address: str, security: Security | None, mark: Path) -> bool:
    """Put a pickle into the first message; return whether the connection lives on."""
    try:
        greeting = {"extra": ToPickle(Evil(mark))}
        comm = await connect(
            address, deserialize=False, handshake_overrides=greeting, **arguments(security)
        )
    except OSError:
        return False
    try:
        await comm.write({"op": "close"})
        return await comm.read() == "OK"
    except OSError:
        return False
    finally:
        comm.abort()


def registration(address: str, /, **claims: Any) -> dict[str, Any]:
    """Return the message with which a worker registers."""
    usual = {
        "op": "register-worker", "reply": False, "address": address, "status": "running",
        "server_id": address, "nthreads": 1, "name": address, "now": 0.0, "resources": {},
        "memory_limit": 1 << 30, "local_directory": "/nowhere", "services": {}, "nanny": None,
        "pid": 1, "versions": {}, "metrics": METRICS, "extra": {}, "stimulus_id": "made-up",
    }  # fmt: skip
    return usual | claims


class Impostor:
    """A worker that says what it likes: a server to be reached at, and a connection to speak on."""

    def __init__(self, scheduler: str, security: Security | None = None) -> None:
        self._scheduler, self._security = scheduler, security
        self.server = Server({"verify_prove": lambda **question: None})
        self.comm: Any = None

    async def __aenter__(self) -> Impostor:
        listening = {} if self._security is None else self._security.get_listen_args("worker")
        protocol = "tcp" if self._security is None else "tls"
        await self.server.listen(f"{protocol}://127.0.0.1:0", **listening)
        await self.server
        return self

    async def __aexit__(self, *exc: object) -> None:
        if self.comm is not None:
            self.comm.abort()
        await self.server.close()

    async def register(self, **claims: Any) -> Any:
        """Register, and return the answer; None if the connection ends."""
        self.comm = await connect(self._scheduler, deserialize=False, **arguments(self._security))
        await self.comm.write(registration(self.server.address, **claims))
        with contextlib.suppress(OSError):
            return await self.comm.read()

    async def say(self, **message: Any) -> None:
        await self.comm.write(message)

    async def cut_off(self) -> bool:
        """Wait until the scheduler ends the connection; it says other things meanwhile."""
        with contextlib.suppress(OSError):
            while True:
                await self.comm.read()
        return True

    async def heard(self) -> None:
        """Wait until the scheduler has heard all that was said: it answers this at once."""
        await self.say(op="add-keys", keys=["heard"], stimulus_id="heard")
        while True:
            messages = await self.comm.read()
            several = messages if isinstance(messages, (list, tuple)) else (messages,)
            if any(m.get("op") == "remove-replicas" and "heard" in m["keys"] for m in several):
                return
