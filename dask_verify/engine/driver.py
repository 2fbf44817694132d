"""Carries one job: turns instructions into Dask tasks and answers into events. Decides nothing.

One thread owns the protocol's state; everything that blocks (arbitration, the coordinator's own
computing, relays) runs beside it and posts events back.
"""

from __future__ import annotations

import atexit
import concurrent.futures
import contextlib
import tempfile
import threading
import traceback
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from dask_verify.engine import answers
from dask_verify.engine.arbiter import Arbiter
from dask_verify.engine.auditing import Auditor
from dask_verify.engine.beside import Beside
from dask_verify.engine.carrier import Carrier
from dask_verify.engine.dashboard.publisher import Publisher
from dask_verify.engine.dashboard.summary import RUNNING, Teller
from dask_verify.engine.dispatch import Errand
from dask_verify.engine.domainpool import DomainPool
from dask_verify.engine.dossier import Past, Recorder
from dask_verify.engine.examiner import Examiner
from dask_verify.engine.graphs import Upstream
from dask_verify.engine.inbox import Inbox, Look
from dask_verify.engine.launch import Launcher
from dask_verify.engine.pace import Pace
from dask_verify.engine.reader import Reader, UnservedError
from dask_verify.engine.referee import Referee
from dask_verify.engine.store import Store
from dask_verify.engine.waiting import Action, Waiting
from dask_verify.errors import JournalError
from dask_verify.execution.work import Shipped, Work
from dask_verify.protocol.board import Plan
from dask_verify.protocol.domain import COORDINATOR
from dask_verify.protocol.messages import (
    MAP,
    REDUCE,
    Accepted,
    Arbitrate,
    Challenge,
    Event,
    Finished,
    Instruction,
    Late,
    Recount,
    Run,
    Settled,
    StandIn,
    StartReduce,
    Task,
    Verdict,
)
from dask_verify.protocol.terms import Terms

_LOCAL_MEMORY = 256 << 20  #: bytes of the coordinator's own partitions kept in memory
_TOLD = 5.0  #: seconds that a scheduler has to take a notice
_EXIT = 10.0  #: seconds for which an ending program waits for what its jobs leave behind


class Driver:
    """Runs one job to its verdict, then serves its results until it is closed.

    Parameters
    ----------
    plan : Plan
    terms : Terms
        What the plan's job id is made of.
    work : Work
    shipped : Shipped
    source : Upstream
    pool : DomainPool
    floor : float
        Least seconds before a task counts as late where the policy names no deadline.
    past : Past, optional
        What has become of the job so far, if it is taken up again.
    recorder : Recorder, optional
        Writes down what happens, before it is acted on.
    """

    def __init__(
        self,
        plan: Plan,
        terms: Terms,
        work: Work,
        shipped: Shipped,
        source: Upstream,
        pool: DomainPool,
        floor: float,
        past: Past | None = None,
        recorder: Recorder | None = None,
    ) -> None:
        self.plan, self.terms, self.work, self.pool = plan, terms, work, pool
        self._past = past = past or Past.none(plan)
        self._recorder = recorder or Recorder()
        self.state = past.state
        self.crash, self.crashed = "", "crash"
        self.began = self.ended = datetime.now(UTC)
        self.spent = past.spent
        self.decided = threading.Event()
        self.changed = threading.Condition()
        self.rests = False  #: whether it did when that was last announced, for other threads
        self.shipped = shipped
        self._folder = tempfile.TemporaryDirectory(
            prefix="dask-verify-job-", ignore_cleanup_errors=True
        )
        self.exhibits = Path(self._folder.name, "exhibits")
        self.local = Store(self._folder.name, _LOCAL_MEMORY)
        self._events = Inbox(lambda: self._thread.is_alive())
        self.look, self.catch_up = self._events.look, self._events.catch_up
        faults = min(plan.policy.faults, len(plan.domains) - 1)
        pace = Pace(plan.policy.deadline, floor, faults)
        self._beside = Beside(self._look_at)
        self.reader = Reader(
            domains={d.name: d for d in plan.domains},
            pool=pool,
            local=self.local,
            holders=self.holders,
            post=self.post,
            claimed=self.state.claimed,
            pace=pace,
        )
        self.reader.moved["answers"] = past.answered
        for place in past.places:
            self.reader.found_at(*place)
        self._launcher = Launcher(self, source, shipped, past.epoch)
        self._waiting = Waiting(self.state, self._launcher)
        put = self._events.put
        self._carrier = Carrier(self, self._launcher, self._waiting, self._recorder, put, pace)
        self._dispatcher = self._carrier.dispatcher
        self.arbiter = Arbiter(
            plan,
            work,
            shipped,
            source,
            self.state,
            self.reader,
            self._launcher.ranges,
            self.post,
            self.exhibits,
            Referee(pace.own),
        )
        self.auditor = Auditor(
            Examiner(
                plan,
                work,
                shipped,
                source,
                self.state,
                self.reader,
                self.arbiter.referee,
                self._launcher.ranges,
            ),
            self._dispatcher,
            self._launcher,
            post=self.post,
            later=put,
            when_served=self._when_served,
            beside=self.beside,
            landing=put,
            spent=self.spent,
        )
        self._teller = Teller(plan, self.state)
        self._publisher = Publisher(
            partial(pool.publish, timeout=_TOLD) if pool.publishes else None
        )
        self._dropped: frozenset[str] = frozenset()
        self._decided = list(past.owed)
        self._closed = False
        self._written: Finished | None = None
        self._forgets = True
        self._thread = threading.Thread(target=self._loop, name="dask-verify-job", daemon=True)

    # --- from other threads --------------------------------------------------------------------

    def start(self) -> None:
        """Begin."""
        atexit.register(self._at_exit)
        self._thread.start()

    def post(self, event: Event) -> None:
        """Hand an event to the protocol.

        Parameters
        ----------
        event : Event
            What happened.
        """
        self._events.put(lambda: self.apply(event))

    def holders(self, task: Task) -> list[str]:
        """Return who can serve an accepted task.

        Parameters
        ----------
        task : Task
            The task.

        Returns
        -------
        list of str
        """
        with self.changed:
            return self.state.holders(task)

    @property
    def resumable(self) -> bool:
        """Whether the job has a journal, and workers keep what it takes to go on with it."""
        return self._recorder.keeps and not self._forgets

    @property
    def finished(self) -> Finished | None:
        """How the job ended, as far as that is written down; None before, and after a crash."""
        return None if self.crash else self._written

    def check_written(self) -> None:
        """Refuse to sign anything once the journal ends before all that is known here.

        The job may go on from it, where the last of that never happened.

        Raises
        ------
        JournalError
            If it does.
        """
        if self.crash and self._recorder.keeps:
            raise JournalError(
                "the job ended before all that is known of it was written down; go on with it with"
                f" dask_verify.resume(), from its journal: {self.crash}"
            )

    @property
    def resting(self) -> bool:
        """Whether verdict and answer belong together now; for the job's thread, or after it."""
        return self.state.resting or self._closed

    def leave(self) -> None:
        """End the job here; with a journal, workers keep what it takes to go on elsewhere."""
        self._forgets = self._forgets and not self._recorder.keeps
        self._events.put(None)

    def close(self, forget: bool = True) -> None:
        """Release what the job holds here and on the workers; waits for the job's thread.

        Without ``forget`` a job with a journal can be taken up again.

        Parameters
        ----------
        forget : bool, optional
            Whether workers drop what they keep of the job.
        """
        self._forgets = forget or not self._recorder.keeps
        self._events.put(None)
        if self._thread.is_alive() and threading.current_thread() is not self._thread:
            self._thread.join(timeout=30)

    # --- the loop ------------------------------------------------------------------------------

    def _loop(self) -> None:
        try:
            for event in self._past.losses:
                self.apply(event)
            self._carry_out()
            while self._step():
                continue
        except JournalError as error:
            # What was decided last is acted on by nobody; all before is there to go on with.
            self.crash, self.crashed, self._forgets = str(error), "journal", False
        except Exception:
            # A defect here must end the job without an answer, and never leave somebody waiting.
            self.crash = traceback.format_exc()
            # With a journal the job can go on elsewhere, with what the workers hold.
            self._forgets = not self._recorder.keeps
        finally:
            self._shut_down()

    def _step(self) -> bool:
        self._dispatcher.pump()
        taken = self._dispatcher.next_of(self._events.queue)
        if None in taken:
            return False
        self._carrier.landed([item for item in taken if isinstance(item, tuple)])
        for action in taken:
            if callable(action) and not isinstance(action, Look):
                action()
        for run, why in self._dispatcher.overdue().items():
            self._dispatcher.give_up(run)
            self.apply(answers.late(run, why))
        self._carry_out()
        for look in taken:
            # At what is written down, since something may be signed that is seen there.
            if isinstance(look, Look):
                look()
        self._launcher.flush()
        self._publisher.look(self._summary)
        return True

    def apply(self, event: Event) -> None:
        """Hand an event to the protocol; what it decides is carried out with the next step.

        Parameters
        ----------
        event : Event
            What happened.
        """
        instructions = self.state.handle(event)
        self._recorder.happened(event, instructions)
        self._decided += instructions

    def _carry_out(self) -> None:
        """Act on what was decided, once it is written down."""
        self._recorder.sync()
        decided, self._decided = self._decided, []
        self._written = self.state.finished
        with self.changed:
            self.rests = self.resting
            self.changed.notify_all()
        for instruction in decided:
            self._do(instruction)
        exposed = self.state.exposed
        if exposed != self._dropped:
            self._dropped = exposed
            self._drop(lambda run: run.domain in exposed)

    def _do(self, instruction: Instruction) -> None:
        if isinstance(instruction, Run):
            self._dispatcher.add(instruction)
        elif isinstance(instruction, StandIn):
            self.beside(self._stand_in, instruction)
        elif isinstance(instruction, Arbitrate):
            self.beside(self._settle, instruction)
        elif isinstance(instruction, Challenge):
            self.beside(self.auditor.challenge, instruction, instruction.holder)
        elif isinstance(instruction, Recount):
            self.beside(self.auditor.recount, instruction)
        elif isinstance(instruction, StartReduce):
            self._start_reduce(instruction)
        elif isinstance(instruction, Accepted):
            self._accepted(instruction.task)
        elif isinstance(instruction, Settled):
            self._launcher.release(instruction.task)
        elif isinstance(instruction, Finished):
            self.ended = datetime.now(UTC)
            self._drop(lambda run: True)
            self._publisher.look(self._summary, at_once=True)
            self.decided.set()

    def _start_reduce(self, start: StartReduce) -> None:
        self._launcher.started(start)
        self._drop(lambda run: run.task.stage == REDUCE and run.inputs != start.inputs)
        # What waited for inputs that are no more finds out so.
        self._waiting.resume(lambda task: True)

    def _accepted(self, task: Task) -> None:
        self._teller.accepted(task)
        if task.stage == MAP:
            self._waiting.resume(lambda needed: needed == task)

    def _settle(self, instruction: Arbitrate) -> None:
        if self.state.arbitrated != instruction:
            return  # another question came before it; it is asked again if it is one still
        try:
            self.arbiter.settle(instruction)
        except UnservedError as error:
            self._when_served(error, lambda: self.beside(self._settle, instruction))

    def _stand_in(self, instruction: StandIn) -> None:
        try:
            self.arbiter.stand_in(instruction)
        except UnservedError as error:
            self._when_served(error, lambda: self.beside(self._stand_in, instruction))
        except Exception as error:
            # Without an answer of its own the coordinator is one executor fewer, no more.
            self.post(Late(instruction.task, COORDINATOR, instruction.inputs, repr(error)))

    def _when_served(self, error: UnservedError, action: Action) -> None:
        """Act once somebody serves a partition as it is needed."""
        self._events.put(lambda: self._waiting.until_served(error, action))

    def _drop(self, unwanted: Callable[[Errand], bool]) -> None:
        flights = self._dispatcher.drop(unwanted)
        self.pool.cancel(f.future for f in flights if f.future is not None)

    def beside(self, function: Callable[[Any], Any], argument: Any, about: str = "") -> None:
        """Call a function that blocks, in a thread of its own.

        Parameters
        ----------
        function : callable
            The function.
        argument : object
            What it gets.
        about : str, optional
            The domain that may keep it waiting.
        """
        if not self._closed:
            self._beside.submit(partial(function, argument), about)

    def _look_at(self, done: concurrent.futures.Future[Any]) -> None:
        """Let what failed beside the thread fail in it: nobody would wait for an end otherwise."""
        error = None if done.cancelled() else done.exception()
        if error is not None:
            self._events.put(partial(_fail, error))

    def _shut_down(self) -> None:
        self._closed = True
        self.arbiter.close()
        told = partial(self._publisher.close, self._summary)
        for end in (self._drop_all, self._farewell, self._launcher.close, told, self.pool.close):
            with contextlib.suppress(Exception):
                # Clients may be gone already; what they held is gone with them.
                end()
        self._recorder.close()
        self._beside.close()
        self._folder.cleanup()
        atexit.unregister(self._at_exit)
        self.decided.set()
        with self.changed:
            self.rests = True
            self.changed.notify_all()

    def _at_exit(self) -> None:
        """Wait until the job has cleaned up: threads are not let finish when a program ends."""
        self.leave()
        self._thread.join(_EXIT)

    def _summary(self) -> dict[str, Any]:
        settled = self.finished is not None
        return self._teller.summary(self._status(), settled)

    def _status(self) -> str:
        if self.finished is not None:
            return self.finished.verdict.value
        if self.crash:
            return Verdict.INCONCLUSIVE.value
        ended = "interrupted" if self.resumable else "cancelled"
        return ended if self._closed else RUNNING

    def _drop_all(self) -> None:
        self._drop(lambda run: True)

    def _farewell(self) -> None:
        """Let workers forget the job; who does not hear it drops it together with its worker."""
        if self._forgets:
            farewell = self._dispatcher.pace.soon
            self.pool.broadcast("verify_forget", timeout=farewell, job=self.plan.job)


def _fail(error: BaseException) -> None:
    raise error
