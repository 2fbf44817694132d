"""Making receipts: what the protocol knows, closed by the domains and signed by the coordinator.

* What a receipt says is taken at one moment, while nobody changes it.
* A domain that does not close, because it is gone, late or unwilling, has its single signatures in
  the receipt instead: nobody can keep a job from having one.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime
from hashlib import sha256

from dask_verify.core.canonical import encode_frame
from dask_verify.engine.driver import Driver
from dask_verify.engine.exhibits import KeptExhibit, exhibit_of, exhibits
from dask_verify.engine.graphs import Upstream
from dask_verify.engine.resting import look_at_rest
from dask_verify.errors import DecodingError, SignatureError, VerifyError
from dask_verify.evidence.envelope import seal
from dask_verify.evidence.receipts.drafting import About, Draft, draft
from dask_verify.evidence.receipts.signed import SignedReceipt
from dask_verify.evidence.receipts.values import Dispute, Functions, Party, Receipt, SourcePin
from dask_verify.evidence.receipts.writing import write_receipt
from dask_verify.execution.work import name_of
from dask_verify.protocol import closing
from dask_verify.protocol.divergence import Divergence
from dask_verify.protocol.domain import Domain, Identity
from dask_verify.protocol.terms import printable
from dask_verify.version import VERSION

_ASKED = 3  #: workers of a domain that are asked to close
_PATIENCE = 30.0  #: seconds that a worker has, and for each signature that it checks:
_EACH = 0.002


class Notary:
    """Makes the receipts of one job.

    Parameters
    ----------
    driver : Driver
    coordinator : Identity
        Who signs.
    source : Upstream
        What the input is read from.
    """

    def __init__(self, driver: Driver, coordinator: Identity, source: Upstream) -> None:
        self._driver, self._coordinator = driver, coordinator
        self._pins = tuple(_pin(pin.path, pin.identity) for pin in source.pins)
        self._unpinned = sum(not source.pinned(i) for i in range(driver.terms.maps))

    def receipt(self) -> Receipt:
        """Return what is known now, closed by the domains.

        Where the answer is being made again, that is waited for.

        Returns
        -------
        Receipt
        """
        taken = look_at_rest(self._driver, self._draft)
        with ThreadPoolExecutor(len(taken.receipt.parties)) as threads:
            parties = threads.map(lambda party: self._closed(taken, party), taken.receipt.parties)
            found = replace(taken.receipt, parties=tuple(parties))
        disputes = map(self._exhibited, found.disputes, taken.divergences)
        return replace(found, disputes=tuple(disputes))

    def exhibits(self) -> tuple[KeptExhibit, ...]:
        """Return the exhibits of all divergences so far.

        Returns
        -------
        tuple of KeptExhibit
        """
        return exhibits(self._driver, self._coordinator)

    def signed(self, receipt: Receipt) -> SignedReceipt:
        """Return a receipt as the coordinator signs it.

        Parameters
        ----------
        receipt : Receipt
            The receipt.

        Returns
        -------
        SignedReceipt
        """
        return SignedReceipt(seal(write_receipt(receipt), self._coordinator))

    def _draft(self) -> Draft:
        driver = self._driver
        driver.check_written()
        return draft(driver.state, self._about(), announced=driver.finished is not None)

    def _exhibited(self, dispute: Dispute, divergence: Divergence) -> Dispute:
        """Name the exhibit of what was arbitrated, while the job has what it is made of."""
        if not divergence.proof.material:
            return dispute
        try:
            _, payload = exhibit_of(self._driver, divergence)
        except VerifyError:
            return dispute  # there is none: what the receipt itself shows does not rest on it
        return replace(dispute, exhibit=sha256(payload).digest())

    def _about(self) -> About:
        driver, work = self._driver, self._driver.work
        return About(
            terms=driver.terms,
            functions=Functions(*map(name_of, (work.mapper, work.reducer, work.combiner))),
            pins=self._pins,
            unpinned=self._unpinned,
            started=_moment(driver.began),
            finished=_moment(driver.ended),
            version=VERSION,
            spent=dict(driver.spent),
            meta=b"" if work.kind == "bag" else encode_frame(work.meta),
        )

    def _closed(self, taken: Draft, party: Party) -> Party:
        """Return a domain's part with its closing, or with its single signatures."""
        commitments, answers = taken.commitments[party.name], taken.answers[party.name]
        if not commitments and not answers:
            return party
        pairs = [(one.payload, one.signature) for one in commitments]
        request = closing.request(taken.receipt.job, pairs, answers)
        signature = self._asked(taken.receipt, party, request, len(pairs) + len(answers))
        if signature:
            return replace(party, closing=signature)
        singles = tuple(answer.signature for answer in answers)
        return replace(party, singles=tuple(commitments), answers=singles)

    def _asked(self, receipt: Receipt, party: Party, request: bytes, number: int) -> bytes:
        expected, domain = receipt.closing(party), Domain(party.name, party.key)
        timeout = _PATIENCE + _EACH * number
        for address in self._workers(party.name):
            what = (address, party.name, "verify_close")
            try:
                wire = self._driver.pool.call(*what, timeout=timeout, request=request)
                return closing.closed(wire, expected, domain)
            except (OSError, DecodingError, SignatureError):
                continue  # another worker of the domain may still do it
        return b""

    def _workers(self, domain: str) -> Sequence[str]:
        try:
            return self._driver.pool.workers()[domain][:_ASKED]
        except OSError:
            return ()


def _moment(when: datetime) -> str:
    return when.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _pin(path: str, identity: Sequence[tuple[str, str]]) -> SourcePin:
    return SourcePin(printable(path), tuple((printable(k), printable(v)) for k, v in identity))
