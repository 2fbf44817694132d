"""An exhibit as text: who said what, and the differing records side by side.

Liars chose much of what is shown here. So it is bounded in size, whatever it claims to be; it
never holds a character that a terminal would act on; and what cannot be decoded is said to be so.
"""

from __future__ import annotations

from itertools import zip_longest

from dask_verify.core.seal import INPUT, OUTPUT
from dask_verify.evidence.enrolment.texts import safe
from dask_verify.evidence.exhibits.exhibit import Exhibit
from dask_verify.protocol.messages import MAP, READ
from dask_verify.protocol.records import Records, UnreadableError, first_difference

_WIDTH = 100
_CELL = 42  #: characters of a record on one line of its column
_LINES = 3  #: lines of a record
_AROUND = 2  #: records before and behind the first that differs
_SIDES = 8  #: leaves that are set beside the first
_SIGNED = 20  #: commitments, and leaves or answers of which there are hashes alone
_LONGEST = 1 << 16  #: characters of a record that is looked into

Side = tuple[str, bytes]


def show(exhibit: Exhibit) -> str:
    """Return an exhibit as text.

    Parameters
    ----------
    exhibit : Exhibit

    Returns
    -------
    str
        Lines of at most 100 characters.
    """
    lines = [*_head(exhibit), ""]
    sides = _sides(exhibit)
    if not sides:
        lines.append("No leaf of the differing unit was opened.")
    first = _records(sides[0][1]) if sides else ""
    for side in (sides[1:] or sides)[:_SIDES]:
        lines += [*_beside(sides[0], side, first), ""]
    if len(sides) > 1 + _SIDES:
        lines += [f"... and {len(sides) - 1 - _SIDES:,} leaves more", ""]
    lines += _some(_hashes_only(exhibit))
    return "\n".join(safe(line)[:_WIDTH].rstrip() for line in lines).rstrip()


def _head(exhibit: Exhibit) -> list[str]:
    where = f"{exhibit.stage} partition {exhibit.partition}"
    units = ", ".join(map(str, exhibit.units))
    rows = [
        ("exhibit", f"{where}, unit {units}" if units else where),
        ("job", exhibit.job.hex()),
        ("domains", " against ".join(exhibit.domains)),
        ("cause", exhibit.cause),
        ("settled", exhibit.settled),
        ("blamed", ", ".join(exhibit.culprits) or "nobody"),
        ("excused", ", ".join(exhibit.excused)),
        ("not shown", ", ".join(exhibit.unshown)),
        *(_function(exhibit, role) for role in exhibit.functions.names),
        *(("on trust", note) for note in exhibit.on_trust),
    ]
    signed = [f"{c.domain}: {c.digest.hex()}" for c in exhibit.claims]
    rows += [("signed", text) for text in _some(signed)]
    return [f"{name:<12} {text}" for name, text in rows if text]


def _function(exhibit: Exhibit, role: str) -> tuple[str, str]:
    name = exhibit.functions.names[role]
    if role in exhibit.functions.importable:
        return role, name
    what = "of a script" if name.startswith("__main__:") else "only as it was shipped"
    return role, f"{name} ({what}: replay needs --trust-code)"


def _some(lines: list[str]) -> list[str]:
    more = len(lines) - _SIGNED
    return [*lines[:_SIGNED], f"... and {more:,} more"] if more > 0 else lines


# --- who says what --------------------------------------------------------------------------


def _sides(exhibit: Exhibit) -> list[Side]:
    """Return what is known of the differing leaf, with who says so; the referee's first."""
    found: dict[bytes, list[str]] = {}
    truth = _referees(exhibit)
    if truth:
        found[truth] = ["the coordinator"]
    signers = _signers(exhibit)
    for leaf in exhibit.leaves:
        if leaf.data:
            found.setdefault(leaf.data, []).extend(signers.get((leaf.tree, leaf.root), ()))
    return [(", ".join(names), data) for data, names in found.items()]


def _signers(exhibit: Exhibit) -> dict[tuple[str, bytes], list[str]]:
    """Return who signed each root."""
    found: dict[tuple[str, bytes], dict[str, None]] = {}
    for claim in exhibit.claims:
        for tree, root in ((INPUT, claim.commitment.input_root), (OUTPUT, claim.commitment.root)):
            found.setdefault((tree, root), {})[claim.domain] = None
    return {root: list(names) for root, names in found.items()}


def _referees(exhibit: Exhibit) -> bytes:
    """Return the referee's leaf, or what it read; empty if there is none."""
    if exhibit.cause == READ and exhibit.stage == MAP and exhibit.given and exhibit.given.root:
        return exhibit.given.inputs[0]
    return exhibit.referee.leaf if exhibit.referee is not None else b""


def _hashes_only(exhibit: Exhibit) -> list[str]:
    """Say who signed hashes alone: auditors, and whoever did not open its leaf."""
    signers = _signers(exhibit)
    lines = [
        f"{', '.join(signers.get((leaf.tree, leaf.root), ()))}: leaf {leaf.index} was not opened;"
        f" its hash is {leaf.hash.hex()}"
        for leaf in exhibit.leaves
        if not leaf.data
    ]
    for answer, _ in exhibit.answers:
        what = "the partition as it read it" if answer.stage == READ else f"units {answer.units}"
        lines.append(f"{answer.domain} audited {what:.60} and signed hashes alone")
    return lines


# --- side by side ---------------------------------------------------------------------------


def _beside(one: Side, other: Side, first: Records | str | None = None) -> list[str]:
    """Return two leaves in two columns, around the first record that differs.

    The records of the first one may be given, if they have been read already.
    """
    this, that = (_records(one[1]) if first is None else first), _records(other[1])
    lines = [*_columns("", one[0], other[0]), "-" * _WIDTH]
    said = [side if isinstance(side, str) else f"{len(side):,} records" for side in (this, that)]
    lines.append(_row("", *said))
    if isinstance(this, str) or isinstance(that, str):
        return [*lines, *_first_byte(one[1], other[1])]
    try:
        return [*lines, *_difference(this, that, one[1], other[1])]
    except Exception as error:
        # A liar chose these values: they are not shown if that raises anything.
        why = str(error) if isinstance(error, UnreadableError) else type(error).__name__
        lines.append(f"(the records cannot be shown: {why:.60})")
        return [*lines, *_first_byte(one[1], other[1])]


def _records(data: bytes) -> Records | str:
    """Return the records of a leaf, or why there are none to show."""
    try:
        return Records.of(data)
    except UnreadableError as error:
        return f"({error})"


def _difference(one: Records, other: Records, *data: bytes) -> list[str]:
    """Return the records around the first that differs."""
    at = first_difference(one, other)
    if at is None:
        return _alike(one, other, *data)
    lines = [f"first difference in record {at}"]
    last = max(len(one), len(other), at + 1)
    for place in range(max(0, at - _AROUND), min(last, at + _AROUND + 1)):
        lines += _record(place, one.text(place, _LONGEST), other.text(place, _LONGEST))
    return lines


def _alike(one: Records, other: Records, *data: bytes) -> list[str]:
    """Say what tells leaves apart whose records read the same."""
    if data[0] == data[1]:
        return ["both are the same"]
    said, kinds = [[f(side) for side in (one, other)] for f in (Records.describe, _kinds)]
    if said[0] != said[1]:
        return ["the records read the same; they differ in their types", *_record("", *said)]
    if kinds[0] != kinds[1]:
        return ["the records read the same; they differ in their types", *_record("", *kinds)]
    return ["the records read the same", *_first_byte(*data)]


def _kinds(side: Records) -> str:
    rows = side.rows
    return str([type(row).__qualname__ for row in rows[:_CELL]]) if isinstance(rows, list) else ""


def _first_byte(one: bytes, other: bytes) -> list[str]:
    at = next((i for i, (x, y) in enumerate(zip(one, other, strict=False)) if x != y), None)
    if at is None:
        at = min(len(one), len(other))
    return [f"{len(one):,} and {len(other):,} bytes; they differ from byte {at:,} on"]


def _record(place: object, one: str, other: str) -> list[str]:
    """Return two records beside each other, in a few lines that show where they differ."""
    mark = " " if one == other else "*"
    at = next((i for i, (x, y) in enumerate(zip(one, other, strict=False)) if x != y), 0)
    room = _CELL * _LINES
    start = max(0, at - room // 2) if max(len(one), len(other)) > room else 0
    cut = [_window(safe(text), start, room) for text in (one, other)]
    return _columns(f"{mark}{place}", *cut)


def _columns(place: str, one: str, other: str) -> list[str]:
    """Return two texts beside each other, in as many lines as it takes."""
    pieces = [[t[i : i + _CELL] for i in range(0, len(t), _CELL)] for t in (one, other)]
    rows = zip_longest(*pieces, fillvalue="")
    return [_row("" if i else place, *row) for i, row in enumerate(rows)]


def _window(text: str, start: int, room: int) -> str:
    shown = text[start : start + room]
    head, tail = "..." if start else "", "..." if len(text) > start + room else ""
    return head + shown[len(head) : len(shown) - len(tail)] + tail


def _row(place: str, one: str, other: str) -> str:
    return f"{place:<10.10} {one:<{_CELL}.{_CELL}} | {other:.{_CELL}}"
