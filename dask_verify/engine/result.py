"""Reading a job's answer: all of it belongs to one verdict, whatever comes to light meanwhile.

Reading may show that a holder lies. What it took part in is then made again, and what was read
before that may be of the old answer.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from dask_verify.core.seal import Commitment
from dask_verify.engine.driver import Driver
from dask_verify.engine.reader import UnservedError
from dask_verify.engine.resting import look_at_rest
from dask_verify.protocol.messages import REDUCE, Task

_CATCH_UP = 5.0  #: seconds


class Answer(NamedTuple):
    """All leaves of an answer, by partition, and the roots that they hash to.

    Parameters
    ----------
    roots : tuple of bytes
    leaves : list of list of bytes
    """

    roots: tuple[bytes, ...]
    leaves: list[list[bytes]]


class Held(NamedTuple):
    """One partition of an answer, and where it is.

    Parameters
    ----------
    commitment : Commitment
    workers : tuple of (str, str)
        Domains that hold it, with the addresses of their workers.
    leaves : list of bytes
        What it consists of, where no worker holds it.
    """

    commitment: Commitment
    workers: tuple[tuple[str, str], ...]
    leaves: list[bytes]


@dataclass(frozen=True)
class Reading:
    """One reading of an answer, which a verdict has been given about.

    Parameters
    ----------
    driver : Driver
        What runs the job.
    lost : callable
        Tells whether there is no answer any more.
    gone : callable
        Returns the error that says why.
    end : float or None
        When there is no time left, on the monotonic clock; None for no limit.
    """

    driver: Driver
    lost: Callable[[], bool]
    gone: Callable[[], Exception]
    end: float | None

    def answer(self) -> Answer:
        """Return the verified leaves of every reduce partition.

        Returns
        -------
        Answer

        Raises
        ------
        TimeoutError
            If there is not enough time.
        """
        outputs, leaves = self._read(lambda output: True)
        roots = tuple(output.root for output in outputs)
        return Answer(roots, [leaves[output.partition] for output in outputs])

    def outputs(self) -> list[Commitment]:
        """Return what was agreed on for every partition; wait where some of it is made again.

        Returns
        -------
        list of Commitment

        Raises
        ------
        TimeoutError
            If there is not enough time.
        """
        try:
            found = look_at_rest(self.driver, self.accepted, self._left(0))
        except TimeoutError as error:
            raise _late(error) from None
        if found is None or self.lost():
            raise self.gone()
        return found

    def carried(self) -> list[Held]:
        """Return what was agreed on for every partition, where it is, and what no worker holds.

        Returns
        -------
        list of Held
        """
        while True:
            outputs, leaves = self._read(lambda output: not self._workers(output))
            found = [Held(o, self._workers(o), leaves.get(o.partition, [])) for o in outputs]
            if all(held.workers or held.leaves for held in found):
                return found

    def accepted(self) -> list[Commitment] | None:
        """Return what is accepted at this moment; for the job's thread, or after its end.

        Returns
        -------
        list of Commitment or None
            None if that is not all.
        """
        tasks = [Task(REDUCE, partition) for partition in range(self.driver.plan.reduces)]
        found = [self.driver.state.accepted(task) for task in tasks]
        outputs = [commitment for commitment in found if commitment is not None]
        return outputs if len(outputs) == len(tasks) else None

    def leaves(self, commitment: Commitment) -> list[bytes]:
        """Read one partition, as long as there is time.

        Parameters
        ----------
        commitment : Commitment
            What was agreed on.

        Returns
        -------
        list of bytes

        Raises
        ------
        UnservedError
            If nobody serves it.
        TimeoutError
            If there is not enough time.
        """
        leaves: list[bytes] = []
        for chunk in self.driver.reader.chunks(commitment, 0, commitment.size, "results"):
            leaves += chunk
            if len(leaves) < commitment.size:
                self._check_time(commitment)
        return leaves

    def _read(
        self, wanted: Callable[[Commitment], bool]
    ) -> tuple[list[Commitment], dict[int, list[bytes]]]:
        """Read some partitions of an answer, which is the same from the first to the last."""
        while True:
            outputs = self.outputs()
            leaves = self._all_leaves([output for output in outputs if wanted(output)])
            if leaves is not None and self._stand(outputs):
                return outputs, leaves

    def _all_leaves(self, outputs: list[Commitment]) -> dict[int, list[bytes]] | None:
        """Read some partitions; None if one of them counts no more."""
        leaves: dict[int, list[bytes]] = {}
        for commitment in outputs:
            if leaves:
                self._check_time(commitment)
            found = self._served(commitment)
            if found is None:
                return None
            leaves[commitment.partition] = found
        return leaves

    def _workers(self, commitment: Commitment) -> tuple[tuple[str, str], ...]:
        return tuple(self.driver.reader.where(Task(REDUCE, commitment.partition)))

    def _stand(self, outputs: list[Commitment]) -> bool:
        """Whether that is the answer still, after all that came to light until now.

        All of it is read, so that there is some time for this even where none is left.
        """
        digests = [output.digest for output in outputs]

        def unchanged() -> bool:
            found = self.accepted() if self.driver.resting and not self.lost() else None
            return found is not None and [output.digest for output in found] == digests

        try:
            return self.driver.look(unchanged, self._left(_CATCH_UP))
        except TimeoutError as error:
            raise _late(error) from None

    def _served(self, commitment: Commitment) -> list[bytes] | None:
        """Read one partition, or return None if it counts no more.

        Where its bytes are lost, wait until somebody made them again.
        """
        while self._counts(commitment):
            try:
                return self.leaves(commitment)
            except UnservedError:
                self.driver.catch_up(_CATCH_UP)
                self._await_holder(commitment)
        return None

    def _counts(self, commitment: Commitment) -> bool:
        accepted = self.driver.state.accepted(Task(REDUCE, commitment.partition))
        return accepted is not None and accepted.digest == commitment.digest

    def _await_holder(self, commitment: Commitment) -> None:
        """Return once a partition can be read again, or counts no more."""
        task, left = Task(REDUCE, commitment.partition), self._left(0)

        def ready() -> bool:
            there = bool(self.driver.state.holders(task)) or not self._counts(commitment)
            return there or self.lost()

        with self.driver.changed:
            served = left != 0 and self.driver.changed.wait_for(ready, left)
        if self.lost():
            raise self.gone()
        if not served:
            raise TimeoutError(
                f"{task.stage} partition {task.partition} is being made again; call result() later"
            )

    def _left(self, least: float) -> float | None:
        return None if self.end is None else max(self.end - time.monotonic(), least)

    def _check_time(self, commitment: Commitment) -> None:
        """Refuse to read more of an answer, once the time for it is over."""
        if self._left(0) == 0:
            raise TimeoutError(
                f"expected the whole answer in time, but {REDUCE} partition {commitment.partition}"
                " is not read yet; call result() again, with a longer timeout"
            )


def _late(error: TimeoutError) -> TimeoutError:
    return TimeoutError(
        f"expected the whole answer in time, but {error}; call result() again, with a longer"
        " timeout"
    )
