"""``... exhibit show`` and ``... exhibit replay``: exhibits from the command line.

Exit codes: 0 it holds, 1 it does not or nobody can say, 2 usage (also code that is not run).
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from dask_verify.evidence.console import Group, fail, json_option, print_json, refuse

if TYPE_CHECKING:
    from dask_verify.evidence.enrolment.trust import Trust
    from dask_verify.evidence.exhibits.exhibit import Exhibit
    from dask_verify.evidence.exhibits.replay import Replay

_PATH = click.Path(dir_okay=False, path_type=Path)
_UNTRUSTED = (
    "not checked against a trust file (--trust): whose keys these are is the exhibit's own word"
)


@click.group(cls=Group)
def exhibit() -> None:
    """Look at the proof of one divergence, and compute it again."""


def _options(function: Callable[..., None]) -> Callable[..., None]:
    file = click.argument("file", type=_PATH)
    trust = click.option("--trust", type=_PATH, help="Trust file: whose keys to believe.")
    return file(trust(function))


@exhibit.command()
@_options
@json_option("what it says")
def show(file: Path, trust: Path | None, machine: bool) -> None:
    """Print who disagreed, and the differing records side by side."""
    from dask_verify.evidence.exhibits.showing import show as shown

    found = _checked(file, trust)
    if machine:
        print_json({**_facts(found), "text": shown(found), "trust": _path(trust)})
        return
    click.echo(shown(found))
    click.echo()
    click.echo(f"trust        {_trusted(trust)}")


@exhibit.command()
@_options
@click.option("--trust-code", is_flag=True, help="Load the functions as shipped: run its pickle.")
@click.option(
    "--trust-module",
    "modules",
    metavar="NAME",
    multiple=True,
    help="Installed package whose functions may be called with anything; may be repeated.",
)
@click.option(
    "--timeout",
    type=float,
    default=600.0,
    show_default=True,
    callback=lambda _, __, value: _seconds(value),
    help="Seconds that a fresh process may take.",
)
@json_option("the outcome")
def replay(
    file: Path,
    trust: Path | None,
    trust_code: bool,
    modules: tuple[str, ...],
    timeout: float,
    machine: bool,
) -> None:
    """Compute the unit again in fresh processes, and say who was right.

    The functions are imported by name, unless --trust-code is given: whoever made the exhibit
    chose them and what they are called with.
    """
    from dask_verify.errors import CodeRefusedError
    from dask_verify.evidence.exhibits.replay import replay as replayed

    found = _checked(file, trust)
    try:
        outcome = replayed(found, trust_code, modules, timeout)
    except CodeRefusedError as error:
        refuse(error, "not run")
    if machine:
        print_json({**outcome.to_dict(), "trust": _path(trust)})
    else:
        _print(outcome, trust)
    raise SystemExit(0 if outcome.confirmed else 1)


def _seconds(value: float) -> float:
    from dask_verify.evidence.exhibits.running import LONGEST

    if not 0 < value <= LONGEST:  # a range of click's lets pass what is not a number
        raise click.BadParameter(f"expected more than 0 and at most {LONGEST:g}, got {value}")
    return value


def _print(outcome: Replay, trust: Path | None) -> None:
    first = "confirmed" if outcome.confirmed else "NOT CONFIRMED"
    click.echo(f"{first:<13} {_lines(outcome.said)}")
    for note in outcome.on_trust:
        click.echo(f"{'on trust':<13} {note}: on the coordinator's word")
    if outcome.code == "named":
        click.echo(
            f"{'code':<13} found by name here; it may be another version than that of the job"
        )
    click.echo(f"{'trust':<13} {_trusted(trust)}")


def _checked(file: Path, trust: Path | None) -> Exhibit:
    """Read an exhibit, and hold its keys against a trust file if there is one."""
    from dask_verify.errors import EvidenceError, InputError
    from dask_verify.evidence.enrolment.trust import load_trust
    from dask_verify.evidence.envelope import is_no_envelope
    from dask_verify.evidence.exhibits.exhibit import Exhibit
    from dask_verify.evidence.fields import LARGEST_FILE
    from dask_verify.evidence.files import read_file

    try:
        data = read_file(file, LARGEST_FILE, _unreadable)
        believed = None if trust is None else load_trust(trust)
    except (EvidenceError, InputError) as error:
        refuse(error)
    if is_no_envelope(data):
        refuse(f"{file}: expected what is saved as NAME.exhibit-0.json", "not an exhibit")
    try:
        coordinator = None if believed is None else believed.coordinator
        key = None if coordinator is None else coordinator.public_key
        found = Exhibit.from_bytes(data, key)
        if believed is not None:
            _hold(found, believed)
    except EvidenceError as error:
        fail(error, "does not hold")
    return found


def _hold(exhibit: Exhibit, trust: Trust) -> None:
    """Hold the keys of all who signed something against a trust file."""
    from dask_verify.errors import EvidenceError

    if trust.coordinator is None:
        raise EvidenceError("trust file", "the coordinator's key", "none; enroll it, too")
    names = {claim.domain for claim in exhibit.claims if claim.signature}
    names |= {answer.domain for answer, signature in exhibit.answers if signature}
    for name in sorted(names | set(exhibit.culprits)):
        entry = trust.entry(name)
        if entry is None or entry.public_key != exhibit.terms.keys[name]:
            expected = "a domain of the trust file" if entry is None else entry.public_key
            raise EvidenceError(f"key of {name}", expected, exhibit.terms.keys[name])


def _unreadable(what: str, expected: str, got: str) -> Exception:
    from dask_verify.errors import InputError

    return InputError(f"{what}: expected {expected}, got {got}")


def _trusted(trust: Path | None) -> str:
    return _UNTRUSTED if trust is None else f"keys checked against {trust}"


def _path(trust: Path | None) -> str | None:
    return None if trust is None else str(trust)


def _facts(exhibit: Exhibit) -> dict[str, Any]:
    return {
        "job": exhibit.job.hex(),
        "stage": exhibit.stage,
        "partition": exhibit.partition,
        "units": list(exhibit.units),
        "domains": list(exhibit.domains),
        "cause": exhibit.cause,
        "settled": exhibit.settled,
        "blamed": list(exhibit.culprits),
        "excused": list(exhibit.excused),
        "not_shown": list(exhibit.unshown),
        "functions": dict(exhibit.functions.names),
        "signed": {claim.domain: claim.digest.hex() for claim in exhibit.claims},
        "on_trust": list(exhibit.on_trust),
    }


def _lines(text: str) -> str:
    from dask_verify.evidence.enrolment.texts import safe

    return "\n".join(map(safe, text.splitlines()))
