"""A preload that makes a worker a member of a domain.

``dask worker tcp://... --preload dask_verify.worker --domain-key alice.key``

The worker declares the resource ``domain:NAME`` before it registers, proves to its scheduler that
it has the key, and signs with it what it computes. With a key file that cannot be used, or that
others may read, it does not start. Its log says whether the scheduler took the proof.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import click

from dask_verify.engine.plugin import HINT
from dask_verify.engine.worker import VerifyWorker
from dask_verify.errors import InputError
from dask_verify.evidence.enrolment.keys import read_key
from dask_verify.preloading import Strict, file_read_by, or_exit
from dask_verify.protocol.domain import COORDINATOR, Identity

if TYPE_CHECKING:
    from distributed.worker import Worker


_log = logging.getLogger("distributed.dask_verify")


def _domain_key(path: str) -> Identity:
    identity = read_key(path)
    if identity.name == COORDINATOR:
        raise InputError(f"key file {path}: expected a domain's, got the coordinator's")
    return identity


@click.command(__name__, cls=Strict)
@click.option(
    "--domain-key",
    metavar="FILE",
    callback=file_read_by(_domain_key),
    help="The private key of the worker's domain, as `dask verify keygen` writes it.",
)
async def dask_setup(worker: Worker, domain_key: Identity) -> None:
    """Make the worker a member of the domain whose key this is."""
    with or_exit(__name__):
        _claim(worker, f"{HINT}{domain_key.name}")
        plugin = VerifyWorker(domain_key.name, domain_key.private_bytes())
        await worker.plugin_add(plugin, catch_errors=False)
        _log.info(
            "Domain %s: key %s..., to be proved when the scheduler asks",
            domain_key.name,
            domain_key.public_key.hex()[:16],
        )


def _claim(worker: Worker, resource: str) -> None:
    # Not set_resources(): that tells a scheduler which does not know the worker yet.
    resources = worker.state.total_resources
    others = [name for name in resources if name.startswith(HINT) and name != resource]
    if others:
        raise InputError(
            f"expected no other domain among the worker's resources than {resource!r}, got"
            f" {others}; leave them out of --resources"
        )
    resources[resource] = worker.state.available_resources[resource] = 1.0
