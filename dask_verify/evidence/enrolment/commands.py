"""``dask verify keygen`` and ``dask verify enroll``: make a key, and tell others of it.

Exit codes: 0 done, 2 it cannot be done as it was asked for; then nothing was changed.

Every call of ``dask`` imports this module, so all but click is imported inside a command.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from dask_verify.evidence.console import Command, json_option, print_json, refuse

if TYPE_CHECKING:
    from dask_verify.evidence.enrolment.trust import Entry
    from dask_verify.protocol.domain import Identity

_FOLDER = click.Path(exists=True, file_okay=False, writable=True, path_type=Path)
_FILE = click.Path(dir_okay=False, path_type=Path)


@click.command(cls=Command)
@click.argument("name")
@click.option(
    "--out",
    "folder",
    type=_FOLDER,
    default=".",
    metavar="FOLDER",
    help="Where to write NAME.key and NAME.toml.  [default: here]",
)
@click.option("--contact", metavar="TEXT", help="Whom to ask about this domain.")
@click.option("--penalty", metavar="TEXT", help="What a wrong answer costs this domain.")
@click.option(
    "--refresh",
    is_flag=True,
    help="Keep NAME.key, and write NAME.toml anew: with this machine's software, and with what it"
    " says of contact and penalty unless these are given.",
)
@json_option("what was made")
def keygen(
    name: str,
    folder: Path,
    contact: str | None,
    penalty: str | None,
    refresh: bool,
    machine: bool,
) -> None:
    """Make the key of a domain, and the enrolment to send to coordinators.

    NAME.key is the private key, for the domain's workers alone; NAME.toml has the public key and
    what this machine's software is. Nothing is overwritten without --refresh. The NAME
    `coordinator` makes the key that signs receipts.
    """
    from dask_verify.errors import VerifyError

    if os.path.basename(name) != name or name.startswith((".", "-")) or not name:
        refuse(f"NAME: expected one that can be a file's name, got {name!r}; choose another")
    try:
        write = _refresh if refresh else _make
        identity, key, enrolment = write(folder, name, contact, penalty)
    except VerifyError as error:
        refuse(error)
    if machine:
        print_json(
            {
                "name": name,
                "public_key": identity.public_key.hex(),
                "paths": {"key": str(key), "enrolment": str(enrolment)},
            }
        )
        return
    click.echo(f"public key  {identity.public_key.hex()}")
    click.echo(f"private key {key}: keep it on the machines of {name!r}")
    click.echo(f"enrolment   {enrolment}: for `dask verify enroll TRUSTFILE {enrolment}`")


@click.command(cls=Command)
@click.argument("trust_file", type=_FILE, metavar="TRUSTFILE")
@click.argument("enrolments", type=_FILE, nargs=-1, required=True, metavar="ENROLMENT...")
@click.option("--replace", "replacing", is_flag=True, help="Let a name have another key now.")
@click.option(
    "--coordinator",
    "coordinating",
    is_flag=True,
    help="Let a file of any name say who signs receipts, not coordinator.toml alone.",
)
@json_option("what changed")
def enroll(
    trust_file: Path,
    enrolments: tuple[Path, ...],
    replacing: bool,
    coordinating: bool,
    machine: bool,
) -> None:
    """Add what `dask verify keygen` wrote to a trust file, which is created if need be.

    A name that is there with another key is refused without --replace: ask its owner first, and
    not by the way that the enrolment came. Comments in the trust file are not kept.
    """
    from dask_verify.errors import VerifyError

    try:
        # Read before the lock: what cannot be read leaves no trace.
        entries = [_enrolment(path, coordinating) for path in enrolments]
        with _locked(trust_file):
            changes = _enroll(trust_file, entries, replacing)
    except VerifyError as error:
        refuse(error)
    if machine:
        said = [{"name": name, "change": change} for name, change in changes]
        print_json({"trust": str(trust_file), "changes": said})
        return
    click.echo("\n".join(f"{name}: {change}" for name, change in changes))


def _enroll(trust_file: Path, entries: list[Entry], replacing: bool) -> list[tuple[str, str]]:
    from dask_verify.evidence.enrolment.trust import Trust, load_trust, save_trust

    before = load_trust(trust_file) if os.path.lexists(trust_file) else Trust()
    trust = before
    changes: list[tuple[str, str]] = []
    for entry in entries:
        changes.append((entry.name, _change(trust.entry(entry.name), entry)))
        trust = trust.with_entry(entry, replacing)
    if trust != before:
        save_trust(trust_file, trust)
    return changes


@contextlib.contextmanager
def _locked(trust_file: Path) -> Iterator[None]:
    """Exclude another `enroll` of the same file, which would lose what this one adds."""
    from dask_verify.errors import TrustError
    from dask_verify.evidence.files import create_file

    target = os.path.realpath(trust_file)
    lock = os.path.join(os.path.dirname(target), f".{os.path.basename(target)}.lock")

    def refusal(what: str, expected: str, got: str) -> TrustError:
        if not os.path.lexists(lock):
            return TrustError(what, expected, got)
        advice = f"its lock; if none runs, an earlier one was killed: remove {what}"
        return TrustError(what, "no other `dask verify enroll` of this trust file", advice)

    create_file(lock, f"{os.getpid()}\n".encode(), 0o600, refusal)
    try:
        yield
    finally:
        os.unlink(lock)


def _make(
    folder: Path, name: str, contact: str | None, penalty: str | None
) -> tuple[Identity, Path, Path]:
    from dask_verify.protocol.domain import Identity

    identity = Identity.generate(name)
    return identity, *_write(folder, identity, _entry(identity, contact, penalty))


def _refresh(
    folder: Path, name: str, contact: str | None, penalty: str | None
) -> tuple[Identity, Path, Path]:
    """Write the enrolment of a key anew."""
    from dask_verify.errors import InputError, TrustError
    from dask_verify.evidence.enrolment.keys import read_key
    from dask_verify.evidence.enrolment.trust import Trust, save_trust
    from dask_verify.protocol.domain import COORDINATOR

    key, enrolment = folder / f"{name}.key", folder / f"{name}.toml"
    identity = read_key(key)
    if identity.name != name:
        raise InputError(f"key file {key}: expected one of {name!r}, got one of {identity.name!r}")
    if os.path.lexists(enrolment):
        known = _enrolment(enrolment, coordinating=name == COORDINATOR)
        if (known.name, known.public_key) != (name, identity.public_key):
            raise TrustError(os.fspath(enrolment), f"the enrolment of {key}", "that of another key")
        contact = known.contact if contact is None else contact
        penalty = known.penalty if penalty is None else penalty
    save_trust(enrolment, Trust().with_entry(_entry(identity, contact, penalty)))
    return identity, key, enrolment


def _entry(identity: Identity, contact: str | None, penalty: str | None) -> Entry:
    from dask_verify.evidence.enrolment.trust import Entry
    from dask_verify.protocol.domain import COORDINATOR, environment

    if identity.name != COORDINATOR:
        return Entry(identity.name, identity.public_key, contact, penalty, environment())
    if penalty is not None:
        refuse(f"--penalty: expected for a domain only, got it for {COORDINATOR!r}; leave it out")
    return Entry(COORDINATOR, identity.public_key, contact)


def _write(folder: Path, identity: Identity, entry: Entry) -> tuple[Path, Path]:
    from dask_verify.errors import TrustError
    from dask_verify.evidence.enrolment.keys import write_key
    from dask_verify.evidence.enrolment.trust import Trust
    from dask_verify.evidence.files import create_file

    key, enrolment = folder / f"{identity.name}.key", folder / f"{identity.name}.toml"
    create_file(enrolment, Trust().with_entry(entry).to_bytes(), 0o644, TrustError)
    try:
        write_key(key, identity)
    except BaseException:
        enrolment.unlink()  # of a key that nobody has
        raise
    return key, enrolment


def _enrolment(path: Path, coordinating: bool) -> Entry:
    from dask_verify.errors import TrustError
    from dask_verify.evidence.enrolment.trust import load_trust
    from dask_verify.protocol.domain import COORDINATOR

    trust = load_trust(path)
    found = [*trust.entries, *([trust.coordinator] if trust.coordinator else [])]
    if len(found) != 1:
        raise TrustError(os.fspath(path), "the enrolment of exactly one", f"{len(found)}")
    if trust.coordinator and not coordinating and path.name != f"{COORDINATOR}.toml":
        got = "one of the coordinator, who signs receipts; pass --coordinator if that is meant"
        raise TrustError(os.fspath(path), "the enrolment of a domain", got)
    return found[0]


def _change(known: Entry | None, entry: Entry) -> str:
    if known is None:
        return f"enrolled with key {entry.public_key.hex()}"
    if known == entry:
        return "nothing new"
    if known.public_key != entry.public_key:
        return f"key {known.public_key.hex()} replaced with {entry.public_key.hex()}"
    words = ("contact", "penalty", "environment")
    return "new " + ", ".join(w for w in words if getattr(known, w) != getattr(entry, w))
