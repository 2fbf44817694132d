"""Starting the domains of a job, or reaching them."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from dask_verify.errors import InputError, one_of
from dask_verify.running.places import Keys, Local, Place, Separate, Shared, Tls

if TYPE_CHECKING:
    from distributed.security import Security

    from dask_verify.engine.cluster import LocalDomainCluster


@dataclass(frozen=True)
class Site:
    """Domains that are there.

    Parameters
    ----------
    client : object
        As `verified_map_reduce` takes it.
    cluster : LocalDomainCluster, optional
        Where they were started here.
    """

    client: Any
    cluster: LocalDomainCluster | None = None


def check_keys(place: Place) -> None:
    """Refuse a place whose keys are not known here.

    Parameters
    ----------
    place : Place
        One on this machine makes keys of its own, and is never refused.

    Raises
    ------
    InputError, TrustError
        If there is no trust file, or it does not name the domains; or the key file is none.
    """
    from dask_verify.config import setting
    from dask_verify.evidence.enrolment.keys import read_key
    from dask_verify.evidence.enrolment.trust import load_trust

    if isinstance(place, Local):
        return
    path = place.keys.trust or setting("trust")
    if path is None:
        raise InputError(
            "--trust: expected the trust file with the keys of the domains, got none; pass --trust"
            " FILE, made by `dask verify enroll`, or set verify.trust"
        )
    trust = load_trust(path)
    if isinstance(place, Separate):
        known = [domain.name for domain in trust.domains]
        missing = [name for name in place.names if name not in known]
        if missing:
            raise InputError(
                f"--domain: expected names of the trust file {path}, which are {one_of(known)}, got"
                f" {missing[0]!r}; enroll it, or name it as there"
            )
    if place.keys.key is not None:
        read_key(place.keys.key)


@contextmanager
def opened(place: Place, say: Callable[[str], None]) -> Iterator[Site]:
    """Have the domains of a place as long as the context lasts.

    Parameters
    ----------
    place : Place
    say : callable
        Tells the user what is going on.

    Yields
    ------
    Site

    Raises
    ------
    OSError
        If a scheduler cannot be reached.
    """
    if isinstance(place, Local):
        with _started(place, say) as site:
            yield site
        return
    import dask

    with dask.config.set(_settings(place.keys)):
        if isinstance(place, Separate):
            security = _security(place.tls)
            yield Site({n: a if security is None else (a, security) for n, a in place.addresses})
        else:
            with _client(place) as client:
                yield Site(client)


@contextmanager
def _started(place: Local, say: Callable[[str], None]) -> Iterator[Site]:
    from dask_verify.engine.cluster import LocalDomainCluster
    from dask_verify.engine.cluster_arguments import starting
    from dask_verify.testing import Tamper

    liar = f"; {place.cheat} cheats" if place.cheat else ""
    say(f"Starting {', '.join(place.names)} on this machine{liar}")
    saboteurs = {place.cheat: Tamper()} if place.cheat else None
    with _inheriting_stderr(), starting(place.names):
        cluster = LocalDomainCluster(
            place.names, n_workers=place.workers, saboteurs=saboteurs, dashboard_address=None
        )
    with cluster:
        yield Site(cluster.get_client(), cluster)


@contextmanager
def _inheriting_stderr() -> Iterator[None]:
    """Let processes that are started have stderr for stdout: what functions print is no result."""
    sys.stdout.flush()
    kept = os.dup(1)
    try:
        os.dup2(2, 1)
        yield
    finally:
        os.dup2(kept, 1)
        os.close(kept)


def _client(place: Shared) -> Any:
    from distributed import Client

    try:
        return Client(place.address, security=_security(place.tls), set_as_default=False)
    except (OSError, TimeoutError) as error:
        raise OSError(
            f"--scheduler: expected a scheduler at {place.address}, got {type(error).__name__}:"
            f" {error}; start one, or check address and TLS files"
        ) from error


def _settings(keys: Keys) -> dict[str, str]:
    given = {"verify.trust": keys.trust, "verify.coordinator-key": keys.key}
    return {name: value for name, value in given.items() if value is not None}


def _security(tls: Tls) -> Security | None:
    from distributed.security import Security

    if not tls.given:
        return None
    return Security(
        tls_ca_file=tls.ca_file,
        tls_client_cert=tls.cert,
        tls_client_key=tls.key,
        require_encryption=True,
    )
