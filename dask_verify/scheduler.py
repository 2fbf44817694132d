"""A preload that makes a scheduler keep domains apart, each proved by its key.

``dask scheduler --preload dask_verify.scheduler --trust domains.toml``

The trust file may also be named by the configuration, ``verify.trust``. Without a good one the
scheduler does not start. It is read once: domains that are enrolled later need another start.

With ``--authority NAME=FILE`` for each domain and the coordinator, and with Dask's own options for
TLS, a gate stands before the scheduler (`dask_verify.engine.gate`): workers do what workers must,
and nothing that they send is unpickled.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import click
import dask
from cryptography import x509

from dask_verify.engine.gate import Gate
from dask_verify.engine.hearing import guard
from dask_verify.engine.plugin import DomainPlugin
from dask_verify.engine.transport import check_gated, install
from dask_verify.errors import InputError, TrustError, VerifyError
from dask_verify.evidence.enrolment.trust import Trust, load_trust
from dask_verify.evidence.files import read_file
from dask_verify.preloading import Strict, file_read_by, or_exit

if TYPE_CHECKING:
    from distributed.scheduler import Scheduler


_LARGEST = 1 << 16  #: bytes of a certificate


def _configured() -> Any:
    return dask.config.get("verify.trust", None)


def _with_domains(path: str) -> Trust:
    trust = load_trust(path)
    if not trust.domains:
        raise TrustError(path, "a trust file with at least one [[domain]]", "one with none")
    return trust


def _authority(text: str) -> tuple[str, x509.Certificate]:
    name, _, path = text.partition("=")
    if not name or not path:
        raise InputError(f"authority: expected NAME=FILE, got {text!r:.100}")
    data = read_file(os.path.expanduser(path), _LARGEST, TrustError)
    try:
        (found,) = x509.load_pem_x509_certificates(data)
    except ValueError as error:
        raise InputError(f"{path}: expected one certificate in PEM, got {error}") from None
    return name, found


def _gate(context: click.Context, option: click.Parameter, texts: tuple[str, ...]) -> Gate | None:
    """Let the gate stand where the scheduler will listen: Dask reads options before that."""
    try:
        named = [_authority(text) for text in texts]
        if len(dict(named)) < len(named):
            raise InputError(f"expected one authority a name, got {[name for name, _ in named]}")
        return install(Gate(dict(named))) if named else None
    except VerifyError as error:
        raise click.BadParameter(str(error), context, option) from error


@click.command(__name__, cls=Strict)
@click.option(
    "--trust",
    metavar="FILE",
    default=_configured,
    callback=file_read_by(_with_domains),
    help="Whom to believe, as `dask verify enroll` writes it.  [default: verify.trust]",
)
@click.option(
    "--reached-as",
    metavar="ADDRESS",
    multiple=True,
    help="Where workers reach this scheduler, such as tcp://10.0.0.1:8786, if a proxy, a load"
    " balancer or address translation is in between.  Repeatable.",
)
@click.option(
    "--authority",
    "gate",
    metavar="NAME=FILE",
    multiple=True,
    callback=_gate,
    help="The certificate authority, in PEM, of a domain, or of the coordinator.  Repeatable: one"
    " for each of them, or none.  A worker may then say only what its certificate lets it say.",
)
def dask_setup(
    scheduler: Scheduler, trust: Trust, reached_as: tuple[str, ...] = (), gate: Gate | None = None
) -> None:
    """Give workers the domain whose key they prove, and tasks to the workers of their domain."""
    domains = trust.domains
    with or_exit(__name__):
        if gate is not None:
            check_gated(scheduler, gate)
            gate.start(scheduler, [domain.name for domain in domains])
            guard(scheduler)
        # The scheduler itself starts the plugin, after the preloads.
        plugin = DomainPlugin(domains=domains, addresses=reached_as, separated=gate is not None)
        scheduler.add_plugin(plugin)
