"""Sizes of a job, estimated from what was committed: no single domain can make them larger.

The domain that claims the least counts for all, and of each domain its median partition does.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence

from dask_verify.core.seal import Commitment


def least_total(commitments: Sequence[Commitment], size: Callable[[Commitment], int]) -> int:
    """Return the smallest of the domains' median partitions, times the number of partitions.

    Parameters
    ----------
    commitments : sequence of Commitment
        One for each partition.
    size : callable
        What of a commitment is added up.

    Returns
    -------
    int

    Examples
    --------
    >>> from types import SimpleNamespace as Claim
    >>> claims = [Claim(domain="a", units=units) for units in (10, 2**20, 10)]
    >>> least_total(claims, lambda claim: claim.units)
    30
    """
    by_domain: dict[str, list[int]] = {}
    for commitment in commitments:
        by_domain.setdefault(commitment.domain, []).append(size(commitment))
    least = min(map(statistics.median_low, by_domain.values()), default=0)
    return least * len(commitments)
