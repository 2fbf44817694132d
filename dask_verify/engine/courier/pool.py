"""The domains of a job, each behind a courier: nothing of them is unpickled in this process."""

from __future__ import annotations

import uuid
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future as Reply
from concurrent.futures import wait
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from dask.typing import Key

from dask_verify.core.canonical import encode
from dask_verify.engine.compat import packed
from dask_verify.engine.courier.command import Limits
from dask_verify.engine.courier.courier import Courier
from dask_verify.engine.courier.futures import CourierFuture, Results
from dask_verify.engine.courier.line import GRACE, START, Answer
from dask_verify.engine.courier.remote import Remote
from dask_verify.engine.domainpool import TIMEOUT, DomainPool, check_workers, names_of
from dask_verify.engine.plain import plain
from dask_verify.errors import InputError

if TYPE_CHECKING:
    from dask_verify.engine.compat import GraphNode

_GLANCE = 1.0  #: seconds for which addresses of workers are waited for: the last known ones do


class CourierPool(DomainPool):
    """A courier for each domain, from now on until the pool is closed.

    Parameters
    ----------
    remotes : mapping of str to Remote
        Where the domains' schedulers are.
    staffed : bool
        Whether each must be reached now, and have a worker; otherwise one of them must be reached.

    Attributes
    ----------
    in_force : dict of str to tuple of str
        What confines each courier.

    Raises
    ------
    InputError
        If a scheduler cannot be reached, has no worker, or a setting is wrong.
    """

    connected = False
    direct = False

    def __init__(self, remotes: Mapping[str, Remote], staffed: bool = True) -> None:
        self._names = names_of(list(remotes))
        self._places = {name: (to.address, name) for name, to in remotes.items()}
        limits = Limits.configured()
        self._limits = limits
        self._couriers = {name: Courier(name, to, limits) for name, to in remotes.items()}
        try:
            self._connect(staffed)
            self._look(START)
            if staffed:
                check_workers({name: c.workers for name, c in self._couriers.items()})
        except BaseException:
            self.close()
            raise
        self.in_force = {name: c.in_force for name, c in self._couriers.items()}

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the domains, in the order in which they were given."""
        return self._names

    @property
    def places(self) -> dict[str, Hashable]:
        """What the workers of each domain are called, whatever pool they are in."""
        return dict(self._places)

    def workers(self) -> dict[str, list[str]]:
        """Return the addresses of every domain's workers, as each said last.

        All are asked anew, but who does not answer soon is not waited for.
        """
        self._look(_GLANCE)
        return {name: list(courier.workers) for name, courier in self._couriers.items()}

    def submit(
        self,
        domain: str,
        graph: Mapping[Key, GraphNode],
        keys: Sequence[Key],
        retries: int = 0,
        priority: int = 0,
    ) -> dict[Key, CourierFuture]:
        """Start computing some keys of a graph in one domain."""
        line = self._courier(domain).line
        futures = line.results.new(keys)
        numbers = tuple(future.number for future in futures.values())
        line.tell("submit", numbers, tuple(keys), retries, priority, body=packed(graph))
        return futures

    def results(
        self, landings: Sequence[tuple[str, CourierFuture]]
    ) -> Iterator[bytes | BaseException]:
        """Yield what futures hold that are done: bytes, or why there are none.

        One by one: more is fetched only as these are taken.
        """
        return (future.take() for _, future in landings)

    def scatter(
        self, domain: str, data: bytes, hint: str = "verify-data", *, timeout: float = TIMEOUT
    ) -> CourierFuture:
        """Put bytes into the memory of one of a domain's workers."""
        courier = self._courier(domain)
        key = f"{hint}-{uuid.uuid4().hex}"
        future = courier.line.results.new([key])[key]
        courier.ask("scatter", future.number, key, timeout, body=data, timeout=timeout)
        return future

    def call(
        self, address: str, domain: str, op: str, *, timeout: float = TIMEOUT, **msg: Any
    ) -> Any:
        """Ask one worker, through its scheduler, and return its answer."""
        courier, asked = self._courier(domain), {"body": encode(msg), "most": self._limits.answer}
        answer = courier.ask("call", address, op, timeout, timeout=timeout, **asked)
        return _answer(answer, {"op": op, "worker": address})

    def broadcast(self, op: str, *, timeout: float = TIMEOUT, **msg: Any) -> dict[str, Any]:
        """Ask all workers of all domains, and return the answers of those who gave one."""
        body, replies = encode(msg), []
        for courier in self._couriers.values():
            with suppress(OSError):
                line = courier.line
                replies.append(
                    line.ask("broadcast", op, timeout, body=body, timeout=timeout + GRACE)
                )
        wait(replies, timeout)
        answers: dict[str, Any] = {}
        for reply in replies:
            # Best effort: a domain out of reach, or talking nonsense, has not answered.
            with suppress(OSError, TimeoutError):
                answer = _answer(reply.result(0), {"op": op})
                answers |= answer if isinstance(answer, dict) else {}
        return answers

    def cancel(self, futures: Iterable[CourierFuture]) -> None:
        """Stop waiting for results; what is not running yet never will."""
        groups: dict[Results, list[CourierFuture]] = {}
        for future in futures:
            groups.setdefault(future.results, []).append(future)
        for results, group in groups.items():
            results.release(group, "cancel")

    def close(self) -> None:
        """End the couriers."""
        for courier in self._couriers.values():
            courier.close()

    def _connect(self, all_of_them: bool) -> None:
        errors: list[InputError] = []
        for courier in self._couriers.values():
            try:
                courier.connected(2 * START)
            except InputError as error:
                errors.append(error)
                if all_of_them:
                    break
        # Without any domain a job would only come to the end that nobody answers.
        if errors and (all_of_them or len(errors) == len(self._couriers)):
            raise errors[0]

    def _courier(self, domain: str) -> Courier:
        return self._couriers[self._known(domain)]

    def _look(self, timeout: float) -> None:
        replies: list[Reply[Answer]] = []
        for courier in self._couriers.values():
            reply = courier.look()
            replies += [reply] if reply is not None else []
        wait(replies, timeout)


def _answer(answer: Answer, request: dict[str, Any]) -> Any:
    """Return a worker's answer.

    Raises
    ------
    ConnectionError
        If it is not plain.
    """
    value, body = answer
    if value is True:
        return body
    if type(value) is not tuple or len(value) != 1 or body:
        raise ConnectionError(f"{request['op']} was answered with something that is not plain")
    return plain(value[0], request)
