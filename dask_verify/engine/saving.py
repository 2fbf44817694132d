"""Writing a verified result to a file, so that its receipt is about exactly what was written.

* The file is read back and compared, by value, with the agreed roots before there is a receipt.
* Nothing is left behind that did not pass.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import PurePosixPath
from typing import Any

import fsspec
import pandas as pd

from dask_verify.evidence.data import (
    ResultShape,
    compare,
    frame_shape,
    read_data,
    write_json_lines,
    write_parquet,
)
from dask_verify.evidence.receipts.values import Receipt
from dask_verify.protocol.messages import REDUCE

_CHUNK = 1 << 20


def save_result(
    path: str, receipt: Receipt, leaves: Sequence[Sequence[bytes]], value: Any, by: Sequence[str]
) -> Receipt:
    """Write a result and read it back; return the receipt that is about its file.

    Parameters
    ----------
    path : str
        Path or URL.
    receipt : Receipt
        Of the job.
    leaves : sequence of sequences of bytes
        Verified leaves of each reduce partition.
    value : list of (key, value), or pandas.DataFrame
        The result in the order of the leaves.
    by : sequence of str
        Keys that a dataframe is sorted by; empty for none.

    Raises
    ------
    DataError
        If the values cannot be written so that they are read back as they are.
    """
    shape = receipt.result
    assert shape is not None, "only answers are saved"
    if shape.kind == "frame":
        order = row_order(value, by) if by else None
        shape = frame_shape(leaves, value, order)
        value = value if order is None else value.iloc[order]
    try:
        _write(path, shape, value)
        compare(read_data(path, shape), shape, receipt.stage(REDUCE).roots)
    except BaseException:
        discard(path)
        raise
    files = ((PurePosixPath(path).name, _sha256(path)),)
    return replace(receipt, result=shape, files=files, sorted_by=tuple(by))


def row_order(frame: pd.DataFrame, by: Sequence[str]) -> list[int]:
    """Return where each row of the sorted frame stood before.

    Parameters
    ----------
    frame : pandas.DataFrame
    by : sequence of str
        Columns or index levels.
    """
    levels = frame.index.get_level_values
    keys = [frame[k].array if k in frame.columns else levels(k).array for k in by]
    keyed = pd.DataFrame(dict(enumerate(keys)))
    found: list[int] = keyed.sort_values(list(keyed.columns), kind="stable").index.tolist()
    return found


def discard(path: str) -> None:
    """Remove a file, if it is there."""
    filesystem, name = fsspec.core.url_to_fs(path)
    if filesystem.exists(name):
        filesystem.rm_file(name)


def _write(path: str, shape: ResultShape, value: Any) -> None:
    filesystem, name = fsspec.core.url_to_fs(path)
    with filesystem.open(name, "wb") as file:
        (write_json_lines if shape.kind == "bag" else write_parquet)(value, file)


def _sha256(path: str) -> bytes:
    digest = hashlib.sha256()
    filesystem, name = fsspec.core.url_to_fs(path)
    with filesystem.open(name, "rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.digest()
