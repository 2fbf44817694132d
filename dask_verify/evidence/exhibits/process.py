"""The fresh process of a replay: canonical bytes in, canonical bytes out.

It loads functions by name only (see `names`), unless it was told to trust the shipped
ones; and it gives back hashes and counts, never what the functions made.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import sys
import traceback
from dataclasses import dataclass, fields
from typing import Any

from dask_verify.core.canonical import decode, decode_leaf, encode
from dask_verify.core.merkle import BLAKE3
from dask_verify.errors import CodeRefusedError
from dask_verify.evidence.exhibits.names import find
from dask_verify.evidence.exhibits.work import Shape
from dask_verify.execution import compute
from dask_verify.execution.work import Work, unship
from dask_verify.protocol.messages import MAP

DONE, REFUSED, FAILED = "done", "refused", "failed"
_TEXT = 20_000  #: characters of a failure that are kept
_MEMORY = 8 << 30  #: bytes of address space, where the platform can limit it


@dataclass(frozen=True)
class Order:
    """What a fresh process is to compute.

    Parameters
    ----------
    shipped : bytes
        The functions as a pickle, if it may be loaded; else empty.
    names : tuple of (str, str)
        Roles and names of the functions.
    trusted : tuple of str
        Installed packages whose functions may be called by name.
    shape : tuple
        Fields of a `Shape`.
    stage : str
    partition : int
    payloads : tuple of (int, object)
        Units, with their inputs or cells.
    again : bool
        Whether to compute everything twice and give the second answer.
    """

    shipped: bytes
    names: tuple[tuple[str, str], ...]
    trusted: tuple[str, ...]
    shape: tuple[Any, ...]
    stage: str
    partition: int
    payloads: tuple[tuple[int, Any], ...]
    again: bool

    def to_bytes(self) -> bytes:
        """Return the order for the process's standard input.

        Returns
        -------
        bytes
        """
        return encode(tuple(getattr(self, f.name) for f in fields(self)))


def execute(order: Order) -> bytes:
    """Compute what is ordered.

    For each unit: the records that it is computed from, and for each bucket hash, bytes and records
    of its leaf.

    Parameters
    ----------
    order : Order
        What to compute.

    Returns
    -------
    bytes
    """
    work = _work(order)
    columns = [_unit(work, order, *payload) for payload in order.payloads]
    if order.again:
        columns = [_unit(work, order, *payload) for payload in order.payloads]
    leaves = [tuple(map(_described, column)) for column in columns]
    records = [_records(payload) for _, payload in order.payloads]
    return encode((DONE, tuple(zip(records, leaves, strict=True))))


def _described(leaf: bytes) -> tuple[bytes, int, int]:
    return BLAKE3.leaf(leaf), len(leaf), len(decode_leaf(leaf))


def _records(payload: bytes | tuple[bytes, ...]) -> int:
    leaves = (payload,) if isinstance(payload, bytes) else payload
    return sum(len(decode_leaf(leaf)) for leaf in leaves)


def _unit(work: Work, order: Order, unit: int, payload: Any) -> tuple[bytes, ...]:
    if order.stage == MAP:
        return compute.map_unit(work, order.partition, unit, payload)
    return (compute.reduce_unit(work, order.partition, unit, payload),)


def _work(order: Order) -> Work:
    """Load the shipped work if it may be, else put it together from functions found by name."""
    shape = Shape(*order.shape)
    if order.shipped:
        work = unship(order.shipped)
        if Shape.of(work) != shape:
            raise CodeRefusedError("work", "the shape that was shipped", "another in the exhibit")
        return work
    functions: dict[str, Any] = {"combiner": None}
    functions |= {role: find(role, name, order.trusted) for role, name in order.names}
    return Work(
        kind=shape.kind,
        buckets=shape.buckets,
        partitions=shape.partitions,
        unit_records=shape.unit_records or None,
        by=shape.by,
        **functions,
        **shape.frames(),
    )


def main() -> None:
    """Serve one order from standard input."""
    _limit()
    answer = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    data = sys.stdin.buffer.read()
    # A function that prints must not spoil the answer.
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    with answer, contextlib.redirect_stdout(sys.stderr):
        try:
            answer.write(execute(Order(*decode(data))))
        except CodeRefusedError as error:
            answer.write(encode((REFUSED, error.what, str(error.expected), str(error.got))))
        except Exception:
            # Whatever the user's function raises is an answer too: it is text from here on.
            text = traceback.format_exc()[-_TEXT:]
            answer.write(encode((FAILED, text.encode(errors="replace").decode())))


def _limit() -> None:
    """Let whatever an exhibit makes this process do fail before the machine does."""
    # Not on every platform is there such a module, and not all that have it allow this.
    with contextlib.suppress(ImportError, OSError, ValueError):
        resource = importlib.import_module("resource")
        _, hard = resource.getrlimit(resource.RLIMIT_AS)
        most = _MEMORY if hard == resource.RLIM_INFINITY else min(_MEMORY, hard)
        resource.setrlimit(resource.RLIMIT_AS, (most, hard))


if __name__ == "__main__":
    main()
