"""How a domain that is asked to run a task answers: each way of being faulty has a name.

What a liar claims is really sealed and really signed: nothing but the key tells it from the truth.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from dask_verify.core.seal import OUTPUT, Commitment, asked
from dask_verify.protocol.messages import (
    MAP,
    Committed,
    Event,
    Failed,
    Late,
    Run,
    ServedWrong,
    Unserved,
)
from dask_verify.protocol.quorum import sign
from dask_verify.protocol.serving import Reply, answers, convicts, unwrap
from dask_verify.testing.simulation.enrolment import identity
from dask_verify.testing.simulation.partitions import wire
from dask_verify.testing.simulation.pending import Pending

if TYPE_CHECKING:
    from dask_verify.testing.simulation.world import Simulation

HONEST = "honest"
#: Sign another result: a lie of their own, in all ways in which a commitment can be wrong.
LIARS = ("wrong", "misread", "misshapen", "forged_root", "one", "some", "all", "made_up",
         "miscount", "mapper", "poison")  # fmt: skip
#: Tell one lie together, and cover for each other in audits.
COLLUDERS = ("colluding", "covering")
EQUIVOCATORS = ("equivocating", "recommits", "flaky")
SILENT = ("silent", "failing", "garbage", "fewer")
SLOW = ("slow", "returning")
#: Fail or lie where they are to show what they committed to.
SERVERS = ("lost_store", "serves_wrong", "refusing", "dodging")
#: Use messages against others, in vain.
ACCUSERS = ("forging", "accusing")
#: Compute honestly, and botch audits.
AUDITORS = ("frames", "lazy", "silent_auditor", "failing_auditor", "garbage_auditor")
ALL = (*LIARS, *COLLUDERS, *EQUIVOCATORS, *SILENT, *SLOW, *SERVERS, *ACCUSERS, *AUDITORS)

#: Never sign anything false, so they can be suspected at most.
HARMLESS = frozenset({*SILENT, *SLOW, *ACCUSERS, "lost_store", "silent_auditor",
                      "failing_auditor", "garbage_auditor"})  # fmt: skip
#: What an auditor does who is asked to produce a whole partition again.
_AUDITING = {"frames": "wrong", "lazy": "forged_root", "silent_auditor": "silent",
             "failing_auditor": "failing", "garbage_auditor": "garbage"}  # fmt: skip
#: The lie that is told by a behaviour whose name is not that of its lie.
_LIES = {"dodging": "one", "mapper": "one", "covering": "all"}
_TRUTHFUL = {HONEST, "slow", "returning", "lost_store", "serves_wrong", "forging", "accusing"}
_TOGETHER = ("colluding", "refusing", "covering")


def behave(world: Simulation, run: Run) -> list[Pending]:
    """Return what comes of asking a domain to run a task.

    Parameters
    ----------
    world : Simulation
        The simulated job.
    run : Run
        What is asked of it.

    Returns
    -------
    list of Pending
    """
    behaviour = world.behaviours.get(run.domain, HONEST)
    if behaviour in AUDITORS:
        behaviour = _AUDITING[behaviour] if run.audit else HONEST
    if behaviour == "flaky":
        behaviour = world.random.choice(["wrong", "silent", "failing", HONEST, "garbage"])
    late = Late(run.task, run.domain, run.inputs, "late")
    if behaviour == HONEST and world.unfit(run.task):
        world.excused[run.domain] = "failed on poison"
        failed = Failed(run.task, run.domain, run.inputs, "it raised")
        return [Pending(late if world.hangs(run.inputs) else failed)]
    if behaviour == "returning":
        return [Pending(late, (claim(world, run),))]
    if behaviour == "slow":
        return [Pending(late), Pending(claim(world, run))]
    return [Pending(event) for event in _said(world, run, behaviour, late)]


def _said(world: Simulation, run: Run, behaviour: str, late: Late) -> list[Event]:
    unserved = Unserved(run.task, run.domain)
    match behaviour:
        case "silent":
            return [late]
        case "failing":
            return [Failed(run.task, run.domain, run.inputs, "it raised")]
        case "garbage":
            return [_committed(run, world.random.randbytes(40))]
        case "equivocating":
            lies = [claim(world, run, "wrong", str(n)) for n in range(3)]
            return [*lies, claim(world, run)]
        case "lost_store":
            return [claim(world, run), unserved]
        case "recommits":
            again = world.job.state(run.task).tried.count(run.domain) > 1
            lie = world.random.choice(["one", "all", HONEST]) if again else "one"
            return [claim(world, run, lie), unserved]
        case "forged_root" if world.plan.policy.replicas == 1:
            return [claim(world, run, behaviour), unserved]
        case "serves_wrong":
            claimed = claim(world, run)
            own = Commitment.from_bytes(unwrap(claimed.wire)[0])
            return [claimed, ServedWrong(run.task, run.domain, served_wrong(own))]
        case "forging":
            return [claim(world, run), *_forged(world, run)]
        case "accusing":
            return [claim(world, run), *_accusation(world, run)]
    return [claim(world, run, behaviour)]


def claim(world: Simulation, run: Run, behaviour: str = HONEST, salt: str = "") -> Committed:
    """Return a signed commitment, and keep what its domain will serve.

    Parameters
    ----------
    world : Simulation
        The simulated job.
    run : Run
        What is asked of it.
    behaviour : str, optional
        How the domain behaves.
    salt : str, optional
        Makes the result a lie, and one that differs from lies with another salt; empty for the
        truth.

    Returns
    -------
    Committed
    """
    if behaviour in ("mapper", "poison") and run.task.stage != MAP:
        behaviour = HONEST
    lie = _LIES.get(behaviour, behaviour)
    if behaviour not in _TRUTHFUL and not salt:
        # Colluders tell one lie; every other liar has a lie of its own.
        salt = "lie" if behaviour in _TOGETHER else run.domain
    if behaviour == "poison":
        salt = f"poison {run.domain}"
    flavour = world.flavour(run.task, run.domain)
    world.keep(run.task, run.domain, world.partition(run.task, salt, lie, flavour))
    said = (run.task, run.domain, run.inputs, salt, lie, flavour)
    return _committed(run, wire(world.plan, *said))


def _committed(run: Run, sent: bytes) -> Committed:
    return Committed(run.task, run.domain, run.inputs, sent)


def _victim(world: Simulation, run: Run) -> str:
    names = [d.name for d in world.plan.domains if d.name != run.domain]
    return world.random.choice(names) if names else run.domain


def _forged(world: Simulation, run: Run) -> list[Event]:
    """Return a message that pretends to be another domain's: it can only look unanswered."""
    victim = _victim(world, run)
    world.excused[victim] = "forged"
    lie = world.commit(run.task, victim, run.inputs, "forged", "wrong")
    return [Committed(run.task, victim, run.inputs, sign(identity(run.domain), lie))]


def _accusation(world: Simulation, run: Run) -> list[Event]:
    """Return what becomes of evidence against another that its accuser made up: nothing."""
    victim = _victim(world, run)
    theirs = world.commit(run.task, victim, run.inputs)
    evidence = served_wrong(theirs, by=run.domain)
    request = asked(theirs, OUTPUT, 0, 1, victim)
    domain = next(d for d in world.plan.domains if d.name == victim)
    guilty = convicts(evidence, request, domain)
    return [ServedWrong(run.task, victim, evidence)] if guilty and victim != run.domain else []


def served_wrong(commitment: Commitment, by: str = "") -> bytes:
    """Return what a domain signs that opens something else than it committed to.

    Parameters
    ----------
    commitment : Commitment
        The commitment.
    by : str, optional
        Who signs it; empty for the domain itself.

    Returns
    -------
    bytes
    """
    request = asked(commitment, OUTPUT, 0, 1, commitment.domain)
    opening = replace(request, leaves=(b"something else",))
    reply = Reply.from_bytes(answers([opening], identity(by or commitment.domain)), [request])
    return reply.evidence(0)
