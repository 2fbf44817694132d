"""The store: nothing is lost to a bound of memory, and what is dropped is gone."""

from __future__ import annotations

from pathlib import Path

import pytest

from dask_verify.core.seal import SealedPartition
from dask_verify.engine.store import Address, Store

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
