"""A process with little time and memory that reads the whole corpus; see `test_corpus`.

Prints how many files it has read, and by how many kilobytes its memory grew meanwhile.
"""

from __future__ import annotations

import contextlib
import resource
import sys
from pathlib import Path
from typing import Any


def main(seconds: int, space: int) -> None:
    """Read every file; what the limits do not allow ends the process."""
    from parsers import PARSERS

    for parser in PARSERS.values():
        _read(parser, parser.seeds()[0])
    resource.setrlimit(resource.RLIMIT_AS, (space, space))
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    files = sorted((Path(__file__).parent / "corpus").glob("*/*"))
    for path in files:
        _read(PARSERS[path.parent.name], path.read_bytes())
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    print(len(files), grown)


def _read(parser: Any, data: bytes) -> None:
    with contextlib.suppress(*parser.errors):
        parser.call(data)


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
