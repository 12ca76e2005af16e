"""Sphinx's settings for this documentation."""

from __future__ import annotations

import sys
from pathlib import Path

from musengine import __version__

sys.path.insert(0, str(Path(__file__).parent / "_ext"))

project = "musengine"
author = "The musengine authors"
project_copyright = "The musengine authors"
version = release = __version__

extensions = ["myst_parser", "config_reference", "class_reference", "results"]
exclude_patterns = ["_build"]
myst_enable_extensions = ["deflist"]
myst_heading_anchors = 3
smartquotes = False  # quotation marks are TOML's own

html_theme = "furo"
html_title = f"musengine {__version__}"
html_show_copyright = False
