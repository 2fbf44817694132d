"""Saboteurs that sign something wrong: each of them should end ``EXPOSED``.

They are deterministic, so that two domains with the same saboteur tell the same lie; `Flaky` and
`Pretend` are the exceptions.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from dask_verify.core.seal import Commitment, digest
from dask_verify.testing.corruption import flip_record, insert, pick
from dask_verify.testing.saboteur import Lie, Saboteur


@dataclass
class Tamper(Lie):
    """Flip a value in one record of every unit.

    Parameters
    ----------
    stage, partition, unit
        As in `Lie`.
    record : int
        Which record of the unit.

    Examples
    --------
    >>> Tamper().map_output(0, 0, [("be", 1), ("to", 1)])
    [('be', 2), ('to', 1)]
    """

    record: int = 0

    def lie(self, partition: int, unit: int, records: Any) -> Any:
        """Flip a value."""
        return flip_record(records, self.record)


@dataclass
class Drop(Lie):
    """Leave one record of every unit out.

    Parameters
    ----------
    stage, partition, unit
        As in `Lie`.
    record : int
        Which record of the unit.

    Examples
    --------
    >>> Drop(record=1).map_output(0, 0, [("be", 1), ("to", 1)])
    [('be', 1)]
    """

    record: int = 0

    def lie(self, partition: int, unit: int, records: Any) -> Any:
        """Leave a record out."""
        at = self.record % len(records) if len(records) else 0
        return pick(records, [i for i in range(len(records)) if i != at])


@dataclass
class Insert(Lie):
    """Add a made-up record to every unit.

    Parameters
    ----------
    stage, partition, unit
        As in `Lie`.
    record : int
        Which record of the unit it resembles.

    Examples
    --------
    >>> Insert().map_output(0, 0, [("be", 1), ("to", 1)])
    [('be', 1), ('to', 1), ('be', 2)]
    """

    record: int = 0

    def lie(self, partition: int, unit: int, records: Any) -> Any:
        """Add a record."""
        return insert(records, self.record)


@dataclass
class Duplicate(Lie):
    """Repeat one record of every unit.

    Parameters
    ----------
    stage, partition, unit
        As in `Lie`.
    record : int
        Which record of the unit.

    Examples
    --------
    >>> Duplicate().map_output(0, 0, [("be", 1), ("to", 1)])
    [('be', 1), ('be', 1), ('to', 1)]
    """

    record: int = 0

    def lie(self, partition: int, unit: int, records: Any) -> Any:
        """Repeat a record."""
        at = self.record % len(records) if len(records) else 0
        return pick(records, sorted([*range(len(records)), *[at][: len(records)]]))


@dataclass
class Reorder(Lie):
    """Give the records of every unit in the opposite order.

    A unit whose records read the same from both ends has no other order to give; of a map unit,
    only the order within one bucket is committed to.

    Parameters
    ----------
    stage, partition, unit
        As in `Lie`.

    Examples
    --------
    >>> Reorder().map_output(0, 0, [("be", 1), ("be", 2)])
    [('be', 2), ('be', 1)]
    """

    def lie(self, partition: int, unit: int, records: Any) -> Any:
        """Reverse the records."""
        return pick(records, list(range(len(records)))[::-1])


@dataclass
class ReadOther(Saboteur):
    """Read other input.

    Parameters
    ----------
    records : list or pandas.DataFrame, optional
        What to read instead. By default the partition as a reader at the wrong offset would see
        it: the first record twice, and the last not at all.
    partition : int, optional
        Only for this partition; default: for every one.

    Examples
    --------
    >>> ReadOther().read_input(0, ["to be", "or not", "to be"])
    ['to be', 'to be', 'or not']
    >>> ReadOther(["that is"]).read_input(0, ["to be", "or not", "to be"])
    ['that is']
    """

    records: Any = None
    partition: int | None = None

    def read_input(self, partition: int, records: Any) -> Any:
        """Read something else."""
        if self.partition not in (None, partition):
            return records
        if self.records is not None:
            return self.records
        return pick(records, [max(0, i - 1) for i in range(len(records))])


@dataclass
class Stale(Lie):
    """Return the output of the first partition that a worker computed for all later ones.

    Parameters
    ----------
    stage, partition, unit
        As in `Lie`.

    Examples
    --------
    >>> stale = Stale()
    >>> stale.map_output(3, 0, [("be", 1)])
    [('be', 1)]
    >>> stale.map_output(4, 0, [("or", 1)])
    [('be', 1)]
    """

    _first: int | None = field(default=None, init=False, repr=False)
    _kept: dict[int, Any] = field(default_factory=dict, init=False, repr=False)

    def lie(self, partition: int, unit: int, records: Any) -> Any:
        """Return an earlier output, if there is one."""
        if self._first is None:
            self._first = partition
        if partition == self._first:
            self._kept[unit] = records
        return self._kept.get(unit, records)


@dataclass
class ServeOther(Saboteur):
    """Commit to one thing and serve another.

    It is found out only where somebody asks this domain for bytes.

    Examples
    --------
    >>> ServeOther().serve(0, b"leaf")
    b'leag'
    """

    def serve(self, partition: int, data: bytes) -> bytes | None:
        """Serve other bytes of the same length."""
        return data[:-1] + bytes([data[-1] ^ 1])


@dataclass
class ForgeRoot(Lie):
    """Commit to a root that belongs to no data.

    Parameters
    ----------
    stage, partition
        As in `Lie`; a root has no unit.

    Examples
    --------
    >>> true = Commitment(b"j", "map", 0, "bob", b"i", 1, 1, 3, (3,), 9, b"", b"r" * 32)
    >>> ForgeRoot().commit(true).root == true.root
    False
    """

    def commit(self, commitment: Commitment) -> Commitment | Sequence[Commitment]:
        """Change the root."""
        return forged(commitment) if self.concerns(*_task(commitment)) else commitment


@dataclass
class SignTwice(Lie):
    """Sign a true and a forged commitment to the same partition.

    Parameters
    ----------
    stage, partition
        As in `Lie`.

    Examples
    --------
    >>> true = Commitment(b"j", "map", 0, "bob", b"i", 1, 1, 3, (3,), 9, b"", b"r" * 32)
    >>> len(SignTwice().commit(true))
    2
    """

    def commit(self, commitment: Commitment) -> Commitment | Sequence[Commitment]:
        """Sign both."""
        if not self.concerns(*_task(commitment)):
            return commitment
        return (commitment, forged(commitment))


def _task(commitment: Commitment) -> tuple[str, int]:
    return commitment.stage, commitment.partition


def forged(commitment: Commitment) -> Commitment:
    """Return a commitment with a root that belongs to no data.

    Parameters
    ----------
    commitment : Commitment
        The true one.

    Returns
    -------
    Commitment

    Examples
    --------
    >>> true = Commitment(b"j", "map", 0, "bob", b"i", 1, 1, 3, (3,), 9, b"", b"r" * 32)
    >>> forged(true) == forged(true), forged(true).digest == true.digest
    (True, False)
    """
    return replace(commitment, root=digest("forged root", commitment.root))


@dataclass
class RefuseDescent(Tamper):
    """Flip a value in one record of every unit, and refuse to show anything of it.

    Examples
    --------
    >>> bob = RefuseDescent()
    >>> bob.map_output(0, 0, [("be", 1)]), bob.serve(0, b"leaf")
    ([('be', 2)], None)
    """

    def serve(self, partition: int, data: bytes) -> bytes | None:
        """Serve nothing."""
        return None


@dataclass
class Flaky(Lie):
    """Be non-deterministic: every time, perhaps, another wrong value.

    Parameters
    ----------
    stage, partition, unit
        As in `Lie`.
    chance : float
        With which a unit comes out wrong.

    Examples
    --------
    >>> Flaky(chance=1).map_output(0, 0, [("be", 1)]) == [("be", 1)]
    False
    """

    chance: float = 0.5

    def lie(self, partition: int, unit: int, records: Any) -> Any:
        """Perhaps change a record at random."""
        chance = random.SystemRandom()
        if chance.random() >= self.chance:
            return records
        return flip_record(records, chance.randrange(1 << 16), by=chance.randrange(1, 1 << 10))


@dataclass
class Pretend(Lie):
    """Pretend that the functions are non-deterministic: another lie each time it is asked.

    Parameters
    ----------
    stage, partition, unit
        As in `Lie`.

    Examples
    --------
    >>> pretend = Pretend()
    >>> pretend.map_output(0, 0, [("be", 1)]), pretend.map_output(0, 0, [("be", 1)])
    ([('be', 2)], [('be', 3)])
    """

    _asked: int = field(default=0, init=False, repr=False)

    def lie(self, partition: int, unit: int, records: Any) -> Any:
        """Tell the next lie."""
        self._asked += 1
        return flip_record(records, 0, by=self._asked)
