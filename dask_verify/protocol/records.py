"""Records of a leaf as text: for people, of bytes that a liar may have chosen.

What this module guarantees: whatever a leaf claims to be, reading it costs memory in proportion to
its bytes, and comparing two of them ends after a bounded amount of text. Texts are made one by
one, up to the first that differs; names of columns are not repeated with every record.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import zip_longest
from typing import TYPE_CHECKING, Any

from dask_verify.core.canonical import decode_leaf
from dask_verify.protocol.messages import Sample

if TYPE_CHECKING:
    import pandas as pd

READABLE = 4 << 20  #: bytes of a leaf that is decoded to show a record of it
TEXT = 2000  #: characters of a record that a report keeps
NONE = "(no record)"
_ROWS = 1 << 20  #: records of such a leaf: an index is cheap to make as long as a liar likes
_COMPARED = 64 << 20  #: characters that are made of a leaf at most: a category may be in every row
_BLOCK = 256  #: records whose values are looked up at once


class UnreadableError(ValueError):
    """A leaf that cannot be shown; the message says why."""


@dataclass(frozen=True, eq=False)
class Records:
    """The records of one leaf.

    Parameters
    ----------
    rows : list or DataFrame
        What was decoded.
    """

    rows: Any

    @classmethod
    def of(cls, leaf: bytes) -> Records:
        """Decode a leaf.

        Parameters
        ----------
        leaf : bytes
            Canonical bytes of the leaf.

        Returns
        -------
        Records

        Raises
        ------
        UnreadableError
            If it is none, or larger than anybody reads.

        Examples
        --------
        >>> from dask_verify.core.canonical import encode_records
        >>> len(Records.of(encode_records(["a", "b"])))
        2
        """
        if len(leaf) > READABLE:
            raise UnreadableError(f"{len(leaf):,} bytes: too many to show")
        try:
            rows = decode_leaf(leaf)
        except Exception as error:
            # A liar chose these bytes: whatever decoding them raises, they are no records.
            said = f"{len(leaf):,} bytes that are no records: {type(error).__name__}"
            raise UnreadableError(said) from None
        if len(rows) > _ROWS:
            raise UnreadableError(f"{len(rows):,} records: too many to show")
        return cls(rows)

    def __len__(self) -> int:
        return len(self.rows)

    def text(self, at: int, most: int = TEXT) -> str:
        """Return one record, cut off behind so many characters; `NONE` behind the last one.

        Parameters
        ----------
        at : int
            Number of the record.
        most : int, optional
            Characters that are shown.

        Returns
        -------
        str
        """
        if at >= len(self):
            return NONE
        if isinstance(self.rows, list):
            return repr(self.rows[at])[:most]
        label, *values = self.values(at)
        parts, room = [f"{label:.{TEXT}}: "], most
        for column, value in zip(self.rows.columns, values, strict=True):
            parts.append(f"{', ' if len(parts) > 1 else ''}{str(column)[:TEXT]}={value[:most]}")
            room -= len(parts[-1])
            if room < 0:
                break
        return "".join(parts)[:most]

    def values(self, at: int) -> tuple[str, ...]:
        """Return the index and the values of one row of a frame as text.

        Parameters
        ----------
        at : int
            Number of the row.

        Returns
        -------
        tuple of str
        """
        return next(_keys(self.rows.iloc[at : at + 1]))

    def keys(self) -> Iterator[object]:
        """Yield what tells records apart that are shown, one by one.

        Yields
        ------
        object
            What tells one record from others.

        Raises
        ------
        UnreadableError
            After more text than anybody compares.
        """
        made = 0
        rows = self.rows
        for key in map(repr, rows) if isinstance(rows, list) else _keys(rows):
            yield key
            made += len(key) if isinstance(key, str) else sum(map(len, key))
            if made > _COMPARED:
                raise UnreadableError("too much text to compare")

    @property
    def names(self) -> list[str]:
        """The names of the columns; none of a list."""
        return [] if isinstance(self.rows, list) else [str(name) for name in self.rows.columns]

    def describe(self) -> str:
        """Say what tells records apart that look alike.

        Returns
        -------
        str
        """
        rows = self.rows
        if isinstance(rows, list):
            return repr(rows)[:TEXT]
        return f"{len(rows)} rows, dtypes {rows.dtypes.to_dict()}, index {rows.index.dtype}"[:TEXT]


def _keys(rows: pd.DataFrame) -> Iterator[tuple[str, ...]]:
    """Yield the index and the values of each row as text, without the columns' names."""
    for start in range(0, len(rows), _BLOCK):
        block = rows.iloc[start : start + _BLOCK]
        values = block.astype(object).itertuples(index=False, name=None)
        for label, row in zip(block.index, values, strict=True):
            yield (repr(label), *map(repr, row))


def first_difference(one: Records, other: Records) -> int | None:
    """Return the first record that reads differently; None if there is none.

    Parameters
    ----------
    one, other : Records
        What is compared.

    Returns
    -------
    int or None

    Raises
    ------
    Exception
        Whatever showing a liar's values raises.
    """
    if one.names != other.names and max(len(one), len(other)):
        return 0
    pairs = enumerate(zip_longest(one.keys(), other.keys()))
    return next((at for at, (x, y) in pairs if x != y), None)


def compare_leaves(one: bytes, other: bytes) -> Sample | None:
    """Return the first differing record of two leaves as text; None if they cannot be read.

    Parameters
    ----------
    one, other : bytes
        What is compared.

    Returns
    -------
    Sample or None

    Examples
    --------
    >>> from dask_verify.core.canonical import encode_records
    >>> compare_leaves(encode_records(["a", "b"]), encode_records(["a", "c"]))
    Sample(record=1, one="'b'", other="'c'")
    """
    try:
        sides = Records.of(one), Records.of(other)
        at = first_difference(*sides)
        if at is None:  # equal as text: dtypes, categories or the sign of a zero differ
            return Sample(0, *(side.describe() for side in sides))
        return Sample(at, *(side.text(at) for side in sides))
    except Exception:
        # A liar chose these values, and a sample is for the reader only: what cannot be decoded
        # or shown must not keep the arbitration from finding out who lied.
        return None
