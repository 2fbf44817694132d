"""Proof that a worker holds the key of the domain that it claims.

1. The scheduler sends a fresh nonce to the worker's address: only who listens there learns it.
2. The worker signs nonce, its address and the scheduler's id with its domain's key, and sends the
   signature over the connection over which it is given tasks.
3. The scheduler believes the first proof with that nonce, if it comes before the deadline, is
   about the address that the worker registered with, and verifies with the enrolled key.

So a proof is of no use a second time, on another scheduler, or for another worker: whoever passes
a nonce on to a member makes it send the proof elsewhere. Whatever goes wrong, there is no domain.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from distributed.comm import normalize_address, resolve_address

from dask_verify.core.canonical import encode
from dask_verify.engine.compat import tell
from dask_verify.errors import InputError, SignatureError
from dask_verify.protocol.domain import Domain, Identity

if TYPE_CHECKING:
    from distributed.scheduler import Scheduler
    from distributed.worker import Worker

CONTEXT = "membership"
#: The question to a worker, and the answer from it: names of their handlers.
CHALLENGE, PROOF = "verify_prove", "verify-proof"
#: Seconds that a worker has to prove its key; less than a client waits for an answer.
DEADLINE = 25.0

_NONCE = 32
_LONGEST = 1000  #: characters of an address or id
_log = logging.getLogger("distributed.dask_verify")


def statement(nonce: bytes, address: str, scheduler: str) -> bytes:
    """Return what a worker signs.

    >>> len(statement(bytes(32), "tcp://10.0.0.1:4000", "Scheduler-1")) > 32
    True
    """
    return encode((nonce, address, scheduler))


def prover(worker: Worker, identity: Identity) -> Callable[[Any, Any], None]:
    """Return the handler with which a worker proves its key to its own scheduler.

    Parameters
    ----------
    worker : distributed.Worker
        Whose address is signed, and whose connection carries the proof.
    identity : Identity
        Of its domain.
    """

    def prove(nonce: Any, scheduler: Any) -> None:
        """Send a proof; to what is no challenge, nothing."""
        if _is_nonce(nonce) and _is_text(scheduler):
            address = worker.contact_address or worker.address
            signature = identity.sign(CONTEXT, statement(nonce, address, scheduler))
            # Never as the reply: anybody may ask, and could pass it on as a proof of his own.
            worker.batched_send(
                {"op": PROOF, "nonce": nonce, "address": address, "signature": signature}
            )

    return prove


@dataclass
class _Claim:
    domain: str
    nonce: bytes = field(default_factory=lambda: secrets.token_bytes(_NONCE))
    answered: asyncio.Event = field(default_factory=asyncio.Event)


class Doorkeeper:
    """Lets those workers into a domain that prove its key.

    Parameters
    ----------
    domains : iterable of Domain
        The enrolled ones, with distinct names.
    admit : callable
        Takes the address and the domain of a worker that has proved its key.

    Raises
    ------
    InputError
        If two domains have the same name, or there is none.
    """

    def __init__(self, domains: Iterable[Domain], admit: Callable[[str, str], None]) -> None:
        domains = tuple(domains)
        # The keys alone: a plugin travels to its scheduler, and an environment cannot.
        self._keys = {domain.name: domain.public_key for domain in domains}
        if not domains or len(self._keys) < len(domains):
            names = [domain.name for domain in domains]
            raise InputError(f"expected at least one domain, each of another name, got {names}")
        self._admit = admit
        self._claims: dict[str, _Claim] = {}
        self._asking: set[asyncio.Task[None]] = set()
        self._scheduler: Any = None

    def start(self, scheduler: Scheduler) -> None:
        """Listen for the proofs that workers send to a scheduler."""
        self._scheduler = scheduler
        scheduler.stream_handlers[PROOF] = self.proof

    def challenge(self, address: str, domain: str) -> None:
        """Ask a worker that has just come, and claims a domain, for a proof."""
        if domain not in self._keys:
            _log.warning(
                "Worker %s claims the domain %.100r, which is not enrolled", address, domain
            )
            return
        claim = self._claims[address] = _Claim(domain)
        task = asyncio.create_task(self._ask(address, claim))
        self._asking.add(task)
        task.add_done_callback(self._asking.discard)

    def forget(self, address: str) -> None:
        """Forget a worker that left: a proof that it still sends is nobody's."""
        claim = self._claims.pop(address, None)
        if claim is not None:
            claim.answered.set()

    def proof(
        self, worker: str = "", nonce: Any = None, address: Any = None, signature: Any = None
    ) -> None:
        """Take the proof of a worker. It never raises: that would end the worker's connection."""
        claim = self._claims.get(worker)
        if claim is None or not _is_nonce(nonce) or nonce != claim.nonce:
            return  # late, of an earlier registration, or made up
        self.forget(worker)
        reason = self._flaw(worker, claim, address, signature)
        if reason:
            _log.warning("Worker %s is not of domain %r: %s", worker, claim.domain, reason)
        else:
            self._admit(worker, claim.domain)

    async def settled(self) -> None:
        """Wait for the proofs that are due at this moment, at most until their deadline."""
        if self._asking:
            await asyncio.wait(set(self._asking))

    async def close(self) -> None:
        """Wait for nobody any longer."""
        self._claims.clear()
        asking = set(self._asking)
        for task in asking:
            task.cancel()
        await asyncio.gather(*asking, return_exceptions=True)

    async def _ask(self, address: str, claim: _Claim) -> None:
        reason = f"no proof of its key in {DEADLINE:g} s"
        try:
            async with asyncio.timeout(DEADLINE):
                message = {"op": CHALLENGE, "nonce": claim.nonce, "scheduler": self._scheduler.id}
                await tell(self._scheduler, address, message)
                await claim.answered.wait()
        except TimeoutError:
            pass
        except Exception as error:
            reason = f"it cannot be asked for a proof of its key ({error!r:.200})"
        if self._claims.get(address) is claim:
            del self._claims[address]
            _log.warning("Worker %s is not of domain %r: %s", address, claim.domain, reason)

    def _flaw(self, worker: str, claim: _Claim, address: Any, signature: Any) -> str:
        if not _is_text(address) or type(signature) is not bytes:
            return "its proof is none"
        try:
            signed = statement(claim.nonce, address, self._scheduler.id)
            Domain(claim.domain, self._keys[claim.domain]).verify(CONTEXT, signed, signature)
            # As the scheduler made its own form of it, but for aliases, which workers choose.
            about = normalize_address(resolve_address(address))
        except SignatureError:
            return "its proof does not verify with the enrolled key"
        except Exception as error:  # an address that is none: whatever it is, no domain
            return f"its proof cannot be checked ({error!r:.200})"
        return "" if about == worker else f"its proof is about {about:.100}"


def _is_nonce(value: Any) -> bool:
    return type(value) is bytes and len(value) == _NONCE


def _is_text(value: Any) -> bool:
    return type(value) is str and 0 < len(value) <= _LONGEST
