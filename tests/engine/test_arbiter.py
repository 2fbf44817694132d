"""Evidence that executors bring against holders."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from dask_verify.core.canonical import encode
from dask_verify.core.seal import OUTPUT, SealedPartition, asked
from dask_verify.engine import arbiter
from dask_verify.engine.arbiter import Arbiter
from dask_verify.engine.store import Address
from dask_verify.protocol.domain import COORDINATOR
from dask_verify.protocol.messages import MAP, REDUCE, Finding, StandIn, StoodIn, Task

SEALED = SealedPartition(4, 2, 8, (4, 4), tuple(bytes([n]) for n in range(8)))
COMMITMENT = SEALED.commit(b"job", MAP, 3, "bob", b"inputs")


def evidence(partition: int = 3, start: int = 4, stop: int = 8) -> bytes:
    commitment = SEALED.commit(b"job", MAP, partition, "bob", b"inputs")
    opening = SEALED.open(asked(commitment, OUTPUT, start, stop, "bob"))
    return encode((opening.statement(), (bytes(32),), bytes(64)))


def examined(item: bytes) -> list[Any]:
    """Examine evidence while only map partition 3 is accepted; return what is looked at."""
    looks: list[Any] = []

    def withdrawn(partition: int) -> Any:
        raise AssertionError("another partition may be withdrawn at this moment")

    made = Arbiter(
        plan=SimpleNamespace(maps=5),  # type: ignore[arg-type]
        work=SimpleNamespace(bounds=lambda units: [(0, 2 * units), (2 * units, 4 * units)]),  # type: ignore[arg-type]
        shipped=None,  # type: ignore[arg-type]
        source=None,  # type: ignore[arg-type]
        state=SimpleNamespace(accepted={Task(MAP, 3): COMMITMENT}.get),  # type: ignore[arg-type]
        reader=SimpleNamespace(convict=lambda *look: looks.append(look)),  # type: ignore[arg-type]
        ranges=withdrawn,
        post=looks.append,
    )
    made.examine((1, item))
    return looks


def test_evidence_is_held_against_the_partition_that_it_names() -> None:
    assert examined(evidence()) == [(evidence(), COMMITMENT, 4, 8)]


def test_evidence_may_be_about_some_buckets_of_the_section_alone() -> None:
    assert examined(evidence(start=6, stop=7)) == [(evidence(start=6, stop=7), COMMITMENT, 6, 7)]


@pytest.mark.parametrize(("start", "stop"), [(0, 4), (3, 8), (0, 8)])
def test_evidence_about_what_the_reducer_does_not_read_is_dropped(start: int, stop: int) -> None:
    assert not examined(evidence(start=start, stop=stop))


@pytest.mark.parametrize("partition", [0, 4, 99])
def test_evidence_against_what_is_not_accepted_is_dropped(partition: int) -> None:
    assert not examined(evidence(partition))


@pytest.mark.parametrize("item", [b"", b"nonsense", encode((b"none", (), bytes(64))), encode(5)])
def test_evidence_that_is_none_is_dropped(item: bytes) -> None:
    assert not examined(item)


def standing_in(states: dict[Task, Any], posted: list[Any], computes: Callable[[Any], Any]) -> Any:
    made: Any = object.__new__(Arbiter)
    made.plan, made.post = SimpleNamespace(job=b"job"), posted.append
    made.reader = SimpleNamespace(local={}, copies=Counter())
    made.state = SimpleNamespace(state=states.__getitem__)
    made._whole = lambda task, inputs: None
    made.referee = SimpleNamespace(sealed=computes)
    return made


def test_a_stand_in_that_was_overtaken_leaves_the_newer_partition_where_it_is() -> None:
    """Its stage was started anew while it read and computed."""
    task, posted = Task(REDUCE, 0), list[Any]()
    states: dict[Task, Any] = {task: SimpleNamespace(inputs=b"inputs")}
    newer = SealedPartition(1, 1, 1, (1,), (b"newer",))

    def computes(request: Any) -> SealedPartition:
        made.reader.local[Address(b"job", *task)] = newer
        states[task] = SimpleNamespace(inputs=b"other inputs")
        return SEALED

    made = standing_in(states, posted, computes)
    made.stand_in(StandIn(task, b"inputs"))
    assert made.reader.local == {Address(b"job", *task): newer}
    assert not posted


def test_a_stand_in_is_kept_and_claimed() -> None:
    task, posted = Task(REDUCE, 0), list[Any]()
    states: dict[Task, Any] = {task: SimpleNamespace(inputs=b"inputs")}
    made = standing_in(states, posted, lambda request: SEALED)
    made.stand_in(StandIn(task, b"inputs"))
    assert made.reader.local == {Address(b"job", *task): SEALED}
    claimed = SEALED.commit(b"job", *task, COORDINATOR, b"inputs")
    assert posted == [StoodIn(task, b"inputs", claimed.to_bytes())]


def test_an_exhibit_that_cannot_be_kept_is_told_of(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any) -> str:
        raise OSError("no space left")

    monkeypatch.setattr(arbiter, "keep", full)
    monkeypatch.setattr(logging.getLogger("distributed"), "propagate", True)
    finding, asked = Finding(Task(MAP, 3), b"inputs", MAP), SimpleNamespace(answers=(), number=1)
    made = SimpleNamespace(folder=tmp_path, state=SimpleNamespace(arbitrated=asked))
    assert Arbiter._kept(made, None, finding, asked, None, None) == ""  # type: ignore[arg-type]
    assert "No exhibit of map partition 3: OSError: 'no space left'" in caplog.text


def test_each_question_has_an_exhibit_of_its_own_and_an_overtaken_one_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The overtaken one may end later, and would replace what convicts a liar."""
    kept: list[Path] = []
    monkeypatch.setattr(arbiter, "keep", lambda path, *_: kept.append(path) or path.name)
    finding = Finding(Task(MAP, 3), b"inputs", MAP)
    first, second = (SimpleNamespace(answers=(), number=number) for number in (1, 2))
    made: Any = SimpleNamespace(folder=tmp_path, state=SimpleNamespace(arbitrated=first))
    names, nothing = [], cast(Any, None)
    for one, now in ((first, first), (second, second), (first, second)):
        made.state.arbitrated = now
        names.append(Arbiter._kept(made, nothing, finding, one, nothing, nothing))
    assert names == ["1.json", "2.json", ""]
    assert kept == [tmp_path / "1.json", tmp_path / "2.json"]
