"""Running an order in fresh processes, for a bounded time, and leaving none of them behind.

What this module guarantees: when `run` returns or raises, also because of a Ctrl-C, every process
that it started has been killed, with whatever that has started in its own group; and a process
that cannot be killed is not waited for.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from dask_verify.core.canonical import decode
from dask_verify.errors import CodeRefusedError, DecodingError, InputError
from dask_verify.evidence.exhibits.process import DONE, REFUSED, Order

TIMEOUT = 600.0  #: seconds that a fresh process may take
LONGEST = 86_400.0  #: seconds that it may be given
_PROCESSES = 2
_TEXT = 2000
_DYING = 5.0  #: seconds that a killed process is waited for
_PATH = "PYTHONPATH"

Column = tuple[int, tuple[tuple[bytes, int, int], ...]]
"""Records that a unit is computed from; and hash, bytes and records of each of its leaves."""


def run(order: Order, timeout: float = TIMEOUT) -> list[tuple[Column, ...]] | str:
    """Compute in fresh processes side by side; why there is no answer, if there is none.

    Parameters
    ----------
    order : Order
        What to compute.
    timeout : float, optional
        Seconds that they have.

    Returns
    -------
    list of tuple of Column or str

    Raises
    ------
    CodeRefusedError
        If the functions may not be run.
    InputError
        If the timeout is no number of seconds.
    """
    if not 0 < timeout <= LONGEST:  # also false of what is not a number
        raise InputError(f"timeout: expected up to {LONGEST:g} seconds, got {timeout}")
    seeds = random.SystemRandom().sample(range(1, 2**32 - 1), _PROCESSES)
    answers: list[Any] = [None] * _PROCESSES
    started = _Started()

    def one(at: int) -> None:
        again = Order(**{**vars(order), "again": at > 0})
        answers[at] = _answer(started, again.to_bytes(), seeds[at], timeout)

    threads = [threading.Thread(target=one, args=(at,), daemon=True) for at in range(_PROCESSES)]
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        started.close()
    return _agreed(answers, order)


def _agreed(answers: Sequence[Any], order: Order) -> list[tuple[Column, ...]] | str:
    for answer in answers:
        match answer:
            case (str(kind), str(what), str(expected), str(got)) if kind == REFUSED:
                raise CodeRefusedError(what, expected, got)
            case (str(kind), tuple(columns)) if kind == DONE:
                if len(columns) != len(order.payloads):
                    return "a fresh process gave no proper answer"
            case str():
                return str(answer)
            case (_, str(text)):
                return f"the functions failed:\n{text[-_TEXT:]}"
            case _:
                return "a fresh process gave no proper answer"
    return [answer[1] for answer in answers]


@dataclass
class _Started:
    """Processes that were started; `close` kills them and lets no more of them start."""

    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)
    closed: bool = False

    def process(self, seed: int) -> subprocess.Popen[bytes] | None:
        """Start one, in a group of its own."""
        with self.lock:
            if self.closed:
                return None
            process = subprocess.Popen(
                # Without the current folder: what lies beside an exhibit must not be imported.
                [sys.executable, "-P", "-m", "dask_verify.evidence.exhibits.process"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env=_environment(seed),
                start_new_session=True,
            )
            self.processes.append(process)
            return process

    def close(self) -> None:
        """Kill them, and whatever they have started."""
        with self.lock:
            self.closed = True
            for process in self.processes:
                _kill(process)


def _environment(seed: int) -> dict[str, str]:
    """Return the environment of a process, in which no relative folder is looked into."""
    environment = os.environ | {"PYTHONHASHSEED": str(seed)}
    parts = environment.pop(_PATH, "").split(os.pathsep)
    if kept := [part for part in parts if os.path.isabs(part)]:
        environment[_PATH] = os.pathsep.join(kept)
    return environment


def _kill(process: subprocess.Popen[bytes]) -> None:
    with suppress(OSError):  # it has ended, and all of its group
        os.killpg(process.pid, signal.SIGKILL)


def _hang_up(process: subprocess.Popen[bytes]) -> None:
    for pipe in (process.stdin, process.stdout, process.stderr):
        if pipe is not None:
            with suppress(OSError):  # what was to be written is read by nobody
                pipe.close()


def _answer(started: _Started, data: bytes, seed: int, timeout: float) -> Any:
    """Run one process; what it answered, or as text why it did not."""
    process = started.process(seed)
    if process is None:
        return "stopped"
    try:
        output, errors = process.communicate(data, timeout)
    except subprocess.TimeoutExpired:
        return f"a fresh process took more than {timeout:g} s; allow more with --timeout"
    finally:
        _kill(process)
        # What left the group may hold the pipes open for ever.
        with suppress(subprocess.TimeoutExpired):
            process.wait(_DYING)
        _hang_up(process)
    try:
        return decode(output)
    except DecodingError:
        last = errors.decode(errors="replace")[-_TEXT:]
        return f"a fresh process ended with code {process.returncode}:\n{last}"
