"""The hashes that a Merkle tree can be built with.

What this module guarantees: leaves, inner nodes and the empty tree are hashed in separate domains,
so none can pass for another; a hasher's name encodes every choice that changes its output.
"""

from __future__ import annotations

import hashlib
from typing import Protocol

from blake3 import blake3


class Hasher(Protocol):
    """How a tree hashes: three functions in separate domains, and the name of the scheme.

    Examples
    --------
    >>> BLAKE3.name, BLAKE3.size, SHA256.name
    ('blake3MerkleV1', 32, 'sha256Rfc6962')
    """

    @property
    def name(self) -> str:
        """Name that encodes every choice that changes the output."""

    @property
    def size(self) -> int:
        """Length of a hash, in bytes."""

    def leaf(self, data: bytes | bytearray | memoryview, /) -> bytes:
        """Hash the data of one leaf.

        Parameters
        ----------
        data : bytes-like
            The leaf's data.

        Returns
        -------
        bytes

        Examples
        --------
        >>> BLAKE3.leaf(b"data") == SHA256.leaf(b"data")
        False
        """

    def node(self, left: bytes, right: bytes, /) -> bytes:
        """Hash an inner node from the hashes of its children.

        Parameters
        ----------
        left, right : bytes
            Hashes of the children.

        Returns
        -------
        bytes

        Examples
        --------
        >>> left, right = BLAKE3.leaf(b"a"), BLAKE3.leaf(b"b")
        >>> BLAKE3.node(left, right) == BLAKE3.leaf(left + right)
        False
        """

    def empty(self) -> bytes:
        """Return the root of a tree without leaves.

        Returns
        -------
        bytes

        Examples
        --------
        >>> len(BLAKE3.empty()) == BLAKE3.size
        True
        """


class _Sha256:
    """The hash of RFC 6962, section 2.1."""

    name = "sha256Rfc6962"
    size = 32

    def leaf(self, data: bytes | bytearray | memoryview, /) -> bytes:
        digest = hashlib.sha256(b"\x00")
        digest.update(data)
        return digest.digest()

    def node(self, left: bytes, right: bytes, /) -> bytes:
        return hashlib.sha256(b"\x01" + left + right).digest()

    def empty(self) -> bytes:
        return hashlib.sha256(b"").digest()

    def __repr__(self) -> str:
        return "SHA256"


def _derive_key(role: str) -> bytes:
    return blake3(b"", derive_key_context=f"dask_verify blake3MerkleV1 {role}").digest()


class _Blake3:
    """Keyed BLAKE3: a key for each role replaces the prefix, so leaf data is hashed in place."""

    name = "blake3MerkleV1"
    size = 32
    _leaf_key = _derive_key("leaf")
    _node_key = _derive_key("node")
    _empty_key = _derive_key("empty")

    def leaf(self, data: bytes | bytearray | memoryview, /) -> bytes:
        return blake3(data, key=self._leaf_key).digest()

    def node(self, left: bytes, right: bytes, /) -> bytes:
        return blake3(left + right, key=self._node_key).digest()

    def empty(self) -> bytes:
        return blake3(b"", key=self._empty_key).digest()

    def __repr__(self) -> str:
        return "BLAKE3"


SHA256: Hasher = _Sha256()
"""SHA-256 exactly as in RFC 6962: prefix 0x00 for leaves, 0x01 for nodes."""

BLAKE3: Hasher = _Blake3()
"""Keyed BLAKE3 (``blake3MerkleV1``). The keys are ``derive_key`` of an empty input in the contexts
``dask_verify blake3MerkleV1 leaf``, ``... node`` and ``... empty``."""
