"""Bringing page, JSON and metrics to a scheduler: once each, and what is missing is left out.

Nothing here may keep a scheduler from starting: what goes wrong is logged.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any
from weakref import WeakSet

from tornado.web import HTTPError, RequestHandler

from dask_verify.engine.compat import add_collector, add_handlers, add_pages

if TYPE_CHECKING:
    from collections.abc import Callable

    from distributed.scheduler import Scheduler

#: Behind whatever prefix the scheduler's HTTP server has.
JSON = r"(?:/.*)?/verify\.json"
_log = logging.getLogger("distributed.dask_verify")
_served: WeakSet[Any] = WeakSet()


class FactsHandler(RequestHandler):
    """Answers with the facts of a scheduler as JSON."""

    def initialize(self, dask_server: Scheduler, plugin: str) -> None:
        """Take what the route was added with.

        Parameters
        ----------
        dask_server : Scheduler
            The scheduler.
        plugin : str
            Name of the plugin that is asked for facts.
        """
        self._plugins, self._name = dask_server.plugins, plugin

    def get(self) -> None:
        """Answer; there is nothing if the plugin was taken away.

        Raises
        ------
        HTTPError
            If the plugin was taken away: 404.
        """
        plugin = self._plugins.get(self._name)
        if plugin is None:
            raise HTTPError(404)
        self.set_header("Cache-Control", "no-store")
        self.write(plugin.facts())


def install(scheduler: Scheduler, plugin: str) -> None:
    """Show what a plugin knows, on the HTTP server of its scheduler.

    Parameters
    ----------
    scheduler : distributed.Scheduler
        One that has shown it before is left as it is.
    plugin : str
        Under which name the scheduler has it: whoever has the name later is asked then.
    """
    if getattr(scheduler, "http_application", None) is None or scheduler in _served:
        return
    _served.add(scheduler)
    for bring in (_bring_json, _bring_metrics, _bring_page):
        _attempt(bring, scheduler, plugin)


def _attempt(bring: Callable[[Scheduler, str], None], scheduler: Scheduler, plugin: str) -> None:
    try:
        bring(scheduler, plugin)
    except ImportError as error:
        _log.debug("Left out of the dashboard: %s (%s)", bring.__name__, error)
    except Exception:
        _log.warning("The dashboard shows no verified jobs", exc_info=True)


def _bring_json(scheduler: Scheduler, plugin: str) -> None:
    what = {"dask_server": scheduler, "plugin": plugin}
    add_handlers(scheduler, [(JSON, FactsHandler, what)])


def _bring_metrics(scheduler: Scheduler, plugin: str) -> None:
    from dask_verify.engine.dashboard.metrics import VerifyCollector

    add_collector(VerifyCollector, scheduler)


def _bring_page(scheduler: Scheduler, plugin: str) -> None:
    import bokeh  # noqa: F401  # without it there are no pages, and no dashboard

    from dask_verify.engine.dashboard.page import PLOTS, documents

    add_pages(scheduler, documents(plugin), PLOTS)
