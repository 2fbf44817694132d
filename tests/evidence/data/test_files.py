"""Result files by path and URL."""

from __future__ import annotations

import subprocess
import sys

import fsspec
import pandas as pd
import pytest
from pandas.testing import assert_frame_equal

from dask_verify.core.canonical import encode_frame
from dask_verify.errors import DataError
from dask_verify.evidence.data import ResultShape, read_data, write_json_lines, write_parquet

FRAME = pd.DataFrame({"a": [1, 2, 3], "b": ["x", None, "y"]})
SHAPE = ResultShape("frame", 2, 2, encode_frame(FRAME.iloc[:0]), ((1,), (2,)))
BAG = ResultShape("bag", 2, 4)
PAIRS = [("a", 1), ("b", (2.0, None))]


@pytest.fixture(params=["local", "memory"])
def place(request, tmp_path):
    return str(tmp_path) if request.param == "local" else f"memory://{tmp_path.name}"


def test_files_are_read_by_path_and_url(place):
    with fsspec.open(f"{place}/r.parquet", "wb") as file:
        write_parquet(FRAME, file)
    with fsspec.open(f"{place}/r.jsonl", "wb") as file:
        write_json_lines(PAIRS, file)
    assert_frame_equal(read_data(f"{place}/r.parquet", SHAPE), FRAME)
    assert read_data(f"{place}/r.jsonl", BAG) == PAIRS
    with pytest.raises(DataError, match=r"r.parquet: expected JSON lines of a bag, got Parquet"):
        read_data(f"{place}/r.parquet", BAG)
    with pytest.raises(DataError, match="expected Parquet of a frame, got something else"):
        read_data(f"{place}/r.jsonl", SHAPE)
    with pytest.raises(DataError, match=r"none.parquet: expected a file to read"):
        read_data(f"{place}/none.parquet", SHAPE)
    with pytest.raises(DataError, match="expected 2 rows, got 3"):
        read_data(f"{place}/r.parquet", ResultShape("frame", 1, 1, SHAPE.meta, ((2,),)))


def test_what_cannot_be_opened(tmp_path):
    for path in (tmp_path, "nonsense://x", "nonsense::x", "", "a\0b"):
        with pytest.raises(DataError):
            read_data(path, BAG)


def test_an_empty_bag_is_an_empty_file(tmp_path):
    (tmp_path / "r.jsonl").write_bytes(b"")
    assert read_data(tmp_path / "r.jsonl", BAG) == []


def test_no_dask_is_imported():
    code = (
        "import sys; import dask_verify.evidence.data;"
        "assert not {'dask', 'distributed'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
