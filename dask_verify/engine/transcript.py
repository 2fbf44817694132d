"""What one arbitration was answered with, kept while it runs.

Nothing is kept that does not lead to a root which somebody signed. Whoever refused an answer is
not asked again for the sake of an exhibit.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from dask_verify.core.merkle import BLAKE3
from dask_verify.core.proofs import height, parents, siblings, span, verify_descendants
from dask_verify.core.record import LARGEST
from dask_verify.core.seal import INPUT, Commitment, Opening, asked, asked_columns
from dask_verify.engine.reader import Reader
from dask_verify.errors import ProofError
from dask_verify.evidence.exhibits.parts import Given, Leaf, Source
from dask_verify.protocol.dispute import AskLeaves, AskNodes, Query
from dask_verify.protocol.messages import MAP, Task
from dask_verify.protocol.quorum import Claim

_WHAT = "openings"  #: what bytes that are read for an exhibit are counted as
_Tree = tuple[bytes, int]


@dataclass(frozen=True)
class Made:
    """What the referee computed, and from what.

    Parameters
    ----------
    given : Given
    runs : tuple of tuple of bytes
        Leaf hashes of each process, in the order of the tree.
    leaves : sequence of bytes
        The leaves of the first process, in that order.
    commitment : Commitment or None
        To the whole partition, if all of it was computed.
    """

    given: Given
    runs: tuple[tuple[bytes, ...], ...]
    leaves: Sequence[bytes]
    commitment: Commitment | None = None

    @property
    def stable(self) -> bool:
        """Whether the processes agree."""
        return len(set(self.runs)) == 1

    @property
    def nbytes(self) -> int:
        """Bytes of what it was computed from."""
        cells = [cell for source in self.given.sources for cell in source.leaves]
        return sum(map(len, [*self.given.inputs, *cells]))


@dataclass
class Transcript:
    """The answers of one arbitration.

    Parameters
    ----------
    task : Task
    reader : Reader
    sources : callable
        Reads the cells of some buckets of a reduce partition, from the first to before the last.
    made : Made or None
        What was recomputed.
    """

    task: Task
    reader: Reader
    sources: Callable[[int, int], tuple[Source, ...]]
    made: Made | None = None
    _openings: dict[tuple[str, bytes, int], Opening] = field(default_factory=dict)
    _nodes: dict[_Tree, dict[tuple[int, int], bytes]] = field(default_factory=dict)
    _refusing: set[str] = field(default_factory=set)

    def heard(self, query: Query, answer: Any) -> None:
        """Note the answer to a question to one side.

        Parameters
        ----------
        query : Query
            The question.
        answer : object
            What came back.
        """
        if isinstance(query, AskNodes | AskLeaves) and answer is None:
            self._refusing.add(query.request.domain)
        elif isinstance(query, AskLeaves):
            self._opened(query.request, answer)
        elif isinstance(query, AskNodes):
            with suppress(ProofError):
                self._folded(query, answer)

    # --- what is known -----------------------------------------------------------------------

    def known(self, claim: Claim, tree: str, unit: int) -> dict[int, bytes]:
        """Return the known leaf hashes of a unit of a claim's tree, by index.

        Parameters
        ----------
        claim : Claim
            Who signed what.
        tree : str
            Which of the partition's two trees.
        unit : int
            Number of the unit.

        Returns
        -------
        dict of int to bytes
        """
        request = asked(claim.commitment, tree, 0, 0, claim.domain)
        nodes = self._nodes.get((request.root, request.size), {})
        found = {at: value for (level, at), value in nodes.items() if level == 0}
        for (name, root, at), opening in self._openings.items():
            if (name, root, opening.size) == (tree, request.root, request.size):
                found[at] = BLAKE3.leaf(opening.leaves[0])
        width = claim.commitment.units if self.task.stage == MAP and tree != INPUT else LARGEST
        return {at: value for at, value in sorted(found.items()) if at % width == unit}

    def leaf(self, claim: Claim, tree: str, index: int) -> Leaf | None:
        """Return a leaf with its proof, asking for it unless that is known to be in vain.

        Parameters
        ----------
        claim : Claim
            Who signed what.
        tree : str
            Which of the partition's two trees.
        index : int
            Number of the leaf.

        Returns
        -------
        Leaf or None
        """
        request = asked(claim.commitment, tree, index, index + 1, claim.domain)
        if (tree, request.root, index) not in self._openings and request.root:
            self._ask(request)
        opening = self._openings.get((tree, request.root, index))
        if opening is not None and opening.size == request.size:
            data = opening.leaves[0]
            what = (tree, opening.root, opening.size, index, BLAKE3.leaf(data))
            return Leaf(*what, tuple(opening.proof), data)
        return self._hashed(request)

    def given(self, unit: int) -> Given | None:
        """Return the input of a map unit, if it was opened.

        Parameters
        ----------
        unit : int
            Number of the unit.

        Returns
        -------
        Given or None
        """
        for (tree, root, at), opening in self._openings.items():
            if (tree, at) == (INPUT, unit):
                return Given(unit, unit + 1, opening.leaves, root, tuple(opening.proof))
        return None

    def column(self, claim: Claim, unit: int) -> tuple[bytes, ...] | None:
        """Return the leaf hashes of a claim's unit, asking for them; None if nobody answers.

        Parameters
        ----------
        claim : Claim
            Who signed what.
        unit : int
            Number of the unit.

        Returns
        -------
        tuple of bytes or None
        """
        try:
            request = asked_columns(claim.commitment, [unit], claim.domain)
        except ProofError:
            return None
        if claim.domain in self._refusing:
            return None
        columns = self.reader.columns(request, _WHAT)
        if columns is None:
            self._refusing.add(claim.domain)
            return None
        return columns.of(unit)

    # --- parts -------------------------------------------------------------------------------

    def _ask(self, request: Opening) -> None:
        if request.domain in self._refusing:
            return
        answer = self.reader.open(request, _WHAT)
        if answer is None:
            self._refusing.add(request.domain)
        else:
            self._opened(request, answer)

    def _opened(self, request: Opening, answer: Opening) -> None:
        if request.stop - request.start == 1:
            with suppress(ProofError):
                answer.verify(request)
                self._openings[request.tree, request.root, request.start] = answer

    def _hashed(self, request: Opening) -> Leaf | None:
        """Return a leaf of which only the hash is known, with its proof from the descent."""
        nodes = self._nodes.get((request.root, request.size), {})
        places = [(0, request.start)]
        for level, pair in enumerate(siblings(request.start, request.stop, request.size)):
            places += [(level, at) for at in pair if at is not None]
        if any(place not in nodes for place in places):
            return None
        leaf, *proof = (nodes[place] for place in places)
        return Leaf(request.tree, request.root, request.size, request.start, leaf, tuple(proof))

    def _folded(self, query: AskNodes, answer: Sequence[bytes]) -> None:
        """Keep the hashes from what was answered up to a node that is known."""
        size, level, index, depth = query.request.size, query.level, query.index, query.depth
        root = query.request.root
        nodes = self._nodes.setdefault((root, size), {(height(size), 0): root})
        verify_descendants(
            BLAKE3, size, level, index, depth, answer, nodes.get((level, index), b"")
        )
        low, first, _ = span(size, level, index, depth)
        row = list(answer)
        for up in range(level - low):
            nodes |= {(low + up, (first >> up) + at): value for at, value in enumerate(row)}
            row = parents(BLAKE3, row)
