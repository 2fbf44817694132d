"""Proof that a worker holds the key of the domain that it claims.

1. The scheduler sends a fresh nonce to the worker's address, again, less and less often, while no
   proof comes.
2. The worker signs nonce, its address, the scheduler's id, and the address of the scheduler at the
   other end of its own connection. Nobody tells it this address: it is where it connected to.
3. It sends the proof over that connection, over which it is given tasks, too.
4. The scheduler believes the first proof with that nonce, if it is about the address that the
   worker registered with, was made for an address of this scheduler, and verifies with the
   enrolled key. It tells the worker the outcome.

So a proof is of no use a second time, or for another worker's address; and who runs a scheduler of
his own that members work for, too, cannot use there what they prove: they connected to his.

That holds as far as an address names one scheduler. It does not where somebody can give another
scheduler the same address, in another network or by redirecting connections: only TLS helps there.
Whatever goes wrong, there is no domain.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import secrets
import time
from collections.abc import Callable, Coroutine, Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from distributed.comm import get_address_host_port, normalize_address, resolve_address

from dask_verify.core.canonical import encode
from dask_verify.engine.compat import local_end, remote_end, tell
from dask_verify.errors import InputError, SignatureError
from dask_verify.protocol.domain import Domain, Identity

if TYPE_CHECKING:
    from distributed.scheduler import Scheduler
    from distributed.worker import Worker

CONTEXT = "membership"
#: The question to a worker, its answer, and what came of it: names of their handlers.
CHALLENGE, PROOF, OUTCOME = "verify_prove", "verify-proof", "verify_outcome"
#: Seconds that anybody waits for a proof, and the first pause before the question is sent again;
#: less than a client waits for an answer.
DEADLINE = 25.0

_NONCE = 32
_LONGEST = 1000  #: characters of an address or id
_log = logging.getLogger("distributed.dask_verify")


def statement(nonce: bytes, address: str, scheduler: str, reached: str) -> bytes:
    """Return what a worker signs.

    Parameters
    ----------
    nonce : bytes
        The scheduler's challenge.
    address : str
        Address of the worker, as the scheduler knows it.
    scheduler : str
        Address of the scheduler.
    reached : str
        Address at which the worker reached the scheduler.

    Returns
    -------
    bytes

    Examples
    --------
    >>> len(statement(bytes(32), "tcp://10.0.0.1:4000", "Scheduler-1", "tcp://10.0.0.9:8786")) > 32
    True
    """
    return encode((nonce, address, scheduler, reached))


def prover(worker: Worker, identity: Identity) -> Callable[[Any, Any], None]:
    """Return the handler with which a worker proves its key to its own scheduler.

    Parameters
    ----------
    worker : distributed.Worker
        Whose address is signed, and whose connection carries the proof.
    identity : Identity
        Of its domain.

    Returns
    -------
    callable
    """

    def prove(nonce: Any, scheduler: Any) -> None:
        """Send a proof; to what is no challenge, nothing."""
        # Not from the question: whoever asks could name a scheduler that is not this worker's.
        reached = remote_end(worker)
        if _is_nonce(nonce) and _is_text(scheduler) and _is_text(reached):
            address = worker.contact_address or worker.address
            signed = statement(nonce, address, scheduler, reached)
            proof = {"op": PROOF, "nonce": nonce, "address": address, "reached": reached}
            # Never as the reply: anybody may ask, and could pass it on as a proof of his own.
            worker.batched_send({**proof, "signature": identity.sign(CONTEXT, signed)})

    return prove


def listener(domain: str) -> Callable[[Any], None]:
    """Return the handler that logs on the worker what came of its proof.

    Anybody who can connect may say so: it is a line for people, and changes nothing.

    Parameters
    ----------
    domain : str
        Name of the domain that it claims.

    Returns
    -------
    callable
    """

    def told(reason: Any) -> None:
        """Log it; what is no outcome, not."""
        if reason == "":
            _log.info("Domain %s: key proven", domain)
        elif _is_text(reason):
            _log.warning("Domain %s: not a member, %.600r", domain, reason)

    return told


@dataclass
class _Claim:
    domain: str
    nonce: bytes = field(default_factory=lambda: secrets.token_bytes(_NONCE))
    deadline: float = field(default_factory=lambda: time.monotonic() + DEADLINE)
    decided: asyncio.Event = field(default_factory=asyncio.Event)
    warned: bool = False


class Doorkeeper:
    """Lets those workers into a domain that prove its key.

    Parameters
    ----------
    domains : iterable of Domain
        The enrolled ones, with distinct names.
    admit : callable
        Takes the address and the domain of a worker that has proved its key.
    addresses : iterable of str
        Under which workers reach the scheduler, besides those that it has itself.

    Raises
    ------
    InputError
        If two domains have the same name, there is none, or an address is none.
    """

    def __init__(
        self,
        domains: Iterable[Domain],
        admit: Callable[[str, str], None],
        addresses: Iterable[str] = (),
    ) -> None:
        domains = tuple(domains)
        # The keys alone: a plugin travels to its scheduler, and an environment cannot.
        self._keys = {domain.name: domain.public_key for domain in domains}
        if not domains or len(self._keys) < len(domains):
            names = [domain.name for domain in domains]
            raise InputError(f"expected at least one domain, each of another name, got {names}")
        self._admit = admit
        self._addresses = frozenset(map(_resolved, addresses))
        self._claims: dict[str, _Claim] = {}
        self._members: dict[str, str] = {}
        self._changed = asyncio.Event()
        self._running: set[asyncio.Task[None]] = set()
        self._scheduler: Any = None

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the enrolled domains."""
        return tuple(self._keys)

    def start(self, scheduler: Scheduler) -> None:
        """Listen for the proofs that workers send to a scheduler.

        Parameters
        ----------
        scheduler : Scheduler
            The scheduler that it runs in.
        """
        self._scheduler = scheduler
        scheduler.stream_handlers[PROOF] = self.proof

    def challenge(self, address: str, domain: str) -> None:
        """Ask a worker that has just come, and claims a domain, for a proof.

        Parameters
        ----------
        address : str
            Address of the worker, as the scheduler knows it.
        domain : str
            Name of the domain that it claims.
        """
        if domain in self._keys:
            claim = self._claims[address] = _Claim(domain)
            self._run(self._ask(address, claim))
        else:
            self._refuse(address, domain, "it is not enrolled in this scheduler's trust file")

    def forget(self, address: str) -> None:
        """Forget a worker that left: a proof that it still sends is nobody's.

        Parameters
        ----------
        address : str
            Address of the worker, as the scheduler knows it.
        """
        self._members.pop(address, None)
        claim = self._claims.pop(address, None)
        if claim is not None:
            claim.decided.set()
            self._change()

    def proof(
        self,
        worker: str = "",
        nonce: Any = None,
        address: Any = None,
        reached: Any = None,
        signature: Any = None,
    ) -> None:
        """Take the proof of a worker. It never raises: that would end the worker's connection.

        Parameters
        ----------
        worker : str, optional
            The address from which it came.
        nonce : object, optional
            The scheduler's challenge.
        address : object, optional
            Address of the worker, as the scheduler knows it.
        reached : object, optional
            Address at which the worker reached the scheduler.
        signature : object, optional
            What the worker signed.
        """
        claim = self._claims.get(worker)
        if claim is None or not _is_nonce(nonce) or nonce != claim.nonce:
            return  # of an earlier registration, or made up
        self.forget(worker)
        reason = self._flaw(worker, claim, address, reached, signature)
        if reason:
            self._refuse(worker, claim.domain, reason)
            return
        self._members[worker] = claim.domain
        self._change()
        self._admit(worker, claim.domain)
        _log.info("Worker %s, domain %r: key proven", worker, claim.domain)
        self._run(self._inform(worker, ""))

    async def settled(self, everybody: bool = False) -> None:
        """Wait for the proofs that are due at this moment, each at most until its deadline.

        Parameters
        ----------
        everybody : bool
            Also for workers of domains that have a member. Without it nobody can make others wait
            for a domain by claiming it, once it is there.
        """
        there = list(self._claims.values())
        while due := [claim for claim in there if self._is_due(claim, everybody)]:
            left = max(claim.deadline for claim in due) - time.monotonic()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._changed.wait(), left)

    async def close(self) -> None:
        """Wait for nobody any longer."""
        for address in list(self._claims):
            self.forget(address)
        running = set(self._running)
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)

    def _run(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    async def _ask(self, address: str, claim: _Claim) -> None:
        """Send the question until a proof comes, or the worker leaves: it may only be busy."""
        message = {"op": CHALLENGE, "nonce": claim.nonce, "scheduler": self._scheduler.id}
        pause = DEADLINE
        while not claim.decided.is_set():
            reason = f"no proof of its key in {DEADLINE:g} s, but one may still come"
            try:
                async with asyncio.timeout(DEADLINE):
                    await tell(self._scheduler, address, message)
                    await claim.decided.wait()
            except TimeoutError:
                self._warn_once(address, claim, reason)
            except Exception as error:
                reason = f"it cannot be asked for a proof of its key ({error!r:.200})"
                self._warn_once(address, claim, reason)
            # Longer and longer: it may as well be an address where nobody will ever answer.
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(claim.decided.wait(), pause)
            pause *= 2

    def _warn_once(self, address: str, claim: _Claim, reason: str) -> None:
        if not claim.warned and not claim.decided.is_set():
            claim.warned = True
            self._log_refusal(address, claim.domain, reason)

    def _is_due(self, claim: _Claim, everybody: bool) -> bool:
        waiting = not claim.decided.is_set() and time.monotonic() < claim.deadline
        return waiting and (everybody or claim.domain not in self._members.values())

    def _change(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()

    def _refuse(self, address: str, domain: str, reason: str) -> None:
        self._log_refusal(address, domain, reason)
        self._run(self._inform(address, reason))

    def _log_refusal(self, address: str, domain: str, reason: str) -> None:
        _log.warning("Worker %s is not of domain %.100r: %s", address, domain, reason)

    async def _inform(self, address: str, reason: str) -> None:
        # Somebody without the handler, or gone: then nobody is told.
        with contextlib.suppress(Exception):
            async with asyncio.timeout(DEADLINE):
                await tell(self._scheduler, address, {"op": OUTCOME, "reason": reason})

    def _flaw(self, worker: str, claim: _Claim, address: Any, reached: Any, signature: Any) -> str:
        if not (_is_text(address) and _is_text(reached)) or type(signature) is not bytes:
            return "its proof is none"
        try:
            signed = statement(claim.nonce, address, self._scheduler.id, reached)
            Domain(claim.domain, self._keys[claim.domain]).verify(CONTEXT, signed, signature)
            own = {local_end(self._scheduler, worker), self._scheduler.address, *self._addresses}
            # As the scheduler made its own form of it, but for aliases, which workers choose.
            about = normalize_address(resolve_address(address))
        except SignatureError:
            return "its proof does not verify with the enrolled key"
        except Exception as error:  # an address that is none: whatever it is, no domain
            return f"its proof cannot be checked ({error!r:.200})"
        if reached not in own:
            return (
                f"its proof is for the scheduler at {reached:.100}, which is none of this one's"
                f" addresses; if workers reach this one there, start it with --reached-as"
            )
        return "" if about == worker else f"its proof is about {about:.100}"


def _resolved(address: str) -> str:
    try:
        get_address_host_port(address, strict=True)
        return str(normalize_address(resolve_address(address)))
    except Exception as error:
        raise InputError(
            f"address of the scheduler: expected one such as tcp://10.0.0.1:8786, got"
            f" {address!r:.100} ({error})"
        ) from None


def _is_nonce(value: Any) -> bool:
    return type(value) is bytes and len(value) == _NONCE


def _is_text(value: Any) -> bool:
    return type(value) is str and 0 < len(value) <= _LONGEST
