"""Reading what was committed to: nothing is believed unproven, and nobody is waited for forever."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from functools import partial
from types import SimpleNamespace
from typing import Any

import pytest

from dask_verify.core.canonical import encode
from dask_verify.core.seal import (
    INPUT,
    OUTPUT,
    Columns,
    Opening,
    SealedPartition,
    asked,
    asked_columns,
)
from dask_verify.engine import grudges, patience, reader
from dask_verify.engine.pace import Pace
from dask_verify.engine.reader import Reader, UnservedError
from dask_verify.engine.store import Address
from dask_verify.protocol.domain import COORDINATOR, Domain, Identity
from dask_verify.protocol.messages import MAP, ServedWrong, Task, Unserved
from dask_verify.protocol.serving import answers, requested

BOB = Identity("bob", bytes(range(32)))
SEALED = SealedPartition(
    2, 3, 3, (6,), tuple(b"cell %d" % i for i in range(6)), tuple(b"in %d" % i for i in range(3))
)
COMMITMENT = SEALED.commit(b"job", MAP, 0, "bob", b"inputs")
_SOON = 10.0  #: seconds after which a worker that answers nothing has been silent


class Clock:
    """A time that passes only while somebody answers."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now


class Pool:
    """A worker of bob's that answers as it likes, and takes its time."""

    def __init__(self, clock: Clock, seconds: float = 0, at_once: int = 100) -> None:
        self.clock, self.seconds, self.at_once = clock, seconds, at_once
        self.asked: list[str] = []
        self.given: list[float] = []
        self.changed = lambda columns: columns
        self.sent: Callable[[bytes], Any] = lambda wire: wire

    def call(self, address: str, domain: str, op: str, **message: Any) -> Any:
        self.asked.append(op)
        self.given.append(message["timeout"])
        self.clock.now += self.seconds
        if op == "verify_columns":
            answer = SEALED.columns(Columns.from_bytes(message["request"]))
            return self.changed(answer).to_bytes()
        if self.at_once == 0:
            raise TimeoutError("no answer")
        wanted = requested(message["request"], 1000)[: self.at_once]
        return self.sent(answers([SEALED.open(w) for w in wanted], BOB))


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(reader, "time", clock)
    monkeypatch.setattr(patience, "time", clock)
    monkeypatch.setattr(grudges, "time", clock)
    return clock


def reading(pool: Pool, partitions: int = 1) -> tuple[Reader, list[Any]]:
    posted: list[Any] = []
    made: Any = Reader(
        domains={"bob": Domain("bob", BOB.public_key)},
        pool=pool,  # type: ignore[arg-type]
        local=SimpleNamespace(),  # type: ignore[arg-type]
        holders=lambda task: ["bob"],
        post=posted.append,
        claimed=lambda task, domain: [replace(COMMITMENT, partition=task.partition)],
        pace=Pace(None, 3 * _SOON),
    )
    for partition in range(partitions):
        made.addresses["bob"][Task(MAP, partition)] = "tcp://bob:1"
    return made, posted


def inputs() -> list[Opening]:
    return [asked(COMMITMENT, INPUT, unit, unit + 1, "bob") for unit in range(3)]


def test_columns_count_only_if_they_belong_to_the_signed_root(clock: Clock) -> None:
    pool = Pool(clock)
    request = asked_columns(COMMITMENT, (1,), "bob")
    columns = reading(pool)[0].columns(request, "audits")
    assert columns is not None
    assert columns.of(1) == SEALED.columns(request).of(1)
    pool.changed = lambda columns: replace(columns, hashes=columns.hashes[::-1])
    assert reading(pool)[0].columns(request, "audits") is None
    pool.changed = lambda columns: replace(columns, units=(2,))
    assert reading(pool)[0].columns(request, "audits") is None


def test_a_drip_ends_with_the_patience(clock: Clock) -> None:
    pool = Pool(clock, seconds=patience.SECONDS * 0.7, at_once=1)
    assert reading(pool)[0].openings(inputs(), "audits") is None
    assert len(pool.asked) == 2


def test_many_sections_end_with_the_patience_too(clock: Clock) -> None:
    pool = Pool(clock, seconds=patience.SECONDS * 0.7, at_once=1)
    found = reading(pool)[0]._many("bob", [(COMMITMENT, a, a + 1) for a in range(6)], "relayed")
    assert len(found) == len(pool.asked) == 2


def test_what_comes_in_time_is_read_to_the_end(clock: Clock) -> None:
    pool = Pool(clock, seconds=patience.SECONDS * 0.2, at_once=1)
    openings = reading(pool)[0].openings(inputs(), "audits")
    assert openings is not None
    assert [opening.leaves for opening in openings] == [(b"in %d" % i,) for i in range(3)]


def sections(made: Reader) -> list[Opening] | None:
    """Read something that others might serve as well."""
    try:
        return made.sections([(COMMITMENT, 0, 3)], "relayed")
    except UnservedError:
        return None


def test_who_has_been_silent_is_not_asked_again_for_a_while(clock: Clock) -> None:
    pool = Pool(clock, seconds=_SOON + 1, at_once=0)
    made, _ = reading(pool)
    for _ in range(3):
        assert sections(made) is None
    assert len(pool.asked) == 1
    clock.now += grudges.FIRST
    pool.at_once, pool.seconds = 100, 0
    assert sections(made) is not None


def test_the_while_doubles_with_each_silence_up_to_an_end(clock: Clock) -> None:
    pool = Pool(clock, seconds=_SOON + 1, at_once=0)
    made, _ = reading(pool)
    for length in (60, 120, 240, 480, 960, 960):
        pool.asked.clear()
        assert sections(made) is None
        clock.now += length - 1
        assert sections(made) is None
        assert len(pool.asked) == 1
        clock.now += 1


def named(made: Reader, how: str) -> Any:
    """Ask bob for what a challenge names him for."""
    request = asked(COMMITMENT, OUTPUT, 0, 3, "bob")
    return {
        "open": lambda: made.open(request, "audits"),
        "openings": lambda: made.openings(inputs(), "audits"),
        "columns": lambda: made.columns(asked_columns(COMMITMENT, (1,), "bob"), "audits"),
        "nodes": lambda: made.nodes(request, 1, 0, 1),
    }[how]()


@pytest.mark.parametrize("how", ["open", "openings", "columns", "nodes"])
@pytest.mark.parametrize("answer", [None, b"garbage"])
def test_one_hiccup_leaves_no_challenge_unanswered(
    clock: Clock, how: str, answer: bytes | None
) -> None:
    """Nobody else can answer it, and who is not asked would be suspected of silence."""
    pool = Mute(clock, answer)
    made, _ = reading(pool)
    for _ in range(4):
        assert named(made, how) is None
    assert len(pool.asked) == 2
    clock.now += 2 * grudges.FIRST
    assert named(made, how) is None
    assert len(pool.asked) == 3


def test_silence_where_others_could_be_asked_leaves_no_challenge_unanswered(clock: Clock) -> None:
    pool = Pool(clock, seconds=_SOON + 1, at_once=0)
    made, _ = reading(pool)
    for _ in range(3):
        assert sections(made) is None
        clock.now += grudges.MOST
    assert sections(made) is None
    pool.at_once, pool.seconds = 100, 0
    assert sections(made) is None
    assert made.openings(inputs(), "audits") is not None


class Mute(Pool):
    """Workers of bob's that say nothing, or nothing useful, while those of others answer."""

    def __init__(self, clock: Clock, answer: bytes | None = None) -> None:
        super().__init__(clock)
        self.answer, self.addresses = answer, set[tuple[str, str]]()
        self.bob = _SOON + 1

    def call(self, address: str, domain: str, op: str, **message: Any) -> Any:
        self.addresses.add((domain, address))
        if domain != "bob" or self.bob == 0:
            return super().call(address, domain, op, **message)
        self.asked.append(op)
        self.clock.now += self.bob
        if self.answer is None:
            raise TimeoutError("no answer")
        return self.answer

    def taken(self) -> set[tuple[str, str]]:
        """Return who was asked since the last time."""
        taken, self.addresses = self.addresses, set()
        return taken


def scattered(
    clock: Clock, names: tuple[str, ...], number: int = 20
) -> tuple[Reader, list[Any], Mute, list[reader.Range]]:
    """A reader of partitions that are each held somewhere else, first of all by bob."""
    pool = Mute(clock)
    made, posted = reading(pool)
    made.holders = lambda task: list(names)
    for name in names:
        for i in range(number):
            made.found_at(Task(MAP, i), name, f"tcp://{name}:{i}")
    return made, posted, pool, [(replace(COMMITMENT, partition=i), 0, 3) for i in range(number)]


def test_two_workers_of_a_domain_are_waited_for_in_vain_and_no_more(clock: Clock) -> None:
    made, posted, pool, wanted = scattered(clock, ("bob", "carol"))
    began = clock.now
    assert len(made.sections(wanted, "relayed")) == len(wanted)
    assert len([worker for worker in pool.taken() if worker[0] == "bob"]) == 2
    assert clock.now == began + 2 * pool.bob
    assert posted == []


def test_who_was_silent_is_asked_only_where_nobody_else_serves(clock: Clock) -> None:
    made, _, pool, wanted = scattered(clock, ("bob", "carol"))
    made.sections(wanted, "relayed")
    pool.taken()
    clock.now += grudges.MOST
    made.sections(wanted, "relayed")
    made.leaves(wanted[0][0], 0, 3, "results")
    assert {domain for domain, _ in pool.taken()} == {"carol"}
    made.holders = lambda task: ["bob"]
    pool.bob = 0
    assert len(made.sections(wanted, "relayed")) == len(wanted)
    made.holders = lambda task: ["bob", "carol"]
    pool.taken()
    made.sections(wanted, "relayed")
    assert {domain for domain, _ in pool.taken()} == {"carol"}  # no answer makes up for it
    clock.now += grudges.FORGOTTEN
    made.sections(wanted, "relayed")
    assert {domain for domain, _ in pool.taken()} == {"bob"}


def test_what_two_lost_workers_do_not_hold_is_not_made_again(clock: Clock) -> None:
    made, posted, pool, wanted = scattered(clock, ("bob",))
    with pytest.raises(UnservedError) as caught:
        made.sections(wanted, "relayed")
    lost = [Task(MAP, 0), Task(MAP, 1)]
    assert [event.task for event in posted] == lost
    assert caught.value.task in lost
    pool.bob = 0
    assert len(made.sections(wanted[2:], "relayed")) == len(wanted) - 2


def test_a_domain_with_many_silent_workers_is_not_tried_two_by_two(clock: Clock) -> None:
    made, posted, pool, wanted = scattered(clock, ("bob",))
    for _ in range(2):
        with pytest.raises(UnservedError):
            made.sections(wanted, "relayed")
    assert len(pool.asked) == 4
    assert {event.task for event in posted} == {Task(MAP, i) for i in range(20)}


@pytest.mark.parametrize(
    ("nbytes", "mebibytes"), [(6 << 20, 6), (200 << 20, 64 + 100), (2**50, 1024)]
)
def test_nobody_is_given_time_for_more_than_one_reply_may_have(
    clock: Clock, nbytes: int, mebibytes: int
) -> None:
    """What a partition has is its holder's own claim."""
    pool = Pool(clock)
    made, _ = reading(pool)
    commitment = replace(COMMITMENT, nbytes=nbytes)
    made.sections([(commitment, 0, 3), (commitment, 3, 6)], "relayed")
    assert pool.given == [made.pace.answer(mebibytes << 20)]


@pytest.mark.parametrize("many", [True, False])
def test_who_serves_a_drop_at_a_time_is_asked_after_others(clock: Clock, many: bool) -> None:
    made, posted, pool, wanted = scattered(clock, ("bob", "carol"))
    pool.bob, pool.seconds = 0, patience.SECONDS + 1
    read = partial(made.sections, wanted[:1]) if many else partial(made.leaves, wanted[0][0], 0, 3)
    read("relayed")
    assert pool.taken() == {("bob", "tcp://bob:0")}
    read("relayed")
    assert pool.taken() == {("carol", "tcp://carol:0")}
    made.holders = lambda task: ["bob"]
    read("relayed")  # it may be honest, so it is asked as before
    assert posted == []


class Slow(Mute):
    """Workers that answer all that they are asked, each after as long as its domain likes."""

    def __init__(self, clock: Clock, **seconds: float) -> None:
        super().__init__(clock)
        self.bob, self.takes = 0, seconds
        self.silent = ""

    def call(self, address: str, domain: str, op: str, **message: Any) -> Any:
        self.seconds = self.takes[domain]
        self.at_once = 0 if address == self.silent else 100
        return super().call(address, domain, op, **message)


def slow(clock: Clock, number: int, **seconds: float) -> tuple[Any, list[Any], Slow, list[Any]]:
    """A reader of partitions that each of some domains holds, each on a worker of its own."""
    made, posted, _, wanted = scattered(clock, tuple(seconds), number)
    made.pool = pool = Slow(clock, **seconds)  # type: ignore[assignment]
    return made, posted, pool, wanted


def served(made: Reader, wanted: list[Any]) -> float:
    """Read all of it; return how long that took."""
    began = made.pool.clock.now  # type: ignore[attr-defined]
    assert len(made.sections(wanted, "relayed")) == len(wanted)
    return float(made.pool.clock.now - began)  # type: ignore[attr-defined]


def test_all_workers_of_a_domain_share_one_patience_where_others_serve(clock: Clock) -> None:
    made, posted, pool, wanted = slow(clock, 200, bob=2 * _SOON - 0.1, carol=0)
    assert served(made, wanted) == pytest.approx(2 * _SOON - 0.1)
    pool.taken()
    assert served(made, wanted) == 0
    assert {domain for domain, _ in pool.taken()} == {"carol"}
    assert posted == []


def test_who_answers_nothing_useful_shares_it_too(clock: Clock) -> None:
    made, posted, pool, wanted = slow(clock, 200, bob=_SOON - 1, carol=0)
    pool.sent = lambda honest: answers([None], BOB) if pool.seconds else honest
    assert served(made, wanted) == 2 * (_SOON - 1)
    assert served(made, wanted) == 0
    assert posted == []


def test_who_was_too_slow_is_asked_no_more_in_its_next_place(clock: Clock) -> None:
    made, _, _, wanted = slow(clock, 20, bob=2 * _SOON - 0.1, carol=0)
    ranks = {0: ["bob", "carol"], 1: ["nobody", "bob", "carol"]}
    made.holders = lambda task: ranks[task.partition % 2]
    assert served(made, wanted) == pytest.approx(2 * _SOON - 0.1)


def test_the_only_holder_may_have_many_workers(clock: Clock) -> None:
    made, posted, _, wanted = slow(clock, 200, bob=1)
    for _ in range(3):
        assert served(made, wanted) == len(wanted)
    assert posted == []


def test_the_only_holder_with_much_data_is_waited_for(
    clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(patience, "RATE", 1)  # as if each byte were a MiB
    made, posted, pool, wanted = slow(clock, 50, bob=15, carol=0)
    assert served(made, wanted) == 50 * 15
    assert {domain for domain, _ in pool.taken()} == {"bob"}
    assert posted == []


def test_the_only_holder_cannot_stall_with_many_workers(clock: Clock) -> None:
    made, posted, _, wanted = slow(clock, 200, bob=2 * _SOON - 0.1)
    holders = lambda task: [] if any(e.task == task for e in posted) else ["bob"]  # noqa: E731
    made.holders, began, left = holders, clock.now, wanted
    for most in (10 * _SOON, 6 * _SOON, 4 * _SOON):
        with suppress(UnservedError):
            made.sections(left, "relayed")
        assert clock.now - began <= most
        left, began = [w for w in left if holders(Task(MAP, w[0].partition))], clock.now
    assert len(left) == 2


def test_nobody_is_reported_because_another_is_slow(clock: Clock) -> None:
    made, posted, pool, wanted = slow(clock, 40, bob=2 * _SOON - 0.1, carol=1)
    made.holders = lambda task: ["bob"] if task.partition % 2 else ["carol"]
    with pytest.raises(UnservedError):
        made.sections(wanted, "relayed")
    assert {event.domain for event in posted} == {"bob"}
    assert len([worker for worker in pool.taken() if worker[0] == "carol"]) == 20


def test_a_silent_worker_takes_no_time_from_others_of_its_domain(clock: Clock) -> None:
    made, posted, pool, wanted = slow(clock, 2, bob=2 * _SOON)
    pool.silent = "tcp://bob:0"
    with pytest.raises(UnservedError):
        made.sections(wanted, "relayed")
    assert pool.taken() == {("bob", "tcp://bob:0"), ("bob", "tcp://bob:1")}
    assert [event.task for event in posted] == [Task(MAP, 0)]


def test_who_is_silent_at_the_address_of_another_silences_nobody_but_itself(clock: Clock) -> None:
    pool = Pool(clock, seconds=_SOON + 1, at_once=0)
    read, _ = reading(pool)
    read.addresses["carol"][Task(MAP, 0)] = "tcp://bob:1"  # she may say that she is anywhere
    for _ in range(2):
        assert read.openings([replace(inputs()[0], domain="carol")], "audits") is None
    pool.at_once, pool.seconds = 100, 0
    assert read.openings(inputs(), "audits") is not None
    assert read.openings([replace(inputs()[0], domain="carol")], "audits") is None


def test_who_refuses_at_once_may_be_asked_again(clock: Clock) -> None:
    pool = Pool(clock, seconds=0, at_once=0)
    made, _ = reading(pool)
    for _ in range(3):
        assert made.openings(inputs(), "audits") is None
    assert len(pool.asked) == 3


@pytest.mark.parametrize("many", [True, False])
def test_who_holds_a_partition_since_others_were_asked_is_not_reported(
    clock: Clock, many: bool
) -> None:
    pool = Pool(clock, at_once=0)
    made, posted = reading(pool)
    made.holders = lambda task: ["bob", "carol"] if pool.asked else ["bob"]
    read = (
        partial(made.sections, [(COMMITMENT, 0, 3)])
        if many
        else partial(made.leaves, COMMITMENT, 0, 3)
    )
    with pytest.raises(UnservedError):
        read("relayed")
    assert posted == [Unserved(Task(MAP, 0), "bob", COMMITMENT.digest)]


def test_all_that_is_missing_is_reported_at_once(clock: Clock) -> None:
    pool = Pool(clock, at_once=0)
    made, posted = reading(pool, partitions=3)
    missing = [replace(COMMITMENT, partition=i) for i in range(3)]
    with pytest.raises(UnservedError):
        made.sections([(c, 0, 3) for c in missing], "relayed")
    assert posted == [Unserved(Task(MAP, i), "bob", c.digest) for i, c in enumerate(missing)]


@pytest.mark.parametrize("wire", [None, 5, "text", b"", b"garbage", [b"", b""]])
def test_what_is_no_answer_is_silence(clock: Clock, wire: Any) -> None:
    pool = Pool(clock)
    pool.sent = lambda honest: wire
    made, posted = reading(pool)
    assert made.openings(inputs(), "audits") is None
    assert made.open(inputs()[0], "audits") is None
    assert posted == []


def test_an_answer_to_more_than_was_asked_is_none(clock: Clock) -> None:
    pool = Pool(clock)
    more = answers([SEALED.open(request) for request in inputs()], BOB)
    pool.sent = lambda honest: more
    assert reading(pool)[0].open(inputs()[0], "audits") is None


@pytest.mark.parametrize("own", [{"root": b"r" * 32}, {"units": 6}, {"input_root": b"r" * 32}])
def test_nobody_is_reported_for_a_root_or_size_that_another_committed_to(
    clock: Clock, own: dict[str, Any]
) -> None:
    """Whoever is accepted meanwhile, a domain answers for what it has itself signed."""
    pool = Pool(clock)
    tree = INPUT if "input_root" in own else OUTPUT
    request = asked(COMMITMENT, tree, 0, 1, "bob")
    pool.sent = lambda honest: answers([replace(SEALED.open(request), leaves=(b"lie",))], BOB)
    made, posted = reading(pool)
    made.claimed = lambda task, domain: [replace(COMMITMENT, **own)]
    assert made.open(request, "audits") is None
    assert posted == []
    made.claimed = lambda task, domain: [replace(COMMITMENT, **own), COMMITMENT]
    assert made.open(request, "audits") is None
    assert posted == [ServedWrong(Task(MAP, 0), "bob")]


def test_one_look_at_a_reply_with_many_lies(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    looks: list[bytes] = []
    monkeypatch.setattr(reader, "convicts", lambda evidence, *of: looks.append(evidence))
    pool = Pool(clock)
    lies = [replace(SEALED.open(request), leaves=(b"lie",)) for request in inputs()]
    pool.sent = lambda honest: answers(lies, BOB)
    assert reading(pool)[0].openings(inputs(), "audits") is None
    assert len(looks) == 1


def test_nobody_is_asked_range_by_range_for_what_it_did_not_serve(clock: Clock) -> None:
    pool = Pool(clock, seconds=_SOON - 1)
    pool.sent = lambda honest: answers([None], BOB)
    made, posted = reading(pool, partitions=50)
    missing = [replace(COMMITMENT, partition=i) for i in range(50)]
    with pytest.raises(UnservedError):
        made.sections([(c, 0, 3) for c in missing], "relayed")
    assert len(pool.asked) == 1
    assert len(posted) == 50


def test_who_is_slow_and_serves_nothing_is_not_asked_again_for_a_while(clock: Clock) -> None:
    pool = Pool(clock, seconds=_SOON + 1)
    pool.sent = lambda honest: answers([None], BOB)
    made, _ = reading(pool)
    for _ in range(3):
        assert sections(made) is None
    assert len(pool.asked) == 1


def test_padding_is_no_progress(clock: Clock) -> None:
    pool = Pool(clock, seconds=patience.SECONDS * 0.7, at_once=1)
    made, _ = reading(pool)
    for padding in (bytes(64 << 20), encode((((b"x" * (64 << 20),), ()), ()))):
        pool.asked.clear()
        pool.sent = lambda honest, padding=padding: encode((((),), padding))  # type: ignore[misc]
        assert made._many("bob", [(COMMITMENT, a, a + 1) for a in range(6)], "relayed") == {}
        assert len(pool.asked) <= 1


def test_lies_are_no_progress_either(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patience, "RATE", 10)
    pool = Pool(clock, seconds=patience.SECONDS * 0.7)
    ranges = [(COMMITMENT, a, a + 1) for a in range(6)]

    def one_and_a_lie(honest: bytes) -> bytes:
        start = 2 * (len(pool.asked) - 1)
        good, other = (SEALED.open(asked(COMMITMENT, OUTPUT, a, a + 1, "bob"))
                       for a in (start, start + 1))  # fmt: skip
        return answers([good, replace(other, leaves=(bytes(1000),))], BOB)

    pool.sent = one_and_a_lie
    assert len(reading(pool)[0]._many("bob", ranges, "relayed")) == len(pool.asked) == 2


def test_another_holder_is_asked_for_all_that_the_first_does_not_serve(clock: Clock) -> None:
    pool = Pool(clock)
    pool.sent = lambda honest: answers([None], BOB)
    made, posted = reading(pool, partitions=2)
    made.holders = lambda task: ["bob", COORDINATOR]
    own = SimpleNamespace(open=lambda request: SEALED.open(request))
    made.local = {Address(b"job", MAP, i): own for i in range(2)}
    wanted = [(replace(COMMITMENT, partition=i), 0, 3) for i in range(2)]
    assert [o.leaves for o in made.sections(wanted, "relayed")] == [SEALED.leaves[:3]] * 2
    assert posted == []


@pytest.mark.parametrize("signer", [BOB, Identity("bob", bytes(32))])
def test_who_signs_for_what_it_did_not_commit_to_is_reported(
    clock: Clock, signer: Identity
) -> None:
    lies = [replace(SEALED.open(request), leaves=(b"lie",)) for request in inputs()]
    pool = Pool(clock)
    pool.sent = lambda honest: answers(lies[:1], signer)
    made, posted = reading(pool)
    assert made.open(inputs()[0], "audits") is None
    assert posted == ([ServedWrong(Task(MAP, 0), "bob")] if signer is BOB else [])


def read(made: Reader, many: bool) -> Any:
    if many:
        return made.sections([(COMMITMENT, 0, 3)], "relayed")
    return made.leaves(COMMITMENT, 0, 3, "relayed")


@pytest.mark.parametrize("many", [True, False])
def test_who_has_made_a_partition_again_meanwhile_is_not_reported_for_its_former_copy(
    clock: Clock, many: bool
) -> None:
    """Somebody else may have been waited for since then; it would have to make it once more."""

    class Remade(Pool):
        def call(self, *what: Any, **message: Any) -> Any:
            made.found_at(Task(MAP, 0), "bob", "tcp://bob:2")
            raise ConnectionError("its worker was lost")

    made, posted = reading(Remade(clock))
    for _ in range(2):
        with pytest.raises(UnservedError):
            read(made, many)
        assert not posted
        made.found_at = lambda *where: None
        made.addresses["bob"][Task(MAP, 0)] = "tcp://bob:3"
        with pytest.raises(UnservedError):
            made.leaves(COMMITMENT, 0, 3, "relayed")
        assert posted.pop() == Unserved(Task(MAP, 0), "bob", COMMITMENT.digest)
        made.found_at = partial(Reader.found_at, made)
