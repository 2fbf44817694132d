"""Computing an exhibit's unit again, in fresh processes, and saying who was right.

1. What needs no code is decided from the exhibit: a wrong opening, and who read something else than
   the coordinator says that the source holds.
2. The functions are taken by name, or as they were shipped where the user trusts whoever made the
   exhibit.
3. Two fresh processes compute the unit under different hash seeds, one of them twice. What differs
   there convicts nobody.
4. What came out is held against everything that was signed, and against what the exhibit says.

What a domain computed is held against it only by a recomputation that agrees in everything, from
an input that it signed; what it served, by its own signature; and what it read, by the
coordinator's word alone, which the outcome says.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import astuple, dataclass
from typing import Any

from dask_verify.core.merkle import MerkleTree
from dask_verify.core.seal import Commitment
from dask_verify.errors import CodeRefusedError
from dask_verify.evidence.exhibits.checks import units_under
from dask_verify.evidence.exhibits.exhibit import ELSEWHERE, SERVE, Exhibit
from dask_verify.evidence.exhibits.names import check_name
from dask_verify.evidence.exhibits.parts import Given
from dask_verify.evidence.exhibits.process import Order
from dask_verify.evidence.exhibits.running import TIMEOUT, Column, run
from dask_verify.evidence.exhibits.truth import Truth, gainsays, reading_of
from dask_verify.protocol.domain import COORDINATOR
from dask_verify.protocol.messages import MAP, READ

__all__ = ["TIMEOUT", "Replay", "replay"]


@dataclass(frozen=True)
class Replay:
    """What came of a replay.

    Parameters
    ----------
    confirmed : bool
        Whether it bears out all that the exhibit says.
    contradicted : tuple of str
        Whom it contradicts.
    said : str
        In one sentence.
    code : {"shipped", "named", "none"}
        Where the functions came from.
    on_trust : tuple of str
        What rests on the coordinator's word even so.

    Examples
    --------
    >>> Replay(True, ("bob",), "bob signed something else", "named", ()).contradicted
    ('bob',)
    """

    confirmed: bool
    contradicted: tuple[str, ...]
    said: str
    code: str
    on_trust: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON values.

        Returns
        -------
        dict of str to object

        Examples
        --------
        >>> Replay(True, ("bob",), "bob signed something else", "named", ()).to_dict()["confirmed"]
        True
        """
        return {
            "confirmed": self.confirmed,
            "contradicted": list(self.contradicted),
            "said": self.said,
            "code": self.code,
            "on_trust": list(self.on_trust),
        }


def replay(
    exhibit: Exhibit,
    trust_code: bool = False,
    trusted: Sequence[str] = (),
    timeout: float = TIMEOUT,
) -> Replay:
    """Compute an exhibit's unit again and say who was right.

    Parameters
    ----------
    exhibit : Exhibit
    trust_code : bool
        Load the functions as they were shipped: a pickle, which may do anything.
    trusted : sequence of str
        Installed packages whose functions may be called by name.
    timeout : float
        Seconds that each process may take.

    Returns
    -------
    Replay

    Raises
    ------
    CodeRefusedError
        If the functions may not be run.
    InputError
        If the timeout is none.

    Examples
    --------
    >>> found = replay(exhibit, trusted=("nltk",))  # doctest: +SKIP
    >>> found.confirmed, found.contradicted  # doctest: +SKIP
    (True, ('bob',))
    """
    if exhibit.cause == SERVE:
        return _served(exhibit)
    if exhibit.given is None:
        return _nothing(exhibit)
    if exhibit.cause == READ:
        found = _misread(exhibit)
        if found is None:
            return _unsaid(exhibit, "only the source tells what was to be read")
        if found >= _blamed(exhibit):
            return _read(exhibit, found)
    code = "shipped" if trust_code else "named"
    runs = run(_order(exhibit, exhibit.given, trust_code, tuple(trusted)), timeout)
    if isinstance(runs, str):
        return _unsaid(exhibit, runs, code)
    if len(set(runs)) > 1:
        return _unstable(exhibit, code)
    return _judged(exhibit, exhibit.given, runs[0], code)


# --- what it comes to -----------------------------------------------------------------------


def _replay(
    exhibit: Exhibit, confirmed: bool, contradicted: Sequence[str], said: str, code: str
) -> Replay:
    return Replay(confirmed, tuple(sorted(contradicted)), said, code, exhibit.on_trust)


def _unsaid(exhibit: Exhibit, why: str, code: str = "none") -> Replay:
    return _replay(exhibit, False, (), f"nobody can say who was right: {why}", code)


def _unstable(exhibit: Exhibit, code: str) -> Replay:
    known = exhibit.referee is not None and not exhibit.referee.stable
    said = "the functions are not deterministic: two processes computed different things"
    return _replay(exhibit, known and not exhibit.culprits, (), f"{said}; nobody is to blame", code)


def _served(exhibit: Exhibit) -> Replay:
    """Say whom a signed opening convicts: the checks hold it against what was committed to."""
    who = exhibit.culprits or exhibit.excused
    said = f"{_who(who)} signed an opening that is not what it had committed to"
    if not exhibit.culprits:
        said += ", and the exhibit blames nobody"
    return _replay(exhibit, bool(exhibit.culprits) and not exhibit.unshown, who, said, "none")


def _nothing(exhibit: Exhibit) -> Replay:
    """Say why there is nothing to compute from."""
    if exhibit.settled != ELSEWHERE:
        return _unsaid(exhibit, "the exhibit holds nothing to compute from")
    said = (
        f"this divergence was not arbitrated: {_who(exhibit.culprits)} had been shown to be wrong"
        " by another exhibit of the same job; replay that one"
    )
    return _replay(exhibit, False, (), said, "none")


def _blamed(exhibit: Exhibit) -> frozenset[str]:
    return frozenset((*exhibit.culprits, *exhibit.excused))


def _misread(exhibit: Exhibit) -> frozenset[str] | None:
    """Return who read something else than the source holds, by the coordinator's word."""
    told = exhibit.told
    if told is None or told.reading is None:
        return None
    names = {c.domain for c in exhibit.claims if reading_of(c.commitment) != told.reading}
    answers = [answer for answer, _ in exhibit.answers if answer.stage == READ]
    return frozenset(names | {a.domain for a in answers if gainsays(told, a, exhibit.given)})


def _read(exhibit: Exhibit, who: frozenset[str]) -> Replay:
    said = f"the coordinator read the source again, and {_who(who)} signed something else"
    good = bool(who) and who == _blamed(exhibit) and not exhibit.unshown
    return _replay(exhibit, good, tuple(who), said, "none")


def _judged(exhibit: Exhibit, given: Given, columns: tuple[Column, ...], code: str) -> Replay:
    truth = _truth(exhibit, given, columns)
    found = exhibit.contradicted(truth)
    if exhibit.referee is not None and not exhibit.referee.stable:
        said = "the processes agree here, and did not where the exhibit was made"
        return _replay(exhibit, False, tuple(found), said, code)
    if not _as_told(exhibit, truth):
        said = (
            "the recomputation gives something else than the coordinator says that it gave;"
            f" it contradicts {_who(found)}, and the exhibit blames {_who(exhibit.culprits)}"
        )
        return _replay(exhibit, False, tuple(found), said, code)
    blamed = _blamed(exhibit)
    said = f"the recomputation contradicts {_who(found)}"
    if found != blamed:
        said += f", and the exhibit says {_who(blamed)}"
    elif not found:
        said += ", and the exhibit blames nobody"
    good = found == blamed and bool(found) and not exhibit.unshown
    return _replay(exhibit, good, tuple(found), said, code)


def _as_told(exhibit: Exhibit, truth: Truth) -> bool:
    """Whether a recomputation gives what the coordinator says that its own gave."""
    referee = exhibit.referee
    if referee is None:
        return True
    whole = referee.commitment
    if whole is not None and truth.whole is not None and whole.digest != truth.whole.digest:
        return False
    return referee.hashes() == truth.hashes


def _who(names: Any) -> str:
    return " and ".join(sorted(names)) or "nobody"


def _truth(exhibit: Exhibit, given: Given, columns: tuple[Column, ...]) -> Truth:
    """Return what was recomputed, in the order of the tree."""
    rows = [leaves for _, leaves in columns]
    if exhibit.stage == MAP:
        rows = list(zip(*rows, strict=True))
    hashes = tuple(leaf[0] for row in rows for leaf in row)
    whole = None
    if (given.start, given.stop) == (0, _units(exhibit, given)):
        whole = _whole(exhibit, given, columns, hashes)
    found = (exhibit.stage, given.start, given.stop, hashes, whole)
    if exhibit.cause == READ and exhibit.told is not None:
        return Truth(*found, exhibit.told.reading, source=True)
    return Truth(*found, None if whole is None or exhibit.stage != MAP else reading_of(whole))


def _whole(
    exhibit: Exhibit, given: Given, columns: tuple[Column, ...], hashes: tuple[bytes, ...]
) -> Commitment:
    """Return the commitment to a partition of which everything was recomputed."""
    shape, mapping = exhibit.shape, exhibit.stage == MAP
    return Commitment(
        job=exhibit.job,
        stage=exhibit.stage,
        partition=exhibit.partition,
        domain=COORDINATOR,
        inputs=exhibit.inputs,
        buckets=shape.buckets if mapping else shape.run,
        units=len(columns) if mapping else 1,
        records_in=sum(records for records, _ in columns),
        counts=_counts(exhibit, [leaves for _, leaves in columns]),
        nbytes=sum(leaf[1] for _, leaves in columns for leaf in leaves),
        input_root=given.root,
        root=MerkleTree.from_leaf_hashes(hashes).root,
    )


def _counts(exhibit: Exhibit, columns: Sequence[Sequence[tuple[Any, ...]]]) -> tuple[int, ...]:
    """Return the output records for each reduce partition, or for each bucket of one."""
    if exhibit.stage != MAP:
        return tuple(leaf[2] for column in columns for leaf in column)
    totals = [sum(leaf[2] for leaf in row) for row in zip(*columns, strict=True)]
    run = exhibit.shape.run
    return tuple(sum(totals[at : at + run]) for at in range(0, len(totals), run))


def _units(exhibit: Exhibit, given: Given) -> int:
    """Return how many units the partition has that is given, or a unit of it."""
    if exhibit.stage != MAP:
        return exhibit.shape.run
    return units_under(exhibit, given) if given.root else 1


# --- fresh processes ------------------------------------------------------------------------


def _order(exhibit: Exhibit, given: Given, trust_code: bool, trusted: tuple[str, ...]) -> Order:
    """Return what to compute; refuses what may not be run before anything is."""
    functions = exhibit.functions
    if not trust_code:
        for role, name in functions.names.items():
            check_name(role, name)
            if role not in functions.importable:
                raise CodeRefusedError(
                    role,
                    "a function that its name leads to",
                    f"{name:.200}; --trust-code loads it as it was shipped: a pickle, which may do"
                    " anything",
                )
        if exhibit.shape.types:
            raise CodeRefusedError(
                "types",
                "none of the user's own, since only the shipped pickle has them",
                f"{', '.join(exhibit.shape.types):.200}; pass --trust-code if you trust whoever"
                " made the exhibit",
            )
    units = range(given.start, given.stop)
    return Order(
        shipped=functions.shipped if trust_code else b"",
        names=tuple(functions.names.items()),
        trusted=trusted,
        shape=astuple(exhibit.shape),
        stage=exhibit.stage,
        partition=exhibit.partition,
        payloads=tuple((unit, given.payload(exhibit.stage, unit)) for unit in units),
        again=False,
    )
