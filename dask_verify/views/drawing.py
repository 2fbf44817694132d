"""Where everything stands in the picture of a way through two trees: plain numbers for SVG."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from dask_verify.views.tree import Level, Node

_DOWN, _ASIDE = 44, 22  #: pixels from a level to the next, and from a parent to a child
_RADIUS = 8
_DEEPEST = 24  #: levels that are drawn, from the root and from the leaf
_TEXT = 10  #: characters of a hash


class Dot(NamedTuple):
    """One node.

    Parameters
    ----------
    x, y : int
        Where it is, in pixels.
    kind : {"way", "same", "other", "single"}
        On the way; beside it, the same in both trees or not; in one tree alone.
    name : str
        Which leaves are below it.
    """

    x: int
    y: int
    kind: str
    name: str


class Edge(NamedTuple):
    """A line from a parent to a child.

    Parameters
    ----------
    x1, y1, x2, y2 : int
        Where the parent and the child are, in pixels.
    kind : str
        Of the child; see `Dot`.
    """

    x1: int
    y1: int
    x2: int
    y2: int
    kind: str


class Note(NamedTuple):
    """What is written beside a level.

    Parameters
    ----------
    y : int
        Where the level is, in pixels.
    what : str
        Which leaves are below the node on the way.
    hashes : str
        How its hash begins in each tree.
    beside : str
        What its sibling is; empty without one.
    """

    y: int
    what: str
    hashes: str
    beside: str


@dataclass(frozen=True)
class Drawing:
    """A picture.

    Parameters
    ----------
    names : sequence of str
        Whose trees these are.
    tree : str
        ``"output"`` or ``"input"``.
    width, height : int
        Pixels.
    text : int
        Where the notes begin, in pixels from the left.
    dots, edges, notes : list
    skipped : int
        Levels that are not in it.
    """

    names: Sequence[str]
    tree: str
    width: int
    height: int
    text: int
    dots: list[Dot]
    edges: list[Edge]
    notes: list[Note]
    skipped: int


def drawing(levels: Sequence[Level], names: Sequence[str], tree: str) -> Drawing:
    """Return the picture of a way, the root on top.

    Parameters
    ----------
    levels : sequence of Level
        As `way` returns them.
    names : sequence of str
        Whose trees these are, one for each.
    tree : {"output", "input"}

    Returns
    -------
    Drawing
    """
    skipped = max(0, len(levels) - 2 * _DEEPEST)
    shown = [*levels[:_DEEPEST], *levels[_DEEPEST:][-_DEEPEST:]] if skipped else list(levels)
    dots: list[Dot] = []
    edges: list[Edge] = []
    notes: list[Note] = []
    x, y = 0, _RADIUS + 4
    for at, level in enumerate(shown):
        if at:
            edges_, dots_, x = _children(level, x, y)
            edges, dots = edges + edges_, dots + dots_
            y += _DOWN
        else:
            dots.append(Dot(x, y, _way(level.node), _name(level.node)))
        notes.append(_note(level, y))
    shift = _RADIUS + 4 - min(dot.x for dot in dots)
    dots = [dot._replace(x=dot.x + shift) for dot in dots]
    edges = [edge._replace(x1=edge.x1 + shift, x2=edge.x2 + shift) for edge in edges]
    text = max(dot.x for dot in dots) + _RADIUS + 20
    return Drawing(names, tree, text + 620, y + _RADIUS + 8, text, dots, edges, notes, skipped)


def _children(level: Level, x: int, y: int) -> tuple[list[Edge], list[Dot], int]:
    """Draw a node below its parent, and its sibling; return also where the node is."""
    own, beside = x, level.left or level.right
    if beside is not None:
        own = x + _ASIDE if level.left else x - _ASIDE
    kind, below = _way(level.node), y + _DOWN
    edges = [Edge(x, y, own, below, kind)]
    dots = [Dot(own, below, kind, _name(level.node))]
    if beside is not None:
        kind, there = _kind(beside), 2 * x - own
        edges.insert(0, Edge(x, y, there, below, kind))
        dots.insert(0, Dot(there, below, kind, _name(beside)))
    return edges, dots, own


def _way(node: Node) -> str:
    return "way" if node.differs else "single"


def _kind(node: Node) -> str:
    if len(node.hashes) < 2:
        return "single"
    return "other" if node.differs else "same"


def _name(node: Node) -> str:
    return f"leaf {node.first}" if node.first == node.last else f"leaves {node.first}-{node.last}"


def _note(level: Level, y: int) -> Note:
    sign = " ≠ " if level.node.differs else " = "
    hashes = sign.join(f"{value.hex()[:_TEXT]}…" for value in level.node.hashes)
    beside = level.left or level.right
    if beside is None:
        return Note(y, _name(level.node), hashes, "")
    said = {"same": "the same in both", "other": "differ as well", "single": "beside it"}
    return Note(y, _name(level.node), hashes, f"{_name(beside)}: {said[_kind(beside)]}")
