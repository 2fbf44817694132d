"""Reading sealed partitions: no byte is believed before it hashes to the root it was read for."""

from __future__ import annotations

import math
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from dask_verify.core.canonical import decode, encode
from dask_verify.core.seal import OUTPUT, Columns, Commitment, Opening, asked
from dask_verify.engine.patience import Patience
from dask_verify.engine.pool import DomainPool
from dask_verify.engine.store import Address, Store
from dask_verify.errors import DecodingError, ProofError, VerifyError
from dask_verify.protocol.domain import COORDINATOR, Domain
from dask_verify.protocol.messages import Event, ServedWrong, Task, Unserved
from dask_verify.protocol.serving import Reply, convicts, questions

Range = tuple[Commitment, int, int]

_CHUNK = 32 << 20  #: bytes asked for in one request, about
_LONG = 10.0  #: seconds after which a call without an answer was a silence
_GRUDGE = 60.0  #: seconds for which a silent worker is not asked again


def _task(of: Commitment | Opening | Columns) -> Task:
    return Task(of.stage, of.partition)


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


class GoneError(VerifyError):
    """What is challenged was replaced while the challenge was on its way."""


class ReplacedError(UnservedError):
    """A map partition is not accepted now as a reduce stage was started with it.

    Attributes
    ----------
    inputs : bytes
        Of that stage.
    """

    def __init__(self, task: Task, inputs: bytes) -> None:
        super().__init__(task)
        self.inputs = inputs


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
    _silent: dict[str, float] = field(default_factory=dict)

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

    def sections(self, ranges: Sequence[Range], what: str) -> list[Opening]:
        """Return verified openings of many accepted partitions, asking each holder once.

        Raises
        ------
        UnservedError
            As `leaves` does.
        """
        found: dict[Range, Opening | None] = {}
        by_holder: dict[str, list[Range]] = defaultdict(list)
        for wanted in ranges:
            holders = self.holders(_task(wanted[0]))
            by_holder[holders[0] if holders else ""].append(wanted)
        for domain, group in by_holder.items():
            found |= self._many(domain, group, what)
        unserved: list[UnservedError] = []
        for wanted in ranges:
            try:
                found[wanted] = found.get(wanted) or self._from_any(*wanted, what)
            except UnservedError as error:
                # All that is missing is made again at the same time.
                unserved.append(error)
        if unserved:
            raise unserved[0]
        return [opening for r in ranges if (opening := found[r]) is not None]

    def cells(self, ranges: Iterable[Range], bucket: int, what: str) -> tuple[bytes, ...]:
        """Return the verified cells of one bucket, of those map partitions that ranges name.

        Raises
        ------
        UnservedError
            As `leaves` does.
        """
        column = [(c, bucket * c.units, (bucket + 1) * c.units) for c, _, _ in ranges]
        return tuple(cell for o in self.sections(column, what) for cell in o.leaves)

    def _many(self, domain: str, ranges: Sequence[Range], what: str) -> dict[Range, Opening]:
        """Ask one holder for many ranges; what it does not serve is simply not there."""
        by_address: dict[str | None, list[Range]] = defaultdict(list)
        for wanted in ranges:
            by_address[self.addresses.get((_task(wanted[0]), domain))].append(wanted)
        by_address.pop(None, None)
        found: dict[Range, Opening] = {}
        for address, group in by_address.items():
            waiting, patience = list(group), Patience()
            while waiting and not patience.over:
                requests = [asked(c, OUTPUT, a, b, domain) for c, a, b in waiting]
                openings = self._openings(str(address), requests, what, patience)
                for wanted, opening in zip(waiting, openings, strict=False):
                    if opening is not None:
                        found[wanted] = opening
                waiting = waiting[len(openings) :] if openings else []
        return found

    def open(self, request: Opening, what: str) -> Opening | None:
        """Return one domain's verified opening; None if it does not serve it."""
        if request.domain == COORDINATOR:
            return self._own(request)
        address = self.addresses.get((_task(request), request.domain))
        openings = [] if address is None else self._openings(address, [request], what)
        return openings[0] if openings else None

    def openings(self, requests: Sequence[Opening], what: str) -> list[Opening] | None:
        """Return one domain's verified openings of one partition; None if it does not serve all."""
        openings: list[Opening] = []
        address = self.addresses.get((_task(requests[0]), requests[0].domain))
        patience = Patience()
        while address is not None and len(openings) < len(requests) and not patience.over:
            found = self._openings(address, requests[len(openings) :], what, patience)
            if not found or None in found:
                return None
            openings += [opening for opening in found if opening is not None]
        return openings if len(openings) == len(requests) else None

    def columns(self, request: Columns, what: str) -> Columns | None:
        """Return the leaf hashes of whole units, proven; None if nobody serves them."""
        address = self.addresses.get((_task(request), request.domain), "")
        asking = {"request": request.to_bytes()}
        reply = self._call(address, request.domain, "verify_columns", asking)
        if not isinstance(reply, bytes) or not reply:
            return None
        self.moved[what] += len(reply)
        try:
            columns = Columns.from_bytes(reply)
            columns.verify(request)
        except (DecodingError, ProofError):
            return None
        return columns

    def nodes(self, request: Opening, level: int, index: int, depth: int) -> list[bytes] | None:
        """Return hashes of a tree as a domain gives them; the caller checks them."""
        if request.domain == COORDINATOR:
            sealed = self.local[Address(request.job, request.stage, request.partition)]
            return sealed.tree(request.tree)[0].descendants(level, index, depth)
        asking = encode((request.to_bytes(), level, index, depth))
        address = self.addresses.get((_task(request), request.domain), "")
        reply = self._call(address, request.domain, "verify_nodes", {"request": asking})
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
                task = _task(commitment)
                if domain.name in self.holders(task):
                    self.post(ServedWrong(task, domain.name))

    def _from_any(self, commitment: Commitment, start: int, stop: int, what: str) -> Opening:
        task = _task(commitment)
        holders = self.holders(task)
        for domain in holders:
            opening = self.open(asked(commitment, OUTPUT, start, stop, domain), what)
            if opening is not None:
                return opening
        for domain in holders:
            self.post(Unserved(task, domain, commitment.digest))
        raise UnservedError(task)

    def _own(self, request: Opening) -> Opening | None:
        try:
            return self.local[Address(request.job, request.stage, request.partition)].open(request)
        except KeyError:
            return None

    def _openings(
        self,
        address: str,
        requests: Sequence[Opening],
        what: str,
        patience: Patience | None = None,
    ) -> list[Opening | None]:
        """Return verified openings of the first of some requests; nothing if it does not answer.

        Who has signed for what is not as it was committed to is reported to the protocol.
        """
        asking = {"request": questions(requests)}
        wire = self._call(address, requests[0].domain, "verify_open", asking)
        if not isinstance(wire, bytes):
            return []
        self.moved[what] += len(wire)
        if patience is not None:
            patience.moved += len(wire)
        try:
            reply = Reply.from_bytes(wire, requests)
        except DecodingError:
            return []
        return [self._believed(reply, i, requests[i]) for i in range(len(reply.openings))]

    def _believed(self, reply: Reply, index: int, request: Opening) -> Opening | None:
        opening = reply.believed(index)
        if opening is None and reply.openings[index] is not None:
            domain = self.domains.get(request.domain)
            if domain and convicts(reply.evidence(index), request, domain):
                self.post(ServedWrong(_task(request), domain.name))
        return opening

    def _call(self, address: str, domain: str, op: str, message: dict[str, Any]) -> object:
        began = time.monotonic()
        if began < self._silent.get(address, 0):
            return None  # it has kept us waiting before; others are asked meanwhile
        try:
            return self.pool.call(address, domain, op, **message)
        except OSError:
            if time.monotonic() - began > _LONG:
                self._silent[address] = time.monotonic() + _GRUDGE
            return None  # not served; the caller goes on to the next holder

    @staticmethod
    def _step(commitment: Commitment) -> int:
        leaf = max(1, math.ceil(commitment.nbytes / max(1, commitment.size)))
        return max(1, _CHUNK // leaf)
