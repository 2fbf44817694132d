"""A report as a notebook or a file shows it, with bounds for all that may be many."""

from __future__ import annotations

import posixpath
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple
from urllib.parse import quote

from markupsafe import Markup

from dask_verify.core.odds import Odds
from dask_verify.core.odds.wording import percent
from dask_verify.evidence.exhibits.exhibit import Exhibit
from dask_verify.protocol.audit import Audit
from dask_verify.protocol.divergence import Divergence
from dask_verify.protocol.pairs import Pair
from dask_verify.views.divergence import divergence_block, named, sample_lines, where, who
from dask_verify.views.environment import render
from dask_verify.views.told import Told
from dask_verify.views.words import DOUBT, GOOD, PLAIN, ruling, standing_badge, verdict_badge

Read = Callable[[Divergence], Callable[[], Exhibit] | None]
"""Says how the exhibit of a divergence is read; None if it is not to be shown."""

_DOMAINS = 40
_MATRIX = 12  #: domains in rows and columns
_BRIEF = 10  #: divergences in a notebook
_LISTED = 200  #: divergences in a file
_SHOWN = 20  #: of them with their records
_AUDITS = 20  #: audits that spoke against somebody
_NAMES = 12
_LONGEST = 500  #: characters of a name that is linked


def report_html(told: Told) -> str:
    """Return a report for a notebook.

    Parameters
    ----------
    told : Told

    Returns
    -------
    str
    """
    return str(render("report.html.j2", **_all(told, _BRIEF, "", None)))


def compact_html(told: Told) -> str:
    """Return what is worth looking at while a job runs.

    Parameters
    ----------
    told : Told

    Returns
    -------
    str
    """
    counts = {
        "divergences": len(told.divergences),
        "audits": Counter(audit.outcome for audit in told.audits),
    }
    return str(render("compact.html.j2", **_head(told), **_domains(told), counts=counts))


def page_html(told: Told, place: str, read: Read) -> str:
    """Return a report as one file that needs nothing else.

    Parameters
    ----------
    told : Told
    place : str
        Path or URL of the file: exhibits beside it are linked.
    read : callable
        Says how an exhibit is read.

    Returns
    -------
    str
    """
    body = render("report.html.j2", **_all(told, _LISTED, place, read))
    title = f"Verified job {told.job[:12]}: {_head(told)['verdict'].word}"
    return str(render("page.html.j2", title=title, body=body))


def _all(told: Told, most: int, place: str, read: Read | None) -> dict[str, Any]:
    exhibits = told.exhibits
    listed = [
        _divergence(number, one, exhibits[number] if number < len(exhibits) else "", place, read)
        for number, one in enumerate(told.divergences[:most])
    ]
    return {
        **_head(told),
        **_domains(told),
        **_matrix(told.agreement),
        **_cost(told),
        "failure": told.failure,
        "divergences": listed,
        "more_divergences": len(told.divergences) - len(listed),
        "saved": any(told.exhibits),
        "audits": _audits(told.audits, told.odds),
        "odds": told.odds,
        "seed": told.seed,
        "seed_digest": told.seed_digest,
        "couriers": list(told.couriers.items())[:_DOMAINS],
        "trust_input": told.trust_input,
    }


def _head(told: Told) -> dict[str, Any]:
    stages = [
        (stage, done, total, round(100 * done / total) if total else 100)
        for stage, (done, total) in told.progress.items()
    ]
    return {
        "verdict": verdict_badge(told.verdict, told.status, told.cause),
        "job": told.job,
        "stages": stages,
    }


def _domains(told: Told) -> dict[str, Any]:
    rows = [
        (name, standing_badge(one.standing), one)
        for name, one in list(told.domains.items())[:_DOMAINS]
    ]
    return {"domains": rows, "more_domains": len(told.domains) - len(rows)}


# --- who agreed with whom -------------------------------------------------------------------


def _matrix(agreement: Mapping[tuple[str, str], Pair]) -> dict[str, Any]:
    names = sorted({name for pair in agreement for name in pair})
    shown = names[:_MATRIX]
    rows = [(one, [_cell(agreement, one, other) for other in shown]) for one in shown]
    compared = any(pair != Pair() for pair in agreement.values())
    return {
        "matrix": rows if compared else [],
        "columns": shown,
        "more_columns": len(names) - len(shown),
    }


def _cell(agreement: Mapping[tuple[str, str], Pair], one: str, other: str) -> tuple[Any, str]:
    """Return what two domains said, and in which tone; None for one and the same."""
    if one == other:
        return None, PLAIN
    pair = agreement.get((one, other)) or agreement.get((other, one)) or Pair()
    if pair.diverged:
        return pair, DOUBT
    return pair, GOOD if pair.agreed else PLAIN


# --- divergences ----------------------------------------------------------------------------


class Link(NamedTuple):
    """Where an exhibit is: a name beside the page that can be followed, or a place.

    Parameters
    ----------
    name : str
        What is shown.
    href : markupsafe.Markup
        Relative to the page; empty for what cannot be followed.
    """

    name: str
    href: Markup


def _link(exhibit: str, place: str) -> Link | None:
    if not exhibit:
        return None
    folder, name = posixpath.split(exhibit)
    if not place or posixpath.split(place)[0] != folder or len(name) > _LONGEST:
        return Link(exhibit, Markup())
    # Names of files may hold what is no text; a path, never an address, follows the dot.
    return Link(name, Markup("./") + quote(name, errors="surrogateescape"))


def _divergence(
    number: int, one: Divergence, exhibit: str, place: str, read: Read | None
) -> dict[str, Any]:
    found = read(one) if read is not None and number < _SHOWN else None
    return {
        "number": number,
        "where": where(one),
        "cause": one.cause,
        "ruling": ruling(one.settled, one.culprits),
        "people": [who(name, one) for name in named(one)[:_NAMES]],
        "more_people": max(0, len(named(one)) - _NAMES),
        "culprits": one.culprits,
        "sample": sample_lines(one),
        "link": _link(exhibit, place),
        "block": None if found is None else divergence_block(one, found),
    }


# --- audits and cost ------------------------------------------------------------------------


def _audits(audits: Sequence[Audit], odds: Odds | None) -> dict[str, Any]:
    outcomes = Counter((audit.stage, audit.outcome) for audit in audits)
    promised = {} if odds is None else {stage.stage: stage for stage in odds.stages}
    stages = list(dict.fromkeys([*promised, *(stage for stage, _ in outcomes)]))
    against = [a for a in audits if a.outcome not in ("agreed", "moot", "pending")]
    return {
        "number": len(audits),
        "outcomes": list(dict.fromkeys(outcome for _, outcome in outcomes)),
        "stages": [(stage, promised.get(stage), _of(outcomes, stage)) for stage in stages],
        "against": against[:_AUDITS],
        "more_against": max(0, len(against) - _AUDITS),
        "percent": percent,
        "tones": {"agreed": GOOD, "contradicted": DOUBT, "pending": PLAIN, "moot": PLAIN},
    }


def _of(outcomes: Counter[tuple[str, str]], stage: str) -> dict[str, int]:
    return {outcome: number for (of, outcome), number in outcomes.items() if of == stage}


def _cost(told: Told) -> dict[str, Any]:
    computed = told.bytes_computed
    return {
        "compared": told.bytes_compared,
        "computed": computed,
        "share": f"{100 * told.bytes_compared / computed:.2g} %" if computed else "",
        "moved": [(what, number) for what, number in told.bytes_moved.items() if number],
        "recomputed": len(told.recomputed),
    }
