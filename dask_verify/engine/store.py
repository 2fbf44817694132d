"""Where a worker keeps its sealed partitions: memory first, the least used spill to disk.

What holds:

* Memory stays within its bound, whatever a job's partitions and units are.
* Of what is on disk only the asked leaves are read: whoever reads a section of every partition
  does not move all of them through memory each time.
"""

from __future__ import annotations

import contextlib
import pickle
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import count, pairwise
from pathlib import Path
from typing import Any, NamedTuple, overload

import numpy as np
import numpy.typing as npt
from zict import LRU

from dask_verify.core.seal import SealedPartition

_BARE = 4  #: the share of the memory that hashes of spilled partitions may take is one in so many
_HASHES = 80  #: bytes that a leaf takes in a tree and in a list of places


class Address(NamedTuple):
    """Where a sealed partition is kept; executing a task again replaces what it made before.

    Parameters
    ----------
    job : bytes
        The job's id.
    stage : str
        Name of the stage.
    partition : int
        Number of the partition.
    """

    job: bytes
    stage: str
    partition: int


@dataclass(frozen=True, eq=False)
class Spilled(Sequence[bytes]):
    """Leaves in a file, read when they are looked at.

    Parameters
    ----------
    path : Path
    bounds : array of int64, shape (leaves + 1,)
        Where each leaf begins, and the end of the last.
    """

    path: Path
    bounds: npt.NDArray[np.int64]

    @classmethod
    def write(cls, path: Path, leaves: Sequence[bytes]) -> Spilled:
        """Write leaves to a file of their own.

        Parameters
        ----------
        path : Path
            Path of the file.
        leaves : sequence of bytes
            The leaves.

        Returns
        -------
        Spilled
        """
        path.write_bytes(b"".join(leaves))
        return cls(path, np.cumsum([0, *map(len, leaves)], dtype=np.int64))

    def __len__(self) -> int:
        return len(self.bounds) - 1

    @overload
    def __getitem__(self, index: int) -> bytes: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[bytes, ...]: ...
    def __getitem__(self, index: int | slice) -> bytes | tuple[bytes, ...]:
        wanted = range(len(self))[index]
        if isinstance(wanted, int):
            return self._read(range(wanted, wanted + 1))[0]
        return self._read(wanted) if wanted.step == 1 else self[:][index]

    def _read(self, wanted: range) -> tuple[bytes, ...]:
        """Return a run of leaves, in one read.

        Raises
        ------
        KeyError
            If they cannot be read, such as those of a job that was forgotten meanwhile.
        """
        if not wanted:
            return ()
        bounds: list[int] = self.bounds[wanted.start : wanted.stop + 1].tolist()
        first = bounds[0]
        try:
            with self.path.open("rb") as file:
                file.seek(first)
                data = file.read(bounds[-1] - first)
        except OSError as error:
            raise KeyError(self.path.name) from error
        return tuple(data[start - first : stop - first] for start, stop in pairwise(bounds))

    def __iter__(self) -> Iterator[bytes]:
        return iter(self[:])

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and self[:] == tuple(other)

    def __hash__(self) -> int:
        return hash(self[:])


class Store:
    """Sealed partitions by address, within a bound of memory.

    Parameters
    ----------
    directory : str
        Folder for what spills; belongs to this store alone.
    memory : int
        Bytes of partitions kept in memory; hashes of those on disk take a quarter as much beside.

    Examples
    --------
    >>> import tempfile
    >>> store = Store(tempfile.mkdtemp(), memory=0)
    >>> at = Address(b"job", "map", 0)
    >>> store[at] = SealedPartition(1, 1, 0, (0,), (b"leaf",))
    >>> store[at].leaves[:]
    (b'leaf',)
    """

    def __init__(self, directory: str, memory: int) -> None:
        self._folder = Path(directory)
        self._folder.mkdir(parents=True, exist_ok=True)
        self._whole: LRU[str, SealedPartition] = LRU(
            memory, {}, on_evict=[self._spill], weight=_weight
        )
        self._bare: LRU[str, SealedPartition] = LRU(memory // _BARE, {}, weight=_bare_weight)
        self._places: dict[str, Path] = {}
        self._numbers = count()
        self._lock = threading.RLock()

    def __setitem__(self, address: Address, sealed: SealedPartition) -> None:
        with self._lock:
            name = _name(address)
            self._discard(name)
            try:
                self._whole[name] = sealed
            except OSError:
                # Such as a full disk: without a place for it, memory would hold more and more.
                self._discard(name)
                raise

    def __getitem__(self, address: Address) -> SealedPartition:
        with self._lock:
            name = _name(address)
            for held in (self._whole, self._bare):
                if name in held:
                    return held[name]
            return self._loaded(name)

    def __contains__(self, address: Address) -> bool:
        name = _name(address)
        return name in self._whole or name in self._places

    def __len__(self) -> int:
        return len(self._whole.keys() | self._places.keys())

    def release_inputs(self, address: Address) -> None:
        """Drop the unit inputs of a partition once nobody will ask for them.

        Parameters
        ----------
        address : Address
            Which partition.
        """
        with self._lock, contextlib.suppress(KeyError):
            name, sealed = _name(address), self[address]
            if not sealed.inputs:
                return
            if name in self._whole:
                self._whole[name] = sealed.without_inputs()
            else:
                _unlink(self._places[name], ".inputs")
                self._bare[name] = sealed.without_inputs()

    def forget(self, job: bytes) -> None:
        """Drop everything of a job.

        Parameters
        ----------
        job : bytes
            The job's id.
        """
        with self._lock:
            for name in [*self._whole, *self._places]:
                if name.startswith(f"{job.hex()}-"):
                    self._discard(name)

    def _spill(self, name: str, sealed: SealedPartition) -> None:
        """Write a partition to files that no other one ever has."""
        place = self._places[name] = self._folder / f"{name}-{next(self._numbers)}"
        try:
            leaves = Spilled.write(place.with_suffix(".leaves"), sealed.leaves)
            bare = replace(sealed, leaves=leaves)
            if sealed.inputs:
                inputs = Spilled.write(place.with_suffix(".inputs"), sealed.inputs)
                bare = replace(bare, inputs=inputs)
            bare = _with_trees(bare, sealed)
            # These files never leave this worker, so pickle is safe here and fast.
            place.with_suffix(".tree").write_bytes(pickle.dumps(vars(bare)))
            self._bare[name] = bare
        except OSError:
            # Such as a full disk: the partition stays in memory, and nothing of it is left there.
            _unlink(self._places.pop(name))
            raise

    def _loaded(self, name: str) -> SealedPartition:
        """Return a spilled partition whose hashes had no place in memory."""
        file = self._places[name].with_suffix(".tree")
        try:
            known: dict[str, Any] = pickle.loads(file.read_bytes())
        except (OSError, EOFError, pickle.UnpicklingError) as error:
            raise KeyError(file.name) from error
        bare = SealedPartition.__new__(SealedPartition)
        vars(bare).update(known)
        if not file.with_suffix(".inputs").exists():
            bare = bare.without_inputs()
        self._bare[name] = bare
        return bare

    def _discard(self, name: str) -> None:
        for held in (self._whole, self._bare):
            held.pop(name, None)
        if name in self._places:
            _unlink(self._places.pop(name))


def _with_trees(bare: SealedPartition, sealed: SealedPartition) -> SealedPartition:
    """Let what is read again know its hashes: what is served is proven with those signed."""
    vars(bare)["output_tree"] = sealed.output_tree
    if sealed.inputs:
        vars(bare)["input_tree"] = sealed.input_tree
    return bare


def _unlink(place: Path, *suffixes: str) -> None:
    """Remove some files of a partition; without suffixes, all of them."""
    for suffix in suffixes or (".leaves", ".inputs", ".tree"):
        with contextlib.suppress(OSError):
            place.with_suffix(suffix).unlink()


def _name(address: Address) -> str:
    return f"{address.job.hex()}-{address.stage}-{address.partition}"


def _weight(name: str, sealed: SealedPartition) -> int:
    return sum(map(len, sealed.leaves)) + sum(map(len, sealed.inputs)) + _bare_weight(name, sealed)


def _bare_weight(name: str, sealed: SealedPartition) -> int:
    return _HASHES * (len(sealed.leaves) + len(sealed.inputs))
