"""Many partitions through a small coordinator, in a process that has no scheduler beside it."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import coordinating
import pytest

from dask_verify import LocalDomainCluster
from dask_verify.evidence.enrolment.trust import Entry, Trust, save_trust

pytestmark = [pytest.mark.large, pytest.mark.cluster]

PARTITIONS = 20_000
MOST = 500_000_000  #: bytes that a job of so many partitions may take
EMPTY = 250_000_000  #: of these, for what is there without a partition: imports, mostly
SLICE = 5  #: a slice is one of so many parts


@pytest.fixture(scope="module")
def scheduler(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[str]]:
    """Two domains; the address of their scheduler, and their trust file."""
    trust = tmp_path_factory.mktemp("trust") / "domains.toml"
    with LocalDomainCluster(["alice", "bob"], n_workers=1, dashboard_address=None) as cluster:
        # Without the cluster's own coordinator: the process to be measured makes itself a key.
        entries = (Entry(d.name, d.public_key, environment=d.environment) for d in cluster.domains)
        save_trust(trust, Trust(tuple(entries)))
        client: Any = cluster.get_client()
        yield [client.scheduler.address, str(trust)]


@pytest.mark.timeout(1800)
@pytest.mark.parametrize(
    ("replicas", "audit", "verdict"), [(2, 0.0, "AGREED"), (1, 0.01, "SAMPLED")]
)
@pytest.mark.parametrize("kind", ["bag", "frame"])
def test_a_coordinator_of_many_partitions_stays_small(
    scheduler: list[str],
    kind: str,
    replicas: int,
    audit: float,
    verdict: str,
    full: bool,
    tell: Any,
) -> None:
    partitions = PARTITIONS if full else PARTITIONS // SLICE
    most = EMPTY + (MOST - EMPTY) * partitions // PARTITIONS
    script = str(Path(coordinating.__file__))
    numbers = [kind, str(partitions), str(replicas), str(audit)]
    done = subprocess.run(
        [sys.executable, script, *scheduler, *numbers], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout.splitlines()[-1])
    tell(
        f"{kind}, replicas={replicas}, audit={audit}: {partitions} partitions in"
        f" {told['seconds']:.0f} s, highest memory {told['highest'] / 1e6:.0f} MB"
        f" of which {told['at first'] / 1e6:.0f} MB at first"
    )
    assert (told["verdict"], told["right"]) == (verdict, True)
    assert told["highest"] < most
