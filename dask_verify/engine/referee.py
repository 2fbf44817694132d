"""The coordinator's own computing: fresh processes that share nothing but the request.

Two runs under different hash seeds tell a stable function from one that is not. The process reads
one pickled request, made by the coordinator itself, and writes canonical bytes.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import random
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import cloudpickle

from dask_verify.core.canonical import decode, encode
from dask_verify.core.seal import SealedPartition
from dask_verify.engine.graphs import compute_partition
from dask_verify.errors import DecodingError
from dask_verify.execution import compute
from dask_verify.execution.work import Work, search_path, unship
from dask_verify.protocol.messages import MAP, READ, REDUCE

_TEXT = 20_000  #: characters of a process's last words that are kept
_DYING = 5.0  #: seconds for a killed process to be gone
_LONGEST = 3600.0  #: seconds for a task where nobody says how long one takes


@dataclass(frozen=True)
class Request:
    """One computation.

    Parameters
    ----------
    functions : bytes
        Shipped work.
    stage : str
        ``"read"``: what the units of an input partition are, and how many records it has.
    partition : int
    payloads : sequence of (int, bytes or sequence of bytes)
        Units, each with its canonical input or the verified cells of its bucket; one process does
        them all. Empty: the whole partition.
    graph, key : object
        Graph of the input partition and the key of its result, for a whole map partition.
    sections : sequence
        Verified leaves of every map partition, for a whole reduce partition.
    show : bool
        Also return the input of a map partition that is one unit, which a sealed one leaves out.
    """

    functions: bytes
    stage: str
    partition: int
    payloads: Sequence[tuple[int, Any]] = ()
    graph: Any = None
    key: Any = None
    sections: Sequence[Sequence[bytes]] = ()
    show: bool = False


def execute(request: Request) -> bytes:
    """Compute what a request asks for; canonical bytes of columns, or of a sealed partition.

    Behind the fields of a sealed partition comes what it was read from, if that was asked for.

    Parameters
    ----------
    request : Request
        What to compute.

    Returns
    -------
    bytes
    """
    work, partition = unship(request.functions), request.partition
    if request.payloads:
        return encode(tuple(_unit(work, request, *pair) for pair in request.payloads))
    if request.stage == REDUCE:
        return _flat(compute.reduce_partition(work, partition, request.sections))
    data = compute_partition(request.graph, request.key)
    if request.stage == READ:
        return encode(compute.read_partition(work, data))
    if not request.show or work.unit_records is not None:
        return _flat(compute.map_partition(work, partition, data))
    data = data if work.kind == "frame" else list(data)
    inputs, _ = compute.read_partition(work, data)
    return _flat(compute.map_partition(work, partition, data), inputs)


def _unit(work: Work, request: Request, unit: int, payload: Any) -> tuple[bytes, ...]:
    if request.stage == MAP:
        return compute.map_unit(work, request.partition, unit, payload)
    return (compute.reduce_unit(work, request.partition, unit, payload),)


def _flat(sealed: SealedPartition, inputs: tuple[bytes, ...] = ()) -> bytes:
    return encode((*sealed.to_state().values(), inputs))


def opened(run: Any) -> tuple[SealedPartition, tuple[bytes, ...]]:
    """Return the sealed partition that a process gave, and the inputs of its units if it did.

    Parameters
    ----------
    run : object
        What a process gave.

    Returns
    -------
    tuple of (SealedPartition, tuple of bytes)
    """
    *state, inputs = run
    sealed = SealedPartition(*state)
    return sealed, inputs or tuple(sealed.inputs)


@dataclass(frozen=True)
class Failure:
    """Why a process gave no result; whether only because it took too long.

    Parameters
    ----------
    text : str
        Why.
    late : bool, optional
        Whether it only took too long.
    """

    text: str
    late: bool = False


@dataclass
class Referee:
    """Runs requests in processes of their own; `close` kills those that still run.

    Parameters
    ----------
    allowed : callable
        How many seconds a task of a stage may take; longer, and its process is killed.
    """

    allowed: Callable[[str], float] = lambda stage: _LONGEST
    _running: set[subprocess.Popen[bytes]] = field(default_factory=set)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _closed: bool = False

    def run(self, request: Request, runs: int) -> list[Any] | Failure:
        """Compute a request in fresh processes, side by side, each with a hash seed of its own.

        All but the first give the answer of a second time: another one where functions remember
        what they were called with.

        Parameters
        ----------
        request : Request
            What to compute.
        runs : int
            How many processes.

        Returns
        -------
        list or Failure
        """
        seconds = self.allowed(MAP if request.stage == READ else request.stage)
        seeds = random.SystemRandom().sample(range(1, 2**32 - 1), runs)
        results: list[Any] = [None] * runs
        packed = cloudpickle.dumps(request)
        threads = [
            threading.Thread(
                target=self._one,
                args=(pickle.dumps((search_path(), at > 0, packed)), seed, seconds, results, at),
                daemon=True,
            )
            for at, seed in enumerate(seeds)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        failure = next((r for r in results if isinstance(r, Failure)), None)
        return failure or results

    def sealed(self, request: Request) -> SealedPartition | Failure:
        """Compute a whole partition once.

        Parameters
        ----------
        request : Request
            What to compute.

        Returns
        -------
        SealedPartition or Failure
        """
        results = self.run(request, 1)
        return results if isinstance(results, Failure) else opened(results[0])[0]

    def close(self) -> None:
        """Kill what still runs."""
        with self._lock:
            self._closed = True
            for process in self._running:
                process.kill()

    def _one(self, data: bytes, seed: int, seconds: float, results: list[Any], at: int) -> None:
        environment = os.environ | {"PYTHONHASHSEED": str(seed)}
        with self._lock:
            if self._closed:
                results[at] = Failure("the job was closed")
                return
            process = subprocess.Popen(
                [sys.executable, "-m", __name__],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env=environment,
            )
            self._running.add(process)
        try:
            output, errors = process.communicate(data, timeout=seconds)
        except subprocess.TimeoutExpired:
            _end(process)
            results[at] = Failure(f"no result within {seconds:.0f} s", late=True)
            return
        finally:
            with self._lock:
                self._running.discard(process)
        try:
            results[at] = decode(output) if process.returncode == 0 else None
        except DecodingError:
            results[at] = None
        if results[at] is None:
            results[at] = Failure(errors.decode(errors="replace")[-_TEXT:])


def _end(process: subprocess.Popen[bytes]) -> None:
    """Kill a process and hang up: what it has started may hold its pipes open for ever."""
    process.kill()
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(_DYING)
    for pipe in (process.stdin, process.stdout, process.stderr):
        with contextlib.suppress(OSError):  # what was to be written is read by nobody
            if pipe is not None:
                pipe.close()


def main() -> None:
    """Serve one request from standard input."""
    path, again, data = pickle.load(sys.stdin.buffer)
    # In the order of the workers and the coordinator: a module that another one of the same name
    # hides there must be hidden here.
    sys.path[:] = path
    answer = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    # A function that prints must not spoil the answer.
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    with answer, contextlib.redirect_stdout(sys.stderr):
        if again:
            execute(pickle.loads(data))
        # The functions are those of the first time, the input is a fresh copy.
        answer.write(execute(pickle.loads(data)))


if __name__ == "__main__":
    main()
