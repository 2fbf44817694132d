"""Many small leaves of a frame at once: whole columns are laid out side by side, not row by row.

Guarantees: the bytes are those that each run of rows would get by itself; where that is not plain
from the columns (text, nulls, objects, scattered indexes), there is no block, and the caller goes
run by run.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from dask_verify.core.canonical.columns import Column, Raw
from dask_verify.core.canonical.pandas_columns import Progression

_SMALL = 8192  #: bytes of a leaf up to which a second copy costs less than a call for each column
_AT_ONCE = 1 << 20  #: bytes laid out at once, so that they are copied again while in the cache


def equal_runs(prefix: bytes, columns: Sequence[Column], rows: int, count: int) -> list[bytes]:
    """Return the bytes of consecutive runs of equally many rows, from the first row on.

    Parameters
    ----------
    prefix : bytes
        What each of them starts with.
    columns : sequence of Column
    rows, count : int
        Rows in a run, and runs.

    Returns
    -------
    list of bytes
        One for each run; empty if it takes other means.
    """
    able = [column for column in columns if isinstance(column, Raw | Progression)]
    blocks = [column.block(rows, count) for column in able]
    found = [block for block in blocks if block is not None]
    size = len(prefix) + sum(block.shape[1] for block in found)
    if len(found) < len(columns) or size > _SMALL:
        return []
    leaves: list[bytes] = []
    step = _AT_ONCE // size
    for start in range(0, count, step):
        parts = [block[start : start + step] for block in found]
        head = np.broadcast_to(np.frombuffer(prefix, np.uint8), (len(parts[0]), len(prefix)))
        laid = np.concatenate([head, *parts], axis=1).tobytes()
        leaves += [laid[i : i + size] for i in range(0, len(laid), size)]
    return leaves
