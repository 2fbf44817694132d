"""Reading sealed partitions: no byte is believed before it hashes to the root it was read for."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from dask_verify.core.canonical import decode, encode
from dask_verify.core.seal import OUTPUT, Commitment, Opening, asked
from dask_verify.engine.pool import DomainPool
from dask_verify.engine.store import Address, Store
from dask_verify.errors import DecodingError, ProofError, VerifyError
from dask_verify.protocol.domain import COORDINATOR, Domain
from dask_verify.protocol.messages import Event, ServedWrong, Task, Unserved
from dask_verify.protocol.serving import believe, convicts, evidence_of

_CHUNK = 32 << 20  #: bytes asked for in one request, about


class UnservedError(VerifyError):
    """No holder served a partition that it had committed to.

    Attributes
    ----------
    task : Task
        Which one.
    """

    def __init__(self, task: Task) -> None:
        self.task = task
        super().__init__(f"no holder serves {task.stage} partition {task.partition}")


@dataclass
class Reader:
    """Reads what domains committed to.

    Parameters
    ----------
    domains : dict of str to Domain
    pool : DomainPool
    local : Store
        What the coordinator computed itself.
    holders : callable
        Current holders of an accepted task.
    post : callable
        Takes events for the protocol.
    """

    domains: dict[str, Domain]
    pool: DomainPool
    local: Store
    holders: Callable[[Task], list[str]]
    post: Callable[[Event], None]
    addresses: dict[tuple[Task, str], str] = field(default_factory=dict)
    moved: Counter[str] = field(default_factory=Counter)

    def leaves(self, commitment: Commitment, start: int, stop: int, what: str) -> list[bytes]:
        """Return a range of verified leaves of an accepted partition, from whoever serves it.

        Raises
        ------
        UnservedError
            If no holder does; each of them is then reported to the protocol.
        """
        leaves: list[bytes] = []
        step = self._step(commitment)
        for low in range(start, stop, step):
            opening = self._from_any(commitment, low, min(low + step, stop), what)
            leaves.extend(opening.leaves)
        return leaves

    def opening(self, commitment: Commitment, start: int, stop: int, what: str) -> Opening:
        """Return one verified opening of an accepted partition, to be relayed."""
        return self._from_any(commitment, start, stop, what)

    def open(self, request: Opening, what: str) -> Opening | None:
        """Return one domain's verified opening; None if it does not serve it."""
        if request.domain == COORDINATOR:
            return self._own(request)
        wire = self._ask(request, what)
        if not wire:
            return None
        try:
            return believe(wire, request)
        except (DecodingError, ProofError):
            self._convict(wire, request)
            return None

    def nodes(self, request: Opening, level: int, index: int, depth: int) -> list[bytes] | None:
        """Return hashes of a tree as a domain gives them; the caller checks them."""
        if request.domain == COORDINATOR:
            sealed = self.local[Address(request.job, request.stage, request.partition)]
            return sealed.tree(request.tree)[0].descendants(level, index, depth)
        asking = encode((request.to_bytes(), level, index, depth))
        reply = self._call(request, "verify_nodes", request_=asking)
        if not isinstance(reply, bytes) or not reply:
            return None
        self.moved["hashes"] += len(reply)
        try:
            hashes = decode(reply)
        except DecodingError:
            return None
        ok = isinstance(hashes, tuple) and all(isinstance(h, bytes) for h in hashes)
        return list(hashes) if ok else None

    def where(self, task: Task) -> Iterator[tuple[str, str]]:
        """Return the holders of a task that are workers, with their addresses."""
        for domain in self.holders(task):
            if (task, domain) in self.addresses:
                yield domain, self.addresses[task, domain]

    def convict(self, evidence: bytes, commitment: Commitment, start: int, stop: int) -> None:
        """Report whoever signed a wrong opening of an accepted range, on anybody's evidence."""
        for domain in self.domains.values():
            request = asked(commitment, OUTPUT, start, stop, domain.name)
            if convicts(evidence, request, domain):
                task = Task(commitment.stage, commitment.partition)
                if domain.name in self.holders(task):
                    self.post(ServedWrong(task, domain.name))

    def _from_any(self, commitment: Commitment, start: int, stop: int, what: str) -> Opening:
        task = Task(commitment.stage, commitment.partition)
        holders = self.holders(task)
        for domain in holders:
            opening = self.open(asked(commitment, OUTPUT, start, stop, domain), what)
            if opening is not None:
                return opening
        for domain in holders:
            self.post(Unserved(task, domain))
        raise UnservedError(task)

    def _own(self, request: Opening) -> Opening | None:
        try:
            return self.local[Address(request.job, request.stage, request.partition)].open(request)
        except KeyError:
            return None

    def _ask(self, request: Opening, what: str) -> bytes:
        replies = self._call(request, "verify_open", requests=[request.to_bytes()])
        if not isinstance(replies, (list, tuple)) or len(replies) != 1:
            return b""
        wire = replies[0]
        if not isinstance(wire, bytes):
            return b""
        self.moved[what] += len(wire)
        return wire

    def _call(self, request: Opening, op: str, **message: Any) -> object:
        address = self.addresses.get((Task(request.stage, request.partition), request.domain))
        if address is None:
            return None
        arguments = {name.rstrip("_"): value for name, value in message.items()}
        try:
            return self.pool.call(address, request.domain, op, **arguments)
        except OSError:
            return None  # not served; the caller goes on to the next holder

    def _convict(self, wire: bytes, request: Opening) -> None:
        evidence = evidence_of(wire)
        domain = self.domains.get(request.domain)
        if evidence and domain and convicts(evidence, request, domain):
            self.post(ServedWrong(Task(request.stage, request.partition), domain.name))

    @staticmethod
    def _step(commitment: Commitment) -> int:
        leaf = max(1, math.ceil(commitment.nbytes / max(1, commitment.size)))
        return max(1, _CHUNK // leaf)
