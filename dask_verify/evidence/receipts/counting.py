"""Recounting: whether enough distinct domains signed what was accepted.

* A key counts once, whatever names it has, and only if the trust file has it.
* An exposed domain counts for nothing, and a domain that signed two different things for a task
  counts for neither. The coordinator's own computation counts as one more domain's.
* Each exposed domain is one of the faulty ones, so one other fewer has to agree.
"""

from __future__ import annotations

from collections.abc import Collection

from dask_verify.core.seal import Commitment
from dask_verify.errors import EvidenceError
from dask_verify.evidence.receipts.values import Receipt, Stage
from dask_verify.protocol.domain import COORDINATOR
from dask_verify.protocol.policy import Policy


def count_votes(
    receipt: Receipt,
    trusted: Collection[bytes],
    exposed: Collection[str],
    replicas: int | None = None,
) -> int:
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
        What the checker demands, besides the job's own policy: so many, whoever is exposed.

    Returns
    -------
    int
        The fewest distinct domains that signed any partition.

    Raises
    ------
    EvidenceError
        If there are too few for one of the partitions.
    """
    fewest = len(receipt.parties) + 1
    for stage in receipt.stages:
        votes = _votes(receipt, stage, trusted, exposed)
        doubted = set(stage.doubted)
        for partition, number in enumerate(votes):
            needed = required(receipt.terms.policy, len(exposed), partition in doubted)
            wanted = max(needed, replicas or 1)
            if number < wanted:
                where = f"{stage.name} partition {partition}, signers"
                raise EvidenceError(where, f"{wanted} distinct trusted domains", number)
        fewest = min([fewest, *votes])
    return fewest


def required(policy: Policy, exposed: int, doubted: bool) -> int:
    """Return how many distinct domains must have signed.

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
    keys = {party.name: party.key for party in receipt.parties}
    keys[COORDINATOR] = receipt.terms.coordinator
    counted = {*trusted, receipt.terms.coordinator}
    double = {_task(other.payload, other.domain) for other in stage.others}
    found: list[set[bytes]] = [set() for _ in range(len(stage))]
    for name, partitions in stage.signers.items():
        if keys[name] in counted and name not in exposed:
            for partition in partitions:
                if (name, partition) not in double:
                    found[partition].add(keys[name])
    return list(map(len, found))


def _task(payload: bytes, domain: str) -> tuple[str, int]:
    return domain, Commitment.from_bytes(payload).partition
