"""What a graph reads: the files in its leaf tasks, and whether they are still the same.

What holds:

* A pin is taken of every file that a leaf task (one without dependencies) names: open-file
  objects of fsspec, Parquet pieces and fragments, file systems with paths, paths and URLs.
* A file whose size is known, but neither a checksum nor a tag nor a time of change, has no pin.
* A leaf task that calls something from outside of `TRUSTED`, or something that reads, and names
  no file that could be pinned, may read anything: it is *unpinnable*.
* Data inside the graph itself needs no pin.
"""

from __future__ import annotations

import functools
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import PurePath
from typing import Any

from dask_verify.engine.compat import DataNode, GraphNode, Task, inner_graph

#: Packages whose functions read nothing but what they are given.
TRUSTED = frozenset(
    {
        "builtins", "cytoolz", "dask", "distributed", "fsspec", "functools", "numpy", "operator",
        "_operator", "_functools", "pandas", "partd", "pyarrow", "tlz", "toolz",
    }
)  # fmt: skip

_URL = re.compile(r"[a-z][a-z0-9+.-]*://\S+\Z")
_CHECKSUMS = ("checksum", "md5Hash", "crc32c", "md5", "sha256", "etag", "ETag", "e_tag")
_TIMES = ("mtime", "LastModified", "last_modified", "updated", "modified", "created")
_LONGEST_PATH = 4096


@dataclass(frozen=True)
class Pin:
    """One file as it was: where it is, and what would change if it changed.

    Parameters
    ----------
    path : str
        Path of a local file, or URL.
    identity : tuple of (str, str)
        Named properties, such as size, modification time or tag.

    Examples
    --------
    >>> Pin("/data/a.csv", (("size", "12"),)).path
    '/data/a.csv'
    """

    path: str
    identity: tuple[tuple[str, str], ...]
    _filesystem: Any = field(default=None, repr=False, compare=False)
    _key: str = field(default="", repr=False, compare=False)


@dataclass(frozen=True)
class Sources:
    """The files of one graph.

    Parameters
    ----------
    pins : tuple of Pin
        One for each file, sorted by path.
    unpinnable : frozenset
        Keys of tasks that may read something which has no pin.
    """

    pins: tuple[Pin, ...]
    unpinnable: frozenset[Any]


def read_pins(graph: Mapping[Any, GraphNode]) -> Sources:
    """Pin every file that the leaf tasks of a graph read.

    Parameters
    ----------
    graph : mapping of key to GraphNode
        A materialised graph.

    Returns
    -------
    Sources
        The pins, and the keys of the tasks that cannot be pinned.
    """
    pins: dict[tuple[str, str], Pin | None] = {}
    unpinnable = set()
    for key, node in graph.items():
        for leaf in _leaves(node):
            found = [_pinned(file, pins) for file in _files(leaf)]
            if None in found or (not found and _may_read(leaf)):
                unpinnable.add(key)
    known = sorted((pin for pin in pins.values() if pin), key=lambda pin: pin.path)
    return Sources(tuple(known), frozenset(unpinnable))


def changed(pins: Iterable[Pin]) -> list[Pin]:
    """Look at every file again and return the pins that no longer hold.

    A file that is gone, or cannot be reached, has changed.

    Parameters
    ----------
    pins : iterable of Pin
        What the files were when the job started.

    Returns
    -------
    list of Pin

    Examples
    --------
    >>> changed([])
    []
    """
    return [pin for pin in pins if _identity(pin._filesystem, pin._key) != pin.identity]


def _pinned(file: tuple[Any, str], pins: dict[tuple[str, str], Pin | None]) -> Pin | None:
    filesystem, key = file
    name = _url(filesystem, key)
    place = (type(filesystem).__name__, name)
    if place not in pins:
        identity = _identity(filesystem, key)
        pins[place] = None if identity is None else Pin(name, identity, filesystem, key)
    return pins[place]


# --- which tasks read -----------------------------------------------------------------------


def _leaves(node: GraphNode) -> Iterator[Task]:
    """Yield the tasks inside a node that depend on nothing, also inside fused ones."""
    if isinstance(node, DataNode) or not isinstance(node, Task):
        return
    inner = inner_graph(node)
    if inner is not None:
        for task in inner.values():
            yield from _leaves(task)
    elif not node.dependencies:
        yield node
    else:
        for argument in (*node.args, *node.kwargs.values()):
            if isinstance(argument, Task):
                yield from _leaves(argument)


def _may_read(leaf: Task) -> bool:
    return any(
        _package(function) not in TRUSTED or "read" in _name(function).lower()
        for function in _walk(leaf, _is_function)
    )


def _is_function(value: Any) -> bool:
    return callable(value) and not isinstance(value, (GraphNode, functools.partial))


def _package(function: Any) -> str:
    owner = function if hasattr(function, "__qualname__") else type(function)
    module = (
        getattr(owner, "__module__", None) or type(getattr(owner, "__self__", owner)).__module__
    )
    return str(module).partition(".")[0]


def _name(function: Any) -> str:
    return str(getattr(function, "__name__", type(function).__name__))


# --- which files they name ------------------------------------------------------------------


def _files(leaf: Task) -> Iterator[tuple[Any, str]]:
    """Yield (file system, path) of every file that a task names."""
    filesystems = [fs for owner in _walk(leaf, _owns_filesystem) for fs in [owner.fs]]
    for value in _walk(leaf, lambda value: True):
        fragment = getattr(value, "fragment", None)
        if fragment is not None and hasattr(fragment, "filesystem"):
            yield fragment.filesystem, fragment.path
        elif hasattr(value, "open") and _owns_filesystem(value) and isinstance(value.path, str):
            yield value.fs, value.path
        elif isinstance(value, (str, PurePath)):
            yield from _named(str(value), filesystems)


def _owns_filesystem(value: Any) -> bool:
    from fsspec import AbstractFileSystem

    return isinstance(getattr(value, "fs", None), AbstractFileSystem)


def _named(text: str, filesystems: list[Any]) -> Iterator[tuple[Any, str]]:
    if not 0 < len(text) < _LONGEST_PATH or "\n" in text or "\0" in text:
        return
    for filesystem in filesystems:
        if _is_file(filesystem, text):
            yield filesystem, text
            return
    if _URL.match(text):
        yield from _resolved(text)
    elif os.path.isfile(text):
        yield from _resolved(os.path.abspath(text))


def _is_file(filesystem: Any, path: str) -> bool:
    # A remote store is asked only for what looks like a path, not for every word.
    if not _is_local(filesystem) and "/" not in path:
        return False
    try:
        return bool(filesystem.isfile(path))
    except (OSError, ValueError):
        return False


def _resolved(url: str) -> Iterator[tuple[Any, str]]:
    from fsspec.core import url_to_fs

    try:
        yield url_to_fs(url)
    except (ValueError, ImportError, OSError):
        return


def _walk(value: Any, wanted: Callable[[Any], bool]) -> Iterator[Any]:
    """Yield what is wanted inside arguments: containers, partials, nested tasks, callables."""
    stack = [value]
    while stack:
        value = stack.pop()
        if isinstance(value, Task):
            stack += [value.func, *value.args, *value.kwargs.values()]
        elif isinstance(value, functools.partial):
            stack += [value.func, *value.args, *value.keywords.values()]
        elif isinstance(value, Mapping):
            stack += [*value.keys(), *value.values()]
        elif isinstance(value, (list, tuple, set, frozenset)):
            stack += value
        elif not isinstance(value, GraphNode):
            if wanted(value):
                yield value
            stack += _carried(value)


def _carried(value: Any) -> list[Any]:
    """Return the function inside a callable object, such as the wrappers of ``from_map``."""
    if not callable(value) or isinstance(value, type):
        return []
    function = getattr(value, "func", None)
    return [function] if callable(function) else []


# --- what identifies a file -----------------------------------------------------------------


def _identity(filesystem: Any, path: str) -> tuple[tuple[str, str], ...] | None:
    try:
        info = (
            _fsspec_info(filesystem, path)
            if hasattr(filesystem, "info")
            else _arrow_info(filesystem, path)
        )
    except (OSError, ValueError):
        return None
    return tuple((name, str(value)) for name, value in info.items()) or None


def _fsspec_info(filesystem: Any, path: str) -> dict[str, Any]:
    # Listings are cached for good by some stores: a pin wants the file as it is now.
    filesystem.invalidate_cache()
    info = filesystem.info(path)
    if info.get("type") == "directory":
        return {}
    marks = {name: info[name] for name in (*_CHECKSUMS, *_TIMES) if info.get(name) is not None}
    if not marks:
        return {}
    # A file that was replaced by another of the same size in the same tick is another file.
    number = {"ino": info["ino"]} if "ino" in info else {}
    return {"size": info.get("size"), **marks, **number}


def _arrow_info(filesystem: Any, path: str) -> dict[str, Any]:
    info = filesystem.get_file_info(path)
    if not info.is_file or info.mtime_ns is None:
        return {}
    return {"size": info.size, "mtime_ns": info.mtime_ns}


def _is_local(filesystem: Any) -> bool:
    protocol = getattr(filesystem, "protocol", ())
    return "file" in ((protocol,) if isinstance(protocol, str) else protocol)


def _url(filesystem: Any, path: str) -> str:
    if _is_local(filesystem) or not hasattr(filesystem, "unstrip_protocol"):
        return path
    return str(filesystem.unstrip_protocol(path))
