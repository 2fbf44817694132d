"""Where a worker keeps its sealed partitions: memory first, the oldest spill to disk."""

from __future__ import annotations

import contextlib
import pickle
import threading
from pathlib import Path
from typing import NamedTuple

from zict import Buffer, File, Func

from dask_verify.core.seal import SealedPartition


class Address(NamedTuple):
    """Where a sealed partition is kept; executing a task again replaces what it made before."""

    job: bytes
    stage: str
    partition: int


class Store:
    """Sealed partitions by address, within a bound of memory.

    Parameters
    ----------
    directory : str
        Folder for what spills; belongs to this store alone.
    memory : int
        Bytes kept in memory.

    Examples
    --------
    >>> import tempfile
    >>> store = Store(tempfile.mkdtemp(), memory=0)
    >>> at = Address(b"job", "map", 0)
    >>> store[at] = SealedPartition(1, 1, 0, (0,), (b"leaf",))
    >>> store[at].leaves
    (b'leaf',)
    """

    def __init__(self, directory: str, memory: int) -> None:
        Path(directory).mkdir(parents=True, exist_ok=True)
        # These files never leave this worker, so pickle is safe here and fast.
        slow = Func(pickle.dumps, pickle.loads, File(directory))
        self._data: Buffer[str, SealedPartition] = Buffer({}, slow, n=memory, weight=_weight)
        self._lock = threading.RLock()

    def __setitem__(self, address: Address, sealed: SealedPartition) -> None:
        with self._lock:
            self._data[_name(address)] = sealed

    def __getitem__(self, address: Address) -> SealedPartition:
        with self._lock:
            sealed: SealedPartition = self._data[_name(address)]
            return sealed

    def __contains__(self, address: Address) -> bool:
        return _name(address) in self._data

    def __len__(self) -> int:
        return len(self._data)

    def release_inputs(self, address: Address) -> None:
        """Drop the unit inputs of a partition once nobody will ask for them."""
        with self._lock, contextlib.suppress(KeyError):
            sealed = self._data[_name(address)]
            if sealed.inputs:
                self._data[_name(address)] = sealed.without_inputs()

    def forget(self, job: bytes) -> None:
        """Drop everything of a job."""
        with self._lock:
            for name in [n for n in self._data if n.startswith(f"{job.hex()}-")]:
                del self._data[name]


def _name(address: Address) -> str:
    return f"{address.job.hex()}-{address.stage}-{address.partition}"


def _weight(name: str, sealed: SealedPartition) -> int:
    return sum(map(len, sealed.leaves)) + sum(map(len, sealed.inputs))
