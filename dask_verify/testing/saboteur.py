"""What a saboteur may interfere with, and the bases that the shipped ones build on."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from dask_verify.core.seal import Commitment
from dask_verify.errors import InputError
from dask_verify.protocol.messages import MAP, REDUCE


class Saboteur:
    """Does nothing; subclasses override what they corrupt.

    Its hooks run in the worker processes of its domain, before the domain signs. It is sent there
    with cloudpickle, so it may be defined in a script or a notebook. A worker loads it once, so
    what a hook keeps on ``self`` is there when the next hook of the same worker runs.

    Examples
    --------
    >>> class Shout(Saboteur):
    ...     def map_output(self, partition, unit, records):
    ...         return [(key.upper(), value) for key, value in records]
    >>> Shout().map_output(0, 0, [("be", 1)])
    [('BE', 1)]
    >>> Shout().reduce_output(0, 0, [("be", 1)])
    [('be', 1)]
    """

    def read_input(self, partition: int, records: Any) -> Any:
        """Return what is mapped instead of the records that were read.

        Parameters
        ----------
        partition : int
        records : list or pandas.DataFrame
            Input records.

        Returns
        -------
        object

        Examples
        --------
        >>> class Skip(Saboteur):
        ...     def read_input(self, partition, records):
        ...         return records[1:]
        >>> Skip().read_input(0, ["to be", "or not"])
        ['or not']
        """
        return records

    def map_output(self, partition: int, unit: int, records: Any) -> Any:
        """Return what is committed to instead of what the mapper gave.

        Parameters
        ----------
        partition, unit : int
            Unit within the partition.
        records : list of (key, value), or pandas.DataFrame

        Returns
        -------
        object

        Examples
        --------
        >>> class Twice(Saboteur):
        ...     def map_output(self, partition, unit, records):
        ...         return records + records
        >>> Twice().map_output(0, 0, [("be", 1)])
        [('be', 1), ('be', 1)]
        """
        return records

    def reduce_output(self, partition: int, unit: int, records: Any) -> Any:
        """Return what is committed to instead of what the reducer gave.

        Parameters
        ----------
        partition, unit : int
            Bucket within the partition.
        records : list of (key, value), or pandas.DataFrame

        Returns
        -------
        object

        Examples
        --------
        >>> class Zero(Saboteur):
        ...     def reduce_output(self, partition, unit, records):
        ...         return [(key, 0) for key, _ in records]
        >>> Zero().reduce_output(0, 0, [("be", 2)])
        [('be', 0)]
        """
        return records

    def commit(self, commitment: Commitment) -> Commitment | Sequence[Commitment]:
        """Return what is signed instead of a commitment: another one, or several.

        Parameters
        ----------
        commitment : Commitment
            The true one.

        Returns
        -------
        Commitment or sequence of Commitment

        Examples
        --------
        >>> from dataclasses import replace
        >>> class Forge(Saboteur):
        ...     def commit(self, commitment):
        ...         return replace(commitment, root=bytes(32))
        >>> true = Commitment(b"j", "map", 0, "bob", b"i", 1, 1, 3, (3,), 9, b"", b"r" * 32)
        >>> Forge().commit(true).root == bytes(32)
        True
        """
        return commitment

    def serve(self, partition: int, data: bytes) -> bytes | None:
        """Return what is served instead of a leaf, or of hashes of a tree; None: nothing.

        Parameters
        ----------
        partition : int
            Number of the partition.
        data : bytes
            What would be served.

        Returns
        -------
        bytes or None

        Examples
        --------
        >>> class Hide(Saboteur):
        ...     def serve(self, partition, data):
        ...         return None if partition == 3 else data
        >>> Hide().serve(3, b"leaf"), Hide().serve(4, b"leaf")
        (None, b'leaf')
        """
        return data

    def audit(self, answer: tuple[bytes, ...]) -> Sequence[bytes]:
        """Return what is signed instead of what an audit computed.

        In an audit, no other hook but `delay` is called: what was read and computed is the truth.

        Parameters
        ----------
        answer : tuple of bytes
            Hashes of 32 bytes: of the recomputed leaves, unit by unit and bucket by bucket; or of
            all leaves of a whole partition, in the order of the tree; or, where an input partition
            was read again, the one root over the inputs of its units.

        Returns
        -------
        sequence of bytes
            A tuple or list of hashes; with anything else the audit fails.

        Examples
        --------
        >>> class Frame(Saboteur):
        ...     def audit(self, answer):
        ...         return [bytes(32) for _ in answer]
        >>> Frame().audit((b"h" * 32,)) == [bytes(32)]
        True
        """
        return answer

    def delay(self, stage: str, partition: int) -> float:
        """Return for how many seconds a task is held up before it starts.

        Parameters
        ----------
        stage : str
            Name of the stage.
        partition : int
            Number of the partition.

        Returns
        -------
        float

        Examples
        --------
        >>> class Doze(Saboteur):
        ...     def delay(self, stage, partition):
        ...         return 10.0 if stage == "reduce" else 0.0
        >>> Doze().delay("reduce", 0), Doze().delay("map", 0)
        (10.0, 0.0)
        """
        return 0


@dataclass
class Lie(Saboteur):
    """Base of saboteurs that corrupt the output of one stage; override `lie`.

    Parameters
    ----------
    stage : {"map", "reduce"}
        Whose output.
    partition, unit : int, optional
        Corrupt only this partition, or only this unit of each; default: every one.

    Examples
    --------
    >>> class Forget(Lie):
    ...     def lie(self, partition, unit, records):
    ...         return records[:0]
    >>> Forget(stage="reduce").reduce_output(0, 0, [("be", 1)])
    []
    >>> Forget("output")
    Traceback (most recent call last):
        ...
    dask_verify.errors.InputError: stage: expected 'map' or 'reduce', got 'output'
    """

    stage: str = MAP
    partition: int | None = None
    unit: int | None = None

    def __post_init__(self) -> None:
        if self.stage not in (MAP, REDUCE):
            raise InputError(f"stage: expected 'map' or 'reduce', got {self.stage!r}")

    def lie(self, partition: int, unit: int, records: Any) -> Any:
        """Return the corrupted output.

        Parameters
        ----------
        partition : int
            Number of the partition.
        unit : int
            Number of the unit.
        records : object
            The records: a list, or a pandas DataFrame.

        Returns
        -------
        object

        Examples
        --------
        >>> class Shout(Lie):
        ...     def lie(self, partition, unit, records):
        ...         return [(key.upper(), value) for key, value in records]
        >>> Shout().lie(0, 0, [("be", 1)])
        [('BE', 1)]
        """
        return records

    def map_output(self, partition: int, unit: int, records: Any) -> Any:
        """Corrupt what the mapper gave."""
        return self._lie(MAP, partition, unit, records)

    def reduce_output(self, partition: int, unit: int, records: Any) -> Any:
        """Corrupt what the reducer gave."""
        return self._lie(REDUCE, partition, unit, records)

    def concerns(self, stage: str, partition: int) -> bool:
        """Whether this saboteur means a partition.

        Parameters
        ----------
        stage : str
            Name of the stage.
        partition : int
            Number of the partition.

        Returns
        -------
        bool

        Examples
        --------
        >>> Lie(stage="map", partition=3).concerns("map", 3), Lie(partition=3).concerns("map", 4)
        (True, False)
        """
        return self.stage == stage and self.partition in (None, partition)

    def _lie(self, stage: str, partition: int, unit: int, records: Any) -> Any:
        if self.concerns(stage, partition) and self.unit in (None, unit):
            return self.lie(partition, unit, records)
        return records


@dataclass
class Collude(Saboteur):
    """The same lie from every domain that has it.

    Every hook works on a fresh copy of the saboteur within, so that what one domain has seen
    before cannot make its lie differ from its accomplices'.

    Parameters
    ----------
    saboteur : Saboteur
        The lie; one that draws random numbers is no conspiracy.

    Examples
    --------
    >>> from dask_verify.testing import Collude, Pretend
    >>> alice, bob = Collude(Pretend()), Collude(Pretend())
    >>> alice.map_output(7, 0, [("be", 2)]), alice.map_output(0, 0, [("be", 2)])
    ([('be', 3)], [('be', 3)])
    >>> bob.map_output(0, 0, [("be", 2)])
    [('be', 3)]
    """

    saboteur: Saboteur

    def read_input(self, partition: int, records: Any) -> Any:
        """Ask the saboteur within."""
        return self._fresh().read_input(partition, records)

    def map_output(self, partition: int, unit: int, records: Any) -> Any:
        """Ask the saboteur within."""
        return self._fresh().map_output(partition, unit, records)

    def reduce_output(self, partition: int, unit: int, records: Any) -> Any:
        """Ask the saboteur within."""
        return self._fresh().reduce_output(partition, unit, records)

    def commit(self, commitment: Commitment) -> Commitment | Sequence[Commitment]:
        """Ask the saboteur within."""
        return self._fresh().commit(commitment)

    def serve(self, partition: int, data: bytes) -> bytes | None:
        """Ask the saboteur within."""
        return self._fresh().serve(partition, data)

    def audit(self, answer: tuple[bytes, ...]) -> Sequence[bytes]:
        """Ask the saboteur within."""
        return self._fresh().audit(answer)

    def delay(self, stage: str, partition: int) -> float:
        """Ask the saboteur within."""
        return self._fresh().delay(stage, partition)

    def _fresh(self) -> Saboteur:
        return copy.deepcopy(self.saboteur)
