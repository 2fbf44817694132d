"""@sigstore/verify, of npm, accepts receipts as bundles, and rejects each tampered one."""

from __future__ import annotations

import base64
import json
import shutil
from pathlib import Path

import pytest
import specified
from programs import need, output
from tampered import Case

from dask_verify.errors import EvidenceError
from dask_verify.evidence.envelope import opened

pytestmark = [pytest.mark.interop, pytest.mark.cluster]

NPM = Path(__file__).parent / "npm"


@pytest.fixture(scope="session")
def sigstore(tmp_path_factory):
    """Ask the package for its outcomes: "accepted", or the code of an error."""
    need("node", "npm")
    folder = tmp_path_factory.mktemp("npm")
    for path in NPM.iterdir():
        shutil.copy(path, folder)
    output("npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", cwd=folder)

    def outcomes(cases):
        asked = [
            {"envelope": c.envelope, "key": base64.b64encode(specified.spki(c.key)).decode()}
            for c in cases
        ]
        return json.loads(output("node", folder / "verify.mjs", input=json.dumps(asked)))

    return outcomes


def test_it_accepts_receipts_and_exhibits(sigstore, evidence, keys):
    assert len(evidence.envelopes) > len(evidence.results), "with exhibits"
    cases = [Case(name, one, keys["coordinator"]) for name, one in evidence.envelopes.items()]
    assert sigstore(cases) == ["accepted"] * len(cases)


def test_it_rejects_every_tampered_receipt(sigstore, mutants):
    outcomes = zip(mutants, sigstore(mutants), strict=True)
    assert {case.name: code for case, code in outcomes if code != "SIGNATURE_ERROR"} == {}


def test_the_package_rejects_the_same(saved, mutants, keys):
    payload = specified.unbase64(saved.envelope["payload"])
    assert opened(saved.receipt.read_bytes(), keys["coordinator"]) == payload
    for case in mutants:
        with pytest.raises(EvidenceError):
            opened(case.to_bytes(), case.key)
