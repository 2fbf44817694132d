"""Columns and rows: what a receipt has one of for each partition, written densely."""

from __future__ import annotations

from typing import Any

import numpy as np

from dask_verify.errors import EvidenceError
from dask_verify.evidence.fields import Fields, base64_text
from dask_verify.evidence.receipts.values import AuditRow
from dask_verify.protocol.board import MAX_UNITS
from dask_verify.protocol.messages import MAP, REDUCE

_HASH = 32
_OUTCOMES = ("agreed", "contradicted", "unopened", "failed", "moot")
_KINDS = ("read", "units", "whole")


def joined(values: tuple[bytes, ...]) -> str:
    """Return hashes as `hashes` reads them.

    Parameters
    ----------
    values : tuple of bytes
        The hashes.

    Returns
    -------
    str

    Examples
    --------
    >>> joined((bytes(3), b"abc"))
    'AAAAYWJj'
    """
    return base64_text(b"".join(values))


def hashes(fields: Fields, name: str) -> tuple[bytes, ...]:
    """Return the hashes that were written one after the other.

    Parameters
    ----------
    fields : Fields
        The fields.
    name : str
        Name of the field.

    Returns
    -------
    tuple of bytes

    Raises
    ------
    EvidenceError
        If it does not hold.
    """
    data = fields.octets(name)
    if len(data) % _HASH:
        raise EvidenceError(fields.at(name), f"{_HASH} bytes for each partition", f"{len(data)}")
    return tuple(data[i : i + _HASH] for i in range(0, len(data), _HASH))


def bitmap(numbers: tuple[int, ...], size: int) -> str:
    """Return a set of numbers as bits, the least significant bit of each byte first.

    Parameters
    ----------
    numbers : tuple of int
        The numbers.
    size : int
        One more than the largest number that there may be.

    Returns
    -------
    str

    Examples
    --------
    >>> bitmap((0, 9), 10)
    'AQI='
    """
    found = np.zeros(size, dtype=bool)
    found[list(numbers)] = True
    return base64_text(np.packbits(found, bitorder="little").tobytes())


def bits(fields: Fields, name: str, size: int) -> tuple[int, ...]:
    """Return the numbers below `size` whose bits are set, ascending.

    Parameters
    ----------
    fields : Fields
        The fields.
    name : str
        Name of the field.
    size : int
        One more than the largest number that there may be.

    Returns
    -------
    tuple of int

    Raises
    ------
    EvidenceError
        If it does not hold.
    """
    data = fields.octets(name, (size + 7) // 8)
    found = np.unpackbits(np.frombuffer(data, dtype=np.uint8), bitorder="little")
    if found[size:].any():
        raise EvidenceError(fields.at(name), f"{size} bits", "more")
    return tuple(np.flatnonzero(found).tolist())


def audit_row(row: AuditRow) -> list[Any]:
    """Return an audit as `audit_rows` reads it.

    Parameters
    ----------
    row : AuditRow
        The audit.

    Returns
    -------
    list
    """
    where = [row.stage, row.partition, row.kind, list(row.units)]
    return [*where, row.auditor, row.outcome, base64_text(row.commitment), base64_text(row.answer)]


def audit_rows(fields: Fields, name: str) -> tuple[AuditRow, ...]:
    """Return all audits.

    Parameters
    ----------
    fields : Fields
        The fields.
    name : str
        Name of the field.

    Returns
    -------
    tuple of AuditRow
    """
    return tuple(_audit(row) for row in fields.rows(name, 8))


def _audit(row: Fields) -> AuditRow:
    return AuditRow(
        stage=row.choice("0", (MAP, REDUCE)),
        partition=row.number("1"),
        kind=row.choice("2", _KINDS),
        units=row.numbers("3", 0, MAX_UNITS),
        auditor=row.text("4"),
        outcome=row.choice("5", _OUTCOMES),
        commitment=b"" if row.empty("6") else row.octets("6", _HASH),
        answer=b"" if row.empty("7") else row.octets("7", _HASH),
    )
