"""The rules of the shuffle: which bucket a key goes to, and which records are one group.

What this module guarantees:

1. Keys that Python calls equal share a bucket and a group, and so do all NaN; the answer of a job
   therefore never depends on the number of buckets.
2. A bucket is the same in every process, version and machine, and under every hash seed.
3. Groups appear in the order of their first record, and their values in the order of the records.

The normal form of :mod:`~dask_verify.core.normal_keys` decides what is equal; the buckets of data
frames are those of :mod:`~dask_verify.core.frame_keys`.
"""

from __future__ import annotations

from collections import defaultdict
from hashlib import blake2b
from sys import getsizeof
from typing import TYPE_CHECKING, Any, TypeVar, cast

from dask_verify.core.frame_keys import frame_buckets
from dask_verify.core.normal_keys import key_bytes, normal_key
from dask_verify.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable

__all__ = ["KeyBuckets", "frame_buckets", "group_records", "key_bucket", "no_pair", "normal_key"]

K = TypeVar("K")
V = TypeVar("V")

_SHORT = 256  #: bytes in memory of a key up to which it is remembered
CACHE_LIMIT = 2**16
"""Most keys that a `KeyBuckets` remembers."""

# Equal keys of these exact types are one value. With others the cache would answer for a neighbour
# that only Python calls equal (a datetime with another fold), or grow with every NaN.
_CACHED = frozenset({str, int, bytes})


def key_bucket(key: object, buckets: int) -> int:
    """Return the bucket of a key.

    Parameters
    ----------
    key : object
        What `normal_key` accepts.
    buckets : int
        Number of buckets, at least 1.

    Returns
    -------
    int
        From 0 to ``buckets - 1``: 8 bytes of BLAKE2b over the key's bytes, modulo `buckets`.

    Raises
    ------
    EncodingError
        If the value cannot be a key.
    InputError
        If `buckets` is not a positive int.

    Examples
    --------
    >>> key_bucket("word", 16), key_bucket(1, 16) == key_bucket(True, 16)
    (0, True)
    """
    _require_buckets(buckets)
    digest = blake2b(key_bytes(normal_key(key)), digest_size=8, person=b"dask_verify key1").digest()
    return int.from_bytes(digest, "big") % buckets


class KeyBuckets:
    """`key_bucket` for a fixed number of buckets, with a bounded memory of frequent keys.

    Parameters
    ----------
    buckets : int
        Number of buckets, at least 1.

    Examples
    --------
    >>> bucket = KeyBuckets(16)
    >>> bucket("word") == key_bucket("word", 16)
    True
    """

    __slots__ = ("_cache", "buckets")

    def __init__(self, buckets: int) -> None:
        _require_buckets(buckets)
        self.buckets = buckets
        self._cache: dict[Any, int] = {}

    def __call__(self, key: object) -> int:
        """Return the bucket of a key.

        Parameters
        ----------
        key : object
            What `normal_key` accepts.

        Returns
        -------
        int

        Raises
        ------
        EncodingError
            If the value cannot be a key.
        """
        if type(key) not in _CACHED:
            return key_bucket(key, self.buckets)
        bucket = self._cache.get(key)
        if bucket is None:
            bucket = key_bucket(key, self.buckets)
            if getsizeof(key) <= _SHORT:
                self._remember(key, bucket)
        return bucket

    def _remember(self, key: object, bucket: int) -> None:
        if len(self._cache) >= CACHE_LIMIT:
            self._cache.clear()
        self._cache[key] = bucket


def group_records(pairs: Iterable[tuple[K, V]]) -> list[tuple[K, list[V]]]:
    """Group records by key.

    Parameters
    ----------
    pairs : iterable of (key, value)
        The records, in order.

    Returns
    -------
    list of (key, list of values)
        In the order of first appearance; the key is the first that was seen of its group.

    Raises
    ------
    EncodingError
        If a value cannot be a key.
    InputError
        If a record is not a tuple of two.

    Examples
    --------
    >>> group_records([("a", 1), (1, 2), ("a", 3), (True, 4)])
    [('a', [1, 3]), (1, [2, 4])]
    """
    groups: dict[Hashable, list[V]] = defaultdict(list)
    firsts: dict[Hashable, K] = {}
    for pair in pairs:
        if type(pair) is not tuple:
            raise no_pair(pair)
        try:
            key, value = pair
        except ValueError:
            raise no_pair(pair) from None
        # The loop runs for every record, nearly always with text, which is its own normal form.
        if type(key) is str:
            groups[key].append(value)
            continue
        normal = normal_key(key)
        if normal not in groups:
            firsts[normal] = key
        groups[normal].append(value)
    return [(firsts.get(normal, cast("K", normal)), v) for normal, v in groups.items()]


def no_pair(record: object) -> InputError:
    """Return what is wrong with a record that is no pair of key and value.

    Parameters
    ----------
    record : object
        What the mapper gave.

    Returns
    -------
    InputError

    Examples
    --------
    >>> print(no_pair("be"))
    expected (key, value) pairs, got str: 'be'; let the mapper emit tuples of two
    """
    return InputError(
        f"expected (key, value) pairs, got {type(record).__name__}: {record!r:.80};"
        " let the mapper emit tuples of two"
    )


def _require_buckets(buckets: int) -> None:
    if type(buckets) is not int or buckets < 1:
        raise InputError(f"expected a positive int as the number of buckets, got {buckets!r}")
