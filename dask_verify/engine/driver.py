"""Carries one job: turns instructions into Dask tasks and answers into events. Decides nothing.

One thread owns the protocol's state; everything that blocks (arbitration, the coordinator's own
computing, relays) runs beside it and posts events back.
"""

from __future__ import annotations

import contextlib
import queue
import tempfile
import threading
import traceback
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from distributed import Future
from distributed.scheduler import KilledWorker

from dask_verify.core.canonical import decode
from dask_verify.engine.arbiter import Arbiter
from dask_verify.engine.dispatch import Dispatcher, Flight, Landing, results
from dask_verify.engine.graphs import Upstream
from dask_verify.engine.launch import Launcher
from dask_verify.engine.pool import DomainPool
from dask_verify.engine.reader import Reader, UnservedError
from dask_verify.engine.store import Store
from dask_verify.engine.tasks import COMMITTED, FAILED, MISSING
from dask_verify.engine.work import Shipped, Work
from dask_verify.errors import DecodingError
from dask_verify.protocol.board import Plan
from dask_verify.protocol.domain import COORDINATOR
from dask_verify.protocol.job import JobState
from dask_verify.protocol.messages import (
    MAP,
    REDUCE,
    Accepted,
    Arbitrate,
    Committed,
    Event,
    Failed,
    Finished,
    Instruction,
    Late,
    Run,
    StandIn,
    StartReduce,
    Task,
)

_EVIDENCE = 8  #: complaints of one task that are looked into
_TICK = 0.25  #: seconds between looks at deadlines
_LOCAL_MEMORY = 256 << 20  #: bytes of the coordinator's own partitions kept in memory
_BESIDE = 4  #: blocking operations at the same time

Action = Callable[[], None]


class Driver:
    """Runs one job to its verdict, then serves its results until it is closed.

    Parameters
    ----------
    plan : Plan
    work : Work
    shipped : Shipped
    source : Upstream
    pool : DomainPool
    floor : float
        Least seconds before a task counts as late where the policy names no deadline.
    """

    def __init__(
        self,
        plan: Plan,
        work: Work,
        shipped: Shipped,
        source: Upstream,
        pool: DomainPool,
        floor: float,
    ) -> None:
        self.plan, self.work, self.pool = plan, work, pool
        self.state = JobState(plan)
        self.crash = ""
        self.decided = threading.Event()
        self.changed = threading.Condition()
        self.shipped = shipped
        self._folder = tempfile.TemporaryDirectory(
            prefix="dask-verify-job-", ignore_cleanup_errors=True
        )
        self.local = Store(self._folder.name, _LOCAL_MEMORY)
        self._events: queue.SimpleQueue[Action | Landing | None] = queue.SimpleQueue()
        self._executor = ThreadPoolExecutor(_BESIDE, thread_name_prefix="dask-verify")
        self.reader = Reader(
            domains={d.name: d for d in plan.domains},
            pool=pool,
            local=self.local,
            holders=self.holders,
            post=self.post,
        )
        self._launcher = Launcher(self, source, shipped)
        self._dispatcher = Dispatcher(
            pool, plan.policy.window, plan.policy.deadline, floor, self._launch, self._wanted
        )
        self.arbiter = Arbiter(
            plan, work, shipped, source, self.state, self.reader, self._launcher.ranges, self.post
        )
        self._parked: list[tuple[Task, Action]] = []
        self._dropped: frozenset[str] = frozenset()
        self._closed = False
        self._thread = threading.Thread(target=self._loop, name="dask-verify-job", daemon=True)

    # --- from other threads --------------------------------------------------------------------

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def post(self, event: Event) -> None:
        """Hand an event to the protocol."""
        self._events.put(lambda: self._carry_out(self.state.handle(event)))

    def holders(self, task: Task) -> list[str]:
        """Return who can serve an accepted task."""
        with self.changed:
            return self.state.holders(task)

    def catch_up(self, timeout: float) -> None:
        """Wait until the protocol has heard everything that was posted before."""
        reached = threading.Event()
        self._events.put(reached.set)
        if self._thread.is_alive():
            reached.wait(timeout)

    def cancel(self) -> None:
        """End the job without a verdict and forget everything about it."""
        self._events.put(None)

    def close(self) -> None:
        """Release what the job holds here and on the workers; waits for the job's thread."""
        self.cancel()
        if self._thread.is_alive() and threading.current_thread() is not self._thread:
            self._thread.join(timeout=30)

    # --- the loop ------------------------------------------------------------------------------

    def _loop(self) -> None:
        try:
            self._carry_out(self.state.start())
            while self._step():
                continue
        except Exception:
            # A defect here must end the job without an answer, and never leave somebody waiting.
            self.crash = traceback.format_exc()
        finally:
            self._shut_down()

    def _step(self) -> bool:
        self._dispatcher.pump()
        taken = self._next_events()
        if None in taken:
            return False
        self._landed([item for item in taken if isinstance(item, tuple)])
        for action in taken:
            if callable(action):
                action()
        for run in self._dispatcher.overdue():
            self._dispatcher.give_up(run)
            self._apply(Late(run.task, run.domain, run.inputs, "not answered in time"))
        return True

    def _next_events(self) -> list[Action | Landing | None]:
        """Wait for something to do, then take all that is there."""
        taken: list[Action | Landing | None] = []
        with contextlib.suppress(queue.Empty):
            taken.append(self._events.get(timeout=_TICK))
            while True:
                taken.append(self._events.get_nowait())
        return taken

    def _apply(self, event: Event) -> None:
        self._carry_out(self.state.handle(event))

    def _carry_out(self, instructions: list[Instruction]) -> None:
        with self.changed:
            self.changed.notify_all()
        for instruction in instructions:
            self._do(instruction)
        exposed = self.state.exposed
        if exposed != self._dropped:
            self._dropped = exposed
            self._drop(lambda run: run.domain in exposed)

    def _do(self, instruction: Instruction) -> None:
        if isinstance(instruction, Run):
            self._dispatcher.add(instruction)
        elif isinstance(instruction, StandIn):
            self._beside(self._stand_in, instruction)
        elif isinstance(instruction, Arbitrate):
            self._beside(self.arbiter.settle, instruction)
        elif isinstance(instruction, StartReduce):
            self._drop(lambda run: run.task.stage == REDUCE and run.inputs != instruction.inputs)
        elif isinstance(instruction, Accepted):
            self._accepted(instruction.task)
        elif isinstance(instruction, Finished):
            self._drop(lambda run: True)
            self.decided.set()

    def _accepted(self, task: Task) -> None:
        if task.stage == MAP:
            self._launcher.release(task.partition)
            ready = [action for needed, action in self._parked if needed == task]
            self._parked = [item for item in self._parked if item[0] != task]
            for action in ready:
                action()

    def _when_served(self, task: Task, action: Action) -> None:
        """Act at once if somebody serves a partition, else when it has been made again."""

        def look() -> None:
            if self.state.holders(task):
                action()
            else:
                self._parked.append((task, action))

        self._events.put(look)

    def _drop(self, unwanted: Callable[[Run], bool]) -> None:
        flights = self._dispatcher.drop(unwanted)
        self.pool.cancel(f.future for f in flights if f.future is not None)

    def _beside(self, function: Callable[[Any], None], argument: Any) -> None:
        if not self._closed:
            self._executor.submit(function, argument)

    def _shut_down(self) -> None:
        self._closed = True
        self.arbiter.close()
        with contextlib.suppress(Exception):
            # Clients may be gone already; what they held is gone with them.
            self._drop(lambda run: True)
            self.pool.broadcast("verify_forget", job=self.plan.job)
            self._launcher.close()
            self.pool.close()
        self._executor.shutdown(wait=False, cancel_futures=True)
        self._folder.cleanup()
        self.decided.set()
        with self.changed:
            self.changed.notify_all()

    # --- tasks ---------------------------------------------------------------------------------

    def _wanted(self, run: Run) -> bool:
        state = self.state.state(run.task)
        return run.inputs == state.inputs and run.domain in state.running

    def _launch(self, domain: str, stage: str, flights: list[Flight]) -> None:
        if stage == MAP:
            self._tracked(flights, lambda: self._launcher.maps(domain, [f.run for f in flights]))
        for flight in flights if stage == REDUCE else []:
            self._beside(self._launch_reduce, flight)

    def _launch_reduce(self, flight: Flight) -> None:
        try:
            self._tracked([flight], lambda: [self._launcher.reduce(flight.run, flight.relay)])
        except UnservedError as error:
            self._when_served(error.task, lambda: self._again(flight.run))

    def _again(self, run: Run) -> None:
        """Start a task once more, with sections that the coordinator reads itself."""
        if self._dispatcher.landed(run) is not None:
            self._dispatcher.add(run, relay=True)

    def _stand_in(self, instruction: StandIn) -> None:
        try:
            self.arbiter.stand_in(instruction)
        except UnservedError as error:
            self._when_served(error.task, lambda: self._beside(self._stand_in, instruction))
        except Exception as error:
            # Without an answer of its own the coordinator is one executor fewer, no more.
            self.post(Late(instruction.task, COORDINATOR, instruction.inputs, repr(error)))

    def _tracked(self, flights: list[Flight], launch: Callable[[], list[Future]]) -> None:
        """Launch; tasks that cannot even be submitted are unanswered."""
        try:
            futures = launch()
        except UnservedError:
            raise
        except Exception as error:
            # The domain's cluster may be gone; that is this domain's silence, not our crash.
            for flight in flights:
                self._events.put(self._unanswered(flight.run, repr(error)))
            return
        for flight, future in zip(flights, futures, strict=True):
            flight.future = future
            future.add_done_callback(self._landing(flight.run))

    def _unanswered(self, run: Run, reason: str) -> Callable[[], None]:
        def act() -> None:
            if self._dispatcher.give_up(run):
                self._apply(Late(run.task, run.domain, run.inputs, reason))

        return act

    def _landing(self, run: Run) -> Callable[[Future], None]:
        return lambda future: self._events.put((run, future))

    def _landed(self, landings: Sequence[Landing]) -> None:
        """Fetch all answers that are there in one go, then take them one by one."""
        wanted = [(r, f) for r, f in landings if r in self._dispatcher.flying or _done(f)]
        for (run, future), answer in zip(wanted, results(wanted), strict=True):
            flight = self._dispatcher.landed(run)
            if isinstance(answer, bytes):
                self._answered(run, answer, flight is not None and flight.relay)
            elif not isinstance(answer, BaseException):
                what = f"garbage: {type(answer).__name__}"
                self._apply(Late(run.task, run.domain, run.inputs, what))
            elif flight is not None:
                self._apply(_event_of(run, answer, future))

    def _answered(self, run: Run, answer: bytes, relayed: bool) -> None:
        self.reader.moved["answers"] += len(answer)
        try:
            what, *rest = decode(answer)
            if what == COMMITTED:
                self._committed(run, *rest)
            elif what == FAILED and isinstance(rest[0], str):
                self._apply(Failed(run.task, run.domain, run.inputs, rest[0]))
            elif what == MISSING:
                self._missing(run, relayed, *rest)
            else:
                raise DecodingError(f"expected an answer, got {what!r:.40}")
        except (DecodingError, TypeError, ValueError, IndexError) as error:
            self._apply(Late(run.task, run.domain, run.inputs, f"garbage: {error}"))

    def _committed(
        self, run: Run, address: str, wires: tuple[bytes, ...], evidence: tuple[bytes, ...]
    ) -> None:
        # An answer without a commitment would leave the task neither running nor unanswered.
        if not isinstance(address, str) or not wires or not type(wires) is type(evidence) is tuple:
            raise DecodingError("expected an address, at least one commitment, and evidence")
        self.reader.addresses[run.task, run.domain] = address
        for wire in wires:
            self._apply(Committed(run.task, run.domain, run.inputs, wire))
        self._look_into(run, evidence)

    def _missing(
        self, run: Run, relayed: bool, partitions: tuple[int, ...], evidence: tuple[bytes, ...]
    ) -> None:
        """Retry with sections that the coordinator read itself: nobody can complain of those."""
        self._look_into(run, evidence)
        if relayed:
            self._apply(Late(run.task, run.domain, run.inputs, "refused verified sections"))
        else:
            self._dispatcher.add(run, relay=True)

    def _look_into(self, run: Run, evidence: tuple[bytes, ...]) -> None:
        """Check what a task's executor says that others served; it may be lying."""
        for item in evidence[:_EVIDENCE]:
            self._beside(self.arbiter.examine, (run.task.partition, item))


def _done(future: Future) -> bool:
    """Whether a future holds an answer, which counts however late it is."""
    return bool(future.status == "finished")


def _event_of(run: Run, error: BaseException, future: Future) -> Event:
    """Tell a function that failed from a worker that was lost."""
    lost = isinstance(error, (KilledWorker, OSError)) or future.status in ("lost", "cancelled")
    if lost:
        return Late(run.task, run.domain, run.inputs, str(error)[:500])
    return Failed(run.task, run.domain, run.inputs, "".join(traceback.format_exception(error)))
