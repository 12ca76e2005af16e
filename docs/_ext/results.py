"""The directive `{results} NAME`: a table of what a benchmark wrote to benchmarks/results."""

from __future__ import annotations

import json
from pathlib import Path

from docutils import nodes
from docutils.statemachine import StringList
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

RESULTS = Path(__file__).resolve().parents[2] / "benchmarks" / "results"


class Results(SphinxDirective):
    """Render a result file: its figures as a table, and below it what they were measured on."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        path = RESULTS / f"{self.arguments[0]}.json"
        self.env.note_dependency(str(path))
        result = json.loads(path.read_text(encoding="utf-8"))
        columns = list(next(iter(result["figures"].values())))
        lines = ["| | " + " | ".join(columns) + " |", "| --- " * (len(columns) + 1) + "|"]
        for name, row in result["figures"].items():
            lines.append(f"| {name} | " + " | ".join(str(row[key]) for key in columns) + " |")
        versions = ", ".join(f"{name} {version}" for name, version in result["versions"].items())
        lines += ["", f"`{result['command']}`, {result['date']}, on {result['machine']}, Python "]
        lines[-1] += f"{result['python']}, {versions}."
        node = nodes.container()
        self.state.nested_parse(StringList(lines, source=str(path)), self.content_offset, node)
        return list(node.children)


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the directive."""
    app.add_directive("results", Results)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
