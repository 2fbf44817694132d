"""What is known about each task, and the arithmetic of how many domains must agree on it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field

from dask_verify.core.canonical import encode
from dask_verify.core.seal import digest
from dask_verify.protocol.domain import COORDINATOR, Domain
from dask_verify.protocol.messages import Sample, Task
from dask_verify.protocol.policy import Policy
from dask_verify.protocol.quorum import Ballot


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
    """

    job: bytes
    policy: Policy
    domains: tuple[Domain, ...]
    maps: int
    reduces: int
    environment: Mapping[str, str] = field(default_factory=dict)

    def map_inputs(self, partition: int) -> bytes:
        """Digest of what a map task is assigned."""
        return digest("map inputs", encode((self.job, partition)))

    def reduce_inputs(self, roots: Iterable[bytes]) -> bytes:
        """Digest of what every reduce task is assigned: the accepted commitments of all maps."""
        return digest("reduce inputs", encode((self.job, tuple(roots))))

    def rotation(self, task: Task) -> list[str]:
        """Domains in the order in which they are asked to run a task."""
        names = [d.name for d in self.domains]
        start = task.partition % len(names)
        return names[start:] + names[:start]


def required(policy: Policy, exposed: int, trusted: int) -> int:
    """Return how many distinct domains must agree.

    ``faults + 1``; but each exposed domain is one of the faulty ones, so ``faults + 1 - exposed``
    of the others suffice where no more trusted domains are left.

    >>> required(Policy(replicas=2), exposed=0, trusted=1)
    2
    >>> required(Policy(replicas=2), exposed=1, trusted=1)
    1
    >>> required(Policy(replicas=2), exposed=1, trusted=2)
    2
    """
    if policy.replicas == 1:
        return 1
    full = policy.faults + 1
    return max(1, full - exposed, min(full, trusted))


@dataclass
class TaskState:
    """Everything known about one task under its present inputs."""

    inputs: bytes
    ballot: Ballot = field(default_factory=Ballot)
    running: set[str] = field(default_factory=set)
    late: set[str] = field(default_factory=set)
    lost: set[str] = field(default_factory=set)
    tried: Counter[str] = field(default_factory=Counter)
    failures: dict[str, str] = field(default_factory=dict)
    accepted: bytes | None = None
    disputed: bool = False
    voting: str = ""

    def assign(self, domain: str) -> None:
        """Note that a domain (or the coordinator) has been asked."""
        self.running.add(domain)
        self.tried[domain] += 1

    def answered(self, domain: str) -> None:
        """Note that a domain has said something, whatever it is."""
        self.running.discard(domain)
        self.late.discard(domain)

    def strength(self, excluded: Collection[str]) -> int:
        """Return the largest number of domains that may come to agree on what is known."""
        sizes = map(len, self.ballot.voters(excluded).values())
        return max(sizes, default=0) + len(self.running)

    def holders(self, excluded: Collection[str]) -> list[str]:
        """Return who has committed to the accepted digest and still has its bytes."""
        if self.accepted is None:
            return []
        unusable = self.lost | set(excluded)
        return [d for d in self.ballot.claimants([self.accepted]) if d not in unusable]


@dataclass(frozen=True)
class Divergence:
    """One disagreement, as the report shows it.

    Parameters
    ----------
    stage : str
    partition : int
    units : tuple of int
        Differing unit; empty where no single unit was named.
    domains : tuple of str
        Who disagreed.
    culprits : tuple of str
        Who was proven wrong.
    cause : str
        ``"read"``, ``"map"``, ``"reduce"`` or ``"serve"``.
    settled : str
        By what: ``"referee"``, ``"votes"``, ``"exposed elsewhere"``, ``"opening"``, or
        ``"withheld: ..."`` where nobody could be blamed.
    sample : Sample, optional
        First differing record as each side has it.
    """

    stage: str
    partition: int
    units: tuple[int, ...]
    domains: tuple[str, ...]
    culprits: tuple[str, ...]
    cause: str
    settled: str
    sample: Sample | None = None


def same_environment(domain: str, other: str, plan: Plan) -> bool:
    """Whether two executors enrolled the same software and machine."""

    def of(name: str) -> dict[str, str]:
        if name == COORDINATOR:
            return dict(plan.environment)
        return next(dict(d.environment) for d in plan.domains if d.name == name)

    return of(domain) == of(other)
