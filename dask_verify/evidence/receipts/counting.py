"""Recounting: whether enough distinct domains signed what was accepted.

* A key counts once, whatever names it has, and only if the trust file has it.
* An exposed domain counts for nothing, and a domain that signed two different things for a task
  counts for neither.
* Each exposed domain of the trust file is one of the faulty ones, so one other fewer has to agree.
* Where the policy lets the coordinator stand in, its own computation counts as one more; but that
  is its word, so no partition rests on it alone, and it does not meet what the checker demands.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from dask_verify.core.seal import Commitment
from dask_verify.errors import EvidenceError
from dask_verify.evidence.receipts.values import Receipt, Stage
from dask_verify.protocol.domain import COORDINATOR
from dask_verify.protocol.policy import Policy


@dataclass(frozen=True)
class Votes:
    """Who signed the partitions of a receipt.

    Parameters
    ----------
    fewest : int
        The fewest distinct trusted domains that signed any partition.
    lent : int
        Partitions that would have had too few without the coordinator's own computation.
    """

    fewest: int
    lent: int


def count_votes(
    receipt: Receipt,
    trusted: Collection[bytes],
    exposed: Collection[str],
    replicas: int | None = None,
) -> Votes:
    """Check that every partition was signed by as many distinct domains as it must be.

    Parameters
    ----------
    receipt : Receipt
        With verified signatures.
    trusted : collection of bytes
        Public keys that count.
    exposed : collection of str
        Domains that are proven wrong.
    replicas : int, optional
        How many domains the checker demands, besides the job's own policy: whoever is exposed.

    Returns
    -------
    Votes

    Raises
    ------
    EvidenceError
        If there are too few for one of the partitions.
    """
    policy, lent = receipt.terms.policy, 0
    out = sum(party.name in exposed and party.key in trusted for party in receipt.parties)
    counts: list[int] = []
    for stage in receipt.stages:
        doubted, own = set(stage.doubted), set(stage.signers.get(COORDINATOR, ()))
        for partition, number in enumerate(_votes(receipt, stage, trusted, exposed)):
            where = f"{stage.name} partition {partition}, signers"
            needed = required(policy, out, partition in doubted)
            helped = policy.stand_in and partition in own
            _check(where, number, max(1, replicas or 1, needed - helped), needed, helped)
            lent += number < needed
            counts.append(number)
    return Votes(min(counts, default=0), lent)


def _check(where: str, number: int, wanted: int, needed: int, helped: bool) -> None:
    if number < wanted:
        text = f"{max(wanted, needed)} distinct trusted domains"
        got = f"{number}, and the coordinator's own word" if helped else number
        raise EvidenceError(where, text, got)


def required(policy: Policy, exposed: int, doubted: bool) -> int:
    """Return how many distinct domains must have signed.

    Parameters
    ----------
    policy : Policy
        What the user demands.
    exposed : int
        Number of exposed domains.
    doubted : bool
        Whether something spoke against a commitment, so that only a full quorum decides.

    Returns
    -------
    int

    Examples
    --------
    >>> required(Policy(replicas=2), 0, False), required(Policy(replicas=2), 1, False)
    (2, 1)
    >>> required(Policy(replicas=1), 0, False), required(Policy(replicas=1), 0, True)
    (1, 2)
    """
    if policy.replicas == 1 and not doubted:
        return 1
    return max(1, policy.faults + 1 - exposed)


def _votes(
    receipt: Receipt, stage: Stage, trusted: Collection[bytes], exposed: Collection[str]
) -> list[int]:
    """Return how many distinct trusted keys count for each partition."""
    keys = {p.name: p.key for p in receipt.parties if p.key in trusted and p.name not in exposed}
    double = {_task(other.payload, other.domain) for other in stage.others}
    found: list[set[bytes]] = [set() for _ in range(len(stage))]
    for name, key in keys.items():
        for partition in stage.signers.get(name, ()):
            if (name, partition) not in double:
                found[partition].add(key)
    return list(map(len, found))


def _task(payload: bytes, domain: str) -> tuple[str, int]:
    return domain, Commitment.from_bytes(payload).partition
