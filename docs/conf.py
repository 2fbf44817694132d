"""How Sphinx builds these pages: ``make docs``, without a network."""

from __future__ import annotations

import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE.parent), str(HERE)]

import figures

from dask_verify.version import VERSION

# Before any page is read: they show what the package does now.
figures.write()

project = "dask_verify"
author = "dask_verify contributors"
copyright = author
release = version = VERSION

extensions = [
    "myst_parser",
    "numpydoc",
    "sphinx.ext.autodoc",
    "sphinx_copybutton",
]

# --- pages ---------------------------------------------------------------------------------------

source_suffix = {".md": "markdown"}
exclude_patterns = ["_build"]
# Links to headings are those that GitHub makes.
myst_heading_anchors = 4
myst_enable_extensions = ["colon_fence", "fieldlist"]
# Prompts are not for copying.
copybutton_prompt_text = r">>> |\.\.\. |(?:you|alice)?\$ +"
copybutton_prompt_is_regexp = True

# --- reference -----------------------------------------------------------------------------------

# Names in single backticks are names of this package, where there is such a name.
default_role = "py:obj"
autodoc_member_order = "bysource"
autodoc_typehints = "none"  # numpydoc sections say them in words
autosummary_generate = False
numpydoc_show_class_members = False
numpydoc_class_members_toctree = False
add_module_names = False

# --- theme ---------------------------------------------------------------------------------------

# What the Dask theme is built on. That one, on top of it, reports every reader to Dask's tag
# manager, takes its fonts from another host, and without them shows code in no fixed width.
html_theme = "sphinx_book_theme"
html_title = f"dask_verify {VERSION}"
html_show_sourcelink = False
html_theme_options = {"show_toc_level": 2}
