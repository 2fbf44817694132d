"""Progress of a job, in a terminal or a notebook; nothing where nobody watches."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Any, Self

import click

if TYPE_CHECKING:
    from dask_verify.engine.handle import Job

_INTERVAL = 0.2


class Progress:
    """A context in which `update` shows how far a job is.

    Parameters
    ----------
    job : Job
        The job that is shown.
    enabled : bool
        Whether to show anything.
    """

    def __init__(self, job: Job, enabled: bool) -> None:
        self._job = job
        self._notebook = enabled and _in_notebook()
        self._terminal = enabled and not self._notebook and sys.stderr.isatty()
        self._display: Any = None
        self._shown = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.update()
        if self._terminal and self._shown:
            click.echo(err=True)

    def interval(self, end: float | None) -> float | None:
        """Return how long to wait until the next look.

        Parameters
        ----------
        end : float or None
            When waiting ends, on a monotonic clock; None for never.

        Returns
        -------
        float or None
        """
        left = None if end is None else max(0.0, end - time.monotonic())
        if not (self._notebook or self._terminal):
            # Still wake up now and then, so that Ctrl-C is noticed on every platform.
            return 1.0 if left is None else min(1.0, left)
        return _INTERVAL if left is None else min(_INTERVAL, left)

    def update(self) -> None:
        """Show the state of the moment."""
        if self._terminal:
            click.echo("\r" + self._line(), err=True, nl=False)
            self._shown = True
        elif self._notebook:
            self._show_html()

    def _line(self) -> str:
        state = self._job._driver.state
        stages = []
        for stage, (done, total) in state.progress.items():
            filled = round(12 * done / total) if total else 12
            stages.append(f"{stage} [{'#' * filled}{' ' * (12 - filled)}] {done}/{total}")
        return "  ".join([*stages, f"divergences {len(state.divergences)}", self._job.status])

    def _show_html(self) -> None:
        from IPython.display import HTML, display

        content = HTML(f"<pre>{self._line()}</pre>")
        if self._display is None:
            self._display = display(content, display_id=True)
        elif self._display is not None:
            self._display.update(content)


def _in_notebook() -> bool:
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    return shell is not None and hasattr(shell, "kernel")
