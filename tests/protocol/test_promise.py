from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from dask_verify.protocol.audit import Audits
from dask_verify.protocol.board import Plan
from dask_verify.protocol.messages import MAP, REDUCE, Task
from dask_verify.protocol.promise import odds_of
from dask_verify.protocol.staffing import Crew
from dask_verify.testing.simulation.enrolment import make_plan
from dask_verify.testing.simulation.partitions import commit

MAPS, REDUCES = 3, 2


def job(audit: Any = 0.1, records: int = 1, **changes: Any) -> tuple[Plan, Audits, list[Any]]:
    plan = replace(
        make_plan("a", "b", "c", maps=MAPS, reduces=REDUCES, replicas=1, audit=audit),
        unit_records=records,
    )
    maps = [commit(plan, Task(MAP, i), "a", b"") for i in range(MAPS)]
    reduces = [commit(plan, Task(REDUCE, j), "a", b"") for j in range(REDUCES)]
    audits = Audits(plan, Crew(plan))
    audits.size_known([replace(m, **changes) for m in maps])
    return plan, audits, [*maps, *reduces]


def stages(plan: Plan, audits: Audits, commitments: list[Any]) -> dict[str, tuple[int, float]]:
    odds = odds_of(plan, audits, commitments)
    assert odds is not None
    return {s.stage: (s.units, s.rate) for s in odds.stages}


def test_without_audits_nothing_is_promised() -> None:
    assert odds_of(*job(audit=0.0)) is None


def test_where_units_are_smaller_reading_is_a_stage_of_its_own() -> None:
    plan, audits, commitments = job()
    got = stages(plan, audits, commitments)
    assert got["read"] == (MAPS, 0.1)
    assert got["map"] == (sum(c.units for c in commitments[:MAPS]), 0.1)


def test_where_the_partition_is_the_unit_it_is_read_and_mapped_as_one() -> None:
    assert "read" not in stages(*job(records=0))


def test_what_is_audited_whole_counts_partitions_since_each_has_one_auditor() -> None:
    small = job()
    assert small[1].small
    assert stages(*small)["reduce"] == (REDUCES, 1.0)
    assert stages(*job(audit=1.0))["map"] == (MAPS, 1.0)


def test_a_large_reduce_stage_counts_buckets() -> None:
    large = job(counts=(10**6, 10**6))
    assert not large[1].small
    assert stages(*large)["reduce"] == (sum(c.buckets for c in large[2][MAPS:]), 0.1)


@pytest.mark.parametrize(("faults", "worth"), [(1, 0.1), (2, 0.05)])
def test_faulty_auditors_are_counted(faults: int, worth: float) -> None:
    plan, audits, commitments = job()
    plan = replace(plan, policy=replace(plan.policy, faults=faults))
    odds = odds_of(plan, audits, commitments)
    assert odds is not None
    assert odds.stages[0].effective == pytest.approx(worth)
