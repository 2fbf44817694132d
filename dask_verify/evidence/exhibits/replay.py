"""Computing an exhibit's unit again, in fresh processes, and saying who was right.

1. What needs no code (a wrong opening, what was read) is decided from the exhibit.
2. The functions are taken by name, or as they were shipped where the user trusts whoever made the
   exhibit.
3. Two fresh processes compute the unit under different hash seeds, one of them twice. What differs
   there convicts nobody.
4. What came out is held against everything that was signed, and against what the exhibit says.

Nothing but a recomputation that agrees in everything confirms an exhibit.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence
from dataclasses import astuple, dataclass
from typing import Any

from dask_verify.core.canonical import decode
from dask_verify.core.merkle import MerkleTree
from dask_verify.core.seal import Commitment
from dask_verify.errors import CodeRefusedError, DecodingError
from dask_verify.evidence.exhibits.checks import units_under
from dask_verify.evidence.exhibits.exhibit import SERVE, Exhibit
from dask_verify.evidence.exhibits.names import check_name
from dask_verify.evidence.exhibits.parts import Given
from dask_verify.evidence.exhibits.process import DONE, REFUSED, Order
from dask_verify.evidence.exhibits.truth import Truth, reading_of
from dask_verify.protocol.domain import COORDINATOR
from dask_verify.protocol.messages import MAP, READ

TIMEOUT = 600.0  #: seconds that a fresh process may take
_PROCESSES = 2
_TEXT = 2000

Column = tuple[int, tuple[tuple[bytes, int, int], ...]]
"""Records that a unit is computed from; and hash, bytes and records of each of its leaves."""


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
    """

    confirmed: bool
    contradicted: tuple[str, ...]
    said: str
    code: str
    on_trust: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON values."""
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
    """
    if exhibit.cause == SERVE:
        who = exhibit.culprits
        said = f"{_who(who)} signed an opening that is not what it had committed to"
        return _replay(exhibit, not exhibit.unshown, who, said, "none")
    if exhibit.given is None:
        return _unsaid(exhibit, "the exhibit holds nothing to compute from")
    if exhibit.cause == READ:
        return _read(exhibit)
    code = "shipped" if trust_code else "named"
    runs = _runs(_order(exhibit, exhibit.given, trust_code, tuple(trusted)), timeout)
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


def _read(exhibit: Exhibit) -> Replay:
    told = exhibit.told
    if told is None or told.reading is None:
        return _unsaid(exhibit, "only the source tells what was to be read")
    who = exhibit.contradicted(told)
    said = f"the coordinator read the source again, and {_who(who)} signed something else"
    return _replay(exhibit, bool(who) and not exhibit.unshown, tuple(who), said, "none")


def _judged(exhibit: Exhibit, given: Given, columns: tuple[Column, ...], code: str) -> Replay:
    truth = _truth(exhibit, given, columns)
    found = exhibit.contradicted(truth)
    if exhibit.referee is not None and not exhibit.referee.stable:
        said = "the processes agree here, and did not where the exhibit was made"
        return _replay(exhibit, False, tuple(found), said, code)
    if exhibit.referee is not None and exhibit.referee.hashes() != truth.hashes:
        said = (
            "the recomputation gives something else than the coordinator says that it gave;"
            f" it contradicts {_who(found)}, and the exhibit blames {_who(exhibit.culprits)}"
        )
        return _replay(exhibit, False, tuple(found), said, code)
    blamed = {*exhibit.culprits, *exhibit.excused}
    said = f"the recomputation contradicts {_who(found)}"
    if found != blamed:
        said += f", and the exhibit says {_who(blamed)}"
    elif not found:
        said += ", and the exhibit blames nobody"
    return _replay(exhibit, found == blamed and bool(found), tuple(found), said, code)


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
    reading = None if whole is None or exhibit.stage != MAP else reading_of(whole)
    return Truth(exhibit.stage, given.start, given.stop, hashes, whole, reading)


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
    return units_under(exhibit, given.root) if given.root else 1


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


def _runs(order: Order, timeout: float) -> list[tuple[Column, ...]] | str:
    """Compute in fresh processes side by side; why there is no answer, if there is none."""
    seeds = random.SystemRandom().sample(range(1, 2**32 - 1), _PROCESSES)
    answers: list[Any] = [None] * _PROCESSES

    def one(at: int) -> None:
        again = Order(**{**vars(order), "again": at > 0})
        answers[at] = _process(again.to_bytes(), seeds[at], timeout)

    threads = [threading.Thread(target=one, args=(at,)) for at in range(_PROCESSES)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return _agreed(answers, order)


def _agreed(answers: Sequence[Any], order: Order) -> list[tuple[Column, ...]] | str:
    for answer in answers:
        match answer:
            case (str(kind), str(what), str(expected), str(got)) if kind == REFUSED:
                raise CodeRefusedError(what, expected, got)
            case (str(kind), tuple(columns)) if kind == DONE:
                if len(columns) != len(order.payloads):
                    return "a fresh process gave no proper answer"
            case str():
                return str(answer)
            case (_, str(text)):
                return f"the functions failed:\n{text[-_TEXT:]}"
            case _:
                return "a fresh process gave no proper answer"
    return [answer[1] for answer in answers]


def _process(data: bytes, seed: int, timeout: float) -> Any:
    """Run one process; what it answered, or as text why it did not."""
    process = subprocess.Popen(
        # Without the current folder: what lies beside an exhibit must not be imported.
        [sys.executable, "-P", "-m", "dask_verify.evidence.exhibits.process"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=os.environ | {"PYTHONHASHSEED": str(seed)},
        start_new_session=True,
    )
    try:
        output, errors = process.communicate(data, timeout)
    except subprocess.TimeoutExpired:
        # It and whatever it has started.
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        return f"a fresh process took more than {timeout:g} s; allow more with --timeout"
    try:
        return decode(output)
    except DecodingError:
        last = errors.decode(errors="replace")[-_TEXT:]
        return f"a fresh process ended with code {process.returncode}:\n{last}"
