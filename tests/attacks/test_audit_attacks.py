"""Domains that play against sampled audits, on real clusters.

Rates are so high, and corrupt units so many, that nothing depends on what is drawn: with a rate of
0.9, the 36 corrupt units of three partitions escape with a chance of ``0.1 ** 36``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import audited
import pytest

from dask_verify import Policy, Standing, Verdict
from dask_verify.core.seal import Commitment
from dask_verify.protocol import sampling
from dask_verify.testing import (
    Collude,
    Drop,
    Duplicate,
    Echo,
    ForgeRoot,
    Frame,
    Insert,
    Mute,
    ReadOther,
    RefuseDescent,
    Relapse,
    Saboteur,
    ServeOther,
    SignTwice,
    Tamper,
)

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(180)]

MAPS, UNIT = 9, 2
RECORDS = MAPS * 12 * UNIT  # 12 units in each partition
UNITS = Policy(replicas=1, audit=0.9, unit_records=UNIT, deadline=60)
WHOLE = Policy(replicas=1, audit=1.0, deadline=60)

EXPOSED, SUSPECTED, TRUSTED = Standing.EXPOSED, Standing.SUSPECTED, Standing.TRUSTED
#: Both kinds of collection and of pool; the long suite meets each once.
EVERYWHERE = [
    pytest.param("bag", "separate", marks=pytest.mark.soak),
    pytest.param("frame", "shared", marks=pytest.mark.soak),
    pytest.param("bag", "shared", marks=pytest.mark.matrix),
    pytest.param("frame", "separate", marks=pytest.mark.matrix),
]


@pytest.fixture
def stage(request):
    """A function that runs a job while some domains are sabotaged."""
    used: list[Any] = []

    def play(kind, pool, saboteurs, policy, **options):
        cluster = request.getfixturevalue(f"{pool}_cluster")
        for name, saboteur in saboteurs.items():
            cluster.sabotage(name, saboteur)
            used.append((cluster, name))
        sizes = {"records": RECORDS, "maps": MAPS} | options
        job = audited.start(kind, cluster.get_client(), policy, **sizes)
        audited.check(kind, job.result(timeout=100), sizes["records"])
        honest = {"alice", "bob", "carol"} - set(saboteurs)
        assert audited.who(job, EXPOSED).isdisjoint(honest)
        return job

    yield play
    for cluster, name in used:
        cluster.sabotage(name, None)


@pytest.fixture
def large_reduce(monkeypatch):
    """Have reduce stages sampled that are so small that they would be audited whole."""
    monkeypatch.setattr(sampling, "_SMALL", 0)


def convicted(job: Any, *culprits: str) -> None:
    """Check that these domains are proven to have lied, and that the answer was corrected."""
    wanted = dict.fromkeys(("alice", "bob", "carol"), TRUSTED) | dict.fromkeys(culprits, EXPOSED)
    assert audited.standings(job) == wanted, str(job.report)
    assert job.report.verdict is Verdict.CORRECTED
    assert {name for d in job.report.divergences for name in d.culprits} == set(culprits)


# --- lies in the map stage ------------------------------------------------------------------


@dataclass
class Repent(Tamper):
    """Lie, and show something else as soon as somebody asks for what was committed to."""

    _lied: set[int] = field(default_factory=set, init=False, repr=False)

    def lie(self, partition: int, unit: int, records: Any) -> Any:
        if partition in self._lied and unit == 0:
            return records  # asked to compute it once more, it does so honestly
        self._lied.add(partition)
        return super().lie(partition, unit, records)

    def serve(self, partition: int, data: bytes) -> bytes | None:
        if partition not in self._lied:
            return data
        return bytes(32) + data[32:]


@dataclass
class Underhand(Tamper):
    """Lie, and refuse nothing but the inputs: hashes are shown, what they came from is not."""

    def serve(self, partition: int, data: bytes) -> bytes | None:
        return None if len(data) % 32 else data


LIARS = {
    "tamper": Tamper,
    "tamper_one_record": lambda: Tamper(record=1),
    "drop": Drop,
    "insert": Insert,
    "duplicate": Duplicate,
    "read_other": ReadOther,
    "forge_root": ForgeRoot,
    "mute": Mute,
    "relapse": Relapse,
    "repent": Repent,
    "underhand": Underhand,
    "refuse": RefuseDescent,
}


@pytest.mark.parametrize(("kind", "pool"), EVERYWHERE)
@pytest.mark.parametrize("liar", LIARS)
def test_who_lies_in_units_is_exposed(stage, kind, pool, liar):
    # Records that were read again are compared in 99.9 % of the partitions, and bob has three.
    policy = replace(UNITS, audit=0.999) if liar == "read_other" else UNITS
    job = stage(kind, pool, {"bob": LIARS[liar]()}, policy)
    convicted(job, "bob")
    assert "map" in {d.stage for d in job.report.divergences}


@pytest.mark.parametrize(("kind", "pool"), EVERYWHERE[1:3])
@pytest.mark.parametrize("liar", LIARS)
def test_who_lies_in_whole_partitions_is_exposed(stage, kind, pool, liar):
    convicted(stage(kind, pool, {"bob": LIARS[liar]()}, WHOLE), "bob")


@pytest.mark.parametrize(
    ("kind", "pool"),
    [("bag", "shared"), pytest.param("frame", "separate", marks=pytest.mark.matrix)],
)
def test_one_corrupt_unit_is_named(stage, kind, pool):
    job = stage(kind, pool, {"bob": Tamper(partition=4, unit=7)}, replace(UNITS, audit=0.9999))
    convicted(job, "bob")
    (found,) = [d for d in job.report.divergences if d.units]
    assert (found.stage, found.partition, found.units) == ("map", 4, (7,))
    assert found.cause == "map"


def test_who_signs_twice_is_exposed(stage):
    job = stage("bag", "shared", {"bob": SignTwice()}, UNITS)
    assert audited.who(job, EXPOSED) <= {"bob"}
    assert audited.who(job, TRUSTED) == {"alice", "carol"}
    assert job.report.verdict is Verdict.CORRECTED


# --- lies in the reduce stage ---------------------------------------------------------------


@pytest.mark.parametrize(("kind", "pool"), EVERYWHERE)
@pytest.mark.parametrize("liar", [Tamper, Drop, Insert, Mute, Relapse])
def test_who_lies_in_small_reduces_is_exposed(stage, kind, pool, liar):
    job = stage(kind, pool, {"bob": liar("reduce")}, replace(UNITS, audit=0.2))
    convicted(job, "bob")
    assert {d.stage for d in job.report.divergences} == {"reduce"}


@pytest.mark.parametrize(("kind", "pool"), EVERYWHERE)
@pytest.mark.parametrize("liar", [Tamper, Drop, Insert, Mute, Relapse])
def test_who_lies_in_sampled_reduces_is_exposed(stage, large_reduce, kind, pool, liar):
    policy = replace(UNITS, audit=0.85, buckets=16)
    job = stage(kind, pool, {"bob": liar("reduce")}, policy)
    convicted(job, "bob")
    assert "units" in {a.kind for a in job.report.audits if a.stage == "reduce"}


@pytest.mark.parametrize(("kind", "pool"), EVERYWHERE)
def test_who_shows_nothing_of_its_maps_has_nothing_to_reduce(stage, kind, pool):
    """It lies in the reduce stage, but refuses what every audit of its map partitions asks for."""
    job = stage(kind, pool, {"bob": RefuseDescent("reduce")}, UNITS)
    assert audited.standings(job) == {"alice": TRUSTED, "bob": SUSPECTED, "carol": TRUSTED}
    assert job.report.verdict is Verdict.SAMPLED


# --- lies of auditors -----------------------------------------------------------------------


@pytest.mark.parametrize(("kind", "pool"), EVERYWHERE)
@pytest.mark.parametrize("auditor", [Echo, Frame])
def test_auditors_that_lie_convict_only_themselves(stage, kind, pool, auditor):
    convicted(stage(kind, pool, {"bob": auditor()}, UNITS), "bob")


@pytest.mark.parametrize(
    ("kind", "pool", "auditor"),
    [
        ("frame", "shared", Echo),
        ("bag", "separate", Frame),
        pytest.param("frame", "shared", Frame, marks=pytest.mark.matrix),
        pytest.param("bag", "separate", Echo, marks=pytest.mark.matrix),
    ],
)
def test_auditors_of_whole_partitions_that_lie_convict_only_themselves(stage, kind, pool, auditor):
    convicted(stage(kind, pool, {"bob": auditor()}, WHOLE), "bob")


@dataclass
class Stall(Saboteur):
    """Compute honestly, and never answer an audit."""

    def audit(self, answer: tuple[bytes, ...]) -> Sequence[bytes]:
        return ()


@pytest.mark.parametrize("policy", [UNITS, WHOLE], ids=["units", "whole"])
def test_auditors_that_answer_nonsense_are_suspected_at_most(stage, policy):
    job = stage("bag", "shared", {"bob": Stall()}, policy)
    assert audited.who(job, EXPOSED) <= {"bob"}
    assert audited.who(job, TRUSTED) == {"alice", "carol"}


# --- lies about what was committed to -------------------------------------------------------


@pytest.mark.parametrize(("kind", "pool"), EVERYWHERE)
def test_who_serves_other_bytes_is_exposed(stage, kind, pool):
    job = stage(kind, pool, {"bob": ServeOther()}, replace(UNITS, audit=0.01))
    convicted(job, "bob")
    assert "serve" in {d.cause for d in job.report.divergences}


@dataclass
class Misstate(Saboteur):
    """Commit to true roots with other numbers beside them."""

    field: str
    by: int
    stage: str = "map"

    def commit(self, commitment: Commitment) -> Commitment | Sequence[Commitment]:
        if commitment.stage != self.stage:
            return commitment
        value = getattr(commitment, self.field)
        if isinstance(value, int):
            return replace(commitment, **{self.field: value + self.by})
        first = 0 if self.by == 0 else value[0] + self.by
        return replace(commitment, **{self.field: (first, *value[1:])})


FALSE = {
    "more": Misstate("counts", 1),
    "zero": Misstate("counts", 0),
    "reduced from fewer": Misstate("records_in", -1, "reduce"),
    "read fewer": Misstate("records_in", -1),
}


@pytest.mark.parametrize(("kind", "pool"), EVERYWHERE)
@pytest.mark.parametrize("lie", FALSE)
def test_who_signs_false_numbers_is_exposed(stage, kind, pool, lie):
    policy = replace(UNITS, audit=0.999) if lie == "read fewer" else UNITS
    convicted(stage(kind, pool, {"bob": FALSE[lie]}, policy), "bob")


def test_false_numbers_are_found_out_where_little_is_sampled(stage):
    job = stage("bag", "shared", {"bob": Misstate("counts", 0)}, replace(UNITS, audit=0.001))
    convicted(job, "bob")
    assert "counts" in {d.settled for d in job.report.divergences}


@dataclass
class Coarse(Saboteur):
    """Claim to have cut everything into a single unit, which is seldom drawn."""

    def commit(self, commitment: Commitment) -> Commitment | Sequence[Commitment]:
        return replace(commitment, units=1) if commitment.stage == "map" else commitment


def test_units_that_were_not_planned_count_as_no_answer(stage):
    job = stage("bag", "shared", {"bob": Coarse()}, UNITS)
    assert audited.standings(job)["bob"] is SUSPECTED
    assert audited.who(job, TRUSTED) == {"alice", "carol"}
    assert job.report.verdict is Verdict.SAMPLED
    assert job.report.domains["bob"].reason


# --- conspiracies, and other policies -------------------------------------------------------


@pytest.mark.parametrize(
    "policy",
    [pytest.param(UNITS, id="units"), pytest.param(WHOLE, id="whole", marks=pytest.mark.matrix)],
)
@pytest.mark.parametrize("pool", [pytest.param("shared", marks=pytest.mark.matrix), "separate"])
def test_conspirators_are_exposed_by_the_one_who_is_honest(stage, pool, policy):
    cast = dict.fromkeys(("bob", "carol"), Collude(Tamper()))
    job = stage("bag", pool, cast, replace(policy, faults=2))
    convicted(job, "bob", "carol")


@pytest.mark.parametrize("liar", [Tamper, Mute, Echo])
@pytest.mark.parametrize("policy", [UNITS, WHOLE], ids=["units", "whole"])
def test_votes_decide_where_the_policy_wants_them_to(stage, policy, liar):
    job = stage("bag", "shared", {"bob": liar()}, replace(policy, referee="domains"))
    assert audited.who(job, EXPOSED) <= {"bob"}
    assert {"alice", "carol"} <= audited.who(job, TRUSTED)
