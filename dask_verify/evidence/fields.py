"""Strict JSON: what somebody else wrote is read field by field, and nothing is left unread.

What this module guarantees:

* Text that says two things (a name twice, ``NaN``, bytes that are not UTF-8, base64 with spare
  bits) is refused, so that no other reader can see something else in it.
* A field has the stated type and range, and its absence is an error; so is a field that nobody
  read.
* Whatever is wrong is an :class:`~dask_verify.errors.EvidenceError` that names the path.
"""

from __future__ import annotations

import base64
import binascii
import json
import math
from collections.abc import Callable, Hashable, Sequence
from itertools import pairwise
from typing import Any, NoReturn, TypeVar

from dask_verify.core.record import LARGEST
from dask_verify.errors import EvidenceError

T = TypeVar("T")

LARGEST_FILE = 1 << 30
"""Bytes of JSON that are read at most."""
_HASH = 32
_LARGEST_REAL = 1e300


def parse(data: bytes, what: str = "file") -> Fields:
    """Read one JSON object.

    Parameters
    ----------
    data : bytes
        UTF-8, without a byte order mark.
    what : str
        What to call it in errors.

    Returns
    -------
    Fields

    Raises
    ------
    EvidenceError
        If it is not exactly one JSON object, or says something twice.

    Examples
    --------
    >>> parse(b'{"a": 1}').number("a")
    1
    >>> parse(b'{"a": 1, "a": 2}')
    Traceback (most recent call last):
        ...
    dask_verify.errors.EvidenceError: file: expected every name once, got 'a' twice
    """
    if len(data) > LARGEST_FILE:
        raise EvidenceError(what, f"at most {LARGEST_FILE:,} bytes", f"{len(data):,}")
    try:
        value = json.loads(
            data.decode("utf-8"),
            object_pairs_hook=lambda pairs: _object(pairs, what),
            parse_constant=lambda name: _refuse_constant(name, what),
        )
    except EvidenceError:
        raise
    except (ValueError, RecursionError) as error:
        raise EvidenceError(what, "JSON", f"something else ({error!s:.100})") from None
    if not isinstance(value, dict):
        raise EvidenceError(what, "a JSON object", type(value).__name__)
    return Fields(value, what)


def _object(pairs: list[tuple[str, Any]], what: str) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name in found:
            raise EvidenceError(what, "every name once", f"{name!r:.100} twice")
        found[name] = value
    return found


def _refuse_constant(name: str, what: str) -> NoReturn:
    raise EvidenceError(what, "a finite number", name)


class Fields:
    r"""One JSON object, read field by field.

    Parameters
    ----------
    values : dict
    path : str
        Where it stands, for errors.

    Examples
    --------
    >>> fields = parse(b'{"name": "alice", "key": "AAE="}', "domain")
    >>> fields.text("name"), fields.octets("key", 2)
    ('alice', b'\x00\x01')
    >>> fields.end()
    >>> fields.digest("root")
    Traceback (most recent call last):
        ...
    dask_verify.errors.EvidenceError: domain.root: expected a value, got nothing
    """

    def __init__(self, values: dict[str, Any], path: str) -> None:
        self._values = values
        self._unread = set(values)
        self.path = path

    def at(self, name: str) -> str:
        """Return the path of a field.

        Parameters
        ----------
        name : str
            Name of the field.

        Returns
        -------
        str
        """
        return f"{self.path}.{name}"

    def has(self, name: str) -> bool:
        """Whether there is such a field.

        Parameters
        ----------
        name : str
            Name of the field.

        Returns
        -------
        bool
        """
        return name in self._values

    def names(self) -> tuple[str, ...]:
        """Return the names of all fields.

        Returns
        -------
        tuple of str
        """
        return tuple(_text(name, self.path) for name in self._values)

    def null(self, name: str) -> bool:
        """Whether a field is null.

        Parameters
        ----------
        name : str
            Name of the field.

        Returns
        -------
        bool
        """
        return self._get(name) is None

    def empty(self, name: str) -> bool:
        """Whether a field is empty text.

        Parameters
        ----------
        name : str
            Name of the field.

        Returns
        -------
        bool
        """
        return bool(self._get(name) == "")

    def nested(self, name: str) -> bool:
        """Whether a field is an object.

        Parameters
        ----------
        name : str
            Name of the field.

        Returns
        -------
        bool
        """
        return isinstance(self._get(name), dict)

    def end(self) -> None:
        """Refuse fields that nobody has read.

        Raises
        ------
        EvidenceError
            If there are any.
        """
        if self._unread:
            raise EvidenceError(self.path, "no other field", f"{min(self._unread)!r:.100}")

    def text(self, name: str) -> str:
        """Return a string that has a UTF-8 form.

        Parameters
        ----------
        name : str
            Name of the field.

        Returns
        -------
        str
        """
        return _text(self._get(name), self.at(name))

    def choice(self, name: str, options: tuple[str, ...]) -> str:
        """Return one of some strings.

        Parameters
        ----------
        name : str
            Name of the field.
        options : tuple of str
            The strings.

        Returns
        -------
        str

        Raises
        ------
        EvidenceError
            If it is missing, or anything else.
        """
        value = self._get(name)
        if value not in options:
            raise EvidenceError(self.at(name), f"one of {options}", value)
        return str(value)

    def number(self, name: str, least: int = 0, most: int = LARGEST) -> int:
        """Return a whole number in a range.

        Parameters
        ----------
        name : str
            Name of the field.
        least, most : int, optional
            The range.

        Returns
        -------
        int
        """
        return _number(self._get(name), self.at(name), least, most)

    def real(self, name: str, least: float = 0.0, most: float = math.inf) -> float:
        """Return a finite number in a range.

        Parameters
        ----------
        name : str
            Name of the field.
        least, most : float, optional
            The range.

        Returns
        -------
        float

        Raises
        ------
        EvidenceError
            If it is missing, or anything else.
        """
        value = self._get(name)
        good = isinstance(value, (int, float)) and not isinstance(value, bool)
        # Also a whole number may be larger than any float.
        if not good or not least <= value <= most or abs(value) > _LARGEST_REAL:
            raise EvidenceError(self.at(name), f"a number from {least} to {most}", value)
        return float(value)

    def flag(self, name: str) -> bool:
        """Return true or false.

        Parameters
        ----------
        name : str
            Name of the field.

        Returns
        -------
        bool

        Raises
        ------
        EvidenceError
            If it is missing, or anything else.
        """
        value = self._get(name)
        if not isinstance(value, bool):
            raise EvidenceError(self.at(name), "true or false", value)
        return value

    def octets(self, name: str, size: int | None = None) -> bytes:
        """Return bytes that were written as base64.

        Parameters
        ----------
        name : str
            Name of the field.
        size : int or None, optional
            How many bytes there must be; None for any number.

        Returns
        -------
        bytes
        """
        return _octets(self._get(name), self.at(name), size)

    def digest(self, name: str, size: int = _HASH) -> bytes:
        """Return bytes that were written as lowercase hexadecimal digits.

        Parameters
        ----------
        name : str
            Name of the field.
        size : int, optional
            How many bytes there must be; None for any number.

        Returns
        -------
        bytes
        """
        return _digest(self._get(name), self.at(name), size)

    def digests(self, name: str) -> tuple[bytes, ...]:
        """Return a list of digests of 32 bytes.

        Parameters
        ----------
        name : str
            Name of the field.

        Returns
        -------
        tuple of bytes
        """
        return self._each(name, lambda value, path: _digest(value, path, _HASH))

    def distinct(self, name: str, values: Sequence[Hashable]) -> None:
        """Refuse a list in which something appears twice.

        Parameters
        ----------
        name : str
            Name of the field.
        values : sequence of Hashable
            The items of the list.

        Raises
        ------
        EvidenceError
            If it is missing, or anything else.
        """
        if len(set(values)) < len(values):
            raise EvidenceError(self.at(name), "every entry once", "one of them twice")

    def texts(self, name: str) -> tuple[str, ...]:
        """Return a list of strings.

        Parameters
        ----------
        name : str
            Name of the field.

        Returns
        -------
        tuple of str
        """
        return self._each(name, _text)

    def ascending(self, name: str, most: int) -> tuple[int, ...]:
        """Return a list of whole numbers, each larger than the one before it.

        Parameters
        ----------
        name : str
            Name of the field.
        most : int
            The range.

        Returns
        -------
        tuple of int

        Raises
        ------
        EvidenceError
            If it is missing, or anything else.
        """
        found = self.numbers(name, 0, most)
        if any(one >= next_one for one, next_one in pairwise(found)):
            raise EvidenceError(self.at(name), "ascending numbers", "others")
        return found

    def numbers(self, name: str, least: int = 0, most: int = LARGEST) -> tuple[int, ...]:
        """Return a list of whole numbers in a range.

        Parameters
        ----------
        name : str
            Name of the field.
        least, most : int, optional
            The range.

        Returns
        -------
        tuple of int
        """
        return self._each(name, lambda value, path: _number(value, path, least, most))

    def blobs(self, name: str) -> tuple[bytes, ...]:
        """Return a list of bytes that were written as base64.

        Parameters
        ----------
        name : str
            Name of the field.

        Returns
        -------
        tuple of bytes
        """
        return self._each(name, lambda value, path: _octets(value, path, None))

    def object(self, name: str) -> Fields:
        """Return an object.

        Parameters
        ----------
        name : str
            Name of the field.

        Returns
        -------
        Fields
        """
        return _fields(self._get(name), self.at(name))

    def objects(self, name: str) -> tuple[Fields, ...]:
        """Return a list of objects.

        Parameters
        ----------
        name : str
            Name of the field.

        Returns
        -------
        tuple of Fields
        """
        return self._each(name, _fields)

    def rows(self, name: str, width: int) -> tuple[Fields, ...]:
        """Return lists of so many values as objects whose names are the positions.

        Parameters
        ----------
        name : str
            Name of the field.
        width : int
            Number of values of each list.

        Returns
        -------
        tuple of Fields
        """
        return self._each(name, lambda value, path: _row(value, path, width))

    def tables(self, name: str) -> tuple[tuple[int, ...], ...]:
        """Return lists of whole numbers.

        Parameters
        ----------
        name : str
            Name of the field.

        Returns
        -------
        tuple of tuple of int
        """
        return self._each(name, _numbers)

    def mapping(self, name: str) -> dict[str, str]:
        """Return an object whose values are all strings.

        Parameters
        ----------
        name : str
            Name of the field.

        Returns
        -------
        dict of str to str
        """
        inner = self.object(name)
        return {_text(key, inner.path): inner.text(key) for key in inner._values}

    def _get(self, name: str) -> Any:
        if name not in self._values:
            raise EvidenceError(self.at(name), "a value", "nothing")
        self._unread.discard(name)
        return self._values[name]

    def _each(self, name: str, one: Callable[[Any, str], T]) -> tuple[T, ...]:
        return _list(self._get(name), self.at(name), one)


def _list(values: Any, path: str, one: Callable[[Any, str], T]) -> tuple[T, ...]:
    if not isinstance(values, list):
        raise EvidenceError(path, "a list", type(values).__name__)
    return tuple(one(value, f"{path}[{i}]") for i, value in enumerate(values))


def _numbers(values: Any, path: str) -> tuple[int, ...]:
    return _list(values, path, lambda value, at: _number(value, at, 0, LARGEST))


def _row(values: Any, path: str, width: int) -> Fields:
    found = _list(values, path, lambda value, at: value)
    if len(found) != width:
        raise EvidenceError(path, f"{width} values", len(found))
    return Fields({str(i): value for i, value in enumerate(found)}, path)


def _digest(value: Any, path: str, size: int) -> bytes:
    try:
        data = bytes.fromhex(value)
    except (TypeError, ValueError):
        data = b""
    if len(data) != size or data.hex() != value:
        raise EvidenceError(path, f"{2 * size} hexadecimal digits", value)
    return data


def _fields(value: Any, path: str) -> Fields:
    if not isinstance(value, dict):
        raise EvidenceError(path, "an object", type(value).__name__)
    return Fields(value, path)


def _text(value: Any, path: str) -> str:
    if not isinstance(value, str):
        raise EvidenceError(path, "text", type(value).__name__)
    try:
        value.encode()
    except UnicodeEncodeError:
        raise EvidenceError(path, "text that has a UTF-8 form", ascii(value)[:100]) from None
    return value


def _number(value: Any, path: str, least: int, most: int) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
        raise EvidenceError(path, f"a whole number from {least} to {most}", value)
    return value


def _octets(value: Any, path: str, size: int | None) -> bytes:
    data = b""
    try:
        data = base64.b64decode(value, validate=True)
    except (TypeError, ValueError, binascii.Error):
        raise EvidenceError(path, "base64", value) from None
    if not isinstance(value, str) or base64.b64encode(data).decode() != value:
        raise EvidenceError(path, "base64 in its one canonical form", value)
    if size is not None and len(data) != size:
        raise EvidenceError(path, f"{size} bytes", f"{len(data)} bytes")
    return data


def base64_text(data: bytes) -> str:
    r"""Return bytes as `Fields.octets` reads them.

    Parameters
    ----------
    data : bytes
        The bytes.

    Returns
    -------
    str

    Examples
    --------
    >>> base64_text(b"\x00\x01")
    'AAE='
    """
    return base64.b64encode(data).decode()
