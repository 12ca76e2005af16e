"""The table of what was handed to the engine to harm it, from the tests' own catalogue."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from . import markdown
from .modules import module_at

CATALOGUE = Path(__file__).resolve().parents[2] / "tests" / "reliability" / "hostile.py"
HEADINGS = ("what was tried", "what comes of it")


def hostile(group: str, level: int) -> str:
    """Return what was tried with one kind of thing, such as `run folders`."""
    rows: list[Any] = module_at(CATALOGUE, "hostile_files").HOSTILE[group]
    ends = {each.what: f"`{each.says}`" if each.says else "passed over" for each in rows}
    return markdown.table(HEADINGS, list(ends.items()))
