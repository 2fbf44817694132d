"""Who is to blame for a divergence: one function for each rule, over plain values.

1. A referee whose own runs differ, or contradict the coordinator itself or more domains than may
   be faulty, has found non-determinism: nobody is to blame.
2. An arbitration that could not be made blames nobody.
3. Where nobody recomputed, only the signatures of ``faults + 1`` other domains blame.
4. A source that changed, or was not pinned, makes a misread suspicious at most: whoever decides.
5. Nobody is blamed by the recomputation or the votes of another environment.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass

from dask_verify.protocol.board import Plan, TaskState, same_environment
from dask_verify.protocol.domain import COORDINATOR
from dask_verify.protocol.messages import MAP, Finding
from dask_verify.protocol.quorum import Claim, honest_disagree


@dataclass(frozen=True)
class Ruling:
    """What follows from one finding.

    Parameters
    ----------
    settled : str
        By what, as the report says it.
    culprits : tuple of str
        Domains to be exposed.
    suspects : tuple of str
        Domains to be suspected.
    voting : str
        Why the referee decides no more about this task; empty if it still may.
    nondeterministic : bool
        Whether the job ends here.
    spared : tuple of str
        Domains that the referee contradicts, which something else may explain.
    """

    settled: str
    culprits: tuple[str, ...] = ()
    suspects: tuple[str, ...] = ()
    voting: str = ""
    nondeterministic: bool = False
    spared: tuple[str, ...] = ()


def rule(finding: Finding, state: TaskState, plan: Plan, exposed: Collection[str]) -> Ruling:
    """Apply the rules, in order, to what an arbitration found.

    Parameters
    ----------
    finding : Finding
        What the arbitration found.
    state : TaskState
        What is known about the task.
    plan : Plan
        What the job is.
    exposed : collection of str
        Domains that are exposed.

    Returns
    -------
    Ruling
    """
    if not finding.stable:
        return _unstable(finding)
    if finding.failure:
        return _withheld("referee")
    if not finding.wrong and not finding.liars:
        return _undecided(finding, state, plan, exposed)
    return _by_referee(finding, state, plan, exposed)


def _withheld(why: str, suspects: Iterable[str] = (), spared: Iterable[str] = ()) -> Ruling:
    return Ruling(f"withheld: {why}", (), tuple(suspects), voting=why, spared=tuple(spared))


def _unstable(finding: Finding) -> Ruling:
    """Rule 1; but runs that read differently from a source that changed prove nothing."""
    if finding.cause == "read" and not finding.source_ok:
        return _withheld("source")
    return Ruling("withheld: the referee's runs differ", nondeterministic=True)


def _undecided(finding: Finding, state: TaskState, plan: Plan, exposed: Collection[str]) -> Ruling:
    """Rules 3 and 4: votes blame nobody for having read something else from another source."""
    culprits = outvoted(state, plan, exposed, finding.source_ok)
    if not culprits and not finding.source_ok and not _read_alike(state.ballot.live(exposed)):
        return _withheld("source")
    return by_votes(culprits)


def _read_alike(claims: Collection[Claim]) -> bool:
    """Whether what was read cannot explain why claims on a map partition differ."""
    if any(c.commitment.stage != MAP for c in claims):
        return True
    reads = {(c.said.records_in, c.said.units, c.said.input_root) for c in claims}
    return len(reads) == 1 and all(root for _, _, root in reads)


def by_votes(culprits: Collection[str]) -> Ruling:
    """Apply rule 3 to those whom enough others contradict.

    Parameters
    ----------
    culprits : collection of str
        Who is proven wrong.

    Returns
    -------
    Ruling
    """
    if culprits:
        return Ruling("votes", tuple(culprits))
    return Ruling("withheld: contradicted by too few domains of the same environment")


def _by_referee(finding: Finding, state: TaskState, plan: Plan, exposed: Collection[str]) -> Ruling:
    """Rules 4, 5 and 1, in this order: the first two may explain what the last would end."""
    said = [*state.ballot.claimants(finding.wrong), *sorted(finding.liars)]
    wrong = [d for d in dict.fromkeys(said) if d not in exposed]
    if finding.read and not finding.source_ok:
        return _withheld("source", wrong, wrong)
    blamed = [d for d in wrong if same_environment(d, COORDINATOR, plan)]
    if COORDINATOR in blamed:
        return Ruling("withheld: the coordinator contradicts itself", nondeterministic=True)
    if len({*exposed, *blamed}) > plan.policy.faults and blamed:
        return Ruling("withheld: too many domains contradicted", nondeterministic=True)
    if wrong and not blamed:
        return _withheld("environment", spared=wrong)
    spared = tuple(d for d in wrong if d not in blamed)
    settled = "referee" if blamed else "exposed elsewhere"
    return Ruling(settled, tuple(blamed), (), "environment" if spared else "", spared=spared)


def outvoted(
    state: TaskState, plan: Plan, exposed: Collection[str], source_ok: bool = True
) -> list[str]:
    """Return whom ``faults + 1`` other domains of its own environment signed the contrary of.

    The coordinator is no such domain: it signs nothing, and one run of its own proves nothing.
    Where the source changed, only those are meant who signed that they read the same.

    Parameters
    ----------
    state : TaskState
        What is known about the task.
    plan : Plan
        What the job is.
    exposed : collection of str
        Domains that are exposed.
    source_ok : bool, optional
        Whether the sources are as they were when the job started.

    Returns
    -------
    list of str
    """
    accepted = state.ballot.of(state.accepted)
    if accepted is None:
        return []
    agreed = [d for d in state.ballot.voters(exposed).get(accepted.digest, ()) if d != COORDINATOR]
    culprits = []
    for claim in state.ballot.live(exposed):
        differs = claim.digest != state.accepted and claim.domain != COORDINATOR
        if differs and (source_ok or _read_alike((accepted, claim))):
            peers = [d for d in agreed if same_environment(d, claim.domain, plan)]
            if len(peers) > plan.policy.faults:
                culprits.append(claim.domain)
    return list(dict.fromkeys(culprits))


def overruled(state: TaskState, plan: Plan, exposed: Collection[str]) -> list[str]:
    """Return the auditors whom ``faults + 1`` others of their environment signed the contrary of.

    What was read is left out: a source that changed in between may explain that.

    Parameters
    ----------
    state : TaskState
        What is known about the task.
    plan : Plan
        What the job is.
    exposed : collection of str
        Domains that are exposed.

    Returns
    -------
    list of str
    """
    agreed = list(state.ballot.voters(exposed).get(state.accepted or b"", ()))
    culprits = []
    for objection in state.objections:
        auditor = objection.answer.domain
        if objection.digest != state.accepted or objection.unit is None or auditor in exposed:
            continue
        others = [d for d in agreed if d not in (auditor, COORDINATOR)]
        peers = [d for d in others if same_environment(d, auditor, plan)]
        if auditor != COORDINATOR and len(peers) > plan.policy.faults:
            culprits.append(auditor)
    return list(dict.fromkeys(culprits))


def deadlock(state: TaskState, plan: Plan, exposed: Collection[str]) -> str:
    """Return why a task that nobody can add to any more has no agreed answer.

    ``"nondeterministic"`` only where honest domains of one environment must have differed;
    ``"error"`` only where the coordinator itself has seen the function fail.

    Parameters
    ----------
    state : TaskState
        What is known about the task.
    plan : Plan
        What the job is.
    exposed : collection of str
        Domains that are exposed.

    Returns
    -------
    str
    """
    sizes = [len(names) for names in state.ballot.voters(exposed).values()]
    claimants = state.ballot.domains(exposed)
    differ = honest_disagree(sizes, len(claimants), plan.policy.faults - len(exposed))
    if differ and not state.voting:
        alike = all(same_environment(d, claimants[0], plan) for d in claimants)
        return "nondeterministic" if alike else "environment"
    if COORDINATOR in state.failures:
        return "error"
    return state.voting or ("unanswered" if state.late else "domains")
