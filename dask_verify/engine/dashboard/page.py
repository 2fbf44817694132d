"""The page ``/verify``, and its plots one by one, for a scheduler's Bokeh server."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from bokeh.layouts import column, row
from bokeh.models import Div, InlineStyleSheet

from dask_verify.engine.dashboard.look import Look, look_of
from dask_verify.engine.dashboard.plots import Agreement, Audits, Divergences, InFlight, Workers
from dask_verify.engine.dashboard.texts import headline, job_table, shown_job

_INTERVAL = 500  #: milliseconds between looks at the facts

PAGE = "/verify"
#: Single plots, with their names in the dashboard's list of them.
PLOTS = {
    "/individual-verify-agreement": "Verify Agreement",
    "/individual-verify-in-flight": "Verify In Flight",
    "/individual-verify-workers": "Verify Workers",
}
_KINDS = dict(zip(PLOTS, (Agreement, InFlight, Workers), strict=True))


class Page:
    """All that is known of one job, and a table of the others.

    Parameters
    ----------
    look : Look
    wanted : str
        Id of the job to show; the newest if there is no such job.
    """

    def __init__(self, look: Look, wanted: str) -> None:
        self._look, self._wanted = look, wanted
        style = InlineStyleSheet(css=look.table_css())
        texts = {"sizing_mode": "stretch_width", "stylesheets": [style]}
        self.head, self.table = Div(**texts), Div(**texts)
        wide = {"sizing_mode": "stretch_width", "height": 250}
        agreement, workers = Agreement(look, **wide), Workers(look, **wide)
        in_flight, audits = InFlight(look, **wide), Audits(look, **wide)
        divergences = Divergences(look, **wide)
        self._plots = (agreement, workers, in_flight, divergences, audits)
        rows = ((agreement, in_flight), (workers, divergences, audits))
        self.root = column(
            self.head,
            *(row(*(p.root for p in plots), sizing_mode="stretch_width") for plots in rows),
            self.table,
            sizing_mode="stretch_width",
        )

    def update(self, facts: dict[str, Any]) -> None:
        """Show these facts.

        Parameters
        ----------
        facts : dict
            As `DomainPlugin.facts` returns them.
        """
        job = shown_job(facts, self._wanted)
        _say(self.head, headline(facts, job, self._look.name))
        _say(self.table, job_table(facts, job, self._look.name))
        for plot in self._plots:
            plot.update(facts, job)


class Alone:
    """One plot of the newest job, on a page of its own.

    Parameters
    ----------
    kind : class
        Of `dask_verify.engine.dashboard.plots`.
    look : Look
    """

    def __init__(self, kind: Any, look: Look) -> None:
        # There is no page around it that has a colour.
        colors = {"background_fill_color": look.page, "border_fill_color": look.page}
        self._plot = kind(look, sizing_mode="stretch_both", **colors)
        self.root = self._plot.root

    def update(self, facts: dict[str, Any]) -> None:
        """Show these facts.

        Parameters
        ----------
        facts : dict
            As `DomainPlugin.facts` returns them.
        """
        self._plot.update(facts, shown_job(facts, ""))


def documents(plugin: str) -> dict[str, Callable[..., None]]:
    """Return what fills the documents, by path.

    Parameters
    ----------
    plugin : str
        Name of the plugin that is asked for facts.

    Returns
    -------
    dict of str to callable
        Each takes what Dask's pages do: the scheduler, values of its templates, and the document.
    """
    pages: dict[str, Callable[..., None]] = {PAGE: partial(_page, plugin)}
    return pages | {path: partial(_alone, plugin, kind) for path, kind in _KINDS.items()}


def _page(plugin: str, scheduler: Any, extra: dict[str, Any], doc: Any) -> None:
    arguments = _arguments(doc)
    look = look_of(arguments)
    wanted = arguments.get("job", [b""])[-1].decode("ascii", "replace")
    doc.title = "Dask: Verify"
    doc.template = look.template()
    doc.template_variables.update(extra)
    _follow(doc, Page(look, wanted), look, scheduler, plugin)


def _alone(plugin: str, kind: Any, scheduler: Any, extra: dict[str, Any], doc: Any) -> None:
    look = look_of(_arguments(doc))
    doc.title = f"Dask: {kind.title}"
    _follow(doc, Alone(kind, look), look, scheduler, plugin)


def _follow(doc: Any, shown: Page | Alone, look: Look, scheduler: Any, plugin: str) -> None:
    def look_again() -> None:
        found = scheduler.plugins.get(plugin)
        if found is not None:
            shown.update(found.facts())

    look_again()
    doc.add_root(shown.root)
    doc.theme = look.theme()
    doc.add_periodic_callback(look_again, _INTERVAL)


def _arguments(doc: Any) -> dict[str, list[bytes]]:
    request = doc.session_context.request if doc.session_context is not None else None
    return dict(request.arguments) if request is not None else {}


def _say(div: Div, text: str) -> None:
    if div.text != text:
        div.text = text
