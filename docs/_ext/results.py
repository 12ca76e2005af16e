"""The directive `{results} NAME`: a table of what a benchmark wrote to benchmarks/results.

`{results} NAME KEY` shows one of its figures that is a table of its own.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from docutils import nodes
from docutils.statemachine import StringList
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

RESULTS = Path(__file__).resolve().parents[2] / "benchmarks" / "results"


class Results(SphinxDirective):
    """Render a result file: its figures as a table, and below it what they were measured on."""

    required_arguments = 1
    optional_arguments = 1
    final_argument_whitespace = True

    def run(self) -> list[nodes.Node]:
        path = RESULTS / f"{self.arguments[0]}.json"
        self.env.note_dependency(str(path))
        result = json.loads(path.read_text(encoding="utf-8"))
        lines = _table(
            result["figures"][self.arguments[1]] if self.arguments[1:] else result["figures"]
        )
        versions = ", ".join(f"{name} {version}" for name, version in result["versions"].items())
        lines += ["", f"`{result['command']}`, {result['date']}, on {result['machine']}, Python "]
        lines[-1] += f"{result['python']}, {versions}."
        node = nodes.container()
        self.state.nested_parse(StringList(lines, source=str(path)), self.content_offset, node)
        return list(node.children)


def _table(figures: dict[str, Any]) -> list[str]:
    """Return the rows of a table, with a column for each key where the figures have keys."""
    rows = {
        name: figure if isinstance(figure, dict) else {"": figure}
        for name, figure in figures.items()
    }
    columns = list(dict.fromkeys(key for row in rows.values() for key in row))
    lines = ["| | " + " | ".join(columns) + " |", "| --- " * (len(columns) + 1) + "|"]
    for name, row in rows.items():
        lines.append(f"| {name} | " + " | ".join(str(row.get(key, "")) for key in columns) + " |")
    return lines


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the directive."""
    app.add_directive("results", Results)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
