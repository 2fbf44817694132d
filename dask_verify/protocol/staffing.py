"""The domains of one job: how they stand, how many must agree, and who executes a task next.

* Trusted domains come first, in the order of the plan's rotation, each once.
* The coordinator may stand in for a missing domain, once; suspected domains come last.
* A partition that everybody has lost is made again: by trusted domains first, those who signed it
  before others.
* Exposed domains are asked for nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from dask_verify.protocol.board import Plan, TaskState, required
from dask_verify.protocol.domain import COORDINATOR
from dask_verify.protocol.messages import Instruction, Run, StandIn, Standing, Task

_ATTEMPTS = 2  #: times that one domain is asked for the same partition when its store was lost


class Crew:
    """Who may execute tasks.

    Parameters
    ----------
    plan : Plan

    Attributes
    ----------
    standing : dict of str to Standing
    reasons : dict of str to str
        Why a domain is not trusted any more: what was noted first.
    """

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self.standing = {d.name: Standing.TRUSTED for d in plan.domains}
        self.reasons: dict[str, str] = {}
        self._excusable: dict[str, str] = {}
        self._exposed: frozenset[str] = frozenset()

    @property
    def exposed(self) -> frozenset[str]:
        """Domains that are proven to have signed something wrong."""
        return self._exposed

    def quorum(self, state: TaskState) -> int:
        """Return how many distinct domains must agree on a task as things stand.

        Parameters
        ----------
        state : TaskState
            What is known about the task.

        Returns
        -------
        int
        """
        return self._quorum(state.doubted)

    @property
    def full_quorum(self) -> int:
        """How many must agree where something speaks against what a single one signed."""
        return self._quorum(doubted=True)

    def _quorum(self, doubted: bool) -> int:
        trusted = sum(s is Standing.TRUSTED for s in self.standing.values())
        return required(self._plan.policy, len(self.exposed), trusted, doubted)

    def suspect(self, domains: Iterable[str], reason: str, excusable: bool = False) -> None:
        """Note that domains were late, silent or failing; worse standings stay.

        Parameters
        ----------
        domains : iterable of str
            Names of the domains.
        reason : str
            Why.
        excusable : bool, optional
            Whether what they were given may explain it, if that turns out to be made up.
        """
        for domain in domains:
            if not excusable:
                self._excusable.pop(domain, None)
            if self.standing.get(domain) is Standing.TRUSTED:
                self.standing[domain] = Standing.SUSPECTED
                self.reasons[domain] = reason
                if excusable:
                    self._excusable[domain] = reason

    def pardon(self) -> list[str]:
        """Trust those again whom what they were given may excuse; return who they are.

        Returns
        -------
        list of str
        """
        pardoned = [d for d in self._excusable if self.standing[d] is Standing.SUSPECTED]
        for domain in pardoned:
            self.standing[domain] = Standing.TRUSTED
            del self.reasons[domain]
        return pardoned

    def recall(self) -> None:
        """Suspect those again who were pardoned: what they were given was right."""
        for domain, reason in self._excusable.items():
            if self.standing[domain] is Standing.TRUSTED:
                self.standing[domain] = Standing.SUSPECTED
                self.reasons[domain] = reason

    def forget(self) -> None:
        """Let those be trusted for good who were pardoned: what they were given was not right."""
        self._excusable.clear()

    def expose(self, domains: Iterable[str]) -> None:
        """Note that domains were proven wrong.

        Parameters
        ----------
        domains : iterable of str
            Names of the domains.
        """
        proven = dict.fromkeys(domains, Standing.EXPOSED)
        self.standing |= proven
        # Asked for several times at every event, and changed a few times in a job.
        self._exposed = self._exposed.union(proven)

    def acquit(self) -> None:
        """Take back every proof: it rested on what turned out to be false."""
        self.standing |= dict.fromkeys(self.exposed, Standing.SUSPECTED)
        self._exposed = frozenset()

    def strengthen(self, task: Task, state: TaskState, wanted: int) -> list[Instruction]:
        """Ask trusted domains until ``wanted`` executors may agree, or none is left.

        Parameters
        ----------
        task : Task
            The task.
        state : TaskState
            What is known about the task.
        wanted : int
            How many executors there should be.

        Returns
        -------
        list of Instruction
        """
        asked: list[Instruction] = []
        while state.strength(self.exposed) < wanted:
            domain = next(self._untried(task, state, Standing.TRUSTED), None)
            if domain is None:
                break
            asked.append(self.ask(task, state, domain))
        return asked

    def staff(self, task: Task, state: TaskState) -> list[Instruction]:
        """Ask whoever is left until the quorum may be reached; trusted domains first.

        Parameters
        ----------
        task : Task
            The task.
        state : TaskState
            What is known about the task.

        Returns
        -------
        list of Instruction
        """
        asked: list[Instruction] = self.strengthen(task, state, self.quorum(state))
        while state.strength(self.exposed) < self.quorum(state):
            suspected = self._untried(task, state, Standing.SUSPECTED)
            executor = COORDINATOR if self._may_stand_in(state) else next(suspected, None)
            if executor is None:
                break
            asked.append(self.ask(task, state, executor))
        return asked

    def restore(self, task: Task, state: TaskState) -> list[Instruction]:
        """Have an accepted partition made again whose last copy is lost; empty: by nobody.

        Parameters
        ----------
        task : Task
            The task.
        state : TaskState
            What is known about the task.

        Returns
        -------
        list of Instruction
        """
        signers = state.ballot.claimants([state.accepted or b""])
        order = dict.fromkeys((*signers, *self._plan.rotation(task)))
        # Who has lost it, or does not serve it, may be doing so on purpose; who is suspected may
        # let us wait for each of many such partitions.
        doubtful = {d for d in order if self.standing.get(d) is not Standing.TRUSTED}
        for domain in sorted(order, key=lambda name: (name in doubtful, name in state.lost)):
            usable = domain in self.standing and domain not in self.exposed
            if usable and state.tried.count(domain) < _ATTEMPTS:
                return [self.ask(task, state, domain)]
        # The coordinator may have lost its copy with its process, once.
        again = COORDINATOR in state.lost and state.tried.count(COORDINATOR) < _ATTEMPTS
        stands_in = again or COORDINATOR not in state.tried
        if self._plan.policy.stand_in and stands_in:
            return [self.ask(task, state, COORDINATOR)]
        return []

    def ask(
        self, task: Task, state: TaskState, executor: str, audit: bool = False
    ) -> Run | StandIn:
        """Ask somebody to execute a task, for its own sake or to audit it.

        Parameters
        ----------
        task : Task
            The task.
        state : TaskState
            What is known about the task.
        executor : str
            Name of a domain, or of the coordinator.
        audit : bool, optional
            Whether it checks another domain's commitment.

        Returns
        -------
        Run or StandIn
        """
        state.running.add(executor)
        state.tried.append(executor)
        if executor == COORDINATOR:
            return StandIn(task, state.inputs)
        return Run(task, executor, state.inputs, audit)

    def _untried(self, task: Task, state: TaskState, wanted: Standing) -> Iterator[str]:
        for domain in self._plan.rotation(task):
            if self.standing[domain] is wanted and domain not in state.tried:
                yield domain

    def _may_stand_in(self, state: TaskState) -> bool:
        return self._plan.policy.stand_in and COORDINATOR not in state.tried
