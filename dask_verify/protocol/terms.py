"""What a job is, fixed before it starts: its id is a digest of all of it.

* The id is inside every commitment, so nothing can be replayed into another job, and neither the
  seed nor the functions, the policy, the domains or the sources can be chosen afterwards.
* Whoever holds the terms computes the same id, on any machine.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from dask_verify.core.canonical import encode
from dask_verify.core.record import digest
from dask_verify.protocol.policy import Detect, Policy


@dataclass(frozen=True)
class Terms:
    """The terms of one job.

    Parameters
    ----------
    nonce : bytes
        32 random bytes: no two jobs are the same.
    seed_digest : bytes
        Digest of the secret that challenges are drawn with.
    coordinator : bytes
        Public key of whoever runs the job and signs its receipt.
    policy : Policy
    domains : tuple of (str, bytes)
        Names and public keys, in the order of the domains.
    functions, sources : bytes
        Digests of the shipped functions, and of the pins of the sources.
    maps, reduces, buckets : int
        Map and reduce partitions, and key buckets of the whole job.
    unit_records : int
        Input records in one unit; 0 where the partition is the unit.

    Examples
    --------
    >>> terms = Terms(bytes(32), bytes(32), bytes(32), Policy(), (), b"f", b"s", 2, 1, 8, 1024)
    >>> terms.job.hex()[:16]
    '50fabc14ab82c0e5'
    """

    nonce: bytes
    seed_digest: bytes
    coordinator: bytes
    policy: Policy
    domains: tuple[tuple[str, bytes], ...]
    functions: bytes
    sources: bytes
    maps: int
    reduces: int
    buckets: int
    unit_records: int

    @property
    def job(self) -> bytes:
        """The job id, 32 bytes."""
        return digest("job", self.to_bytes())

    def to_bytes(self) -> bytes:
        """Return what the id is a digest of.

        Returns
        -------
        bytes
        """
        parts = (
            self.nonce,
            self.seed_digest,
            self.coordinator,
            policy_terms(self.policy),
            self.domains,
            self.functions,
            self.sources,
            self.maps,
            self.reduces,
            self.buckets,
            self.unit_records,
        )
        return encode(parts)


def map_inputs(job: bytes, partition: int) -> bytes:
    """Return the digest of what a map task is assigned.

    Parameters
    ----------
    job : bytes
        The job's id.
    partition : int
        Number of the partition.

    Returns
    -------
    bytes
    """
    return digest("map inputs", encode((job, partition)))


def reduce_inputs(job: bytes, maps: Iterable[bytes]) -> bytes:
    """Return the digest of what every reduce task is assigned: the accepted maps, by digest.

    Parameters
    ----------
    job : bytes
        The job's id.
    maps : iterable of bytes
        Digests of the accepted map commitments.

    Returns
    -------
    bytes
    """
    return digest("reduce inputs", encode((job, tuple(maps))))


def policy_terms(policy: Policy) -> tuple[Any, ...]:
    """Return a policy as plain values, equal for equal policies.

    Parameters
    ----------
    policy : Policy
        What the user demands.

    Returns
    -------
    tuple

    Examples
    --------
    >>> policy_terms(Policy(replicas=1, audit=0.01))[:3]
    (1, 1, 0.01)
    """
    return (
        int(policy.replicas),
        int(policy.faults),
        _rate(policy.audit),
        _whole(policy.unit_records),
        policy.referee,
        policy.stand_in,
        policy.trust_input,
        None if policy.deadline is None else float(policy.deadline),
        int(policy.window),
        _whole(policy.buckets),
    )


def _rate(audit: float | Detect) -> float | tuple[float, float]:
    if isinstance(audit, Detect):
        return float(audit.corrupt), float(audit.confidence)
    return float(audit)


def _whole(value: int | None) -> int | None:
    return None if value is None else int(value)


def sources_digest(pins: Iterable[tuple[str, Sequence[tuple[str, str]]]]) -> bytes:
    """Return 32 bytes that change when a pinned file does.

    Parameters
    ----------
    pins : iterable of (str, sequence of (str, str))
        Paths with their named properties, such as size and time of change.

    Returns
    -------
    bytes

    Examples
    --------
    >>> one = sources_digest([("/a.csv", (("size", "1"),))])
    >>> one == sources_digest([("/a.csv", (("size", "2"),))])
    False
    """
    rows = [
        (printable(path), *(printable(text) for pair in what for text in pair))
        for path, what in pins
    ]
    return digest("sources", encode(tuple(rows)))


def printable(text: str) -> str:
    r"""Return text that has a UTF-8 form: names of files need not have one.

    Parameters
    ----------
    text : str
        The text.

    Returns
    -------
    str

    Examples
    --------
    >>> printable("a\udc80") == "a" + chr(92) + "udc80"
    True
    """
    return text.encode("utf-8", "backslashreplace").decode()
