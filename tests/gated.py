"""A gated scheduler and a worker for each domain, from the shell, with everything they need."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from certified import Certified
from commands import PATIENCE, free_address, running, scheduler_command, worker_command
from distributed import Client

from dask_verify.engine.enrolment import enrol
from dask_verify.evidence.enrolment.keys import write_key
from dask_verify.evidence.enrolment.trust import Entry, Trust, save_trust
from dask_verify.protocol.domain import COORDINATOR, Identity


class Gated:
    """A folder with certificates, keys and a trust file, and processes that use them."""

    def __init__(self, folder: Path, names: list[str]) -> None:
        self.folder, self.names = folder, names
        self.certified = Certified(folder, names)
        identities = {name: Identity.generate(name) for name in (*names, COORDINATOR)}
        for name, identity in identities.items():
            write_key(folder / f"{name}.key", identity)
        entries = {name: Entry(name, i.public_key) for name, i in identities.items()}
        self.trust = folder / "domains.toml"
        save_trust(self.trust, Trust(tuple(entries[n] for n in names), entries[COORDINATOR]))
        self.address = free_address("tls")

    @contextmanager
    def running(self) -> Iterator[Gated]:
        with ExitStack() as stack:
            gate = (*self.certified.options(COORDINATOR), *self.certified.authorities())
            command = scheduler_command(self.address, self.trust, *gate)
            stack.enter_context(running(*command, log=self.folder / "scheduler.log"))
            for at, name in enumerate(self.names):
                # With a nanny and without.
                options = ("--name", name, "--no-nanny" if at else "--nanny")
                tls = self.certified.options(name)
                command = worker_command(self.address, self.folder / f"{name}.key", *options, *tls)
                stack.enter_context(running(*command, log=self.folder / f"{name}.log"))
            self.client = stack.enter_context(self._connected())
            self.beginning = self.log("scheduler")
            yield self

    def _connected(self) -> Client:
        security = self.certified.security(COORDINATOR)
        client = Client(self.address, security=security, timeout=PATIENCE, set_as_default=False)
        client.wait_for_workers(len(self.names), timeout=PATIENCE)
        enrol(client, trust=self.trust, coordinator=self.folder / f"{COORDINATOR}.key")
        return client

    def log(self, name: str) -> str:
        return (self.folder / f"{name}.log").read_text()
