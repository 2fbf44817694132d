"""Evidence of small jobs, two of them with a cheat, made once, and all that may be done to it."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parent))

CHEATED = ("words.jsonl", "means.parquet")
HONEST = "honest.jsonl"


@dataclass(frozen=True)
class Saved:
    """A saved result, with its receipt and exhibits beside it."""

    data: Path

    @property
    def receipt(self):
        return self.data.with_name(self.data.name + ".receipt.json")

    @property
    def envelope(self):
        return json.loads(self.receipt.read_bytes())

    @property
    def exhibits(self):
        return sorted(self.data.parent.glob(self.data.name + ".exhibit-*.json"))


@dataclass(frozen=True)
class Evidence:
    """The trust file of a cluster, and results of it by name."""

    trust: Path
    results: dict[str, Saved]

    @property
    def envelopes(self):
        """Every signed file: receipts and exhibits, by name."""
        files = [p for one in self.results.values() for p in (one.receipt, *one.exhibits)]
        return {path.name: json.loads(path.read_bytes()) for path in files}


@pytest.fixture(scope="session")
def evidence(shared_cluster, tmp_path_factory):
    from small_jobs import replicated_words, sampled_means

    from dask_verify.testing import Tamper

    folder = tmp_path_factory.mktemp("evidence")
    client = shared_cluster.get_client()
    shared_cluster.write_trust(folder / "trust.toml")
    replicated_words(client).save(folder / HONEST)
    shared_cluster.sabotage("bob", Tamper())
    try:
        for job, name in zip((replicated_words, sampled_means), CHEATED, strict=True):
            job(client).save(folder / name)
    finally:
        shared_cluster.sabotage("bob", None)
    names = (HONEST, *CHEATED)
    return Evidence(folder / "trust.toml", {name: Saved(folder / name) for name in names})


@pytest.fixture(scope="session")
def keys(evidence):
    from specified import public_keys

    return public_keys(evidence.trust)


@pytest.fixture(params=CHEATED)
def saved(request, evidence):
    """Each of the results of jobs in which bob cheated."""
    return evidence.results[request.param]


@pytest.fixture
def mutants(saved, evidence, keys):
    """Envelopes of each receipt, every one of them tampered with."""
    import tampered

    other = next(one for one in evidence.results.values() if one != saved)
    found = list(tampered.cases(saved.envelope, other.envelope, keys))
    assert len(found) > tampered.SAMPLE + 64
    return found
