"""Redrawing: whether everything that had to be recomputed was, by somebody else.

1. The seed is the one that the job bound before it started.
2. The rate is the one that the policy asks for, and at least what the checker demands.
3. What a full quorum decided, or the coordinator itself computed, need not be sampled.
4. For every other partition the challenges are drawn again, and each must have been answered by a
   trusted domain, or the coordinator, other than a single signer.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass

from dask_verify.core.seal import Commitment
from dask_verify.errors import EvidenceError
from dask_verify.evidence.receipts.values import AuditRow, Receipt, Sampled, Stage
from dask_verify.protocol.domain import COORDINATOR
from dask_verify.protocol.draws import seed_digest
from dask_verify.protocol.messages import MAP, REDUCE, Task
from dask_verify.protocol.policy import Detect
from dask_verify.protocol.sampling import Sampling, is_small


def check_sampling(
    receipt: Receipt,
    trusted: Collection[bytes],
    exposed: Collection[str],
    min_audit: float | None = None,
) -> int:
    """Check that the job was sampled as it had to be.

    Parameters
    ----------
    receipt : Receipt
        With verified signatures.
    trusted : collection of bytes
        Public keys that count.
    exposed : collection of str
        Domains that are proven wrong: they audit nothing.
    min_audit : float, optional
        The rate that the checker demands.

    Returns
    -------
    int
        How many units were recomputed elsewhere as committed, reads not counted.

    Raises
    ------
    EvidenceError
        If something was not sampled.
    """
    sampled, policy = receipt.sampled, receipt.terms.policy
    rate = 0.0 if sampled is None else sampled.rate
    # Written so that a demand which is no number is not met.
    if min_audit is not None and not rate >= min_audit:
        raise EvidenceError("sampling.rate", f"at least {min_audit}", rate)
    if sampled is None or not policy.audited:
        if (sampled is None) == policy.audited:
            raise EvidenceError("sampling", "as the policy says", f"{'no ' * (not rate)}samples")
        return 0
    _check_terms(receipt, sampled)
    _check_rows(receipt, sampled)
    enrolled = {COORDINATOR, *(p.name for p in receipt.parties if p.key in trusted)}
    out = len(enrolled.intersection(exposed))
    needed = max(1, policy.faults + 1 - out) if policy.replicas > 1 else 1
    jury = Jury(frozenset(enrolled), frozenset(enrolled - {*exposed}), needed)
    return sum(_checked(receipt, sampled, stage, jury) for stage in receipt.stages)


@dataclass(frozen=True)
class Jury:
    """Who may say that a commitment was recomputed.

    Parameters
    ----------
    enrolled : frozenset of str
        Those of the trust file, and the coordinator.
    auditors : frozenset of str
        The same without those who are exposed.
    needed : int
        How many must have signed besides an auditor: an auditor is no replica.
    """

    enrolled: frozenset[str]
    auditors: frozenset[str]
    needed: int

    def passed(self, rows: Iterable[AuditRow], signers: Collection[str]) -> Iterator[AuditRow]:
        """Yield the checks that count: of what enough others signed, and answered.

        Parameters
        ----------
        rows : iterable of AuditRow
            The audits.
        signers : collection of str
            Who signed the commitment.

        Yields
        ------
        AuditRow
            An audit that counts.
        """
        for row in rows:
            answered = row.auditor in signers if row.kind == "whole" else _answered(row)
            others = len(self.enrolled.intersection(signers) - {row.auditor}) >= self.needed
            agreed = row.outcome == "agreed" and not row.commitment
            if agreed and answered and others and row.auditor in self.auditors:
                yield row


def _check_terms(receipt: Receipt, sampled: Sampled) -> None:
    """Check seed and rate, and what both depend on."""
    bound = receipt.terms.seed_digest
    if seed_digest(sampled.seed) != bound:
        raise EvidenceError("sampling.seed, its digest", bound, seed_digest(sampled.seed))
    maps, audit = receipt.stage(MAP), receipt.terms.policy.audit
    rate = _derived(receipt, sampled, audit) if isinstance(audit, Detect) else float(audit)
    if sampled.basis and not isinstance(audit, Detect):
        raise EvidenceError("sampling.basis", "0, as the policy names the rate", sampled.basis)
    if sampled.rate != rate:
        raise EvidenceError("sampling.rate", rate, sampled.rate)
    # No estimate of what was emitted is larger than if every partition were like the largest.
    most = len(maps) * max(maps.records_out, default=0)
    if is_small(most, sum(maps.records_in), rate) and not sampled.small:
        raise EvidenceError("sampling.small", "true for so few records", sampled.small)


def _check_rows(receipt: Receipt, sampled: Sampled) -> None:
    """Check that every row is about something that there is."""
    names = {COORDINATOR, "", *(party.name for party in receipt.parties)}
    for number, row in enumerate(sampled.audits):
        where = f"sampling.audits[{number}]"
        if row.partition >= len(receipt.stage(row.stage)):
            raise EvidenceError(where, f"a partition of {row.stage}", row.partition)
        if row.auditor not in names:
            raise EvidenceError(where, "a domain of the job", row.auditor)
        if row.kind != "units" and row.units:
            raise EvidenceError(where, f"no units of what is {row.kind}", row.units)
        if row.kind == "read" and row.stage != MAP:
            raise EvidenceError(where, "only maps that are read again", row.stage)


def _derived(receipt: Receipt, sampled: Sampled, audit: Detect) -> float:
    """Return the rate for the number of units that the receipt names, if there can be as many."""
    maps, policy = receipt.stage(MAP), receipt.terms.policy
    units = [receipt.shape(maps, i)[1] for i in range(len(maps))] or [0]
    # What was claimed and is not accepted any more may have been what the rate was derived from.
    units += [Commitment.from_bytes(other.payload).units for other in maps.others]
    least, most = len(maps) * min(units), len(maps) * max(units)
    if not least <= sampled.basis <= most:
        raise EvidenceError("sampling.basis", f"{least} to {most} units", sampled.basis)
    return audit.rate(sampled.basis, len(receipt.parties), policy.faults)


def _checked(receipt: Receipt, sampled: Sampled, stage: Stage, jury: Jury) -> int:
    """Check one stage; return how many of its units were recomputed."""
    terms = receipt.terms
    sampling = Sampling(sampled.seed, receipt.job, terms.maps, terms.reduces)
    rows: dict[int, list[AuditRow]] = {}
    for row in sampled.audits:
        if row.stage == stage.name:
            rows.setdefault(row.partition, []).append(row)
    signers: dict[int, set[str]] = {}
    for name, partitions in stage.signers.items():
        for partition in partitions:
            signers.setdefault(partition, set()).add(name)
    exempt = {*stage.doubted, *stage.signers.get(COORDINATOR, ())}
    total = 0
    for partition in range(len(stage)):
        own = signers.get(partition, set())
        passed = list(jury.passed(rows.get(partition, ()), own))
        if partition not in exempt:
            _check_partition(receipt, sampled, sampling, stage, partition, passed)
        total += _number(receipt, stage, partition, passed)
    return total


def _answered(row: AuditRow) -> bool:
    return bool(row.answer) or row.auditor == COORDINATOR


def _check_partition(
    receipt: Receipt,
    sampled: Sampled,
    sampling: Sampling,
    stage: Stage,
    partition: int,
    passed: list[AuditRow],
) -> None:
    if any(row.kind == "whole" for row in passed):
        return  # and nothing need be drawn
    buckets, units = receipt.shape(stage, partition)
    wanted = sampling.sample(
        Task(stage.name, partition),
        receipt.inputs(stage.name, partition),
        receipt.digests[stage.name][partition],
        buckets if stage.name == REDUCE else units,
        stage.name == MAP and receipt.terms.unit_records > 0,
        sampled.rate,
        sampled.small,
    )
    where = f"{stage.name} partition {partition}, audits"
    missing = set(wanted.units).difference(*(row.units for row in passed))
    if wanted.whole or missing:
        units_text = "all of it" if wanted.whole else f"units {sorted(missing)[:10]}"
        raise EvidenceError(where, f"{units_text} recomputed elsewhere", "not recomputed")
    if wanted.read and not any(row.kind == "read" for row in passed):
        raise EvidenceError(where, "its input read again elsewhere", "not read")


def _number(receipt: Receipt, stage: Stage, partition: int, passed: list[AuditRow]) -> int:
    if any(row.kind == "whole" for row in passed):
        buckets, units = receipt.shape(stage, partition)
        return buckets if stage.name == REDUCE else units
    return len({unit for row in passed for unit in row.units})
