"""Reports of jobs that never ran."""

from __future__ import annotations

from dask_verify.core.odds import Odds, StageOdds
from dask_verify.engine.report import DomainReport, Report
from dask_verify.protocol.audit import Audit
from dask_verify.protocol.divergence import Divergence
from dask_verify.protocol.messages import Sample, Standing, Verdict
from dask_verify.protocol.pairs import Pair

DIVERGENCE = Divergence(
    stage="map",
    partition=3,
    units=(7,),
    domains=("alice", "bob"),
    culprits=("bob",),
    cause="map",
    settled="referee",
    sample=Sample(record=2, one="('be', 1)", other="('be', 2)"),
)
AUDIT = Audit("map", 1, (4,), "units", ("bob",), "carol", "contradicted", "ab" * 32, "cd" * 32)
ODDS = Odds((StageOdds.of("map", 100, 10_000, rate=0.01, domains=3, faults=1, sampled=2),))

REPORT = Report(
    job="ab" * 32,
    verdict=Verdict.CORRECTED,
    cause="",
    domains={
        "alice": DomainReport(Standing.TRUSTED, 4, 12_345),
        "bob": DomainReport(Standing.EXPOSED, 2, 6_000),
        "carol": DomainReport(Standing.SUSPECTED, 1, 1, "map partition 0: not answered in time"),
    },
    divergences=(DIVERGENCE,),
    bytes_moved={"answers": 900, "hashes": 96, "relayed": 0},
    bytes_compared=900,
    bytes_computed=1_234_567,
    recomputed=(("map", 3, 7),),
    progress={"map": (4, 4), "reduce": (0, 1)},
    trust_input=True,
    audits=(AUDIT,),
    odds=ODDS,
    seed_digest="ef" * 32,
    status="corrected",
    couriers={"bob": ("seccomp", "landlock"), "carol": ()},
    agreement={
        ("alice", "bob"): Pair(agreed=3, diverged=1),
        ("alice", "carol"): Pair(pending=2),
        ("bob", "carol"): Pair(),
    },
)

EMPTY = Report(
    job="",
    verdict=None,
    cause="",
    domains={},
    divergences=(),
    bytes_moved={},
    bytes_compared=0,
    bytes_computed=0,
    recomputed=(),
    progress={},
    trust_input=False,
)
