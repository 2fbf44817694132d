"""Every saboteur against every kind of collection, stage, pool and number of domains."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Any

import pytest
import rehearsal

from dask_verify import Policy, Standing, Verdict
from dask_verify.testing import (
    Collude,
    Crash,
    Drop,
    Duplicate,
    Flaky,
    ForgeRoot,
    Insert,
    Pretend,
    ReadOther,
    RefuseDescent,
    Reorder,
    ServeOther,
    SignTwice,
    Silent,
    Slow,
    Stale,
    Tamper,
)

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(180)]

LIARS = {
    "tamper": Tamper,
    "drop": Drop,
    "insert": Insert,
    "duplicate": Duplicate,
    "reorder": Reorder,
    "stale": Stale,
    "forge_root": ForgeRoot,
    "sign_twice": SignTwice,
    "refuse_descent": RefuseDescent,
    "flaky": lambda stage: Flaky(stage, chance=1),
    "pretend": Pretend,
    "collude": lambda stage: Collude(Tamper(stage)),
}
STALLERS = {
    "slow": lambda stage: Slow(8, stage=stage),
    "silent": lambda stage: Silent(stage=stage),
    "crash": lambda stage: Crash(stage=stage),
}
# What these do belongs to one stage, or is found out in whichever stage asks them for bytes first.
ONE_STAGE = {"read_other": ("map", ReadOther), "serve_other": ("any", ServeOther)}

#: Seconds after which a task is late where somebody is to be found late.
DEADLINE = 5
PARTITIONS = {"map": rehearsal.MAPS, "reduce": rehearsal.REDUCES}
#: What is shown is a root without data, so there is no unit to name.
NO_UNIT = {"forge_root", "sign_twice", "refuse_descent", "serve_other"}

#: A forged root is also found out where leaves are asked for that should belong to it.
CAUSES = {"read_other": {"read", "map"}, "serve_other": {"serve"}}
CAUSES |= {name: {"map", "reduce", "serve"} for name in ("forge_root", "sign_twice")}


@dataclass(frozen=True)
class Cell:
    saboteur: str
    stage: str
    kind: str
    pool: str
    domains: int

    def __str__(self) -> str:
        return "-".join(map(str, vars(self).values()))

    @property
    def stalls(self) -> bool:
        return self.saboteur in STALLERS

    @property
    def culprits(self) -> tuple[str, ...]:
        return ("bob", "carol") if self.saboteur == "collude" else ("bob",)

    @property
    def policy(self) -> Policy:
        return Policy(
            replicas=3 if self.saboteur == "collude" else 2,
            unit_records=rehearsal.UNIT if self.kind == "bag" or self.pool == "shared" else None,
            deadline=DEADLINE if self.stalls else 60,
        )

    def saboteurs(self) -> dict[str, Any]:
        if self.saboteur in ONE_STAGE:
            made = ONE_STAGE[self.saboteur][1]()
        else:
            made = (LIARS | STALLERS)[self.saboteur](self.stage)
        cast = dict.fromkeys(self.culprits, made)
        if self.saboteur == "serve_other":
            # Whoever answers first is asked first for bytes.
            honest = [n for n in rehearsal.NAMES[: self.domains] if n not in cast]
            cast |= dict.fromkeys(honest, Slow(0.1))
        return cast


def cells() -> list[Cell]:
    names = list(itertools.product([*LIARS, *STALLERS], ["map", "reduce"]))
    names += [(name, stage) for name, (stage, _) in ONE_STAGE.items()]
    return [
        Cell(saboteur, stage, kind, pool, domains)
        for (saboteur, stage), kind, pool in itertools.product(
            names, ["bag", "frame"], ["shared", "separate"]
        )
        for domains in ([4] if saboteur == "collude" else [3, 2])
    ]


def values(cell: Cell, together: int) -> set[tuple[tuple[str, object], ...]]:
    return set(itertools.combinations(vars(cell).items(), together))


def once(cells: list[Cell], together: int = 1) -> list[Cell]:
    """Choose cells greedily until every value of every factor occurs in one of them.

    With ``together`` of 3, every three values of three factors that can meet, meet in one of them.
    """
    chosen: list[Cell] = []
    of = {cell: values(cell, together) for cell in cells}
    left = set().union(*of.values())
    while left:
        best = max(cells, key=lambda cell: len(of[cell] & left))
        chosen.append(best)
        left -= of[best]
    return chosen


CELLS = cells()


def rehearse(cell: Cell, stages: rehearsal.Stages) -> None:
    client = stages.client(cell.pool, cell.domains)
    with stages.sabotaged(cell.pool, cell.saboteurs()):
        job = rehearsal.run(cell.kind, client, cell.policy)
        try:
            rehearsal.check(cell.kind, job.result(timeout=rehearsal.TIMEOUT))
            settled(job)
            judge(cell, job.report)
        finally:
            job.cancel()


def settled(job: Any) -> None:
    """Wait until the protocol has heard all that reading the result brought to light."""
    driver = job._driver
    with driver.changed:
        driver.changed.wait_for(
            lambda: driver.state.standing["bob"] is not Standing.TRUSTED, timeout=10
        )


def judge(cell: Cell, report: Any) -> None:
    blamed = Standing.SUSPECTED if cell.stalls else Standing.EXPOSED
    assert {name: domain.standing for name, domain in report.domains.items()} == {
        name: blamed if name in cell.culprits else Standing.TRUSTED
        for name in rehearsal.NAMES[: cell.domains]
    }
    if cell.stalls:
        assert report.verdict is Verdict.AGREED
        assert not report.divergences
        return
    assert report.verdict is Verdict.CORRECTED
    assert {name for d in report.divergences for name in d.culprits} == set(cell.culprits)
    for divergence in report.divergences:
        assert cell.stage in (divergence.stage, "any")
        assert 0 <= divergence.partition < PARTITIONS[divergence.stage]
        assert set(divergence.culprits) <= set(divergence.domains)
    proven = report.divergences[0]
    assert proven.units or cell.saboteur in NO_UNIT
    assert proven.cause in CAUSES.get(cell.saboteur, {cell.stage})


# A third of those that together have every value of every factor: the long suite has all.
@pytest.mark.parametrize("cell", once(CELLS)[::3], ids=str)
def test_slice(cell, stages):
    rehearse(cell, stages)


MET = once(CELLS, together=3)
REST = [cell for cell in CELLS if cell not in MET]


@pytest.mark.parametrize(
    "cell",
    [
        *(pytest.param(cell, id=str(cell), marks=pytest.mark.matrix) for cell in MET),
        *(pytest.param(cell, id=str(cell), marks=pytest.mark.soak) for cell in REST),
    ],
)
def test_matrix(cell, stages):
    rehearse(cell, stages)
