"""Whatever happens next: Hypothesis drives the simulator step by step, and shrinks what fails.

The seed of a simulation decides nothing here but what its own behaviours draw; what happens, and in
which order, is all Hypothesis's choice. After each step everything that must always hold is looked
at, not only at the end.
"""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from dask_verify.protocol.board import Plan
from dask_verify.protocol.job import JobState
from dask_verify.testing.simulation import ALL, Simulation, enrol, make_plan
from dask_verify.testing.simulation.mixes import NAMES
from dask_verify.testing.simulation.nature import Nature
from dask_verify.testing.simulation.promises import (
    blamed,
    idle,
    may_escape,
    miscalled,
    misplaced,
    one_verdict,
    replays,
    wrong_answer,
)

_STEPS = 30
_EXAMPLES = 60

ENVIRONMENTS = ({}, {}, {"rounding": "fused"})
SOURCES = st.sampled_from([Nature(), Nature(), Nature(pinned=False), Nature(changes=3)])


@st.composite
def plans(draw: st.DrawFn) -> Plan:
    faults = draw(st.integers(1, 2))
    replicas = draw(st.sampled_from([1, faults + 1]))
    names = NAMES[: draw(st.integers(max(2, replicas), 5))]
    domains = tuple(
        domain
        for name in names
        for domain in enrol(name, environment=draw(st.sampled_from(ENVIRONMENTS)), remember=True)
    )
    return make_plan(
        domains=domains,
        maps=draw(st.integers(0, 2)),
        reduces=draw(st.integers(1, 2)),
        unit_records=draw(st.sampled_from([0, 5])),
        faults=faults,
        replicas=replicas,
        audit=draw(st.sampled_from([0.5, 1.0])) if replicas == 1 else 0.0,
        referee=draw(st.sampled_from(["coordinator", "domains"])),
        stand_in=draw(st.booleans()),
    )


class Steps(RuleBasedStateMachine):
    """A job to which anything may happen that the world has to offer."""

    world: Simulation

    @initialize(plan=plans(), nature=SOURCES, data=st.data())
    def begin(self, plan: Plan, nature: Nature, data: st.DataObject) -> None:
        names = [domain.name for domain in plan.domains]
        most = min(plan.policy.faults, len(names))
        faulty = data.draw(st.lists(st.sampled_from(names), unique=True, max_size=most))
        behaviours = {name: data.draw(st.sampled_from(ALL)) for name in faulty}
        self.world = Simulation(plan, behaviours, seed=0, nature=nature)
        self.world.start()

    def _under_way(self) -> bool:
        return bool(self.world.pending)

    def _one(self, data: st.DataObject) -> int:
        return data.draw(st.integers(0, len(self.world.pending) - 1))

    @precondition(_under_way)
    @rule(data=st.data())
    def deliver(self, data: st.DataObject) -> None:
        self.world.deliver(self._one(data))

    @precondition(_under_way)
    @rule(data=st.data())
    def deliver_another(self, data: st.DataObject) -> None:
        """Most of what happens is that a message arrives."""
        self.world.deliver(self._one(data))

    @precondition(_under_way)
    @rule(data=st.data())
    def duplicate(self, data: st.DataObject) -> None:
        self.world.duplicate(self._one(data))

    @precondition(_under_way)
    @rule(data=st.data())
    def lose(self, data: st.DataObject) -> None:
        self.world.lose(self._one(data))

    @rule(at=st.integers(0, 4))
    def crash(self, at: int) -> None:
        self.world.crash(self._name(at))

    @rule(at=st.integers(0, 4))
    def leave(self, at: int) -> None:
        self.world.leave(self._name(at))

    @precondition(lambda self: bool(self.world.away))
    @rule()
    def come_back(self) -> None:
        self.world.come_back(self.world.away[0])

    @rule()
    def lose_copy(self) -> None:
        self.world.lose_copy()

    @rule()
    def restart(self) -> None:
        self.world.restart()

    @precondition(lambda self: not self.world.pending)
    @rule()
    def stir(self) -> None:
        self.world.stir()

    def _name(self, at: int) -> str:
        domains = self.world.plan.domains
        return domains[at % len(domains)].name

    @invariant()
    def nobody_honest_is_blamed(self) -> None:
        if hasattr(self, "world"):
            assert not blamed(self.world, self.world.job.minutes.log)
            assert not miscalled(self.world)

    @invariant()
    def nothing_wrong_is_accepted(self) -> None:
        if hasattr(self, "world"):
            assert not wrong_answer(self.world) or may_escape(self.world)
            if self.world.plan.policy.replicas > 1:
                assert not self.world.wrong()

    @invariant()
    def challenges_test_what_others_have_signed(self) -> None:
        if hasattr(self, "world"):
            assert not list(misplaced(self.world.job.minutes.log))

    @invariant()
    def there_is_one_verdict(self) -> None:
        if hasattr(self, "world"):
            assert one_verdict(self.world)

    @invariant()
    def every_task_is_cared_for(self) -> None:
        if hasattr(self, "world"):
            assert not list(idle(self.world))

    def teardown(self) -> None:
        """Whatever has happened, the job ends; and its events tell all of it."""
        if hasattr(self, "world"):
            while self.world.job.finished is None and self.world.stir():
                self.world.deliver(0)
            assert self.world.job.finished is not None
            assert replays(self.world)
            self.nobody_honest_is_blamed()
            self.nothing_wrong_is_accepted()


SETTINGS = settings(
    max_examples=_EXAMPLES,
    stateful_step_count=_STEPS,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=list(HealthCheck),
)


def test_all_promises_hold_at_every_step() -> None:
    run_state_machine_as_test(Steps, settings=SETTINGS)


@pytest.mark.soak
@pytest.mark.timeout(600)
def test_all_promises_hold_at_every_step_of_many_jobs() -> None:
    many = settings(SETTINGS, max_examples=1500, stateful_step_count=50, derandomize=False)
    run_state_machine_as_test(Steps, settings=many)


class Few(RuleBasedStateMachine):
    """An honest job of two domains, whose messages arrive or are lost."""

    def __init__(self) -> None:
        super().__init__()
        self.world = Simulation(make_plan("alice", "bob", replicas=2), {}, seed=0)
        self.world.start()

    @rule()
    def deliver(self) -> None:
        if self.world.stir():
            self.world.deliver(0)

    @precondition(lambda self: self.world.pending)
    @rule()
    def lose(self) -> None:
        self.world.lose(0)

    @invariant()
    def nobody_honest_is_blamed(self) -> None:
        assert not blamed(self.world, self.world.job.minutes.log)


def test_what_breaks_is_found_and_shrunk(monkeypatch: pytest.MonkeyPatch) -> None:
    """A job that exposes whoever is late: to lose one message, and to note it, shows that."""

    def blame_the_late(state: JobState, task: object, held: object, name: str, why: str) -> None:
        state._crew.expose([name])

    few = settings(SETTINGS, stateful_step_count=10, print_blob=False)
    run_state_machine_as_test(Few, settings=few)
    monkeypatch.setattr(JobState, "_lost", blame_the_late)
    with pytest.raises(AssertionError) as caught:
        run_state_machine_as_test(Few, settings=few)
    script = "\n".join(caught.value.__notes__)
    assert (script.count("state.lose()"), script.count("state.deliver()")) == (1, 1), script
