"""Input that is nearly valid: bytes that are flipped, cut and spliced, and trees with other nodes.

A canonical encoding or a JSON text is taken apart into a tree of plain values, changed there, and
written again, as nobody honest would write it. Bytes inside that are canonical themselves are taken
apart, too: signed payloads are.
"""

from __future__ import annotations

import base64
import io
import json
from random import Random
from typing import Any

import cbor2

KINDS = (0x11, 0x21, 0x31, 0x41)
TAGS = (2, 3, *range(0xDA00, 0xDA06), *range(0xDA08, 0xDA18), *range(0xDA40, 0xDA46))
EDGES = (
    *(0, 1, 23, 24, 255, 256, 2**31 - 1, 2**31, 2**32 - 1, 2**32),
    *(2**53, 2**63 - 1, 2**63, 2**64 - 1, 2**64, 10**5000),
)
STRANGE = ("", "\0", "\ud800", "9" * 5000, "NaN", "1e999", "../x", "\u202e", "é", "$tuple")

# --- octets -----------------------------------------------------------------------------------


def mangled(data: bytes, random: Random) -> bytes:
    """Return bytes with a few changes that know nothing of what they mean."""
    for _ in range(random.randint(1, 3)):
        data = random.choice(OCTETS)(data, random)
    return data


def _flip(data: bytes, random: Random) -> bytes:
    if not data:
        return b"\0"
    at = random.randrange(len(data))
    return data[:at] + bytes([data[at] ^ (1 << random.randrange(8))]) + data[at + 1 :]


def _truncate(data: bytes, random: Random) -> bytes:
    return data[: random.randint(0, len(data))]


def _repeat(data: bytes, random: Random) -> bytes:
    start, stop = sorted((random.randint(0, len(data)), random.randint(0, len(data))))
    return data[:stop] + data[start:stop] * random.randint(1, 4) + data[stop:]


def _cut(data: bytes, random: Random) -> bytes:
    start = random.randint(0, len(data))
    return data[:start] + data[start + random.randint(1, 8) :]


def _lie(data: bytes, random: Random) -> bytes:
    """Write another length, or count, where there may be one."""
    width = random.choice((1, 2, 4, 8))
    at = random.randint(0, max(0, len(data) - width))
    number = random.choice(EDGES[:-1]) % 256**width
    return data[:at] + number.to_bytes(width, random.choice(("little", "big"))) + data[at + width :]


def _insert(data: bytes, random: Random) -> bytes:
    at = random.randint(0, len(data))
    piece = random.choice((b"\0", b"\xff" * 4, b"\x9b" + b"\xff" * 8, b"\xd9\xda\x00", b"[" * 50))
    return data[:at] + piece + data[at:]


OCTETS = (_flip, _truncate, _repeat, _cut, _lie, _insert)

# --- trees ------------------------------------------------------------------------------------


def rebuilt(data: bytes, form: str, random: Random) -> bytes:
    """Return bytes whose tree of values was changed; where there is none, mangled ones."""
    tree = taken_apart(data, form)
    if tree is None:
        return mangled(data, random)
    for _ in range(random.randint(1, 2)):
        tree = _changed(tree, random)
    return put_together(tree, form)


def taken_apart(data: bytes, form: str) -> Any:
    """Return the tree that bytes are of; None if they are of none."""
    if form == "json":
        return json.loads(data)
    if form == "lines":
        return [json.loads(line) for line in data.splitlines()]
    return _opened(data) if form == "canonical" else None


def put_together(tree: Any, form: str) -> bytes:
    """Write a tree, whatever it has become."""
    if form in ("json", "lines"):
        rows = tree if form == "lines" and isinstance(tree, list) else [tree]
        return b"\n".join(json.dumps(_jsonable(row)).encode() for row in rows)
    return tree.closed() if isinstance(tree, Inner) else b"\x11" + _dumps(tree)


class Inner:
    """Canonical bytes that are taken apart: a kind, what comes before the tree, tree, the rest."""

    def __init__(self, prefix: bytes, tree: Any, rest: bytes, measured: bool) -> None:
        self.prefix, self.tree, self.rest, self.measured = prefix, tree, rest, measured

    def closed(self) -> bytes:
        """Return the bytes again, with the right length of a header."""
        body = _dumps(self.tree)
        length = len(body).to_bytes(4, "little") if self.measured else b""
        return self.prefix + length + body + self.rest


def _opened(data: bytes) -> Inner | None:
    if not data or data[0] not in KINDS or data[0] == 0x21:
        return None
    measured = data[0] in (0x31, 0x41)
    start = 13 if measured else 1
    prefix = data[: start - 4] if measured else data[:start]
    file = io.BytesIO(data[start:])
    try:
        tree = cbor2.CBORDecoder(file, tag_hook=lambda decoder, tag: tag).decode()
    except (cbor2.CBORDecodeError, ValueError, TypeError):
        return None  # a tag that the library reads in its own way
    return Inner(prefix, _inside(tree), file.read(), measured)


def _inside(tree: Any) -> Any:
    """Open the canonical bytes inside a tree."""
    if isinstance(tree, bytes):
        return _opened(tree) or tree
    if isinstance(tree, (list, tuple)):
        return [_inside(item) for item in tree]
    if isinstance(tree, cbor2.CBORTag):
        return cbor2.CBORTag(tree.tag, _inside(tree.value))
    return tree


def _dumps(tree: Any) -> bytes:
    return cbor2.dumps(_shut(tree))


def _shut(tree: Any) -> Any:
    if isinstance(tree, Inner):
        return tree.closed()
    if isinstance(tree, list):
        return [_shut(item) for item in tree]
    if isinstance(tree, cbor2.CBORTag):
        return cbor2.CBORTag(tree.tag, _shut(tree.value))
    if isinstance(tree, dict):
        return {_shut(key): _shut(value) for key, value in tree.items()}
    if isinstance(tree, str):
        return tree.encode(errors="replace").decode()
    return tree


def _jsonable(tree: Any) -> Any:
    if isinstance(tree, dict):
        return {str(name): _jsonable(item) for name, item in tree.items()}
    if isinstance(tree, list):
        return [_jsonable(item) for item in tree]
    if isinstance(tree, cbor2.CBORTag):
        return {_name(tree.tag): _jsonable(tree.value)}
    if isinstance(tree, int) and tree.bit_length() > 10_000:
        return 10**4000  # more digits are no number that Python writes
    return base64.b64encode(tree).decode() if isinstance(tree, bytes) else tree


def _name(tag: int) -> str:
    """Return one of the names that mean something to the reader of JSON lines."""
    return ("$canonical", "$tuple", "$bytes", "name")[tag % 4]


def _changed(tree: Any, random: Random) -> Any:
    """Return the tree with one node changed, at any depth."""
    children = _children(tree)
    if not children or random.random() < 0.15:
        return _other(tree, random)
    key = random.choice(children)
    if isinstance(tree, list):
        if random.random() < 0.15:
            return random.choice(LISTS)(tree, key, random)
        return [*tree[:key], _changed(tree[key], random), *tree[key + 1 :]]
    if isinstance(tree, dict):
        if random.random() < 0.1:
            return {name: value for name, value in tree.items() if name != key}
        return tree | {key: _changed(tree[key], random)}
    if isinstance(tree, Inner):
        return Inner(tree.prefix, _changed(tree.tree, random), tree.rest, tree.measured)
    return cbor2.CBORTag(tree.tag, _changed(tree.value, random))


def _children(tree: Any) -> list[Any]:
    if isinstance(tree, list):
        return list(range(len(tree)))
    if isinstance(tree, dict):
        return list(tree)
    return [0] if isinstance(tree, (Inner, cbor2.CBORTag)) else []


LISTS = (
    lambda tree, at, random: [*tree[:at], *tree[at + 1 :]],
    lambda tree, at, random: [*tree[:at], tree[at], *tree[at:]],
    lambda tree, at, random: tree[::-1],
    lambda tree, at, random: tree[:at] + tree[at : at + 1] * 300 + tree[at:],
    lambda tree, at, random: tuple(tree) and [tree],
)


def _other(value: Any, random: Random) -> Any:
    """Return something in the place of a value: of its kind, or of another."""
    kind = random.randrange(9)
    if kind == 0:
        return random.choice(EDGES) * random.choice((1, -1))
    if kind == 1:
        return random.choice(STRANGE)
    if kind == 2:
        return random.choice((None, True, False, 0.5, 1e308, [], {}, b"", b"\x11\x80", bytes(32)))
    if kind == 3:
        return _deep(value, random.choice((2, 99, 101, 400)))
    if kind == 4:
        return cbor2.CBORTag(random.choice(TAGS), value)
    if kind == 5:
        return [value, value]
    if isinstance(value, bool) or value is None:
        return not value
    if isinstance(value, int):
        return value + random.choice((-1, 1))
    if isinstance(value, bytes):
        return mangled(value, random)
    if isinstance(value, str):
        return _text(value, random)
    return value


def _text(value: str, random: Random) -> str:
    """Return another text; where it is base64, that of other bytes."""
    try:
        data = base64.b64decode(value, validate=True)
    except ValueError:
        return value[: random.randint(0, len(value))] + random.choice(("", "x", "\x1b"))
    inner = rebuilt(data, "json" if data[:1] == b"{" else "canonical", random)
    return base64.b64encode(inner).decode()


def _deep(value: Any, levels: int) -> Any:
    for _ in range(levels):
        value = [value]
    return value
