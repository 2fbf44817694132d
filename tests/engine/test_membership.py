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
from dask_verify.engine.membership import (
    CHALLENGE,
    CONTEXT,
    OUTCOME,
    PROOF,
    Doorkeeper,
    listener,
    prover,
    statement,
)
from dask_verify.errors import InputError
from dask_verify.protocol.domain import Domain, Identity

ALICE, BOB = (Identity(name, name[:1].encode() * 32) for name in ("alice", "bob"))
DOMAINS = [Domain(i.name, i.public_key, {"python": "3"}) for i in (ALICE, BOB)]
HERE, THERE = "tcp://10.0.0.1:1", "tcp://10.0.0.2:2"
SCHEDULER, OTHER = "tcp://10.0.0.9:8786", "tcp://10.0.0.8:8786"


def connected(address, reached=SCHEDULER):
    """The connection of a worker as one end sees it."""
    comm = SimpleNamespace(local_address=address, peer_address=reached, closed=lambda: False)
    return SimpleNamespace(comm=comm)


def worker_at(address, sent, contact=None, reached=SCHEDULER):
    return SimpleNamespace(
        contact_address=contact,
        address=address,
        batched_send=sent.append,
        batched_stream=connected(address, reached),
    )


def scheduler(address=SCHEDULER):
    return SimpleNamespace(id="Scheduler-1", stream_handlers={}, stream_comms={}, address=address)


class Net:
    """A scheduler and what it sends to whom; workers answer when the test lets them."""

    def __init__(self, monkeypatch, domains=DOMAINS, addresses=()):
        self.admitted = []
        self.asked = {}
        self.outcomes = {}
        self.told = asyncio.Event()
        self.scheduler = scheduler()
        self.door = Doorkeeper(domains, lambda *who: self.admitted.append(who), addresses)
        self.door.start(self.scheduler)
        monkeypatch.setattr(membership, "tell", self.tell)

    async def tell(self, scheduler, address, message):
        assert scheduler is self.scheduler
        if message["op"] == OUTCOME:
            self.outcomes.setdefault(address, []).append(message["reason"])
            return
        assert message["op"] == CHALLENGE
        self.asked.setdefault(address, []).append(message)
        self.told.set()

    async def challenge(self, address, domain):
        self.told.clear()
        self.door.challenge(address, domain)
        await self.told.wait()
        return self.asked[address][-1]

    def answers(self, address, identity, message, reached=SCHEDULER):
        """What a worker at an address sends down its connection to a scheduler."""
        sent = []
        worker = worker_at(address, sent, reached=reached)
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
        payload = statement(message["nonce"], HERE, "Scheduler-1", SCHEDULER)
        net.receive(HERE, {**proof, "signature": ALICE.sign("commitment", payload)})
        assert net.admitted == []
        assert ALICE.sign(CONTEXT, payload) == proof["signature"]

    play(story)


@pytest.mark.parametrize("field", ["nonce", "address", "reached", "signature"])
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
        door.start(scheduler())
        claim = door._claims[HERE] = membership._Claim("alice")
        good = ALICE.sign(CONTEXT, statement(claim.nonce, HERE, "Scheduler-1", SCHEDULER))
        bad = good[: at % 64] + change + good[at % 64 + len(change) :]
        door._inform = informed
        door.proof(HERE, claim.nonce, HERE, SCHEDULER, bad)
        assert admitted == ([(HERE, "alice")] if bad == good else [])

    async def informed(address, reason):
        pass

    asyncio.run(story())


def test_a_late_proof_is_as_good_and_nobody_waits_for_it(play, monkeypatch, warnings):
    """The worker was busy; it is asked again, the same question, until it answers or leaves."""

    async def story(net):
        monkeypatch.setattr(membership, "DEADLINE", 0.01)
        message = await net.challenge(HERE, "alice")
        await net.door.settled()
        await net.door.settled(everybody=True)
        assert net.admitted == []
        net.told.clear()
        await net.told.wait()
        assert net.asked[HERE][-1] == message
        net.receive(HERE, *net.answers(HERE, ALICE, message))
        assert net.admitted == [(HERE, "alice")]

    play(story)
    assert warnings.text.count("no proof of its key") == 1


def test_who_could_not_be_asked_is_asked_again(play, monkeypatch, warnings):
    async def busy(scheduler, address, message):
        monkeypatch.setattr(membership, "tell", net_of.pop().tell)
        raise OSError("busy")

    net_of = []

    async def story(net):
        monkeypatch.setattr(membership, "DEADLINE", 0.01)
        monkeypatch.setattr(membership, "tell", busy)
        net_of.append(net)
        message = await net.challenge(HERE, "alice")
        net.receive(HERE, *net.answers(HERE, ALICE, message))
        assert net.admitted == [(HERE, "alice")]

    play(story)
    assert "cannot be asked" in warnings.text


def test_a_silent_claim_delays_nobody_once_its_domain_is_there(play):
    async def story(net):
        silent, member, other = THERE, HERE, "tcp://10.0.0.3:3"
        await net.challenge(silent, "alice")
        waiting = asyncio.create_task(net.door.settled())
        await asyncio.sleep(0)
        message = await net.challenge(member, "alice")
        net.receive(member, *net.answers(member, ALICE, message))
        await waiting
        await net.door.settled()

        # Who wants all of them waits; and a domain that lost its last member is waited for.
        everybody = asyncio.create_task(net.door.settled(everybody=True))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert not everybody.done()
        net.door.forget(member)
        again = asyncio.create_task(net.door.settled())
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert not again.done()
        message = await net.challenge(other, "alice")
        net.receive(other, *net.answers(other, ALICE, message))
        await again
        net.door.forget(silent)
        await everybody

    play(story)


def test_a_member_that_works_for_another_scheduler_proves_nothing_here(play, warnings):
    """An impostor registers here with its address, and sends on what it proves over there."""

    async def story(net):
        net.scheduler.stream_comms[HERE] = connected(SCHEDULER)
        message = await net.challenge(HERE, "alice")
        (proof,) = net.answers(HERE, ALICE, message, reached=OTHER)
        net.receive(HERE, proof)
        assert net.admitted == []
        message = await net.challenge(HERE, "alice")
        (proof,) = net.answers(HERE, ALICE, message, reached=OTHER)
        net.receive(HERE, {**proof, "reached": SCHEDULER})
        assert net.admitted == []

    play(story)
    assert f"its proof is for the scheduler at {OTHER}" in warnings.text
    assert "--reached-as" in warnings.text
    assert "does not verify" in warnings.text


def test_a_scheduler_has_several_addresses(play):
    """Its own, that of the very connection, and those that it is told."""
    local, proxy = "tcp://192.168.0.1:8786", "tcp://10.9.9.9:80"

    async def story(net):
        net.scheduler.stream_comms[HERE] = connected(local)
        for reached in (SCHEDULER, local, proxy):
            message = await net.challenge(HERE, "alice")
            net.receive(HERE, *net.answers(HERE, ALICE, message, reached=reached))
            net.door.forget(HERE)
        # Another worker's connection, or one whose end is what the other side says.
        net.scheduler.stream_comms[HERE] = connected(OTHER)
        net.scheduler.stream_comms[THERE] = connected(OTHER.replace("tcp", "ws"))
        for reached in (OTHER, OTHER.replace("tcp", "ws")):
            message = await net.challenge(THERE, "alice")
            net.receive(THERE, *net.answers(THERE, ALICE, message, reached=reached))
        assert net.admitted == [(HERE, "alice")] * 3

    play(story, addresses=[proxy])


@pytest.mark.parametrize("address", ["", "10.0.0.1", "tcp://10.0.0.1", "nonsense://x:1", None, 3])
def test_an_address_of_a_scheduler_has_a_port(address):
    with pytest.raises(InputError, match="address of the scheduler: expected one such as"):
        Doorkeeper(DOMAINS, print, [address])


def test_a_worker_is_told_what_came_of_its_proof(play):
    async def story(net):
        message = await net.challenge(HERE, "alice")
        net.receive(HERE, *net.answers(HERE, ALICE, message))
        message = await net.challenge(THERE, "alice")
        net.receive(THERE, *net.answers(THERE, BOB, message))
        net.door.challenge("tcp://10.0.0.3:3", "mallory")
        while net.door._running:
            await asyncio.wait(net.door._running)
        assert net.outcomes[HERE] == [""]
        assert net.outcomes[THERE] == ["its proof does not verify with the enrolled key"]
        assert "not enrolled" in net.outcomes["tcp://10.0.0.3:3"][0]

    play(story)


def test_a_worker_logs_what_it_is_told(warnings):
    warnings.set_level(logging.INFO, "distributed.dask_verify")
    told = listener("alice")
    told("")
    told("no\x1b[2J")
    for nonsense in (None, 3, b"x", "x" * 1001, [""]):
        told(nonsense)
    assert [record.levelname for record in warnings.records] == ["INFO", "WARNING"]
    assert "Domain alice: key proven" in warnings.text
    assert "Domain alice: not a member" in warnings.text
    assert "\x1b" not in warnings.text


def test_who_cannot_be_asked_stays_outside(play, monkeypatch, warnings):
    async def gone(scheduler, address, message):
        raise OSError("no route to \x1b[2J")

    async def story(net):
        monkeypatch.setattr(membership, "tell", gone)
        monkeypatch.setattr(membership, "DEADLINE", 0.01)
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
    prover(worker_at(THERE, sent), ALICE)(**challenge)
    assert sent == []


@pytest.mark.parametrize("lost", ["stream", "comm", "closed"])
def test_a_member_without_a_connection_signs_nothing(lost):
    sent = []
    worker = worker_at(THERE, sent)
    if lost == "stream":
        worker.batched_stream = None
    elif lost == "comm":
        worker.batched_stream.comm = None
    else:
        worker.batched_stream.comm.closed = lambda: True
    prover(worker, ALICE)(bytes(32), "s")
    assert sent == []


def test_a_member_signs_the_address_that_it_registered_with_and_where_it_connected_to():
    sent = []
    prover(worker_at(THERE, sent, contact=HERE), ALICE)(bytes(32), "s")
    assert sent == [
        {
            "op": PROOF,
            "nonce": bytes(32),
            "address": HERE,
            "reached": SCHEDULER,
            "signature": ALICE.sign(CONTEXT, statement(bytes(32), HERE, "s", SCHEDULER)),
        }
    ]


@pytest.mark.parametrize("domains", [[], [DOMAINS[0], DOMAINS[0]]])
def test_domains_have_distinct_names(domains):
    with pytest.raises(InputError, match="at least one domain"):
        Doorkeeper(domains, print)


def test_it_travels_to_its_scheduler():
    door = cloudpickle.loads(cloudpickle.dumps(Doorkeeper(DOMAINS, print)))
    assert door._keys == {"alice": ALICE.public_key, "bob": BOB.public_key}
