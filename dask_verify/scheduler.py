"""A preload that makes a scheduler keep domains apart, each proved by its key.

``dask scheduler --preload dask_verify.scheduler --trust domains.toml``

The trust file may also be named by the configuration, ``verify.trust``. Without a good one the
scheduler does not start. It is read once: domains that are enrolled later need another start.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click
import dask

from dask_verify.engine.plugin import DomainPlugin
from dask_verify.errors import TrustError
from dask_verify.evidence.enrolment.trust import Trust, load_trust
from dask_verify.preloading import Strict, file_read_by, or_exit

if TYPE_CHECKING:
    from distributed.scheduler import Scheduler


def _configured() -> Any:
    return dask.config.get("verify.trust", None)


def _with_domains(path: str) -> Trust:
    trust = load_trust(path)
    if not trust.domains:
        raise TrustError(path, "a trust file with at least one [[domain]]", "one with none")
    return trust


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
def dask_setup(scheduler: Scheduler, trust: Trust, reached_as: tuple[str, ...] = ()) -> None:
    """Give workers the domain whose key they prove, and tasks to the workers of their domain."""
    with or_exit(__name__):
        # The scheduler itself starts the plugin, after the preloads.
        scheduler.add_plugin(DomainPlugin(domains=trust.domains, addresses=reached_as))
