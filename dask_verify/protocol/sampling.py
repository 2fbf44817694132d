"""What has to be recomputed of an accepted commitment: the same for coordinator and checker.

Everything follows from the seed, the commitment and the rate; nobody chooses anything here.
"""

from __future__ import annotations

from dataclasses import dataclass

from dask_verify.protocol.draws import Draws
from dask_verify.protocol.messages import MAP, READ, REDUCE, Task

_SMALL = 100_000  #: records of a reduce stage that is audited whole whatever the rate


@dataclass(frozen=True)
class Sample:
    """What is drawn of one commitment.

    Parameters
    ----------
    units : tuple of int
        Which units, ascending.
    read : bool
        Whether the input partition is produced again.
    whole : bool
        Whether the whole partition is produced again: instead of all its units.
    """

    units: tuple[int, ...]
    read: bool = False
    whole: bool = False


class Sampling:
    """The sampling of one job.

    Parameters
    ----------
    seed, job : bytes
        As `Draws` takes them.
    maps, reduces : int
        Partitions of the stages.

    Examples
    --------
    >>> sampling = Sampling(bytes(32), b"job", maps=10, reduces=1)
    >>> sampling.sample(Task("map", 3), b"inputs", b"digest", 8, True, rate=1.0, small=False)
    Sample(units=(0, 1, 2, 3, 4, 5, 6, 7), read=False, whole=True)
    """

    def __init__(self, seed: bytes, job: bytes, maps: int, reduces: int) -> None:
        self.draws = Draws(seed, job)
        self._chosen = {
            MAP: self.draws.chosen(MAP, max(1, maps)),
            READ: self.draws.chosen(READ, max(1, maps)),
            REDUCE: self.draws.chosen(REDUCE, reduces),
        }

    def sample(
        self,
        task: Task,
        inputs: bytes,
        digest: bytes,
        number: int,
        cut: bool,
        rate: float,
        small: bool,
    ) -> Sample:
        """Draw what is recomputed of a commitment.

        Parameters
        ----------
        task : Task
        inputs, digest : bytes
            What was assigned, and the digest of the commitment.
        number : int
            Units of a map partition, buckets of a reduce partition.
        cut : bool
            Whether units are smaller than the input partition, so that reading is a stage.
        rate : float
            Chance of each unit.
        small : bool
            Whether the reduce stage is audited whole.

        Returns
        -------
        Sample
        """
        if task.stage == REDUCE and small:
            return Sample(tuple(range(number)), whole=True)
        units = self._units(task, inputs, digest, number, rate)
        # Many units that all happen to be drawn keep their auditors: one alone would be one bet.
        if len(units) == number and (number == 1 or rate >= 1):
            return Sample(units, whole=True)
        chosen = task.partition == self._chosen[READ]
        read = cut and (chosen or self.draws.reads(task.partition, inputs, digest, rate))
        return Sample(units, read)

    def _units(
        self, task: Task, inputs: bytes, digest: bytes, number: int, rate: float
    ) -> tuple[int, ...]:
        drawn = self.draws.units(task, inputs, digest, number, rate)
        if task.partition != self._chosen[task.stage]:
            return drawn
        return tuple(sorted({*drawn, self.draws.one(task, inputs, digest, number)}))


def is_small(emitted: int, read: int, rate: float) -> bool:
    """Whether a reduce stage is so small that it is audited whole.

    Parameters
    ----------
    emitted, read : int
        Records that maps gave, and that they read.
    rate : float
        Audit rate.

    Returns
    -------
    bool

    Examples
    --------
    >>> is_small(100_000, 0, 0.01), is_small(100_001, 10_000_000, 0.01)
    (True, False)
    """
    return emitted <= max(_SMALL, rate * read)
