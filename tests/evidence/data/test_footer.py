"""Damaged metadata of Parquet files are refused, and never end the process that looks at them."""

from __future__ import annotations

import io
import subprocess
import sys
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dask_verify.errors import DataError
from dask_verify.evidence.data import footer
from dask_verify.evidence.data.footer import check_chunks

FRAME = pd.DataFrame({"a": [1, 2, 3], "b": ["x", None, "z"]})

#: Reads files that differ from a good one in one byte of their metadata.
DAMAGED = """
import io, random, sys
import pandas as pd
from dask_verify.errors import DataError
from dask_verify.evidence.data.tables import read_parquet

frame = pd.DataFrame({"a": [1, 2, 3], "b": ["x", None, "z"]})
file = io.BytesIO()
frame.to_parquet(file)
good = file.getvalue()
start = len(good) - 8 - int.from_bytes(good[-8:-4], "little")
draw, refused = random.Random(sys.argv[1]), 0
for _ in range(2500):
    damaged = bytearray(good)
    damaged[draw.randrange(start, len(good) - 8)] = draw.randrange(256)
    try:
        read_parquet(io.BytesIO(bytes(damaged)), frame.iloc[:0], 3)
    except DataError:
        refused += 1
print(refused)
"""


@pytest.mark.parametrize("seed", ["1", pytest.param("2", marks=pytest.mark.matrix)])
def test_no_byte_of_the_metadata_ends_the_process(seed: str) -> None:
    command = [sys.executable, "-c", DAMAGED, seed]
    done = subprocess.run(command, capture_output=True, text=True, timeout=110, check=False)
    assert done.returncode == 0, done.stderr[-500:]
    assert int(done.stdout) > 500


def written(**options: Any) -> tuple[io.BytesIO, Any]:
    file = io.BytesIO()
    pq.write_table(pa.Table.from_pandas(FRAME), file, **options)
    return file, pq.ParquetFile(file).schema


@pytest.mark.parametrize("options", [{}, {"row_group_size": 1}, {"write_statistics": False}])
def test_what_is_written_is_let_through(options: dict[str, Any]) -> None:
    check_chunks(*written(**options))


BAD = {
    "one chunk more": lambda chunks: chunks.append(chunks[0]),
    "one chunk less": lambda chunks: chunks.pop(),
    "encrypted": lambda chunks: chunks[0].update({8: {}}),
    "encrypted metadata": lambda chunks: chunks[0].update({9: None}),
    "no metadata": lambda chunks: chunks[0].pop(3),
    "geospatial": lambda chunks: chunks[0][3].update({17: {}}),
    "sizes that are none": lambda chunks: chunks[0][3].update({16: 5}),
    "bytes of numbers": lambda chunks: chunks[0][3].update({16: {1: None}}),
    "too many levels": lambda chunks: chunks[1][3].update({16: {3: [None] * 3}}),
    "too few levels": lambda chunks: chunks[1][3].update({16: {3: [None]}}),
    "repetitions of nothing": lambda chunks: chunks[1][3].update({16: {2: [None] * 2}}),
}  # fmt: skip


@pytest.mark.parametrize("bad", BAD)
def test_metadata_that_contradict_the_schema_are_refused(
    bad: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, schema = written()
    said = footer._footer(file)
    BAD[bad](said[4][0][1])
    monkeypatch.setattr(footer, "_footer", lambda file: said)
    with pytest.raises(DataError, match="expected"):
        check_chunks(file, schema)


def test_metadata_that_end_within_themselves_are_refused() -> None:
    file, schema = written()
    cut = bytearray(file.getvalue())
    cut[-8:-4] = (20).to_bytes(4, "little")
    with pytest.raises(DataError, match="expected"):
        check_chunks(io.BytesIO(bytes(cut)), schema)
