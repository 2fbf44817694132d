"""Names and other text that a key file or a trust file may hold.

What this module guarantees about a text without a flaw:

* It is one line without control characters and without invisible or direction-changing ones, so
  it shows itself as what it is, on a terminal too. Its only space is U+0020. Letters of different
  scripts may still look alike.
* It is short enough for a line of a trust file.
* A name, in addition, is not empty, does not start or end with a space, and is in Unicode's
  composed form (NFC), so that two names that look alike because of that are never two domains.
"""

from __future__ import annotations

import json
import unicodedata

LONGEST_TEXT = 1500
"""Bytes of a text in quotes, as UTF-8."""
LONGEST_NAME = 200
"""Bytes of a name in quotes, as UTF-8."""

# Control, format, surrogate, private, unassigned; line, paragraph and other separators. What is
# unassigned depends on the version of Unicode, so a newer Python may take a name that this refuses.
_HIDDEN = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp", "Zs"})
# What Unicode calls Default_Ignorable_Code_Point and counts among letters and marks, and the blank
# Braille pattern: shown as nothing at all, or as a space.
_BLANK = frozenset(
    chr(code)
    for first, last in (
        (0x034F, 0x034F),
        (0x115F, 0x1160),
        (0x17B4, 0x17B5),
        (0x180B, 0x180F),
        (0x2800, 0x2800),
        (0x3164, 0x3164),
        (0xFE00, 0xFE0F),
        (0xFFA0, 0xFFA0),
        (0xE0100, 0xE01EF),
    )
    for code in range(first, last + 1)
)


def quoted(text: str) -> str:
    r"""Return a text as a basic string of TOML.

    Parameters
    ----------
    text : str
        The text.

    Returns
    -------
    str

    Examples
    --------
    >>> quoted('a "b" \\ é')
    '"a \\"b\\" \\\\ é"'
    """
    return json.dumps(text, ensure_ascii=False)


def text_flaw(text: object, longest: int = LONGEST_TEXT) -> tuple[str, str] | None:
    r"""Return what was expected of a text and what was got, or None if nothing is wrong with it.

    Parameters
    ----------
    text : object
        What should be one.
    longest : int, optional
        Characters that it may have.

    Returns
    -------
    tuple of (str, str) or None

    Examples
    --------
    >>> text_flaw("https://example.org")
    >>> text_flaw("two\nlines")
    ('text without control or invisible characters', "'two\\nlines'")
    """
    if not isinstance(text, str):
        return "text", type(text).__name__
    if any(_is_hidden(character) for character in text):
        return "text without control or invisible characters", ascii(text[:100])
    size = len(quoted(text).encode())
    return (f"at most {longest} bytes of text", str(size)) if size > longest else None


def _is_hidden(character: str) -> bool:
    if character in _BLANK:
        return True
    return character != " " and unicodedata.category(character) in _HIDDEN


def name_flaw(name: object) -> tuple[str, str] | None:
    """Return what was expected of a name and what was got, or None if nothing is wrong with it.

    Parameters
    ----------
    name : object
        What should be one.

    Returns
    -------
    tuple of (str, str) or None

    Examples
    --------
    >>> name_flaw("alice")
    >>> name_flaw(" alice")
    ('a name that neither starts nor ends with a space', "' alice'")
    """
    flaw = text_flaw(name, LONGEST_NAME)
    if flaw or not isinstance(name, str):
        return flaw
    if not name:
        return "a name", "empty text"
    if name != name.strip():
        return "a name that neither starts nor ends with a space", repr(name)
    if not unicodedata.is_normalized("NFC", name):
        return "a name in Unicode's composed form (NFC)", ascii(name)
    return None


def safe(text: str) -> str:
    r"""Return text without characters that a terminal acts on, or that hide.

    Parameters
    ----------
    text : str
        The text.

    Returns
    -------
    str

    Examples
    --------
    >>> print(safe("a\x1b[2Jb"))
    a\x1b[2Jb
    """
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)
