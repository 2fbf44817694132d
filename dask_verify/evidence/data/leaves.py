"""From the values of a result to the roots that its leaves have.

What this module guarantees: values have the roots of a job exactly if they are the values that its
workers committed to, in the same order and with the same types; how they were stored, cut or
concatenated since then does not matter.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import accumulate, chain, islice, pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from dask_verify.core.canonical import decode_frame, encode_frame, encode_frames, encode_records
from dask_verify.core.keys import KeyBuckets
from dask_verify.core.merkle import BLAKE3, MerkleTree
from dask_verify.errors import DataError, EncodingError
from dask_verify.evidence.data.fitting import fit
from dask_verify.evidence.data.shape import ResultShape

if TYPE_CHECKING:
    import pandas as pd

_BATCH = 1 << 20  #: rows that are encoded together; one leaf may have more
_BATCH_LEAVES = 1 << 14  #: leaves that are encoded together


def roots_of(value: Any, shape: ResultShape) -> list[bytes]:
    """Return the roots of the reduce partitions that a value has.

    Parameters
    ----------
    value : list of (key, value), or pandas.DataFrame
        A result, in the order of its file.
    shape : ResultShape
        How it is cut.

    Returns
    -------
    list of bytes
        One root a partition.

    Raises
    ------
    DataError
        If the value cannot be cut in this way: other rows or columns, or pairs in another order.
    EncodingError
        If a value in it has no canonical bytes.

    Examples
    --------
    >>> shape = ResultShape("bag", partitions=1, buckets=1)
    >>> roots_of([("a", 1)], shape) == [MerkleTree([encode_records([("a", 1)])]).root]
    True
    """
    return list(_roots(value, shape))


def compare(value: Any, shape: ResultShape, roots: Sequence[bytes]) -> None:
    """Return if a value has the given roots; else say where it differs.

    Parameters
    ----------
    value, shape
        As for `roots_of`.
    roots : sequence of bytes
        The verified roots, one a reduce partition.

    Raises
    ------
    DataError
        If they differ; names the first partition that does, and its rows or pairs.
    EncodingError
        If a value in it has no canonical bytes.

    Examples
    --------
    >>> shape = ResultShape("bag", partitions=1, buckets=1)
    >>> compare([("a", 1)], shape, roots_of([("a", 1)], shape))
    >>> compare([("a", True)], shape, roots_of([("a", 1)], shape))
    Traceback (most recent call last):
        ...
    dask_verify.errors.DataError: partition 0 (pairs 0 up to 1): expected the root ccb6d40ede..., \
got d7b6056848...; the data are not the verified ones
    """
    shape.check()
    if len(roots) != shape.partitions:
        raise DataError(f"expected roots of {shape.partitions} partitions, got {len(roots)}")
    for partition, (root, got) in enumerate(zip(roots, _roots(value, shape), strict=True)):
        if root != got:
            where = f"partition {partition} ({_range(value, shape, partition)})"
            raise DataError(
                f"{where}: expected the root {_hex(root)}, got {_hex(got)};"
                f" the data are not the verified ones{_hint(value, shape)}",
                partition,
                root,
                got,
            )


def frame_shape(
    leaves: Sequence[Sequence[bytes]],
    meta: pd.DataFrame,
    order: Sequence[int] | np.ndarray[Any, Any] | None = None,
) -> ResultShape:
    """Return the shape of a dataframe from its verified leaves.

    Parameters
    ----------
    leaves : sequence of sequences of bytes
        The leaves of each reduce partition.
    meta : pandas.DataFrame
        The concatenated result, or its first rows: only what is not rows matters.
    order : sequence of int, optional
        Row ``i`` of the result is row ``order[i]`` of the leaves.

    Returns
    -------
    ResultShape

    Examples
    --------
    >>> import pandas as pd
    >>> frame = pd.DataFrame({"a": [1, 2]})
    >>> shape = frame_shape([[encode_frame(frame[:1])], [encode_frame(frame[1:])]], frame)
    >>> shape.rows, shape.forms
    (((1,), (1,)), ())
    """
    empty = encode_frame(meta.iloc[:0])
    numbers = {_header(empty): 0}
    forms: list[bytes] = []
    for leaf in (leaf for partition in leaves for leaf in partition):
        if _header(leaf) not in numbers:
            forms.append(encode_frame(decode_frame(leaf).iloc[:0]))
            numbers[_header(leaf)] = len(forms)
    formed = tuple(tuple(numbers[_header(leaf)] for leaf in part) for part in leaves)
    return ResultShape(
        kind="frame",
        partitions=len(leaves),
        buckets=sum(map(len, leaves)),
        meta=empty,
        rows=tuple(tuple(int.from_bytes(leaf[1:9], "little") for leaf in p) for p in leaves),
        order=None if order is None else tuple(np.asarray(order, np.int64).tolist()),
        forms=tuple(forms),
        formed=formed if forms else (),
        nbytes=sum(len(leaf) for partition in leaves for leaf in partition),
    )


def row_order(frame: pd.DataFrame, by: Sequence[str]) -> np.ndarray[Any, Any]:
    """Return where each row of the sorted frame stood before.

    Parameters
    ----------
    frame : pandas.DataFrame
    by : sequence of str
        Columns or index levels.

    Returns
    -------
    numpy.ndarray
        Shape (rows,), dtype int64.

    Raises
    ------
    DataError
        If it has no such column or level.
    """
    import pandas as pd

    missing = set(by) - {*frame.columns, *frame.index.names}
    if missing:
        raise DataError(
            f"data: expected the keys {list(by)}, got a frame without {sorted(missing)}"
        )
    levels = frame.index.get_level_values
    keys = [frame[k].array if k in frame.columns else levels(k).array for k in by]
    keyed = pd.DataFrame(dict(enumerate(keys)))
    before = keyed.sort_values(list(keyed.columns), kind="stable").index
    return np.asarray(before, np.int64)


def has_categories(meta: pd.DataFrame) -> bool:
    """Whether a frame has categories, in columns or index: leaves may have others.

    Parameters
    ----------
    meta : pandas.DataFrame
        The empty frame.

    Returns
    -------
    bool

    Examples
    --------
    >>> import pandas as pd
    >>> has_categories(pd.DataFrame({"a": pd.Categorical([])}))
    True
    """
    import pandas as pd

    levels = map(meta.index.get_level_values, range(meta.index.nlevels))
    dtypes = [*meta.dtypes, *(level.dtype for level in levels)]
    return any(isinstance(dtype, pd.CategoricalDtype) for dtype in dtypes)


def _header(leaf: bytes) -> bytes:
    """Return what an encoded frame says of its labels, dtypes, categories and kind of index."""
    return leaf[13 : 13 + int.from_bytes(leaf[9:13], "little")]


def _roots(value: Any, shape: ResultShape) -> Iterator[bytes]:
    shape.check()
    hashes = (_pair_hashes if shape.kind == "bag" else _frame_hashes)(value, shape)
    for _ in range(shape.partitions):
        yield MerkleTree.from_leaf_hashes(list(islice(hashes, shape.run)), BLAKE3).root


def _hex(root: object) -> str:
    return f"{root.hex()[:10]}..." if isinstance(root, bytes) else f"{root!r:.40}"


def _range(value: Any, shape: ResultShape, partition: int) -> str:
    first, last = partition * shape.run, (partition + 1) * shape.run
    if shape.kind == "bag":
        bounds = _pair_bounds(value, shape)
        return f"pairs {bounds[first]} up to {bounds[last]}"
    bounds = [0, *accumulate(shape.counts)]
    verified = "" if shape.order is None else " of the verified order"
    return f"rows {bounds[first]} up to {bounds[last]}{verified}"


def _hint(value: Any, shape: ResultShape) -> str:
    """Say what is wrong with most files that lost their index."""
    import pandas as pd

    if shape.kind == "bag" or value.index.nlevels > 1 or value.index.dtype != np.dtype("<i8"):
        return ""
    if len(value) < 2 or not value.index.equals(pd.RangeIndex(len(value))):
        return ""
    return ". If the file was written without its index, write it with the index that it had"


# --- bags ------------------------------------------------------------------------------------


def _pair_hashes(pairs: Any, shape: ResultShape) -> Iterator[bytes]:
    bounds = _pair_bounds(pairs, shape)
    empty = BLAKE3.leaf(encode_records([]))
    for start, stop in pairwise(bounds):
        yield BLAKE3.leaf(encode_records(pairs[start:stop])) if start < stop else empty


def _pair_bounds(pairs: Any, shape: ResultShape) -> list[int]:
    """Return where the pairs of each bucket start, and the end."""
    if type(pairs) is not list:
        raise DataError(f"expected a list of (key, value) pairs, got {type(pairs).__name__}")
    buckets = np.fromiter(_buckets(pairs, shape.buckets), np.int64, len(pairs))
    back = np.flatnonzero(buckets[1:] < buckets[:-1])
    if back.size:
        at = int(back[0]) + 1
        raise DataError(
            f"pair {at}: expected the order of a verified result, got a pair of bucket"
            f" {buckets[at]} behind one of bucket {buckets[at - 1]};"
            " keep the order in which the pairs were written",
            int(buckets[at]) // shape.run,
        )
    bounds: list[int] = np.searchsorted(buckets, np.arange(shape.buckets + 1)).tolist()
    return bounds


def _buckets(pairs: list[Any], buckets: int) -> Iterator[int]:
    bucket = KeyBuckets(buckets)
    for place, pair in enumerate(pairs):
        if type(pair) is not tuple or len(pair) != 2:
            raise DataError(
                f"pair {place}: expected a tuple of key and value, got {type(pair).__name__}"
            )
        try:
            yield bucket(pair[0])
        except EncodingError as error:
            raise DataError(
                f"pair {place}: expected a key, got a value that is none: {error}"
            ) from None


# --- frames ----------------------------------------------------------------------------------


def _frame_hashes(frame: Any, shape: ResultShape) -> Iterator[bytes]:
    """Hash the leaves form by form: each form is looked at once, however often it changes."""
    frame = _leaf_order(frame, shape)
    counts = np.array(shape.counts, np.int64)
    starts = np.cumsum(counts) - counts
    formed = np.fromiter(chain.from_iterable(shape.formed), np.int64)
    formed = formed if formed.size else np.zeros(len(counts), np.int64)
    hashes = np.empty(len(counts), dtype=object)
    for number, leaves in _groups(formed):
        form = shape.form(number)
        empty = leaves[counts[leaves] == 0]
        if empty.size:
            hashes[empty] = BLAKE3.leaf(encode_frame(fit(frame.iloc[:0], form)))
        for batch in _batches(leaves[counts[leaves] > 0], counts):
            rows = _rows(frame, starts[batch], counts[batch])
            bounds = [0, *accumulate(counts[batch].tolist())]
            hashes[batch] = list(map(BLAKE3.leaf, encode_frames(fit(rows, form), bounds)))
    return iter(hashes)


def _groups(formed: Any) -> Iterator[tuple[int, Any]]:
    """Yield each number, and the places where it stands, in order."""
    order = np.argsort(formed, kind="stable")
    numbers, first = np.unique(formed[order], return_index=True)
    yield from zip(numbers.tolist(), np.split(order, first[1:]), strict=True)


def _rows(frame: Any, starts: Any, counts: Any) -> Any:
    """Return rows of leaves, one leaf behind the other."""
    before = np.cumsum(counts) - counts
    if (starts - before == starts[0]).all():
        return frame.iloc[starts[0] : starts[0] + counts.sum()]
    return frame.take(np.repeat(starts - before, counts) + np.arange(counts.sum()))


def _leaf_order(frame: Any, shape: ResultShape) -> Any:
    import pandas as pd

    if type(frame) is not pd.DataFrame:
        raise DataError(f"expected a pandas.DataFrame, got {type(frame).__name__}")
    if len(frame) != shape.total:
        raise DataError(f"expected {shape.total} rows, got {len(frame)}")
    if shape.order is None:
        return frame
    places = np.empty(shape.total, np.int64)
    places[np.array(shape.order, np.int64)] = np.arange(shape.total)
    return frame.take(places)


def _batches(leaves: Any, counts: Any) -> Iterator[Any]:
    """Cut leaves so that not too many rows are encoded at a time."""
    first = rows = 0
    for place, count in enumerate(counts[leaves].tolist()):
        if place > first and (rows + count > _BATCH or place - first >= _BATCH_LEAVES):
            yield leaves[first:place]
            first, rows = place, 0
        rows += count
    if first < len(leaves):
        yield leaves[first:]
