"""How the page looks: light as Dask's own pages are, or dark.

Dask has one theme of its own, and no setting for another; so a page is asked for as
``verify?theme=dark``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from bokeh.themes import Theme

from dask_verify.engine.compat import page_template
from dask_verify.protocol.messages import MAP, REDUCE

STAGE_COLORS = {MAP: "#3a87b7", REDUCE: "#e08a2e"}


@dataclass(frozen=True)
class Look:
    """Colours, of which standings have the same ones in the page's text and in its plots.

    Parameters
    ----------
    name : {"light", "dark"}
    page, panel, text, quiet, line : str
        Of the background, of boxes and tables, of text, of text that matters less, and of lines.
    good, doubtful, bad : str
        Of domains that are trusted, suspected and exposed.
    """

    name: str
    page: str
    panel: str
    text: str
    quiet: str
    line: str
    good: str
    doubtful: str
    bad: str

    def standing(self, standing: str) -> str:
        """Return the colour of a standing.

        Parameters
        ----------
        standing : str
            Value of a `Standing`.

        Returns
        -------
        str
        """
        return {"exposed": self.bad, "suspected": self.doubtful}.get(standing, self.good)

    def theme(self) -> Theme:
        """Return the theme of Bokeh's plots: Dask's, in these colours.

        Returns
        -------
        bokeh.themes.Theme
        """
        axis = {
            "major_label_text_color": self.text,
            "axis_label_text_color": self.quiet,
            "axis_line_color": self.line,
            "major_tick_line_color": self.line,
            "minor_tick_line_color": None,
            "major_label_text_font_size": "12px",
            "axis_label_text_font_size": "12px",
            "axis_label_text_font_style": "normal",
        }
        attributes: dict[str, Any] = {
            "Plot": {
                "background_fill_color": None,
                "border_fill_color": None,
                "outline_line_color": self.line,
                "min_border_left": 10,
                "min_border_right": 20,
            },
            "Toolbar": {"logo": None},
            "Title": {"text_color": self.text, "text_font_size": "14px"},
            "Axis": axis,
            "Grid": {"grid_line_color": self.line, "grid_line_alpha": 0.6},
            "Legend": {
                "background_fill_color": self.page,
                "background_fill_alpha": 0.8,
                "border_line_color": None,
                "label_text_color": self.text,
                "label_text_font_size": "12px",
            },
        }
        return Theme(json={"attrs": attributes})

    def template(self) -> Any:
        """Return the template of the page: Dask's, in these colours.

        Returns
        -------
        jinja2.Template
        """
        return page_template(_TEMPLATE.replace("STYLE", self.css()))

    def css(self) -> str:
        """Return the page's style; for light pages Dask's own says nearly all of it.

        Returns
        -------
        str
        """
        dark = _DARK if self.name == "dark" else ""
        for name in ("page", "panel", "text", "line"):
            dark = dark.replace(f"${name}", getattr(self, name))
        return dark

    def table_css(self) -> str:
        """Return the style of texts and tables, which are shut off from the page's.

        Returns
        -------
        str
        """
        css = _TABLE
        for name in ("page", "panel", "text", "quiet", "line", "good", "doubtful", "bad"):
            css = css.replace(f"${name};", f"{getattr(self, name)};")
        return css


LIGHT = Look(
    "light", "#FAFAFA", "#FFFFFF", "#222222", "#666666", "#DDDDDD", "#2e7d4f", "#9a6700", "#c62828"
)
DARK = Look(
    "dark", "#16191d", "#1f242a", "#e6e6e6", "#a3abb5", "#3a424c", "#5fbf87", "#e5b454", "#ff7b72"
)


def look_of(arguments: dict[str, list[bytes]]) -> Look:
    """Return the look that somebody asks for.

    Parameters
    ----------
    arguments : dict of str to list of bytes
        Of the request, as Tornado has them; anything that is not ``dark`` is light.

    Returns
    -------
    Look

    Examples
    --------
    >>> look_of({"theme": [b"dark"]}).name, look_of({}).name
    ('dark', 'light')
    """
    return DARK if arguments.get("theme", [b""])[-1] == b"dark" else LIGHT


_TEMPLATE = """{% extends "simple.html" %}
{% block extra_resources %}<style>STYLE</style>{% endblock %}
"""

_DARK = """
html { background: $page; color-scheme: dark; }
.navbar ul, .dropdown-content { background-color: $panel; }
.navbar li a { color: $text; }
.navbar li:hover a { color: #000; }
.navbar li .dropdown-content li a { color: $text; }
"""

_TABLE = """
:host, .all { font: 14px Helvetica, Arial, sans-serif; color: $text; width: 100%; }
.bk-clearfix { display: block !important; width: 100%; }
.bar { display: flex; flex-wrap: wrap; gap: 6px 28px; align-items: baseline; padding: 4px 10px; }
.bar h1 { font-size: 18px; font-weight: 600; margin: 0; }
.bar .right { margin-left: auto; }
.name { color: $quiet; }
code { font-family: Menlo, Consolas, monospace; font-size: 13px; }
a { color: inherit; }
.badge { font-weight: 600; }
.good { color: $good; }
.doubtful { color: $doubtful; }
.bad { color: $bad; }
.quiet { color: $quiet; }
h2 { font-size: 14px; margin: 4px 10px; }
table { border-collapse: collapse; width: calc(100% - 20px); margin: 0 10px; background: $panel; }
th, td { text-align: left; padding: 6px 10px; border-bottom: 1px solid $line; }
th { color: $quiet; font-weight: normal; }
td.number, th.number { text-align: right; font-variant-numeric: tabular-nums; }
tr.shown td { font-weight: 600; }
p { margin: 8px 10px; max-width: 62em; line-height: 1.4; }
"""
