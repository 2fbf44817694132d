"""Who agreed with whom: the claims of every two executors, partition by partition."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from itertools import combinations

from dask_verify.protocol.quorum import Claim

_AGREED, _DIVERGED, _PENDING = range(3)


@dataclass(frozen=True)
class Pair:
    """What two executors said of the partitions that both were asked for.

    Parameters
    ----------
    agreed : int
        Partitions to which both committed alike.
    diverged : int
        Partitions to which they committed otherwise, or one of them twice.
    pending : int
        Partitions for which the commitment of one of them, or of both, is not there.
    """

    agreed: int = 0
    diverged: int = 0
    pending: int = 0


def agreement(
    tasks: Iterable[tuple[Iterable[Claim], Collection[str]]], names: Iterable[str] = ()
) -> dict[tuple[str, str], Pair]:
    """Compare every two executors over all tasks.

    Parameters
    ----------
    tasks : iterable of (claims, names)
        For each task the claims on it, and who was asked and has not answered.
    names : iterable of str
        Executors that are in the result whether or not they were asked for anything.

    Returns
    -------
    dict of (str, str) to Pair
        Every two of them once, both in order of their names.

    Examples
    --------
    >>> agreement([((), {"alice", "bob"})])
    {('alice', 'bob'): Pair(agreed=0, diverged=0, pending=1)}
    """
    counts: defaultdict[tuple[str, str], list[int]] = defaultdict(lambda: [0, 0, 0])
    known = set(names)
    for claims, unanswered in tasks:
        said: dict[str, set[bytes]] = {name: set() for name in unanswered}
        for claim in claims:
            said.setdefault(claim.domain, set()).add(claim.digest)
        known |= said.keys()
        for one, other in combinations(sorted(said), 2):
            counts[one, other][_compared(said[one], said[other])] += 1
    pairs = combinations(sorted(known), 2)
    return {pair: Pair(*counts[pair]) if pair in counts else Pair() for pair in pairs}


def _compared(one: set[bytes], other: set[bytes]) -> int:
    if len(one) > 1 or len(other) > 1:
        return _DIVERGED  # whoever said two things agrees with nobody
    if not (one and other):
        return _PENDING
    return _AGREED if one == other else _DIVERGED
