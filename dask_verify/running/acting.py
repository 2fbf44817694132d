"""Running a job from a shell: it is started, waited for, saved and told of."""

from __future__ import annotations

import shlex
import sys
import time
from collections.abc import Callable
from contextlib import redirect_stdout, suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import click

from dask_verify.config import setting
from dask_verify.engine.saving import discard
from dask_verify.errors import (
    CourierError,
    DataError,
    InputError,
    JobCancelledError,
    JournalError,
    MetaError,
    PolicyError,
    TaskError,
    TrustError,
    UnverifiedError,
    VerifyError,
)
from dask_verify.evidence.console import INTERRUPTED, fail, print_json, refuse
from dask_verify.evidence.enrolment.texts import safe
from dask_verify.evidence.loading import RECEIPT
from dask_verify.mapreduce import Job, launched
from dask_verify.resuming import resume as resumed
from dask_verify.running.opening import Site, opened
from dask_verify.running.outcome import HEAD, Outcome, head, reason
from dask_verify.running.places import Local, Place, Wanted, options
from dask_verify.running.planning import (
    FAILED,
    REPORT,
    TRUST,
    Asked,
    Output,
    check_apart,
    check_output,
    keys_of,
    placed,
    plan,
)
from dask_verify.views.words import quantity

if TYPE_CHECKING:
    from dask_verify.evidence.receipts.signed import SignedReceipt

_UNUSABLE = (InputError, PolicyError, MetaError, TrustError, JournalError)
_NO_ANSWER = (UnverifiedError, TaskError, JobCancelledError, DataError, CourierError, OSError)


def run(asked: Asked) -> int:
    """Do what ``dask verify run`` was asked to; return its exit code.

    Parameters
    ----------
    asked : Asked

    Returns
    -------
    int
        0 if there is an answer, or `INTERRUPTED`.

    Raises
    ------
    click.ClickException
        If it cannot be done, or there is no answer: the line to print, and the other exit codes.
    """
    try:
        with redirect_stdout(sys.stderr):  # scripts print when they are imported
            wanted = plan(asked)
    except (VerifyError, OSError) as error:
        refuse(error)
    return _perform(
        lambda client: launched(wanted.request, client, wanted.journal),
        wanted.place,
        wanted.output,
        wanted.journal,
    )


def resume(journal: str, wanted: Wanted, output: Output) -> int:
    """Do what ``dask verify resume`` was asked to; return its exit code.

    Parameters
    ----------
    journal : str
        Path or URL.
    wanted : Wanted
        Where the domains are now.
    output : Output

    Returns
    -------
    int
        0 if there is an answer, or `INTERRUPTED`.

    Raises
    ------
    click.ClickException
        If it cannot be done, or there is no answer: the line to print, and the other exit codes.
    """
    try:
        place = _elsewhere(wanted)
        check_output(output)
        check_apart(output, [*keys_of(wanted), ("journal", journal)])
    except (VerifyError, OSError) as error:
        refuse(error)

    def begin(client: Any) -> Job:
        job = resumed(journal, client)
        try:
            check_output(output, job._driver.work.kind)
            check_apart(output, (("input", pin.path) for pin in job._driver.arbiter.source.pins))
        except InputError:
            job._end(forget=False)
            raise
        return job

    return _perform(begin, place, output, journal)


def _elsewhere(wanted: Wanted) -> Place:
    """Return where the domains are; those on this machine end with the job that started them."""
    place = placed(wanted)
    if isinstance(place, Local):
        raise InputError(
            "resume: expected the domains that the job began with, got none; pass --scheduler"
            " ADDRESS or --domain NAME=ADDRESS"
        )
    return place


def _perform(begin: Callable[[Any], Job], place: Place, output: Output, journal: str | None) -> int:
    """Start a job in its domains, wait, and tell what came of it."""
    say = _silent if output.quiet else _say
    try:
        with opened(place, say) as site:
            return _Run(begin(site.client), site, output, journal, place).end()
    except KeyboardInterrupt:
        _say("Interrupted")
        return INTERRUPTED
    except _UNUSABLE as error:
        refuse(error)
    except _NO_ANSWER as error:
        fail(error)


@dataclass
class _Run:
    """A job that runs, and what is to become of it."""

    job: Job
    site: Site
    output: Output
    journal: str | None
    place: Place

    def end(self) -> int:
        """Wait for the verdict, write what is to be written, and tell it."""
        began = time.monotonic()
        try:
            self.job.wait(progress=not self.output.quiet)
            outcome = self._written(began)
        except KeyboardInterrupt:
            return self._interrupted()
        self._tell(outcome)
        if outcome.error:
            fail(outcome.error)
        return 0

    def _interrupted(self) -> int:
        # Said at once: what workers are in the middle of is waited for.
        if self.journal is None:
            _say("Interrupted: the job is cancelled")
            self.job.cancel()
        else:
            # Not cut short: it is there to be copied.
            command = _resuming(self.journal, self.place, self.output)
            _say(safe(f"Interrupted; go on with: {command}"))
            self.job._end(forget=False)
        return INTERRUPTED

    def _written(self, began: float) -> Outcome:
        cheat, trust = _cheat(self.place), _trust(self.place)
        outcome, failed = Outcome(self.job.report, 0.0, cheat=cheat, trust=trust), False
        try:
            outcome = self._answered(outcome)
        except _NO_ANSWER as error:
            outcome, failed = replace(outcome, error=reason(error)), isinstance(error, TaskError)
        outcome = replace(outcome, report=self.job.report)
        if not outcome.error:
            outcome = self._reported(outcome)
        else:
            # What cannot be written down besides must not hide why there is no answer.
            with suppress(OSError, JournalError):
                outcome = replace(outcome, paths=self._unanswered())
            with suppress(OSError):
                outcome = self._reported(outcome)
            if failed:
                outcome = replace(outcome, error=outcome.error + _traceback(outcome))
        return replace(outcome, seconds=time.monotonic() - began)

    def _answered(self, outcome: Outcome) -> Outcome:
        out = self.output.out
        if out is None:
            lines, rows = head(self.job.result())
            if not self.output.machine:
                click.echo("\n".join(lines))
            return replace(outcome, rows=rows)
        signed = self.job.save(out)
        for ending in (RECEIPT, TRUST, REPORT):
            discard(out + FAILED + ending)
        return replace(
            outcome,
            rows=_rows(signed),
            paths={"result": out, "receipt": out + RECEIPT, **self._trusted(out)},
            exhibits=tuple(filter(None, self.job.report.exhibits)),
        )

    def _unanswered(self) -> dict[str, str]:
        """Keep the receipt of a job without an answer, apart from those of earlier ones."""
        if self.output.out is None or self.job.verdict is None:
            return {}
        base = self.output.out + FAILED
        self.job.receipt.save(base + RECEIPT)
        return {"receipt": base + RECEIPT, **self._trusted(base)}

    def _trusted(self, base: str) -> dict[str, str]:
        """Write the keys of domains on this machine, which are known nowhere else."""
        if self.site.cluster is None or "://" in base:
            return {}
        self.site.cluster.write_trust(base + TRUST)
        return {"trust": base + TRUST}

    def _reported(self, outcome: Outcome) -> Outcome:
        path, out = self.output.report, self.output.out
        if path is None and out is not None:
            path = out + (FAILED if outcome.error else "") + REPORT
        if path is None:
            return outcome
        self.job.report.save_html(path)
        return replace(outcome, paths={**outcome.paths, "report": path})

    def _tell(self, outcome: Outcome) -> None:
        if self.output.machine:
            print_json(outcome.to_dict())
        if self.output.quiet or self.output.machine:
            return
        for line in outcome.lines():
            _say(line)
        if self.output.out is None and outcome.rows is not None:
            _say(_advice(outcome.rows, self.job._driver.work.kind, bool(self.job._sort_by)))


def _resuming(journal: str, place: Place, output: Output) -> str:
    """Return the command that goes on with a job in the domains that it has."""
    wanted = {
        "--out": output.out,
        "--report": output.report,
        "--quiet": output.quiet,
        "--json": output.machine,
    }
    command = ["dask", "verify", "resume", journal, *options(place)]
    for option, value in wanted.items():
        if value:
            command += [option] if value is True else [option, str(value)]
    return shlex.join(command)


def _traceback(outcome: Outcome) -> str:
    """Say where to find the traceback of functions that fail."""
    path = outcome.paths.get("report")
    return f" (traceback: {path})" if path else " (traceback: pass --report FILE.html)"


def _cheat(place: Place) -> str:
    return (place.cheat or "") if isinstance(place, Local) else ""


def _trust(place: Place) -> str:
    """Return the trust file of domains that are not on this machine."""
    return "" if isinstance(place, Local) else str(place.keys.trust or setting("trust") or "")


def _advice(rows: int, kind: str, ordered: bool) -> str:
    more = f"{quantity(rows - HEAD, 'more row')} not shown; " if rows > HEAD else ""
    name = "counts.jsonl" if kind == "bag" else "means.parquet"
    order = "" if ordered else "; in no particular order"
    order += ": --sort sorts by the keys" if order and kind != "bag" else ""
    return f"{'save':<12} {more}--out {name} writes all of it, with a receipt and a report{order}"


def _rows(signed: SignedReceipt) -> int | None:
    shape = signed.content.result
    if shape is None:
        return None
    return shape.records if shape.kind == "bag" else sum(map(sum, shape.rows))


def _say(text: str) -> None:
    click.echo(text, err=True)


def _silent(text: str) -> None:
    pass
