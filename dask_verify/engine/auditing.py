"""Carrying challenges: what is asked is opened, sent to the auditor, and its answer brought back.

Nothing here blocks the driver's thread for long: opening and the coordinator's own recomputing run
beside it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from dask_verify.engine import answers
from dask_verify.engine.dispatch import Dispatcher, Flight, Landing
from dask_verify.engine.domainpool import Future
from dask_verify.engine.examiner import Examiner, Question
from dask_verify.engine.launch import Launcher
from dask_verify.engine.reader import GoneError, UnservedError
from dask_verify.engine.waiting import Action
from dask_verify.errors import DecodingError
from dask_verify.protocol.domain import COORDINATOR
from dask_verify.protocol.messages import (
    READ,
    Audited,
    Challenge,
    Event,
    Recount,
    Unaudited,
    Unopened,
)


@dataclass
class Auditor:
    """Puts challenges to domains, and to the coordinator itself.

    Parameters
    ----------
    examiner : Examiner
    dispatcher : Dispatcher
    launcher : Launcher
    post : callable
        Takes events for the protocol.
    later : callable
        Calls an action in the driver's thread.
    when_served : callable
        Calls an action once somebody serves a partition.
    beside : callable
        Calls a function that blocks, with an argument, in a thread of its own.
    landing : callable
        Takes what has landed.
    spent : Counter
        Nanoseconds of CPU time that each domain says it has spent.
    """

    examiner: Examiner
    dispatcher: Dispatcher
    launcher: Launcher
    post: Callable[[Event], None]
    later: Callable[[Action], None]
    when_served: Callable[[UnservedError, Action], None]
    beside: Callable[..., None]
    landing: Callable[[Landing], None]
    spent: Counter[str]

    def challenge(self, challenge: Challenge) -> None:
        """Open what is challenged and have it recomputed.

        Parameters
        ----------
        challenge : Challenge
            The challenge.
        """
        try:
            question = self.examiner.question(challenge)
        except UnservedError as error:
            again = partial(self.beside, self.challenge, challenge, challenge.holder)
            self.when_served(error, again)
            return
        except GoneError:
            return  # a stage was started again; what counts now is challenged by itself
        if question is None:
            self.post(Unopened(challenge))
        elif challenge.domain == COORDINATOR:
            self.post(self.examiner.own(challenge, question))
        else:
            self.later(lambda: self.submit(challenge, question))

    def recount(self, instruction: Recount) -> None:
        """Count what a reduce partition reads.

        Parameters
        ----------
        instruction : Recount
            Which reduce partition.
        """
        try:
            self.post(self.examiner.recount(instruction))
        except UnservedError as error:
            self.when_served(error, lambda: self.beside(self.recount, instruction))
        except GoneError:
            return  # what counts now is counted by itself

    def landed(self, flight: Flight, answer: Any) -> Event:
        """Return the event of an answer that has arrived, or of one that never will.

        Parameters
        ----------
        flight : Flight
            What was asked, and when.
        answer : object
            What arrived.

        Returns
        -------
        Event
        """
        challenge, question = flight.run, flight.question
        assert isinstance(challenge, Challenge)
        if isinstance(answer, BaseException):
            failed = not answers.lost(answer, flight.future)
            return Unaudited(challenge, answers.reason(answer), failed)
        self.examiner.reader.moved["audits"] += len(answer) if isinstance(answer, bytes) else 0
        try:
            reply = answers.read_audit(answer)
        except DecodingError as error:
            return Unaudited(challenge, f"garbage: {error}"[: answers.TEXT])
        self.spent[challenge.domain] += reply.cpu
        if reply.audited is None or question is None:
            return Unaudited(challenge, reply.failure or "never asked", reply.failure is not None)
        return Audited(challenge, reply.audited, question.expected, question.digests)

    def submit(self, challenge: Challenge, question: Question) -> None:
        """Put a question to an auditor; called in the driver's thread.

        Parameters
        ----------
        challenge : Challenge
            The challenge.
        question : Question
            What the auditor is given.
        """
        flight = self.dispatcher.challenge(challenge, question)
        try:
            flight.future = self._sent(challenge, question)
        except Exception as error:
            # The domain's cluster may be gone; that is this domain's silence, not our crash.
            self.dispatcher.landed(challenge)
            self.post(Unaudited(challenge, repr(error)[: answers.TEXT]))
            return
        flight.future.add_done_callback(lambda future: self.landing((challenge, future)))

    def _sent(self, challenge: Challenge, question: Question) -> Future:
        if challenge.kind == READ:
            return self.launcher.read(challenge)
        asked = question.asked
        self.examiner.reader.moved["audits"] += len(asked)
        return self.launcher.audit(challenge, asked)
