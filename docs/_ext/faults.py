"""The table of faults that tests plant in a plugin, from the tests' own catalogue."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from . import markdown

CATALOGUE = (
    Path(__file__).resolve().parents[2] / "tests" / "integration" / "faults" / "catalogue.py"
)
HEADINGS = ("the plugin's fault", "what is said", "what its author does")


def faults(when: str, level: int) -> str:
    """Return the faults found `at load` or `at run time`."""
    name = "planted_faults"
    spec = importlib.util.spec_from_file_location(name, CATALOGUE)
    assert spec is not None and spec.loader is not None  # noqa: PT018
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    chosen: Iterable[Any] = module.AT_LOAD if when == "at load" else module.AT_RUN
    rows = [(each.what, f"`{each.says.strip()}`", each.remedy) for each in chosen]
    return markdown.table(HEADINGS, rows)
