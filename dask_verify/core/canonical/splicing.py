"""Many leaves of one frame -> one frame, at the price of one: what reducers and readers do.

Guarantees: the frame is what concatenating the decoded leaves gives, and leaves that are not
canonical are refused as they are one by one: what was built is cut and encoded again.

Leaves with the same header differ in rows only, so the bytes of each of their columns can be put
behind each other before pandas sees them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from itertools import accumulate, groupby
from typing import TYPE_CHECKING, Any

import numpy as np

from dask_verify.core.canonical.frames import decode_frame, decode_unchecked, encode_frames
from dask_verify.core.canonical.table import read_header
from dask_verify.core.canonical.wire import FRAME, Reader, decoded, open_reader
from dask_verify.errors import DecodingError

if TYPE_CHECKING:
    import pandas as pd

_HEADER = 9  #: where the length of the header is: behind the kind and the number of rows

Splicer = Callable[[list[Reader], list[int]], bytes]


def decode_frames(leaves: Sequence[bytes]) -> list[pd.DataFrame]:
    """Decode leaves in order; runs of leaves that differ in rows only become one frame.

    Parameters
    ----------
    leaves : sequence of bytes
        What ``encode_frame`` or ``encode_frames`` returned.

    Returns
    -------
    list of pandas.DataFrame
        One frame for each run of leaves with the same columns, dtypes, categories and kind of
        index; its rows are those of the leaves, in order.

    Raises
    ------
    DecodingError
        If one of them is not the canonical encoding of a frame.

    Examples
    --------
    >>> import pandas as pd
    >>> from dask_verify.core.canonical import encode_frames
    >>> leaves = encode_frames(pd.DataFrame({"a": [1, 2, 3]}), [0, 1, 3])
    >>> decode_frames(leaves)[0]["a"].tolist()
    [1, 2, 3]
    """
    runs = [list(run) for _, run in groupby(leaves, key=_header)]
    return [frame for run in runs for frame in _frames(run)]


def _header(leaf: bytes) -> bytes:
    """Return the bytes that say what the rows are like; empty if there are too few."""
    length = int.from_bytes(leaf[_HEADER : _HEADER + 4], "little")
    return bytes(leaf[_HEADER : _HEADER + 4 + length])


def _frames(run: list[bytes]) -> list[pd.DataFrame]:
    """Decode leaves with the same header."""
    readers = [open_reader(leaf, FRAME, "an encoded frame") for leaf in run]
    counts = [reader.number(8) for reader in readers]
    splicers = decoded(partial(_splicers, Reader(_header(run[0])))) if len(run) > 1 else None
    if splicers is None:
        return [decode_frame(leaf) for leaf in run]
    for reader in readers:
        reader.take(len(_header(run[0])))
    # The index comes first, but only the columns say whether so many rows can be there.
    indexes = [_index(reader, count) for reader, count in zip(readers, counts, strict=True)]
    columns = [splice(readers, counts) for splice in splicers]
    for reader in readers:
        reader.finish()
    parts = [FRAME, sum(counts).to_bytes(8, "little"), _header(run[0]), b"\0"]
    whole = b"".join([*parts, *(index() for index in indexes), *columns])
    frame = decoded(partial(decode_unchecked, whole))
    if decoded(partial(encode_frames, frame, [0, *accumulate(counts)])) != list(run):
        raise DecodingError("the bytes are not the canonical form of the frames they describe")
    return [frame]


def _splicers(header: Reader) -> list[Splicer] | None:
    """Return how each column is put together; None where leaves are decoded one by one."""
    _, _, described, index = read_header(header)
    splicers = [_splicer(*kind) for kind in described]
    known = [splicer for splicer in splicers if splicer is not None]
    # Without a column that takes bytes for every row, a short leaf could claim any number of them.
    if index[1] != "int64" or not known or len(known) < len(splicers):
        return None
    return known


def _splicer(kind: str, *rest: Any) -> Splicer | None:
    if kind == "numpy":
        return partial(_fixed, np.dtype(rest[0]).itemsize)
    if kind == "category":
        return partial(_fixed, 4)
    if kind == "tz":
        return partial(_fixed, 8)
    return _strings if kind == "str" else None


def _index(reader: Reader, count: int) -> Callable[[], bytes]:
    """Take the next index; its values are made when it is known that there may be so many."""
    if not reader.number(1):
        raw = reader.take(8 * count)
        return lambda: raw
    first, step = np.frombuffer(reader.take(16), "<i8").tolist()
    return lambda: (first + step * np.arange(count, dtype="<i8")).tobytes()


def _fixed(width: int, readers: list[Reader], counts: list[int]) -> bytes:
    pairs = zip(readers, counts, strict=True)
    return b"".join([reader.take(width * count) for reader, count in pairs])


def _strings(readers: list[Reader], counts: list[int]) -> bytes:
    nulls = [_nulls(*pair) for pair in zip(readers, counts, strict=True)]
    lengths = []
    texts = []
    for reader, count in zip(readers, counts, strict=True):
        lengths.append(reader.take(4 * count))
        texts.append(reader.take(int(np.frombuffer(lengths[-1], "<u4").sum(dtype=np.int64))))
    return b"".join([_mask(nulls, counts), *lengths, *texts])


def _nulls(reader: Reader, count: int) -> bytes | None:
    flag = reader.number(1)
    if flag > 1:
        raise DecodingError(f"expected a null flag of 0 or 1 at {reader.pos - 1}, got {flag}")
    return reader.take((count + 7) // 8) if flag else None


def _mask(nulls: list[bytes | None], counts: list[int]) -> bytes:
    """Put null masks behind each other, bit by bit."""
    if not any(nulls):
        return b"\0"
    bits = [
        np.zeros(count, np.uint8)
        if mask is None
        else np.unpackbits(np.frombuffer(mask, np.uint8), count=count, bitorder="little")
        for mask, count in zip(nulls, counts, strict=True)
    ]
    return b"\1" + np.packbits(np.concatenate(bits), bitorder="little").tobytes()
