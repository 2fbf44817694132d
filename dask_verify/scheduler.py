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
from dask_verify.evidence.enrolment.trust import Trust, load_trust
from dask_verify.preloading import Strict, file_read_by, or_exit

if TYPE_CHECKING:
    from distributed.scheduler import Scheduler


def _configured() -> Any:
    return dask.config.get("verify.trust", None)


@click.command(cls=Strict)
@click.option(
    "--trust",
    metavar="FILE",
    default=_configured,
    callback=file_read_by(load_trust),
    help="Whom to believe, as `dask verify enroll` writes it.  [default: verify.trust]",
)
def dask_setup(scheduler: Scheduler, trust: Trust) -> None:
    """Give workers the domain whose key they prove, and tasks to the workers of their domain."""
    with or_exit():
        # The scheduler itself starts the plugin, after the preloads.
        scheduler.add_plugin(DomainPlugin(domains=trust.domains))
