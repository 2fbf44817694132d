"""Lines for a terminal: never wider than it is, and without anything that it would act on."""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Mapping
from typing import TextIO

from dask_verify.evidence.enrolment.texts import safe

_BAR = 12
_USUAL = 80  #: columns, where nobody knows how many there are


def columns_of(stream: TextIO) -> int:
    """Return how many columns a terminal has.

    Parameters
    ----------
    stream : file
        Where it is written to.

    Returns
    -------
    int
        A usual number of them where it is no terminal.
    """
    try:
        return os.get_terminal_size(stream.fileno()).columns or _USUAL
    except (OSError, ValueError):
        return _USUAL


def width_of(text: str) -> int:
    """Return how many columns a text takes.

    Parameters
    ----------
    text : str
        One line.

    Returns
    -------
    int

    Examples
    --------
    >>> width_of("ab"), width_of("漢"), width_of("e" + chr(0x301))
    (2, 2, 1)
    """
    return sum(map(_columns, text))


def fitted(text: str, room: int) -> str:
    r"""Return a text that takes no more columns than there are, and no line but one.

    Parameters
    ----------
    text : str
        Whatever somebody else chose.
    room : int
        Columns that there are.

    Returns
    -------
    str

    Examples
    --------
    >>> fitted("one\ntwo", 20), fitted("too long", 4), fitted("漢漢漢", 5)
    ('one\\ntwo', 'too…', '漢漢…')
    """
    shown = safe(text[: max(0, room) + 1])
    if width_of(shown) <= room:
        return shown
    cut, left = "", room - 1
    for character in shown:
        left -= _columns(character)
        if left < 0:
            break
        cut += character
    return cut + "…" if room > 0 else ""


def progress_line(
    stages: Mapping[str, tuple[int, int]], divergences: int, audits: int, status: str, room: int
) -> str:
    """Return how far a job is, with bars if there is room for them.

    Parameters
    ----------
    stages : mapping of str to (int, int)
        Accepted partitions, and all, by stage.
    divergences, audits : int
        How many; of audits, nothing is said if there are none.
    status : str
        As `Job.status` has it.
    room : int
        Columns that there are.

    Returns
    -------
    str

    Examples
    --------
    >>> progress_line({"map": (1, 2)}, 0, 0, "running", 60)
    'map [######      ] 1/2  divergences 0  running'
    >>> progress_line({"map": (1, 2)}, 0, 3, "running", 44)
    'map 1/2  divergences 0  audits 3  running'
    """
    rest = [f"divergences {divergences}", *([f"audits {audits}"] if audits else []), status]
    numbers = [f"{stage} {done}/{total}" for stage, (done, total) in stages.items()]
    bars = [f"{stage} {_bar(*of)} {of[0]}/{of[1]}" for stage, of in stages.items()]
    whole = "  ".join([*bars, *rest])
    return whole if width_of(whole) <= room else fitted("  ".join([*numbers, *rest]), room)


def _bar(done: int, total: int) -> str:
    filled = _BAR * done // total if total else _BAR
    return f"[{'#' * filled}{' ' * (_BAR - filled)}]"


def _columns(character: str) -> int:
    if unicodedata.combining(character):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1
