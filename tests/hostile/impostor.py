"""A courier that has been taken over: it reads so many requests, and writes what it was told to.

Its program stands in a JSON file: ``["read"]`` takes a request, ``["write", hex, times]`` writes
bytes so many times, ``["wait"]`` does nothing until it is killed; at the end it exits. Only
the standard library, so that it starts at once.
"""

from __future__ import annotations

import json
import os
import signal
import struct
import sys


def exactly(count: int) -> bytes:
    data = b""
    while len(data) < count:
        piece = os.read(0, count - len(data))
        if not piece:
            sys.exit()
        data += piece
    return data


def main() -> None:
    with open(sys.argv[2], "a") as log:
        log.write(f"{os.getpid()}\n")
    with open(sys.argv[1]) as file:
        steps = json.load(file)
    for what, *given in steps:
        if what == "read":
            exactly(sum(struct.unpack(">IQ", exactly(12))))
        elif what == "write":
            data = bytes.fromhex(given[0])
            for _ in range(given[1]):
                rest = data
                while rest:
                    rest = rest[os.write(1, rest) :]
        elif what == "wait":
            signal.pause()


if __name__ == "__main__":
    main()
