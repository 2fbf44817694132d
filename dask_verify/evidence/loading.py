"""`load`: data that was saved with its receipt, returned only if it checks."""

from __future__ import annotations

import os
from errno import ENOENT
from typing import Any

import fsspec

from dask_verify.evidence.enrolment.trust import Trust, load_trust
from dask_verify.evidence.fields import LARGEST_FILE
from dask_verify.evidence.files import read_up_to
from dask_verify.evidence.receipts.checking import check_receipt, compared_data
from dask_verify.evidence.receipts.values import Receipt

RECEIPT = ".receipt.json"
"""What the name of a saved result's receipt ends with."""

Path = str | os.PathLike[str]


def load(
    path: Path,
    *,
    trust: Path | Trust,
    receipt: Path | None = None,
    replicas: int | None = None,
    min_audit: float | None = None,
) -> Any:
    """Return saved data if their receipt holds, and they are what it is about.

    Parameters
    ----------
    path : path or URL
        What `Job.save` wrote, or the same values in another file of the kind.
    trust : path or Trust
        Trust file: whose signatures count.
    receipt : path or URL, optional
        Default: beside the data, as `Job.save` writes it.
    replicas : int, optional
        How many domains must have signed every partition; default: as the job's policy says.
    min_audit : float, optional
        The least audit rate.

    Returns
    -------
    list of (key, value), or pandas.DataFrame
        As ``job.result()`` gave it.

    Raises
    ------
    EvidenceError
        If the receipt does not hold.
    DataError
        If the data are not what it is about.
    TrustError
        If the trust file is none.
    OSError
        If a file cannot be read; FileNotFoundError, if no receipt is beside the data.

    Examples
    --------
    >>> load("counts.jsonl", trust="domains.toml")  # doctest: +SKIP
    [('the', 63924), ...]
    """
    trusted = trust if isinstance(trust, Trust) else load_trust(trust)
    envelope = _receipt(path) if receipt is None else _read(receipt)
    asked = {"replicas": replicas, "min_audit": min_audit}
    found = check_receipt(envelope, trusted, **asked).receipt  # type: ignore[arg-type]
    return _checked(path, found)


def _checked(path: Path, receipt: Receipt) -> Any:
    """Return the very values that were compared."""
    value = compared_data(path, receipt)
    return presented(value, receipt.sorted_by) if receipt.sorted_by else value


def presented(frame: Any, by: tuple[str, ...]) -> Any:
    """Return a sorted dataframe with the index that it is shown with.

    Where the keys are columns and the index has no name, the index only says where rows stood
    before they were sorted, and is counted anew.

    Parameters
    ----------
    frame : object
        The frame.
    by : tuple of str
        The names that it is grouped and sorted by.

    Returns
    -------
    object

    Examples
    --------
    >>> import pandas as pd
    >>> presented(pd.DataFrame({"carrier": ["AA", "UA"], "delay": [1.0, 2.0]}), ("carrier",))
      carrier  delay
    0      AA    1.0
    1      UA    2.0
    """
    plain = set(by) <= set(frame.columns) and frame.index.nlevels == 1 and frame.index.name is None
    return frame.reset_index(drop=True) if plain else frame


def _receipt(path: Path) -> bytes:
    """Read the receipt beside saved data; where there is none, say which of the two is missing."""
    place = os.fspath(path)
    try:
        return _read(place + RECEIPT)
    except FileNotFoundError as error:
        filesystem, name = fsspec.core.url_to_fs(place)
        if filesystem.exists(name):
            said = "expected the receipt beside the data, where Job.save writes it, got none; pass"
            said = f"{said} receipt= if it is elsewhere"
        else:
            said = "expected saved data with their receipt beside, got neither; check the name"
        raise FileNotFoundError(ENOENT, said, place + RECEIPT) from error


def _read(path: Path) -> bytes:
    with fsspec.open(os.fspath(path), "rb") as file:
        return read_up_to(file, LARGEST_FILE + 1)
