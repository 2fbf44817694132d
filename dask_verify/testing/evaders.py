"""Saboteurs that play against sampled audits: as the one who is audited, or as the auditor.

Those who are audited remember, in each worker, what they did. What is served tells them the number
of a partition but not its stage, so they withhold whatever has that number.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from dask_verify.core.seal import Commitment
from dask_verify.testing.liars import Tamper
from dask_verify.testing.saboteur import Saboteur


@dataclass
class Mute(Tamper):
    """Flip a value in one record of every unit, and be silent exactly where it lied.

    Parameters
    ----------
    stage, partition, unit, record
        As in `Tamper`.

    Examples
    --------
    >>> mute = Mute(partition=1)
    >>> mute.map_output(0, 0, [("be", 1)]), mute.map_output(1, 0, [("be", 1)])
    ([('be', 1)], [('be', 2)])
    >>> mute.serve(0, b"leaf"), mute.serve(1, b"leaf")
    (b'leaf', None)
    """

    _lied: set[int] = field(default_factory=set, init=False, repr=False)

    def lie(self, partition: int, unit: int, records: Any) -> Any:
        """Flip a value, and remember where."""
        self._lied.add(partition)
        return super().lie(partition, unit, records)

    def serve(self, partition: int, data: bytes) -> bytes | None:
        """Serve nothing of what it corrupted."""
        return None if partition in self._lied else data


@dataclass
class Relapse(Tamper):
    """Commit to a lie, lose the partition, and compute it honestly when asked again.

    It hopes to be challenged elsewhere the second time.

    Parameters
    ----------
    stage, partition, unit, record
        As in `Tamper`.

    Examples
    --------
    >>> relapse = Relapse()
    >>> one = Commitment(b"j", "map", 0, "bob", b"i", 1, 1, 3, (3,), 9, b"", b"r" * 32)
    >>> relapse.map_output(0, 0, [("be", 1)]), relapse.commit(one) == one
    ([('be', 2)], True)
    >>> relapse.serve(0, b"leaf") is None
    True
    >>> relapse.map_output(0, 0, [("be", 1)]), relapse.commit(one) == one
    ([('be', 1)], True)
    >>> relapse.serve(0, b"leaf")
    b'leaf'
    """

    _commitments: Counter[int] = field(default_factory=Counter, init=False, repr=False)

    def lie(self, partition: int, unit: int, records: Any) -> Any:
        """Flip a value the first time."""
        return records if self._commitments[partition] else super().lie(partition, unit, records)

    def commit(self, commitment: Commitment) -> Commitment | Sequence[Commitment]:
        """Count how often a partition was committed to."""
        if self.concerns(commitment.stage, commitment.partition):
            self._commitments[commitment.partition] += 1
        return commitment

    def serve(self, partition: int, data: bytes) -> bytes | None:
        """Serve nothing of a lie."""
        return None if self._commitments[partition] == 1 else data


@dataclass
class Frame(Saboteur):
    r"""Contradict everybody: as an auditor, sign other hashes than it computed.

    Examples
    --------
    >>> Frame().audit((bytes(4), bytes(4)))
    (b'\x01\x00\x00\x00', b'\x01\x00\x00\x00')
    """

    def audit(self, answer: tuple[bytes, ...]) -> Sequence[bytes]:
        """Flip a bit of every hash."""
        return tuple(bytes([value[0] ^ 1]) + value[1:] for value in answer)


@dataclass
class Echo(Saboteur):
    r"""Answer audits without computing: since it is told no hash to repeat, it signs zeros.

    Examples
    --------
    >>> Echo().audit((b"hash", b"hash"))
    (b'\x00\x00\x00\x00', b'\x00\x00\x00\x00')
    """

    def audit(self, answer: tuple[bytes, ...]) -> Sequence[bytes]:
        """Return as many hashes as would be right."""
        return tuple(bytes(len(value)) for value in answer)
