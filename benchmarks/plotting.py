"""Pictures of results, as SVG and as PNG: ratios by workload, and one for each series."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from benchmarks.measuring import BenchmarkError, median
from benchmarks.results import Comparison, Results, Series

_SHOWN = ("commit", "audit", "replicas", "hand")
_COLOURS = {
    "plain": "#555555",
    "commit": "#56b4e9",
    "audit": "#009e73",
    "replicas": "#d55e00",
    "hand": "#cc79a7",
}


def draw(results: Results, folder: Path) -> list[Path]:
    """Draw all that there is and return the files."""
    folder.mkdir(parents=True, exist_ok=True)
    drawn: list[Path] = []
    if results.comparisons:
        drawn += _saved(_ratios(results.comparisons), folder / "ratios", results)
    for series in results.series:
        drawn += _saved(_lines(series), folder / f"growth-{series.name}", results)
    if not drawn:
        raise BenchmarkError("expected results of workloads or of growth, got neither")
    return drawn


def _pyplot() -> Any:
    try:
        import matplotlib
    except ImportError as error:
        raise BenchmarkError(
            "drawing needs matplotlib, which is not installed;"
            ' run pip install "dask-verify[benchmark]"'
        ) from error
    matplotlib.use("agg")
    matplotlib.rcParams["svg.hashsalt"] = "dask_verify"  # equal results give equal files
    import matplotlib.pyplot as pyplot

    return pyplot


def _ratios(comparisons: Sequence[Comparison]) -> Any:
    """Draw the ratios to plain Dask with intervals: wall on the left, CPU on the right."""
    height = 1.2 + 0.7 * len(comparisons)
    figure, both = _pyplot().subplots(1, 2, sharey=True, figsize=(10, height), layout="constrained")
    for axes, what, title in zip(both, ("wall", "cpu"), ("wall time", "CPU time"), strict=True):
        for name in _SHOWN:
            _points(axes, comparisons, name, what)
        axes.axvline(1, color=_COLOURS["plain"], linewidth=1, zorder=0)
        axes.set_xlabel(f"{title}, ratio to plain Dask")
        axes.grid(axis="x", alpha=0.3)
    both[0].set_yticks(range(len(comparisons)), [c.title for c in comparisons])
    both[0].invert_yaxis()
    handles, labels = both[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=len(labels), frameon=False)
    return figure


def _points(axes: Any, comparisons: Sequence[Comparison], name: str, what: str) -> None:
    there = [(i, c.ratio(name, "plain", what)) for i, c in enumerate(comparisons)
             if {name, "plain"} <= set(c.samples)]  # fmt: skip
    if not there:
        return
    shift = 0.16 * (_SHOWN.index(name) - (len(_SHOWN) - 1) / 2)
    below = [r.middle - r.low for _, r in there]
    above = [r.high - r.middle for _, r in there]
    axes.errorbar(
        [r.middle for _, r in there], [i + shift for i, _ in there], xerr=[below, above],
        fmt="o", capsize=2, markersize=4, color=_COLOURS[name], label=name,
    )  # fmt: skip


def _lines(series: Series) -> Any:
    """Draw wall seconds, CPU seconds and the coordinator's memory over what grows."""
    figure, panels = _pyplot().subplots(1, 3, figsize=(12, 3.6), layout="constrained")
    measures = (
        ("wall", "wall seconds", 1.0),
        ("cpu", "CPU seconds", 1.0),
        ("coordinator", "rise of the coordinator's memory, MB", 1e-6),
    )
    for axes, (what, title, factor) in zip(panels, measures, strict=True):
        for name in series.points[0].samples if series.points else ():
            ys = [factor * getattr(median(p.samples[name]), what) for p in series.points]
            axes.plot([p.x for p in series.points], ys, "o-", markersize=4,
                      color=_COLOURS.get(name), label=name)  # fmt: skip
        axes.set(xscale="log", xlabel=series.axis, title=title)
        axes.set_ylim(bottom=0)
        axes.grid(alpha=0.3)
    panels[0].legend(frameon=False)
    figure.suptitle(series.title)
    return figure


def _saved(figure: Any, stem: Path, results: Results) -> Iterator[Path]:
    margin = 0.2 / figure.get_figheight()  # for one small line below everything
    figure.get_layout_engine().set(rect=(0, margin, 1, 1 - margin))
    figure.text(0.995, 0.005, _origin(results), ha="right", va="bottom", fontsize=6, alpha=0.6)
    for kind in ("svg", "png"):
        path = stem.with_suffix(f".{kind}")
        # Without a date, the same results give the same file.
        figure.savefig(path, dpi=150, metadata={"Date": None} if kind == "svg" else None)
        yield path
    _pyplot().close(figure)


def _origin(results: Results) -> str:
    m = results.machine
    return f"{m['cpu']}, {m['cores']} cores; dask {results.versions['dask']}; {results.date[:10]}"
