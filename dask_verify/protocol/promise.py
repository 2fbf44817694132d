"""What the audits of a job promise: odds of each stage, from what was committed and drawn."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from dask_verify.core.odds import Odds, StageOdds
from dask_verify.core.odds.arguments import LARGEST_COUNT
from dask_verify.core.seal import Commitment
from dask_verify.protocol.audit import Audits
from dask_verify.protocol.board import Plan
from dask_verify.protocol.messages import MAP, READ, REDUCE


def odds_of(plan: Plan, audits: Audits, commitments: Iterable[Commitment]) -> Odds | None:
    """Return the odds of a job's audits; None without audits, or before their rate is known.

    Parameters
    ----------
    plan : Plan
    audits : Audits
    commitments : iterable of Commitment
        The accepted ones: of maps, and of reduces as far as there are any.

    Returns
    -------
    Odds or None
    """
    if not plan.policy.audited or audits.rate is None:
        return None
    accepted = list(commitments)
    digests = {c.digest for c in accepted}
    maps = [c for c in accepted if c.stage == MAP]
    reduces = [c for c in accepted if c.stage == REDUCE]
    read = sum(c.records_in for c in maps)
    # What is audited whole has one auditor for each partition: there, the partition is the unit.
    whole = audits.rate >= 1
    partitions = [(c.records_in, 1) for c in maps]
    cut = partitions if whole else [_cut(plan, c) for c in maps]
    stages = [(MAP, cut, read, audits.rate)]
    if plan.unit_records != 0:
        stages.insert(0, (READ, partitions, read, audits.rate))
    consumed = sum(c.records_in for c in reduces)
    whole = whole or audits.small
    reduced = [(c.records_in, 1) for c in reduces]
    # How its records are spread over a partition's buckets is not known: one may have them all.
    others = [] if whole else [(0, c.buckets - 1) for c in reduces]
    stages.append((REDUCE, reduced + others, consumed, 1.0 if whole else audits.rate))
    return Odds(
        tuple(
            StageOdds.of(
                stage,
                units,
                min(records, LARGEST_COUNT),
                rate=rate,
                domains=len(plan.domains),
                faults=plan.policy.faults if len(plan.domains) > 1 else 0,
                sampled=min(units, audits.checked(stage, digests, rate >= 1)),
                sizes=_largest_first(cut),
            )
            for stage, cut, records, rate in stages
            for units in [min(sum(number for _, number in cut), LARGEST_COUNT)]
        )
    )


def _cut(plan: Plan, commitment: Commitment) -> tuple[int, int]:
    """Return how many records a unit of a map partition has at most, and how many units it has."""
    size = commitment.records_in
    return (min(size, plan.unit_records) if plan.unit_records else size, commitment.units)


def _largest_first(cut: Iterable[tuple[int, int]]) -> tuple[tuple[int, int], ...]:
    numbers: Counter[int] = Counter()
    for size, number in cut:
        numbers[size] += number
    return tuple(sorted(numbers.items(), reverse=True))
