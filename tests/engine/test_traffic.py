"""What other jobs of this process have under way, asked while they begin and end."""

from __future__ import annotations

import threading

from dask_verify.engine.traffic import Queued, Traffic

PLACE = ("tcp://10.0.0.1:8786", "alice")


class Other:
    def underway(self) -> dict[tuple[str, str], Queued]:
        return {PLACE: Queued(30.0, 120.0, 7.0)}


def test_what_several_jobs_have_at_one_place_adds_up() -> None:
    traffic, jobs = Traffic(), [Other(), Other(), Other()]
    for job in jobs:
        traffic.join(job)
    assert traffic.beside(jobs[0]) == {PLACE: Queued(30.0, 240.0, 7.0)}
    del jobs[1:], job
    assert traffic.beside(jobs[0]) == {}


def test_jobs_begin_while_others_look() -> None:
    """The lock is held while the jobs are listed: nobody joins in the middle of that."""
    traffic, entered, joined = Traffic(), threading.Event(), threading.Event()
    late = Other()

    def join() -> None:
        entered.set()
        traffic.join(late)
        joined.set()

    class Jobs(set):  # type: ignore[type-arg]
        def __iter__(self):  # type: ignore[no-untyped-def]
            threading.Thread(target=join).start()
            assert entered.wait(60)
            yield from ()
            assert not joined.is_set()

    traffic._jobs = Jobs()  # type: ignore[assignment]
    assert traffic.beside(None) == {}
    assert joined.wait(60)
    assert late in traffic._jobs
