"""Digests in contexts of their own, and records that cross the wire as canonical bytes.

What this module guarantees: a record is decoded only from the canonical bytes of exactly its own
fields, each of its stated type and range; anything else is a
:class:`~dask_verify.errors.DecodingError`.
"""

from __future__ import annotations

from dataclasses import fields
from typing import Any, Self

import blake3

from dask_verify.core.canonical import decode_plain, encode
from dask_verify.errors import DecodingError

LARGEST = 2**63 - 1
"""Largest whole number in a record: what is computed from one stays finite."""


def digest(context: str, payload: bytes) -> bytes:
    """BLAKE3 of bytes in a context of its own, 32 bytes.

    Parameters
    ----------
    context : str
        What the digest is for.
    payload : bytes
        The bytes.

    Returns
    -------
    bytes

    Examples
    --------
    >>> digest("a", b"") == digest("b", b"")
    False
    """
    return blake3.blake3(payload, derive_key_context=f"dask_verify v1 {context}").digest()


class Record:
    """A frozen dataclass that crosses the wire as the canonical bytes of its fields.

    Fields that are not arguments of it stay where they are.

    Examples
    --------
    >>> from dask_verify.core.audits import Answer, map_question
    >>> one = Answer(b"j", "read", 0, "bob", b"i", (), (), (b"h" * 32,), (10, 1))
    >>> Answer.from_bytes(one.to_bytes()) == one
    True
    """

    __slots__ = ()

    def to_bytes(self) -> bytes:
        """Return the canonical bytes of the fields, in order.

        Returns
        -------
        bytes

        Examples
        --------
        >>> from dask_verify.core.audits import Answer
        >>> one = Answer(b"j", "read", 0, "bob", b"i", (), (), (b"h" * 32,), (10, 1))
        >>> one.to_bytes() == encode((b"j", "read", 0, "bob", b"i", (), (), (b"h" * 32,), (10, 1)))
        True
        """
        return encode(tuple(getattr(self, name) for name in self._names()))

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """Return what `to_bytes` encoded.

        Parameters
        ----------
        data : bytes
            Canonical bytes of the fields.

        Returns
        -------
        Record

        Raises
        ------
        DecodingError
            If the bytes are not the canonical encoding of this type.

        Examples
        --------
        >>> from dask_verify.core.audits import Answer
        >>> Answer.from_bytes(encode((b"j", "read", 0)))
        Traceback (most recent call last):
            ...
        dask_verify.errors.DecodingError: expected the 9 fields of a Answer
        """
        values = decode_plain(data)
        names = cls._names()
        if not isinstance(values, tuple) or len(values) != len(names):
            raise DecodingError(f"expected the {len(names)} fields of a {cls.__name__}")
        record = cls(*values)
        record.check()
        return record

    def check(self) -> None:
        """Check types and ranges of the fields.

        Raises
        ------
        DecodingError
            If one of them is not as `_types` says.

        Examples
        --------
        >>> from dask_verify.core.audits import Answer
        >>> Answer(b"j", 7, 0, "bob", b"i", (), (), (), ()).check()
        Traceback (most recent call last):
            ...
        dask_verify.errors.DecodingError: Answer.stage: expected str, got int
        """
        for name, kind in self._types().items():
            value: Any = getattr(self, name)
            beyond = isinstance(value, int) and not 0 <= value <= LARGEST
            if type(value) is not kind or beyond:
                # The value itself is not shown: it may be as long as its sender likes.
                raise DecodingError(
                    f"{type(self).__name__}.{name}: expected {kind.__name__}"
                    + (f" from 0 to {LARGEST}" if kind is int else "")
                    + f", got {type(value).__name__}"
                )

    @classmethod
    def _names(cls) -> list[str]:
        return [f.name for f in fields(cls) if f.init]  # type: ignore[arg-type]

    @classmethod
    def _types(cls) -> dict[str, type]:
        raise AssertionError("every record states its types")
