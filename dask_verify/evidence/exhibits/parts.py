"""The parts of an exhibit, each with the JSON that it is written as and read from.

What this module guarantees: a part that was read has the stated types and sizes, and whatever in
it can be proven by itself (a leaf, a source) has been proven. What parts say about each other is
checked in `checks`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from dask_verify.core.merkle import BLAKE3, verify_inclusion
from dask_verify.core.proofs import verify_range
from dask_verify.core.seal import INPUT, OUTPUT, Commitment, map_question, reduce_question
from dask_verify.errors import DecodingError, EvidenceError, ProofError
from dask_verify.evidence.exhibits.work import Shape
from dask_verify.evidence.fields import Fields, base64_text
from dask_verify.protocol.board import MAX_UNITS
from dask_verify.protocol.messages import MAP

_HASH = BLAKE3.size


def texts_of(blobs: Sequence[bytes]) -> list[str]:
    """Return bytes as `Fields.blobs` reads them.

    Parameters
    ----------
    blobs : sequence of bytes
        The bytes.

    Returns
    -------
    list of str
    """
    return [base64_text(blob) for blob in blobs]


def commitment_of(data: bytes, path: str) -> Commitment:
    """Decode a commitment.

    Parameters
    ----------
    data : bytes
        Bytes of the commitment.
    path : str
        Where it stands, for the error.

    Returns
    -------
    Commitment

    Raises
    ------
    EvidenceError
        If it does not hold.
    """
    try:
        made = Commitment.from_bytes(data)
    except DecodingError as error:
        raise EvidenceError(path, "a commitment", f"something else ({error!s:.200})") from None
    if min(made.units, made.buckets) < 1:
        raise EvidenceError(path, "a commitment to units and buckets", "one to none")
    return made


# --- what was signed ------------------------------------------------------------------------


@dataclass(frozen=True)
class Leaf:
    """One leaf of a tree: its place, proven, and its bytes where somebody opened them.

    Parameters
    ----------
    tree : {"output", "input"}
    root : bytes
    size, index : int
        Leaves of the tree; which one.
    hash : bytes
    proof : tuple of bytes
    data : bytes
        Empty where only the hash is known: no leaf is empty.
    """

    tree: str
    root: bytes
    size: int
    index: int
    hash: bytes
    proof: tuple[bytes, ...]
    data: bytes = b""

    def plain(self) -> dict[str, Any]:
        """Return this as JSON values.

        Returns
        -------
        dict of str to object
        """
        return {
            "tree": self.tree,
            "root": self.root.hex(),
            "size": self.size,
            "index": self.index,
            "hash": self.hash.hex(),
            "proof": texts_of(self.proof),
            "data": base64_text(self.data),
        }

    @classmethod
    def read(cls, fields: Fields) -> Leaf:
        """Read what `plain` gave, and prove it.

        Parameters
        ----------
        fields : Fields
            The fields.

        Returns
        -------
        Leaf
        """
        leaf = cls(
            tree=fields.choice("tree", (OUTPUT, INPUT)),
            root=fields.digest("root"),
            size=fields.number("size", 1),
            index=fields.number("index"),
            hash=fields.digest("hash"),
            proof=fields.blobs("proof"),
            data=fields.octets("data"),
        )
        fields.end()
        leaf.check(fields.path)
        return leaf

    def check(self, path: str = "leaf") -> None:
        """Check that the leaf belongs where it says.

        Parameters
        ----------
        path : str, optional
            Where it stands, for the error.

        Raises
        ------
        EvidenceError
            If it does not hold.
        """
        if self.data and BLAKE3.leaf(self.data) != self.hash:
            raise EvidenceError(f"{path}.data", "bytes of the stated hash", "others")
        try:
            verify_inclusion(BLAKE3, self.index, self.size, self.hash, self.proof, self.root)
        except ProofError as error:
            raise EvidenceError(path, "a leaf of its root", f"{error!s:.200}") from None


# --- what the unit is computed from ---------------------------------------------------------


@dataclass(frozen=True)
class Source:
    """The cells of some buckets in one map partition, with the commitment that binds them.

    Parameters
    ----------
    commitment : Commitment
        The map commitment.
    leaves : tuple of bytes
        The cells.
    proof : tuple of bytes
        Hashes that link them to its root.
    """

    commitment: Commitment
    leaves: tuple[bytes, ...]
    proof: tuple[bytes, ...]

    def plain(self) -> dict[str, Any]:
        """Return this as JSON values.

        Returns
        -------
        dict of str to object
        """
        return {
            "commitment": base64_text(self.commitment.to_bytes()),
            "leaves": texts_of(self.leaves),
            "proof": texts_of(self.proof),
        }

    @classmethod
    def read(cls, fields: Fields) -> Source:
        """Read what `plain` gave.

        Parameters
        ----------
        fields : Fields
            The fields.

        Returns
        -------
        Source
        """
        data = fields.octets("commitment")
        source = cls(
            commitment=commitment_of(data, fields.at("commitment")),
            leaves=fields.blobs("leaves"),
            proof=fields.blobs("proof"),
        )
        fields.end()
        return source


@dataclass(frozen=True)
class Given:
    """What units ``start`` to ``stop`` are computed from: one unit, or all of a partition.

    Parameters
    ----------
    start, stop : int
    inputs : tuple of bytes
        Canonical input of each map unit.
    root : bytes
        Root over the inputs of the partition's units; empty where the unit is the partition.
    proof : tuple of bytes
        That these inputs belong to the root.
    sources : tuple of Source
        For a reduce partition: all map partitions, in order.
    """

    start: int
    stop: int
    inputs: tuple[bytes, ...] = ()
    root: bytes = b""
    proof: tuple[bytes, ...] = ()
    sources: tuple[Source, ...] = ()

    def payload(self, stage: str, unit: int) -> bytes | tuple[bytes, ...]:
        """Return the input of a map unit, or the cells of a bucket.

        Parameters
        ----------
        stage : str
            Name of the stage.
        unit : int
            Number of the unit.

        Returns
        -------
        bytes or tuple of bytes
        """
        at = unit - self.start
        if stage == MAP:
            return self.inputs[at]
        return tuple(
            cell
            for source in self.sources
            for cell in source.leaves[
                at * source.commitment.units : (at + 1) * source.commitment.units
            ]
        )

    def question(self, stage: str, unit: int) -> bytes:
        """Return the hash of that, as auditors name it.

        Parameters
        ----------
        stage : str
            Name of the stage.
        unit : int
            Number of the unit.

        Returns
        -------
        bytes
        """
        payload = self.payload(stage, unit)
        return map_question(payload) if isinstance(payload, bytes) else reduce_question(payload)

    def plain(self) -> dict[str, Any]:
        """Return this as JSON values.

        Returns
        -------
        dict of str to object
        """
        return {
            "start": self.start,
            "stop": self.stop,
            "inputs": texts_of(self.inputs),
            "root": base64_text(self.root),
            "proof": texts_of(self.proof),
            "sources": [source.plain() for source in self.sources],
        }

    @classmethod
    def read(cls, fields: Fields, stage: str, partition: int, shape: Shape) -> Given:
        """Read what `plain` gave, and prove it.

        Parameters
        ----------
        fields : Fields
            The fields.
        stage : str
            Name of the stage.
        partition : int
            Number of the partition.
        shape : Shape
            Shape of the job's work.

        Returns
        -------
        Given
        """
        start = fields.number("start", 0, MAX_UNITS - 1)
        given = cls(
            start=start,
            stop=fields.number("stop", start + 1, MAX_UNITS),
            inputs=fields.blobs("inputs"),
            root=fields.octets("root"),
            proof=fields.blobs("proof"),
            sources=tuple(Source.read(one) for one in fields.objects("sources")),
        )
        fields.end()
        if stage == MAP:
            given._check_map(fields.path)
        else:
            given._check_reduce(partition, shape, fields.path)
        return given

    def _check_map(self, path: str) -> None:
        if len(self.inputs) != self.stop - self.start or self.sources:
            raise EvidenceError(f"{path}.inputs", "one for each unit, and no sources", "others")
        if not self.root and ((self.start, self.stop) != (0, 1) or self.proof):
            raise EvidenceError(f"{path}.root", "one, or a partition that is a unit", "none")

    def prove(self, size: int, path: str) -> None:
        """Check that the inputs belong to their root, in a tree of some size.

        Parameters
        ----------
        size : int
            Number of leaves of the tree.
        path : str
            Where it stands, for the error.

        Raises
        ------
        EvidenceError
            If it does not hold.
        """
        hashes = [map_question(data) for data in self.inputs]
        try:
            verify_range(BLAKE3, self.start, self.stop, size, hashes, self.proof, self.root)
        except ProofError as error:
            raise EvidenceError(path, "inputs of their root", f"{error!s:.200}") from None

    def _check_reduce(self, partition: int, shape: Shape, path: str) -> None:
        if self.inputs or self.root or self.proof or self.stop > shape.run:
            raise EvidenceError(path, f"sources of buckets below {shape.run}", "something else")
        first = partition * shape.run
        for number, source in enumerate(self.sources):
            made = source.commitment
            where = f"{path}.sources[{number}]"
            said = (made.stage, made.partition, made.buckets)
            if said != (MAP, number, shape.buckets):
                raise EvidenceError(where, (MAP, number, shape.buckets), said)
            ends = ((first + self.start) * made.units, (first + self.stop) * made.units)
            hashes = [BLAKE3.leaf(leaf) for leaf in source.leaves]
            try:
                verify_range(BLAKE3, *ends, made.size, hashes, source.proof, made.root)
            except ProofError as error:
                raise EvidenceError(where, "cells of their root", f"{error!s:.200}") from None


# --- what came out --------------------------------------------------------------------------


@dataclass(frozen=True)
class Recomputation:
    """What the coordinator's own processes computed.

    Parameters
    ----------
    runs : tuple of bytes
        For each process the leaf hashes of the units, in the order of the tree, joined.
    commitment : Commitment or None
        To the whole partition, where all of it was produced again.
    index : int
        Which leaf of the tree is shown.
    leaf : bytes
        That leaf; empty where none is.
    """

    runs: tuple[bytes, ...]
    commitment: Commitment | None = None
    index: int = 0
    leaf: bytes = b""

    @property
    def stable(self) -> bool:
        """Whether all processes computed the same."""
        return len(set(self.runs)) == 1

    def hashes(self) -> tuple[bytes, ...]:
        """Return the leaf hashes that the first process computed.

        Returns
        -------
        tuple of bytes
        """
        return split(self.runs[0])

    def plain(self) -> dict[str, Any]:
        """Return this as JSON values.

        Returns
        -------
        dict of str to object
        """
        commitment = b"" if self.commitment is None else self.commitment.to_bytes()
        return {
            "runs": texts_of(self.runs),
            "commitment": base64_text(commitment),
            "index": self.index,
            "leaf": base64_text(self.leaf),
        }

    @classmethod
    def read(cls, fields: Fields) -> Recomputation:
        """Read what `plain` gave.

        Parameters
        ----------
        fields : Fields
            The fields.

        Returns
        -------
        Recomputation

        Raises
        ------
        EvidenceError
            If it does not hold.
        """
        runs, data = fields.blobs("runs"), fields.octets("commitment")
        commitment = commitment_of(data, fields.at("commitment")) if data else None
        found = cls(runs, commitment, fields.number("index"), fields.octets("leaf"))
        fields.end()
        if len(runs) != 2 or any(not run or len(run) % _HASH for run in runs):
            raise EvidenceError(fields.at("runs"), "leaf hashes of two processes", "others")
        return found


def split(joined: bytes) -> tuple[bytes, ...]:
    """Return hashes one by one.

    Parameters
    ----------
    joined : bytes
        The hashes, one after the other.

    Returns
    -------
    tuple of bytes

    Examples
    --------
    >>> len(split(bytes(64)))
    2
    """
    return tuple(joined[i : i + _HASH] for i in range(0, len(joined), _HASH))
