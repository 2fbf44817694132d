"""Draws SVG as plain text: the same bytes on every machine, so that figures can be compared."""

from __future__ import annotations

from dataclasses import dataclass, field
from html import escape

INK, PALE, PAPER = "#333333", "#b8b8b8", "#ffffff"
BLUE, RED, GREEN, AMBER = "#2f6db5", "#c0392b", "#3c8d5a", "#d08a1d"
#: One for each of a few domains or curves.
COLOURS = (BLUE, AMBER, GREEN, RED)


@dataclass
class Drawing:
    """A picture that grows element by element.

    Parameters
    ----------
    width, height : int
        Size in pixels.
    title : str
        What it shows, for those who cannot see it.
    """

    width: int
    height: int
    title: str
    parts: list[str] = field(default_factory=list)

    def line(self, x1: float, y1: float, x2: float, y2: float, colour: str = PALE) -> None:
        """Draw a line."""
        self.parts.append(f'<path d="M{x1:g} {y1:g}L{x2:g} {y2:g}" stroke="{colour}"/>')

    def curve(self, points: list[tuple[float, float]], colour: str) -> None:
        """Draw a line through points."""
        path = "L".join(f"{x:.1f} {y:.1f}" for x, y in points)
        self.parts.append(f'<path d="M{path}" stroke="{colour}" stroke-width="2"/>')

    def box(
        self, x: float, y: float, width: float, height: float, fill: str, edge: str = PAPER
    ) -> None:
        """Draw a rectangle."""
        self.parts.append(
            f'<rect x="{x:g}" y="{y:g}" width="{width:g}" height="{height:g}" rx="3"'
            f' fill="{fill}" stroke="{edge}"/>'
        )

    def text(
        self, x: float, y: float, text: str, colour: str = INK, at: str = "middle", size: int = 13
    ) -> None:
        """Write one line; ``at`` says which part of it stands at ``x``."""
        self.parts.append(
            f'<text x="{x:g}" y="{y:g}" fill="{colour}" text-anchor="{at}" font-size="{size}">'
            f"{escape(text)}</text>"
        )

    def __str__(self) -> str:
        head = (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {self.width} {self.height}"'
            f' width="{self.width}" height="{self.height}" role="img" fill="none"'
            ' font-family="sans-serif">'
        )
        paper = f'<rect width="{self.width}" height="{self.height}" fill="{PAPER}"/>'
        return "\n".join(
            [head, f"<title>{escape(self.title)}</title>", paper, *self.parts, "</svg>\n"]
        )
