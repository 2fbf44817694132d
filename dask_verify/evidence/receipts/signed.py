"""A receipt as it is kept and handed on: the signed bytes, and what they say."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from typing import Any

from dask_verify.evidence.envelope import unverified
from dask_verify.evidence.files import write_anywhere
from dask_verify.evidence.receipts.reading import read_receipt
from dask_verify.evidence.receipts.values import Receipt


@dataclass(frozen=True)
class SignedReceipt:
    """Evidence of one job, which anybody can check offline.

    Parameters
    ----------
    data : bytes
        A DSSE envelope; ``docs/receipt-v1.md`` specifies what is in it.

    Examples
    --------
    >>> job.receipt.save("receipt.json")  # doctest: +SKIP
    >>> job.receipt.content.verdict  # doctest: +SKIP
    'agreed'
    """

    data: bytes

    def __repr__(self) -> str:
        return f"<SignedReceipt of {len(self.data):,} bytes>"

    def to_bytes(self) -> bytes:
        """Return the envelope.

        Returns
        -------
        bytes

        Examples
        --------
        >>> SignedReceipt(b"{}").to_bytes()
        b'{}'
        """
        return self.data

    @property
    def content(self) -> Receipt:
        """What it says; who wants to rely on it checks it first."""
        return read_receipt(unverified(self.data))

    def to_dict(self) -> dict[str, Any]:
        """Return the statement as JSON values.

        Returns
        -------
        dict of str to object

        Examples
        --------
        >>> from dask_verify.evidence.envelope import seal
        >>> from dask_verify.protocol.domain import Identity
        >>> SignedReceipt(seal(b'{"a": 1}', Identity.generate("coordinator"))).to_dict()
        {'a': 1}
        """
        found: dict[str, Any] = json.loads(unverified(self.data))
        return found

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write it to a file.

        Parameters
        ----------
        path : path or URL
            Where fsspec can write.

        Raises
        ------
        OSError
            If the file cannot be written.

        Examples
        --------
        >>> job.receipt.save("receipt.json")  # doctest: +SKIP
        """
        write_anywhere(path, self.data)
