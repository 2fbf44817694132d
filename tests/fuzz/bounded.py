"""One call of a parser, whose work and memory are counted and bounded by the size of its input."""

from __future__ import annotations

import sys
import tracemalloc
from typing import Any

from parsers import Parser

STEPS, STEPS_PER_BYTE = 400_000, 400
"""Calls of functions that any input may cost, and each of its bytes: constant, then linear."""
MEMORY, MEMORY_PER_BYTE = 24 << 20, 400
"""Bytes of memory, counted in the same way."""


class TooMuchError(BaseException):
    """A parser does more than its input may cost; not an `Exception`, which a parser may catch."""


def outcome(parser: Parser, data: bytes) -> str:
    """Call a parser; return the name of its error, or how it refused or accepted.

    Raises
    ------
    TooMuchError
        If it works for too long, or takes too much memory.
    Exception
        What it must not raise.
    """
    steps, most = 0, STEPS + STEPS_PER_BYTE * len(data)

    def count(frame: Any, event: str, argument: Any) -> None:
        nonlocal steps
        steps += 1
        if steps > most:
            sys.setprofile(None)
            raise TooMuchError(f"more than {most} calls for {len(data)} bytes")

    tracemalloc.start()
    sys.setprofile(count)
    try:
        said = _called(parser, data)
    finally:
        sys.setprofile(None)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    if peak > MEMORY + MEMORY_PER_BYTE * len(data):
        raise TooMuchError(f"{peak:,} bytes of memory for {len(data)} bytes")
    return said


def _called(parser: Parser, data: bytes) -> str:
    try:
        found = parser.call(data)
    except parser.errors as error:
        return _named(error)
    return "accepted" if parser.errors or found else "refused"


def _named(error: BaseException) -> str:
    """Return the name of an error that says something, and does not hide that memory ran out."""
    chain: BaseException | None = error
    while chain is not None:
        if isinstance(chain, MemoryError):
            raise TooMuchError("memory ran out") from error
        chain = chain.__cause__ or chain.__context__
    assert str(error), "an error without a message"
    return type(error).__name__
