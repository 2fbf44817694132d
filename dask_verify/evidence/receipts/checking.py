"""The offline check of a receipt: bytes, statements, signatures, votes, samples, data.

No network, no cluster and no Dask: what is needed is the receipt, a trust file, and for the data
their file.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

import numpy as np

from dask_verify.errors import DataError, EvidenceError
from dask_verify.evidence.data import compare, read_data, row_order
from dask_verify.evidence.enrolment.trust import Trust
from dask_verify.evidence.envelope import opened
from dask_verify.evidence.receipts.convicting import convict
from dask_verify.evidence.receipts.counting import Votes, count_votes
from dask_verify.evidence.receipts.reading import read_receipt
from dask_verify.evidence.receipts.redrawing import check_sampling
from dask_verify.evidence.receipts.signatures import check_signatures
from dask_verify.evidence.receipts.values import Party, Receipt
from dask_verify.evidence.receipts.writing import dispute_outline
from dask_verify.protocol.board import MAX_UNITS
from dask_verify.protocol.messages import MAP, REDUCE, Verdict


@dataclass(frozen=True)
class Checked:
    """What a receipt that holds has shown.

    Parameters
    ----------
    receipt : Receipt
    exposed : frozenset of str
        Domains that are proven wrong.
    enrolled : frozenset of str
        Domains whose keys the trust file has.
    votes : Votes
    sampled, units : int
        Units that were recomputed elsewhere as committed, and units in all.
    data : str
        The file that was compared by value; empty if none was.

    Examples
    --------
    >>> checked = check_receipt(data, load_trust("domains.toml"))  # doctest: +SKIP
    >>> checked.exposed, checked.votes.fewest  # doctest: +SKIP
    (frozenset({'bob'}), 2)
    """

    receipt: Receipt
    exposed: frozenset[str]
    enrolled: frozenset[str]
    votes: Votes
    sampled: int
    units: int
    data: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON values.

        Returns
        -------
        dict of str to object

        Examples
        --------
        >>> check_receipt(data, trust).to_dict()["verdict"]  # doctest: +SKIP
        'agreed'
        """
        receipt = self.receipt
        return {
            "holds": True,
            "job": receipt.job.hex(),
            "verdict": receipt.verdict,
            "resultRoot": receipt.result_root.hex(),
            "partitions": {stage.name: len(stage) for stage in receipt.stages},
            "votes": self.votes.fewest,
            "byCoordinator": self.votes.lent,
            "sampled": self.sampled,
            "units": self.units,
            "rate": receipt.sampled.rate if receipt.sampled is not None else 0.0,
            "disputes": [
                dispute_outline(dispute) | {"exhibit": dispute.exhibit.hex()}
                for dispute in receipt.disputes
            ],
            "domains": {p.name: _party(p, p.name in self.enrolled) for p in receipt.parties},
            "data": self.data,
        }


def _party(party: Party, enrolled: bool) -> dict[str, Any]:
    return {
        "enrolled": enrolled,
        "standing": party.standing,
        "commitments": party.commitments,
        "bytes": party.nbytes,
        "cpuSeconds": party.cpu / 1e9,
    }


def check_receipt(
    data: bytes,
    trust: Trust,
    *,
    replicas: int | None = None,
    min_audit: float | None = None,
    path: str | None = None,
) -> Checked:
    """Check a receipt, and the data that it is about.

    1. The envelope is signed by the coordinator of the trust file; only then it is parsed.
    2. Every field is there, once, with its type and range; job id, commitment digests, the inputs
       of the reduce stage and the result root are computed again, and must be those that it names.
    3. The job has an answer, and its verdict follows from what happened.
    4. Every signature of a domain is verified over what the receipt ascribes to it.
    5. Whoever was wrong has signed what is contradicted, and is exposed; nobody else is.
    6. Enough distinct trusted domains signed every partition: as many as the job's policy asks
       for, and the checker.
    7. The challenges are drawn again, and were all met.
    8. The data have the result root, by value.

    Parameters
    ----------
    data : bytes
        The receipt's file.
    trust : Trust
        Whose signatures count.
    replicas : int, optional
        How many domains must have signed every partition; default: as the job's policy says.
    min_audit : float, optional
        The least audit rate.
    path : str, optional
        Path or URL of the result's file.

    Returns
    -------
    Checked

    Raises
    ------
    EvidenceError
        If it does not hold: which statement broke, what was expected and what was found.
    DataError
        If the data are not those that the receipt is about.

    Examples
    --------
    >>> from dask_verify.evidence.enrolment.trust import Entry, Trust
    >>> from dask_verify.protocol.domain import Identity
    >>> me = Identity.generate("coordinator")
    >>> check_receipt(b"{}", Trust(coordinator=Entry(me.name, me.public_key)))
    Traceback (most recent call last):
        ...
    dask_verify.errors.EvidenceError: envelope.payloadType: expected a value, got nothing
    """
    if trust.coordinator is None:
        wanted = (
            "a [coordinator] whose key signs receipts (dask verify enroll FILE coordinator.toml)"
        )
        raise EvidenceError("trust file", wanted, "none")
    receipt = read_receipt(opened(data, trust.coordinator.public_key))
    _check_coordinator(receipt, trust)
    _check_verdict(receipt)
    _check_stages(receipt)
    check_signatures(receipt)
    _check_result(receipt)
    trusted = frozenset(entry.public_key for entry in trust.entries)
    exposed = convict(receipt, trusted)
    votes = count_votes(receipt, trusted, exposed, replicas)
    sampled = check_sampling(receipt, trusted, exposed, min_audit)
    if path is not None:
        compared_data(path, receipt)
    enrolled = frozenset(party.name for party in receipt.parties if party.key in trusted)
    return Checked(receipt, exposed, enrolled, votes, sampled, _units(receipt), path or "")


def compared_data(path: str | os.PathLike[str], receipt: Receipt) -> Any:
    """Return what a result's file holds, if it has the roots of a receipt that holds.

    Parameters
    ----------
    path : path or URL
    receipt : Receipt

    Returns
    -------
    object

    Raises
    ------
    DataError
        If the values differ, or are not in the order that the receipt names.
    EvidenceError
        If the receipt is about no result.

    Examples
    --------
    >>> compared_data("means.parquet", check_receipt(data, trust).receipt)  # doctest: +SKIP
    """
    if receipt.result is None:
        raise EvidenceError("result", "a result", "none")
    value, by = read_data(path, receipt.result), receipt.sorted_by
    compare(value, receipt.result, receipt.stage(REDUCE).roots)
    if by and not np.array_equal(row_order(value, by), np.arange(len(value))):
        raise DataError(f"data: expected rows that are sorted by {', '.join(by)}, got others")
    return value


def _check_coordinator(receipt: Receipt, trust: Trust) -> None:
    assert trust.coordinator is not None, "checked before"
    key = trust.coordinator.public_key
    if receipt.terms.coordinator != key:
        raise EvidenceError("coordinator.publicKey", key.hex(), receipt.terms.coordinator.hex())


def _check_verdict(receipt: Receipt) -> None:
    """Check that there is an answer, and that the verdict is the one that it must be."""
    verdict, policy = Verdict(receipt.verdict), receipt.terms.policy
    if not verdict.answered:
        why = f"{receipt.verdict} ({receipt.cause})" if receipt.cause else receipt.verdict
        raise EvidenceError("verdict", "one with an answer", why)
    if policy.replicas == 1 and not policy.audited:
        raise EvidenceError("verdict", "inconclusive, as nothing was checked", receipt.verdict)
    clean = Verdict.SAMPLED if policy.replicas == 1 else Verdict.AGREED
    expected = Verdict.CORRECTED if receipt.disputes else clean
    if verdict is not expected:
        raise EvidenceError("verdict", expected.value, receipt.verdict)
    if any(stage.others for stage in receipt.stages) and not receipt.disputes:
        raise EvidenceError("disputes", "one, as domains signed different things", "none")
    if receipt.cause:
        raise EvidenceError("cause", "none for an answer", receipt.cause)


def _check_stages(receipt: Receipt) -> None:
    """Check that all partitions are there, and none that no domain could commit to."""
    terms = receipt.terms
    if not receipt.stages:
        raise EvidenceError("stages", "map and reduce", "none")
    if terms.buckets % terms.reduces or terms.buckets // terms.reduces > MAX_UNITS:
        where = f"a multiple of {terms.reduces}, of at most {MAX_UNITS} for each"
        raise EvidenceError("job.buckets", where, terms.buckets)
    maps = receipt.stage(MAP)
    most = max((receipt.shape(maps, i)[1] for i in range(len(maps))), default=1)
    if most > MAX_UNITS:
        raise EvidenceError("stage map, units", f"at most {MAX_UNITS}", most)


def _units(receipt: Receipt) -> int:
    """Return the number of units: of maps their units, of reduces their buckets."""
    maps, reduces = receipt.stage(MAP), receipt.stage(REDUCE)
    mapped = sum(receipt.shape(maps, i)[1] for i in range(len(maps)))
    return mapped + sum(receipt.shape(reduces, j)[0] for j in range(len(reduces)))


def _check_result(receipt: Receipt) -> None:
    """Check that the result has as many rows as was signed."""
    shape = receipt.result
    if shape is None:
        raise EvidenceError("result", "the shape of the result", "none")
    rows = tuple(map(sum, shape.rows))
    if shape.kind == "frame" and rows != receipt.stage(REDUCE).records_out:
        raise EvidenceError("result.rows", receipt.stage(REDUCE).records_out, rows)
