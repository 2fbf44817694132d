"""Carrying tasks to domains and their answers back, for the thread of a job.

* What cannot be submitted, or is answered by nobody, is the silence of its domain, never a crash.
* What waits for a partition that is made again does not take up a place in a window.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING

from dask_verify.engine import answers
from dask_verify.engine.dispatch import Dispatcher, Errand, Flight, Landing, done, forgotten
from dask_verify.engine.domainpool import Future
from dask_verify.engine.dossier import Recorder
from dask_verify.engine.launch import Launcher
from dask_verify.engine.pace import Pace
from dask_verify.engine.reader import UnservedError
from dask_verify.engine.waiting import Action, Waiting
from dask_verify.errors import DecodingError
from dask_verify.protocol.messages import MAP, REDUCE, Challenge, Committed, Failed, Run

if TYPE_CHECKING:
    from dask_verify.engine.driver import Driver

_IN_VAIN = 2  #: tasks that a domain does not take after which no more of a batch are tried


class Carrier:
    """Tasks of one job, on their way.

    Parameters
    ----------
    driver : Driver
        Whose pool, reader and state are used, and who takes the events.
    launcher : Launcher
    waiting : Waiting
    recorder : Recorder
    put : callable
        Hands actions and landings to the driver's thread.
    pace : Pace

    Attributes
    ----------
    dispatcher : Dispatcher
    """

    def __init__(
        self,
        driver: Driver,
        launcher: Launcher,
        waiting: Waiting,
        recorder: Recorder,
        put: Callable[[Action | Landing], None],
        pace: Pace,
    ) -> None:
        self._driver, self._launcher, self._waiting = driver, launcher, waiting
        self._recorder, self._put = recorder, put
        window = driver.plan.policy.window
        self.dispatcher = Dispatcher(
            driver.pool, window, pace, self._launch, self._wanted, driver.pool.places
        )

    def landed(self, landings: Sequence[Landing]) -> None:
        """Fetch all answers that are there in one go, then take them one by one.

        Parameters
        ----------
        landings : sequence of Landing
            What was asked, with the futures that are done.
        """
        wanted = [(r, f) for r, f in landings if done(f) or self._under_way(r, f)]
        fetched = self._driver.pool.results([(run.domain, future) for run, future in wanted])
        for (run, future), answer in zip(wanted, fetched, strict=True):
            if self._submitted_again(run, future):
                continue
            flight = self.dispatcher.landed(run) if self._under_way(run, future) else None
            if isinstance(run, Challenge):
                if flight is not None:
                    self._driver.apply(self._driver.auditor.landed(flight, answer))
            elif not isinstance(answer, BaseException):
                self._answered(run, answer, flight)
            elif flight is not None:
                self._driver.apply(answers.failed(run, answer, future))

    def _flies(self, flight: Flight) -> bool:
        return self.dispatcher.flying.get(flight.run) is flight

    def _under_way(self, run: Errand, future: Future) -> Flight | None:
        """Return what we wait for; None if that is an earlier try, which we took back."""
        flight = self.dispatcher.flying.get(run)
        return flight if flight is not None and flight.future is future else None

    def _wanted(self, run: Run) -> bool:
        state = self._driver.state.state(run.task)
        return run.inputs == state.inputs and run.domain in state.running

    def _launch(self, domain: str, stage: str, flights: list[Flight]) -> None:
        if stage == MAP:
            runs = [f.run for f in flights if isinstance(f.run, Run)]
            self._tracked(flights, lambda: self._launcher.maps(domain, runs))
        else:
            self._driver.beside(self._launch_reduces, (domain, flights), domain)

    def _launch_reduces(self, launch: tuple[str, list[Flight]]) -> None:
        """Launch tasks together; if that fails, one by one.

        Whatever is wrong with one of them, the others need not wait, nor count as late. But each
        try may have to wait for a worker that takes no data any more.
        """
        domain, flights = launch
        try:
            self._follow(flights, self._reduces(domain, flights))
        except Exception:
            in_vain = 0
            for flight in flights:
                if in_vain < _IN_VAIN:
                    in_vain += self._launch_reduce(domain, flight)
                else:
                    self._put(self._unanswered(flight, "those before it were not taken"))

    def _launch_reduce(self, domain: str, flight: Flight) -> bool:
        """Launch one task; whether its domain did not take it."""
        try:
            return not self._tracked([flight], lambda: self._reduces(domain, [flight]))
        except UnservedError as error:
            self._put(partial(self._park, error, flight))
            return False

    def _reduces(self, domain: str, flights: list[Flight]) -> list[Future]:
        wanted = [(f.run, f.relay) for f in flights if isinstance(f.run, Run)]
        return self._launcher.reduces(domain, wanted)

    def _park(self, error: UnservedError, flight: Flight) -> None:
        """Start a task once more when it can be, with sections that the coordinator reads itself.

        Until then it is not in flight: what it waits for may need its place in the window.
        """
        run = flight.run
        if isinstance(run, Run) and self._flies(flight):
            self.dispatcher.landed(run)
            again = partial(self.dispatcher.add, run, relay=True)
            self._waiting.until_served(error, again)

    def _tracked(self, flights: list[Flight], launch: Callable[[], list[Future]]) -> bool:
        """Launch; tasks that cannot even be submitted are unanswered. False if they cannot."""
        try:
            futures = launch()
        except UnservedError:
            raise
        except Exception as error:
            # The domain's cluster may be gone; that is this domain's silence, not our crash.
            for flight in flights:
                self._put(self._unanswered(flight, repr(error)))
            return False
        self._follow(flights, futures)
        return True

    def _follow(self, flights: list[Flight], futures: list[Future]) -> None:
        """Wait for the results of what was launched."""
        for flight, future in zip(flights, futures, strict=True):
            flight.future, flight.started = future, time.monotonic()
            future.add_done_callback(self._landing(flight.run))
        # Nobody could cancel before what was taken back while it was being submitted. Whoever does
        # so now sees the futures.
        if taken_back := [f.future for f in flights if f.dropped]:
            self._put(partial(self._driver.pool.cancel, taken_back))

    def _unanswered(self, flight: Flight, reason: str) -> Callable[[], None]:
        def act() -> None:
            if self._flies(flight) and self.dispatcher.give_up(flight.run):
                self._driver.apply(answers.late(flight.run, reason))

        return act

    def _landing(self, run: Errand) -> Callable[[Future], None]:
        return lambda future: self._put((run, future))

    def _submitted_again(self, run: Errand, future: Future) -> bool:
        """Submit what nobody will ever answer, because our own connection broke; False: it was not.

        What we gave up or took back ourselves is not in flight any more.
        """
        flight = self._under_way(run, future)
        if flight is None or not forgotten(future) or not self.dispatcher.cut_off(run):
            return False
        if isinstance(run, Run):
            self.dispatcher.add(run, relay=flight.relay)
        elif flight.question is not None:
            self._driver.auditor.submit(run, flight.question)
        return True

    def _answered(self, run: Run, answer: object, flight: Flight | None) -> None:
        """Take what a task's executor says; of an earlier try, what it has signed."""
        self._driver.reader.moved["answers"] += len(answer) if isinstance(answer, bytes) else 0
        overtaken = flight is None and run in self.dispatcher.flying
        try:
            reply = answers.read(answer)
        except DecodingError as error:
            if not overtaken:
                self._driver.apply(answers.late(run, f"garbage: {error}"))
            return
        self._signed(run, reply)
        if not overtaken:
            self._replied(run, reply, flight is not None and flight.relay)
        if flight is not None and reply.wires:
            self.dispatcher.done(flight)
        # What a task's executor says that others served is looked at; it may be lying.
        for item in reply.evidence if run.task.stage == REDUCE else ():
            self._driver.beside(self._driver.arbiter.examine, (run.task.partition, item))

    def _signed(self, run: Run, reply: answers.Reply) -> None:
        self._driver.spent[run.domain] += reply.cpu
        # An answer about what was replaced since is from another worker, perhaps.
        if reply.wires and run.inputs == self._driver.state.state(run.task).inputs:
            self._driver.reader.found_at(run.task, run.domain, reply.address)
            self._recorder.found_at(run.task, run.domain, reply.address, reply.cpu)
        for wire in reply.wires:
            self._driver.apply(Committed(run.task, run.domain, run.inputs, wire))

    def _replied(self, run: Run, reply: answers.Reply, relayed: bool) -> None:
        if reply.failure is not None:
            self._driver.apply(Failed(run.task, run.domain, run.inputs, reply.failure))
        elif reply.unkept is not None:
            self._driver.apply(answers.late(run, reply.unkept))
        elif reply.missing and relayed:
            self._driver.apply(answers.late(run, "refused verified sections"))
        elif reply.missing:
            # Again with sections that the coordinator read itself: nobody can complain of those.
            self.dispatcher.add(run, relay=True)
