"""What is known about each task, and the arithmetic of how many domains must agree on it.

* A plan has no two domains with one name or one key: each would count twice.
* A commitment whose shape no honest domain could commit to never becomes a claim.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from dask_verify.core.seal import Commitment
from dask_verify.errors import DecodingError, InputError
from dask_verify.protocol.domain import COORDINATOR, Domain
from dask_verify.protocol.messages import MAP, Objection, Task
from dask_verify.protocol.policy import Policy
from dask_verify.protocol.quorum import Ballot
from dask_verify.protocol.terms import map_inputs, reduce_inputs

if TYPE_CHECKING:
    from dask_verify.protocol.audit import Check

MAX_UNITS = 1 << 20  #: units, or buckets, of one partition: each is drawn
MAX_COUNT = 1 << 40  #: records, or bytes, that one partition may claim: what is said is summed


@dataclass(frozen=True)
class Plan:
    """What a job consists of, fixed before it starts.

    Parameters
    ----------
    job : bytes
        Job id.
    policy : Policy
    domains : tuple of Domain
    maps, reduces : int
        Number of map and of reduce partitions.
    environment : mapping of str to str
        The coordinator's own, compared with what domains enrolled.
    buckets : int, optional
        Key buckets of the whole job; where it is given, commitments with others are refused.
    unit_records : int, optional
        Input records in one unit, 0 for whole partitions; where it is given, commitments that are
        cut otherwise are refused.
    seed : bytes
        What challenges are drawn with, 32 bytes; no domain may learn it before the verdict.

    Raises
    ------
    InputError
        If two domains share a name or a key, there is nothing to reduce to, or audits have no
        seed.
    """

    job: bytes
    policy: Policy
    domains: tuple[Domain, ...]
    maps: int
    reduces: int
    environment: Mapping[str, str] = field(default_factory=dict)
    buckets: int | None = None
    unit_records: int | None = None
    seed: bytes = field(default=b"", repr=False)

    def __post_init__(self) -> None:
        if self.policy.audited and len(self.seed) != 32:
            raise InputError(
                f"plan: expected a seed of 32 bytes for audits, got {len(self.seed)} bytes"
            )
        if self.maps < 0 or self.reduces < 1:
            raise InputError(
                "plan: expected at least 0 map and 1 reduce partitions,"
                f" got {self.maps} and {self.reduces}"
            )
        self._check_domains()

    def _check_domains(self) -> None:
        names = [domain.name for domain in self.domains]
        name, times = next(iter(Counter(names).most_common(1)), ("", 0))
        if times > 1:
            raise InputError(
                f"domains: expected a name for each, got {name!r:.200} {times} times;"
                " enrol every domain once"
            )
        holders: dict[bytes, list[str]] = {}
        for domain in self.domains:
            holders.setdefault(domain.public_key, []).append(domain.name)
        for key, sharing in holders.items():
            if len(sharing) > 1:
                both = " and ".join(f"{name!r:.200}" for name in sharing[:2])
                raise InputError(
                    f"domains: expected a public key for each, got {key.hex()[:16]}... for {both};"
                    " they would count twice: enrol each with a key of its own"
                )

    def map_inputs(self, partition: int) -> bytes:
        """Digest of what a map task is assigned.

        Parameters
        ----------
        partition : int
            Number of the partition.

        Returns
        -------
        bytes
        """
        return map_inputs(self.job, partition)

    def reduce_inputs(self, roots: Iterable[bytes]) -> bytes:
        """Digest of what every reduce task is assigned: the accepted commitments of all maps.

        Parameters
        ----------
        roots : iterable of bytes
            The commitments' digests.

        Returns
        -------
        bytes
        """
        return reduce_inputs(self.job, roots)

    def check_shape(self, commitment: Commitment) -> None:
        """Refuse a commitment whose shape does not belong to this job.

        Parameters
        ----------
        commitment : Commitment
            The commitment.

        Raises
        ------
        DecodingError
            If counts, units or buckets are not those of such a partition.
        """
        mapping = commitment.stage == MAP
        least = self.reduces if mapping else 1
        counts = self.reduces if mapping else commitment.buckets
        buckets = self.buckets
        if buckets is not None and not mapping:
            buckets //= self.reduces
        fits = (
            len(commitment.counts) == counts
            and self._cut_as_planned(commitment)
            and least <= commitment.buckets <= max(MAX_UNITS, buckets or 0)
            and commitment.buckets % least == 0
            and buckets in (None, commitment.buckets)
            and max(commitment.records_in, commitment.nbytes, *commitment.counts) <= MAX_COUNT
        )
        if not fits:
            raise DecodingError(
                f"commitment to {commitment.stage} partition {commitment.partition}: expected"
                f" {counts} counts and {buckets or f'a multiple of {least}'} buckets, got"
                f" {len(commitment.counts)} and {commitment.buckets} of {commitment.units} units"
                f" for {commitment.records_in} records, {commitment.nbytes} bytes; none of them"
                f" above 2**40"
            )

    def _cut_as_planned(self, commitment: Commitment) -> bool:
        """Whether units follow from the records: fewer, larger ones would be drawn less often."""
        units, size = commitment.units, self.unit_records
        if commitment.stage != MAP:
            return units == 1 and not commitment.input_root
        if not size:
            whole = units == 1 and not commitment.input_root
            return 1 <= units <= MAX_UNITS and (whole or size is None)
        planned = max(1, -(-commitment.records_in // size))
        return units == planned <= MAX_UNITS and bool(commitment.input_root)

    def rotation(self, task: Task) -> list[str]:
        """Domains in the order in which they are asked to run a task.

        Parameters
        ----------
        task : Task
            The task.

        Returns
        -------
        list of str
        """
        names = [d.name for d in self.domains]
        start = task.partition % len(names)
        return names[start:] + names[:start]


def required(policy: Policy, exposed: int, trusted: int, doubted: bool = False) -> int:
    """Return how many distinct domains must agree.

    ``faults + 1``; but each exposed domain is one of the faulty ones, so ``faults + 1 - exposed``
    of the others suffice where no more trusted domains are left. With ``replicas=1`` a single one,
    as long as nothing speaks against what it signed.

    Parameters
    ----------
    policy : Policy
        What the user demands.
    exposed : int
        Number of exposed domains.
    trusted : int
        Number of trusted domains.
    doubted : bool, optional
        Whether something spoke against a commitment, so that only a full quorum decides.

    Returns
    -------
    int

    Examples
    --------
    >>> required(Policy(replicas=2), exposed=0, trusted=1)
    2
    >>> required(Policy(replicas=2), exposed=1, trusted=1)
    1
    >>> required(Policy(replicas=2), exposed=1, trusted=2)
    2
    >>> required(Policy(replicas=1), exposed=0, trusted=2)
    1
    >>> required(Policy(replicas=1), exposed=0, trusted=2, doubted=True)
    2
    """
    if policy.replicas == 1 and not doubted:
        return 1
    full = policy.faults + 1
    return max(1, full - exposed, min(full, trusted))


class TaskState:
    """Everything known about one task under its present inputs.

    There is one for each partition of a job, so that what is empty takes no memory.

    Attributes
    ----------
    inputs : bytes
        What was assigned.
    ballot : Ballot
    running, late : set of str
        Who has been asked and has not answered, in time or at all.
    lost : set of str
        Who has no copy, whatever it claimed.
    tried : list of str
        Who has been asked, in order, as often as it was.
    failures : dict of str to str
        What the function's failures looked like, by executor.
    accepted : bytes or None
        The agreed digest.
    disputed : bool
        Whether an arbitration is due or under way.
    voting : str
        Why votes alone must decide, although the policy names a referee; empty: they need not.
    blameless : set of bytes
        Digests that were contradicted without anybody being blamed; not to be disputed again.
    compared : bool or None
        Whether votes could not decide, so that claims are compared for what was read: True while
        that is due, False once it was asked for, None before.
    doubted : bool
        Whether something spoke against a commitment, so that only a full quorum decides.
    checks : list of Check
        What of the accepted commitment has still to be recomputed.
    passed : set of (bytes, str, tuple of int)
        Digests, kinds and units of the checks that they passed.
    wires : list of bytes
        Answers of auditors, as they were signed.
    unable : list of (str, bytes)
        Auditors whose functions failed on what was opened, and of which commitment.
    objections : list of Objection
        Contradictions between answers and commitments, until they are settled.
    """

    __slots__ = (
        "accepted", "ballot", "blameless", "checks", "compared", "disputed", "doubted", "failures",
        "inputs", "late", "lost", "objections", "passed", "running", "tried", "unable", "voting",
        "wires",
    )  # fmt: skip

    running: set[str]
    late: set[str]
    lost: set[str]
    tried: list[str]
    failures: dict[str, str]
    blameless: set[bytes]
    checks: list[Check]
    passed: set[tuple[bytes, str, tuple[int, ...]]]
    wires: list[bytes]
    unable: list[tuple[str, bytes]]
    objections: list[Objection]

    def __init__(self, inputs: bytes, doubted: bool = False) -> None:
        self.inputs = inputs
        self.ballot = Ballot()
        self.accepted: bytes | None = None
        self.compared: bool | None = None
        self.disputed = False
        self.voting = ""
        self.doubted = doubted

    def __getattr__(self, name: str) -> Any:
        """Make a container when somebody first looks at it."""
        made = _CONTAINERS.get(name)
        if made is None:
            raise AttributeError(name)
        setattr(self, name, made())
        return getattr(self, name)

    def _seen(self, name: str) -> Collection[Any]:
        """Return a container without making one."""
        try:
            found: Collection[Any] = _SLOTS[name].__get__(self)
        except AttributeError:
            return ()
        return found

    @property
    def unanswered(self) -> set[str]:
        """Who has been asked and has not answered; readable while another thread feeds events."""
        return {*tuple(self._seen("running")), *tuple(self._seen("late"))}

    def shed(self) -> None:
        """Drop the containers that are empty; they come back when they are looked at."""
        for slot in _SLOTS.values():
            try:
                empty = not slot.__get__(self)
            except AttributeError:  # there is none
                continue
            if empty:
                slot.__delete__(self)

    def answered(self, domain: str) -> bool:
        """Note that a domain has said something; False if nothing was expected of it.

        Parameters
        ----------
        domain : str
            Name of the domain.

        Returns
        -------
        bool
        """
        expected = domain in self.running or domain in self.late
        self.running.discard(domain)
        self.late.discard(domain)
        return expected

    def let_go(self) -> None:
        """Expect nothing more of domains that were asked, as if they had not been."""
        for domain in self.running - {COORDINATOR}:
            self.tried.remove(domain)
            self.running.remove(domain)
            self.late.add(domain)

    def votes(self, excluded: Collection[str]) -> int:
        """Return how many domains count for the accepted digest.

        Parameters
        ----------
        excluded : collection of str
            Domains that do not count.

        Returns
        -------
        int
        """
        return len(self.ballot.voters(excluded).get(self.accepted or b"", ()))

    def strength(self, excluded: Collection[str]) -> int:
        """Return the largest number of domains that may come to agree on what is known.

        Parameters
        ----------
        excluded : collection of str
            Domains that do not count.

        Returns
        -------
        int
        """
        sizes = map(len, self.ballot.voters(excluded).values())
        return max(sizes, default=0) + len(self.running)

    def contested(self, excluded: Collection[str], referee: bool) -> tuple[bytes, bytes] | None:
        """Return two digests to arbitrate between, the accepted one first; None if there are none.

        Before acceptance only a referee can decide between two digests; votes need more of them.

        Parameters
        ----------
        excluded : collection of str
            Domains that do not count.
        referee : bool
            Whether the coordinator settles differences.

        Returns
        -------
        tuple of (bytes, bytes) or None
        """
        said = list(self.ballot.voters(excluded))
        if self.accepted is None:
            asked = (referee or self.compared) and not self.voting
            return (said[0], said[1]) if asked and len(said) > 1 else None
        others = (d for d in said if d != self.accepted and d not in self.blameless)
        other = next(others, None)
        return None if other is None else (self.accepted, other)

    def objected(self, excluded: Collection[str]) -> Objection | None:
        """Return an unsettled objection of somebody who counts to a claim that counts.

        Parameters
        ----------
        excluded : collection of str
            Domains that do not count.

        Returns
        -------
        Objection or None
        """
        live = {c.digest for c in self.ballot.live(excluded)}
        for objection in self.objections:
            if objection.answer.domain not in excluded and objection.digest in live:
                return objection
        return None

    def vouched(self, digest: bytes, excluded: Collection[str], faults: int) -> bool:
        """Whether an honest domain must be among those who signed the inputs of a claim.

        Parameters
        ----------
        digest : bytes
            Digest of the claim.
        excluded : collection of str
            Domains that do not count.
        faults : int
            How many domains may be faulty.

        Returns
        -------
        bool
        """
        claim = self.ballot.of(digest)
        if claim is None:
            return False
        root = claim.commitment.input_root
        live = self.ballot.live(excluded)
        signers = {c.domain for c in live if c.commitment.input_root == root}
        return COORDINATOR in signers or len(signers) > faults

    def holders(self, excluded: Collection[str]) -> list[str]:
        """Return who has committed to the accepted digest and still has its bytes.

        Parameters
        ----------
        excluded : collection of str
            Domains that do not count.

        Returns
        -------
        list of str
        """
        if self.accepted is None:
            return []
        unusable = {*self._seen("lost"), *excluded}
        return [d for d in self.ballot.claimants([self.accepted]) if d not in unusable]


#: Containers of a `TaskState`, and what makes an empty one.
_CONTAINERS: dict[str, Callable[[], Any]] = {
    **dict.fromkeys(("running", "late", "lost", "blameless", "passed"), set),
    **dict.fromkeys(("tried", "checks", "wires", "unable", "objections"), list),
    "failures": dict,
}


#: Where each of them is, or is not: looked at here, none is made.
_SLOTS = {name: TaskState.__dict__[name] for name in _CONTAINERS}


def same_environment(domain: str, other: str, plan: Plan) -> bool:
    """Whether two executors enrolled the same software and machine.

    Parameters
    ----------
    domain : str
        Name of the domain.
    other : str
        Name of the other domain.
    plan : Plan
        What the job is.

    Returns
    -------
    bool
    """
    enrolled = {d.name: d.environment for d in plan.domains} | {COORDINATOR: plan.environment}
    return dict(enrolled[domain]) == dict(enrolled[other])
