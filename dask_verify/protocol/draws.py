"""What the secret seed decides: challenged units, and the order in which auditors are asked.

* Every draw is a keyed hash of the seed over job, stage, partition, assigned inputs and the
  commitment's digest. A domain learns the seed after the job only, and whatever it changes of its
  commitment changes all; so does starting a stage again, whatever was challenged before.
* Whoever holds the seed afterwards draws the same again.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import blake3
import numpy as np
import numpy.typing as npt

from dask_verify.core.canonical import encode
from dask_verify.core.seal import digest
from dask_verify.protocol.messages import READ, Task

_BLOCK = 1 << 16  #: units drawn at a time
_ONE = 2**64


def seed_digest(seed: bytes) -> bytes:
    """Return what a job binds of its seed before it starts.

    Parameters
    ----------
    seed : bytes
        The secret seed.

    Returns
    -------
    bytes

    Examples
    --------
    >>> len(seed_digest(bytes(32)))
    32
    """
    return digest("seed", seed)


class Draws:
    """The draws of one job.

    Parameters
    ----------
    seed : bytes
        32 bytes that no domain knows.
    job : bytes
        Job id.

    Examples
    --------
    >>> draws = Draws(bytes(32), b"job")
    >>> draws.units(Task("map", 3), b"inputs", b"digest of the commitment", 1000, 0.005)
    (101, 379, 476, 831, 946)
    >>> draws.units(Task("map", 3), b"inputs", b"digest of another one", 8, 1.0)
    (0, 1, 2, 3, 4, 5, 6, 7)
    """

    def __init__(self, seed: bytes, job: bytes) -> None:
        self._seed, self._job = seed, job

    def units(
        self, task: Task, inputs: bytes, commitment: bytes, units: int, rate: float
    ) -> tuple[int, ...]:
        """Draw each unit of a commitment with a chance of its own; ascending.

        Parameters
        ----------
        task : Task
        inputs : bytes
            Digest of what the task was assigned.
        commitment : bytes
            Digest of the commitment.
        units : int
            How many it has.
        rate : float
            Chance of each, from 0 to 1.

        Returns
        -------
        tuple of int

        Examples
        --------
        >>> Draws(bytes(32), b"job").units(Task("map", 3), b"inputs", b"digest", 1000, 0.003)
        (658, 993)
        """
        if rate >= 1:
            return tuple(range(units))
        stream, found = self._stream("unit", *task, inputs, commitment), []
        for start in range(0, units, _BLOCK):
            count = min(_BLOCK, units - start)
            drawn = np.frombuffer(stream.digest(8 * count, seek=8 * start), dtype=">u8")
            found.extend((np.flatnonzero(drawn < int(rate * _ONE)) + start).tolist())
        return tuple(found)

    def one(self, task: Task, inputs: bytes, commitment: bytes, units: int) -> int:
        """Draw a single unit of a commitment.

        Parameters
        ----------
        task : Task
            The task.
        inputs : bytes
            Digest of what the task is assigned.
        commitment : bytes
            Digest of the commitment.
        units : int
            Number of units of the partition.

        Returns
        -------
        int

        Examples
        --------
        >>> Draws(bytes(32), b"job").one(Task("map", 3), b"inputs", b"digest", 1000)
        779
        """
        return self._number(units, "one unit", *task, inputs, commitment)

    def reads(self, partition: int, inputs: bytes, commitment: bytes, rate: float) -> bool:
        """Draw whether an input partition is produced again.

        Parameters
        ----------
        partition : int
            Number of the partition.
        inputs : bytes
            Digest of what the task is assigned.
        commitment : bytes
            Digest of the commitment.
        rate : float
            Chance to be drawn.

        Returns
        -------
        bool

        Examples
        --------
        >>> draws = Draws(bytes(32), b"job")
        >>> draws.reads(3, b"inputs", b"digest", 1.0), draws.reads(3, b"inputs", b"digest", 0.0)
        (True, False)
        """
        stream = self._stream("unit", READ, partition, inputs, commitment)
        return int.from_bytes(stream.digest(8), "big") < rate * _ONE

    def chosen(self, stage: str, partitions: int) -> int:
        """Draw the partition of a stage in which something is audited however small the job is.

        Parameters
        ----------
        stage : str
            Name of the stage.
        partitions : int
            Number of partitions of the stage.

        Returns
        -------
        int

        Examples
        --------
        >>> Draws(bytes(32), b"job").chosen("map", 80)
        6
        """
        return self._number(partitions, "partition", stage)

    def auditors(
        self,
        task: Task,
        inputs: bytes,
        commitment: bytes,
        names: Iterable[str],
        about: str | int = "",
    ) -> list[str]:
        """Draw the order in which domains are asked to audit a commitment.

        Each unit has a draw of its own: an accomplice who is drawn for one covers for no other.
        The number of the draw says with whom to begin; the others follow by name, and round.

        Parameters
        ----------
        task : Task
        inputs, commitment : bytes
            As for `units`.
        names : iterable of str
            Who may be drawn, each with the same chance: not those who signed the commitment.
        about : str or int
            A unit, or what else is audited.

        Returns
        -------
        list of str

        Examples
        --------
        >>> draws = Draws(bytes(32), b"job")
        >>> draws.auditors(Task("map", 3), b"inputs", b"digest", ["alice", "carol", "dave"], 7)
        ['dave', 'alice', 'carol']
        """
        ordered = sorted(names)
        if isinstance(about, int):
            number = int(self.numbers(task, inputs, commitment, [about])[0])
        else:
            number = self._number(_ONE, "auditor", *task, inputs, commitment, about)
        start = number % max(1, len(ordered))
        return ordered[start:] + ordered[:start]

    def numbers(
        self, task: Task, inputs: bytes, commitment: bytes, units: Sequence[int]
    ) -> npt.NDArray[np.uint64]:
        """Draw the number that says whose turn it is to audit, for each of some units.

        Parameters
        ----------
        task : Task
            The task.
        inputs : bytes
            Digest of what the task is assigned.
        commitment : bytes
            Digest of the commitment.
        units : sequence of int
            Numbers of the units.

        Returns
        -------
        numpy.ndarray

        Examples
        --------
        >>> draws = Draws(bytes(32), b"job")
        >>> (draws.numbers(Task("map", 3), b"inputs", b"digest", [0, 7]) % 3).tolist()
        [2, 2]
        """
        stream = self._stream("auditors", *task, inputs, commitment)
        at = np.asarray(units, dtype=np.int64)
        found = np.zeros(len(at), dtype=np.uint64)
        blocks = at // _BLOCK
        for block in np.unique(blocks).tolist():
            here = np.flatnonzero(blocks == block)
            inside = at[here] - block * _BLOCK
            low, count = int(inside.min()), int(inside.max()) + 1
            start = block * _BLOCK + low
            drawn = np.frombuffer(stream.digest(8 * (count - low), seek=8 * start), dtype=">u8")
            found[here] = drawn[inside - low]
        return found

    def _number(self, below: int, *what: str | int | bytes) -> int:
        return int.from_bytes(self._stream(*what).digest(16), "big") % below

    def _stream(self, *what: str | int | bytes) -> blake3.blake3:
        return blake3.blake3(encode((self._job, *what)), key=self._seed)
