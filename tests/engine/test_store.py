"""The store: nothing is lost to a bound of memory, and what is dropped is gone."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from dask_verify.core.merkle import BLAKE3
from dask_verify.core.seal import OUTPUT, SealedPartition, asked
from dask_verify.engine.store import Address, Spilled, Store

AT = Address(b"job", "map", 0)


def sealed(text: bytes, inputs: tuple[bytes, ...] = ()) -> SealedPartition:
    return SealedPartition(1, 1, 1, (1,), (text,), inputs)


def test_what_exceeds_the_memory_is_on_disk_and_comes_back_equal(tmp_path: Path) -> None:
    store = Store(str(tmp_path), memory=100)
    kept = {Address(b"job", "map", i): sealed(b"%d" % i * 60, (b"in",)) for i in range(10)}
    for address, partition in kept.items():
        store[address] = partition
    assert len(list(tmp_path.iterdir())) >= 8
    assert {address: store[address] for address in kept} == kept
    assert store[AT].output_tree.root == kept[AT].output_tree.root


def test_of_what_is_on_disk_any_run_of_leaves_can_be_read_and_proven(tmp_path: Path) -> None:
    leaves = tuple(b"%d" % i * i for i in range(7))
    whole = SealedPartition(7, 1, 7, (7,), leaves)
    store = Store(str(tmp_path), memory=0)
    store[AT] = whole
    spilled = store[AT].leaves
    assert isinstance(spilled, Spilled)
    assert len(spilled) == 7
    assert [spilled[i] for i in range(-7, 7)] == [leaves[i] for i in range(-7, 7)]
    for start in range(8):
        for stop in range(8):
            assert spilled[start:stop] == leaves[start:stop]
            assert spilled[start:stop:2] == leaves[start:stop:2]
    assert spilled[::-1] == leaves[::-1]
    assert list(reversed(spilled)) == list(reversed(leaves))
    with pytest.raises(IndexError):
        spilled[7]
    request = asked(whole.commit(b"job", "map", 0, "alice", b"in"), OUTPUT, 2, 5, "alice")
    store[AT].open(request).verify(request)


def test_reading_a_spilled_partition_puts_nothing_back_into_memory(tmp_path: Path) -> None:
    store = Store(str(tmp_path), memory=200)
    for i in range(3):
        store[Address(b"job", "map", i)] = sealed(b"%d" % i * 90)
    for _ in range(2):
        for i in range(3):
            assert store[Address(b"job", "map", i)].leaves[0] == b"%d" % i * 90
    assert list(store._whole) == ["6a6f62-map-2"]


def test_bytes_that_rot_on_disk_are_served_with_the_hashes_that_were_signed(tmp_path: Path) -> None:
    store = Store(str(tmp_path), memory=0)
    store[AT] = sealed(b"good")
    commitment = store[AT].commit(b"job", "map", 0, "alice", b"in")
    (file,) = tmp_path.glob("*.leaves")
    file.write_bytes(b"evil")
    request = asked(commitment, OUTPUT, 0, 1, "alice")
    opening = store[AT].open(request)
    assert opening.leaves == (b"evil",)
    assert opening.leaf_hashes == (BLAKE3.leaf(b"good"),)


def test_leaves_of_a_forgotten_job_are_missing_also_for_who_still_has_the_partition(
    tmp_path: Path,
) -> None:
    store = Store(str(tmp_path), memory=0)
    store[AT] = sealed(b"old")
    before = store[AT]
    store[AT] = sealed(b"new")
    with pytest.raises(KeyError):
        before.leaves[0]
    store.forget(b"job")
    assert not list(tmp_path.iterdir())


def test_inputs_on_disk_are_released_there(tmp_path: Path) -> None:
    store = Store(str(tmp_path), memory=0)
    store[AT] = sealed(b"out", (b"in",))
    assert store[AT].input_tree.root == sealed(b"out", (b"in",)).input_tree.root
    store.release_inputs(AT)
    assert store[AT] == sealed(b"out")
    assert not list(tmp_path.glob("*.inputs"))
    assert store[AT].output_tree.root == sealed(b"out").output_tree.root


def test_making_a_partition_again_replaces_it(tmp_path: Path) -> None:
    store = Store(str(tmp_path), memory=0)
    store[AT] = sealed(b"old")
    store[AT] = sealed(b"new")
    assert store[AT].leaves == (b"new",)
    assert len(store) == 1


def test_released_inputs_are_gone_and_outputs_stay(tmp_path: Path) -> None:
    store = Store(str(tmp_path), memory=1000)
    store[AT] = sealed(b"out", (b"in",))
    store.release_inputs(AT)
    store.release_inputs(Address(b"job", "map", 9))  # not here: nothing to release
    assert store[AT] == sealed(b"out")


def test_forgetting_one_job_leaves_the_others(tmp_path: Path) -> None:
    store = Store(str(tmp_path), memory=0)
    other = Address(b"other job", "map", 0)
    store[AT], store[other] = sealed(b"x"), sealed(b"y")
    store.forget(b"job")
    assert AT not in store
    with pytest.raises(KeyError):
        store[AT]
    assert store[other].leaves == (b"y",)


def test_what_cannot_be_written_stays_in_memory_and_leaves_nothing_on_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store(str(tmp_path), memory=10_000)
    store[AT] = sealed(b"x" * 100)

    def full(path: Path, leaves: Sequence[bytes]) -> Spilled:
        path.write_bytes(b"some of it")
        raise OSError("no space left")

    monkeypatch.setattr(Spilled, "write", full)
    with pytest.raises(OSError, match="no space"):
        store[Address(b"job", "map", 1)] = sealed(b"y" * 20_000)
    assert not list(tmp_path.iterdir())
    assert store[AT] == sealed(b"x" * 100)


@pytest.mark.parametrize("nbytes", [6_000, 20_000])
def test_what_has_no_place_anywhere_is_not_kept_and_the_rest_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, nbytes: int
) -> None:
    """Memory would grow by every partition that does not fit, whichever is to make room."""
    store = Store(str(tmp_path), memory=10_000)
    store[AT] = sealed(b"x" * 6_000)

    def full(path: Path, leaves: Sequence[bytes]) -> Spilled:
        raise OSError("no space left")

    monkeypatch.setattr(Spilled, "write", full)
    at = Address(b"job", "map", 1)
    for _ in range(2):
        with pytest.raises(OSError, match="no space"):
            store[at] = sealed(b"y" * nbytes)
        assert at not in store
        assert store[AT] == sealed(b"x" * 6_000)


@pytest.mark.parametrize("damage", [b"", b"rubbish"])
def test_a_damaged_list_of_hashes_is_a_missing_partition(tmp_path: Path, damage: bytes) -> None:
    store = Store(str(tmp_path), memory=0)
    store[AT] = sealed(b"x")
    (file,) = tmp_path.glob("*.tree")
    file.write_bytes(damage)
    with pytest.raises(KeyError):
        store[AT]


def test_leaves_that_cannot_be_read_are_missing(tmp_path: Path) -> None:
    store = Store(str(tmp_path), memory=0)
    store[AT] = sealed(b"x")
    (file,) = tmp_path.glob("*.leaves")
    file.unlink()
    file.mkdir()
    with pytest.raises(KeyError):
        store[AT].leaves[0]
    file.rmdir()
    store.forget(b"job")
    assert AT not in store


def test_empty_partitions_spill_too(tmp_path: Path) -> None:
    store = Store(str(tmp_path), memory=1000)
    for i in range(100):
        store[Address(b"job", "map", i)] = sealed(b"")
    assert len(store._whole) < 20
    assert len(store) == 100
