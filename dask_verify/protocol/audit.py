"""Audits: what is recomputed of a committed partition, and by whom.

* Nothing is drawn before the commitment is in, and its digest is part of every draw.
* An auditor has not signed what it audits, and is never told what to expect.
* Each challenged unit has an auditor drawn for it alone, so that an accomplice covers for no other;
  all domains may be drawn that are not exposed, and nobody is drawn again for who does not answer.
* Whoever confirms a partition by producing it again was drawn for that: nobody volunteers.
* A check that nobody could make is not passed: whoever asks is told so.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from dask_verify.core.seal import Commitment
from dask_verify.protocol.board import Plan, TaskState
from dask_verify.protocol.domain import COORDINATOR, Domain
from dask_verify.protocol.estimates import least_total
from dask_verify.protocol.messages import MAP, READ, REDUCE, Asked, Challenge, Task
from dask_verify.protocol.policy import Detect
from dask_verify.protocol.sampling import Sampling, is_small
from dask_verify.protocol.staffing import Crew

UNITS, WHOLE = "units", "whole"


@dataclass
class Check:
    """One thing that has to be recomputed before a commitment counts as audited.

    Parameters
    ----------
    kind : {"read", "units", "whole"}
    units : tuple of int
    inputs : bytes
        Digest of what the task was assigned.
    digest : bytes
        Of the commitment.
    signers : frozenset of str
        Who had signed it when it was drawn; none of them audits it.
    auditor : str
        Who is on it now; empty: nobody.
    tried : list of str
        Who was asked before.
    holder : str
        Who is to open what is audited now; empty where nobody has to.
    outcome : str
        Empty while nothing is known; then ``"agreed"``, ``"contradicted"``, ``"unopened"``,
        ``"failed"`` or ``"moot"``.
    said, signature : bytes
        Digest of the auditor's answer, and its signature: what the auditor confirms in the end.
    """

    kind: str
    units: tuple[int, ...]
    inputs: bytes
    digest: bytes
    signers: frozenset[str]
    auditor: str = ""
    tried: list[str] = field(default_factory=list)
    holder: str = ""
    outcome: str = ""
    said: bytes = b""
    signature: bytes = b""


@dataclass(frozen=True)
class Audit:
    """One check, as the report shows it.

    Parameters
    ----------
    stage : str
        ``"read"``, ``"map"`` or ``"reduce"``.
    partition : int
    units : tuple of int
        Challenged units; with ``kind="whole"`` the partition was produced again for them.
    kind : str
    domains : tuple of str
        Who had signed the commitment.
    auditor : str
        Who recomputed last.
    outcome : str
        As in `Check`; ``"pending"`` while the job runs.
    commitment : str
        Digest of the challenged commitment, hexadecimal.
    inputs : str
        Digest of what the task was assigned, hexadecimal: draws can be made again from these two.
    """

    stage: str
    partition: int
    units: tuple[int, ...]
    kind: str
    domains: tuple[str, ...]
    auditor: str
    outcome: str
    commitment: str
    inputs: str = ""


class Audits:
    """The audits of one job.

    Parameters
    ----------
    plan : Plan
    crew : Crew

    Attributes
    ----------
    rate : float or None
        Chance of every unit; None until the size of the data tells.
    small : bool
        Whether the reduce stage is so small that it is audited whole.
    basis : int
        The number of units that the rate was derived from, where it depends on the size.
    """

    def __init__(self, plan: Plan, crew: Crew) -> None:
        self._plan, self._crew = plan, crew
        self._domains: dict[str, Domain] = {d.name: d for d in plan.domains}
        seed = plan.seed or bytes(32)
        self._sampling = Sampling(seed, plan.job, plan.maps, plan.reduces)
        self._draws = self._sampling.draws
        audit = plan.policy.audit
        self.rate: float | None = None if isinstance(audit, Detect) else float(audit)
        self._undrawn: dict[Task, TaskState] = {}
        self._open: dict[str, set[Task]] = {MAP: set(), REDUCE: set()}
        self._made: list[tuple[Task, Check]] = []
        self.small = False
        self.basis = 0

    # --- what has to be recomputed -----------------------------------------------------------

    def settled(self, stage: str) -> bool:
        """Whether nothing of a stage has to be recomputed any more.

        Parameters
        ----------
        stage : str
            Name of the stage.

        Returns
        -------
        bool
        """
        # Only maps have to wait for the size of the data, since it is theirs.
        return not self._open[stage] and not (stage == MAP and self._undrawn)

    def pending(self, task: Task) -> bool:
        """Whether something of a task has to be recomputed.

        Parameters
        ----------
        task : Task
            The task.

        Returns
        -------
        bool
        """
        return task in self._open[task.stage] or task in self._undrawn

    def accepted(self, task: Task, state: TaskState) -> None:
        """Draw the checks of an accepted commitment, or note that they have to wait.

        Parameters
        ----------
        task : Task
            The task.
        state : TaskState
            What is known about the task.
        """
        if not self._plan.policy.audited:
            return
        self._undrawn[task] = state
        if self.rate is not None:
            self._draw(task, self._undrawn.pop(task))

    def size_known(self, commitments: Sequence[Commitment]) -> list[Task]:
        """Take note of all accepted map commitments: fixes the rate, if it depends on the size.

        Returns the tasks that had to wait for it.

        The liars among the domains must not lower the rate by claiming more units than there are:
        the domain with the fewest units in a partition counts for all. So with what was emitted.

        Parameters
        ----------
        commitments : sequence of Commitment
            The accepted map commitments.

        Returns
        -------
        list of Task
        """
        policy, domains = self._plan.policy, len(self._plan.domains)
        if isinstance(policy.audit, Detect) and self.rate is None:
            self.basis = least_total(commitments, lambda c: c.units)
            self.rate = policy.audit.rate(self.basis, domains, policy.faults)
        emitted = least_total(commitments, lambda c: c.records_out)
        read = sum(c.records_in for c in commitments)
        self.small = is_small(emitted, read, self.rate or 0)
        waiting = list(self._undrawn)
        for task in waiting:
            self._draw(task, self._undrawn.pop(task))
        return waiting

    def withdrawn(self, task: Task, state: TaskState) -> None:
        """Drop the checks of a commitment that is not accepted any more.

        Parameters
        ----------
        task : Task
            The task.
        state : TaskState
            What is known about the task.
        """
        for check in state.checks:
            check.outcome = "moot"
        state.checks.clear()
        self._open[task.stage].discard(task)
        self._undrawn.pop(task, None)

    def _draw(self, task: Task, state: TaskState) -> None:
        digest = state.accepted or b""
        signers = frozenset(state.ballot.claimants([digest]))
        claim = state.ballot.of(digest)
        assert claim is not None, "what is accepted was claimed"
        if state.doubted or COORDINATOR in signers:
            return  # a full quorum, or the coordinator itself, has computed it
        for kind, units in self._kinds(task, claim.commitment, signers):
            if (digest, kind, units) not in state.passed:
                self._make(task, state, Check(kind, units, state.inputs, digest, signers))

    def _make(self, task: Task, state: TaskState, check: Check) -> None:
        state.checks.append(check)
        self._made.append((task, check))
        self._open[task.stage].add(task)

    def _kinds(
        self, task: Task, commitment: Commitment, signers: frozenset[str]
    ) -> list[tuple[str, tuple[int, ...]]]:
        number = commitment.units if task.stage == MAP else commitment.buckets
        what = (task, commitment.inputs, commitment.digest, number, bool(commitment.input_root))
        sample = self._sampling.sample(*what, self.rate or 0, self.small)
        if sample.whole:
            return [(WHOLE, sample.units)]
        parts = [(UNITS, part) for part in self._parts(task, commitment, signers, sample.units)]
        return [(READ, ())] * sample.read + parts

    def _parts(
        self,
        task: Task,
        commitment: Commitment,
        signers: frozenset[str],
        units: tuple[int, ...],
    ) -> list[tuple[int, ...]]:
        """Gather units by who is drawn to audit them."""
        names = sorted(self._domains.keys() - signers)
        exposed = np.array([name in self._crew.exposed for name in names])
        if not units or exposed.all():
            return [units] if units else []
        # As in the order of the draw: those who are exposed pass their turns on to the next.
        fit = np.flatnonzero(~exposed)
        turns = fit[np.searchsorted(fit, np.arange(len(names))) % len(fit)]
        drawn = self._draws.numbers(task, commitment.inputs, commitment.digest, units)
        whose, at = turns[drawn % np.uint64(len(names))], np.array(units)
        return [tuple(at[whose == name].tolist()) for name in np.unique(whose)]

    # --- by whom -----------------------------------------------------------------------------

    def pursue(self, task: Task, state: TaskState) -> list[Asked] | None:
        """See that somebody is on every check of a task; None if nobody may be asked for one.

        Parameters
        ----------
        task : Task
            The task.
        state : TaskState
            What is known about the task.

        Returns
        -------
        list of Asked or None
        """
        asked: list[Asked] = []
        for check in list(state.checks):
            if not self._confirmed(check, state) and not self._busy(check, state):
                self._assign(task, state, check)
                if not check.auditor:
                    return None
                asked += self._instruction(task, state, check)
            if confirmed := self._confirmed(check, state):
                check.auditor = confirmed
                self.close(task, state, check, "agreed")
        return asked

    def close(self, task: Task, state: TaskState, check: Check, outcome: str) -> None:
        """Take a check off the list.

        Parameters
        ----------
        task : Task
            The task.
        state : TaskState
            What is known about the task.
        check : Check
            The check.
        outcome : str
            How it ended.
        """
        check.outcome = outcome
        state.checks.remove(check)
        if outcome == "agreed":
            state.passed.add((check.digest, check.kind, check.units))
        if not state.checks:
            self._open[task.stage].discard(task)

    def unopened(self, task: Task, state: TaskState, check: Check) -> None:
        """Have the whole partition produced again: its holder does not open it.

        Parameters
        ----------
        task : Task
            The task.
        state : TaskState
            What is known about the task.
        check : Check
            The check.
        """
        self.close(task, state, check, "unopened")
        self._make(task, state, _whole(check, []))

    def passed_by(self, culprits: Collection[str]) -> list[tuple[Task, Check]]:
        """Return the checks that exposed auditors passed.

        Parameters
        ----------
        culprits : collection of str
            Who is proven wrong.

        Returns
        -------
        list of tuple of (Task, Check)
        """
        return [(t, c) for t, c in self._made if c.outcome == "agreed" and c.auditor in culprits]

    def reopen(self, task: Task, state: TaskState, check: Check) -> None:
        """Have the whole partition produced again: whoever passed a check of it is exposed.

        Nobody need hold any more what was opened then.

        Parameters
        ----------
        task : Task
            The task.
        state : TaskState
            What is known about the task.
        check : Check
            The check.
        """
        state.passed.discard((check.digest, check.kind, check.units))
        self._make(task, state, _whole(check, [check.auditor]))

    def _confirmed(self, check: Check, state: TaskState) -> str:
        """Return who was drawn for it and produced the partition again, with this result."""
        voters = state.ballot.voters(self._crew.exposed).get(check.digest, [])
        drawn = [name for name in (check.auditor, *check.tried) if name not in check.signers]
        return next((n for n in drawn if n in voters), "") if check.kind == WHOLE else ""

    def _busy(self, check: Check, state: TaskState) -> bool:
        if check.auditor in self._crew.exposed:
            return False
        return check.auditor in state.running if check.kind == WHOLE else bool(check.auditor)

    def decided_by_quorum(self, check: Check) -> bool:
        """Whether others must compute a partition where those who are drawn for it do not.

        Drawing another auditor, or one for all of it, would give an accomplice another chance.

        Parameters
        ----------
        check : Check
            The check.

        Returns
        -------
        bool
        """
        others = self._domains.keys() - check.signers - self._crew.exposed
        return self._plan.policy.replicas == 1 and bool(others)

    def _assign(self, task: Task, state: TaskState, check: Check) -> None:
        if check.auditor:
            check.tried.append(check.auditor)
        again = not self.decided_by_quorum(check)
        if check.kind == UNITS and not self._openers(state):
            check.kind, check.auditor = WHOLE if again else UNITS, ""
            if not again:
                return
        check.auditor = next(self._candidates(task, state, check), "")
        if not check.auditor and check.kind != WHOLE and again:
            # Nobody is left but those who have produced all of it again, or are about to.
            check.kind = WHOLE
            check.auditor = next(self._candidates(task, state, check), "")

    def _instruction(self, task: Task, state: TaskState, check: Check) -> list[Asked]:
        name = check.auditor
        if check.kind == WHOLE:
            known = name in state.running or name in state.ballot.claimants([check.digest])
            return [] if known else [self._crew.ask(task, state, name, audit=True)]
        check.holder = self._openers(state)[0] if check.kind == UNITS else ""
        what = (task, state.inputs, check.digest, check.kind, check.units)
        return [Challenge(*what, check.holder, name)]

    def _openers(self, state: TaskState) -> list[str]:
        return [name for name in state.holders(self._crew.exposed) if name != COORDINATOR]

    def _candidates(self, task: Task, state: TaskState, check: Check) -> Iterator[str]:
        """Whoever is drawn; then the coordinator; then others, unless a quorum is to decide."""
        unfit = {*check.signers, *check.tried, *self._crew.exposed}
        said = set(state.ballot.claimants([check.digest]))
        if check.kind == WHOLE:
            unfit |= set(state.tried) - state.running - said
        else:
            unfit |= said
        about = check.units[0] if check.kind == UNITS else check.kind
        drawn = (state.inputs, check.digest, self._domains.keys() - check.signers, about)
        order = self._draws.auditors(task, *drawn)
        order = [name for name in order if name not in self._crew.exposed]
        yield from (name for name in order[:1] if name not in unfit)
        if self._plan.policy.referee == "coordinator" and COORDINATOR not in unfit:
            yield COORDINATOR
        if not self.decided_by_quorum(check):
            yield from (name for name in order[1:] if name not in unfit)

    # --- answers -----------------------------------------------------------------------------

    def check_of(self, challenge: Challenge, state: TaskState) -> Check | None:
        """Return the check that a challenge belongs to; None if it is not asked any more.

        Parameters
        ----------
        challenge : Challenge
            The challenge.
        state : TaskState
            What is known about the task.

        Returns
        -------
        Check or None
        """
        for check in state.checks:
            asked = (check.digest, check.kind, check.units, check.holder, check.auditor)
            named = (challenge.digest, challenge.kind, challenge.units)
            if asked == (*named, challenge.holder, challenge.domain):
                return check
        return None

    # --- for the report ----------------------------------------------------------------------

    def checked(self, stage: str, digests: Collection[bytes], whole: bool = False) -> int:
        """Return how many units of a stage were recomputed and found as committed.

        Parameters
        ----------
        stage : {"read", "map", "reduce"}
        digests : collection of bytes
            Of the commitments that are accepted now: what others passed says nothing any more.
        whole : bool
            Count partitions that were recomputed whole.

        Returns
        -------
        int
        """
        accepted = {digest.hex() for digest in digests}
        agreed = [a for a in self.made if a.outcome == "agreed" and a.commitment in accepted]
        if stage == READ:
            return len({a.partition for a in agreed if a.stage == READ or _all_of(a, MAP)})
        if whole:
            return len({a.partition for a in agreed if _all_of(a, stage)})
        return len({(a.partition, unit) for a in agreed if a.stage == stage for unit in a.units})

    @property
    def checks(self) -> list[tuple[Task, Check]]:
        """Every check that was drawn, with its task, in the order in which it was."""
        return list(self._made)

    @property
    def made(self) -> list[Audit]:
        """Every check that was drawn, in the order in which it was."""
        return [
            Audit(
                READ if check.kind == READ else task.stage,
                task.partition,
                check.units,
                check.kind,
                tuple(sorted(check.signers)),
                check.auditor,
                check.outcome or "pending",
                check.digest.hex(),
                check.inputs.hex(),
            )
            for task, check in list(self._made)
        ]


def _all_of(audit: Audit, stage: str) -> bool:
    return audit.kind == WHOLE and audit.stage == stage


def _whole(check: Check, tried: list[str]) -> Check:
    """Return a fresh check of the same units that is settled by producing the partition again."""
    again = (WHOLE, check.units, check.inputs, check.digest, check.signers)
    return Check(*again, tried=tried)
