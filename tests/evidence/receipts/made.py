"""Receipts of simulated jobs: real commitments, real signatures, no cluster."""

from __future__ import annotations

from dataclasses import replace
from hashlib import sha256
from typing import Any

from dask_verify.evidence.enrolment.trust import Entry, Trust
from dask_verify.evidence.envelope import seal
from dask_verify.evidence.receipts.checking import Checked, check_receipt
from dask_verify.evidence.receipts.drafting import About, Draft, draft
from dask_verify.evidence.receipts.values import Functions, Party, Receipt, SourcePin
from dask_verify.evidence.receipts.writing import write_receipt
from dask_verify.protocol import closing
from dask_verify.protocol.board import Plan
from dask_verify.protocol.domain import Domain
from dask_verify.protocol.draws import seed_digest
from dask_verify.protocol.messages import Verdict
from dask_verify.protocol.terms import Terms, sources_digest
from dask_verify.testing.simulation.enrolment import identity, make_plan
from dask_verify.testing.simulation.nature import Nature
from dask_verify.testing.simulation.partitions import BUCKETS
from dask_verify.testing.simulation.world import Simulation

COORDINATOR = identity("coordinator")
PINS = (SourcePin("/data/a.csv", (("size", "12"), ("mtime", "1.5"))),)
NAMES = ("alice", "bob", "carol", "dave")
TRUST = Trust(
    tuple(Entry(name, identity(name).public_key) for name in NAMES),
    Entry("coordinator", COORDINATOR.public_key),
)


def terms_of(plan: Plan) -> Terms:
    return Terms(
        nonce=sha256(plan.seed).digest(),
        seed_digest=seed_digest(plan.seed),
        coordinator=COORDINATOR.public_key,
        policy=plan.policy,
        domains=tuple((d.name, d.public_key) for d in plan.domains),
        functions=bytes(32),
        sources=sources_digest((pin.path, pin.identity) for pin in PINS),
        maps=plan.maps,
        reduces=plan.reduces,
        buckets=BUCKETS * plan.reduces,
        unit_records=plan.unit_records or 0,
    )


def ran(simulation: Simulation) -> Draft:
    """Run a simulated job under an id that is made of its terms; return what is known of it."""
    terms = terms_of(simulation.plan)
    simulation.plan = replace(simulation.plan, job=terms.job)
    Simulation.__post_init__(simulation)
    simulation.run()
    return draft(simulation.job, about(terms))


def about(terms: Terms) -> About:
    return About(
        terms=terms,
        functions=Functions("words:split", "words:total"),
        pins=PINS,
        unpinned=0,
        started="2026-01-01T00:00:00.000Z",
        finished="2026-01-01T00:00:01.000Z",
        version="0.1.0",
        spent={"alice": 5},
    )


def job(**options: Any) -> Draft:
    """A small job of honest domains, unless `behaviours` says otherwise."""
    behaviours, seed = options.pop("behaviours", {}), options.pop("order", 0)
    names = options.pop("names", NAMES[:3])
    shape = {"maps": 3, "reduces": 2, "unit_records": 5} | options
    # As the vectors were published: reduce partitions that depend on their number alone.
    nature = Nature(linked=False)
    return ran(Simulation(make_plan(*names, **shape), behaviours, seed, nature=nature))


def closed(taken: Draft, refusing: tuple[str, ...] = ()) -> Receipt:
    """The receipt after the domains have closed it, but for some that do not."""
    parties = [_closed(taken, party, refusing) for party in taken.receipt.parties]
    return replace(taken.receipt, parties=tuple(parties))


def _closed(taken: Draft, party: Party, refusing: tuple[str, ...]) -> Party:
    commitments, answers = taken.commitments[party.name], taken.answers[party.name]
    if party.name in refusing:
        singles = tuple(answer.signature for answer in answers)
        return replace(party, singles=tuple(commitments), answers=singles)
    pairs = [(one.payload, one.signature) for one in commitments]
    wire = closing.close(closing.request(taken.receipt.job, pairs, answers), identity(party.name))
    signature = closing.closed(wire, taken.receipt.closing(party), Domain(party.name, party.key))
    return replace(party, closing=signature)


def envelope(receipt: Receipt) -> bytes:
    return seal(write_receipt(receipt), COORDINATOR)


def checked(receipt: Receipt, **asked: Any) -> Checked:
    return check_receipt(envelope(receipt), TRUST, **asked)


def answered(receipt: Receipt) -> bool:
    return Verdict(receipt.verdict).answered
