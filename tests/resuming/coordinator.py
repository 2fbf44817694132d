"""A coordinator in a process of its own, for others to kill: starts a job and says how far it is.

``python coordinator.py FOLDER STAGE NUMBER``: as soon as so many partitions of a stage are accepted
it prints a line, and waits to be killed.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import cloudpickle
from distributed import Client

from dask_verify import verified_map_reduce
from dask_verify.engine.enrolment import enrol
from dask_verify.evidence.enrolment.trust import load_trust
from dask_verify.protocol.domain import COORDINATOR, Identity


def connected(folder: Path, addresses: dict[str, str]) -> Any:
    """Return the client of a shared scheduler, or a dict of clients, all of them enrolled."""
    key = Identity(COORDINATOR, (folder / "key").read_bytes())
    trust = load_trust(folder / "trust.toml")
    clients = {}
    for name, address in addresses.items():
        clients[name] = Client(address, set_as_default=False)
        domains = [d for d in trust.domains if name in (d.name, "")]
        enrol(clients[name], domains, coordinator=key)
    return clients.get("", clients)


def main(folder: Path, stage: str, number: int) -> None:
    """Run a job until enough of it is accepted."""
    what = json.loads((folder / "job.json").read_text())
    given = cloudpickle.loads((folder / "job.pickle").read_bytes())
    client = connected(folder, what["addresses"])
    job = verified_map_reduce(**given, client=client, journal=folder / "journal")
    changed = job._driver.changed
    with changed:
        reached = changed.wait_for(lambda: job.report.progress[stage][0] >= number, timeout=60)
    print("reached" if reached else "not reached", flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]))
