"""``dask verify keygen`` and ``dask verify enroll``: make a key, and tell others of it.

Every call of ``dask`` imports this module, so all but click is imported inside a command.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from dask_verify.evidence.enrolment.trust import Entry
    from dask_verify.protocol.domain import Identity

_FOLDER = click.Path(exists=True, file_okay=False, writable=True, path_type=Path)
_FILE = click.Path(dir_okay=False, path_type=Path)


@click.command()
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
def keygen(name: str, folder: Path, contact: str | None, penalty: str | None) -> None:
    """Make the key of a domain, and the enrolment to send to coordinators.

    NAME.key is the private key, for the domain's workers alone; NAME.toml has the public key and
    what this machine's software is. Nothing is overwritten. The NAME `coordinator` makes the key
    that signs receipts.
    """
    from dask_verify.errors import VerifyError
    from dask_verify.protocol.domain import Identity

    if os.path.basename(name) != name or name.startswith((".", "-")) or not name:
        raise click.UsageError(f"NAME: expected one that can be a file's name, got {name!r}")
    identity = Identity.generate(name)
    try:
        entry = _entry(identity, contact, penalty)
        key, enrolment = _write(folder, identity, entry)
    except VerifyError as error:
        raise click.ClickException(str(error)) from error
    click.echo(f"public key  {identity.public_key.hex()}")
    click.echo(f"private key {key}: keep it on the machines of {name!r}")
    click.echo(f"enrolment   {enrolment}: for `dask verify enroll TRUSTFILE {enrolment}`")


@click.command()
@click.argument("trust_file", type=_FILE, metavar="TRUSTFILE")
@click.argument("enrolments", type=_FILE, nargs=-1, required=True, metavar="ENROLMENT...")
@click.option("--replace", "replacing", is_flag=True, help="Let a name have another key now.")
def enroll(trust_file: Path, enrolments: tuple[Path, ...], replacing: bool) -> None:
    """Add what `dask verify keygen` wrote to a trust file, which is created if need be.

    A name that is there with another key is refused without --replace: ask its owner first, and
    not by the way that the enrolment came. Comments in the trust file are not kept.
    """
    from dask_verify.errors import VerifyError
    from dask_verify.evidence.enrolment.trust import Trust, load_trust, save_trust

    try:
        before = load_trust(trust_file) if os.path.lexists(trust_file) else Trust()
        trust, changes = before, []
        for path in enrolments:
            entry = _enrolment(path)
            changes.append(f"{entry.name}: {_change(trust.entry(entry.name), entry)}")
            trust = trust.with_entry(entry, replacing)
        if trust != before:
            save_trust(trust_file, trust)
    except VerifyError as error:
        raise click.ClickException(str(error)) from error
    click.echo("\n".join(changes))


def _entry(identity: Identity, contact: str | None, penalty: str | None) -> Entry:
    from dask_verify.evidence.enrolment.trust import Entry
    from dask_verify.protocol.domain import COORDINATOR, environment

    if identity.name != COORDINATOR:
        return Entry(identity.name, identity.public_key, contact, penalty, environment())
    if penalty is not None:
        raise click.UsageError(f"--penalty: expected for a domain only, got it for {COORDINATOR!r}")
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


def _enrolment(path: Path) -> Entry:
    from dask_verify.errors import TrustError
    from dask_verify.evidence.enrolment.trust import load_trust

    trust = load_trust(path)
    found = [*trust.entries, *([trust.coordinator] if trust.coordinator else [])]
    if len(found) != 1:
        raise TrustError(os.fspath(path), "the enrolment of exactly one", f"{len(found)}")
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
