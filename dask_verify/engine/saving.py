"""Writing a verified result to a file, so that its receipt is about exactly what was written.

* The file is read back and compared, by value, with the agreed roots before there is a receipt.
* Nothing is left behind that did not pass.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import PurePosixPath
from typing import Any

import fsspec

from dask_verify.errors import InputError
from dask_verify.evidence.data import (
    ResultShape,
    compare,
    frame_shape,
    read_data,
    row_order,
    write_json_lines,
    write_parquet,
)
from dask_verify.evidence.enrolment.texts import safe
from dask_verify.evidence.files import local_path
from dask_verify.evidence.loading import RECEIPT
from dask_verify.evidence.receipts.values import Receipt
from dask_verify.protocol.messages import REDUCE

_CHUNK = 1 << 20
_OTHERS = {
    "bag": (".parquet", ".pq", ".csv", ".feather", ".orc", ".pickle", ".pkl"),
    "frame": (".jsonl", ".ndjson", ".json", ".csv", ".feather", ".orc", ".pickle", ".pkl"),
}
_FORMATS = {"bag": "JSON lines, such as counts.jsonl", "frame": "Parquet, such as means.parquet"}


def check_name(path: str, kind: str) -> None:
    """Refuse a name that promises another format than there will be.

    Parameters
    ----------
    path : str
        Path or URL of the result.
    kind : str
        The format that there will be.

    Raises
    ------
    InputError
        If it ends like a file of another kind.

    Examples
    --------
    >>> check_name("means.parquet", "frame")
    """
    suffix = PurePosixPath(path).suffix.lower()
    if suffix in _OTHERS[kind]:
        what = "bag" if kind == "bag" else "dataframe"
        raise InputError(
            f"path: expected the name of a file that is {_FORMATS[kind]}, since the result of a"
            f" {what} is saved so, got one that ends with {suffix!r}"
        )


def check_place(path: str) -> None:
    """Refuse what is there and is no file, such as a device: it would be removed, or never end.

    Parameters
    ----------
    path : str
        Path or URL of the result.

    Raises
    ------
    InputError
        If it is a folder, a device, a pipe or the like, or in a folder that is not there.

    Examples
    --------
    >>> check_place("/dev")
    Traceback (most recent call last):
        ...
    dask_verify.errors.InputError: path: expected a file, or a path where nothing is, got '/dev'
    """
    place = local_path(path)
    if place is not None and os.path.exists(place) and not os.path.isfile(place):
        raise InputError(f"path: expected a file, or a path where nothing is, got {path!r}")
    if place is not None and not os.path.isdir(os.path.dirname(place)):
        raise InputError(
            f"path: expected a name in a folder that is there, got {path!r}; make the folder"
        )


def remove_old(path: str) -> None:
    """Remove the receipt and the exhibits of what was saved there before.

    Parameters
    ----------
    path : str
        Path or URL of the result.
    """
    discard(path + RECEIPT)
    number = 0
    while discard(exhibit_name(path, number)):
        number += 1


def exhibit_name(path: str, number: int) -> str:
    """Return where an exhibit of a saved result is.

    Parameters
    ----------
    path : str
        Path or URL of the result.
    number : int
        Number of the exhibit.

    Returns
    -------
    str

    Examples
    --------
    >>> exhibit_name("counts.jsonl", 0)
    'counts.jsonl.exhibit-0.json'
    """
    return f"{path}.exhibit-{number}.json"


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

    Returns
    -------
    Receipt

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
    files = ((safe(PurePosixPath(path).name), _sha256(path)),)
    return replace(receipt, result=shape, files=files, sorted_by=tuple(by))


def discard(path: str) -> bool:
    """Remove a file; return whether it was there.

    Parameters
    ----------
    path : str
        Path or URL of the result.

    Returns
    -------
    bool
    """
    filesystem, name = fsspec.core.url_to_fs(path)
    there = bool(filesystem.exists(name))
    if there:
        filesystem.rm_file(name)
    return there


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
