"""Texts that somebody else chose, made harmless for a page: one line, visible, bounded.

What a page does with markup, the templates' escaping prevents; what terminals and eyes do with
control and direction-changing characters, this prevents.
"""

from __future__ import annotations

from dataclasses import dataclass

from dask_verify.evidence.enrolment.texts import safe

MOST = 2000  #: characters of any text in a page
_LINES = 200
_LINE = 500


def harmless(text: str, most: int = MOST) -> str:
    r"""Return a text that shows itself as what it is, cut off behind so many characters.

    Parameters
    ----------
    text : str
        Whatever somebody else chose.
    most : int, optional
        Characters, as they are shown.

    Returns
    -------
    str

    Examples
    --------
    >>> print(harmless("a\x1b[2J\u202eb"))
    a\x1b[2J\u202eb
    >>> harmless("long" * 3, most=5)
    'longl…'
    """
    shown = safe(text[: most + 1])
    return shown if len(shown) <= most else shown[:most] + "…"


def lines(text: str) -> list[str]:
    r"""Return the lines of a text, such as a traceback, each harmless, the last ones of too many.

    Parameters
    ----------
    text : str
        Whatever somebody else chose.

    Returns
    -------
    list of str

    Examples
    --------
    >>> lines("one\ntwo\x07")
    ['one', 'two\\x07']
    """
    found = text[-_LINES * _LINE :].splitlines()
    more = len(found) - _LINES
    head = [f"… {more:,} lines before"] if more > 0 else []
    return head + [harmless(line, _LINE) for line in found[-_LINES:]]


@dataclass(frozen=True)
class Marked:
    """A text in three parts: the middle one differs from another text.

    Parameters
    ----------
    before, differing, after : str
        The parts, each cut, and harmless.
    """

    before: str
    differing: str
    after: str


def marked(one: str, other: str, room: int = 240) -> tuple[Marked, Marked]:
    """Return two texts with the part in which they differ, each cut to some room around it.

    Parameters
    ----------
    one, other : str
    room : int
        Characters of each part, at most.

    Returns
    -------
    tuple of (Marked, Marked)

    Examples
    --------
    >>> marked("delay=11.0", "delay=12.0")[0]
    Marked(before='delay=1', differing='1', after='.0')
    """
    one, other = safe(one), safe(other)
    head = _common(one, other)
    tail = _common(one[head:][::-1], other[head:][::-1])
    found = [_parts(text, head, len(text) - tail, room) for text in (one, other)]
    return found[0], found[1]


def _common(one: str, other: str) -> int:
    """Return how many characters two texts begin with alike."""
    differing = (at for at, (x, y) in enumerate(zip(one, other, strict=False)) if x != y)
    return next(differing, min(len(one), len(other)))


def _parts(text: str, start: int, stop: int, room: int) -> Marked:
    before, differing, after = text[:start], text[start:stop], text[stop:]
    return Marked(
        before if len(before) <= room else "…" + before[-room:],
        differing if len(differing) <= room else differing[:room] + "…",
        after if len(after) <= room else after[:room] + "…",
    )
