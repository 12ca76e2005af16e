"""The list of problem codes in the docs holds what the code can say, and nothing else."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SOURCES = sorted(
    path
    for pattern in ("engine/musengine/**/*.py", "plugins/*/musengine_*/**/*.py")
    for path in ROOT.glob(pattern)
)
ERRORS = {"UserError", "UnreadableError", "UnwritableError"}
ROW = re.compile(r"^\| `([^`]*)` \| (.+?) \| (.+?) \|$", re.MULTILINE)


def rows() -> list[tuple[str, str, str]]:
    """The code, cause and remedy of each row of the list."""
    return ROW.findall((ROOT / "docs/reference/problems.md").read_text(encoding="utf-8"))


def nodes() -> Iterator[tuple[str, ast.AST]]:
    """Every node of the engine and the plugins, with its file."""
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            yield path.relative_to(ROOT).as_posix(), node


def codes_said() -> set[str]:
    """Codes that calls name, and those that classes have by default."""
    said = set()
    for file, node in nodes():
        if isinstance(node, ast.keyword) and node.arg == "code":
            said.add(ast.literal_eval(node.value) if isinstance(node.value, ast.Constant) else "")
        elif file == "engine/musengine/errors.py" and isinstance(node, (ast.Assign, ast.AnnAssign)):
            target = node.target if isinstance(node, ast.AnnAssign) else node.targets[0]
            if isinstance(target, ast.Name) and target.id == "code" and node.value is not None:
                said.add(ast.literal_eval(node.value))
    return said - {""}


def test_the_list_holds_every_code_and_no_other() -> None:
    listed = {code for code, _, _ in rows()}
    assert listed == codes_said()


def test_the_list_is_sorted_and_complete() -> None:
    listed = [code for code, _, _ in rows()]
    assert listed == sorted(set(listed))
    assert len(listed) > 60


@pytest.mark.parametrize("code", [code for code, _, _ in rows()])
def test_codes_are_slugs(code: str) -> None:
    assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", code)
    assert len(code) <= 30


def test_what_the_engine_raises_has_a_code_of_its_own() -> None:
    bare = [
        f"{file}:{node.lineno}"
        for file, node in nodes()
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id == "UserError"
        and file.startswith("engine/")
        and not any(keyword.arg == "code" for keyword in node.keywords)
    ]
    assert bare == []
