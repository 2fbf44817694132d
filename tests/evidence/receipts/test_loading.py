"""`load` where a result and its receipt are not both there."""

from __future__ import annotations

from pathlib import Path

import fsspec
import pytest

from dask_verify import load
from dask_verify.evidence.enrolment.trust import Entry, Trust
from dask_verify.protocol.domain import Identity

TRUST = Trust((Entry("alice", Identity.generate("alice").public_key),))


def test_which_of_the_two_is_missing_is_said(tmp_path: Path) -> None:
    path = tmp_path / "means.parquet"
    with pytest.raises(FileNotFoundError, match="got neither; check the name") as caught:
        load(path, trust=TRUST)
    assert caught.value.filename == f"{path}.receipt.json"
    path.write_bytes(b"")
    with pytest.raises(FileNotFoundError, match=r"beside the data, .* pass receipt="):
        load(path, trust=TRUST)


def test_in_a_store_as_well() -> None:
    memory = fsspec.filesystem("memory")
    memory.pipe("/loading/counts.jsonl", b"")
    try:
        with pytest.raises(FileNotFoundError, match="expected the receipt beside the data"):
            load("memory://loading/counts.jsonl", trust=TRUST)
        with pytest.raises(FileNotFoundError, match="got neither"):
            load("memory://loading/others.jsonl", trust=TRUST)
    finally:
        memory.rm("/loading", recursive=True)
