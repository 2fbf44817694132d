"""A courier that a domain has taken over speaks to the coordinator as it likes."""

from __future__ import annotations

import json
import pickle
import resource
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from dask_verify.core.canonical import encode
from dask_verify.engine.compat import Task
from dask_verify.engine.courier import courier as courier_module
from dask_verify.engine.courier import line as line_module
from dask_verify.engine.courier import wire
from dask_verify.engine.courier.command import Limits
from dask_verify.engine.courier.confinement import COMPLETE
from dask_verify.engine.courier.courier import Courier
from dask_verify.engine.courier.line import Line
from dask_verify.engine.courier.pool import CourierPool
from dask_verify.engine.courier.remote import Remote
from dask_verify.errors import CourierError, InputError

IMPOSTOR = Path(__file__).with_name("impostor.py")
LIMITS = Limits(memory=1 << 31, answer=1 << 20, required=True)
ENDLESS = 1 << 40
DONE = encode(("done", 1, "finished"))
MEMORY = 64 << 20  #: bytes that this process may grow by: two frames, threads and what Python keeps


def lengths(head: int, body: int) -> bytes:
    return wire._LENGTHS.pack(head, body)


def frame(*head: Any, body: bytes = b"") -> bytes:
    return b"".join(wire.frame(head, body))


def write(data: bytes, times: int = 1) -> list[Any]:
    return ["write", data.hex(), times]


READ, WAIT = ["read"], ["wait"]
STARTED = [write(frame("answer", 0, COMPLETE)), READ, write(frame("answer", 1, None))]


class Evil:
    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> Any:
        return Path.touch, (self.mark,)


class Impostors:
    """Starts stand-ins for couriers, and knows which were started."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.steps = folder, {}
        self.lines: list[Line] = []
        self.reasons: list[str] = []
        self.over = threading.Event()

    def command(self, folder: str, remote: Remote, limits: Limits) -> list[str]:
        name = remote.address.split("//")[1].split(":")[0]
        program = self.folder / f"{name}.json"
        program.write_text(json.dumps(self.steps[name]))
        return [sys.executable, "-S", str(IMPOSTOR), str(program), str(self.folder / f"{name}.log")]

    def started(self, name: str) -> list[int]:
        return [int(pid) for pid in (self.folder / f"{name}.log").read_text().split()]

    def line(self, *steps: list[Any]) -> Line:
        self.steps["bob"] = list(steps)
        line = Line("bob", Remote("tcp://bob:1"), LIMITS, self._ended)
        self.lines.append(line)
        return line

    def ready(self, *steps: list[Any]) -> Line:
        line = self.line(*STARTED, *steps)
        assert line.ready.result(30) == COMPLETE
        return line

    def end(self) -> str:
        """Return why the line has ended."""
        assert self.over.wait(30)
        return self.reasons[0]

    def _ended(self, line: Line, reason: str) -> None:
        self.reasons.append(reason)
        self.over.set()


@pytest.fixture
def impostors(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    found = Impostors(tmp_path)
    monkeypatch.setattr(line_module, "command", found.command)
    monkeypatch.setattr(courier_module, "_PAUSE", 0.01)
    monkeypatch.setattr(courier_module, "_LOOK", 600.0)
    monkeypatch.setattr("dask_verify.engine.courier.pool._GLANCE", 0.1)
    yield found
    for line in found.lines:
        line.end("the test is over")
        line.join()
        assert line._process is not None
        assert line._process.returncode is not None
        assert not Path(line._folder.name).exists()


def submitted(line: Line) -> Any:
    """Return a future that somebody waits for, and an event of its end."""
    [future] = line.results.new(["key"]).values()
    done = threading.Event()
    future.add_done_callback(lambda _: done.set())
    line.tell("submit", (future.number,), ("key",), 0, 0)
    return future, done


#: What is written after a task was submitted, whose number is 1, as request 2 is next.
NONSENSE = {
    "answer to nothing": frame("answer", 999, None),
    "answer to a past request": frame("answer", 1, None),
    "error of nothing": frame("error", 999, "why"),
    "unknown future": frame("done", 77, "finished"),
    "unknown status": frame("done", 1, "pending"),
    "told of twice": frame("done", 1, "finished") * 2,
    "unknown kind": frame("execute", 1, "code"),
    "too few values": frame("done", 1),
    "too many values": frame("done", 1, "finished", 5),
    "text for a number": frame("done", "1", "finished"),
    "bytes for text": frame("done", 1, b"finished"),
    "body where none belongs": frame("done", 1, "finished", body=b"x"),
    "huge head": lengths(2**32 - 1, 0),
    "huge body": lengths(len(DONE), 2**63) + DONE,
    "truncated": frame("done", 1, "finished")[:-1],
    "cut in its lengths": lengths(10, 10)[:5],
    "list": lengths(len(encode(["done", 1, "finished"])), 0) + encode(["done", 1, "finished"]),
    "nested": lengths(60_001, 0) + b"\x11" + b"\x81" * 60_000,
    "counts that nobody can pay": lengths(10, 0) + b"\x11\x9b" + b"\xff" * 8,
    "zeros": bytes(1000),
    "nothing at all": b"",
}  # fmt: skip


#: Of those, what is noticed when it goes no further.
CUT = ("truncated", "cut in its lengths", "nothing at all")


@pytest.mark.parametrize("what", NONSENSE)
def test_nonsense_ends_a_courier_and_loses_its_tasks(impostors: Impostors, what: str) -> None:
    line = impostors.ready(READ, write(NONSENSE[what]), *([] if what in CUT else [WAIT]))
    future, done = submitted(line)
    assert impostors.end()
    assert done.wait(30)
    assert future.status == "lost"
    assert isinstance(future.take(), CourierError)
    with pytest.raises(CourierError, match="ended"):
        line.ask("call", timeout=5).result(30)


def test_pickles_are_not_loaded(impostors: Impostors, tmp_path: Path) -> None:
    bomb = pickle.dumps(Evil(tmp_path / "unpickled"))
    line = impostors.ready(READ, write(lengths(len(bomb), 0) + bomb))
    submitted(line)
    assert "expected canonical bytes" in impostors.end()
    pickle.loads(bomb)
    assert (tmp_path / "unpickled").exists()  # it would have worked
    (tmp_path / "unpickled").unlink()
    line = impostors.ready(READ, write(frame("answer", 2, None, body=bomb)), WAIT)
    assert line.ask("call", timeout=30, most=1 << 20).result(30) == (None, bomb)
    assert not (tmp_path / "unpickled").exists()


def resident() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize()


FLOODS = {
    "valid frames": (write(frame("done", 1, "finished"), ENDLESS), "nobody asked for"),
    "zeros": (write(bytes(65536), ENDLESS), "expected canonical bytes"),
    "a body beyond its limit": (
        write(lengths(len(encode(("answer", 2, None))), 1 << 30) + encode(("answer", 2, None))
              + bytes(65536), ENDLESS),
        "body of at most 1048576",
    ),
    "a huge head": (write(lengths(2**32 - 1, 0) + bytes(65536), ENDLESS), "head of at most"),
}  # fmt: skip


@pytest.mark.parametrize(("flood", "reason"), FLOODS.values(), ids=FLOODS)
def test_floods_fill_no_memory(impostors: Impostors, flood: list[Any], reason: str) -> None:
    line = impostors.ready(READ, READ, flood)
    before = resident()
    submitted(line)
    reply = line.ask("call", timeout=30, most=1 << 20)
    assert reason in impostors.end()
    assert isinstance(reply.exception(30), CourierError)
    assert resident() - before < MEMORY


def test_silence_ends_at_the_deadline(impostors: Impostors) -> None:
    line = impostors.ready(WAIT)
    reply = line.ask("call", timeout=0.1)
    assert "no answer to 'call' in time" in impostors.end()
    assert isinstance(reply.exception(30), CourierError)


def test_an_answer_that_drips_is_no_answer(impostors: Impostors) -> None:
    begun = lengths(len(encode(("answer", 2, None))), 1 << 20) + encode(("answer", 2, None))
    line = impostors.ready(READ, write(begun + bytes(1000)), WAIT)
    reply = line.ask("call", timeout=0.1, most=1 << 20)
    assert "no answer" in impostors.end()
    assert isinstance(reply.exception(30), CourierError)


def test_results_that_are_not_handed_over(
    impostors: Impostors, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(line_module, "_FETCH", 0.1)
    line = impostors.ready(READ, write(frame("done", 1, "finished")), WAIT)
    future, done = submitted(line)
    assert "no answer to 'fetch' in time" in impostors.end()
    assert done.wait(30)
    assert future.status == "lost"


@pytest.mark.parametrize(
    ("value", "body"),
    [
        (((0, 3),), b"1234"),
        (((0, 1), (0, 1)), b"12"),
        ((), b""),
        (None, b""),
        (((9, 0),), b""),
        (((0, 4 << 20),), b"1"),
    ],
)
def test_results_that_were_not_asked_for(impostors: Impostors, value: Any, body: bytes) -> None:
    told = write(frame("done", 1, "finished"))
    line = impostors.ready(READ, told, READ, write(frame("answer", 2, value, body=body)), WAIT)
    _, done = submitted(line)
    assert impostors.end()
    assert done.wait(30)


def test_one_who_does_not_read(impostors: Impostors, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(line_module, "_STALL", 0.1)
    monkeypatch.setattr(line_module, "_BACKLOG", 1 << 20)
    line = impostors.ready(WAIT)
    for _ in range(3):
        line.tell("submit", (), (), 0, 0, body=bytes(1 << 20))
    assert impostors.end() == "it does not read what it is sent"


@pytest.mark.parametrize(
    ("steps", "reason"),
    [
        ([], "it has ended"),
        ([write(b"\x00" * 100)], "expected canonical bytes"),
        ([write(frame("answer", 1, COMPLETE))], "answers nothing"),
        ([write(frame("answer", 0, ("limits",)))], "does not confine privileges, files"),
        ([write(frame("answer", 0, None)), WAIT], "does not confine limits"),
        ([write(frame("answer", 0, [[5]])), WAIT], "does not confine limits"),
        ([*STARTED[:2], write(frame("error", 1, "no route"))], "no route"),
    ],
)
def test_couriers_that_never_become_ready(
    impostors: Impostors, steps: list[Any], reason: str
) -> None:
    line = impostors.line(*steps)
    error = line.ready.exception(30)
    assert reason in f"{error} {impostors.end()}"


def test_less_confinement_is_for_those_who_ask_for_it(impostors: Impostors) -> None:
    impostors.steps["bob"] = [write(frame("answer", 0, ("limits",))), *STARTED[1:], WAIT]
    limits = Limits(memory=1 << 31, answer=1 << 20, required=False)
    line = Line("bob", Remote("tcp://bob:1"), limits, impostors._ended)
    impostors.lines.append(line)
    assert line.ready.result(30) == ("limits",)


# --- a courier of one domain, and the others ---------------------------------------------------


def honest() -> list[list[Any]]:
    """Answer the first question for workers, and take whatever comes."""
    return [*STARTED, READ, write(frame("answer", 2, None, body=b"tcp://alice:1")), *[READ] * 1000]


def pool_of(impostors: Impostors, *steps: list[Any]) -> CourierPool:
    greeting = [*STARTED, READ, write(frame("answer", 2, None, body=b"tcp://bob:1"))]
    impostors.steps = {"alice": honest(), "bob": [*greeting, *steps]}
    return CourierPool({name: Remote(f"tcp://{name}:1") for name in ("alice", "bob")})


def test_a_courier_is_started_again_a_few_times_and_the_others_go_on(impostors: Impostors) -> None:
    over, ends = threading.Event(), []

    class Watched(Courier):
        def _ended(self, line: Line, reason: str) -> None:
            super()._ended(line, reason)
            ends.append(reason)
            if len(ends) > courier_module._AGAIN:
                over.set()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("dask_verify.engine.courier.pool.Courier", Watched)
        pool = pool_of(impostors, READ)
    with pool:
        while not over.wait(0.05):
            pool.workers()  # whereupon each ends, when it is asked again
        assert pool._couriers["bob"]._restarts == courier_module._AGAIN
        assert set(ends) == {"it has ended"}
        assert len(impostors.started("bob")) == 1 + courier_module._AGAIN
        assert len(impostors.started("alice")) == 1
        with pytest.raises(OSError, match="no courier of domain 'bob' now: it has ended"):
            pool.submit("bob", {"key": Task("key", bytes)}, ["key"])
        [future] = pool.submit("alice", {"key": Task("key", bytes)}, ["key"]).values()
        assert future.status == "pending"
        pool.cancel([future])


def test_a_job_is_taken_up_without_a_domain_that_is_gone(impostors: Impostors) -> None:
    remotes = {name: Remote(f"tcp://{name}:1") for name in ("alice", "bob")}
    impostors.steps = {"alice": honest(), "bob": []}
    with pytest.raises(InputError, match="courier of domain 'bob' cannot reach"):
        CourierPool(remotes)
    with CourierPool(remotes, staffed=False) as pool:
        assert pool.workers() == {"alice": ["tcp://alice:1"], "bob": []}
        with pytest.raises(OSError, match="no courier of domain 'bob' now"):
            pool.submit("bob", {"key": Task("key", bytes)}, ["key"])
    impostors.steps["alice"] = []
    with pytest.raises(InputError, match="cannot reach"):
        CourierPool(remotes, staffed=False)


def test_addresses_of_workers_are_bounded(impostors: Impostors) -> None:
    greeting = [*STARTED, READ, write(frame("answer", 2, None, body=bytes(2 << 20)))]
    impostors.steps = {"alice": honest(), "bob": greeting}
    with pytest.raises(InputError, match="no worker of domain 'bob'"):
        CourierPool({name: Remote(f"tcp://{name}:1") for name in ("alice", "bob")})


def test_who_does_not_say_its_workers_keeps_nobody_waiting(
    impostors: Impostors, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dask_verify.engine.courier.pool._GLANCE", 0.1)
    with pool_of(impostors, WAIT) as pool:
        assert pool.workers() == {"alice": ["tcp://alice:1"], "bob": ["tcp://bob:1"]}


@pytest.mark.parametrize(
    ("value", "body"),
    [(None, b""), (5, b""), ((1, 2), b""), ((1,), b"x"), (((b"x", frozenset()),), b"")],
)
def test_answers_that_are_not_plain(impostors: Impostors, value: Any, body: bytes) -> None:
    answer = write(frame("answer", 3, value, body=body))
    with (
        pool_of(impostors, READ, answer, WAIT) as pool,
        pytest.raises(ConnectionError, match="not plain"),
    ):
        pool.call("tcp://bob:1", "bob", "verify_open", timeout=30)
