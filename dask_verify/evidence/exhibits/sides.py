"""Who says what about the differing leaf of an exhibit."""

from __future__ import annotations

from typing import NamedTuple

from dask_verify.core.seal import INPUT, OUTPUT
from dask_verify.evidence.exhibits.exhibit import Exhibit
from dask_verify.protocol.messages import MAP, READ


class Side(NamedTuple):
    """One leaf, and who says that it is the one.

    Parameters
    ----------
    signers : tuple of str
    data : bytes
    referee : bool
        Whether it is what the coordinator computed, or read: no domain can take that place.
    """

    signers: tuple[str, ...]
    data: bytes
    referee: bool = False

    @property
    def title(self) -> str:
        """Who says it, as text."""
        return ", ".join([*["the coordinator"] * self.referee, *self.signers])


def sides(exhibit: Exhibit) -> list[Side]:
    """Return what is known of the differing leaf, with who says so; the referee's first.

    Parameters
    ----------
    exhibit : Exhibit
        The exhibit.

    Returns
    -------
    list of Side
    """
    truth = _referees(exhibit)
    found: dict[bytes, list[str]] = {truth: []} if truth else {}
    by_root = signers(exhibit)
    for leaf in exhibit.leaves:
        if leaf.data:
            found.setdefault(leaf.data, []).extend(by_root.get((leaf.tree, leaf.root), ()))
    return [Side(tuple(names), data, data == truth) for data, names in found.items()]


def signers(exhibit: Exhibit) -> dict[tuple[str, bytes], list[str]]:
    """Return who signed each root, by tree and root.

    Parameters
    ----------
    exhibit : Exhibit
        The exhibit.

    Returns
    -------
    dict of (str, bytes) to list of str
        The tree is ``"input"`` or ``"output"``.
    """
    found: dict[tuple[str, bytes], dict[str, None]] = {}
    for claim in exhibit.claims:
        for tree, root in ((INPUT, claim.commitment.input_root), (OUTPUT, claim.commitment.root)):
            found.setdefault((tree, root), {})[claim.domain] = None
    return {root: list(names) for root, names in found.items()}


def hashes_only(exhibit: Exhibit) -> list[str]:
    """Say who signed hashes alone: auditors, and whoever did not open its leaf.

    Parameters
    ----------
    exhibit : Exhibit
        The exhibit.

    Returns
    -------
    list of str
        One line for each.
    """
    by_root = signers(exhibit)
    lines = [
        f"{', '.join(by_root.get((leaf.tree, leaf.root), ()))}: leaf {leaf.index} was not opened;"
        f" its hash is {leaf.hash.hex()}"
        for leaf in exhibit.leaves
        if not leaf.data
    ]
    for answer, _ in exhibit.answers:
        what = "the partition as it read it" if answer.stage == READ else f"units {answer.units}"
        lines.append(f"{answer.domain} audited {what:.60} and signed hashes alone")
    return lines


def _referees(exhibit: Exhibit) -> bytes:
    """Return the referee's leaf, or what it read; empty if there is none."""
    if exhibit.cause == READ and exhibit.stage == MAP and exhibit.given and exhibit.given.root:
        return exhibit.given.inputs[0]
    return exhibit.referee.leaf if exhibit.referee is not None else b""
