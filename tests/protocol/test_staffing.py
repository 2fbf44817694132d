"""Who stands how, and who is asked next."""

from __future__ import annotations

from dask_verify.protocol.board import TaskState
from dask_verify.protocol.messages import MAP, Run, Standing, Task
from dask_verify.protocol.staffing import Crew
from dask_verify.testing.simulation.enrolment import make_plan

TASK = Task(MAP, 0)


def test_a_worse_standing_stays_and_so_does_the_first_reason() -> None:
    crew = Crew(make_plan("a", "b", "c"))
    crew.suspect(["a", "coordinator"], "late")
    crew.suspect(["a"], "late again")
    crew.expose(["b"])
    crew.suspect(["b"], "late")
    assert crew.standing == dict(
        zip("abc", (Standing.SUSPECTED, Standing.EXPOSED, Standing.TRUSTED), strict=True)
    )
    assert crew.reasons == {"a": "late"}
    assert crew.exposed == {"b"}


def test_trusted_domains_are_asked_each_once_and_exposed_ones_never() -> None:
    crew, state = Crew(make_plan("a", "b", "c", "d", replicas=2)), TaskState(b"inputs")
    crew.expose(["b"])
    crew.suspect(["c"], "late")
    assert crew.strengthen(TASK, state, 4) == [
        Run(TASK, "a", b"inputs"),
        Run(TASK, "d", b"inputs"),
    ]
    assert crew.strengthen(TASK, state, 4) == []
