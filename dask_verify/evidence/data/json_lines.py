"""Pairs as typed JSON lines: ``[key, value]`` a line.

What this module guarantees: what is read back has the same values and types, whichever tool wrote
the JSON again in between; white space and the order of names do not matter. What JSON cannot hold
stands in an object with one name: ``{"$tuple": [...]}``, ``{"$bytes": base64}``, or
``{"$canonical": base64}`` around the canonical bytes of any other value. A line that says two
things, or something that is no value, is refused with its number.
"""

from __future__ import annotations

import json
import math
from base64 import b64decode, b64encode
from collections.abc import Callable, Iterable, Iterator
from typing import IO, Any, NoReturn

from dask_verify.core.canonical import decode, encode
from dask_verify.errors import DataError, DecodingError, EncodingError

LINE = 1 << 28
"""Most bytes of one line."""
_NESTING = 100  #: levels, as in canonical bytes
_DIGITS = 4000  #: of a number: Python turns more into an int only slowly, or not at all
_WHOLE = 1 << 63  #: below which whole numbers are plain: other tools round larger ones

_MARKS = (b",", b"[", b"{")
_MARKED = 4
"""Of a quarter of the bytes that a file may have, each can begin a value: values take far more
memory than their text. In canonical bytes, of which JSON is allowed many, none takes less than one.
"""

_dumps = json.JSONEncoder(ensure_ascii=False, allow_nan=False, check_circular=False).encode


def write_json_lines(pairs: Iterable[tuple[Any, Any]], file: IO[bytes]) -> None:
    r"""Write pairs, one a line.

    Parameters
    ----------
    pairs : iterable of (key, value)
        Values that `core.canonical.encode` accepts.
    file : binary file
        Where to write UTF-8.

    Raises
    ------
    DataError
        If an item is no pair, or too large for a line.
    EncodingError
        If a value has no canonical bytes; nothing of its pair is written.

    Examples
    --------
    >>> import io
    >>> file = io.BytesIO()
    >>> write_json_lines([("a", (1, b"x"))], file)
    >>> file.getvalue()
    b'["a", {"$tuple": [1, {"$bytes": "eA=="}]}]\n'
    """
    for number, pair in enumerate(pairs):
        if type(pair) is not tuple or len(pair) != 2:
            raise DataError(f"pair {number}: expected a tuple of key and value, got {pair!r:.80}")
        line = _dumps([_plain(pair[0], 0), _plain(pair[1], 0)]).encode()
        if len(line) >= LINE:
            raise DataError(
                f"pair {number}: expected less than {LINE} bytes of JSON, got {len(line)};"
                " let the reducer return smaller values"
            )
        file.write(line + b"\n")


def read_json_lines(
    file: IO[bytes], records: int | None = None, limit: int | None = None
) -> list[tuple[Any, Any]]:
    r"""Read what `write_json_lines` wrote.

    Parameters
    ----------
    file : binary file
        Where to read; blank lines are skipped.
    records : int, optional
        Most pairs that are read.
    limit : int, optional
        Most bytes of the file.

    Returns
    -------
    list of (key, value)

    Raises
    ------
    DataError
        If a line is not a pair, or there are too many; names its number, from 1.

    Examples
    --------
    >>> import io
    >>> read_json_lines(io.BytesIO(b'["a", {"$tuple": [1, 2.0]}]\n'))
    [('a', (1, 2.0))]
    """
    pairs: list[tuple[Any, Any]] = []
    for number, line in _lines(file, limit):
        if line.isspace():
            continue
        if records is not None and len(pairs) >= records:
            raise _bad(number, f"at most {records} pairs", "another one")
        pairs.append(_pair(line, number))
    return pairs


# --- writing ---------------------------------------------------------------------------------


def _plain(value: Any, depth: int) -> Any:
    """Return a value as plain JSON, tagged where JSON has no such value."""
    writer = _WRITERS.get(type(value))
    return _canonical(value) if writer is None else writer(value, depth)


def _canonical(value: Any) -> dict[str, str]:
    return {"$canonical": b64encode(encode(value)).decode()}


def _itself(value: Any, depth: int) -> Any:
    return value


def _int(value: int, depth: int) -> Any:
    return value if -_WHOLE <= value < _WHOLE else _canonical(value)


def _float(value: float, depth: int) -> Any:
    return value if math.isfinite(value) else _canonical(value)


def _str(value: str, depth: int) -> Any:
    return value if _is_text(value) else _canonical(value)


def _is_text(value: str) -> bool:
    """Whether it has a UTF-8 form; lone surrogates that meet in JSON become another character."""
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def _list(value: Any, depth: int) -> list[Any]:
    _check_depth(value, depth)
    return [_plain(item, depth + 1) for item in value]


def _tuple(value: tuple[Any, ...], depth: int) -> dict[str, Any]:
    return {"$tuple": _list(value, depth)}


def _bytes(value: bytes, depth: int) -> dict[str, str]:
    return {"$bytes": b64encode(value).decode()}


def _dict(value: dict[Any, Any], depth: int) -> dict[str, Any]:
    if not all(type(key) is str and key[:1] != "$" and _is_text(key) for key in value):
        return _canonical(value)
    _check_depth(value, depth)
    return {key: _plain(item, depth + 1) for key, item in value.items()}


def _check_depth(value: object, depth: int) -> None:
    if depth >= _NESTING:
        advice = f"nested deeper than {_NESTING} levels, or it contains itself"
        raise EncodingError(type(value).__name__, "", advice)


_WRITERS: dict[type, Callable[[Any, int], Any]] = {
    type(None): _itself,
    bool: _itself,
    int: _int,
    float: _float,
    str: _str,
    bytes: _bytes,
    list: _list,
    tuple: _tuple,
    dict: _dict,
}


# --- reading ---------------------------------------------------------------------------------


def _lines(file: IO[bytes], limit: int | None) -> Iterator[tuple[int, bytes]]:
    """Yield lines and their numbers; read no more than there may be."""
    number = read = marks = 0
    most = LINE if limit is None else min(LINE, limit)
    while line := file.readline(most + 1):
        number += 1
        read += len(line)
        if len(line) > most:
            what = "a line" if most == LINE else f"{limit} bytes in all, and so a line"
            raise _bad(number, f"{what} of at most {most} bytes", "a longer one")
        if limit is not None:
            most = min(LINE, limit - read)
            marks += sum(map(line.count, _MARKS))
            if marks > limit // _MARKED:
                raise _bad(number, f"at most {limit // _MARKED} values up to here", marks)
        yield number, line


def _pair(line: bytes, number: int) -> tuple[Any, Any]:
    try:
        value = _loads(line.decode())
    except (ValueError, RecursionError, DecodingError) as error:
        raise _bad(number, "a JSON array of key and value", error) from None
    if type(value) is not list or len(value) != 2:
        # The value itself is not shown: it may be a number that is too long to be.
        got = f"{len(value)} values" if type(value) is list else type(value).__name__
        raise _bad(number, "a JSON array of key and value", got)
    # A level costs two brackets at least: text without many needs no second look.
    if line.count(b"[") + line.count(b"{") > _NESTING and _depth(value) > _NESTING + 1:
        raise _bad(number, f"at most {_NESTING} levels of nesting", "more")
    return value[0], value[1]


def _bad(number: int, expected: str, got: object) -> DataError:
    return DataError(f"line {number}: expected {expected}, got {got!s:.200}")


def _depth(value: Any) -> int:
    """Return how deep containers are nested, without a stack that could overflow."""
    depth, level = 0, [value]
    while level:
        containers = [v for v in level if type(v) in (list, tuple, dict)]
        level = [x for v in containers for x in (v.values() if type(v) is dict else v)]
        depth += bool(containers)
    return depth


def _object(items: list[tuple[str, Any]]) -> Any:
    """Return a dict, or the value behind a tag."""
    found = dict(items)
    if len(found) < len(items):
        raise ValueError("a name that stands twice in one object")
    tags = [name for name in found if name.startswith("$")]
    if not tags:
        return found
    if len(found) > 1 or tags[0] not in _READERS:
        raise ValueError(f"an object with the name {tags[0]!r:.40}")
    return _READERS[tags[0]](found[tags[0]])


def _read_tuple(value: Any) -> tuple[Any, ...]:
    if type(value) is not list:
        raise ValueError(f"$tuple: expected an array, got {type(value).__name__}")
    return tuple(value)


def _read_bytes(value: Any) -> bytes:
    if type(value) is not str:
        raise ValueError(f"expected base64, got {type(value).__name__}")
    return b64decode(value.encode("ascii"), validate=True)


def _read_canonical(value: Any) -> Any:
    return decode(_read_bytes(value))


_READERS: dict[str, Callable[[Any], Any]] = {
    "$tuple": _read_tuple,
    "$bytes": _read_bytes,
    "$canonical": _read_canonical,
}


def _number(digits: str) -> int:
    if len(digits) > _DIGITS:
        raise ValueError(f"a number of {len(digits)} digits")
    return int(digits)


def _finite(digits: str) -> float:
    value = float(digits)
    if math.isinf(value):
        raise ValueError(f"a number that no float holds: {digits:.40}")
    return value


def _refuse(name: str) -> NoReturn:
    raise ValueError(name)


_loads = json.JSONDecoder(
    object_pairs_hook=_object, parse_int=_number, parse_float=_finite, parse_constant=_refuse
).decode
