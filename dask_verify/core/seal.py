"""Sealed partitions, what is committed about them, and what is opened from them.

* A partition is a grid of cells: unit ``c`` emitted cell ``(b, c)`` for bucket ``b``.
* Leaves are in bucket-major order, ``b * units + c``: a unit is a column, and what one reduce
  partition reads is a contiguous range.
* The digest of a commitment covers shape, counts and roots, and nothing that differs between
  honest domains; it is what replicas are compared by.

The records of :mod:`~dask_verify.core.audits` are part of this module's interface.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

from dask_verify.core.audits import (
    ANSWER_CONTEXT,
    Answer,
    Columns,
    answer_digest,
    answer_statement,
    asked_columns,
    map_question,
    reduce_question,
)
from dask_verify.core.canonical import encode
from dask_verify.core.merkle import BLAKE3, MerkleTree, verify_range
from dask_verify.core.record import LARGEST, Record, digest
from dask_verify.errors import DecodingError, ProofError

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = [
    "ANSWER_CONTEXT",
    "INPUT",
    "OUTPUT",
    "Answer",
    "Columns",
    "Commitment",
    "Opening",
    "SealedPartition",
    "answer_digest",
    "answer_statement",
    "asked",
    "asked_columns",
    "compared",
    "digest",
    "map_question",
    "reduce_question",
]

OUTPUT, INPUT = "output", "input"


@dataclass(frozen=True, slots=True)
class Commitment(Record):
    """What a domain binds itself to for one partition.

    Parameters
    ----------
    job : bytes
        Job id; nothing can be replayed into another job.
    stage : str
        ``"map"`` or ``"reduce"``.
    partition : int
        Index within the stage.
    domain : str
        Who commits.
    inputs : bytes
        Digest of the inputs that were assigned.
    buckets, units : int
        Shape of the grid of cells.
    records_in : int
        Input records of a map partition; records consumed by a reduce partition.
    counts : tuple of int
        Output records, for each reduce partition (map) or for each bucket (reduce).
    nbytes : int
        Canonical bytes of all cells together.
    input_root : bytes
        Root over the inputs of the units; empty where the unit is the whole partition.
    root : bytes
        Root over the cells.

    Examples
    --------
    >>> one = Commitment(b"j", "map", 0, "alice", b"i", 1, 1, 3, (3,), 9, b"", b"r" * 32)
    >>> other = Commitment(b"j", "map", 0, "bob", b"i", 1, 1, 3, (3,), 9, b"", b"r" * 32)
    >>> one.digest == other.digest
    True
    >>> Commitment.from_bytes(one.to_bytes()) == one
    True
    """

    job: bytes
    stage: str
    partition: int
    domain: str
    inputs: bytes
    buckets: int
    units: int
    records_in: int
    counts: tuple[int, ...]
    nbytes: int
    input_root: bytes
    root: bytes
    _digest: bytes = field(default=b"", init=False, repr=False, compare=False)

    @property
    def size(self) -> int:
        """Number of leaves."""
        return self.buckets * self.units

    @property
    def records_out(self) -> int:
        """Output records in all."""
        return sum(self.counts)

    @property
    def rest(self) -> bytes:
        """Digest of what a receipt does not spell out: counts, bytes and input root."""
        return digest("rest", encode((self.counts, self.nbytes, self.input_root)))

    @property
    def digest(self) -> bytes:
        """What replicas are compared by: shape, counts, input root and root."""
        if not self._digest:
            object.__setattr__(self, "_digest", self._computed_digest())
        return self._digest

    def of(self, domain: str) -> Commitment:
        """Return the commitment of another domain to the same, sharing all that is equal.

        Parameters
        ----------
        domain : str
            Name of the other domain.

        Returns
        -------
        Commitment

        Examples
        --------
        >>> one = Commitment(b"j", "map", 0, "alice", b"i", 1, 1, 3, (3,), 9, b"", b"r" * 32)
        >>> one.of("bob").domain, one.of("bob").digest is one.digest
        ('bob', True)
        """
        other = replace(self, domain=domain)
        object.__setattr__(other, "_digest", self.digest)
        return other

    def _computed_digest(self) -> bytes:
        shape = self.buckets, self.units, self.records_in, self.records_out
        return compared(*shape, self.root, self.rest)

    @classmethod
    def _types(cls) -> dict[str, type]:
        whole = ("partition", "buckets", "units", "records_in", "nbytes")
        octets = ("job", "inputs", "input_root", "root")
        return (
            dict.fromkeys(whole, int)
            | dict.fromkeys(octets, bytes)
            | {"stage": str, "domain": str, "counts": tuple}
        )

    def check(self) -> None:
        """Check also counts, number of cells and roots.

        Raises
        ------
        DecodingError
            If the parts do not fit each other.
        """
        Record.check(self)  # a class with slots is not the one that `super()` was compiled for
        if not all(type(n) is int and 0 <= n <= LARGEST for n in self.counts):
            raise DecodingError("Commitment.counts: expected whole numbers")
        if self.size > LARGEST:
            raise DecodingError("Commitment: expected fewer cells than any tree may have leaves")
        if len(self.root) != 32 or len(self.input_root) not in (0, 32):
            raise DecodingError("Commitment: expected roots of 32 bytes")


def compared(
    buckets: int, units: int, records_in: int, records_out: int, root: bytes, rest: bytes
) -> bytes:
    """Return the digest of a commitment from what a receipt says of it.

    Parameters
    ----------
    buckets, units, records_in, records_out : int
    root, rest : bytes
        As `Commitment` has them.

    Returns
    -------
    bytes

    Examples
    --------
    >>> one = Commitment(b"j", "map", 0, "alice", b"i", 1, 1, 3, (3,), 9, b"", b"r" * 32)
    >>> compared(1, 1, 3, 3, one.root, one.rest) == one.digest
    True
    """
    return digest("commitment", encode((buckets, units, records_in, records_out, root, rest)))


@dataclass(frozen=True)
class Opening(Record):
    """Contiguous leaves of one tree of a sealed partition, with the proof that they belong.

    Parameters
    ----------
    job : bytes
        The job's id.
    stage : str
        Name of the stage.
    partition : int
        Number of the partition.
    domain : str
        Who opens it.
    tree : str
        Which of the partition's two trees.
    root : bytes
        Root of that tree.
    size : int
        Number of its leaves.
    start, stop : int
        The range of leaves.
    leaves : tuple of bytes
        Their data.
    proof : tuple of bytes
        Hashes that link them to the root.

    Examples
    --------
    >>> sealed = SealedPartition(1, 3, 3, (6,), (b"0", b"1", b"2"))
    >>> request = asked(sealed.commit(b"job", "map", 0, "bob", b"in"), OUTPUT, 1, 2, "bob")
    >>> opening = sealed.open(request)
    >>> opening.leaves, len(opening.proof)
    ((b'1',), 2)
    """

    job: bytes
    stage: str
    partition: int
    domain: str
    tree: str
    root: bytes
    size: int
    start: int
    stop: int
    leaves: tuple[bytes, ...]
    proof: tuple[bytes, ...]

    @classmethod
    def _types(cls) -> dict[str, type]:
        whole = ("partition", "size", "start", "stop")
        return (
            dict.fromkeys(whole, int)
            | dict.fromkeys(("stage", "domain", "tree"), str)
            | dict.fromkeys(("job", "root"), bytes)
            | dict.fromkeys(("leaves", "proof"), tuple)
        )

    def check(self) -> None:
        """Check also leaves and proof.

        Raises
        ------
        DecodingError
            If the parts do not fit each other.
        """
        super().check()
        if not all(type(b) is bytes for b in self.leaves + self.proof):
            raise DecodingError("Opening: expected leaves and proof as bytes")

    @cached_property
    def leaf_hashes(self) -> tuple[bytes, ...]:
        """Hashes of the leaves, as the tree makes them; whoever has the tree knows them already."""
        return tuple(BLAKE3.leaf(leaf) for leaf in self.leaves)

    def statement(self) -> bytes:
        """Return what is signed: everything, with the leaves replaced by their hashes.

        Returns
        -------
        bytes

        Examples
        --------
        >>> sealed = SealedPartition(1, 1, 3, (6,), (b"a long leaf" * 100,))
        >>> request = asked(sealed.commit(b"job", "map", 0, "bob", b"in"), OUTPUT, 0, 1, "bob")
        >>> opening = sealed.open(request)
        >>> len(opening.statement()) < len(opening.to_bytes())
        True
        """
        return replace(self, leaves=self.leaf_hashes).to_bytes()

    def verify(self, expected: Opening) -> None:
        """Check that the leaves are those of the asked range of the asked root.

        Parameters
        ----------
        expected : Opening
            What was asked for (see `asked`): everything but leaves and proof.

        Raises
        ------
        ProofError
            If another range was served, or the leaves do not belong to the root.

        Examples
        --------
        >>> sealed = SealedPartition(1, 3, 3, (6,), (b"0", b"1", b"2"))
        >>> request = asked(sealed.commit(b"job", "map", 0, "bob", b"in"), OUTPUT, 1, 2, "bob")
        >>> opening = sealed.open(request)
        >>> opening.verify(request)
        >>> try:
        ...     replace(opening, leaves=(b"lie",)).verify(request)
        ... except ProofError:
        ...     print("not what was committed to")
        not what was committed to
        """
        for f in fields(self):
            if f.name not in ("leaves", "proof"):
                got, want = getattr(self, f.name), getattr(expected, f.name)
                if got != want:
                    raise ProofError(f"opening, {f.name}", want, got)
        self.proven()

    def proven(self) -> Opening:
        """Return this opening if its leaves, hashed here, belong to its root.

        Returns
        -------
        Opening

        Raises
        ------
        ProofError
            If they do not.

        Examples
        --------
        >>> sealed = SealedPartition(1, 3, 3, (6,), (b"0", b"1", b"2"))
        >>> request = asked(sealed.commit(b"job", "map", 0, "bob", b"in"), OUTPUT, 1, 2, "bob")
        >>> sealed.open(request).proven().leaves
        (b'1',)
        """
        hashes = [BLAKE3.leaf(leaf) for leaf in self.leaves]
        ends = self.start, self.stop, self.size
        verify_range(BLAKE3, *ends, hashes, self.proof, self.root)
        return self


def asked(commitment: Commitment, tree: str, start: int, stop: int, domain: str) -> Opening:
    """Return the opening, still without leaves, that answers a request for a range.

    Parameters
    ----------
    commitment : Commitment
        The commitment to what is asked for.
    tree : str
        Which of the partition's two trees.
    start, stop : int
        The range of leaves.
    domain : str
        Who is asked.

    Returns
    -------
    Opening

    Examples
    --------
    >>> sealed = SealedPartition(1, 3, 3, (6,), (b"0", b"1", b"2"))
    >>> request = asked(sealed.commit(b"job", "map", 0, "bob", b"in"), OUTPUT, 1, 2, "bob")
    >>> request.root == sealed.output_tree.root, request.leaves
    (True, ())
    """
    output = tree == OUTPUT
    return Opening(
        job=commitment.job,
        stage=commitment.stage,
        partition=commitment.partition,
        domain=domain,
        tree=tree,
        root=commitment.root if output else commitment.input_root,
        size=commitment.size if output else commitment.units,
        start=start,
        stop=stop,
        leaves=(),
        proof=(),
    )


@dataclass(frozen=True)
class SealedPartition:
    """Canonical bytes of a partition with its Merkle trees, as kept by the worker that made it.

    Parameters
    ----------
    buckets, units : int
        Shape; ``len(leaves) == buckets * units``.
    records_in : int
        Records that were read.
    counts : tuple of int
        Records that were emitted, as in `Commitment`.
    leaves : sequence of bytes
        Cells in bucket-major order; slices of it are tuples.
    inputs : sequence of bytes
        Canonical input of each unit; empty where the unit is the whole partition.

    Examples
    --------
    >>> sealed = SealedPartition(2, 2, 4, (3, 1), (b"b0c0", b"b0c1", b"b1c0", b"b1c1"))
    >>> bucket, unit = 1, 0
    >>> sealed.leaves[bucket * sealed.units + unit]
    b'b1c0'
    """

    buckets: int
    units: int
    records_in: int
    counts: tuple[int, ...]
    leaves: Sequence[bytes]
    inputs: Sequence[bytes] = ()

    @cached_property
    def output_tree(self) -> MerkleTree:
        """Tree over the cells."""
        return MerkleTree(self.leaves, BLAKE3)

    @cached_property
    def input_tree(self) -> MerkleTree:
        """Tree over the inputs of the units."""
        return MerkleTree(self.inputs, BLAKE3)

    def commit(
        self, job: bytes, stage: str, partition: int, domain: str, inputs: bytes
    ) -> Commitment:
        """Return the commitment to this partition.

        Parameters
        ----------
        job : bytes
            The job's id.
        stage : str
            Name of the stage.
        partition : int
            Number of the partition.
        domain : str
            Who commits.
        inputs : bytes
            Digest of what the task is assigned.

        Returns
        -------
        Commitment

        Examples
        --------
        >>> sealed = SealedPartition(1, 3, 3, (6,), (b"0", b"1", b"2"))
        >>> alice = sealed.commit(b"job", "map", 0, "alice", b"in")
        >>> bob = sealed.commit(b"job", "map", 0, "bob", b"in")
        >>> alice == bob, alice.digest == bob.digest
        (False, True)
        """
        return Commitment(
            job=job,
            stage=stage,
            partition=partition,
            domain=domain,
            inputs=inputs,
            buckets=self.buckets,
            units=self.units,
            records_in=self.records_in,
            counts=self.counts,
            nbytes=sum(map(len, self.leaves)),
            input_root=self.input_tree.root if self.inputs else b"",
            root=self.output_tree.root,
        )

    def tree(self, name: str) -> tuple[MerkleTree, Sequence[bytes]]:
        """Return one of the two trees and its leaves.

        Parameters
        ----------
        name : str
            Which tree.

        Returns
        -------
        tuple of (MerkleTree, sequence of bytes)

        Examples
        --------
        >>> sealed = SealedPartition(1, 2, 2, (2,), (b"0", b"1"), inputs=(b"in 0", b"in 1"))
        >>> sealed.tree(INPUT)[1], sealed.tree(OUTPUT)[1]
        ((b'in 0', b'in 1'), (b'0', b'1'))
        """
        if name == OUTPUT:
            return self.output_tree, self.leaves
        return self.input_tree, self.inputs

    def open(self, request: Opening) -> Opening:
        """Answer a request with the leaves of its range and their proof.

        Parameters
        ----------
        request : Opening
            The request, without leaves.

        Returns
        -------
        Opening

        Examples
        --------
        >>> sealed = SealedPartition(1, 3, 3, (6,), (b"0", b"1", b"2"))
        >>> request = asked(sealed.commit(b"job", "map", 0, "bob", b"in"), OUTPUT, 0, 2, "bob")
        >>> sealed.open(request).leaves
        (b'0', b'1')
        """
        tree, leaves = self.tree(request.tree)
        start, stop = request.start, request.stop
        opening = replace(
            request, leaves=tuple(leaves[start:stop]), proof=tuple(tree.range_proof(start, stop))
        )
        # No second pass over the leaves to sign for what was hashed when the tree was made.
        opening.__dict__["leaf_hashes"] = tuple(tree.leaf_range(start, stop))
        return opening

    def columns(self, request: Columns) -> Columns:
        """Answer a request for whole units with the hashes of their leaves and one proof.

        Parameters
        ----------
        request : Columns
            The request, without hashes.

        Returns
        -------
        Columns

        Raises
        ------
        ProofError
            If the request is about a partition of another shape.

        Examples
        --------
        >>> sealed = SealedPartition(2, 2, 4, (3, 1), (b"0", b"1", b"2", b"3"))
        >>> request = asked_columns(sealed.commit(b"job", "map", 0, "bob", b"in"), [1], "bob")
        >>> sealed.columns(request).hashes == (BLAKE3.leaf(b"1"), BLAKE3.leaf(b"3"))
        True
        """
        got, have = (request.buckets, request.width), (self.buckets, self.units)
        if got != have:
            raise ProofError("columns, shape", have, got)
        indices, tree = request.indices, self.output_tree
        return replace(
            request,
            hashes=tuple(tree.node(0, index) for index in indices),
            proof=tuple(tree.multi_proof(indices)),
        )

    def without_inputs(self) -> SealedPartition:
        """Return this partition after its inputs are no longer needed.

        Returns
        -------
        SealedPartition

        Examples
        --------
        >>> sealed = SealedPartition(1, 2, 2, (2,), (b"0", b"1"), inputs=(b"in 0", b"in 1"))
        >>> sealed.without_inputs().inputs
        ()
        """
        bare = replace(self, inputs=())
        vars(bare)["output_tree"] = self.output_tree
        return bare

    def to_state(self) -> dict[str, Any]:
        """Return the fields as plain values, for a store on the same machine.

        Returns
        -------
        dict of str to object

        Examples
        --------
        >>> sealed = SealedPartition(1, 2, 2, (2,), (b"0", b"1"))
        >>> SealedPartition(**sealed.to_state()) == sealed
        True
        """
        return {f.name: getattr(self, f.name) for f in fields(self)}
