"""Tables of options of older programs: each row from the test that sees it work here."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

from . import markdown

TESTS = Path(__file__).resolve().parents[2] / "tests" / "integration" / "systems"
HEADINGS = ("there", "here", "what its test sees")


def system(name: str, level: int) -> str:
    """Return the rows of one program, `tests/integration/systems/test_system_NAME.py`.

    Raises:
        ValueError: there is no such file, or a test in it has no row or says nothing.
    """
    path = TESTS / f"test_system_{name}.py"
    if not path.is_file():
        raise ValueError(f"no tests {path.name!r}")
    rows = list(_rows(ast.parse(path.read_text(encoding="utf-8"))))
    return markdown.table(HEADINGS, rows)


def _rows(module: ast.Module) -> Iterator[tuple[str, str, str]]:
    for node in module.body:
        if not isinstance(node, ast.FunctionDef) or not node.name.startswith("test_"):
            continue
        said = ast.get_docstring(node)
        calls = [each for each in node.decorator_list if isinstance(each, ast.Call)]
        named = [call.args for call in calls if ast.unparse(call.func) == "row"]
        if len(named) != 1 or not said:
            raise ValueError(f"{node.name} has not one row and a docstring")
        there, here = (ast.literal_eval(argument) for argument in named[0])
        yield there, here, " ".join(said.split())
