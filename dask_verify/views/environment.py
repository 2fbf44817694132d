"""The templates, and what holds for all that is put into them.

Dask's own widget environment does not escape, so this is another one: whatever a template names
is escaped, and made `harmless` before; a name that is not there is an error.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from dask_verify.views.harmless import harmless, lines
from dask_verify.views.words import quantity, size

_TEMPLATES = f"{__file__.rpartition('environment.py')[0]}templates"


def render(template: str, **values: Any) -> Markup:
    """Return a template with values in it.

    Parameters
    ----------
    template : str
        Name of its file.
    **values : object
        What the template names: all of it.

    Returns
    -------
    markupsafe.Markup

    Examples
    --------
    >>> str(render("badge.html.j2", badge=("<b>", "bad", "")))
    '<span class="dv-badge dv-bad" title="">&lt;b&gt;</span>'
    """
    return Markup(_environment().get_template(template).render(**values).strip())


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_finalized,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(lines=lines, quantity=quantity, size=size)
    return environment


def _finalized(value: Any) -> Any:
    if isinstance(value, Markup) or not isinstance(value, str):
        return value
    return harmless(value)
