"""What a receipt costs: bytes for each partition and replica."""

from __future__ import annotations

import pytest
from large import REDUCES, large
from made import checked, envelope

POLICIES = [
    {"replicas": 1, "audit": 0.01},
    pytest.param({"replicas": 2}, marks=pytest.mark.matrix),
    pytest.param({"replicas": 3}, marks=pytest.mark.matrix),
]


@pytest.mark.parametrize("policy", POLICIES)
def test_a_receipt_has_at_most_150_bytes_a_partition_and_replica(policy) -> None:
    few, many = (large(maps, **policy) for maps in (200, 1000))
    grown = len(envelope(many)) - len(envelope(few))
    assert grown / 800 / policy["replicas"] <= 150
    assert checked(many).votes.fewest == policy["replicas"]
    assert len(many.stage("reduce")) == REDUCES
