"""Policies are checked when they are written down."""

from __future__ import annotations

import math
from typing import Any

import pytest

from dask_verify.errors import PolicyError
from dask_verify.protocol import policy as module
from dask_verify.protocol.messages import Verdict
from dask_verify.protocol.policy import DEFAULTS, Detect, Policy


@pytest.mark.parametrize(("replicas", "faults"), [(1, 1), (2, 1), (3, 2), (5, 4)])
def test_faults_follow_from_replicas(replicas: int, faults: int) -> None:
    assert Policy(replicas=replicas).faults == faults


@pytest.mark.parametrize(
    "wrong",
    [
        {"replicas": 0},
        {"replicas": True},
        {"replicas": 2.0},
        {"replicas": "2"},
        {"faults": 0},
        {"replicas": 2, "faults": 2},
        {"replicas": 3, "faults": True},
        {"audit": -0.1},
        {"audit": math.nan},
        {"audit": math.inf},
        {"audit": 2},
        {"audit": 1.0001},
        {"audit": "x"},
        {"audit": None},
        {"audit": True},
        {"audit": False},
        {"unit_records": 0},
        {"unit_records": 1.5},
        {"buckets": 0},
        {"window": 0},
        {"referee": "jury"},
        {"stand_in": 1},
        {"trust_input": "no"},
        {"deadline": 0},
        {"deadline": -1.0},
        {"deadline": math.inf},
        {"deadline": math.nan},
        {"deadline": True},
        {"deadline": "1 min"},
    ],
    ids=str,
)
def test_what_cannot_be_demanded_is_refused_by_name(wrong: dict[str, Any]) -> None:
    name = "replicas" if wrong == {"replicas": 2, "faults": 2} else list(wrong)[-1]
    with pytest.raises(PolicyError, match=f"^{name}: expected"):
        Policy(**wrong)


@pytest.mark.parametrize(
    ("corrupt", "confidence"),
    [(0, 0.9), (-1, 0.9), (1.5, 0.9), (math.nan, 0.9), (True, 0.9), ("x", 0.9), (1e-4, 0),
     (1e-4, 1), (1e-4, -0.1), (1e-4, math.nan), (1e-4, True), (1e-4, "x")],
    ids=str,
)  # fmt: skip
def test_what_cannot_be_detected_is_refused(corrupt: Any, confidence: Any) -> None:
    with pytest.raises(PolicyError, match=r"^Detect\.(corrupt|confidence): expected"):
        Detect(corrupt, confidence)


def test_a_detection_needs_less_of_more_data_and_more_where_auditors_may_collude() -> None:
    count, share = Detect(10, 0.99), Detect(1e-3, 0.99)
    assert count.rate(20, 3, 1) == 1 or count.rate(20, 3, 1) > count.rate(2_000, 3, 1) * 0.9
    assert share.rate(100_000, 3, 1) > share.rate(1_000_000, 3, 1) > 0
    assert share.rate(100_000, 3, 2) > share.rate(100_000, 3, 1)
    assert share.rate(0, 3, 1) == 1


def test_what_is_audited_follows_from_the_rate() -> None:
    assert not Policy(audit=0).audited
    assert not Policy(audit=0.0).audited
    assert Policy(audit=1e-12).audited
    assert Policy(audit=Detect(1, 0.5)).audited


def test_what_can_be_demanded_is_kept() -> None:
    wanted = {"replicas": 3, "faults": 1, "referee": "domains", "stand_in": False,
              "trust_input": True, "deadline": 2.5, "window": 1, "buckets": 3,
              "unit_records": 7, "audit": 0.0}  # fmt: skip
    policy = Policy(**wanted)
    assert {name: getattr(policy, name) for name in wanted} == wanted


def test_fields_that_are_not_given_come_from_the_configuration(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "_lookup", (DEFAULTS | {"replicas": 4, "window": 9}).__getitem__)
    assert (Policy().replicas, Policy().faults, Policy().window) == (4, 3, 9)
    assert Policy(replicas=2).replicas == 2


def test_a_verdict_is_never_truthy_and_only_three_answer() -> None:
    for verdict in Verdict:
        with pytest.raises(TypeError, match=r"\.answered"):
            bool(verdict)
    answered = {v for v in Verdict if v.answered}
    assert answered == {Verdict.AGREED, Verdict.CORRECTED, Verdict.SAMPLED}
