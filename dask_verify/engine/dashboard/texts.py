"""The words of the page: HTML of facts that anybody may have made up, so everything is escaped."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from typing import Any

#: How a status or standing is to be taken: the class of its colour.
_TONES = {
    "agreed": "good", "sampled": "good", "trusted": "good",
    "corrected": "doubtful", "suspected": "doubtful", "interrupted": "doubtful",
    "cancelled": "quiet", "unheard": "doubtful", "running": "",
    "inconclusive": "bad", "nondeterministic": "bad", "exposed": "bad",
}  # fmt: skip

NOBODY = (
    "<p>This scheduler has heard of no verified job. Coordinators tell a scheduler that all"
    " domains share of theirs; a scheduler that is a domain's own is told nothing.</p>"
)


def shown_job(facts: Mapping[str, Any], wanted: str) -> Mapping[str, Any] | None:
    """Return the job to show: the wanted one if it is there, else the newest.

    Parameters
    ----------
    facts : mapping
        As `DomainPlugin.facts` returns them.
    wanted : str
        Id of a job.

    Returns
    -------
    mapping or None
        One of the jobs of these facts; None if there is none.

    Examples
    --------
    >>> shown_job({"jobs": [{"job": "b"}, {"job": "a"}]}, "a")
    {'job': 'a'}
    """
    jobs = facts["jobs"]
    newest = jobs[0] if jobs else None
    return next((job for job in jobs if job["job"] == wanted), newest)


def headline(facts: Mapping[str, Any], job: Mapping[str, Any] | None, theme: str) -> str:
    """Return the line about the job that is shown, and the way to the other theme.

    Parameters
    ----------
    facts : mapping
        As `DomainPlugin.facts` returns them.
    job : mapping or None
        The job of these facts that is shown.
    theme : {"light", "dark"}
        The theme that the page has.

    Returns
    -------
    str
    """
    other = "light" if theme == "dark" else "dark"
    at = f"&amp;job={escape(job['job'])}" if job else ""
    switch = f'<span class="right"><a href="verify?theme={other}{at}">{other} theme</a></span>'
    if job is None:
        return f'<div class="bar"><h1>Verified jobs</h1>{switch}</div>{NOBODY}'
    exposed = [name for name, found in job["standing"].items() if found == "exposed"]
    parts = [
        f"<h1>Job <code>{escape(job['job'][:12])}</code></h1>",
        _badge(job["status"]),
        *(
            _named(stage, f"{done:,} of {all_:,}")
            for stage, (done, all_) in job["progress"].items()
        ),
        _named("replicas", f"{job['replicas']:,}"),
        _named("divergences", f"{sum(job['divergences'].values()):,}"),
        _named("heard", f"{_ago(facts['now'] - job['heard'])} ago"),
        *(
            [_named("exposed", f'<b class="bad">{escape(", ".join(exposed))}</b>')]
            if exposed
            else []
        ),
    ]
    return f'<div class="bar">{"".join(parts)}{switch}</div>'


def audits_note(job: Mapping[str, Any] | None) -> str:
    """Return why there is nothing to see of audits yet; empty where there is.

    Parameters
    ----------
    job : mapping or None
        A job, as facts have it.

    Returns
    -------
    str

    Examples
    --------
    >>> audits_note({"audited": False, "status": "running", "audits": {}})
    'no audits'
    """
    if job is None or job["audits"]:
        return ""
    if not job["audited"]:
        return "no audits"
    return "told after the verdict, so that\nnobody learns what was drawn"


def job_table(facts: Mapping[str, Any], shown: Mapping[str, Any] | None, theme: str) -> str:
    """Return the table of all jobs, each with a link to its own page.

    Parameters
    ----------
    facts : mapping
        As `DomainPlugin.facts` returns them.
    shown : mapping or None
        The job of these facts that is shown.
    theme : {"light", "dark"}
        The theme that the page has, which links keep.

    Returns
    -------
    str
        Empty without any job.
    """
    if shown is None:
        return ""
    heads = ("job", "status", "map", "reduce", "divergences", "audits", "suspected", "exposed",
             "first heard", "last heard")  # fmt: skip
    numbers = {"map", "reduce", "divergences", "audits", "first heard", "last heard"}
    row = "".join(f"<th{_class('number' if head in numbers else '')}>{head}</th>" for head in heads)
    rows = "".join(_row(job, facts["now"], job is shown, theme) for job in facts["jobs"])
    return f"<h2>Jobs</h2><table><tr>{row}</tr>{rows}</table>"


def _row(job: Mapping[str, Any], now: float, shown: bool, theme: str) -> str:
    link = f"verify?theme={theme}&amp;job={escape(job['job'])}"
    named = {
        found: ", ".join(name for name, standing in job["standing"].items() if standing == found)
        for found in ("suspected", "exposed")
    }
    shares = [f"{done:,} / {total:,}" for done, total in job["progress"].values()]
    audits = sum(job["audits"].values())
    none = "not told yet" if job["audited"] else "none"
    cells = [
        f'<td><a href="{link}"><code>{escape(job["job"][:12])}</code></a></td>',
        f"<td>{_badge(job['status'])}</td>",
        *(f'<td class="number">{share}</td>' for share in shares),
        f'<td class="number">{sum(job["divergences"].values()):,}</td>',
        f'<td class="number">{f"{audits:,}" if audits else none}</td>',
        *(f'<td class="{_TONES[found]}">{escape(who)}</td>' for found, who in named.items()),
        *(f'<td class="number">{_ago(now - job[at])} ago</td>' for at in ("seen", "heard")),
    ]
    return f"<tr{_class('shown' if shown else '')}>{''.join(cells)}</tr>"


def _badge(status: str) -> str:
    return f'<span class="badge {_TONES.get(status, "")}">{escape(status)}</span>'


def _named(name: str, value: str) -> str:
    return f'<span><span class="name">{escape(name)}</span> {value}</span>'


def _class(name: str) -> str:
    return f' class="{name}"' if name else ""


def _ago(seconds: float) -> str:
    """Return a time span in the largest unit that fits.

    >>> _ago(3), _ago(200), _ago(7300)
    ('3 s', '3 min', '2 h')
    """
    seconds = max(0, int(seconds))
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds // size} {unit}"
    return f"{seconds} s"
