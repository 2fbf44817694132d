"""Names and other text that a key file or a trust file may hold.

What this module guarantees about a text without a flaw:

* It is one line without control characters and without invisible or direction-changing ones, so
  it shows itself as what it is, on a terminal too.
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

# Control, format, surrogate, line and paragraph separator. The first three never change between
# versions of Unicode in what they hold of assigned characters that matter here.
_HIDDEN = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})


def quoted(text: str) -> str:
    r"""Return a text as a basic string of TOML.

    >>> quoted('a "b" \\ é')
    '"a \\"b\\" \\\\ é"'
    """
    return json.dumps(text, ensure_ascii=False)


def text_flaw(text: object, longest: int = LONGEST_TEXT) -> tuple[str, str] | None:
    r"""Return what was expected of a text and what was got, or None if nothing is wrong with it.

    >>> text_flaw("https://example.org")
    >>> text_flaw("two\nlines")
    ('text without control or invisible characters', "'two\\nlines'")
    """
    if not isinstance(text, str):
        return "text", type(text).__name__
    if any(unicodedata.category(character) in _HIDDEN for character in text):
        return "text without control or invisible characters", ascii(text[:100])
    size = len(quoted(text).encode())
    return (f"at most {longest} bytes of text", str(size)) if size > longest else None


def name_flaw(name: object) -> tuple[str, str] | None:
    """Return what was expected of a name and what was got, or None if nothing is wrong with it.

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

    >>> print(safe("a\x1b[2Jb"))
    a\x1b[2Jb
    """
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)
