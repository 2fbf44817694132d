"""``dask verify ...``: the commands, as thin as they can be.

Every call of ``dask`` imports this module, whatever the command, so all that is heavy is imported
inside a command.
"""

from __future__ import annotations

import click


@click.group()
def verify() -> None:
    """Run MapReduce on machines that you do not fully trust."""


@verify.command()
@click.option("--cheat", metavar="NAME", help="Let this domain change what its functions return.")
@click.option("--separate", is_flag=True, help="Give each domain a scheduler of its own.")
@click.option(
    "--domains",
    metavar="NAMES",
    default="alice,bob,carol",
    show_default=True,
    help="Names of the domains to start, separated by commas.",
)
def demo(cheat: str | None, separate: bool, domains: str) -> None:
    """Run two verified jobs on real data, in domains on this machine.

    Counts the words of the King James Bible, and takes the mean arrival delay of the flights that
    left New York City in 2013 by carrier and month. Exits with 0 only if both answers equal the
    ones computed without Dask, and the domains stand as they should.
    """
    from dask_verify.demo import run
    from dask_verify.errors import VerifyError

    try:
        good = run([name.strip() for name in domains.split(",")], cheat, separate)
    except VerifyError as error:
        raise click.ClickException(str(error)) from error
    raise SystemExit(0 if good else 1)
