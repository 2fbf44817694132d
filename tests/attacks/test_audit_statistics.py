"""How often sampled audits catch what they should, counted on real clusters.

A test fails by bad luck about once in ten thousand runs.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from itertools import product
from typing import Any

import dask.bag as db
import dask.dataframe as dd
import pandas as pd
import pytest

from dask_verify import Policy, Standing, Verdict, verified_map_reduce
from dask_verify.protocol import sampling
from dask_verify.testing import Tamper

pytestmark = [pytest.mark.cluster, pytest.mark.soak, pytest.mark.timeout(900)]

COMBINATIONS = list(product(("map", "reduce"), ("bag", "frame"), ("shared", "separate")))
LUCK = 1e-4
PARTITIONS = 4  # bob, the second of three domains, is given the second of them alone


@dataclass(frozen=True)
class Setting:
    """A job with as many units in each of the four partitions of a stage."""

    stage: str
    units: int
    rate: float
    records: int

    @property
    def policy(self) -> Policy:
        mapping = self.stage == "map"
        return Policy(
            replicas=1,
            audit=self.rate,
            unit_records=self.records // PARTITIONS // (self.units if mapping else 1),
            buckets=1 if mapping else self.units,
            deadline=60,
        )

    def start(self, kind: str, client: Any) -> Any:
        reduces = 1 if self.stage == "map" else PARTITIONS
        how = {"policy": self.policy, "npartitions": reduces, "client": client}
        if kind == "bag":
            bag = db.from_sequence(range(self.records), npartitions=PARTITIONS)
            return verified_map_reduce(bag, lambda n: [(n, n)], lambda _, ns: ns[0], **how)
        frame = pd.DataFrame({"k": range(self.records), "x": range(self.records)})
        ddf = dd.from_pandas(frame, npartitions=PARTITIONS)
        return verified_map_reduce(ddf, lambda df: df, lambda df: df, by="k", **how)


def caught(setting: Setting, kind: str, cluster: Any, liar: Tamper) -> bool:
    """Run one job; say whether bob was found out. Nobody else may be."""
    job = setting.start(kind, cluster.get_client())
    try:
        verdict, report = job.wait(timeout=60), job.report
    finally:
        job.cancel()
    standing = {name: d.standing for name, d in report.domains.items()}
    exposed = {name for name, got in standing.items() if got is Standing.EXPOSED}
    assert exposed <= {"bob"}
    assert {standing["alice"], standing["carol"]} == {Standing.TRUSTED}
    assert verdict is (Verdict.CORRECTED if exposed else Verdict.SAMPLED)
    # Luck is in the draw alone: what is drawn is found out, and nothing else.
    drawn = {(a.stage, a.partition, unit) for a in report.audits for unit in a.units}
    unit = liar.unit
    assert bool(exposed) is any(at[:2] == (liar.stage, 1) and unit in (None, at[2]) for at in drawn)
    return bool(exposed)


def tail(hits: int, jobs: int, chance: float) -> float:
    """Return how likely a binomial count is at most, or at least, this one; twice the smaller."""

    def point(k: int) -> float:
        return math.comb(jobs, k) * chance**k * (1 - chance) ** (jobs - k)

    low, high = sum(map(point, range(hits + 1))), sum(map(point, range(hits, jobs + 1)))
    return min(1.0, 2 * min(low, high))


@pytest.fixture
def count(request, monkeypatch):
    """A function that counts in how many jobs bob is caught, combination by combination."""
    # Small reduce stages would be audited whole.
    monkeypatch.setattr(sampling, "_SMALL", 0)

    def run(jobs: dict[str, int], settings: dict[str, Setting], liar: Any, theory: float) -> int:
        total = done = 0
        for stage, kind, pool in COMBINATIONS:
            cluster = request.getfixturevalue(f"{pool}_cluster")
            began = time.perf_counter()
            lie = liar(stage)
            cluster.sabotage("bob", lie)
            try:
                hits = sum(caught(settings[stage], kind, cluster, lie) for _ in range(jobs[kind]))
            finally:
                cluster.sabotage("bob", None)
            took = (time.perf_counter() - began) / jobs[kind]
            print(f"{stage:6} {kind:5} {pool:8} {hits:3} of {jobs[kind]}, {took:.2f} s each")
            assert tail(hits, jobs[kind], theory) > LUCK / len(COMBINATIONS)
            total, done = total + hits, done + jobs[kind]
        print(f"caught {total} of {done} = {total / done:.2%}, theory {theory:.2%}")
        assert tail(total, done, theory) > LUCK
        return total

    return run


def test_the_test_of_counts():
    assert tail(5, 10, 0.5) == 1
    assert tail(0, 10, 0.5) == pytest.approx(2 / 1024)
    assert tail(100, 100, 0.995) > 0.5
    assert tail(90, 100, 0.995) < LUCK


def test_a_single_corrupt_unit_is_caught_as_often_as_theory_says(count):
    units, rate = 4, 0.5
    settings = {
        "map": Setting("map", units, rate, records=160),
        "reduce": Setting("reduce", units, rate, records=160),
    }
    # Drawn by itself, or as the one unit of a stage that is always drawn.
    theory = 1 - (1 - rate) * (1 - 1 / (PARTITIONS * units))
    count(
        {"bag": 25, "frame": 25}, settings, lambda stage: Tamper(stage, partition=1, unit=2), theory
    )


def test_a_quarter_of_two_thousand_units_is_caught_as_often_as_theory_says(count):
    units, rate = 500, 0.01
    settings = {
        "map": Setting("map", units, rate, records=4_000),
        # So many keys that hardly a bucket is empty.
        "reduce": Setting("reduce", units, rate, records=20_000),
    }
    # In one job of four, bob has the partition in which a unit is always drawn.
    theory = 1 - (1 - rate) ** units * (1 - 1 / PARTITIONS)
    assert theory > 0.995
    # Two thousand units of a dataframe take seconds.
    jobs = {"bag": 22, "frame": 3}
    assert count(jobs, settings, lambda stage: Tamper(stage, partition=1), theory) >= 95
