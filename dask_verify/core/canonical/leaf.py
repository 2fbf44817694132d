"""Leaves of either kind, told apart by their first byte."""

from __future__ import annotations

from typing import Any

from dask_verify.core.canonical.frames import decode_frame
from dask_verify.core.canonical.records import decode_records
from dask_verify.core.canonical.wire import FRAME


def decode_leaf(data: bytes) -> Any:
    """Return the records of a leaf: a list for a bag, a DataFrame for a dataframe.

    Parameters
    ----------
    data : bytes
        Canonical bytes of records or of a frame.

    Returns
    -------
    object

    Raises
    ------
    DecodingError
        If the bytes are the canonical encoding of neither.

    Examples
    --------
    >>> from dask_verify.core.canonical import encode_records
    >>> decode_leaf(encode_records(["a", "b"]))
    ['a', 'b']
    """
    return decode_frame(data) if data[:1] == FRAME else decode_records(data)
