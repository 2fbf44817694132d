"""What the pages for users hold: programs, examples and links."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]


def read(name: str) -> str:
    """Return the text of a page, named from the root of the repository."""
    return (ROOT / name).read_text(encoding="utf-8")


def programs(text: str) -> list[str]:
    """Return the programs of a page: its blocks of Python, but those that are marked `notest`."""
    return re.findall(r"```python\n(.*?)```", text, re.S)


def examples(text: str) -> str:
    """Return the examples of a page with what they print, one after the other."""
    return "\n".join(re.findall(r"```pycon\n(.*?)```", text, re.S))


def links(text: str) -> list[str]:
    """Return what a page links to within the repository; blocks of code hold no links."""
    prose = re.sub(r"```.*?```|`[^`]*`", "", text, flags=re.S)
    return [link for link in re.findall(r"\]\(([^)\s]+)\)", prose) if ":" not in link]


def anchors(text: str) -> set[str]:
    """Return the names that GitHub, and Sphinx here, give to the headings of a page."""
    prose = re.sub(r"```.*?```", "", text, flags=re.S)
    titles = re.findall(r"^#+ (.*)$", prose, re.M)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def run(program: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run a program as a script, as a reader would."""
    script = folder / "program.py"
    script.write_text(program, encoding="utf-8")
    temporary = folder / "temporary"
    temporary.mkdir()
    return subprocess.run(
        [sys.executable, script],
        capture_output=True,
        text=True,
        timeout=110,
        env={**os.environ, "TMPDIR": str(temporary)},
    )
