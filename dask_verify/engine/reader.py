"""Reading sealed partitions: no byte is believed before it hashes to the root it was read for."""

from __future__ import annotations

import math
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from dask_verify.core.canonical import decode_plain, encode
from dask_verify.core.seal import OUTPUT, Columns, Commitment, Opening, asked
from dask_verify.engine.domainpool import TIMEOUT, DomainPool
from dask_verify.engine.grudges import Grudges
from dask_verify.engine.own import own_answer, own_nodes
from dask_verify.engine.pace import Pace
from dask_verify.engine.patience import REPLY, SECONDS, Patience
from dask_verify.engine.store import Store
from dask_verify.errors import DecodingError, ProofError, VerifyError
from dask_verify.protocol.domain import COORDINATOR, Domain
from dask_verify.protocol.messages import Event, ServedWrong, Task, Unserved
from dask_verify.protocol.serving import Reply, convicts, questions

Range = tuple[Commitment, int, int]

_CHUNK = 32 << 20  #: bytes asked for in one request, about
_LARGEST = 1 << 30  #: bytes that a worker is given time for at the most, whatever it claims to have
_IN_VAIN = 2  #: workers of a domain that are silent in one call, and then no more of them are asked
_EACH = 5  #: of `soon`, the part for each worker where nobody else serves what it holds
_AHEAD = 25  #: workers for which a domain has that time from the start, at the most


def _task(of: Commitment | Opening | Columns) -> Task:
    return Task(of.stage, of.partition)


def _size(wanted: Range) -> int:
    """Return about how many bytes a range of leaves has."""
    commitment, start, stop = wanted
    return commitment.nbytes * (stop - start) // max(1, commitment.size)


def _expected(ranges: Sequence[Range]) -> int:
    """Return how many bytes one reply to some requests may have, about.

    The holders say themselves how much they hold: none may buy hours for its silence that way.
    """
    sizes = [_size(wanted) for wanted in ranges]
    return min(sum(sizes), REPLY + max(sizes), _LARGEST)


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

    Parameters
    ----------
    task : Task
        The map partition's task.

    Attributes
    ----------
    inputs : bytes
        Of that stage.
    """

    def __init__(self, task: Task, inputs: bytes) -> None:
        super().__init__(task)
        self.inputs = inputs


@dataclass
class _Reading:
    """What one call learns of the domains that it asks."""

    silent: Counter[str] = field(default_factory=Counter)
    spared: set[tuple[Range, str]] = field(default_factory=set)
    #: What there was no time left to ask a domain for.
    left: dict[str, list[Range]] = field(default_factory=lambda: defaultdict(list))


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
    claimed : callable
        What a domain itself has committed to for a task.
    pace : Pace
        How long a worker has for an answer.
    addresses : dict of str to dict, optional
        Which worker of a domain has a task's partition (kept by the reader itself).
    moved : Counter of str, optional
        Bytes that were read, by what for.
    copies : Counter of (Task, str), optional
        How often a domain has made a partition again (kept by the reader, and whoever stands in).
    """

    domains: dict[str, Domain]
    pool: DomainPool
    local: Store
    holders: Callable[[Task], list[str]]
    post: Callable[[Event], None]
    claimed: Callable[[Task, str], list[Commitment]]
    pace: Pace
    addresses: dict[str, dict[Task, str]] = field(default_factory=lambda: defaultdict(dict))
    moved: Counter[str] = field(default_factory=Counter)
    copies: Counter[tuple[Task, str]] = field(default_factory=Counter)
    _grudges: Grudges = field(default_factory=Grudges)

    def leaves(self, commitment: Commitment, start: int, stop: int, what: str) -> list[bytes]:
        """Return a range of verified leaves of an accepted partition, from whoever serves it.

        Parameters
        ----------
        commitment : Commitment
            The commitment.
        start, stop : int
            The range of leaves.
        what : str
            What is read: the counter of bytes that it adds to.

        Returns
        -------
        list of bytes

        Raises
        ------
        UnservedError
            If no holder does; each of them is then reported to the protocol.
        """
        return [leaf for chunk in self.chunks(commitment, start, stop, what) for leaf in chunk]

    def chunks(
        self, commitment: Commitment, start: int, stop: int, what: str
    ) -> Iterator[Sequence[bytes]]:
        """Return what `leaves` does, as it is read: the caller may stop in between.

        Parameters
        ----------
        commitment : Commitment
            The commitment.
        start, stop : int
            The range of leaves.
        what : str
            What is read: the counter of bytes that it adds to.

        Yields
        ------
        sequence of bytes
            Leaves.

        Raises
        ------
        UnservedError
            As `leaves` does.
        """
        step = self._step(commitment)
        for low in range(start, stop, step):
            yield self._from_any(commitment, low, min(low + step, stop), what).leaves

    def sections(self, ranges: Sequence[Range], what: str) -> list[Opening]:
        """Return verified openings of many accepted partitions, asking each holder once.

        Who has kept us waiting before is asked only for what nobody else serves.

        Parameters
        ----------
        ranges : sequence of Range
            Map commitments, each with a range of leaves.
        what : str
            What is read: the counter of bytes that it adds to.

        Returns
        -------
        list of Opening

        Raises
        ------
        UnservedError
            As `leaves` does.
        """
        found: dict[Range, Opening] = {}
        reading = _Reading()
        holders = {w: self._grudges.order(self.holders(_task(w[0]))) for w in ranges}
        before = dict(self.copies)
        for rank in range(max(map(len, holders.values()), default=0)):
            by_holder: dict[str, list[Range]] = defaultdict(list)
            for wanted, names in holders.items():
                if wanted not in found and rank < len(names):
                    by_holder[names[rank]].append(wanted)
            for domain, group in by_holder.items():
                found |= self._many(domain, group, what, reading)
        found |= self._rest(found, what, reading)
        # All that is missing is made again at the same time.
        missing = [wanted for wanted in ranges if wanted not in found]
        for wanted in missing:
            asked = [d for d in holders[wanted] if (wanted, d) not in reading.spared]
            self._unserved(wanted[0], asked, before)
        if missing:
            raise UnservedError(_task(missing[0][0]))
        return [found[wanted] for wanted in ranges]

    def cells(self, ranges: Iterable[Range], bucket: int, what: str) -> tuple[bytes, ...]:
        """Return the verified cells of one bucket, of those map partitions that ranges name.

        Parameters
        ----------
        ranges : iterable of Range
            Map commitments, each with a range of leaves.
        bucket : int
            Number of the bucket, among all buckets of the job.
        what : str
            What is read: the counter of bytes that it adds to.

        Returns
        -------
        tuple of bytes

        Raises
        ------
        UnservedError
            As `leaves` does.
        """
        column = [(c, bucket * c.units, (bucket + 1) * c.units) for c, _, _ in ranges]
        return tuple(cell for o in self.sections(column, what) for cell in o.leaves)

    def _many(
        self,
        domain: str,
        ranges: Sequence[Range],
        what: str,
        reading: _Reading | None = None,
        each: float = 0.0,
    ) -> dict[Range, Opening]:
        """Ask one holder for many ranges; what it does not serve is simply not there.

        It says itself where each of them is, and may name many workers that never answer.
        """
        if domain == COORDINATOR:
            own = {r: own_answer(self.local, asked(r[0], OUTPUT, *r[1:], domain)) for r in ranges}
            return {wanted: opening for wanted, opening in own.items() if opening is not None}
        reading = reading or _Reading()
        by_address: dict[str | None, list[Range]] = defaultdict(list)
        for wanted in ranges:
            by_address[self._address(_task(wanted[0]), domain)].append(wanted)
        by_address.pop(None, None)
        # It names as many workers as it likes: all of them share one patience.
        seconds = SECONDS + each * min(len(by_address), _AHEAD)
        patience = Patience(0.0 if reading.left[domain] else seconds)
        found: dict[Range, Opening] = {}
        for number, (address, group) in enumerate(by_address.items()):
            if number >= _AHEAD and not patience.over:
                patience.seconds += each
            if reading.silent[domain] < _IN_VAIN:
                found |= self._group(domain, str(address), group, what, reading, patience)
            elif not self._grudges.hopeless(domain):
                # Two workers may be lost: that is no reason yet to make anew what others hold.
                reading.spared |= {(wanted, domain) for wanted in group}
        return found

    def _rest(
        self, found: Mapping[Range, Opening], what: str, reading: _Reading
    ) -> dict[Range, Opening]:
        """Ask the slow once more, for what nobody else served: many workers may take their time."""
        more: dict[Range, Opening] = {}
        left, reading.left = reading.left, defaultdict(list)
        for domain in self._grudges.order(list(left)):
            missing = [w for w in left[domain] if w not in found and w not in more]
            more |= self._many(domain, missing, what, reading, self.pace.soon / _EACH)
        return more

    def _group(
        self,
        domain: str,
        address: str,
        ranges: Sequence[Range],
        what: str,
        reading: _Reading,
        patience: Patience,
    ) -> dict[Range, Opening]:
        """Ask one worker for many ranges, until it is done, silent, or no longer worth a wait."""
        found: dict[Range, Opening] = {}
        waiting = list(ranges)
        while waiting and not patience.over:
            requests = [asked(c, OUTPUT, a, b, domain) for c, a, b in waiting]
            nbytes, began = _expected(waiting), time.monotonic()
            openings = self._openings(address, requests, what, patience, nbytes)
            if not any(openings):
                self._in_vain(domain, began, reading, patience)
                break
            for wanted, opening in zip(waiting, openings, strict=False):
                if opening is not None:
                    found[wanted] = opening
            waiting = waiting[len(openings) :]
            self._dragged(domain, patience)
        else:
            reading.left[domain] += waiting
        return found

    def _in_vain(self, domain: str, began: float, reading: _Reading, patience: Patience) -> None:
        """Note an answer that brought nothing; a lost worker's silence is not held against others.

        Of the silent, few are waited for at all.
        """
        if self._long(began):
            reading.silent[domain] += 1
            patience.seconds += time.monotonic() - began
        self._dragged(domain, patience)

    def open(self, request: Opening, what: str, nbytes: int | None = None) -> Opening | None:
        """Return one domain's verified opening; None if it does not serve it.

        Without the number of bytes that it has, about, it is given time for a large one.

        Parameters
        ----------
        request : Opening
            Which range of whose tree.
        what : str
            What is read: the counter of bytes that it adds to.
        nbytes : int or None, optional
            Bytes that are to be expected; None where that is unknown.

        Returns
        -------
        Opening or None
        """
        if request.domain == COORDINATOR:
            return own_answer(self.local, request)
        address = self._address(_task(request), request.domain)
        if address is None:
            return None
        openings = self._openings(address, [request], what, nbytes=nbytes, named=True)
        return openings[0] if openings else None

    def openings(self, requests: Sequence[Opening], what: str) -> list[Opening] | None:
        """Return one domain's verified openings of one partition; None if it does not serve all.

        Parameters
        ----------
        requests : sequence of Opening
            Ranges of the trees of one partition.
        what : str
            What is read: the counter of bytes that it adds to.

        Returns
        -------
        list of Opening or None
        """
        openings: list[Opening] = []
        address = self._address(_task(requests[0]), requests[0].domain)
        patience = Patience()
        while address is not None and len(openings) < len(requests) and not patience.over:
            rest = requests[len(openings) :]
            found = self._openings(address, rest, what, patience, named=True)
            if not found or None in found:
                return None
            openings += [opening for opening in found if opening is not None]
        return openings if len(openings) == len(requests) else None

    def columns(self, request: Columns, what: str) -> Columns | None:
        """Return the leaf hashes of whole units, proven; None if nobody serves them.

        Parameters
        ----------
        request : Columns
            Which units of whose partition.
        what : str
            What is read: the counter of bytes that it adds to.

        Returns
        -------
        Columns or None
        """
        if request.domain == COORDINATOR:
            return own_answer(self.local, request)
        address = self._address(_task(request), request.domain) or ""
        asking, began = {"request": request.to_bytes()}, time.monotonic()
        reply = self._call(address, request.domain, "verify_columns", asking, 0, named=True)
        self.moved[what] += len(reply) if isinstance(reply, bytes) else 0
        try:
            columns = Columns.from_bytes(reply if isinstance(reply, bytes) else b"")
            columns.verify(request)
        except (DecodingError, ProofError):
            self._resent(request.domain, address, began, named=True)
            return None
        return columns

    def nodes(self, request: Opening, level: int, index: int, depth: int) -> list[bytes] | None:
        """Return hashes of a tree as a domain gives them; the caller checks them.

        Parameters
        ----------
        request : Opening
            Which range of whose tree.
        level, index : int
            The node.
        depth : int
            How many levels below it.

        Returns
        -------
        list of bytes or None
        """
        if request.domain == COORDINATOR:
            return own_nodes(self.local, request, level, index, depth)
        asking = encode((request.to_bytes(), level, index, depth))
        address = self._address(_task(request), request.domain) or ""
        message, began = {"request": asking}, time.monotonic()
        reply = self._call(address, request.domain, "verify_nodes", message, 0, named=True)
        self.moved["hashes"] += len(reply) if isinstance(reply, bytes) else 0
        try:
            hashes = decode_plain(reply) if isinstance(reply, bytes) else None
        except DecodingError:
            hashes = None
        if isinstance(hashes, tuple) and all(isinstance(h, bytes) for h in hashes):
            return list(hashes)
        self._resent(request.domain, address, began, named=True)
        return None

    def where(self, task: Task) -> Iterator[tuple[str, str]]:
        """Return the holders of a task that are workers, with their addresses.

        Parameters
        ----------
        task : Task
            The task.

        Yields
        ------
        tuple of (str, str)
            Name of a domain, and the address of its worker.
        """
        for domain in self.holders(task):
            address = self._address(task, domain)
            if address is not None:
                yield domain, address

    def found_at(self, task: Task, domain: str, address: str) -> None:
        """Note which worker of a domain has a task's partition.

        Parameters
        ----------
        task : Task
            The task.
        domain : str
            Name of the domain.
        address : str
            Address of the worker.
        """
        # The same few addresses over and over: each is held once.
        addresses = self.addresses[domain]
        if task in addresses:
            self.copies[task, domain] += 1
        addresses[task] = sys.intern(address)

    def _address(self, task: Task, domain: str) -> str | None:
        return self.addresses[domain].get(task)

    def convict(self, evidence: bytes, commitment: Commitment, start: int, stop: int) -> None:
        """Report whoever signed a wrong opening of an accepted range, on anybody's evidence.

        Parameters
        ----------
        evidence : bytes
            A signed statement about a wrong opening.
        commitment : Commitment
            The commitment.
        start, stop : int
            The range of leaves.
        """
        for domain in self.holders(_task(commitment)):
            self._convict(evidence, asked(commitment, OUTPUT, start, stop, domain))

    def _from_any(self, commitment: Commitment, start: int, stop: int, what: str) -> Opening:
        task = _task(commitment)
        holders = self._grudges.order(self.holders(task))
        before, wanted = dict(self.copies), (commitment, start, stop)
        for domain in holders:
            found = self._many(domain, [wanted], what)
            if wanted in found:
                return found[wanted]
        self._unserved(commitment, holders, before)
        raise UnservedError(task)

    def _unserved(
        self, commitment: Commitment, names: Sequence[str], before: Mapping[tuple[Task, str], int]
    ) -> None:
        """Report those who were asked for a partition: who holds it since then was not.

        Nor was who has made it again; others may have kept us waiting meanwhile.
        """
        task = _task(commitment)
        for domain in names:
            if self.copies[task, domain] == before.get((task, domain), 0):
                self.post(Unserved(task, domain, commitment.digest))

    def _openings(
        self,
        address: str,
        requests: Sequence[Opening],
        what: str,
        patience: Patience | None = None,
        nbytes: int | None = None,
        named: bool = False,
    ) -> list[Opening | None]:
        """Return verified openings of the first of some requests; nothing if it does not answer.

        Who has signed for what is not as it was committed to is reported to the protocol.
        """
        asking, began = {"request": questions(requests)}, time.monotonic()
        wire = self._call(address, requests[0].domain, "verify_open", asking, nbytes, named)
        try:
            reply = Reply.from_bytes(wire, requests) if isinstance(wire, bytes) else None
        except DecodingError:
            reply = None
        found = [] if reply is None else list(reply.believed)
        self.moved[what] += len(wire) if isinstance(wire, bytes) else 0
        if not any(found):
            self._resent(requests[0].domain, address, began, named)
        if reply is None:
            return []
        if patience is not None:
            patience.moved += reply.moved
        if reply.wrong is not None:
            self._convict(reply.evidence(reply.wrong), requests[reply.wrong])
        return found

    def _convict(self, evidence: bytes, request: Opening) -> None:
        """Report a domain that signed what is not as it had itself committed to."""
        domain, task = self.domains.get(request.domain), _task(request)
        own = {
            (c.root, c.size) if request.tree == OUTPUT else (c.input_root, c.units)
            for c in self.claimed(task, request.domain)
        }
        if domain and (request.root, request.size) in own and convicts(evidence, request, domain):
            self.post(ServedWrong(task, domain.name, evidence))

    def _long(self, began: float) -> bool:
        """Whether more time has passed than what needs no computing takes."""
        return time.monotonic() - began > self.pace.soon

    def _resent(self, domain: str, address: str, began: float, named: bool) -> None:
        """Note who has kept us waiting for long, and for nothing."""
        if self._long(began):
            self._grudges.silent(domain, address, began, named)

    def _dragged(self, domain: str, patience: Patience) -> None:
        """Note who answers, but a drop at a time: at once, others ask it meanwhile."""
        if patience.over:
            self._grudges.dragged(domain)

    def _call(
        self,
        address: str,
        domain: str,
        op: str,
        message: dict[str, Any],
        nbytes: int | None,
        named: bool,
    ) -> object:
        """Ask a worker; None if it does not answer in the time for so many bytes, if known."""
        timeout = TIMEOUT if nbytes is None else self.pace.answer(nbytes)
        if self._grudges.bars(domain, address, named):
            return None  # it has kept us waiting before; others are asked meanwhile
        began = time.monotonic()
        try:
            return self.pool.call(address, domain, op, timeout=timeout, **message)
        except OSError:
            self._resent(domain, address, began, named)
            return None  # not served; the caller goes on to the next holder

    @staticmethod
    def _step(commitment: Commitment) -> int:
        leaf = max(1, math.ceil(commitment.nbytes / max(1, commitment.size)))
        return max(1, _CHUNK // leaf)
