"""An exhibit as text: who said what, and the differing records side by side.

Liars chose much of what is shown here. So it is bounded in size, whatever it claims to be; it
never holds a character that a terminal would act on; and what cannot be decoded is said to be so.
"""

from __future__ import annotations

from itertools import zip_longest

from dask_verify.evidence.enrolment.texts import safe
from dask_verify.evidence.exhibits.comparison import Compared, compare, records_of
from dask_verify.evidence.exhibits.exhibit import Exhibit
from dask_verify.evidence.exhibits.sides import hashes_only, sides
from dask_verify.protocol.divergence import settled_for_people
from dask_verify.protocol.records import Records

_WIDTH = 100
_CELL = 42  #: characters of a record on one line of its column
_LINES = 3  #: lines of a record
_SIDES = 8  #: leaves that are set beside the first
_SIGNED = 20  #: commitments, and leaves or answers of which there are hashes alone

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
    found = [(side.title, side.data) for side in sides(exhibit)]
    if not found:
        lines.append("No leaf of the differing unit was opened.")
    first = records_of(found[0][1]) if found else ""
    for side in (found[1:] or found)[:_SIDES]:
        lines += [*_beside(found[0], side, first), ""]
    if len(found) > 1 + _SIDES:
        lines += [f"... and {len(found) - 1 - _SIDES:,} leaves more", ""]
    lines += _some(hashes_only(exhibit))
    return "\n".join(safe(line)[:_WIDTH].rstrip() for line in lines).rstrip()


def _head(exhibit: Exhibit) -> list[str]:
    where = f"{exhibit.stage} partition {exhibit.partition}"
    units = ", ".join(map(str, exhibit.units))
    rows = [
        ("exhibit", f"{where}, unit {units}" if units else where),
        ("job", exhibit.job.hex()),
        ("domains", " against ".join(exhibit.domains)),
        ("cause", exhibit.cause),
        ("settled", settled_for_people(exhibit.settled)),
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


# --- side by side ---------------------------------------------------------------------------


def _beside(one: Side, other: Side, first: Records | str | None = None) -> list[str]:
    """Return two leaves in two columns, around the first record that differs.

    The records of the first one may be given, if they have been read already.
    """
    found = compare(one[1], other[1], first)
    lines = [*_columns("", one[0], other[0]), "-" * _WIDTH, _row("", *found.counts), *found.notes]
    for record in found.records:
        place = "" if record.place is None else str(record.place)
        lines += _record(place, record)
    return lines


def _record(place: str, record: Compared) -> list[str]:
    """Return two records beside each other, in a few lines that show where they differ."""
    one, other = record.one, record.other
    mark = "*" if record.differs else " "
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
