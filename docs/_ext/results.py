"""What a benchmark wrote to benchmarks/results: its figures, and what they were measured on."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from . import markdown

RESULTS = Path(__file__).resolve().parents[2] / "benchmarks" / "results"


def results(what: str, level: int) -> str:
    """Return a table of the figures in a file, `NAME`, or of one of them, `NAME KEY`.

    Raises:
        ValueError: there is no such file or figure.
    """
    name, _, key = what.partition(" ")
    path = RESULTS / f"{name}.json"
    if not path.is_file():
        raise ValueError(f"no results {name!r}")
    result = json.loads(path.read_text(encoding="utf-8"))
    figures = result["figures"]
    if key and key not in figures:
        raise ValueError(f"no figure {key!r} in the results {name!r}")
    versions = ", ".join(f"{name} {version}" for name, version in result["versions"].items())
    measured = (
        f"`{result['command']}`, {result['date']}, on {result['machine']}, Python "
        f"{result['python']}, {versions}."
    )
    return f"{_table(figures[key] if key else figures)}\n\n{measured}"


def _table(figures: dict[str, Any]) -> str:
    """Return the rows of a table, with a column for each key where the figures have keys."""
    rows = {
        name: figure if isinstance(figure, dict) else {"": figure}
        for name, figure in figures.items()
    }
    columns = list(dict.fromkeys(key for row in rows.values() for key in row))
    lines = [[name, *(str(row.get(key, "")) for key in columns)] for name, row in rows.items()]
    return markdown.table(["", *columns], lines)
