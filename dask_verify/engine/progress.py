"""Progress of a job, in a terminal or a notebook; nothing where nobody watches.

* What it takes to show is a small share of the time, however large the job.
* A terminal has one line that is redrawn, never longer than it is wide, and a line for each audit
  and each divergence as they come. Nothing is written after the end.
* A display that fails is given up; the job goes on.
"""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self, TextIO

from dask_verify.engine.report import Report
from dask_verify.protocol.audit import Audit
from dask_verify.protocol.divergence import Divergence, settled_for_people
from dask_verify.views.divergence import where
from dask_verify.views.lines import columns_of, fitted, progress_line, width_of
from dask_verify.views.report import compact_html

if TYPE_CHECKING:
    from dask_verify.engine.handle import Job

_TERMINAL, _NOTEBOOK = 0.2, 0.5  #: seconds between two looks, at least
_SHARE = 20  #: of the time, one part is for looking
_AGREED, _OTHERS = 20, 100  #: audits, and divergences, that get a line in a terminal
_log = logging.getLogger("distributed.dask_verify")
_UNSETTLED = ("", "pending")


@dataclass
class Announced:
    """What of a job has been told in a terminal: whoever waits again is not told again.

    Attributes
    ----------
    audits : set of int
        Numbers of the audits that have been told.
    divergences : int
        How many, from the first one on.
    agreed, others : int
        How many audits agreed, and how much else there was; of each, so many get a line.
    """

    audits: set[int] = field(default_factory=set)
    divergences: int = 0
    agreed: int = 0
    others: int = 0

    def news(self, divergences: Sequence[Divergence], audits: Sequence[Audit]) -> Iterator[str]:
        """Yield a line for each that is new, up to so many.

        Parameters
        ----------
        divergences : sequence of Divergence
            All that the job has.
        audits : sequence of Audit
            All that the job has made; those without an outcome are told later.

        Yields
        ------
        str
        """
        for number, audit in enumerate(audits):
            if number not in self.audits and audit.outcome not in _UNSETTLED:
                self.audits.add(number)
                yield from self._audited(audit)
        fresh = divergences[self.divergences :]
        self.divergences = len(divergences)
        for divergence in fresh:
            blamed = ", ".join(divergence.culprits) or "nobody"
            what = f"blamed {blamed} ({settled_for_people(divergence.settled)})"
            who = " against ".join(divergence.domains)
            yield from self._other(f"divergence   {where(divergence)}: {what}; {who}")

    def _audited(self, audit: Audit) -> Iterator[str]:
        what = f"audit        {audit.stage} partition {audit.partition}: {audit.outcome}"
        line = f"{what} (by {audit.auditor})" if audit.auditor else what
        if audit.outcome != "agreed":
            yield from self._other(line)
            return
        self.agreed += 1
        if self.agreed <= _AGREED:
            yield line
        elif self.agreed == _AGREED + 1:
            yield "audit        more that agreed are only counted from here on"

    def _other(self, line: str) -> Iterator[str]:
        self.others += 1
        if self.others <= _OTHERS:
            yield line
        elif self.others == _OTHERS + 1:
            yield "             more are in job.report from here on"


class Progress:
    """A context in which `update` shows how far a job is; one that has ended shows nothing.

    Parameters
    ----------
    job : Job
        The job that is shown.
    enabled : bool
        Whether to show anything.
    """

    def __init__(self, job: Job, enabled: bool) -> None:
        self._display: Terminal | Notebook | None = None
        if enabled and job.status == "running":
            self._display = _display(job)
        self._pause = 0.0 if self._display is None else self._display.pause

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, *exc: object) -> None:
        # Whoever pressed Ctrl-C wants no more of it than a line of its own.
        if kind is None:
            self.update()
        if self._display is not None:
            self._display.end()
            self._display = None

    def interval(self, end: float | None) -> float:
        """Return how long to wait until the next look.

        Parameters
        ----------
        end : float or None
            When waiting ends, on a monotonic clock; None for never.

        Returns
        -------
        float
        """
        # Where nobody looks, still wake up now and then, so that Ctrl-C is noticed everywhere.
        pause = 1.0 if self._display is None else self._pause
        return pause if end is None else min(pause, max(0.0, end - time.monotonic()))

    def update(self) -> None:
        """Show the state of the moment."""
        if self._display is None:
            return
        began = time.perf_counter()
        if not _updated(self._display):
            self._display = None
            return
        self._pause = max(self._display.pause, _SHARE * (time.perf_counter() - began))


def _updated(display: Terminal | Notebook) -> bool:
    try:
        return display.update()
    except Exception:
        # Front ends raise what they like; whoever waits for a job must not see it.
        _log.debug("The progress of a job cannot be shown", exc_info=True)
        return False


def _display(job: Job) -> Terminal | Notebook | None:
    if _in_notebook():
        return Notebook(lambda: job._report(brief=True))
    stream = sys.stderr
    if stream is None or not _is_terminal(stream):
        return None
    return Terminal(stream, lambda: _glance(job), job._announced)


# --- terminals ------------------------------------------------------------------------------

Glance = tuple[Mapping[str, tuple[int, int]], Sequence[Divergence], Sequence[Audit], str]


def _glance(job: Job) -> Glance:
    state = job._driver.state
    return state.progress, tuple(state.divergences), state.audits.made, job.status


class Terminal:
    """One line that is redrawn, and lines that stay.

    Parameters
    ----------
    stream : text stream
    look : callable
        Returns progress by stage, divergences, audits and the status.
    announced : Announced
    """

    pause = _TERMINAL

    def __init__(self, stream: TextIO, look: Callable[[], Glance], announced: Announced) -> None:
        self._stream, self._look, self._announced = stream, look, announced
        self._drawn, self._shown = 0, ("", 0)

    def update(self) -> bool:
        """Draw; return whether that is possible.

        Returns
        -------
        bool
        """
        stages, divergences, audits, status = self._look()
        room = columns_of(self._stream) - 1  # in the last one, some terminals begin a new line
        text = ""
        for line in self._announced.news(divergences, audits):
            text += self._over(fitted(line, room), room) + "\n"
            self._drawn = 0
        line = progress_line(stages, len(divergences), len(audits), status, room)
        if not text and self._shown == (line, room):
            return True
        text += self._over(line, room)
        self._drawn, self._shown = width_of(line), (line, room)
        return self._write(text)

    def end(self) -> None:
        """Leave the line as it is."""
        if self._drawn:
            self._write("\n")

    def _over(self, line: str, room: int) -> str:
        """Return what draws a line over the one that is there, which may be longer."""
        blank = min(self._drawn, room) - width_of(line)
        return "\r" + line + " " * max(0, blank)

    def _write(self, text: str) -> bool:
        try:
            self._stream.write(text)
            self._stream.flush()
        except (OSError, ValueError):  # gone or closed: nobody watches any more
            return False
        return True


def _is_terminal(stream: TextIO) -> bool:
    try:
        return stream.isatty()
    except (OSError, ValueError):
        return False


# --- notebooks ------------------------------------------------------------------------------


class Notebook:
    """A display that is replaced.

    Parameters
    ----------
    look : callable
        Returns a report.
    """

    pause = _NOTEBOOK

    def __init__(self, look: Callable[[], Report]) -> None:
        self._look = look
        self._handle: Any = None

    def update(self) -> bool:
        """Show; return whether it can be replaced.

        Returns
        -------
        bool
        """
        from IPython.display import display

        report = self._look()
        shown = {"text/html": compact_html(report), "text/plain": str(report)}
        if self._handle is None:
            self._handle = display(shown, raw=True, display_id=True)
            return self._handle is not None
        self._handle.update(shown, raw=True)
        return True

    def end(self) -> None:
        """Leave what is shown."""


def _in_notebook() -> bool:
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    return shell is not None and hasattr(shell, "kernel")
