"""One divergence as a page shows it: the way through the trees, the records, who said what.

Nobody is shown as guilty who is not among the culprits.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from markupsafe import Markup

from dask_verify.errors import VerifyError
from dask_verify.evidence.exhibits.comparison import Compared, compare, records_of
from dask_verify.evidence.exhibits.exhibit import Exhibit
from dask_verify.evidence.exhibits.parts import Leaf
from dask_verify.evidence.exhibits.sides import Side, hashes_only, sides, signers
from dask_verify.protocol.divergence import Divergence
from dask_verify.protocol.domain import COORDINATOR
from dask_verify.protocol.messages import READ
from dask_verify.views.drawing import Drawing, drawing
from dask_verify.views.environment import render
from dask_verify.views.harmless import Marked, harmless, marked
from dask_verify.views.tree import Proven, way
from dask_verify.views.words import BAD, DOUBT, FAIR, GOOD, PLAIN, Badge, ruling

_NAMES = 12  #: domains that are named in one place
_SIDES = 6  #: leaves that are set beside the first
_FIELDS = 12  #: of one record
_SIGNED = 12  #: commitments, and who signed hashes alone


class Who(NamedTuple):
    """One name, with what is said of it here.

    Parameters
    ----------
    name : str
    badge : Badge
    """

    name: str
    badge: Badge


class Line(NamedTuple):
    """One field of a record, or all of it, as both sides have it.

    Parameters
    ----------
    place : str
        Number of the record; empty for what goes on with one, or is none.
    name : str
        Of the field; empty for all of a record.
    one, other : Marked
    differs : bool
    """

    place: str
    name: str
    one: Marked
    other: Marked
    differs: bool


@dataclass(frozen=True)
class Beside:
    """Two leaves side by side.

    Parameters
    ----------
    heads : tuple of (list of Who, list of Who)
        Who says each.
    counts : tuple of (str, str)
        How many records each has, or why they are not shown.
    notes : tuple of str
        What there is to say of the difference.
    lines : list of Line
    """

    heads: tuple[list[Who], list[Who]]
    counts: tuple[str, str]
    notes: tuple[str, ...]
    lines: list[Line]


def divergence_html(divergence: Divergence, read: Callable[[], Exhibit] | None) -> str:
    """Return a divergence as HTML, with the records if its exhibit can still be read.

    Parameters
    ----------
    divergence : Divergence
    read : callable, optional
        Returns the exhibit.

    Returns
    -------
    str
    """
    people = named(divergence)
    return str(
        render(
            "seen.html.j2",
            where=where(divergence),
            people=[who(name, divergence) for name in people[:_NAMES]],
            more_people=max(0, len(people) - _NAMES),
            block=divergence_block(divergence, read),
        )
    )


def divergence_block(divergence: Divergence, read: Callable[[], Exhibit] | None) -> Markup:
    """Return what `divergence_html` does, as a part of a page that has the styles already.

    Parameters
    ----------
    divergence : Divergence
    read : callable, optional
        Returns the exhibit.

    Returns
    -------
    markupsafe.Markup
    """
    exhibit, missing = None, "What the job kept of it is not at hand here."
    if read is not None:
        try:
            exhibit, missing = read(), ""
        except VerifyError as error:
            missing = harmless(str(error), 400)
    return render(
        "divergence.html.j2",
        cause=divergence.cause,
        ruling=ruling(divergence.settled, divergence.culprits),
        sample=sample_lines(divergence),
        missing=missing,
        drawing=None if exhibit is None else _drawn(exhibit),
        besides=[] if exhibit is None else list(_besides(exhibit, divergence)),
        more_sides=0 if exhibit is None else max(0, len(sides(exhibit)) - 1 - _SIDES),
        notes=[] if exhibit is None else _notes(exhibit),
        signed=_signed(divergence),
        more_signed=max(0, len(divergence.proof.claims) - _SIGNED),
    )


def where(divergence: Divergence) -> str:
    """Return which unit a divergence is about.

    Parameters
    ----------
    divergence : Divergence

    Returns
    -------
    str
        Without the units where all of the partition is meant; never with more than a few.

    Examples
    --------
    >>> where(Divergence("map", 3, (7,), ("a", "b"), (), "map", "votes"))
    'map partition 3, unit 7'
    """
    units = ", ".join(map(str, divergence.units[:_NAMES]))
    text = f"{divergence.stage} partition {divergence.partition}"
    return f"{text}, unit {units}" if units else text


def named(divergence: Divergence) -> list[str]:
    """Return who disagreed, and who was proven wrong, each once.

    Parameters
    ----------
    divergence : Divergence

    Returns
    -------
    list of str
        Of many, those first that were proven wrong: not all will be shown.
    """
    people = list(dict.fromkeys([*divergence.domains, *divergence.culprits]))
    if len(people) > _NAMES:
        people.sort(key=lambda name: name not in divergence.culprits)
    return people


def who(name: str, divergence: Divergence, exhibit: Exhibit | None = None) -> Who:
    """Return what is to be said of a domain: that it is to blame only if it was proven wrong.

    Parameters
    ----------
    name : str
        Of a domain, or `COORDINATOR`.
    divergence : Divergence
    exhibit : Exhibit, optional
        Says who is excused.

    Returns
    -------
    Who
    """
    if name in divergence.culprits:
        return Who(name, Badge("wrong", BAD, "proven to have signed something wrong"))
    if name == COORDINATOR:
        return Who(name, Badge("itself", PLAIN, "the coordinator's own computation"))
    if exhibit is not None and name in exhibit.excused:
        return Who(name, Badge("not blamed", DOUBT, "contradicted, and not blamed for it here"))
    return Who(name, Badge("not blamed", PLAIN, "nothing is proven against it here"))


def sample_lines(divergence: Divergence) -> list[Line]:
    """Return the record that a report itself keeps of a divergence; none if it keeps none.

    Parameters
    ----------
    divergence : Divergence

    Returns
    -------
    list of Line
        One, or none.
    """
    sample = divergence.sample
    if sample is None:
        return []
    return [Line(str(sample.record), "", *marked(sample.one, sample.other), True)]


# --- the exhibit ----------------------------------------------------------------------------


def _besides(exhibit: Exhibit, divergence: Divergence) -> Iterator[Beside]:
    """Set every leaf beside the first, which is the referee's if there is one."""
    found = sides(exhibit)
    if not found:
        return
    first, read = found[0], records_of(found[0].data)
    for side in (found[1:] or found)[:_SIDES]:
        what = compare(first.data, side.data, read, pairs=exhibit.cause != READ)
        yield Beside(
            (_heads(first, exhibit, divergence), _heads(side, exhibit, divergence)),
            what.counts,
            what.notes,
            [line for record in what.records for line in _lines(record)],
        )


def _heads(side: Side, exhibit: Exhibit, divergence: Divergence) -> list[Who]:
    referee = [Who("the coordinator", Badge("referee", FAIR, "it computed the unit again"))]
    heads = [who(name, divergence, exhibit) for name in side.signers[:_NAMES]]
    if not side.referee:
        return heads
    same = Badge("the same", GOOD, "it signed what the coordinator computed")
    return [
        *referee,
        *(one if one.name in divergence.culprits else one._replace(badge=same) for one in heads),
    ]


def _lines(record: Compared) -> Iterator[Line]:
    """Return one line for a record that is alike, and one for each field of one that is not."""
    place = "" if record.place is None else str(record.place)
    if not record.differs or not record.fields:
        yield Line(place, "", *marked(record.one, record.other), record.differs)
        return
    fields = sorted(record.fields, key=lambda field: not field.differs)[:_FIELDS]
    shown = [field for field in record.fields if field in fields][:_FIELDS]
    for at, field in enumerate(shown):
        name = harmless(field.name, 100)
        yield Line("" if at else place, name, *marked(field.one, field.other), field.differs)
    more = len(record.fields) - len(shown)
    if more:
        note = Marked("", f"… {more:,} fields more", "")
        yield Line("", "", note, note, False)


def _notes(exhibit: Exhibit) -> list[str]:
    unshown = [f"{name} is blamed for what is not in the exhibit" for name in exhibit.unshown]
    trusted = [f"on the coordinator's word: {note}" for note in exhibit.on_trust]
    found = [*hashes_only(exhibit), *unshown, *trusted]
    more = len(found) - _SIGNED
    return [*found[:_SIGNED], *([f"… and {more:,} more"] if more > 0 else [])]


def _signed(divergence: Divergence) -> list[tuple[str, str]]:
    claims = divergence.proof.claims[:_SIGNED]
    return [(claim.domain, claim.digest.hex()) for claim in claims]


def _drawn(exhibit: Exhibit) -> Drawing | None:
    """Draw the way to the differing leaf through the first two trees that can be compared."""
    pair = _pair(exhibit.leaves)
    if not pair:
        return None
    by_root = signers(exhibit)
    names = [", ".join(by_root.get((leaf.tree, leaf.root), ())[:_NAMES]) for leaf in pair]
    places = [Proven(p.index, p.size, p.hash, p.root, p.proof) for p in pair]
    return drawing(way(places), [harmless(name, 60) for name in names], pair[0].tree)


def _pair(leaves: Sequence[Leaf]) -> list[Leaf]:
    """Return two leaves at one place of two trees; else the first one; else none."""
    for one in leaves:
        for other in leaves:
            same = (one.tree, one.index, one.size) == (other.tree, other.index, other.size)
            if same and one.root != other.root:
                return [one, other]
    return list(leaves[:1])
