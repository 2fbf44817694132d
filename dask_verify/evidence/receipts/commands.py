"""``... check``: a receipt from the command line.

Exit codes: 0 it holds, 1 it does not, 2 usage. Every call of ``dask`` imports this module, so all
but click is imported inside the command.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import click

from dask_verify.evidence.console import Command, fail, json_option, print_json, refuse

if TYPE_CHECKING:
    from dask_verify.evidence.enrolment.trust import Trust
    from dask_verify.evidence.receipts.checking import Checked

_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.command(cls=Command)
@click.argument("receipt", type=_FILE)
@click.option("--trust", "trust_file", type=_FILE, required=True, help="Whose signatures count.")
@click.option("--data", metavar="PATH", help="The result's Parquet or JSON lines file, or URL.")
@click.option(
    "--replicas",
    type=click.IntRange(min=1),
    help="Distinct enrolled domains that must have signed every partition.  [default: as many as"
    " the job's policy asks for, where one fewer will do for each exposed one]",
)
@click.option(
    "--min-audit",
    type=click.FloatRange(0, 1),
    help="Least share of the units that was to be recomputed elsewhere.",
)
@json_option("what was found")
def check(
    receipt: Path,
    trust_file: Path,
    data: str | None,
    replicas: int | None,
    min_audit: float | None,
    machine: bool,
) -> None:
    """Check a receipt offline: who computed what, how it was sampled, who was wrong.

    Exits with 0 if it holds, 1 if it does not, and 2 if it could not be asked for so, as
    of a file that is no receipt.
    """
    from dask_verify.errors import TrustError, VerifyError
    from dask_verify.evidence.enrolment.trust import load_trust
    from dask_verify.evidence.envelope import is_no_envelope
    from dask_verify.evidence.fields import LARGEST_FILE
    from dask_verify.evidence.files import read_file
    from dask_verify.evidence.receipts.checking import check_receipt

    try:
        trust = load_trust(trust_file)
    except TrustError as error:
        refuse(error)
    if data is not None and "://" not in data and not Path(data).is_file():
        refuse(f"--data: expected a file, or a URL, got {data!r}; check the name")
    asked: dict[str, Any] = {"replicas": replicas, "min_audit": min_audit, "path": data}
    try:
        envelope = read_file(receipt, LARGEST_FILE, _refusal)
        if is_no_envelope(envelope):
            refuse(f"{receipt}: expected what is saved as NAME.receipt.json", "not a receipt")
        checked = check_receipt(envelope, trust, **asked)
    except VerifyError as error:
        _fail(error, machine)
    except (MemoryError, RecursionError) as error:
        # Nothing is claimed of what could not be checked to its end.
        _fail(error, machine)
    _report(checked, trust, machine)


def _refusal(what: str, expected: str, got: str) -> Exception:
    return click.UsageError(f"{what}: expected {expected}, got {got}")


def _fail(error: Exception, machine: bool) -> NoReturn:
    if machine:
        said = {
            "holds": False,
            "error": str(error) or type(error).__name__,
            "statement": getattr(error, "what", ""),
            "expected": _plain(getattr(error, "expected", None)),
            "got": _plain(getattr(error, "got", None)),
        }
        print_json(said)
    fail(error, "does not hold")


def _plain(value: object) -> object:
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    return value.hex() if isinstance(value, bytes) else repr(value)


def _report(checked: Checked, trust: Trust, machine: bool) -> None:
    from dask_verify.evidence.receipts.telling import tell

    if machine:
        print_json(checked.to_dict())
    else:
        click.echo("\n".join(tell(checked, trust)))
