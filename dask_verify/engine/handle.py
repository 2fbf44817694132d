"""The user's handle on a running or finished job."""

from __future__ import annotations

import logging
import math
import numbers
import os
import time
import weakref
from dataclasses import replace
from typing import Any

from dask_verify.core.canonical import install_types
from dask_verify.engine.collection import Lease, collection_of
from dask_verify.engine.driver import Driver
from dask_verify.engine.exhibits import KeptExhibit
from dask_verify.engine.notary import Notary
from dask_verify.engine.progress import Announced, Progress
from dask_verify.engine.report import Report
from dask_verify.engine.reporting import report_of
from dask_verify.engine.result import Answer, Reading
from dask_verify.engine.saving import (
    check_name,
    check_place,
    exhibit_name,
    remove_old,
    save_result,
)
from dask_verify.errors import (
    InconclusiveError,
    InputError,
    JobCancelledError,
    NondeterministicError,
    TaskError,
    VerifyError,
)
from dask_verify.evidence.data import frame_shape, has_categories, row_order
from dask_verify.evidence.loading import RECEIPT, presented
from dask_verify.evidence.receipts.signed import SignedReceipt
from dask_verify.evidence.receipts.values import Receipt
from dask_verify.execution.compute import kind
from dask_verify.protocol.messages import REDUCE, Verdict
from dask_verify.views.advice import ADVICE

_log = logging.getLogger("distributed.dask_verify")


class Job:
    """One verified computation, made by `verified_map_reduce`.

    Parameters
    ----------
    driver : Driver
        What runs it.
    sort_by : list of str
        Keys that the result is sorted by; empty for none.
    notary : Notary
        What makes its receipts.

    Examples
    --------
    >>> job.result()  # doctest: +SKIP
    [('the', 63924), ...]
    >>> job.verdict  # doctest: +SKIP
    <Verdict.AGREED: 'agreed'>
    """

    def __init__(self, driver: Driver, sort_by: list[str], notary: Notary) -> None:
        self._driver = driver
        self._notary = notary
        self._receipt: tuple[Any, SignedReceipt] | None = None
        self._sort_by = sort_by
        self._cancelled = False
        self._saved: tuple[str, ...] = ()
        self._announced = Announced()
        # Collections over the result hold the lease too: the last one to go ends the job. It may
        # go in any thread, so nothing may wait there.
        self._lease = Lease(driver)
        weakref.finalize(self._lease, driver.leave)

    def __repr__(self) -> str:
        return f"<Job {self._driver.plan.job.hex()[:12]}: {self.status}>"

    def _repr_html_(self) -> str:
        return self.report._repr_html_()

    @property
    def verdict(self) -> Verdict | None:
        """How the job ended; None while it runs."""
        finished = self._driver.finished
        if finished is not None:
            return finished.verdict
        return Verdict.INCONCLUSIVE if self._driver.crash else None

    @property
    def status(self) -> str:
        """``"running"``, ``"cancelled"``, ``"interrupted"``, or the name of the verdict.

        What was interrupted has a journal, and can be resumed.
        """
        if self.verdict is not None:
            return self.verdict.value
        if self._cancelled:
            return "interrupted" if self._driver.resumable else "cancelled"
        return "running"

    def wait(self, timeout: float | None = None, progress: bool = True) -> Verdict | None:
        """Wait for the verdict, showing progress where somebody watches.

        Parameters
        ----------
        timeout : float, optional
            Seconds to wait; None: as long as it takes.
        progress : bool
            Whether to show progress in a terminal or a notebook.

        Returns
        -------
        Verdict or None
            None if the timeout passed, or the job was cancelled.

        Raises
        ------
        InputError
            If the timeout is no number of seconds.

        Examples
        --------
        >>> job.wait(timeout=60)  # doctest: +SKIP
        <Verdict.AGREED: 'agreed'>
        """
        end = _end_of(timeout)
        try:
            with Progress(self, enabled=progress) as shown:
                while not self._driver.decided.wait(shown.interval(end)):
                    shown.update()
                    if end is not None and time.monotonic() >= end:
                        break
        except KeyboardInterrupt:
            self._end(forget=False)
            raise
        return self.verdict

    def cancel(self) -> None:
        """Stop the job's tasks and forget what workers keep of it.

        Functions that already run go on until they return, as always in Dask. A job with a journal
        can be resumed even so, but then all of it is computed again.

        Examples
        --------
        >>> job.cancel()  # doctest: +SKIP
        >>> job.status  # doctest: +SKIP
        'cancelled'
        """
        self._end(forget=True)

    def _end(self, forget: bool) -> None:
        self._cancelled = True
        self._driver.close(forget)

    def result(self, timeout: float | None = None) -> Any:
        """Return the verified answer.

        Parameters
        ----------
        timeout : float, optional
            Seconds to wait for it.

        Returns
        -------
        list of (key, value), or pandas.DataFrame
            Decoded from bytes that hash to the agreed roots.

        Raises
        ------
        TimeoutError
            If there is no verdict in time, or not all of the answer was read; the job goes on.
        InputError
            If the timeout is no number of seconds.
        TaskError
            If the user's functions fail in more domains than may be faulty.
        NondeterministicError, InconclusiveError
            If there is no answer that may be trusted; ``.report`` says why.
        JobCancelledError
            If the job was cancelled.

        Examples
        --------
        >>> job.result(timeout=60)  # doctest: +SKIP
        [('the', 63924), ...]
        """
        end = _end_of(timeout)
        self._answered(timeout)
        found = self._joined(self._read(end).leaves)
        if not self._sort_by:
            return found
        return presented(found.iloc[row_order(found, self._sort_by)], tuple(self._sort_by))

    def to_collection(self) -> Any:
        """Return the verified partitions as a Dask collection, without gathering them.

        Waits for the verdict. Every partition is checked against its agreed root again when it
        is read; what is computed from the collection is not verified.

        Returns
        -------
        dask.bag.Bag or dask.dataframe.DataFrame

        Examples
        --------
        >>> job.to_collection().filter(lambda pair: pair[1] > 1000).compute()  # doctest: +SKIP
        """
        self._answered(None)
        return collection_of(self._driver, self._reading(None).carried(), self._lease)

    def save(self, path: str | os.PathLike[str]) -> SignedReceipt:
        """Write the answer to a file, with the receipt and the exhibits beside it.

        The file is read back and compared, by value, before there is a receipt. Read it again with
        `dask_verify.load`, which returns it only if its receipt holds.

        Parameters
        ----------
        path : path or URL
            Where fsspec can write. A bag becomes JSON lines, a dataframe Parquet; the receipt's
            name ends with ``.receipt.json``, and those of exhibits with ``.exhibit-0.json``, ....
            What is there is overwritten.

        Returns
        -------
        SignedReceipt

        Raises
        ------
        InputError
            If the name is that of another kind of file, or of what is no file.
        DataError
            If the values cannot be written so that they are read back as they are.
        NondeterministicError, InconclusiveError, TaskError, JobCancelledError
            As `result` does.

        Examples
        --------
        >>> job.save("counts.jsonl")  # doctest: +SKIP
        >>> dask_verify.load("counts.jsonl", trust="domains.toml")  # doctest: +SKIP
        """
        place = os.fspath(path)
        check_name(place, self._driver.work.kind)
        check_place(place)
        answer, made = self._vouched()
        remove_old(place)
        joined = self._joined(answer.leaves)
        receipt = save_result(place, made, answer.leaves, joined, self._sort_by)
        signed = self._notary.signed(receipt)
        signed.save(place + RECEIPT)
        self._saved = tuple(
            self._save_exhibit(exhibit, place, number)
            for number, exhibit in enumerate(self.exhibits)
        )
        return signed

    def _save_exhibit(self, exhibit: KeptExhibit, place: str, number: int) -> str:
        """Save an exhibit beside a result; return where it is."""
        name = exhibit_name(place, number)
        try:
            exhibit.save(name)
        except VerifyError as error:
            # What was saved and vouched for stays so, whether or not a dispute can be shown.
            _log.warning("Exhibit %d of %s was not saved: %.300r", number, place, str(error))
            return ""
        return name

    @property
    def receipt(self) -> SignedReceipt:
        """Evidence of what was computed, by whom, and who was wrong; waits for the verdict.

        The domains are asked to sign it while their workers are there; of those that do not, it
        holds the single signatures that the job collected. A job without an answer has one too.

        Raises
        ------
        JobCancelledError
            If the job was cancelled before its verdict.
        JournalError
            If the job ended before its journal has all that is known here, which may turn out
            otherwise.
        """
        if self.wait() is None:
            raise self._ended_early()
        at = (self.verdict, len(self._driver.state.minutes))
        if self._receipt is None or self._receipt[0] != at:
            self._receipt = at, self._notary.signed(self._shaped(self._notary.receipt()))
        return self._receipt[1]

    @property
    def exhibits(self) -> tuple[KeptExhibit, ...]:
        """One for each divergence so far: proof that can be run again; save it before `cancel`."""
        return self._notary.exhibits()

    @property
    def report(self) -> Report:
        """What happened so far, or in all."""
        return self._report(brief=False)

    def _report(self, brief: bool) -> Report:
        kept = self._notary.exhibits()
        return report_of(self._driver, self.verdict, self.status, kept, self._saved, brief)

    # --- reading -------------------------------------------------------------------------------

    def _answered(self, timeout: float | None) -> None:
        """Return once there is an answer that may be trusted, or raise."""
        verdict = self.wait(timeout)
        if self._cancelled:
            raise self._ended_early()
        if verdict is None:
            raise TimeoutError(
                f"expected a verdict within {timeout} s, but the job still runs;"
                " call result() again, or cancel()"
            )
        if not verdict.answered:
            raise self._refusal(verdict)

    def _refusal(self, verdict: Verdict) -> Exception:
        report = self.report
        if report.cause == "error":
            lines = report.failure.strip().splitlines() or ["no traceback"]
            return TaskError(
                f"{lines[-1]}\n\nThe functions failed in more domains than may be faulty, so this"
                " is their own error. A traceback as a worker reported it:",
                report.failure,
            )
        if verdict is Verdict.NONDETERMINISTIC:
            return NondeterministicError(
                f"{report.failure}: the same input gave different outputs, in processes of the"
                " coordinator itself or in more domains than may be faulty, so nobody can be"
                " blamed; remove randomness, time, hash() and the order of sets from the"
                " functions",
                report,
            )
        advice = ADVICE.get(report.cause, report.cause)
        why = [f"{n}: {d.reason}" for n, d in report.domains.items() if d.reason]
        text = "".join(f"\n\n{part}" for part in ("; ".join(why), report.failure) if part)
        return InconclusiveError(f"no verified answer ({report.cause}): {advice}{text}", report)

    def _read(self, end: float | None) -> Answer:
        return self._reading(end).answer()

    def _reading(self, end: float | None) -> Reading:
        # Made for each use: one that stayed would keep the job alive, and all that it holds.
        return Reading(self._driver, self._lost, self._gone, end)

    def _vouched(self) -> tuple[Answer, Receipt]:
        """Return the answer, and what the domains sign of the same."""
        while True:
            self._answered(None)
            answer, made = self._read(None), self._notary.receipt()
            if answer.roots == tuple(r for s in made.stages if s.name == REDUCE for r in s.roots):
                return answer, made

    def _joined(self, leaves: list[list[bytes]]) -> Any:
        """Return the result that some leaves are, in their order."""
        work = self._driver.work
        install_types(list(work.types))
        of = kind(work)
        parts = [of.decode(leaf) for partition in leaves for leaf in partition]
        if work.kind == "bag":
            return [pair for part in parts for pair in part]
        return of.concat(parts, work.meta)

    def _shaped(self, receipt: Receipt) -> Receipt:
        """Add what only the leaves tell of a result: categories that its meta leaves open."""
        shape, meta = receipt.result, self._driver.work.meta
        if shape is None or shape.kind == "bag" or not has_categories(meta):
            return receipt
        answer, receipt = self._vouched()
        return replace(receipt, result=frame_shape(answer.leaves, self._joined(answer.leaves)))

    def _ended_early(self) -> JobCancelledError:
        if self._driver.resumable:
            return JobCancelledError(
                "the job was interrupted, and its workers keep what they computed; go on with it"
                " with dask_verify.resume(), from its journal"
            )
        return JobCancelledError(
            "the job was cancelled, and what it computed is released; run it again, and read"
            " result() before cancel()"
        )

    def _lost(self) -> bool:
        ended = self.verdict is not None and not self.verdict.answered
        return self._cancelled or bool(self._driver.crash) or ended

    def _gone(self) -> Exception:
        """Return why there is no answer to be read any more."""
        if self._cancelled:
            return self._ended_early()
        ended = self.verdict is Verdict.NONDETERMINISTIC and not self._driver.crash
        return self._refusal(Verdict.NONDETERMINISTIC if ended else Verdict.INCONCLUSIVE)


def _end_of(timeout: float | None) -> float | None:
    """Return when a number of seconds will be over."""
    if timeout is None:
        return None
    if not isinstance(timeout, numbers.Real) or math.isnan(timeout):
        raise InputError(f"timeout: expected seconds, or None for no limit, got {timeout!r}")
    return time.monotonic() + timeout
