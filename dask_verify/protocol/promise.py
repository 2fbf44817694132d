"""What the audits of a job promise: odds of each stage, from what was committed and drawn."""

from __future__ import annotations

from collections.abc import Iterable

from dask_verify.core.odds import Odds, StageOdds
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
    units = len(maps) if whole else sum(c.units for c in maps)
    stages = [(MAP, units, read, audits.rate)]
    if plan.unit_records != 0:
        stages.insert(0, (READ, len(maps), read, audits.rate))
    consumed = sum(c.records_in for c in reduces)
    whole = whole or audits.small
    units = len(reduces) if whole else sum(c.buckets for c in reduces)
    stages.append((REDUCE, units, consumed, 1.0 if whole else audits.rate))
    return Odds(
        tuple(
            StageOdds.of(
                stage,
                units,
                records,
                rate=rate,
                domains=len(plan.domains),
                faults=plan.policy.faults if len(plan.domains) > 1 else 0,
                sampled=min(units, audits.checked(stage, digests, rate >= 1)),
            )
            for stage, units, records, rate in stages
        )
    )
