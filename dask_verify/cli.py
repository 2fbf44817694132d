"""``dask verify ...``: the commands, as thin as they can be.

Every call of ``dask`` imports this module, whatever the command, so all that is heavy is imported
inside a command.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from dask_verify.completing import completion
from dask_verify.evidence.console import Group, fail, json_option, only_one, print_json, refuse
from dask_verify.evidence.enrolment.commands import enroll, keygen
from dask_verify.evidence.exhibits.commands import exhibit
from dask_verify.evidence.receipts.commands import check
from dask_verify.running.commands import resume, run


@click.group(cls=Group)
def verify() -> None:
    """Run MapReduce on machines that you do not fully trust."""


for command in (run, resume, check, exhibit, keygen, enroll, completion):
    verify.add_command(command)


@verify.command()
@click.option(
    "--cheat",
    metavar="NAME",
    multiple=True,
    callback=only_one,
    help="Let this domain change what its functions return.",
)
@click.option("--separate", is_flag=True, help="Give each domain a scheduler of its own.")
@click.option(
    "--domains",
    metavar="NAMES",
    default="alice,bob,carol",
    show_default=True,
    help="Names of the domains to start, separated by commas.",
)
@click.option(
    "--save",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="FOLDER",
    help="Save the answers there, with their receipts and the trust file.",
)
@json_option("what was found")
def demo(cheat: str | None, separate: bool, domains: str, save: Path | None, machine: bool) -> None:
    """Run two verified jobs on real data, in domains on this machine.

    Counts the words of the King James Bible, and takes the mean arrival delay of the flights that
    left New York City in 2013 by carrier and month. Exits with 0 only if both answers equal the
    ones computed without Dask, and the domains stand as they should.
    """
    from dask_verify.demo import run
    from dask_verify.errors import InputError, VerifyError

    try:
        good = run([name.strip() for name in domains.split(",")], cheat, separate, save, machine)
    except InputError as error:
        refuse(error)
    except (VerifyError, OSError) as error:
        fail(error)
    raise SystemExit(0 if good else 1)


@verify.command()
@click.option("--units", type=int, help="Units in all.  [default: ten billion records' worth]")
@click.option("--unit-records", type=int, default=1, show_default=True, help="Records in a unit.")
@click.option("--corrupt-units", type=int, help="How many units are corrupt.")
@click.option("--corrupt-records", type=int, help="How many records are corrupt.")
@click.option(
    "--layout",
    type=click.Choice(["packed", "spread", "both"]),
    default="both",
    show_default=True,
    help="Corrupt records fill the fewest units, or lie in a unit each.",
)
@click.option("--rate", "rates", type=float, multiple=True, help="Audit rate; may be repeated.")
@click.option("--confidence", type=float, default=0.99, show_default=True, help="To catch it with.")
@click.option(
    "--domains",
    type=int,
    default=1,
    help="Domains that audit each other.  [default: the coordinator audits]",
)
@click.option("--faults", type=int, default=1, show_default=True, help="Faulty ones among them.")
@click.option("--gain", type=float, help="What cheating on one unit brings: prints the fine.")
@json_option("the same figures")
def odds(machine: bool, layout: str, **asked: Any) -> None:
    """Print what a sampled audit catches, and what escapes it.

    Without any option: the chance that corruption of a table of ten billion records escapes a
    sample of 0.1 % and of 1 %. With --corrupt-units or --corrupt-records and no --rate: the rate
    that catches it. A rate is a share: --rate 0.01 is 1 %.
    """
    from dask_verify.errors import VerifyError
    from dask_verify.odds_table import LAYOUTS, Question, answer, as_text

    layouts = LAYOUTS if layout == "both" else (layout,)
    try:
        figures = answer(Question(layouts=layouts, **asked))
    except VerifyError as error:
        refuse(error)
    if machine:
        print_json(figures)
    else:
        click.echo(as_text(figures))
