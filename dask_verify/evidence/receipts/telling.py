"""What a receipt that holds has shown, as lines for people."""

from __future__ import annotations

from collections.abc import Iterator

from dask_verify.evidence.enrolment.texts import safe
from dask_verify.evidence.enrolment.trust import Trust
from dask_verify.evidence.receipts.checking import Checked
from dask_verify.evidence.receipts.values import Dispute, Party
from dask_verify.protocol.divergence import settled_for_people
from dask_verify.protocol.messages import MAP, REDUCE, Standing


def tell(checked: Checked, trust: Trust) -> list[str]:
    """Return what was checked and found, line by line.

    Parameters
    ----------
    checked : Checked
    trust : Trust
        For whom to ask, and what a wrong answer costs.

    Returns
    -------
    list of str
    """
    receipt = checked.receipt
    maps, reduces = len(receipt.stage(MAP)), len(receipt.stage(REDUCE))
    fewest = checked.votes.fewest
    signed = "1 domain" if fewest == 1 else f"{fewest} distinct domains"
    lines = [
        f"holds        job {receipt.job.hex()}, {receipt.started} to {receipt.finished}",
        f"verdict      {receipt.verdict.upper()}",
        f"result       root {receipt.result_root.hex()}",
        f"functions    {receipt.functions.mapper}, {receipt.functions.reducer}"
        + (f", {receipt.functions.combiner}" if receipt.functions.combiner else "")
        + f" (digest {receipt.terms.functions.hex()[:16]}...)",
        f"partitions   {maps} map, {reduces} reduce, each signed by {signed} or more",
    ]
    if checked.votes.lent:
        lines.append(
            f"coordinator  {checked.votes.lent} of these partitions had too few signers without the"
            " coordinator's own computation, which is its word"
        )
    lines += _sources(checked)
    if receipt.sampled is not None:
        rate = f"rate {receipt.sampled.rate:.3g}"
        number = f"{checked.sampled:,} of {_number(checked.units, 'unit')}"
        lines.append(f"sampled      {number} recomputed elsewhere as committed ({rate})")
    lines += [f"domain       {_domain(party, trust)}" for party in receipt.parties]
    lines += [f"dispute      {_dispute(dispute)}" for dispute in receipt.disputes]
    data = f"{checked.data} is this result, by value" if checked.data else "not compared (--data)"
    lines.append(f"data         {data}")
    return [safe(line) for line in lines]


def _sources(checked: Checked) -> Iterator[str]:
    receipt = checked.receipt
    if not receipt.pins and not receipt.unpinned:
        yield "sources      none pinned: the input was inside the graph, and is not identified here"
    if receipt.pins:
        number = _number(len(receipt.pins), "file")
        yield f"sources      {number} pinned, first {receipt.pins[0].path:.200}"
    if receipt.unpinned:
        number = f"{receipt.unpinned:,} of {_number(receipt.terms.maps, 'partition')}"
        yield f"sources      {number} read what cannot be pinned"
    if receipt.terms.policy.trust_input:
        yield "sources      input computed earlier was accepted as it was: trust_input=True"


def _number(many: int, what: str) -> str:
    return f"{many:,} {what}" + "s" * (many != 1)


def _domain(party: Party, trust: Trust) -> str:
    text = (
        f"{party.name}: {party.standing.upper()}, {_number(party.commitments, 'partition')},"
        f" {party.nbytes:,} bytes, {party.cpu / 1e9:.3f} CPU s claimed"
    )
    entry = next((e for e in trust.entries if e.public_key == party.key), None)
    if entry is None:
        return f"{text}; NOT in the trust file: it counts for nothing"
    if entry.name != party.name:
        text += f"; {entry.name} in the trust file"
    if party.standing == Standing.EXPOSED.value:
        text += f"; penalty: {entry.penalty}" if entry.penalty else ""
        text += f"; contact: {entry.contact}" if entry.contact else ""
    return text


def _dispute(dispute: Dispute) -> str:
    units = ", ".join(map(str, dispute.units))
    where = f"{dispute.stage} partition {dispute.partition}" + (f", unit {units}" * bool(units))
    blamed = ", ".join(dispute.culprits) or "nobody"
    return (
        f"{where}: {' against '.join(dispute.sides)}; cause {dispute.cause};"
        f" blamed {blamed} ({settled_for_people(dispute.settled)})"
    )
