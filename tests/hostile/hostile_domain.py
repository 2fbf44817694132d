"""A hostile domain in a process of its own: scheduler and worker attack whoever reads from them.

Orders come on standard input, one JSON value a line: the name of an attack, or null for none.
Each is answered by a line.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from typing import Any

from distributed.comm.core import Comm
from distributed.diagnostics.plugin import SchedulerPlugin
from distributed.protocol import to_serialize

from dask_verify import LocalDomainCluster

MEGABYTE = 1 << 20
COURIER = "dask-verify-courier"

CODE = """
import ctypes, os
caught = "bombed"
try:
    with open(os.path.join({folder!r}, "secret")):
        caught = "stole"
except OSError:
    pass
if "SECRET_OF_THE_COORDINATOR" in os.environ:
    caught = "stole"
try:
    open(os.path.join({folder!r}, str(os.getpid())), "w").close()
except OSError:
    pass
# Where no file can be written, the name of the thread tells that it ran.
ctypes.CDLL(None).prctl(15, caught.encode(), 0, 0, 0)
"""


class Bomb:
    """Runs code where it is unpickled: notes the process, and steals what it can."""

    def __init__(self, folder: str) -> None:
        self.code = CODE.format(folder=folder)

    def __reduce__(self) -> Any:
        return exec, (self.code,)


# --- attacks of the worker ------------------------------------------------------------------------


def answer(attack: str, folder: str, honest: Any) -> Any:
    """Return what a task gives, or raise."""
    from distributed import get_worker

    if attack == "value":
        return Bomb(folder)
    if attack == "exception":
        raise ValueError("raised", Bomb(folder))
    if attack == "events":
        for topic in ("warn", "print", "all"):
            get_worker().log_event(topic, {"message": to_serialize(Bomb(folder)), "args": [1]})
            get_worker().log_event(topic, Bomb(folder))
    wrong = {
        "nested": b"\x11" + b"\x81" * MEGABYTE,
        "lying": b"\x11\x9b" + b"\xff" * 8,
        "large": bytes(8 * MEGABYTE),
    }
    if attack == "truncated":
        return honest()[:-1]
    return wrong[attack] if attack in wrong else honest()


def sabotage(attack: str | None, folder: str, dask_worker: Any) -> None:
    """Change what a worker's tasks return and what its handlers serve."""
    from dask_verify.engine import tasks

    kept = tasks.__dict__.setdefault("_kept", (tasks.run_map, tasks.run_reduce))
    served = dask_worker.__dict__.setdefault("_kept", dask_worker.handlers["verify_open"])
    tasks.run_map, tasks.run_reduce = kept
    dask_worker.handlers["verify_open"] = served
    if attack is None:
        return

    def attacking(function: Any) -> Any:
        return lambda *given: answer(attack, folder, lambda: function(*given))

    tasks.run_map, tasks.run_reduce = map(attacking, kept)
    if attack == "served bomb":
        dask_worker.handlers["verify_open"] = lambda request: to_serialize(Bomb(folder))
    if attack == "served too much":
        dask_worker.handlers["verify_open"] = lambda request: bytes(64 * MEGABYTE)


# --- attacks of the scheduler ---------------------------------------------------------------------


class Attacker(SchedulerPlugin):
    """Attacks couriers as soon as they have submitted something."""

    name = "attacker"

    def __init__(self, folder: str) -> None:
        self.folder = folder
        self.attack: str | None = None
        self.tasks: dict[str, Any] = {}

    def update_graph(self, scheduler: Any, *, client: str, **kwargs: Any) -> None:
        act = getattr(self, f"_{self.attack}", None)
        if COURIER in client and act is not None and client not in self.tasks:
            stream = scheduler.client_comms[client]
            self.tasks[client] = asyncio.ensure_future(act(stream))

    async def _messages(self, stream: Any) -> None:
        bomb = Bomb(self.folder)
        for op in ("event", "task-erred", "key-in-memory", "no such operation"):
            stream.send({"op": op, "topic": "print", "event": bomb, "key": to_serialize(bomb)})
            stream.send({"op": op, "exception": to_serialize(bomb), "traceback": bomb})

    async def _endless(self, stream: Any) -> None:
        while not stream.comm.closed():
            if len(stream.buffer) < 4:
                stream.send({"op": "event", "topic": "all", "event": bytes(MEGABYTE)})
            await asyncio.sleep(0)

    async def _compressed(self, stream: Any) -> None:
        stream.comm.handshake_options = {**stream.comm.handshake_options, "compression": "zlib"}
        stream.send({"op": "event", "topic": "all", "event": to_serialize(bytes(1024 * MEGABYTE))})

    def greet(self) -> None:
        """Put a bomb into every handshake, or take it out again."""
        kept = Comm.__dict__.get("_kept", Comm.handshake_info)
        Comm._kept = kept
        if self.attack == "handshake":
            bomb = Bomb(self.folder)
            more = {"bomb": bomb, "more": to_serialize(bomb)}
            Comm.handshake_info = lambda comm: {**kept(comm), **more}
        else:
            Comm.handshake_info = kept


def main() -> None:
    folder = sys.argv[1]
    with LocalDomainCluster(["bob"], shared=False, dashboard_address=None) as cluster:
        client, scheduler = cluster.get_client()["bob"], cluster._clusters["bob"].scheduler
        attacker = Attacker(folder)
        scheduler.add_plugin(attacker)
        [domain] = cluster.domains
        greeting = [scheduler.address, domain.public_key.hex(), dict(domain.environment)]
        print(json.dumps(greeting), flush=True)
        for line in sys.stdin:
            attacker.attack = json.loads(line)
            attacker.greet()
            client.run(sabotage, attacker.attack, folder)
            print(json.dumps(os.getpid()), flush=True)


if __name__ == "__main__":
    main()
