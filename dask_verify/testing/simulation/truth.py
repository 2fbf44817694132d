"""What is true of a simulated job: what an honest domain could have committed to."""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING

from dask_verify.protocol.domain import COORDINATOR
from dask_verify.protocol.messages import MAP, REDUCE, Task
from dask_verify.testing.simulation.partitions import PLAIN, Flavour, commit

if TYPE_CHECKING:
    from dask_verify.testing.simulation.world import Simulation


def untrue(world: Simulation) -> list[Task]:
    """Return accepted tasks whose commitment no honest domain could have made.

    There are none where the function gives something else each time: all of it is true.

    Parameters
    ----------
    world : Simulation
        The simulated job.

    Returns
    -------
    list of Task
    """
    if world.nature.random:
        return []
    found = [(task, world.job.accepted(task)) for task in world.tasks()]
    maps = [c.digest for task, c in found if c is not None and task.stage == MAP]
    read = world.plan.reduce_inputs(maps) if len(maps) == world.plan.maps else b""
    return [t for t, c in found if c is not None and c.digest not in _truths(world, t, read)]


def _truths(world: Simulation, task: Task, read: bytes) -> list[bytes]:
    """Return the digests of all that is true of a task, given the maps that are accepted."""
    wobbles = dict.fromkeys(world.nature.wobble(task, e) for e in world.environments.values())
    versions = ["", "changed "] if task.stage == MAP and world.changed else [""]
    read = read if task.stage == REDUCE and world.nature.linked else b""
    count = _true_count(world, task)
    flavours = (Flavour(v, w, read, count) for v, w in product(versions, wobbles))
    return [commit(world.plan, task, COORDINATOR, b"", flavour=f).digest for f in flavours]


def _true_count(world: Simulation, task: Task) -> int | None:
    """Return how many records a reduce partition's maps have, as they are accepted now."""
    if task.stage == MAP:
        return None
    known = all(source.root in world.by_root for source in world.sources)
    return world.reading.get(task.partition, PLAIN).consumed if known else None
