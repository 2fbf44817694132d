"""Build the notebooks: from their sources in this folder to executed ``.ipynb`` and HTML files.

``python notebooks/build.py [--out FOLDER] [NAME...]``; an error in a cell ends it with that error.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

import jupytext
from nbclient import NotebookClient
from nbconvert import HTMLExporter

HERE = Path(__file__).parent
SECONDS = 120  #: that one cell may take


def build(source: Path, out: Path) -> float:
    """Execute one notebook and write it, with what it has shown; return the seconds it took."""
    notebook = jupytext.read(source)
    began = time.monotonic()
    NotebookClient(notebook, timeout=SECONDS, kernel_name="python3").execute()
    took = time.monotonic() - began
    jupytext.write(notebook, out / f"{source.stem}.ipynb")
    page, _ = HTMLExporter().from_notebook_node(notebook)
    (out / f"{source.stem}.html").write_text(page)
    return took


def main() -> None:
    """Build what the command line names; all, if nothing."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", help="notebooks to build, as 3_what_one_percent_buys")
    parser.add_argument("--out", type=Path, default=HERE.parent / "build" / "notebooks")
    asked = parser.parse_args()
    sources = {source.stem: source for source in sorted(HERE.glob("[0-9]_*.py"))}
    if unknown := set(asked.names) - set(sources):
        sys.exit(f"expected some of {', '.join(sources)}, got {', '.join(sorted(unknown))}")
    asked.out.mkdir(parents=True, exist_ok=True)
    for name in asked.names or sources:
        print(f"{name}: {build(sources[name], asked.out):.0f} s", flush=True)


if __name__ == "__main__":
    main()
