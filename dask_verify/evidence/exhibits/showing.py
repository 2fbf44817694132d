"""An exhibit as text: who said what, and the differing records side by side.

Liars chose much of what is shown here. So it is bounded in size, whatever it claims to be; it
never holds a character that a terminal would act on; and what cannot be decoded is said to be so.
"""

from __future__ import annotations

from itertools import zip_longest
from typing import Any

from dask_verify.core.canonical import decode_leaf
from dask_verify.core.seal import INPUT
from dask_verify.evidence.enrolment.texts import safe
from dask_verify.evidence.exhibits.exhibit import Exhibit
from dask_verify.evidence.exhibits.parts import Leaf
from dask_verify.protocol.dispute import READABLE, describe_rows, record_texts
from dask_verify.protocol.messages import MAP, READ

_WIDTH = 100
_CELL = 42  #: characters of a record on one line of its column
_LINES = 3  #: lines of a record
_AROUND = 2  #: records before and behind the first that differs
_NONE = "(no record)"

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
    for side in sides[1:] or sides:
        lines += [*_beside(sides[0], side), ""]
    lines += _hashes_only(exhibit)
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
    rows += [("signed", f"{c.domain}: {c.digest.hex()}") for c in exhibit.claims]
    return [f"{name:<12} {text}" for name, text in rows if text]


def _function(exhibit: Exhibit, role: str) -> tuple[str, str]:
    how = "" if role in exhibit.functions.importable else " (only as it was shipped)"
    return role, exhibit.functions.names[role] + how


# --- who says what --------------------------------------------------------------------------


def _sides(exhibit: Exhibit) -> list[Side]:
    """Return what is known of the differing leaf, with who says so; the referee's first."""
    found: dict[bytes, list[str]] = {}
    truth = _referees(exhibit)
    if truth:
        found[truth] = ["the coordinator"]
    for leaf in exhibit.leaves:
        if leaf.data:
            found.setdefault(leaf.data, []).extend(_signers(exhibit, leaf))
    return [(", ".join(names), data) for data, names in found.items()]


def _signers(exhibit: Exhibit, leaf: Leaf) -> list[str]:
    roots = {
        claim.domain: (claim.commitment.input_root if leaf.tree == INPUT else claim.commitment.root)
        for claim in exhibit.claims
    }
    return [name for name, root in roots.items() if root == leaf.root]


def _referees(exhibit: Exhibit) -> bytes:
    """Return the referee's leaf, or what it read; empty if there is none."""
    if exhibit.cause == READ and exhibit.stage == MAP and exhibit.given and exhibit.given.root:
        return exhibit.given.inputs[0]
    return exhibit.referee.leaf if exhibit.referee is not None else b""


def _hashes_only(exhibit: Exhibit) -> list[str]:
    """Say who signed hashes alone: auditors, and whoever did not open its leaf."""
    lines = [
        f"{', '.join(_signers(exhibit, leaf))}: leaf {leaf.index} was not opened; its hash is"
        f" {leaf.hash.hex()}"
        for leaf in exhibit.leaves
        if not leaf.data
    ]
    for answer, _ in exhibit.answers:
        what = "the partition as it read it" if answer.stage == READ else f"units {answer.units}"
        lines.append(f"{answer.domain} audited {what:.60} and signed hashes alone")
    return lines


# --- side by side ---------------------------------------------------------------------------


def _beside(one: Side, other: Side) -> list[str]:
    """Return two leaves in two columns, around the first record that differs."""
    texts = [_texts(data) for _, data in (one, other)]
    lines = [*_columns("", one[0], other[0]), "-" * _WIDTH]
    if isinstance(texts[0], str) or isinstance(texts[1], str):
        said = [t if isinstance(t, str) else f"{len(t):,} records" for t in texts]
        return [*lines, _row("", *said), *_first_byte(one[1], other[1])]
    pairs = list(zip_longest(*texts, fillvalue=_NONE))
    lines.append(_row("", *(f"{len(t):,} records" for t in texts)))
    at = next((i for i, (x, y) in enumerate(pairs) if x != y), None)
    if at is None:
        return [*lines, *_alike(one[1], other[1])]
    lines.append(f"first difference in record {at}")
    for place in range(max(0, at - _AROUND), min(len(pairs), at + _AROUND + 1)):
        lines += _record(place, *pairs[place])
    return lines


def _texts(data: bytes) -> list[str] | str:
    """Return the records of a leaf as text, or why that cannot be done."""
    if len(data) > READABLE:
        return f"({len(data):,} bytes: too many to show)"
    try:
        rows = decode_leaf(data)
        if len(rows) > READABLE:  # an index is cheap to make as long as a liar likes
            return f"({len(rows):,} records: too many to show)"
        return record_texts(rows)
    except Exception as error:
        # A liar chose these bytes: whatever decoding or showing them raises, they are no records.
        return f"({len(data):,} bytes that are no records: {type(error).__name__})"


def _alike(one: bytes, other: bytes) -> list[str]:
    """Say what tells leaves apart whose records read the same."""
    if one == other:
        return ["both are the same"]
    said = [describe_rows(decode_leaf(data)) for data in (one, other)]
    kinds = [_kinds(decode_leaf(data)) for data in (one, other)]
    if said[0] != said[1]:
        return ["the records read the same; they differ in their types", *_record("", *said)]
    if kinds[0] != kinds[1]:
        return ["the records read the same; they differ in their types", *_record("", *kinds)]
    return ["the records read the same", *_first_byte(one, other)]


def _kinds(rows: Any) -> str:
    return str([type(row).__qualname__ for row in rows][:_CELL]) if isinstance(rows, list) else ""


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
