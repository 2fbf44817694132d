"""``python -m dask_verify.testing.simulate``: the protocol against simulated domains, counted.

Exits with 0 if no promise was broken, with 1 if one was, and with 2 if it was called wrongly.
"""

from __future__ import annotations

import json
import sys
import time
import traceback

import click

from dask_verify.testing.simulation.mixes import MIXES, mix_of, scenario
from dask_verify.testing.simulation.pending import shown
from dask_verify.testing.simulation.promises import play
from dask_verify.testing.simulation.report import MEANING, Report
from dask_verify.testing.simulation.running import reports
from dask_verify.testing.simulation.world import Simulation


@click.command()
@click.option(
    "--seeds",
    type=click.IntRange(min=1),
    default=1000,
    show_default=True,
    help="How many jobs: each seed is one.",
)
@click.option(
    "--first", type=click.IntRange(min=0), default=0, show_default=True, help="The first seed."
)
@click.option("--mix", type=click.Choice(list(MIXES)), help="Only this mix of faults; else all.")
@click.option(
    "--jobs",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    help="Processes that work side by side.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON.")
@click.option(
    "--replay",
    type=click.IntRange(min=0),
    metavar="SEED",
    help="Run one seed again and print every event of it.",
)
def main(
    seeds: int, first: int, mix: str | None, jobs: int, as_json: bool, replay: int | None
) -> None:
    """Run the protocol against simulated domains, and count what must never happen."""
    if replay is not None:
        raise SystemExit(_replay(replay, mix or ""))
    report, started = Report(), time.monotonic()
    for part in reports(range(first, first + seeds), mix or "", jobs):
        report.merge(part)
        if sys.stderr.isatty():
            done = f"\r{report.jobs:,} of {seeds:,} jobs, {len(report.failures):,} failures"
            click.echo(done, err=True, nl=report.jobs == seeds)
    spent = time.monotonic() - started
    click.echo(json.dumps(report.to_dict(), indent=2) if as_json else report.to_text())
    click.echo(f"{spent:.0f} s, {report.jobs / spent:.0f} jobs a second", err=True)
    raise SystemExit(0 if report.sound else 1)


def _replay(seed: int, mix: str) -> int:
    """Print a job, event by event, and what it broke; the exit code."""
    world = scenario(seed, mix)
    faulty = ", ".join(f"{name} {how}" for name, how in world.behaviours.items()) or "nobody"
    click.echo(f"seed {seed}, mix {mix or mix_of(seed)}; faulty: {faulty}")
    domains = ", ".join(domain.name for domain in world.plan.domains)
    click.echo(f"{domains}; {world.plan.maps} maps, {world.plan.reduces} reduces")
    for line in (world.plan.policy, world.weather, world.nature):
        click.echo(str(line))
    try:
        broken = play(world).broken
    except Exception:
        broken = ("crashed",)
        click.echo(traceback.format_exc(), err=True)
    for number, event in enumerate(world.events, 1):
        click.echo(f"{number:>5}  {shown(event)}")
    _print_end(world)
    for name in broken:
        click.echo(f"broken: {MEANING[name]}")
    return 1 if broken else 0


def _print_end(world: Simulation) -> None:
    finished = world.job.finished
    ended = "no verdict" if finished is None else finished.verdict.value
    why = f" ({finished.cause})" if finished is not None and finished.cause else ""
    standing = ", ".join(f"{name} {how.value}" for name, how in world.job.standing.items())
    click.echo(f"{ended}{why}; {standing}")


if __name__ == "__main__":
    main()
