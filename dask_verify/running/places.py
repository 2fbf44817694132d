"""Where a job is computed, from what was asked on the command line; nothing is started here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from dask_verify.errors import InputError, one_of

REHEARSAL = ("alice", "bob", "carol")
"""Domains on this machine where no others are named."""


@dataclass(frozen=True)
class Tls:
    """Files for TLS, as Dask's own commands name them; None: as Dask is configured.

    Parameters
    ----------
    ca_file, cert, key : str, optional
    """

    ca_file: str | None = None
    cert: str | None = None
    key: str | None = None

    @property
    def given(self) -> bool:
        """Whether any file was named."""
        return any((self.ca_file, self.cert, self.key))


@dataclass(frozen=True)
class Local:
    """Domains that are started on this machine, to rehearse.

    Parameters
    ----------
    names : tuple of str
    workers : int
        Worker processes of each.
    cheat : str, optional
        Which of them lies.
    """

    names: tuple[str, ...]
    workers: int = 1
    cheat: str | None = None


@dataclass(frozen=True)
class Keys:
    """Whose signatures count, and with what the coordinator signs; None: as configured.

    Parameters
    ----------
    trust, key : str, optional
    """

    trust: str | None = None
    key: str | None = None


@dataclass(frozen=True)
class Separate:
    """One cluster for each domain, reached by couriers.

    Parameters
    ----------
    addresses : tuple of (str, str)
        Name and scheduler address of each domain.
    keys : Keys
    tls : Tls
    """

    addresses: tuple[tuple[str, str], ...]
    keys: Keys
    tls: Tls

    @property
    def names(self) -> tuple[str, ...]:
        """The domains."""
        return tuple(name for name, _ in self.addresses)


@dataclass(frozen=True)
class Shared:
    """One scheduler for all domains.

    Parameters
    ----------
    address : str
    keys : Keys
    tls : Tls
    """

    address: str
    keys: Keys
    tls: Tls


Place = Local | Separate | Shared


@dataclass(frozen=True)
class Wanted:
    """The options that say where to compute, as they were given.

    Parameters
    ----------
    domains : tuple of str
        ``NAME``, or ``NAME=ADDRESS``.
    scheduler : str, optional
    keys : Keys
    tls : Tls
    workers : int, optional
    cheat : str, optional
    """

    domains: tuple[str, ...] = ()
    scheduler: str | None = None
    keys: Keys = Keys()
    tls: Tls = Tls()
    workers: int | None = None
    cheat: str | None = None


def place(wanted: Wanted, configured: str | None = None) -> Place:
    """Return where to compute.

    Parameters
    ----------
    wanted : Wanted
    configured : str, optional
        The scheduler that Dask's configuration names, used if nothing else is said.

    Returns
    -------
    Place

    Raises
    ------
    InputError
        If the options contradict each other.

    Examples
    --------
    >>> place(Wanted(domains=("alice", "bob")))
    Local(names=('alice', 'bob'), workers=1, cheat=None)
    >>> place(Wanted(), "tcp://10.0.0.1:8786").address
    'tcp://10.0.0.1:8786'
    >>> place(Wanted()).names
    ('alice', 'bob', 'carol')
    """
    if wanted.scheduler is not None and wanted.domains:
        raise InputError(
            "--scheduler: expected without --domain, got both; name the one scheduler of all"
            " domains, or each domain with its own as --domain NAME=ADDRESS"
        )
    here = wanted.workers is not None or wanted.cheat is not None
    address = wanted.scheduler or (None if wanted.domains or here else configured)
    if address is not None:
        _refuse_local_options(wanted)
        _check_address("--scheduler", address)
        _check_tls(wanted.tls, [address])
        return Shared(address, wanted.keys, wanted.tls)
    addresses = [_address(domain) for domain in wanted.domains]
    _check_names([name for name, _ in addresses])
    if not any(address for _, address in addresses):
        return _local(wanted)
    return _separate(wanted, addresses)


def options(place: Place) -> list[str]:
    """Return the options that name a place once more; what is configured stays so.

    Parameters
    ----------
    place : Place

    Returns
    -------
    list of str

    Examples
    --------
    >>> options(Shared("tcp://10.0.0.1:8786", Keys("domains.toml"), Tls()))
    ['--scheduler', 'tcp://10.0.0.1:8786', '--trust', 'domains.toml']
    """
    if isinstance(place, Local):
        return [part for name in place.names for part in ("--domain", name)]
    if isinstance(place, Shared):
        named = ["--scheduler", place.address]
    else:
        named = [part for name, at in place.addresses for part in ("--domain", f"{name}={at}")]
    files = {
        "--trust": place.keys.trust,
        "--key": place.keys.key,
        "--tls-ca-file": place.tls.ca_file,
        "--tls-cert": place.tls.cert,
        "--tls-key": place.tls.key,
    }
    return named + [part for option, path in files.items() if path for part in (option, path)]


def _local(wanted: Wanted) -> Local:
    names = wanted.domains or REHEARSAL
    for option, value in (("--trust", wanted.keys.trust), ("--key", wanted.keys.key)):
        if value is not None:
            raise InputError(
                f"{option}: expected only for domains of your own, got {value!r} for"
                f" {one_of(names)} on this machine, which have throw-away keys; leave it out, or"
                " pass --scheduler ADDRESS or --domain NAME=ADDRESS"
            )
    if wanted.tls.given:
        raise InputError(
            "TLS files: expected only for schedulers of your own, got them for domains on this"
            " machine; leave them out, or pass --scheduler or --domain NAME=ADDRESS"
        )
    if wanted.cheat is not None and wanted.cheat not in names:
        raise InputError(
            f"--cheat: expected one of {one_of(names)}, got {wanted.cheat!r}; name a domain"
        )
    return Local(names, wanted.workers or 1, wanted.cheat)


def _separate(wanted: Wanted, addresses: Sequence[tuple[str, str | None]]) -> Separate:
    _refuse_local_options(wanted)
    found: list[tuple[str, str]] = []
    for name, address in addresses:
        if address is None:
            raise InputError(
                f"--domain: expected NAME=ADDRESS for all domains or for none, got {name!r}"
                " without an address; add its scheduler's"
            )
        _check_address(f"--domain {name}", address)
        found.append((name, address))
    _check_tls(wanted.tls, [address for _, address in found])
    return Separate(tuple(found), wanted.keys, wanted.tls)


def _address(domain: str) -> tuple[str, str | None]:
    """Split ``NAME=ADDRESS``."""
    name, equals, address = domain.partition("=")
    return name, address if equals else None


def _check_names(names: Sequence[str]) -> None:
    for name in names:
        if not name:
            raise InputError("--domain: expected NAME or NAME=ADDRESS, got no name; name it")
        if names.count(name) > 1:
            raise InputError(f"--domain: expected every domain once, got {name!r} twice; drop one")


def _refuse_local_options(wanted: Wanted) -> None:
    for option, value in (("--workers", wanted.workers), ("--cheat", wanted.cheat)):
        if value is not None:
            raise InputError(
                f"{option}: expected only for domains that are started on this machine, got"
                f" {value!r} for a cluster that is there; leave it out"
            )


def _check_address(option: str, address: str) -> None:
    from dask_verify.engine.courier.remote import Remote

    try:
        Remote(address)
    except InputError as error:
        raise InputError(f"{option}: {error}; give scheme, host and port") from error


def _check_tls(tls: Tls, addresses: Sequence[str]) -> None:
    plain = [a for a in addresses if not a.startswith(("tls://", "wss://"))]
    if tls.given and plain:
        raise InputError(
            f"TLS files: expected for addresses such as tls://host:8786, got {plain[0]!r}; write"
            " tls://, or leave them out"
        )
    if tls.given and not (tls.ca_file and tls.cert and tls.key):
        raise InputError(
            "TLS files: expected --tls-ca-file, --tls-cert and --tls-key together, got only some;"
            " add the others"
        )
