"""The commands of ``python -m benchmarks``."""

from __future__ import annotations

import shlex
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from benchmarks.measuring import BenchmarkError, Sample

_FOLDER = click.Path(file_okay=False, path_type=Path)
_FILE = click.Path(dir_okay=False, path_type=Path)


class _Group(click.Group):
    """Shows what a `BenchmarkError` says, without a traceback."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except BenchmarkError as error:
            raise click.ClickException(str(error)) from error


@click.group(cls=_Group)
def main() -> None:
    """What verification costs, against plain Dask and against doing it by hand."""


def _common(command: Callable[..., None]) -> Callable[..., None]:
    """Add the options that all measuring commands have."""
    options = (
        click.option("--pairs", default=5, show_default=True, type=click.IntRange(1),
                     help="Rounds after the warm-up."),
        click.option("--scale", default=1.0, show_default=True,
                     type=click.FloatRange(0, min_open=True), help="Share of the full size."),
        click.option("--out", type=_FILE, help="Write the results here as JSON."),
    )  # fmt: skip
    for option in reversed(options):
        command = option(command)
    return command


_data = click.option(
    "--data",
    type=_FOLDER,
    help="Keep input files here for later runs (default: a temporary folder).",
)


@main.command()
@click.argument("workload", nargs=-1)
@click.option("--contender", multiple=True, help="Only these, and plain Dask; repeat the option.")
@_common
@_data
def run(
    workload: tuple[str, ...],
    contender: tuple[str, ...],
    pairs: int,
    scale: float,
    out: Path | None,
    data: Path | None,
) -> None:
    """Let contenders take turns on workloads (all, if none is named)."""
    from benchmarks import contenders, results, workloads

    found = []
    picked = workloads.chosen(workload)
    with _folder(data) as folder, contenders.arena() as arena:
        for each in picked:
            click.echo(f"{each.name}: {each.title}, scale {scale:g}", err=True)
            found.append(_compared(each, arena, folder, contender, pairs, scale))
            # What is measured so far is kept, even if a later workload fails.
            _keep(out, results.here(_command(), comparisons=found))
    click.echo(results.everything(results.here(_command(), comparisons=found)))


def _compared(
    workload: Any, arena: Any, folder: Path, names: tuple[str, ...], pairs: int, scale: float
) -> Any:
    from benchmarks import contenders, measuring, results

    task = workload.prepare(folder, scale)
    match = contenders.Match(arena, task)
    turns = match.turns(contenders.chosen(names, task))
    samples = measuring.alternate(turns, pairs, _tell)
    facts = dict(task.facts) | {"scale": scale}
    targets = workload.targets if scale >= 1 else {}  # they are about the full size
    return results.Comparison(workload.name, workload.title, facts, samples, targets)


def _tell(name: str, number: int, sample: Sample) -> None:
    label = f"round {number}" if number else "warm-up"
    click.echo(f"  {label:8} {name:12} {sample.wall:8.2f} s {sample.cpu:8.2f} s CPU", err=True)


@main.command()
@click.argument("series", nargs=-1)
@click.option("--max", "limit", type=float, help="Leave out every x above this.")
@_common
def growth(
    series: tuple[str, ...],
    limit: float | None,
    pairs: int,
    scale: float,
    out: Path | None,
) -> None:
    """Measure what grows with partitions, rows, reduces, domains and units."""
    from benchmarks import growth, results

    found = []
    for each in growth.chosen(series):
        click.echo(f"{each.name}: {each.title}", err=True)
        found.append(growth.measured(each, pairs, scale, limit, _tell))
        _keep(out, results.here(_command(), series=found))
    click.echo(results.everything(results.here(_command(), series=found)))


@main.command()
@click.argument("fault", nargs=-1)
@_common
@_data
def faults(
    fault: tuple[str, ...], pairs: int, scale: float, out: Path | None, data: Path | None
) -> None:
    """Measure what a corrupt record, a lying domain and a dead one cost."""
    from benchmarks import faults, results

    found = []
    names = faults.chosen(fault)
    with _folder(data) as folder:
        for name in names:
            click.echo(name, err=True)
            found.append(faults.measured(name, folder, pairs, scale, _tell))
            _keep(out, results.here(_command(), faults=found))
    click.echo(results.everything(results.here(_command(), faults=found)))


@main.command()
@click.argument("case", nargs=-1)
@click.option("--scale", default=1.0, show_default=True, help="Share of the full size.")
@click.option("--rounds", default=5, show_default=True, help="Runs, of which the best counts.")
def micro(case: tuple[str, ...], scale: float, rounds: int) -> None:
    """Time encoding, sealing, proving and descending (the cases whose name holds a word)."""
    from benchmarks import results
    from benchmarks.micro import timing

    found = []
    for each in timing.timed(scale, rounds, case):
        if isinstance(each, str):
            click.echo(each, err=True)
        else:
            found.append(each)
    click.echo(results.as_text(timing.table(found)) if found else "no such case")


@main.command()
@click.argument("files", nargs=-1, required=True, type=_FILE)
@click.option("--out", type=_FOLDER, required=True, help="Folder for the pictures.")
def plot(files: tuple[Path, ...], out: Path) -> None:
    """Draw SVG and PNG from results."""
    from benchmarks import plotting, results

    for path in files:
        for drawn in plotting.draw(results.load(path), out):
            click.echo(drawn)


@main.command()
@click.argument("file", type=_FILE)
@click.option("--markdown", is_flag=True, help="As Markdown instead of plain text.")
def show(file: Path, markdown: bool) -> None:
    """Print the tables of results."""
    from benchmarks import results

    click.echo(results.everything(results.load(file), markdown))


@main.command("list")
def listed() -> None:
    """List workloads, contenders, series and faults."""
    from benchmarks import contenders, faults, growth, workloads

    for title, known in (
        ("workloads", {name: w.title for name, w in workloads.WORKLOADS.items()}),
        ("contenders", {name: c.title for name, c in contenders.CONTENDERS.items()}),
        ("growth", {name: s.title for name, s in growth.SERIES.items()}),
        ("faults", {name: f.title for name, f in faults.FAULTS.items()}),
    ):
        click.echo(title)
        for name, text in known.items():
            click.echo(f"  {name:12} {text}")


@contextmanager
def _folder(data: Path | None) -> Iterator[Path]:
    if data is not None:
        yield data
        return
    with tempfile.TemporaryDirectory(prefix="dask-verify-benchmarks-") as folder:
        yield Path(folder)


def _keep(out: Path | None, results: Any) -> None:
    if out is not None:
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(results.to_json(), encoding="utf-8")


def _command() -> str:
    return shlex.join(["python", "-m", "benchmarks", *sys.argv[1:]])
