"""Sphinx: markdown pages, and reference pages written from the program itself."""

import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

from reference import write_pages  # noqa: E402

project = "saccade"
copyright = "the saccade developers"
html_title = "saccade"
extensions = ["myst_parser", "sphinx.ext.autodoc"]
myst_heading_anchors = 3
exclude_patterns = ["_build"]
html_theme = "furo"
html_show_sourcelink = False
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
default_role = "literal"

write_pages(HERE / "_build" / "written")
