"""The plots of the page; each shows a part of the facts, and is updated as they change."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bokeh.models import (
    ColumnDataSource,
    FactorRange,
    HoverTool,
    Label,
    NumeralTickFormatter,
    Range1d,
)
from bokeh.plotting import figure

from dask_verify.engine.dashboard.look import STAGE_COLORS, Look
from dask_verify.engine.dashboard.notices import CAUSES, OUTCOMES, STAGES
from dask_verify.engine.dashboard.texts import audits_note

Job = Mapping[str, Any] | None

_HEADROOM = 1.18  #: behind the longest bar, for its number
_NAMES = 120  #: pixels left of bars, for their names
_LEAST, _EACH = 250, 18  #: pixels of a plot's height, and of them for each bar


class Agreement:
    """Accepted partitions, as a share of all, over time.

    Parameters
    ----------
    look : Look
    **kwargs
        For the figure.
    """

    title = "Agreement over time"

    def __init__(self, look: Look, **kwargs: Any) -> None:
        self.sources = {
            stage: ColumnDataSource({"t": [], "share": [], "said": []}) for stage in STAGES
        }
        self.root = figure(title=self.title, y_range=(-0.04, 1.08), tools="", **kwargs)
        self.root.toolbar_location = None
        self.root.x_range.start = 0
        self.root.xaxis.axis_label = "seconds since the job was first heard of"
        self.root.yaxis.formatter = NumeralTickFormatter(format="0%")
        self.root.yaxis.axis_label = "partitions accepted"
        for stage, source in self.sources.items():
            kind = {"legend_label": stage, "color": STAGE_COLORS[stage]}
            self.root.step("t", "share", source=source, mode="after", line_width=3, **kind)
            dots = self.root.scatter("t", "share", source=source, size=7, **kind)
            hover = HoverTool(renderers=[dots], tooltips=f"{stage}: @said after @t{{0.0}} s")
            self.root.add_tools(hover)
        # Beside the plot: inside it would hide what has just begun, or has just ended.
        self.root.add_layout(self.root.legend[0], "right")

    def update(self, facts: Mapping[str, Any], job: Job) -> None:
        """Show the history of a job, up to now while it runs.

        Parameters
        ----------
        facts : mapping
            As `DomainPlugin.facts` returns them.
        job : mapping, optional
            The job of these facts that is shown.
        """
        for at, stage in enumerate(STAGES, 1):
            total = job["progress"][stage][1] if job else 0
            points = [(p[0], p[at]) for p in job["history"]] if job else []
            if points and job and job["status"] == "running":
                points.append((max(points[-1][0], facts["now"] - job["seen"]), points[-1][1]))
            _show(
                self.sources[stage],
                t=[t for t, _ in points],
                share=[min(1.0, n / total) if total else 1.0 for _, n in points],
                said=[f"{n:,} of {total:,}" for _, n in points],
            )


class Bars:
    """Numbers by name, as bars with the number at their end; as high as many of them need.

    Parameters
    ----------
    look : Look
    title : str
    **kwargs
        For the figure.
    """

    def __init__(self, look: Look, title: str, **kwargs: Any) -> None:
        self._look = look
        empty: dict[str, list[Any]] = {"name": [], "number": [], "color": [], "said": []}
        self.source = ColumnDataSource(empty)
        # Room that does not depend on names, so that plots stay where they are as names change.
        frame = {"y_range": FactorRange(), "x_range": Range1d(0, 1), "min_border_left": _NAMES}
        self.root = figure(title=title, tools="", outline_line_color=None, **frame, **kwargs)
        self.root.toolbar_location = None
        self.root.hbar("name", right="number", height=0.55, color="color", source=self.source)
        self.root.text(
            "number", "name", "said", source=self.source, x_offset=6, text_baseline="middle",
            text_font_size="12px", text_color=look.text,
        )  # fmt: skip
        self.root.xaxis.visible = False
        self.root.yaxis.major_tick_line_color = None
        self.root.xgrid.visible = self.root.ygrid.visible = False
        self.note = Label(
            x=12, y=90, x_units="screen", y_units="screen", text="", text_color=look.quiet,
            text_font_size="13px",
        )  # fmt: skip
        self.root.add_layout(self.note)

    def show(self, numbers: Mapping[str, int], colors: Mapping[str, str], note: str = "") -> None:
        """Show these numbers, the first one at the top.

        Parameters
        ----------
        numbers : mapping of str to int
            How long each bar is, by its name.
        colors : mapping of str to str
            Of each bar, by its name.
        note : str, optional
            What stands in the plot.
        """
        names = list(numbers)
        if list(self.root.y_range.factors) != names[::-1]:
            self.root.y_range.factors = names[::-1]
        self.root.x_range.end = max([1, *numbers.values()]) * _HEADROOM
        if self.root.height is not None:  # of a plot among others; one alone fills its page
            self.root.height = max(_LEAST, _EACH * len(names))
        self.note.text = note
        values = list(numbers.values())
        _show(
            self.source,
            name=names,
            number=values,
            color=[colors[name] for name in names],
            said=[f"{value:,}" for value in values],
        )


class InFlight(Bars):
    """Replicas in flight, by domain with its standing.

    Parameters
    ----------
    look : Look
    **kwargs
        For the figure.
    """

    title = "Verified tasks in flight, by domain"

    def __init__(self, look: Look, **kwargs: Any) -> None:
        super().__init__(look, self.title, **kwargs)

    def update(self, facts: Mapping[str, Any], job: Job) -> None:
        """Show what the workers of each domain have to do.

        Parameters
        ----------
        facts : mapping
            As `DomainPlugin.facts` returns them.
        job : mapping, optional
            The job whose standings are shown; without one, the worst of each domain.
        """
        self._by_domain(facts, job, "in_flight")

    def _by_domain(self, facts: Mapping[str, Any], job: Job, what: str) -> None:
        numbers, colors = {}, {}
        for name, domain in facts["domains"].items():
            # What is shown beside it is of one job; so is the standing, and whoever has no part in
            # that has none.
            found = job["standing"].get(name, "trusted") if job else domain["standing"]
            label = f"{name:.40}" + (f" ({found})" if found != "trusted" else "")
            while label in numbers:  # names may begin alike
                label += "'"
            numbers[label] = domain[what]
            colors[label] = self._look.standing(found)
        self.show(numbers, colors, "" if numbers else "no domain has come yet")


class Workers(InFlight):
    """Workers, by domain with its standing."""

    title = "Workers, by domain"

    def update(self, facts: Mapping[str, Any], job: Job) -> None:
        """Show how many workers each domain has."""
        self._by_domain(facts, job, "workers")


class Divergences(Bars):
    """Divergences of a job, by cause.

    Parameters
    ----------
    look : Look
    **kwargs
        For the figure.
    """

    title = "Divergences, by cause"

    def __init__(self, look: Look, **kwargs: Any) -> None:
        super().__init__(look, self.title, **kwargs)

    def update(self, facts: Mapping[str, Any], job: Job) -> None:
        """Show what diverged.

        Parameters
        ----------
        facts : mapping
            As `DomainPlugin.facts` returns them.
        job : mapping, optional
            The job of these facts that is shown.
        """
        found = job["divergences"] if job else {}
        numbers = {cause: found.get(cause, 0) for cause in CAUSES}
        self.show(numbers, dict.fromkeys(CAUSES, self._look.bad))


class Audits(Bars):
    """Audits of a job, by outcome.

    Parameters
    ----------
    look : Look
    **kwargs
        For the figure.
    """

    title = "Audits, by outcome"

    def __init__(self, look: Look, **kwargs: Any) -> None:
        super().__init__(look, self.title, **kwargs)

    def update(self, facts: Mapping[str, Any], job: Job) -> None:
        """Show what came of audits, or why that is not told.

        Parameters
        ----------
        facts : mapping
            As `DomainPlugin.facts` returns them.
        job : mapping, optional
            The job of these facts that is shown.
        """
        found, note = (job["audits"] if job else {}), audits_note(job)
        numbers = {} if note or not job else {
            "drawn": sum(found.values()), **{outcome: found.get(outcome, 0) for outcome in OUTCOMES}
        }  # fmt: skip
        tones = {
            "agreed": self._look.good,
            "contradicted": self._look.bad,
            "drawn": self._look.quiet,
        }
        colors = {name: tones.get(name, self._look.doubtful) for name in numbers}
        self.show(numbers, colors, note)


def _show(source: ColumnDataSource, **data: list[Any]) -> None:
    """Send what changed to whoever looks, and nothing else."""
    if dict(source.data) != data:
        source.data = data
