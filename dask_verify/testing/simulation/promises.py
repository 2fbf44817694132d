"""What must hold of a simulated job, whatever its domains did: the promises of the design.

1. No wrong answer is accepted while at most ``faults`` domains are faulty. A sample may let one
   escape; that is counted apart, and only where not everything is audited.
2. No honest domain is exposed, not even for a moment.
3. Every job ends.
4. An honest domain that was never seen to fail is not even suspected, and a deterministic function
   is not called anything else.
5. Challenges come after the commitments that they test, and go to somebody else.
6. There is one verdict: an answer may be withdrawn, nothing else ever changes.
7. The same events lead to the same state.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from dask_verify.errors import JournalError
from dask_verify.protocol.board import TaskState
from dask_verify.protocol.messages import MAP, REDUCE, Standing, Task, Verdict
from dask_verify.protocol.minutes import Entry
from dask_verify.testing.simulation.replaying import snapshot
from dask_verify.testing.simulation.world import Simulation

#: Everything that must never happen, in the order of the report.
BROKEN = ("wrong", "blamed", "endless", "suspected", "miscalled", "order", "verdicts", "replay")
_REPLAYED = 16  #: one seed in so many is replayed from its events


@dataclass(frozen=True)
class Outcome:
    """What came of one job.

    Parameters
    ----------
    verdict : str
        Empty if there was none.
    broken : tuple of str
        Which promises it broke, as `BROKEN` names them.
    escaped : bool
        Whether a sample let a wrong answer through.
    divergences, exposed, suspected : int
    """

    verdict: str
    broken: tuple[str, ...]
    escaped: bool
    divergences: int
    exposed: int
    suspected: int


def play(world: Simulation) -> Outcome:
    """Run a job, let what is under way arrive after its verdict, and judge it both times.

    Parameters
    ----------
    world : Simulation
        The simulated job.

    Returns
    -------
    Outcome
    """
    verdict = world.run()
    broken, escaped, told = broken_promises(world), escape(world), len(world.events)
    world.linger()
    if len(world.events) > told:
        broken += broken_promises(world)
        escaped = escaped or escape(world)
    if world.seed % _REPLAYED == 0 and not replays(world):
        broken.append("replay")
    standing = list(world.job.standing.values())
    return Outcome(
        verdict.value if verdict is not None else "",
        tuple(name for name in BROKEN if name in broken),
        escaped,
        len(world.job.divergences),
        standing.count(Standing.EXPOSED),
        standing.count(Standing.SUSPECTED),
    )


def broken_promises(world: Simulation) -> list[str]:
    """Return what a job that is over has broken of its promises.

    Parameters
    ----------
    world : Simulation
        The simulated job.

    Returns
    -------
    list of str
    """
    log = world.job.minutes.log
    checks = {
        "wrong": wrong_answer(world) and not may_escape(world),
        "blamed": bool(blamed(world, log)),
        "endless": world.job.finished is None,
        "suspected": any(suspected(world)),
        "miscalled": miscalled(world),
        "order": any(misplaced(log)),
        "verdicts": not one_verdict(world),
    }
    return [name for name, failed in checks.items() if failed]


def replays(world: Simulation) -> bool:
    """Whether the same events, as a journal has them, bring another state to where this one is.

    Parameters
    ----------
    world : Simulation
        The simulated job.

    Returns
    -------
    bool
    """
    try:
        again, _ = world.taken_up()
    except JournalError:
        return False
    return snapshot(again) == snapshot(world.job)


def escape(world: Simulation) -> bool:
    """Whether a sample let a wrong answer through, as it may.

    Parameters
    ----------
    world : Simulation
        The simulated job.

    Returns
    -------
    bool
    """
    return wrong_answer(world) and may_escape(world)


def wrong_answer(world: Simulation) -> bool:
    """Whether the job has an answer, and something accepted in it is not true.

    Parameters
    ----------
    world : Simulation
        The simulated job.

    Returns
    -------
    bool
    """
    finished = world.job.finished
    return finished is not None and finished.verdict.answered and bool(world.wrong())


def may_escape(world: Simulation) -> bool:
    """Whether a wrong answer is within the odds: a sample, or auditors that collude.

    Parameters
    ----------
    world : Simulation
        The simulated job.

    Returns
    -------
    bool
    """
    policy = world.plan.policy
    everything = not hasattr(policy.audit, "rate") and policy.audit >= 1
    return policy.replicas == 1 and not (everything and len(world.behaviours) <= 1)


def blamed(world: Simulation, log: Sequence[Entry]) -> list[str]:
    """Return honest domains that were exposed at any time.

    Parameters
    ----------
    world : Simulation
        The simulated job.
    log : sequence of Entry
        The job's log.

    Returns
    -------
    list of str
    """
    ever = {entry.domain for entry in log if entry.what == "exposed"}
    return sorted((ever | world.job.exposed) - world.behaviours.keys())


def suspected(world: Simulation) -> Iterator[str]:
    """Yield honest domains that were suspected although nothing was to be seen of them.

    Parameters
    ----------
    world : Simulation
        The simulated job.

    Yields
    ------
    str
        One line about each.
    """
    alike = len({tuple(d.environment.items()) for d in world.plan.domains}) == 1
    if world.nature.random or not world.nature.pinned or world.nature.changes is not None:
        return
    for name, standing in world.job.standing.items():
        honest = name not in world.behaviours and name not in world.excused
        if honest and alike and standing is not Standing.TRUSTED:
            yield name


def miscalled(world: Simulation) -> bool:
    """Whether a deterministic function was called non-deterministic.

    Parameters
    ----------
    world : Simulation
        The simulated job.

    Returns
    -------
    bool
    """
    finished = world.job.finished
    called = finished is not None and finished.verdict is Verdict.NONDETERMINISTIC
    return called and not world.nature.random


def misplaced(log: Sequence[Entry]) -> Iterator[str]:
    """Yield challenges of what nobody had signed yet, or that went to a signer.

    Parameters
    ----------
    log : sequence of Entry
        The job's log.

    Yields
    ------
    str
        One line about each.
    """
    signers: dict[tuple[str, int, str, str], set[str]] = {}
    for entry in log:
        stage = MAP if entry.stage == "read" else entry.stage
        signed = signers.setdefault((stage, entry.partition, entry.inputs, entry.digest), set())
        if entry.what == "committed":
            signed.add(entry.domain)
        elif entry.what == "challenged" and (not signed or entry.domain in signed):
            yield f"{entry.stage} {entry.partition} {entry.domain}"


def one_verdict(world: Simulation) -> bool:
    """Whether a verdict came once, and changed in no other ways than it may.

    Parameters
    ----------
    world : Simulation
        The simulated job.

    Returns
    -------
    bool
    """
    said = world.finishes
    corrected = (Verdict.AGREED, Verdict.SAMPLED), (Verdict.CORRECTED,)
    withdrawn = (
        (Verdict.AGREED, Verdict.SAMPLED, Verdict.CORRECTED),
        (
            Verdict.INCONCLUSIVE,
            Verdict.NONDETERMINISTIC,
        ),
    )
    ways = (corrected, withdrawn)
    steps = pairwise(said)
    return all(any(a in before and b in after for before, after in ways) for a, b in steps)


def idle(world: Simulation) -> Iterator[Task]:
    """Yield tasks that are neither accepted nor disputed nor under way, while the job goes on.

    Parameters
    ----------
    world : Simulation
        The simulated job.

    Yields
    ------
    Task
        A task.
    """
    job = world.job
    if job.finished is not None:
        return
    unsure = any(job.accepted(Task(MAP, i)) is None for i in range(job.plan.maps))
    unsure = unsure or not job.audits.settled(MAP)
    for task in world.tasks():
        if task.stage == REDUCE and not job.reduce_inputs:
            continue
        if not _cared_for(job.state(task), task.stage == REDUCE and unsure):
            yield task


def _cared_for(state: TaskState, unsure: bool) -> bool:
    # What has failed or was late waits, but only for maps that it read to be made sure.
    waits = unsure and bool(state.failures or state.late)
    return state.accepted is not None or state.disputed or bool(state.running) or waits
