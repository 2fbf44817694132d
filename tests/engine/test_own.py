"""What the coordinator holds itself is believed no more than what others serve."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from dask_verify.core.seal import INPUT, OUTPUT, SealedPartition, asked, asked_columns
from dask_verify.engine.own import own_answer, own_nodes
from dask_verify.engine.pace import Pace
from dask_verify.engine.reader import Reader, UnservedError
from dask_verify.engine.store import Address, Store
from dask_verify.protocol.domain import COORDINATOR
from dask_verify.protocol.messages import MAP, Task, Unserved

AT = Address(b"job", MAP, 0)
NEW = SealedPartition(2, 2, 4, (4, 4), (b"a", b"b", b"c", b"d"), (b"in 0", b"in 1"))
COMMITMENT = NEW.commit(*AT, COORDINATOR, b"inputs")
#: Of another shape, of the same shape with other bytes, and with one unit more.
OTHERS = [
    SealedPartition(1, 1, 4, (4,), (b"a",)),
    replace(NEW, leaves=(b"a", b"b", b"c", b"e"), inputs=(b"in 0", b"in 2")),
    replace(NEW, units=3, leaves=(b"a", b"b", b"c", b"d", b"e", b"f"), inputs=()),
]


def store(folder: Path, sealed: SealedPartition | None, memory: int = 1 << 20) -> Store:
    made = Store(str(folder), memory)
    if sealed is not None:
        made[AT] = sealed
    return made


@pytest.mark.parametrize("tree", [OUTPUT, INPUT])
def test_what_is_there_as_it_was_committed_to_is_served(tmp_path: Path, tree: str) -> None:
    kept = store(tmp_path, NEW)
    request = asked(COMMITMENT, tree, 1, 2, COORDINATOR)
    opening = own_answer(kept, request)
    assert opening is not None
    assert opening.leaves == NEW.tree(tree)[1][1:2]
    assert own_nodes(kept, request, 0, 1, 0) == [NEW.tree(tree)[0].node(0, 1)]
    columns = asked_columns(COMMITMENT, [1], COORDINATOR)
    assert own_answer(kept, columns) == NEW.columns(columns)


@pytest.mark.parametrize("other", [None, *OTHERS])
@pytest.mark.parametrize("tree", [OUTPUT, INPUT])
def test_what_has_taken_its_place_is_not(
    tmp_path: Path, tree: str, other: SealedPartition | None
) -> None:
    kept = store(tmp_path, other)
    request = asked(COMMITMENT, tree, 0, 1, COORDINATOR)
    assert own_answer(kept, request) is None
    assert own_nodes(kept, request, 0, 0, 0) is None
    assert own_answer(kept, asked_columns(COMMITMENT, [1], COORDINATOR)) is None


def test_nor_is_what_a_disk_has_damaged(tmp_path: Path) -> None:
    kept = store(tmp_path, NEW, memory=0)
    (file,) = tmp_path.glob("*.leaves")
    file.write_bytes(b"abcX")
    assert own_answer(kept, asked(COMMITMENT, OUTPUT, 0, 2, COORDINATOR)) is not None
    assert own_answer(kept, asked(COMMITMENT, OUTPUT, 0, 4, COORDINATOR)) is None
    file.unlink()
    assert own_answer(kept, asked(COMMITMENT, OUTPUT, 0, 2, COORDINATOR)) is None


READ: list[Callable[[Reader], Any]] = [
    lambda made: made.leaves(COMMITMENT, 0, 4, "results"),
    lambda made: made.sections([(COMMITMENT, 0, 4)], "relayed"),
    lambda made: list(made.chunks(COMMITMENT, 0, 4, "results")),
]


@pytest.mark.parametrize("read", READ)
def test_a_stale_partition_is_made_again_rather_than_read(
    tmp_path: Path, read: Callable[[Reader], Any]
) -> None:
    """Such as that of a stand-in which was overtaken: a liar's output may be in it."""
    posted: list[Any] = []
    made: Any = Reader(
        domains={},
        pool=SimpleNamespace(),  # type: ignore[arg-type]
        local=store(tmp_path, OTHERS[1]),
        holders=lambda task: [COORDINATOR],
        post=posted.append,
        claimed=lambda task, domain: [COMMITMENT],
        pace=Pace(None, 30.0),
    )
    with pytest.raises(UnservedError):
        read(made)
    assert posted == [Unserved(Task(MAP, 0), COORDINATOR, COMMITMENT.digest)]
    made.local[AT] = NEW
    read(made)
