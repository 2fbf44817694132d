"""The coordinator's own part in a simulated job: arbitrations, recomputation, standing in.

It is honest, but no wiser than the real one: its source may have changed, its environment may
differ from a domain's, and its own runs differ where the function is not deterministic.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from dask_verify.core.seal import SealedPartition
from dask_verify.protocol.board import Plan
from dask_verify.protocol.dispute import (
    AskLeaves,
    AskNodes,
    Outcome,
    Query,
    Recompute,
    Recomputed,
    arbitrate,
)
from dask_verify.protocol.domain import COORDINATOR
from dask_verify.protocol.messages import MAP, Arbitrate, Finding
from dask_verify.protocol.weighing import weigh
from dask_verify.testing.simulation.partitions import PLAIN, Flavour, column, partition, poisoned

if TYPE_CHECKING:
    from dask_verify.testing.simulation.world import Simulation

_RUNS = 2  #: times that the referee computes


def arbitrated(world: Simulation, asked: Arbitrate) -> Finding:
    """Settle a divergence, or an auditor's objection.

    Parameters
    ----------
    world : Simulation
        The simulated job.
    asked : Arbitrate
        What to settle.

    Returns
    -------
    Finding
    """
    state = world.job.state(asked.task)
    if state.inputs != asked.inputs:
        # As the engine, where a coordinator that was gone is asked again: nothing is decided.
        failure = "the stage was started again"
        return Finding(asked.task, asked.inputs, asked.task.stage, failure=failure)
    ballot = state.ballot
    one, other = ballot.of(asked.one), ballot.of(asked.other)
    assert one is not None, "what is arbitrated was claimed"
    given = (asked.vouched, asked.answers)
    if asked.objection is not None:
        steps = weigh(asked.task, one, asked.objection, *given)
    else:
        assert other is not None, "a divergence has two sides"
        steps = arbitrate(asked.task, one, other, asked.recompute, *given)
    answer: Any = None
    try:
        while True:
            answer = _answer(world, steps.send(answer), asked.inputs)
    except StopIteration as stop:
        return _with_source(world, stop.value, asked)


def _with_source(world: Simulation, finding: Finding, asked: Arbitrate) -> Finding:
    """As the engine: say whether a source that changed may explain what nobody recomputes."""
    if asked.recompute:
        return finding
    return replace(finding, source_ok=asked.task.stage != MAP or world.source_ok)


def _answer(world: Simulation, query: Query, inputs: bytes) -> Any:
    if isinstance(query, Recompute):
        world.recomputed.append(query.unit)
        return _recomputed(world, query, inputs)
    request = query.request
    store = world.stores.get((query.task, request.domain))
    refuses = world.behaviours.get(request.domain) == "refusing" or request.domain in world.away
    if store is None or refuses or store.tree(request.tree)[0].root != request.root:
        return None
    return serve(store, query)


def _recomputed(world: Simulation, query: Recompute, inputs: bytes) -> Recomputed:
    task, given = query.task, query.unit_input
    if world.unfit(task) or (given is not None and poisoned(given)):
        return Recomputed((), failure="it raised")
    flavours = [world.flavour(task, COORDINATOR) for _ in range(_RUNS)]
    runs = tuple(recompute(world.plan, query, inputs, flavour=flavour) for flavour in flavours)
    return Recomputed(runs, source_ok=task.stage != MAP or world.source_ok)


def serve(store: SealedPartition, query: AskNodes | AskLeaves) -> Any:
    """Answer a question as an honest holder does.

    Parameters
    ----------
    store : SealedPartition
        What the holder keeps.
    query : AskNodes or AskLeaves
        The question.

    Returns
    -------
    object
    """
    if isinstance(query, AskLeaves):
        return store.open(query.request)
    return store.tree(query.request.tree)[0].descendants(query.level, query.index, query.depth)


def recompute(
    plan: Plan, query: Recompute, inputs: bytes, flavour: Flavour = PLAIN
) -> Outcome | tuple[bytes, ...]:
    """Recompute as an ideal referee does: a unit from its input, or the whole partition.

    Parameters
    ----------
    plan : Plan
        What the job is.
    query : Recompute
        The question.
    inputs : bytes
        Digest of what the task is assigned.
    flavour : Flavour, optional
        What makes this execution differ from others.

    Returns
    -------
    Outcome or tuple of bytes
    """
    if query.unit is None:
        own = partition(plan, query.task, flavour=flavour)
        claim = own.commit(plan.job, *query.task, COORDINATOR, inputs)
        hashes = own.input_tree.leaf_hashes if own.inputs else []
        return Outcome(claim, tuple(hashes), tuple(own.output_tree.leaf_hashes))
    return column(plan, query.task, query.unit, query.unit_input, flavour)
