"""What is submitted: what reducers are told, and how audits reach workers of their domain."""

from __future__ import annotations

from dataclasses import dataclass, replace
from types import SimpleNamespace
from typing import Any

import dask.bag
import pytest
from dask import delayed

from dask_verify.core.canonical import decode, encode
from dask_verify.core.seal import OUTPUT, Answer, Commitment, SealedPartition, asked
from dask_verify.engine import compat, launch
from dask_verify.engine.cluster import LocalDomainCluster
from dask_verify.engine.compat import inner_graph, joined
from dask_verify.engine.graphs import upstream
from dask_verify.engine.launch import Launcher
from dask_verify.engine.pace import Pace
from dask_verify.engine.pool import open_pool
from dask_verify.engine.reader import GoneError, ReplacedError
from dask_verify.engine.tasks import AUDITED, Order, run_audit, run_map, run_read
from dask_verify.execution.work import Work, ship
from dask_verify.protocol.messages import MAP, REDUCE, Challenge, Run, StartReduce, Task
from dask_verify.protocol.serving import unwrap

ACCEPTED = Commitment(b"job", "map", 0, "alice", b"in", 1, 1, 1, (1,), 1, b"", b"r" * 32)
SEALED_SECTION = asked(ACCEPTED, OUTPUT, 0, 1, "alice")


def started(launching: Launcher, *maps: Commitment) -> Launcher:
    """Tell a launcher what a reduce stage was started with."""
    launching.started(StartReduce(b"in", maps or (ACCEPTED,)))
    return launching


WORKERS = {"alice": ["tcp://alice:1"], "bob": ["tcp://bob:1"]}
CLAIMED = [("alice", "tcp://alice:1"), ("bob", "tcp://somewhere.else:80")]


WORK = Work(
    kind="bag",
    mapper=lambda line: [(word, 1) for word in line.split()],
    reducer=lambda key, values: sum(values),
    combiner=None,
    buckets=2,
    partitions=1,
    unit_records=2,
)


def plan(replicas: int = 2) -> Any:
    return SimpleNamespace(job=b"job", maps=1, policy=SimpleNamespace(replicas=replicas))


def holders(connected: bool, domain: str, replicas: int = 2) -> Any:
    driver: Any = SimpleNamespace(
        plan=plan(replicas),
        pool=SimpleNamespace(connected=connected, workers=lambda: WORKERS),
        reader=SimpleNamespace(where=lambda task: iter(CLAIMED), pace=Pace(None, floor=30)),
        state=SimpleNamespace(accepted=lambda task: ACCEPTED),
    )
    nothing: Any = None
    trusted, seconds, rows = decode(
        started(Launcher(driver, nothing, nothing))._table(domain, b"in")
    )
    assert (trusted, seconds) == (replicas > 1, 10.0)
    ((commitment, found),) = rows
    assert Commitment.from_bytes(commitment) == ACCEPTED
    return found


def test_only_addresses_of_a_domains_own_workers_are_told() -> None:
    assert holders(connected=True, domain="bob") == (("alice", "tcp://alice:1"),)


@pytest.mark.parametrize(("domain", "found"), [("alice", (CLAIMED[0],)), ("bob", ())])
def test_holders_on_another_cluster_are_out_of_reach(domain: str, found: Any) -> None:
    assert holders(connected=False, domain=domain) == found


def test_what_one_domain_counted_alone_is_not_trusted() -> None:
    assert holders(connected=True, domain="bob", replicas=1) == (("alice", "tcp://alice:1"),)


@pytest.mark.parametrize(("replicas", "relayed"), [(1, 1), (2, 0)])
def test_sections_that_one_domain_says_are_empty_are_relayed(replicas: int, relayed: int) -> None:
    read: list[Any] = []
    empty = Commitment(b"job", "map", 0, "alice", b"in", 1, 1, 1, (0,), 1, b"", b"r" * 32)
    driver: Any = SimpleNamespace(
        plan=plan(replicas),
        work=WORK,
        pool=SimpleNamespace(connected=False, scatter=lambda *a, timeout: "blob"),
        reader=SimpleNamespace(
            where=lambda task: iter(CLAIMED[:1]),
            sections=lambda wanted, why: read.extend(wanted) or [],
            pace=Pace(None, floor=30),
        ),
        state=SimpleNamespace(accepted=lambda task: empty),
    )
    nothing: Any = None
    launching = started(Launcher(driver, nothing, nothing), empty)
    blob = launching._relayed(Run(Task(REDUCE, 0), "bob", b"in"), False)
    assert (len(read), blob) == (relayed, "blob" if relayed else None)


def test_relaying_takes_the_bytes_of_one_partition_and_no_longer_than_an_answer_may() -> None:
    sealed = SealedPartition(2, 1, 2, (2,), (b"one", b"two"))
    ask = asked(sealed.commit(b"job", "map", 0, "alice", b"in"), OUTPUT, 0, 2, "alice")
    openings = [sealed.open(ask), replace(sealed.open(ask), partition=1)]
    wires = tuple(opening.to_bytes() for opening in openings)
    seen: list[bool] = []

    pace = Pace(None, floor=6)
    pace.note(MAP, "bob", 1)

    def scatter(domain: str, blob: bytes, *, timeout: float) -> str:
        seen.append(launching._relaying["bob"].locked())
        assert 3 < timeout == pace.answer(2 * len(blob)) < 3.1
        assert (decode(blob), openings) == (wires, [])
        return "blob"

    def sections(wanted: Any, why: str) -> Any:
        seen.append(launching._relaying["bob"].locked())
        return openings

    driver: Any = SimpleNamespace(
        plan=plan(),
        work=WORK,
        pool=SimpleNamespace(connected=False, scatter=scatter),
        reader=SimpleNamespace(where=lambda task: iter(CLAIMED[:1]), sections=sections, pace=pace),
        state=SimpleNamespace(accepted=lambda task: ACCEPTED),
    )
    nothing: Any = None
    launching = started(Launcher(driver, nothing, nothing))
    assert launching._relayed(Run(Task(REDUCE, 0), "bob", b"in"), True) == "blob"
    assert seen == [True, True]
    assert not launching._relaying["bob"].locked()


def test_who_takes_its_data_slowly_holds_up_nobody_else() -> None:
    seen: list[Any] = []

    def scatter(domain: str, blob: bytes, *, timeout: float) -> str:
        seen.append({name: lock.locked() for name, lock in launching._relaying.items()})
        if domain == "bob" and not launching._relaying["carol"].locked():
            # One that has not taken it yet: another domain's data go their way meanwhile.
            relayed("carol")
        return domain

    def relayed(domain: str) -> Any:
        return launching._relayed(Run(Task(REDUCE, 0), domain, b"in"), True)

    driver: Any = SimpleNamespace(
        plan=plan(),
        work=WORK,
        pool=SimpleNamespace(connected=False, scatter=scatter),
        reader=SimpleNamespace(
            where=lambda task: iter(CLAIMED[:1]),
            sections=lambda wanted, why: [],
            pace=Pace(None, floor=30),
        ),
        state=SimpleNamespace(accepted=lambda task: ACCEPTED),
    )
    nothing: Any = None
    launching = started(Launcher(driver, nothing, nothing))
    for name in ("carol", "bob"):
        assert relayed(name) == name
    assert seen == [
        {"carol": True},
        {"carol": False, "bob": True},
        {"carol": True, "bob": True},
    ]


@pytest.mark.parametrize("other", [None, replace(ACCEPTED, nbytes=2)])
def test_nothing_is_read_for_inputs_that_have_been_replaced(other: Commitment | None) -> None:
    driver: Any = SimpleNamespace(
        plan=plan(), work=WORK, state=SimpleNamespace(accepted=lambda task: other)
    )
    nothing: Any = None
    with pytest.raises(ReplacedError):
        list(started(Launcher(driver, nothing, nothing)).ranges(0, b"in"))


def test_nothing_is_read_for_inputs_that_no_stage_was_started_with() -> None:
    driver: Any = SimpleNamespace(
        plan=plan(), work=WORK, state=SimpleNamespace(accepted=lambda task: ACCEPTED)
    )
    nothing: Any = None
    launching = started(Launcher(driver, nothing, nothing))
    assert len(list(launching.ranges(0, b"in"))) == 1
    with pytest.raises(GoneError):
        list(launching.ranges(0, b"other"))


# --- audits ---------------------------------------------------------------------------------


@dataclass
class Submitted:
    """A future of something that was submitted."""

    key: str
    status: str = "pending"


class Submissions:
    """A pool that only notes what is submitted."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, dict[Any, Any], list[Any], int]] = []
        self.futures: dict[Any, Submitted] = {}

    def submit(self, domain: str, graph: Any, keys: Any, priority: int = 0) -> Any:
        if not str(keys[0]).partition("-functions-")[1]:
            self.seen.append((domain, dict(graph), list(keys), priority))
        self.futures |= (made := {key: Submitted(key) for key in keys})
        return made


def launcher(pool: Any, collection: Any = None) -> Launcher:
    if collection is None:
        collection = dask.bag.from_sequence(["to be", "or not"], npartitions=2).map(str.upper)
    driver: Any = SimpleNamespace(plan=plan(), pool=pool, work=WORK)
    return Launcher(driver, upstream(collection), ship(WORK))


def challenge(domain: str, kind: str = "read", stage: str = MAP) -> Challenge:
    return Challenge(Task(stage, 1), b"in", b"digest", kind, (), "alice", domain)


def ordered(node: Any) -> Order:
    return Order.from_bytes(node.args[0])


def inside(graph: Any, key: Any) -> dict[Any, Any]:
    """Return the tasks that one submitted key stands for, those joined into it included."""
    return inner_graph(graph[key]) or {key: graph[key]}


def test_reading_again_uses_only_what_the_auditor_reads() -> None:
    pool = Submissions()
    launching = launcher(pool)
    for domain in ("bob", "bob", "carol"):
        launching.read(challenge(domain))
    launching.maps("bob", [Run(Task(MAP, 1), "bob", b"in")])
    graphs = [set(inside(graph, *keys)) - set(keys) for _, graph, keys, _ in pool.seen]
    assert all(graphs)
    assert graphs[0].isdisjoint(graphs[2])
    [(_, graph, keys, _)] = pool.seen[2:3]
    inner = inside(graph, *keys)
    references = {key for node in inner.values() for key in node.dependencies}
    assert references
    assert not any("bob" in str(key) for key in references | set(inner))
    names = [key for _, _, keys, _ in pool.seen for key in keys]
    assert len(set(names)) == len(names) == 4


def test_what_tasks_need_is_sent_once_and_again_if_it_is_lost() -> None:
    """A courier that is started again has none of what the one before had sent."""
    pool = Submissions()
    launching = launcher(pool)
    key = launching._constant("bob", "table", b"data")
    launching._constant("bob", "table", b"data")
    assert len(pool.seen) == 1
    launching._held[key] = SimpleNamespace(status="lost")
    launching._constant("bob", "table", b"data")
    assert len(pool.seen) == 2


def test_audits_go_first_and_carry_what_they_need() -> None:
    pool = Submissions()
    launching = launcher(pool)
    asked = encode(((0, b"input"),))
    futures = [
        launching.read(challenge("bob")),
        launching.audit(challenge("bob", "units"), asked),
        launching.audit(challenge("bob", "units", REDUCE), asked),
    ]
    tasks = [inside(graph, *keys)[keys[0]] for _, graph, keys, _ in pool.seen]
    assert futures == [Submitted(keys[0]) for _, _, keys, _ in pool.seen]
    assert [priority for *_, priority in pool.seen] == [1, 1, 1]
    assert tasks[0].func is run_read
    assert [(t.func.func, t.func.args, t.args[2]) for t in tasks[1:]] == [
        (run_audit, (stage,), asked) for stage in (MAP, REDUCE)
    ]
    for task in tasks:
        order = ordered(task)
        assert (order.domain, order.partition, order.inputs) == ("bob", 1, b"in")
        assert order.audit


def test_what_a_scheduler_has_forgotten_is_given_to_it_again() -> None:
    """A client that is dropped has no claim any more to what its scheduler held for it."""
    pool, one = Submissions(), delayed(str.upper)("to be")
    launching = launcher(pool, dask.bag.from_delayed([one, one]))
    for _ in range(2):
        launching.maps("bob", [Run(Task(MAP, 0), "bob", b"in")])
    kept = [key for key in pool.futures if "-map-" not in key]
    assert len(kept) == 2  # the functions, and what both partitions are made of
    for key in kept:
        pool.futures[key].status = "cancelled"
    launching.maps("bob", [Run(Task(MAP, 1), "bob", b"in")])
    assert [pool.futures[key].status for key in kept] == ["pending", "pending"]


def test_audits_of_whole_partitions_overtake_the_window() -> None:
    pool = Submissions()
    runs = [Run(Task(MAP, i), "bob", b"in", audit=i == 1) for i in (0, 1)]
    futures = launcher(pool).maps("bob", [*runs, runs[0]])
    assert [(len(keys), priority) for _, _, keys, priority in pool.seen] == [(2, 0), (1, 1)]
    for _, graph, keys, priority in pool.seen:
        for key in keys:
            task = inside(graph, key)[key]
            assert task.func is run_map
            assert ordered(task).audit is (priority == 1)
    first, second = pool.seen[0][2]
    assert futures == [Submitted(key) for key in (first, pool.seen[1][2][0], second)]


@pytest.mark.parametrize("audit", [False, True])
def test_a_reduce_audit_overtakes_too(audit: bool) -> None:
    pool: Any = Submissions()
    pool.connected, pool.workers = True, lambda: WORKERS
    driver: Any = SimpleNamespace(
        plan=plan(),
        pool=pool,
        work=WORK,
        reader=SimpleNamespace(where=lambda task: iter(CLAIMED), pace=Pace(None, floor=30)),
        state=SimpleNamespace(accepted=lambda task: ACCEPTED),
    )
    nothing: Any = None
    launching = started(Launcher(driver, nothing, ship(WORK)))
    launching.reduces("bob", [(Run(Task(REDUCE, 0), "bob", b"in", audit), False)])
    _, graph, (key,), priority = pool.seen[-1]
    assert ordered(graph[key]).audit is audit
    assert priority == audit


def test_what_reads_more_than_a_chain_stays_apart() -> None:
    """Tasks of a tree may run at the same time; joined they would not."""
    halves = dask.bag.from_sequence(range(8), npartitions=4).reduction(sum, sum, split_every=2)
    pool = Submissions()
    tree = dask.bag.from_delayed([halves.to_delayed(optimize_graph=False)])
    launcher(pool, tree).maps("bob", [Run(Task(MAP, 0), "bob", b"in")])
    [(_, graph, [key], _)] = pool.seen
    assert len(graph) > 4
    assert graph[key].func is run_map


def test_what_dangles_beside_a_chain_keeps_tasks_apart() -> None:
    """A literal below what partitions share stays in the graph, and nothing refers to it."""
    graph: Any = {
        "a": compat.DataNode("a", 1),
        "b": compat.Alias("b", "a"),
        "c": compat.Task("c", str, compat.TaskRef("s")),
    }
    top = compat.Task("top", len, compat.TaskRef("c"))
    assert list(joined(graph, top)) == ["a", "b", "c", "top"]
    assert list(joined({"c": graph["c"]}, top)) == ["top"]


def test_attempts_never_share_a_key() -> None:
    pool = Submissions()
    launching = launcher(pool)
    run = Run(Task(MAP, 1), "bob", b"in")
    for _ in range(3):
        launching.maps("bob", [run, run])
        launching.audit(challenge("bob", "units"), encode(()))
        launching.read(challenge("bob"))
    names = [key for _, _, keys, _ in pool.seen for key in keys]
    assert len(set(names)) == len(names) == 12


@pytest.mark.cluster
@pytest.mark.parametrize("kind", ["shared", "separate"])
def test_an_auditor_reads_for_itself(kind: str, request: pytest.FixtureRequest) -> None:

    def whoami() -> list[str]:
        from distributed import get_worker

        return [get_worker().plugins["dask-verify"].domain]

    cluster: LocalDomainCluster = request.getfixturevalue(f"{kind}_cluster")
    with open_pool(cluster.get_client(), cluster.domains) as pool:
        collection = dask.bag.from_delayed([delayed(whoami)(dask_key_name=f"who-{kind}")] * 2)
        launching = launcher(pool, collection)
        futures = [launching.read(challenge(name)) for name in ("alice", "bob", "bob")]
        alice, bob, again = (answer(future.result()) for future in futures)
        launching.close()
    assert bob == again
    assert (alice.domain, bob.domain, alice.counts, bob.counts) == ("alice", "bob", (1, 1), (1, 1))
    assert alice.hashes != bob.hashes


def answer(data: bytes) -> Answer:
    what, wire, _ = decode(data)
    assert what == AUDITED
    return Answer.from_bytes(unwrap(wire)[0])


def test_only_those_who_hold_a_partition_when_it_is_settled_drop_its_inputs() -> None:
    told: list[Any] = []
    holders = {1: [("bob", "tcp://bob:1")], 2: [("bob", "tcp://bob:1"), ("eve", "tcp://eve:1")]}
    driver: Any = SimpleNamespace(
        plan=plan(),
        work=WORK,
        reader=SimpleNamespace(where=lambda task: holders[task.partition], pace=Pace(None, 30)),
        pool=SimpleNamespace(
            call=lambda address, domain, op, **what: told.append((domain, op, what["partitions"]))
        ),
        beside=lambda function, argument, about="": function(argument),
    )
    nothing: Any = None
    launching = Launcher(driver, nothing, nothing)
    launching.release(Task(MAP, 1))
    launching.release(Task(MAP, 2))
    launching.release(Task(REDUCE, 1))
    # Whoever computes it anew before the message is out is not told.
    holders[1] = [("carol", "tcp://carol:1")]
    launching.flush()
    launching.flush()
    assert told == [("bob", "verify_release", [1, 2]), ("eve", "verify_release", [2])]


def test_a_worker_that_does_not_hear_what_it_may_drop_is_told_no_more(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It is gone, and holds nothing; or it would keep a thread waiting again and again."""
    monkeypatch.setattr(launch, "_FLUSH", -1.0)
    told: list[float] = []

    def silent(*what: Any, timeout: float, **more: Any) -> None:
        told.append(timeout)
        raise TimeoutError

    driver: Any = SimpleNamespace(
        plan=plan(),
        work=WORK,
        reader=SimpleNamespace(where=lambda task: [("bob", "tcp://bob:1")], pace=Pace(None, 30)),
        pool=SimpleNamespace(call=silent),
        beside=lambda function, argument, about="": function(argument),
    )
    nothing: Any = None
    launching = Launcher(driver, nothing, nothing)
    for partition in range(3):
        launching.release(Task(MAP, partition))
        launching.flush()
    assert told == [10.0]


def test_who_does_not_answer_is_told_one_thing_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(launch, "_FLUSH", -1.0)
    waiting: list[Any] = []
    told: list[Any] = []
    driver: Any = SimpleNamespace(
        plan=plan(),
        work=WORK,
        reader=SimpleNamespace(where=lambda task: [("bob", "tcp://bob:1")], pace=Pace(None, 30)),
        pool=SimpleNamespace(call=lambda address, domain, op, **what: told.append(what)),
        beside=lambda function, argument, about="": waiting.append(lambda: function(argument)),
    )
    nothing: Any = None
    launching = Launcher(driver, nothing, nothing)
    for partition in range(3):
        launching.release(Task(MAP, partition))
        launching.flush()
    assert len(waiting) == 1
    waiting.pop()()
    launching.flush()
    waiting.pop()()
    assert [what["partitions"] for what in told] == [[0], [1, 2]]


def reducing(accepted: Any, sections: Any) -> tuple[Launcher, Any]:
    """Return what launches reduces on maps that nobody is near to, and what was submitted."""
    pool: Any = Submissions()
    pool.connected, pool.workers = False, lambda: WORKERS
    pool.scatter = lambda domain, data, timeout: SimpleNamespace(key="blob", release=None)
    reader = SimpleNamespace(
        where=lambda task: iter(CLAIMED), pace=Pace(None, floor=30), sections=sections
    )
    state = SimpleNamespace(accepted=lambda task: accepted())
    driver: Any = SimpleNamespace(plan=plan(1), pool=pool, work=WORK, reader=reader, state=state)
    nothing: Any = None
    return Launcher(driver, nothing, ship(WORK)), pool


def test_what_was_taken_back_while_its_sections_were_read_is_not_submitted() -> None:
    def sections(wanted: Any, what: str) -> list[Any]:
        launching.started(StartReduce(b"newer", (ACCEPTED,)))
        return [SEALED_SECTION]

    launching, pool = reducing(lambda: ACCEPTED, sections)
    started(launching)
    with pytest.raises(GoneError):
        launching.reduces("bob", [(Run(Task(REDUCE, 0), "bob", b"in"), True)])
    assert not pool.seen


def test_what_was_started_later_has_a_larger_number() -> None:
    launching, pool = reducing(lambda: ACCEPTED, lambda wanted, what: [SEALED_SECTION])
    pool.connected, numbers = True, []
    for inputs in (b"in", b"other", b"in"):
        launching.started(StartReduce(inputs, (ACCEPTED,)))
        for domain in ("bob", "alice"):
            launching.reduces(domain, [(Run(Task(REDUCE, 0), domain, inputs), False)])
            _, graph, (key,), _ = pool.seen[-1]
            numbers.append(ordered(graph[key]).round)
    assert numbers[::2] == numbers[1::2]
    assert 0 < numbers[0] < numbers[2] < numbers[4]
    nothing: Any = None
    again = Launcher(launching._driver, nothing, ship(WORK), epoch=1)
    assert started(again)._rounds[b"in"] > numbers[4]
