"""What is shown of a scheduler's verified jobs: one dict, for page, JSON and metrics."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from dask_verify.engine.compat import processing
from dask_verify.engine.dashboard.noticeboard import Noticeboard

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from distributed.scheduler import Scheduler

VERSION = 1
DOMAINS = 200  #: that are shown; more is only possible where nobody enrolled any


def gather_facts(
    scheduler: Scheduler, workers: Mapping[str, Sequence[str]], board: Noticeboard, annotation: str
) -> dict[str, Any]:
    """Return what is known, as JSON-like values; docs/dashboard.md says what each field means.

    Parameters
    ----------
    scheduler : distributed.Scheduler
    workers : mapping of str to sequence of str
        Addresses of workers, by domain.
    board : Noticeboard
    annotation : str
        What verified tasks are annotated with.

    Returns
    -------
    dict
    """
    now, standing = time.time(), board.standing()
    domains = {
        name: {
            "workers": len(there),
            "in_flight": sum(processing(scheduler, address, annotation) for address in there),
            "standing": standing.get(name, "trusted"),
        }
        for name, there in sorted(workers.items())[:DOMAINS]
    }
    totals: dict[str, dict[str, int]] = {"partitions": {}, "divergences": {}, "audits": {}}
    for (what, label), number in sorted(board.totals.items()):
        totals[what][label] = number
    return {
        "version": VERSION,
        "now": now,
        "domains": domains,
        "jobs": [kept.to_dict(now) for kept in board.jobs()],
        "totals": totals,
    }
