"""What the coordinator holds itself, proven as anybody's: it may be something else by now.

Whatever made a partition last has replaced what was there before, and a disk may have damaged it.
"""

from __future__ import annotations

from typing import TypeVar

from dask_verify.core.seal import Columns, Opening, SealedPartition
from dask_verify.engine.store import Address, Store
from dask_verify.errors import ProofError

Asked = TypeVar("Asked", Opening, Columns)


def own_answer(store: Store, request: Asked) -> Asked | None:
    """Return the leaves of a range, or the leaf hashes of whole units.

    Parameters
    ----------
    store : Store
        Where the coordinator keeps what it made.
    request : Opening or Columns
        What is asked for.

    Returns
    -------
    Opening or Columns, or None
        None if it is not there as it was committed to.
    """
    try:
        kept = _kept(store, request)
        answer = kept.open(request) if isinstance(request, Opening) else kept.columns(request)
        answer.verify(request)
    except (KeyError, ProofError):
        return None
    return answer


def own_nodes(
    store: Store, request: Opening, level: int, index: int, depth: int
) -> list[bytes] | None:
    """Return hashes of a tree.

    Parameters
    ----------
    store : Store
        Where the coordinator keeps what it made.
    request : Opening
        Which tree.
    level, index : int
        The node.
    depth : int
        How many levels below it.

    Returns
    -------
    list of bytes or None
        None if that tree is not there.
    """
    try:
        tree, leaves = _kept(store, request).tree(request.tree)
    except KeyError:
        return None
    same = (tree.root, len(leaves)) == (request.root, request.size)
    return tree.descendants(level, index, depth) if same else None


def _kept(store: Store, request: Opening | Columns) -> SealedPartition:
    return store[Address(request.job, request.stage, request.partition)]
