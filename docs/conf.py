"""Sphinx's settings for this documentation; what it only renders, `generate.py` has written."""

from __future__ import annotations

import importlib.metadata
import re

from sphinx.application import Sphinx

project = "musengine"
author = "The musengine authors"
project_copyright = "The musengine authors"
version = release = importlib.metadata.version("musengine")

extensions = ["myst_parser"]
exclude_patterns = ["_build"]
myst_heading_anchors = 3
smartquotes = False  # quotation marks are TOML's own

html_theme = "furo"
html_title = f"musengine {version}"
html_show_copyright = False


def add_toctrees(app: Sphinx, page: str, source: list[str]) -> None:
    """Make a table of contents of each list of pages in the index, which anyone can read."""
    if page != app.config.root_doc:
        return
    for heading, text in re.findall(r"^## ([^\n]+)\n(.*?)(?=^## |\Z)", source[0], re.M | re.S):
        pages = "\n".join(re.findall(r"^- \[.*?\]\((.+?)\.md\)", text, re.M))
        source[0] += f"\n```{{toctree}}\n:hidden:\n:caption: {heading}\n\n{pages}\n```\n"


def setup(app: Sphinx) -> None:
    """Register the tables of contents."""
    app.connect("source-read", add_toctrees)
