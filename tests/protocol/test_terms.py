"""The job id binds all of its terms."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from dask_verify.protocol.policy import Detect, Policy
from dask_verify.protocol.terms import Terms, policy_terms, printable, sources_digest

TERMS = Terms(
    nonce=bytes(32),
    seed_digest=b"s" * 32,
    coordinator=b"c" * 32,
    policy=Policy(replicas=2),
    domains=(("alice", b"a" * 32), ("bob", b"b" * 32)),
    functions=b"f" * 32,
    sources=b"p" * 32,
    maps=4,
    reduces=2,
    buckets=16,
    unit_records=1024,
)


@pytest.mark.parametrize(
    "changes",
    [
        {"nonce": b"n" * 32},
        {"seed_digest": bytes(32)},
        {"coordinator": bytes(32)},
        {"policy": Policy(replicas=3)},
        {"policy": Policy(replicas=2, audit=0.01)},
        {"domains": TERMS.domains[::-1]},
        {"domains": TERMS.domains[:1]},
        {"domains": (("alice", b"b" * 32), ("bob", b"a" * 32))},
        {"functions": bytes(32)},
        {"sources": bytes(32)},
        {"maps": 5},
        {"reduces": 1},
        {"buckets": 32},
        {"unit_records": 0},
    ],
    ids=lambda changes: ", ".join(changes),
)
def test_every_term_changes_the_id(changes: dict[str, Any]) -> None:
    assert replace(TERMS, **changes).job != TERMS.job


@pytest.mark.parametrize(
    "changes",
    [{"replicas": 3, "faults": 1}, {"faults": 2, "replicas": 3}, {"audit": 0.5},
     {"audit": Detect(0.5, 0.5)}, {"audit": Detect(1, 0.5)}, {"unit_records": 7},
     {"referee": "domains"}, {"stand_in": False}, {"trust_input": True}, {"deadline": 5},
     {"window": 9}, {"buckets": 3}],
    ids=str,
)  # fmt: skip
def test_every_part_of_a_policy_is_one_of_its_terms(changes: dict[str, Any]) -> None:
    assert policy_terms(Policy(**changes)) != policy_terms(Policy())


def test_equal_policies_have_equal_terms() -> None:
    one, other = Policy(audit=1, deadline=5), Policy(audit=1.0, deadline=5.0)
    assert [repr(value) for value in policy_terms(one)] == [repr(v) for v in policy_terms(other)]


def test_pins_do_not_run_into_each_other() -> None:
    digests = {
        sources_digest(pins)
        for pins in (
            [],
            [("a", ())],
            [("a", (("b", "c"),))],
            [("a", ()), ("b", (("c", ""),))],
            [("a", ()), ("b", ()), ("c", ())],
        )
    }
    assert len(digests) == 5


def test_names_of_files_need_not_be_text() -> None:
    assert printable("\udcff").isascii()
    assert len(sources_digest([("/data/\udcff.csv", ())])) == 32
