"""``dask verify run`` and ``dask verify resume``: arguments and options.

Every call of ``dask`` imports this module, so all but click is imported inside a command.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click
from click.shell_completion import CompletionItem

from dask_verify.evidence.console import Command, json_option, only_one

if TYPE_CHECKING:
    from dask_verify.running.places import Wanted
    from dask_verify.running.planning import Output

_FILE = click.Path(exists=True, dir_okay=False)
_Command = TypeVar("_Command", bound=Callable[..., Any])


class _Anything(click.types.StringParamType):
    """A path, a URL or a name: the shell completes it as a file."""

    name = "text"

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        """Let the shell complete the name of a file."""
        return [CompletionItem(incomplete, type="file")]


_PATH = _Anything()


def _all(*options: Callable[[_Command], _Command]) -> Callable[[_Command], _Command]:
    """Return several options as one, shown in this order."""

    def add(command: _Command) -> _Command:
        for option in reversed(options):
            command = option(command)
        return command

    return add


_places = _all(
    click.option(
        "--domain",
        "domains",
        metavar="NAME[=ADDRESS]",
        multiple=True,
        help="A domain: NAME alone is started on this machine, to rehearse; NAME=tls://HOST:PORT"
        " has a scheduler of its own there. Repeat it.  [default: alice, bob and carol here]",
    ),
    click.option(
        "--scheduler",
        metavar="ADDRESS",
        help="One scheduler for all domains.  [default: Dask's scheduler-address, if it is set]",
    ),
    click.option("--trust", type=_FILE, help="Trust file: whose keys count."),
    click.option("--key", type=_FILE, help="Key file of the coordinator, who signs the receipt."),
    click.option("--tls-ca-file", type=_FILE, help="CA cert(s) file for TLS, in PEM format."),
    click.option("--tls-cert", type=_FILE, help="Certificate file for TLS, in PEM format."),
    click.option("--tls-key", type=_FILE, help="Private key file for TLS, in PEM format."),
)
_outputs = _all(
    click.option(
        "--out",
        type=_PATH,
        metavar="FILE",
        help="Save the result there, with its receipt: JSON lines, or Parquet with --by."
        "  [default: print the first rows]",
    ),
    click.option(
        "--report", type=_PATH, metavar="FILE.html", help="HTML report.  [default: beside --out]"
    ),
    click.option("--quiet", is_flag=True, help="Say nothing but errors."),
    json_option("a summary"),
)


@click.command(cls=Command)
@click.argument("function", type=_PATH, metavar="FUNCTION")
@click.argument("inputs", type=_PATH, nargs=-1, required=True, metavar="INPUT...")
@click.option(
    "--reducer",
    type=_PATH,
    metavar="NAME",
    default="reducer",
    show_default=True,
    help="The reducer: a name beside the mapper, or SCRIPT:NAME.",
)
@click.option(
    "--combiner", type=_PATH, metavar="NAME", help="A combiner, named in the same way.  [none]"
)
@click.option("--by", metavar="COLUMN", multiple=True, help="Key column of CSV or Parquet; repeat.")
@click.option(
    "--format",
    "format_",
    type=click.Choice(["text", "csv", "parquet"]),
    help="What the files are.  [default: from their names]",
)
@click.option("--blocksize", metavar="SIZE", help="Bytes in a partition.  [default: 32 MiB]")
@click.option("--npartitions", type=click.IntRange(min=1), help="Reduce partitions.")
@click.option("--sort", is_flag=True, help="Sort a dataframe by its keys.")
@click.option("--replicas", type=int, help="Domains that execute every task.  [default: 2]")
@click.option("--faults", type=int, help="Domains that may be faulty.  [default: replicas - 1]")
@click.option("--audit", type=float, help="Share of the units recomputed elsewhere, such as 0.01.")
@click.option("--unit-records", type=int, help="Input records in one unit.")
@click.option(
    "--referee", type=click.Choice(["coordinator", "domains"]), help="Who settles a difference."
)
@_places
@click.option("--workers", type=click.IntRange(min=1), help="Workers of each domain started here.")
@click.option(
    "--cheat",
    metavar="NAME",
    multiple=True,
    callback=only_one,
    help="Let this domain, started here, tell lies.",
)
@click.option(
    "--journal", type=_PATH, metavar="PATH", help="Write down what `dask verify resume` needs."
)
@_outputs
def run(
    function: str,
    inputs: tuple[str, ...],
    reducer: str,
    combiner: str | None,
    by: tuple[str, ...],
    format_: str | None,
    blocksize: str | None,
    npartitions: int | None,
    sort: bool,
    workers: int | None,
    cheat: str | None,
    journal: str | None,
    **options: Any,
) -> None:
    """Map and reduce files in several domains, and accept only what they agree on.

    FUNCTION is the mapper: words.py:mapper, or package.module:mapper; without a name it is called
    `mapper`. A script is not run as a program, and travels to the workers; a module has to be
    installed there. INPUT is files, folders, patterns or URLs, of text, CSV (with --by) or Parquet
    (with --by).

    \b
    dask verify run words.py texts/*.txt --out counts.jsonl
    dask verify run words.py texts/*.txt --out counts.jsonl --cheat bob
    dask verify run delays.py:landed flights.csv --reducer means --by carrier --out means.parquet

    Exits with 0 if there is an answer, 1 if there is none, 2 if this cannot be done, and 130 after
    Ctrl-C.
    """  # noqa: D301 - for click, which knows what must not be wrapped by this character
    from dask_verify.running.acting import run as act
    from dask_verify.running.planning import Asked

    fields = ("replicas", "faults", "audit", "unit_records", "referee")
    policy = {name: options[name] for name in fields if options[name] is not None}
    asked = Asked(
        function=function,
        inputs=inputs,
        reducer=reducer,
        combiner=combiner,
        by=by,
        format=format_,
        blocksize=blocksize,
        policy=policy,
        npartitions=npartitions,
        sort=sort,
        journal=journal,
        wanted=_wanted(options, workers, cheat),
        output=_output(options),
    )
    raise SystemExit(act(asked))


@click.command(cls=Command)
@click.argument("journal", type=_PATH, metavar="JOURNAL")
@_places
@_outputs
def resume(journal: str, **options: Any) -> None:
    """Go on with a job from its journal, after the process that ran it is gone.

    JOURNAL is what was passed to `dask verify run --journal`, or to journal= in Python; it is
    unpickled: only resume what is your own. The domains have to be the same.

    \b
    dask verify resume count.journal --scheduler tls://HOST:8786 --trust domains.toml --key my.key

    Exits as `dask verify run` does.
    """  # noqa: D301
    from dask_verify.running.acting import resume as act

    raise SystemExit(act(journal, _wanted(options), _output(options)))


def _wanted(
    options: dict[str, Any], workers: int | None = None, cheat: str | None = None
) -> Wanted:
    from dask_verify.running.places import Keys, Tls, Wanted

    return Wanted(
        domains=options["domains"],
        scheduler=options["scheduler"],
        keys=Keys(options["trust"], options["key"]),
        tls=Tls(options["tls_ca_file"], options["tls_cert"], options["tls_key"]),
        workers=workers,
        cheat=cheat,
    )


def _output(options: dict[str, Any]) -> Output:
    from dask_verify.running.planning import Output

    return Output(options["out"], options["report"], options["quiet"], options["machine"])
