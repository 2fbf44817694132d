"""Counting claims: who said what about one task, and whether enough distinct domains agree.

* A claim counts for a domain only with that domain's signature, and only for the job, stage,
  partition and inputs that were assigned.
* A domain counts once, whatever it sends; one that signed two different claims counts for none.
* An exposed domain counts for nothing.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field, replace

from dask_verify.core.canonical import encode
from dask_verify.core.seal import Commitment
from dask_verify.errors import SignatureError
from dask_verify.protocol.domain import Domain, Identity
from dask_verify.protocol.messages import Task
from dask_verify.protocol.serving import unwrap

CONTEXT = "commitment"


@dataclass(frozen=True, slots=True)
class Claim:
    """One commitment with its signature; the coordinator's own carries none.

    Parameters
    ----------
    domain : str
    said : Commitment
        The domain's own, or an equal one of another: claims on a partition share it.
    signature : bytes
    """

    domain: str
    said: Commitment
    signature: bytes = b""

    @property
    def commitment(self) -> Commitment:
        """What the domain signed."""
        return self.said if self.said.domain == self.domain else self.said.of(self.domain)

    @property
    def digest(self) -> bytes:
        """What claims are compared by."""
        return self.said.digest


def sign(identity: Identity, commitment: Commitment) -> bytes:
    """Return a signed commitment as bytes for the wire.

    Parameters
    ----------
    identity : Identity
        Whose key signs.
    commitment : Commitment
        The commitment.

    Returns
    -------
    bytes
    """
    payload = commitment.to_bytes()
    return encode((payload, identity.sign(CONTEXT, payload)))


def admit(wire: bytes, task: Task, job: bytes, inputs: bytes, domain: Domain) -> Claim:
    """Turn what a domain sent into a claim, checking bytes before parsing them.

    Parameters
    ----------
    wire : bytes
        What arrived.
    task : Task
    job, inputs : bytes
        What the domain was told to work on.
    domain : Domain
        Whom it was assigned to.

    Returns
    -------
    Claim

    Raises
    ------
    DecodingError
        If the bytes are no signed commitment.
    SignatureError
        If the signature is not this domain's, or it signed something else than it was asked.
    """
    payload, signature = unwrap(wire)
    domain.verify(CONTEXT, payload, signature)
    commitment = Commitment.from_bytes(payload)
    for name, want in (
        ("job", job),
        ("stage", task.stage),
        ("partition", task.partition),
        ("domain", domain.name),
        ("inputs", inputs),
    ):
        if getattr(commitment, name) != want:
            raise SignatureError(
                f"commitment to {task.stage} partition {task.partition}, {name}:"
                f" expected {want!r:.80}, got {getattr(commitment, name)!r:.80}"
            )
    # One for each partition: what is known to be equal is held once.
    shared = replace(commitment, job=job, stage=task.stage, domain=domain.name, inputs=inputs)
    return Claim(domain.name, shared, signature)


@dataclass(slots=True)
class Ballot:
    """The claims on one task under one assignment of inputs.

    Parameters
    ----------
    claims : list of Claim, optional
        The claims, in the order of their arrival.
    """

    claims: list[Claim] = field(default_factory=list)

    def add(self, claim: Claim) -> bool:
        """Add a claim, unless it says nothing new; return whether it does.

        A repetition adds nothing, nor does a third claim of a domain: after two different ones it
        counts for none, and what is kept of it must stay bounded.

        Parameters
        ----------
        claim : Claim
            Who signed what.

        Returns
        -------
        bool
        """
        said = {c.digest for c in self.claims if c.domain == claim.domain}
        new = claim.digest not in said and len(said) < 2
        if new:
            same = self.of(claim.digest)
            self.claims.append(claim if same is None else replace(claim, said=same.said))
        return new

    def of(self, digest: bytes | None) -> Claim | None:
        """Return the first claim with a digest.

        Parameters
        ----------
        digest : bytes or None
            The digest; None for none.

        Returns
        -------
        Claim or None
        """
        return next((c for c in self.claims if c.digest == digest), None)

    def claimants(self, digests: Collection[bytes]) -> list[str]:
        """Return the domains that signed any of the digests.

        Parameters
        ----------
        digests : collection of bytes
            The digests.

        Returns
        -------
        list of str
        """
        return list(dict.fromkeys(c.domain for c in self.claims if c.digest in digests))

    def live(self, excluded: Collection[str]) -> list[Claim]:
        """Return the claims of domains that are not excluded.

        Parameters
        ----------
        excluded : collection of str
            Domains that do not count.

        Returns
        -------
        list of Claim
        """
        return [c for c in self.claims if c.domain not in excluded]

    def domains(self, excluded: Collection[str] = ()) -> list[str]:
        """Return who has made a claim, each once.

        Parameters
        ----------
        excluded : collection of str, optional
            Domains that do not count.

        Returns
        -------
        list of str
        """
        return list(dict.fromkeys(c.domain for c in self.live(excluded)))

    def voters(self, excluded: Collection[str]) -> dict[bytes, list[str]]:
        """Return, for each digest, the distinct domains that count for it.

        Parameters
        ----------
        excluded : collection of str
            Domains that do not count.

        Returns
        -------
        dict of bytes to list of str
        """
        voters: dict[bytes, list[str]] = {}
        said: dict[str, bytes] = {}
        for claim in self.claims:
            if (name := claim.domain) not in excluded:
                digest = claim.said.digest
                names = voters.setdefault(digest, [])
                if name not in said:
                    said[name] = digest
                    names.append(name)
                elif name in (first := voters[said[name]]):
                    first.remove(name)  # two different ones: it counts for none
        return voters

    def winners(self, excluded: Collection[str], quorum: int) -> list[bytes]:
        """Return the digests that enough distinct domains agree on, most votes first.

        Parameters
        ----------
        excluded : collection of str
            Domains that do not count.
        quorum : int
            How many domains must agree.

        Returns
        -------
        list of bytes
        """
        voters = self.voters(excluded)
        best = sorted(voters, key=lambda digest: -len(voters[digest]))
        return [digest for digest in best if len(voters[digest]) >= quorum]


def honest_disagree(groups: Iterable[int], claims: int, faults: int) -> bool:
    """Whether at least two honest domains must have given different answers.

    Of ``claims`` domains at least ``claims - faults`` are honest; if no single answer has that
    many, they cannot all have given the same one.

    Parameters
    ----------
    groups : iterable of int
        How many domains gave each answer.
    claims : int
        How many domains gave one at all.
    faults : int
        How many domains may be faulty.

    Returns
    -------
    bool

    Examples
    --------
    >>> honest_disagree([1, 1, 1], claims=3, faults=1)
    True
    >>> honest_disagree([2, 1], claims=3, faults=1)
    False
    """
    return max(groups, default=0) < claims - faults
