"""Results as values, as JSON, and as tables for people.

The JSON has every sample, so that medians and intervals can be made again in another way, and
what is needed to judge them: versions, machine, command and date.
"""

from __future__ import annotations

import datetime
import importlib.metadata
import json
import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import psutil

from benchmarks.measuring import BenchmarkError, Interval, Sample, median, ratios

FORMAT = "dask_verify benchmarks 1"
_PACKAGES = ("dask-verify", "dask", "distributed", "pandas", "pyarrow", "numpy", "blake3")
#: Besides plain Dask: what else a contender is compared with.
BASELINES = (("replicas", "hand"), ("replicas", "plain-one"), ("audit", "commit"))
_ASKED = (
    ("audit", "plain", "wall"),
    ("audit", "plain", "cpu"),
    ("replicas", "plain", "cpu"),
    ("replicas", "hand", "wall"),
    ("replicas", "plain-one", "wall"),
)


@dataclass(frozen=True)
class Comparison:
    """All samples of one workload, by contender."""

    name: str
    title: str
    facts: Mapping[str, float]
    samples: Mapping[str, Sequence[Sample]]
    targets: Mapping[str, float] = field(default_factory=dict)

    def ratio(self, one: str, base: str, what: str) -> Interval:
        """Return the median of the paired ratios of two contenders."""
        return ratios(self.samples[one], self.samples[base], what)

    def target(self, one: str, base: str, what: str) -> float | None:
        """Return what this ratio should be at most."""
        return self.targets.get(f"{one}/{what}" if base == "plain" else f"{one}:{base}/{what}")

    def pairs(self) -> list[tuple[str, str]]:
        """Return which contenders are compared with which."""
        names = [name for name in self.samples if name != "plain"]
        more = [pair for pair in BASELINES if set(pair) <= set(self.samples)]
        return [(name, "plain") for name in names if "plain" in self.samples] + more


@dataclass(frozen=True)
class Point:
    """One x of a series, with what each contender took there."""

    x: float
    samples: Mapping[str, Sequence[Sample]]
    extra: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Series:
    """What a job costs as one thing grows."""

    name: str
    title: str
    axis: str
    points: Sequence[Point]


@dataclass(frozen=True)
class Fault:
    """What one kind of fault costs."""

    name: str
    title: str
    facts: Mapping[str, Any]
    samples: Mapping[str, Sequence[Sample]]


@dataclass(frozen=True)
class Results:
    """One run of the benchmarks."""

    command: str
    date: str
    machine: Mapping[str, Any]
    versions: Mapping[str, str]
    comparisons: Sequence[Comparison] = ()
    series: Sequence[Series] = ()
    faults: Sequence[Fault] = ()

    def to_json(self) -> str:
        """Return everything as JSON."""
        return json.dumps({"format": FORMAT} | asdict(self), indent=1) + "\n"


def here(command: str, **found: Any) -> Results:
    """Return results that say which machine and which versions they are from."""
    now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    return Results(command, now, machine(), versions(), **found)


def machine() -> dict[str, Any]:
    """Describe this machine."""
    return {
        "cpu": _cpu_model(),
        "cores": os.cpu_count(),
        "memory": psutil.virtual_memory().total,
        "kernel": f"{platform.system()} {platform.release()}",
    }


def _cpu_model() -> str:
    path = Path("/proc/cpuinfo")
    lines = path.read_text().splitlines() if path.exists() else []
    models = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return models[0] if models else platform.processor() or platform.machine()


def versions() -> dict[str, str]:
    """Return the versions of what the results depend on."""
    found = {"python": platform.python_version()}
    return found | {name: importlib.metadata.version(name) for name in _PACKAGES}


def load(path: Path) -> Results:
    """Read what `Results.to_json` wrote."""
    try:
        plain = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise BenchmarkError(f"{path}: expected results as JSON, got {error}") from error
    if not isinstance(plain, dict) or plain.pop("format", None) != FORMAT:
        raise BenchmarkError(f"{path}: expected {FORMAT!r}; make it with `benchmarks run --out`")
    return Results(
        **plain
        | {
            "comparisons": [Comparison(**_sampled(c)) for c in plain["comparisons"]],
            "series": [
                Series(**s | {"points": [Point(**_sampled(p)) for p in s["points"]]})
                for s in plain["series"]
            ],
            "faults": [Fault(**_sampled(f)) for f in plain["faults"]],
        }
    )


def _sampled(plain: dict[str, Any]) -> dict[str, Any]:
    samples = {name: [Sample(**s) for s in each] for name, each in plain["samples"].items()}
    return plain | {"samples": samples}


# --- tables ---------------------------------------------------------------------------------

Table = tuple[Sequence[str], Sequence[Sequence[str]]]


def absolute(comparison: Comparison) -> Table:
    """Return the medians of everything that was measured."""
    head = ("contender", "wall s", "CPU s", "memory MB", "moved", "compared")
    return head, [
        (name, *_numbers(median(samples))) for name, samples in comparison.samples.items()
    ]


def _numbers(sample: Sample) -> tuple[str, ...]:
    counted = ("-" if n is None else f"{n:,}" for n in (sample.moved, sample.compared))
    return (f"{sample.wall:.2f}", f"{sample.cpu:.2f}", f"{sample.memory / 1e6:,.0f}", *counted)


def relative(comparison: Comparison) -> Table:
    """Return the paired ratios, with what they should be at most."""
    rows = []
    for one, base in comparison.pairs():
        cells = [_cell(comparison, one, base, what) for what in ("wall", "cpu")]
        rows.append((f"{one} / {base}", *cells))
    return ("ratio", "wall", "CPU"), rows


def _cell(comparison: Comparison, one: str, base: str, what: str) -> str:
    found, target = comparison.ratio(one, base, what), comparison.target(one, base, what)
    if target is None:
        return str(found)
    return f"{found} {'met' if found.middle <= target else 'MISSED'} {target:g}"


def overview(comparisons: Sequence[Comparison]) -> Table:
    """Return one line for each workload: the ratios that a user asks for first."""
    columns = [c for c in _ASKED if any(set(c[:2]) <= set(each.samples) for each in comparisons)]
    head = ["workload", *(_heading(*column) for column in columns)]
    return head, [[c.title, *(_short(c, *column) for column in columns)] for c in comparisons]


def _heading(one: str, base: str, what: str) -> str:
    return f"`{one}` / `{base}`, {'CPU' if what == 'cpu' else what}"


def _short(comparison: Comparison, one: str, base: str, what: str) -> str:
    if not {one, base} <= set(comparison.samples):
        return ""
    return f"{comparison.ratio(one, base, what).middle:.2f}"


def growth(series: Series) -> Table:
    """Return one line for each x: medians of each contender, and what else was counted."""
    names = list(series.points[0].samples) if series.points else []
    extras = sorted({key for point in series.points for key in point.extra})
    head = [series.axis, *(f"{n} {w}" for n in names for w in ("wall s", "CPU s", "memory kB"))]
    lines = []
    for point in series.points:
        medians = [median(point.samples[name]) for name in names]
        cells = [c for m in medians for c in (f"{m.wall:.2f}", f"{m.cpu:.2f}", _kb(m.coordinator))]
        more = [_figure(point.extra[key]) if key in point.extra else "" for key in extras]
        lines.append([_figure(point.x), *cells, *more])
    return [*head, *extras], lines


def _figure(value: float) -> str:
    """Write a number with three decimals at most, and without an exponent."""
    return f"{round(value, 3) + 0.0:,.3f}".rstrip("0").rstrip(".")


def _kb(nbytes: int) -> str:
    return f"{nbytes / 1e3:,.0f}"


def fault(found: Fault) -> Table:
    """Return the facts of one fault, one a line."""
    return ("what", found.title), [
        (key, f"{value:,.4g}" if isinstance(value, float) else f"{value:,}"
         if isinstance(value, int) else str(value))
        for key, value in found.facts.items()
    ]  # fmt: skip


def as_text(table: Table) -> str:
    """Lay a table out in columns."""
    lines = [list(table[0]), *map(list, table[1])]
    widths = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))]
    return "\n".join(_line(line, widths) for line in lines)


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    padded = (cell.ljust(width) for cell, width in zip(cells, widths, strict=True))
    return "  ".join(padded).rstrip()


def as_markdown(table: Table) -> str:
    """Write a table as Markdown."""
    head, lines = table
    rule = ["---"] + ["---:"] * (len(head) - 1)
    return "\n".join("| " + " | ".join(line) + " |" for line in (head, rule, *lines))


def everything(results: Results, markdown: bool = False) -> str:
    """Return all tables of the results."""
    write = as_markdown if markdown else as_text
    parts = [_origin(results)]
    for comparison in results.comparisons:
        facts = ", ".join(f"{key} {value:,}" for key, value in comparison.facts.items())
        pairs = max(map(len, comparison.samples.values()))
        parts.append(f"{comparison.title}: {facts}; {pairs} {'pair' if pairs == 1 else 'pairs'}")
        parts += [write(absolute(comparison)), write(relative(comparison))]
    if results.comparisons:
        parts += ["Medians of paired ratios", write(overview(results.comparisons))]
    for series in results.series:
        parts += [series.title, write(growth(series))]
    parts += [write(fault(each)) for each in results.faults]
    return "\n\n".join(parts)


def _origin(results: Results) -> str:
    m = results.machine
    versions = ", ".join(f"{name} {version}" for name, version in results.versions.items())
    return (
        f"{results.command}\n{results.date}; {m['cpu']}, {m['cores']} cores,"
        f" {m['memory'] / 2**30:.0f} GiB, {m['kernel']}\n{versions}"
    )
