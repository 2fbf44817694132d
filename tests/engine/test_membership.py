"""Proofs of membership: who gets in, and everything that does not."""

from __future__ import annotations

import asyncio
import logging
from types import SimpleNamespace

import cloudpickle
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dask_verify.engine import membership
from dask_verify.engine.membership import CONTEXT, PROOF, Doorkeeper, prover, statement
from dask_verify.errors import InputError
from dask_verify.protocol.domain import Domain, Identity

ALICE, BOB = (Identity(name, name[:1].encode() * 32) for name in ("alice", "bob"))
DOMAINS = [Domain(i.name, i.public_key, {"python": "3"}) for i in (ALICE, BOB)]
HERE, THERE = "tcp://10.0.0.1:1", "tcp://10.0.0.2:2"


class Net:
    """A scheduler and what it sends to whom; workers answer when the test lets them."""

    def __init__(self, monkeypatch, domains=DOMAINS):
        self.admitted = []
        self.asked = {}
        self.told = asyncio.Event()
        self.scheduler = SimpleNamespace(id="Scheduler-1", stream_handlers={})
        self.door = Doorkeeper(domains, lambda *who: self.admitted.append(who))
        self.door.start(self.scheduler)
        monkeypatch.setattr(membership, "tell", self.tell)

    async def tell(self, scheduler, address, message):
        assert scheduler is self.scheduler
        self.asked.setdefault(address, []).append(message)
        self.told.set()

    async def challenge(self, address, domain):
        self.told.clear()
        self.door.challenge(address, domain)
        await self.told.wait()
        return self.asked[address][-1]

    def answers(self, address, identity, message):
        """What a worker at an address sends down its connection."""
        sent = []
        worker = SimpleNamespace(contact_address=None, address=address, batched_send=sent.append)
        op = {key: value for key, value in message.items() if key != "op"}
        assert prover(worker, identity)(**op) is None
        return sent

    def receive(self, worker, message):
        message = dict(message)
        self.scheduler.stream_handlers[message.pop("op")](**{"worker": worker, **message})


@pytest.fixture
def play(monkeypatch):
    """Run a test's coroutine with a net, and see that nothing is left running."""

    def run(story, **kwargs):
        async def whole():
            net = Net(monkeypatch, **kwargs)
            await asyncio.wait_for(story(net), 20)
            await net.door.close()
            assert len(asyncio.all_tasks()) == 1
            return net

        return asyncio.run(whole())

    return run


@pytest.fixture
def warnings(caplog, monkeypatch):
    caplog.set_level(logging.WARNING, "distributed.dask_verify")
    # Dask's own configuration may keep its loggers to itself.
    monkeypatch.setattr(logging.getLogger("distributed"), "propagate", True)
    return caplog


def test_who_has_the_key_gets_in(play):
    async def story(net):
        message = await net.challenge(HERE, "alice")
        (proof,) = net.answers(HERE, ALICE, message)
        assert net.admitted == []
        net.receive(HERE, proof)
        assert net.admitted == [(HERE, "alice")]
        await net.door.settled()

    play(story)


def test_nonces_are_fresh_and_a_proof_counts_once(play):
    async def story(net):
        message = await net.challenge(HERE, "alice")
        (proof,) = net.answers(HERE, ALICE, message)
        net.receive(HERE, proof)
        net.receive(HERE, proof)
        assert net.admitted == [(HERE, "alice")]
        # The worker leaves and comes again: what it said before is worth nothing.
        net.door.forget(HERE)
        again = await net.challenge(HERE, "alice")
        assert again["nonce"] != message["nonce"]
        net.receive(HERE, proof)
        assert net.admitted == [(HERE, "alice")]
        net.receive(HERE, *net.answers(HERE, ALICE, again))
        assert net.admitted == [(HERE, "alice")] * 2

    play(story)


def test_who_has_another_key_stays_outside(play, warnings):
    async def story(net):
        message = await net.challenge(HERE, "alice")
        net.receive(HERE, *net.answers(HERE, Identity.generate("alice"), message))
        await net.door.settled()
        # There is no second try.
        net.receive(HERE, *net.answers(HERE, ALICE, message))
        assert net.admitted == []

    play(story)
    assert "is not of domain 'alice': its proof does not verify" in warnings.text


def test_a_member_of_another_domain_stays_outside(play):
    async def story(net):
        message = await net.challenge(HERE, "alice")
        net.receive(HERE, *net.answers(HERE, BOB, message))
        assert net.admitted == []

    play(story)


def test_a_domain_that_is_not_enrolled_is_not_even_asked(play, warnings):
    async def story(net):
        net.door.challenge(HERE, "mallory\x1b[2J")
        await net.door.settled()
        assert (net.asked, net.admitted) == ({}, [])

    play(story)
    assert "not enrolled" in warnings.text
    assert "\x1b" not in warnings.text


def test_a_nonce_that_is_passed_on_makes_no_proof_for_who_passes_it_on(play):
    """An impostor at one address relays its challenge to a member at another."""

    async def story(net):
        message = await net.challenge(THERE, "alice")
        (proof,) = net.answers(HERE, ALICE, message)
        # The member sends it over its own connection; and even if the impostor saw it there:
        net.receive(HERE, proof)
        net.receive(THERE, proof)
        net.receive(THERE, {**proof, "address": THERE})
        assert net.admitted == []

    play(story)


def test_a_proof_for_another_scheduler_is_none(play):
    async def story(net):
        message = await net.challenge(HERE, "alice")
        net.receive(HERE, *net.answers(HERE, ALICE, {**message, "scheduler": "Scheduler-2"}))
        assert net.admitted == []

    play(story)


def test_a_signature_in_another_context_is_none(play):
    async def story(net):
        message = await net.challenge(HERE, "alice")
        (proof,) = net.answers(HERE, ALICE, message)
        payload = statement(message["nonce"], HERE, "Scheduler-1")
        net.receive(HERE, {**proof, "signature": ALICE.sign("commitment", payload)})
        assert net.admitted == []
        assert ALICE.sign(CONTEXT, payload) == proof["signature"]

    play(story)


@pytest.mark.parametrize("field", ["nonce", "address", "signature"])
@pytest.mark.parametrize("value", [None, 3, "", b"", "x", b"x" * 32, b"x" * 64, [1], "a" * 9999])
def test_what_is_no_proof_raises_nothing_and_lets_nobody_in(play, field, value):
    async def story(net):
        message = await net.challenge(HERE, "alice")
        (proof,) = net.answers(HERE, ALICE, message)
        net.receive(HERE, {**proof, field: value})
        net.receive(THERE, {**proof, field: value})
        assert net.admitted == []

    play(story)


@given(st.binary(min_size=1, max_size=64), st.integers(0, 200))
def test_no_changed_signature_lets_anybody_in(change, at):
    async def story():
        admitted = []
        door = Doorkeeper(DOMAINS, lambda *who: admitted.append(who))
        door.start(SimpleNamespace(id="Scheduler-1", stream_handlers={}))
        claim = door._claims[HERE] = membership._Claim("alice")
        good = ALICE.sign(CONTEXT, statement(claim.nonce, HERE, "Scheduler-1"))
        bad = good[: at % 64] + change + good[at % 64 + len(change) :]
        door.proof(HERE, claim.nonce, HERE, bad)
        assert admitted == ([(HERE, "alice")] if bad == good else [])

    asyncio.run(story())


def test_silence_ends_with_the_deadline(play, monkeypatch, warnings):
    async def story(net):
        monkeypatch.setattr(membership, "DEADLINE", 0.01)
        message = await net.challenge(HERE, "alice")
        await net.door.settled()
        net.receive(HERE, *net.answers(HERE, ALICE, message))
        assert net.admitted == []

    play(story)
    assert "no proof of its key" in warnings.text


def test_who_cannot_be_asked_stays_outside(play, monkeypatch, warnings):
    async def gone(scheduler, address, message):
        raise OSError("no route to \x1b[2J")

    async def story(net):
        monkeypatch.setattr(membership, "tell", gone)
        net.door.challenge(HERE, "alice")
        await net.door.settled()
        assert net.admitted == []

    play(story)
    assert "cannot be asked" in warnings.text
    assert "\x1b" not in warnings.text


def test_who_leaves_before_the_proof_is_waited_for_no_longer(play, warnings):
    async def story(net):
        message = await net.challenge(HERE, "alice")
        net.door.forget(HERE)
        await net.door.settled()
        net.receive(HERE, *net.answers(HERE, ALICE, message))
        assert net.admitted == []

    play(story)
    assert warnings.text == ""


def test_who_comes_later_is_not_waited_for(play):
    async def story(net):
        first = await net.challenge(HERE, "alice")
        waiting = asyncio.create_task(net.door.settled())
        await asyncio.sleep(0)
        await net.challenge(THERE, "bob")
        net.receive(HERE, *net.answers(HERE, ALICE, first))
        await waiting
        assert net.admitted == [(HERE, "alice")]

    play(story)


@pytest.mark.parametrize(
    "challenge",
    [
        {"nonce": b"short", "scheduler": "s"},
        {"nonce": "x" * 32, "scheduler": "s"},
        {"nonce": bytes(32), "scheduler": b"s"},
        {"nonce": bytes(32), "scheduler": ""},
        {"nonce": bytes(32), "scheduler": "s" * 1001},
        {"nonce": bytes(32), "scheduler": None},
    ],
)
def test_a_member_signs_nothing_but_challenges(challenge):
    sent = []
    worker = SimpleNamespace(contact_address=HERE, address=THERE, batched_send=sent.append)
    prover(worker, ALICE)(**challenge)
    assert sent == []


def test_a_member_signs_the_address_that_it_registered_with():
    sent = []
    worker = SimpleNamespace(contact_address=HERE, address=THERE, batched_send=sent.append)
    prover(worker, ALICE)(bytes(32), "s")
    assert sent == [
        {
            "op": PROOF,
            "nonce": bytes(32),
            "address": HERE,
            "signature": ALICE.sign(CONTEXT, statement(bytes(32), HERE, "s")),
        }
    ]


@pytest.mark.parametrize("domains", [[], [DOMAINS[0], DOMAINS[0]]])
def test_domains_have_distinct_names(domains):
    with pytest.raises(InputError, match="at least one domain"):
        Doorkeeper(domains, print)


def test_it_travels_to_its_scheduler():
    door = cloudpickle.loads(cloudpickle.dumps(Doorkeeper(DOMAINS, print)))
    assert door._keys == {"alice": ALICE.public_key, "bob": BOB.public_key}
