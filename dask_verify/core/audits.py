"""What a sampled audit compares: columns opened by whoever committed, answers signed by auditors.

What this module guarantees:

* Columns are believed only if their hashes stand at the asked units of the asked root; whoever
  sent them need not have signed.
* An answer names the questions that it answers by their hashes, so that it can be checked later
  what an auditor was given.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

from dask_verify.core.canonical import encode
from dask_verify.core.hashers import BLAKE3
from dask_verify.core.multiproof import require_indices, verify_leaves
from dask_verify.core.record import LARGEST, Record, digest
from dask_verify.errors import DecodingError, ProofError

if TYPE_CHECKING:
    from dask_verify.core.seal import Commitment

ANSWER_CONTEXT = "audit answer"
"""Context in which auditors sign."""

_READ, _MAP, _REDUCE = "read", "map", "reduce"


def answer_digest(payload: bytes) -> bytes:
    """Return what stands for an answer in a receipt, 32 bytes.

    Parameters
    ----------
    payload : bytes
        The encoded answer.

    Returns
    -------
    bytes

    Examples
    --------
    >>> asked = map_question(b"input of unit 7")
    >>> answer = Answer(b"j", "map", 0, "bob", b"i", (7,), (asked,), (b"h" * 32,), ())
    >>> len(answer_digest(answer.to_bytes()))
    32
    """
    return digest("answer", payload)


def answer_statement(
    job: bytes, stage: str, partition: int, inputs: bytes, units: tuple[int, ...], digest: bytes
) -> bytes:
    """Return what an auditor signs: what it was asked, and the digest of its answer.

    So it can confirm many answers at once, and a receipt need not hold what they say.

    Parameters
    ----------
    job : bytes
    stage : {"read", "map", "reduce"}
    partition : int
    inputs : bytes
        Digest of the assigned inputs.
    units : tuple of int
    digest : bytes
        As `answer_digest` returns it.

    Returns
    -------
    bytes

    Examples
    --------
    >>> one = answer_statement(b"j", "map", 0, b"i", (7,), b"d" * 32)
    >>> one == answer_statement(b"j", "map", 0, b"i", (8,), b"d" * 32)
    False
    """
    return encode((job, stage, partition, inputs, units, digest))


@dataclass(frozen=True)
class Columns(Record):
    """Leaf hashes of whole units of a sealed partition, with one proof that they belong.

    Unit ``c`` of a map partition is the column of leaves ``b * width + c`` for all buckets ``b``;
    a unit of a reduce partition is a bucket, and that is one leaf.

    Parameters
    ----------
    job : bytes
    stage : {"map", "reduce"}
    partition : int
    domain : str
        Who answers.
    root : bytes
        Root over the cells.
    buckets, width : int
        Shape of the grid: buckets, and units in the whole partition (1 for a reduce partition).
    units : tuple of int
        Which ones are asked for, strictly increasing.
    hashes : tuple of bytes
        Leaf hashes in the order of the tree; none in a request.
    proof : tuple of bytes
        As `MerkleTree.multi_proof` returns it; none in a request.

    Examples
    --------
    >>> from dask_verify.core.seal import SealedPartition
    >>> sealed = SealedPartition(2, 3, 3, (6,), (b"0", b"1", b"2", b"3", b"4", b"5"))
    >>> request = asked_columns(sealed.commit(b"job", "map", 0, "bob", b"in"), [1], "bob")
    >>> columns = sealed.columns(request)
    >>> columns.verify(request)
    >>> columns.of(1) == (BLAKE3.leaf(b"1"), BLAKE3.leaf(b"4"))
    True
    """

    job: bytes
    stage: str
    partition: int
    domain: str
    root: bytes
    buckets: int
    width: int
    units: tuple[int, ...]
    hashes: tuple[bytes, ...] = ()
    proof: tuple[bytes, ...] = ()

    @property
    def indices(self) -> tuple[int, ...]:
        """Positions of the units' leaves in the tree, strictly increasing."""
        if self.stage == _REDUCE:
            return self.units
        return tuple(b * self.width + c for b in range(self.buckets) for c in self.units)

    def of(self, unit: int) -> tuple[bytes, ...]:
        """Return the leaf hashes of one of the units, in the order of the buckets.

        Parameters
        ----------
        unit : int
            Number of the unit.

        Returns
        -------
        tuple of bytes

        Raises
        ------
        ProofError
            If the unit was not asked for.

        Examples
        --------
        >>> hashes = (b"a", b"b", b"c", b"d")
        >>> columns = Columns(b"j", "map", 0, "bob", b"r" * 32, 2, 3, (0, 2), hashes)
        >>> columns.of(0), columns.of(2)
        ((b'a', b'c'), (b'b', b'd'))
        """
        if unit not in self.units:
            raise ProofError("unit", f"one of {self.units}", unit)
        return self.hashes[self.units.index(unit) :: len(self.units)]

    def verify(self, expected: Columns) -> None:
        """Check that the hashes are those of the asked units of the asked root.

        Parameters
        ----------
        expected : Columns
            What was asked for (see `asked_columns`).

        Raises
        ------
        ProofError
            If something else was answered, or the hashes do not belong to the root.

        Examples
        --------
        >>> from dask_verify.core.seal import SealedPartition
        >>> sealed = SealedPartition(1, 2, 3, (6,), (b"0", b"1"))
        >>> request = asked_columns(sealed.commit(b"job", "map", 0, "bob", b"in"), [1], "bob")
        >>> other = asked_columns(sealed.commit(b"job", "map", 0, "bob", b"in"), [0], "bob")
        >>> sealed.columns(request).verify(request)
        >>> sealed.columns(request).verify(other)
        Traceback (most recent call last):
            ...
        dask_verify.errors.ProofError: columns, units: expected (0,), got (1,)
        """
        for f in fields(self):
            got, want = getattr(self, f.name), getattr(expected, f.name)
            if f.name not in ("hashes", "proof") and got != want:
                raise ProofError(f"columns, {f.name}", want, got)
        leaves = len(self.units) * (1 if self.stage == _REDUCE else self.buckets)
        if len(self.hashes) != leaves:
            # Looked at first: a commitment may claim more buckets than there is memory for indices.
            raise ProofError("number of leaf hashes", leaves, len(self.hashes))
        size = self.buckets * self.width
        verify_leaves(BLAKE3, self.indices, size, self.hashes, self.proof, self.root)

    @classmethod
    def _types(cls) -> dict[str, type]:
        return (
            dict.fromkeys(("partition", "buckets", "width"), int)
            | dict.fromkeys(("stage", "domain"), str)
            | dict.fromkeys(("job", "root"), bytes)
            | dict.fromkeys(("units", "hashes", "proof"), tuple)
        )

    def check(self) -> None:
        """Check also units, hashes and proof.

        Raises
        ------
        DecodingError
            If units, hashes, counts or proof do not belong to each other.
        """
        super().check()
        _require_hashes("Columns", (self.root, *self.hashes, *self.proof))
        try:
            _require_units(self)
        except ProofError as error:
            raise DecodingError(f"Columns: {error}") from None


def asked_columns(commitment: Commitment, units: Sequence[int], domain: str) -> Columns:
    """Return the request for some units of a partition: columns still without hashes.

    Parameters
    ----------
    commitment : Commitment
        To the partition.
    units : sequence of int
        Which units: of a map partition its units, of a reduce partition its buckets.
    domain : str
        Who is asked.

    Returns
    -------
    Columns

    Raises
    ------
    ProofError
        If there is no unit, they do not increase, or the partition has no such unit.

    Examples
    --------
    >>> from dask_verify.core.seal import SealedPartition
    >>> sealed = SealedPartition(2, 3, 3, (6,), (b"0", b"1", b"2", b"3", b"4", b"5"))
    >>> commitment = sealed.commit(b"job", "map", 0, "bob", b"in")
    >>> asked_columns(commitment, [1], "bob").indices
    (1, 4)
    """
    request = Columns(
        job=commitment.job,
        stage=commitment.stage,
        partition=commitment.partition,
        domain=domain,
        root=commitment.root,
        buckets=commitment.buckets,
        width=commitment.units,
        units=tuple(units),
    )
    _require_units(request)
    return request


def _require_units(columns: Columns) -> None:
    if columns.stage not in (_MAP, _REDUCE):
        raise ProofError("stage of columns", f"{_MAP!r} or {_REDUCE!r}", columns.stage)
    if columns.stage == _REDUCE and columns.width != 1:
        raise ProofError("units beside each other in a reduce partition", 1, columns.width)
    if columns.buckets * columns.width > LARGEST:
        raise ProofError("number of cells", f"at most {LARGEST}", columns.buckets * columns.width)
    there = columns.buckets if columns.stage == _REDUCE else columns.width
    require_indices(columns.units, there, "units")


@dataclass(frozen=True)
class Answer(Record):
    """What an auditor signs: what it was given, and the leaves that it computed from that.

    Parameters
    ----------
    job : bytes
    stage : {"read", "map", "reduce"}
    partition : int
    domain : str
        The auditor.
    inputs : bytes
        Digest of the inputs that were assigned, as in the audited commitment.
    units : tuple of int
        What was recomputed; none for ``"read"``.
    questions : tuple of bytes
        For each unit the hash of what it was computed from: `map_question`, `reduce_question`.
    hashes : tuple of bytes
        Leaf hashes. ``"map"``: the column of each unit, one after the other. ``"reduce"``: one
        for each bucket. ``"read"``: the input root.
    counts : tuple of int
        ``"read"``: records and units of the partition; else nothing.

    Examples
    --------
    >>> asked = map_question(b"input of unit 7")
    >>> one = Answer(b"j", "map", 0, "bob", b"i", (7,), (asked,), (b"h" * 32,), ())
    >>> Answer.from_bytes(one.to_bytes()) == one
    True
    """

    job: bytes
    stage: str
    partition: int
    domain: str
    inputs: bytes
    units: tuple[int, ...]
    questions: tuple[bytes, ...]
    hashes: tuple[bytes, ...]
    counts: tuple[int, ...]

    def statement(self) -> bytes:
        """Return what is signed, see `answer_statement`.

        Returns
        -------
        bytes

        Examples
        --------
        >>> asked = map_question(b"input of unit 7")
        >>> answer = Answer(b"j", "map", 0, "bob", b"i", (7,), (asked,), (b"h" * 32,), ())
        >>> said = answer_digest(answer.to_bytes())
        >>> answer.statement() == answer_statement(b"j", "map", 0, b"i", (7,), said)
        True
        """
        said = (self.inputs, self.units, answer_digest(self.to_bytes()))
        return answer_statement(self.job, self.stage, self.partition, *said)

    @classmethod
    def _types(cls) -> dict[str, type]:
        return (
            dict.fromkeys(("stage", "domain"), str)
            | dict.fromkeys(("job", "inputs"), bytes)
            | dict.fromkeys(("units", "questions", "hashes", "counts"), tuple)
            | {"partition": int}
        )

    def check(self) -> None:
        """Check also units, hashes and counts.

        Raises
        ------
        DecodingError
            If units, hashes, counts or proof do not belong to each other.
        """
        super().check()
        _require_hashes("Answer", self.questions + self.hashes)
        if not all(type(n) is int and 0 <= n <= LARGEST for n in self.units + self.counts):
            raise DecodingError("Answer: expected units and counts as whole numbers")
        if self.stage not in (_READ, _MAP, _REDUCE):
            raise DecodingError("Answer.stage: expected 'read', 'map' or 'reduce'")
        if len(self.questions) != len(self.units):
            raise DecodingError("Answer: expected one question for each unit")


def map_question(unit_input: bytes) -> bytes:
    """Return the hash of a map unit's input: the leaf hash that the input root is made of.

    Parameters
    ----------
    unit_input : bytes
        Canonical bytes of the unit's input.

    Returns
    -------
    bytes

    Examples
    --------
    >>> map_question(b"input") == BLAKE3.leaf(b"input")
    True
    """
    return BLAKE3.leaf(unit_input)


def reduce_question(cells: Sequence[bytes]) -> bytes:
    """Return the hash of a bucket's cells.

    Parameters
    ----------
    cells : sequence of bytes
        The bucket's cells, map partition by map partition.

    Returns
    -------
    bytes

    Examples
    --------
    >>> reduce_question([b"ab"]) == reduce_question([b"a", b"b"])
    False
    """
    return digest("cells", encode(tuple(cells)))


def _require_hashes(what: str, values: Sequence[object]) -> None:
    if not all(type(value) is bytes and len(value) == BLAKE3.size for value in values):
        raise DecodingError(f"{what}: expected hashes of {BLAKE3.size} bytes")
