"""A receipt in which anything was changed is refused, with an error of the package's own.

Whoever changes bytes breaks the coordinator's signature. Whoever has the coordinator's key, too,
can change only what is the coordinator's own word: all else is bound by the domains' signatures.
"""

from __future__ import annotations

import base64
import json
import random
from functools import lru_cache
from typing import Any

import pytest
from made import COORDINATOR, TRUST, closed, envelope, job
from mutating import mutations, plain

from dask_verify.errors import VerifyError
from dask_verify.evidence.envelope import seal, unverified
from dask_verify.evidence.receipts.checking import check_receipt
from dask_verify.evidence.receipts.values import Receipt

JOBS: dict[str, dict[str, Any]] = {
    "agreed": {"replicas": 2},
    "corrected": {"replicas": 2, "behaviours": {"bob": "wrong"}},
    "voted": {"replicas": 2, "referee": "domains", "behaviours": {"bob": "wrong"}},
    "served": {"replicas": 2, "behaviours": {"carol": "serves_wrong"}},
    "sampled": {"replicas": 1, "audit": 0.4},
    "framed": {"replicas": 1, "audit": 1.0, "unit_records": 1, "behaviours": {"alice": "frames"}},
}

#: What is the coordinator's word alone, and may be any value of its type. It may also leave out
#: disputes, checks, or who else was concerned: that nothing was thrown away is not promised.
WORD = {
    "predicate.cause",
    "predicate.coordinator.environment",
    "predicate.coordinator.version",
    "predicate.disputes",
    "predicate.disputes[].accepted",
    "predicate.disputes[].claims",
    "predicate.disputes[].culprits",
    "predicate.disputes[].exhibit",
    "predicate.disputes[].settled",
    "predicate.disputes[].sides",
    "predicate.disputes[].units",
    "predicate.domains[].bytes",
    "predicate.domains[].cpuNanoseconds",
    "predicate.domains[].environment",
    "predicate.domains[].reason",
    "predicate.finished",
    "predicate.job.functions.combiner",
    "predicate.job.functions.mapper",
    "predicate.job.functions.reducer",
    "predicate.job.sources.unpinned",
    "predicate.result.bytes",
    "predicate.sampling.audits",
    "predicate.stages[].doubted",
    "predicate.started",
}


@lru_cache
def receipt(name: str, order: int = 0) -> Receipt:
    return closed(job(order=order, **JOBS[name]), ("carol",))


@lru_cache
def statement(name: str) -> Any:
    return json.loads(unverified(envelope(receipt(name))))


def holds(data: bytes) -> bool:
    """Whether a receipt is accepted; anything but an error of the package's own fails the test."""
    try:
        check_receipt(data, TRUST)
    except VerifyError:
        return False
    return True


def signed(document: Any) -> bytes:
    return seal(json.dumps(document).encode(), COORDINATOR)


@pytest.mark.parametrize("name", JOBS)
def test_what_is_not_changed_holds(name: str) -> None:
    assert holds(envelope(receipt(name)))
    assert holds(signed(statement(name)))


@pytest.mark.parametrize("name", JOBS)
def test_whoever_has_the_coordinators_key_can_change_its_own_word_only(name: str) -> None:
    before, unexpected = shown(envelope(receipt(name))), set()
    for what, path, document in mutations(statement(name)):
        data = signed(document)
        if not holds(data):
            continue
        # Whatever it changes, the same result is vouched for, and the same domains are convicted.
        assert shown(data) == before, (what, path)
        if not own_word(plain(path)):
            unexpected.add((what, plain(path)))
    assert not unexpected


def shown(data: bytes) -> Any:
    """What a receipt that holds proves."""
    found = check_receipt(data, TRUST)
    return found.exposed, found.receipt.result_root, found.receipt.verdict, found.votes


def own_word(path: str) -> bool:
    """Whether a path is of what the coordinator alone says, or of an entry of such a list."""
    return any(path in (word, f"{word}[]", f"{word}[][]") or _below(path, word) for word in WORD)


def _below(path: str, word: str) -> bool:
    return path.startswith(f"{word}.")


@pytest.mark.parametrize("name", ["corrected", "sampled"])
def test_no_byte_of_the_payload_can_be_flipped(name: str) -> None:
    whole = json.loads(envelope(receipt(name)))
    payload = base64.b64decode(whole["payload"])
    draw = random.Random(7)
    for at in draw.sample(range(len(payload)), min(1500, len(payload))):
        other = bytearray(payload)
        other[at] ^= draw.randrange(1, 256)
        whole["payload"] = base64.b64encode(other).decode()
        assert not holds(json.dumps(whole).encode())


@pytest.mark.parametrize("name", ["corrected", "sampled"])
def test_no_byte_of_the_envelope_can_be_flipped(name: str) -> None:
    data = envelope(receipt(name))
    draw = random.Random(8)
    for at in draw.sample(range(len(data) - 1), 700):
        other = bytearray(data)
        other[at] ^= 1 << draw.randrange(8)
        assert not holds(bytes(other))


@pytest.mark.parametrize("cut", [0, 1, 2, 10, 100, -1, -2, -100])
def test_half_a_receipt_is_none(cut: int) -> None:
    assert not holds(envelope(receipt("agreed")).rstrip()[:cut])


def test_signatures_cannot_be_swapped_between_domains_and_jobs() -> None:
    other = json.loads(unverified(envelope(closed(job(order=3, seed=b"t" * 32, replicas=2)))))
    for where in range(3):
        for source in (statement("agreed"), other):
            for at in range(3):
                document = json.loads(json.dumps(statement("agreed")))
                domains, given = document["predicate"]["domains"], source["predicate"]["domains"]
                if source is statement("agreed") and at == where:
                    continue
                if "closing" in given[at] and "closing" in domains[where]:
                    domains[where]["closing"] = given[at]["closing"]
                    assert not holds(signed(document))


def test_single_signatures_cannot_be_swapped_between_partitions_and_stages() -> None:
    count = len(_carol(statement("agreed"))["signed"])
    for one in range(count):
        for other in range(count):
            if one != other:
                document = json.loads(json.dumps(statement("agreed")))
                rows = _carol(document)["signed"]
                rows[one]["signature"] = rows[other]["signature"]
                assert not holds(signed(document))


def test_partitions_cannot_be_swapped_within_a_stage() -> None:
    for column in ("roots", "rests"):
        document = json.loads(json.dumps(statement("agreed")))
        stage = document["predicate"]["stages"][0]
        data = base64.b64decode(stage[column])
        stage[column] = base64.b64encode(data[32:64] + data[:32] + data[64:]).decode()
        assert not holds(signed(document))


def test_a_receipt_signed_by_a_domain_is_none() -> None:
    from dask_verify.testing.simulation.enrolment import identity

    assert not holds(seal(json.dumps(statement("agreed")).encode(), identity("alice")))


def _carol(document: Any) -> Any:
    return next(d for d in document["predicate"]["domains"] if d["name"] == "carol")
