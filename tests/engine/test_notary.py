"""Receipts say what a job has announced, and no more."""

from __future__ import annotations

from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest

from dask_verify.engine.notary import Notary
from dask_verify.execution.work import Work
from dask_verify.protocol.domain import COORDINATOR, Identity
from dask_verify.protocol.draws import seed_digest
from dask_verify.protocol.messages import Verdict
from dask_verify.protocol.terms import Terms
from dask_verify.testing.simulation import Simulation, make_plan

OWN = Identity.generate(COORDINATOR)


class Pool:
    """Domains that are asked to close."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def workers(self) -> dict[str, list[str]]:
        return {"alice": ["tcp://a"], "bob": ["tcp://b"], "carol": ["tcp://c"]}

    def call(self, address: str, domain: str, op: str, **what: Any) -> bytes:
        self.asked.append(domain)
        raise OSError


def terms_of(simulation: Simulation) -> Terms:
    plan = simulation.plan
    return Terms(
        nonce=bytes(32),
        seed_digest=seed_digest(plan.seed),
        coordinator=OWN.public_key,
        policy=plan.policy,
        domains=tuple((d.name, d.public_key) for d in plan.domains),
        functions=bytes(32),
        sources=bytes(32),
        maps=plan.maps,
        reduces=plan.reduces,
        buckets=plan.reduces,
        unit_records=0,
    )


@pytest.mark.parametrize("written", [True, False])
def test_a_verdict_that_was_not_written_down_is_in_no_receipt(written: bool) -> None:
    """Its job may go on, and what is sampled then must not be known: the seed stays a secret."""
    simulation = Simulation(make_plan("alice", "bob", "carol", replicas=1, audit=0.5), {}, seed=3)
    assert simulation.run() is Verdict.SAMPLED
    state, pool, now = simulation.job, Pool(), datetime.now(UTC)
    driver: Any = SimpleNamespace(
        state=state,
        plan=simulation.plan,
        terms=terms_of(simulation),
        work=Work("bag", str, sum, None, 2, 1, 1024),
        look=lambda take, timeout: take(),
        resting=True,
        finished=state.finished if written else None,
        check_written=lambda: None,
        began=now,
        ended=now,
        spent={},
        pool=pool,
    )
    source: Any = SimpleNamespace(pins=(), pinned=lambda partition: True)
    receipt = Notary(driver, OWN, source).receipt()
    assert (receipt.sampled is not None) == written
    assert (receipt.verdict == "sampled") == written
    assert bool(pool.asked) == written
