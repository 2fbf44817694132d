"""Every small change of a JSON document, with the path of where it was made."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

Path = tuple[Any, ...]


def mutations(document: Any) -> Iterator[tuple[str, Path, Any]]:
    """Yield what was done, where, and the changed document."""
    for path, value in _walk(document, ()):
        for what, other in _changed(value):
            yield what, path, _with(document, path, other)
        if path:
            yield "removed", path, _without(document, path)


def plain(path: Path) -> str:
    """A path without positions: ``disputes[].claims[].payload``."""
    text = "".join("[]" if isinstance(step, int) else f".{step}" for step in path)
    return text.lstrip(".")


def _walk(value: Any, path: Path) -> Iterator[tuple[Path, Any]]:
    yield path, value
    items = value.items() if isinstance(value, dict) else ()
    for key, inner in items if isinstance(value, dict) else enumerate(_some(value)):
        yield from _walk(inner, (*path, key))


def _some(value: Any) -> list[Any]:
    """The first entries of a list: the others are alike."""
    return value[:2] if isinstance(value, list) else []


def _changed(value: Any) -> Iterator[tuple[str, Any]]:
    match value:
        case bool():
            yield "changed", not value
            yield "retyped", int(value)
        case int() | float():
            yield "changed", value + 1
            yield "retyped", str(value)
            yield "emptied", None
        case str():
            yield "changed", _other_text(value)
            yield "retyped", 7
            if value:
                yield "emptied", ""
        case None:
            yield "changed", {}
        case list():
            yield "retyped", {}
            if value:
                yield "duplicated", [value[0], *value]
                yield "shortened", value[:-1]
            if len(value) > 1 and value[0] != value[-1]:
                yield "reordered", [value[-1], *value[1:-1], value[0]]
        case dict():
            yield "retyped", []
            yield "added to", value | {"surprise": 1}


def _other_text(text: str) -> str:
    """Another text of the same kind: a digit, or a letter of base64, is exchanged."""
    if not text:
        return "x"
    at = len(text) // 2
    return text[:at] + ("1" if text[at] != "1" else "2") + text[at + 1 :]


def _with(document: Any, path: Path, value: Any) -> Any:
    if not path:
        return value
    made = copy.deepcopy(document)
    _parent(made, path)[path[-1]] = value
    return made


def _without(document: Any, path: Path) -> Any:
    made = copy.deepcopy(document)
    del _parent(made, path)[path[-1]]
    return made


def _parent(document: Any, path: Path) -> Any:
    for step in path[:-1]:
        document = document[step]
    return document
