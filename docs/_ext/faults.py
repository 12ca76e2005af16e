"""The table of faults that tests plant in a plugin, from the tests' own catalogue."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from . import markdown
from .modules import module_at

CATALOGUE = (
    Path(__file__).resolve().parents[2] / "tests" / "integration" / "faults" / "catalogue.py"
)
HEADINGS = ("the plugin's fault", "what is said", "what its author does")


def faults(when: str, level: int) -> str:
    """Return the faults found `at load` or `at run time`."""
    module = module_at(CATALOGUE, "planted_faults")
    chosen: Iterable[Any] = module.AT_LOAD if when == "at load" else module.AT_RUN
    rows = [(each.what, f"`{each.says.strip()}`", each.remedy) for each in chosen]
    return markdown.table(HEADINGS, rows)
