"""What a million jobs need not compute again: pure functions of what they are given.

Ed25519 signatures are a function of key and message, and so is whether one verifies; what a job
admits is a function of the bytes, the task and the domain. Only successes are remembered: what does
not verify is looked at each time. One seed in `mixes.REAL` remembers nothing of what it checks.
"""

from __future__ import annotations

from functools import lru_cache

from dask_verify.protocol.domain import Domain, Identity
from dask_verify.protocol.job import JobState
from dask_verify.protocol.messages import Committed, Task
from dask_verify.protocol.quorum import Claim, admit

_REMEMBERED = 1 << 16


class Keyring(Identity):
    """An identity that does not sign the same bytes twice.

    Parameters
    ----------
    name : str
        Name of the domain.
    private_key : Ed25519PrivateKey
        The key.
    """

    def __init__(self, name: str, private_key: bytes) -> None:
        super().__init__(name, private_key)
        self._public, self._signed = super().public_key, lru_cache(_REMEMBERED)(super().sign)

    @property
    def public_key(self) -> bytes:
        """The raw public key, 32 bytes."""
        return self._public

    def sign(self, context: str, payload: bytes) -> bytes:
        """Sign bytes in a context, or remember having done so."""
        return self._signed(context, payload)


class KnownJob(JobState):
    """A job that remembers which commitments were admitted, by everything that decides this."""

    def _admitted(self, event: Committed, inputs: bytes) -> Claim:
        if type(event.wire) is not bytes or event.domain not in self._domains:
            return super()._admitted(event, inputs)
        domain = self._domains[event.domain]
        return _admitted(event.wire, event.task, self.plan.job, inputs, domain)


@lru_cache(_REMEMBERED)
def _admitted(wire: bytes, task: Task, job: bytes, inputs: bytes, domain: Domain) -> Claim:
    # What raises is not remembered.
    return admit(wire, task, job, inputs, domain)


class KnownDomain(Domain):
    """A domain that remembers which signatures have verified under its key."""

    def verify(self, context: str, payload: bytes, signature: bytes) -> None:
        """Check a signature that has not verified before."""
        if type(signature) is not bytes or type(payload) is not bytes:
            super().verify(context, payload, signature)
        else:
            _verified(self.name, self.public_key, context, payload, signature)


@lru_cache(_REMEMBERED)
def _verified(name: str, key: bytes, context: str, payload: bytes, signature: bytes) -> None:
    # What raises is not remembered.
    _domain(name, key).verify(context, payload, signature)


@lru_cache
def _domain(name: str, key: bytes) -> Domain:
    return Domain(name, key)
