"""`dask scheduler` and `dask worker` as processes of their own."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from contextlib import contextmanager

PATIENCE = 60


def free_address(protocol="tcp"):
    with socket.create_server(("127.0.0.1", 0)) as server:
        return f"{protocol}://127.0.0.1:{server.getsockname()[1]}"


@contextmanager
def running(*arguments, log):
    """A dask command that is stopped in the end, whatever happens."""
    command = [sys.executable, "-m", "dask", *map(str, arguments)]
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output)
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(PATIENCE / 2)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def ended(*arguments, **environment):
    """A dask command that does not start anything."""
    return subprocess.run(
        [sys.executable, "-m", "dask", *map(str, arguments)],
        capture_output=True, text=True, check=False, timeout=PATIENCE, env=os.environ | environment,
    )  # fmt: skip


def scheduler_command(address, trust, *options):
    host, port = address.partition("://")[2].split(":")
    where = ("--host", host, "--port", port, "--no-dashboard", "--dashboard-address", ":0")
    return "scheduler", *where, *options, "--preload", "dask_verify.scheduler", "--trust", trust


def worker_command(address, key, *options):
    quiet = ("--no-dashboard", "--dashboard-address", ":0", "--nthreads", 1, *options)
    return "worker", address, *quiet, "--preload", "dask_verify.worker", "--domain-key", key


def hears_ctrl_c() -> None:
    """Let a process that is started next hear of Ctrl-C, whatever shell started this one.

    What a shell runs in the background ignores it, and so does all that is started from there.
    """
    signal.signal(signal.SIGINT, signal.SIG_DFL)
