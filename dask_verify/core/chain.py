"""A chain of records in one run of bytes, each bound to all that came before it.

What this module guarantees: whatever part of a chain is read back was written, whole, in this order
and from its beginning. An end that was cut off while it was written is told from bytes that were
changed; what was cut off between two records cannot be told from a chain that had not gone further.

Each record is ``length (8 bytes) | check (8) | payload | link (16)``. The check covers the length
and the chain so far, so that a changed length is not taken for a chain that was cut off; the link
covers the payload and the chain so far.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from dask_verify.core.record import digest
from dask_verify.errors import DecodingError

START = bytes(16)  #: the link before the first record
_LENGTH, _CHECK, _LINK = 8, 8, 16
_HEAD = _LENGTH + _CHECK


def _check(link: bytes, length: bytes) -> bytes:
    return digest("chain length", link + length)[:_CHECK]


def _link(link: bytes, payload: bytes) -> bytes:
    return digest("chain link", link + payload)[:_LINK]


@dataclass
class Chain:
    """The end of a chain that is being written.

    Parameters
    ----------
    link : bytes
        The last record's, 16 bytes; that of an empty chain is `START`.

    Examples
    --------
    >>> chain = Chain()
    >>> data = chain.record(b"one") + chain.record(b"two")
    >>> list(Links(data)), list(Links(data[:-1]))
    ([b'one', b'two'], [b'one'])
    """

    link: bytes = START

    def record(self, payload: bytes) -> bytes:
        """Return the bytes that go behind what is there.

        Parameters
        ----------
        payload : bytes
            What the record says.

        Returns
        -------
        bytes

        Examples
        --------
        >>> chain = Chain()
        >>> len(chain.record(b"one")), chain.link == START
        (35, False)
        """
        length = len(payload).to_bytes(_LENGTH, "big")
        check = _check(self.link, length)
        self.link = _link(self.link, payload)
        return length + check + payload + self.link


@dataclass
class Links:
    """The payloads of a chain, in order, checked as they are read.

    Parameters
    ----------
    data : bytes
        A whole chain; its last record may be torn.

    Attributes
    ----------
    end : int
        Where the last whole record that was read ends: what is behind it is torn.
    link : bytes
        Of that record.

    Raises
    ------
    DecodingError
        While reading, if a record is not as it was written.

    Examples
    --------
    >>> chain = Chain()
    >>> links = Links(chain.record(b"one") + chain.record(b"two")[:-1])
    >>> list(links), links.end
    ([b'one'], 35)
    """

    data: bytes
    end: int = field(default=0, init=False)
    link: bytes = field(default=START, init=False)

    def __iter__(self) -> Iterator[bytes]:
        while (payload := self._next()) is not None:
            yield payload

    def _next(self) -> bytes | None:
        at, data = self.end, memoryview(self.data)
        length, check = bytes(data[at : at + _LENGTH]), bytes(data[at + _LENGTH : at + _HEAD])
        # A machine that goes down may leave zeros where the file had only just grown.
        if len(check) < _CHECK or not any(data[at + _HEAD :]):
            return None
        if check != _check(self.link, length):
            raise _changed(at, "its length")
        start = at + _HEAD
        stop = start + int.from_bytes(length, "big")
        payload, link = bytes(data[start:stop]), bytes(data[stop : stop + _LINK])
        if len(link) < _LINK:
            return None
        if link != _link(self.link, payload):
            if not any(data[stop:]):  # as above
                return None
            raise _changed(at, "what it says")
        self.end, self.link = stop + _LINK, link
        return payload


def _changed(at: int, what: str) -> DecodingError:
    return DecodingError(
        f"record at byte {at}: expected it as it was written, got {what} changed;"
        " what is before it still holds"
    )
