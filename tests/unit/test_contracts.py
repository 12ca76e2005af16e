"""The lists that import-linter's contracts and the public places rest on are complete."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import tomli

ROOT = Path(__file__).resolve().parents[2]
PUBLIC = {"musengine.api", "musengine.errors", "musengine.testing"}
LINTER = tomli.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["importlinter"]


def contract(name: str) -> dict[str, Any]:
    (found,) = (one for one in LINTER["contracts"] if one["id"] == name)
    return found


def own_plugins() -> set[str]:
    """The packages of every distribution in plugins/."""
    return {
        package
        for path in ROOT.glob("plugins/*/pyproject.toml")
        for package in tomli.loads(path.read_text("utf-8"))["tool"]["hatch"]["build"]["targets"][
            "wheel"
        ]["packages"]
    }


def core_packages() -> set[str]:
    folder = ROOT / "engine" / "musengine"
    modules = {path.stem for path in folder.glob("*.py") if not path.stem.startswith("__")}
    packages = {path.parent.name for path in folder.glob("*/__init__.py")}
    return {f"musengine.{name}" for name in modules | packages}


def test_every_plugin_is_under_contract() -> None:
    assert len(own_plugins()) > 4
    assert set(contract("plugins")["source_modules"]) == own_plugins()
    assert set(LINTER["root_packages"]) == {"musengine", *own_plugins()}


def test_every_package_of_the_core_is_public_or_forbidden() -> None:
    inner = core_packages() - PUBLIC
    assert set(contract("plugins")["forbidden_modules"]) == inner
    assert set(contract("outside")["source_modules"]) == inner | {"musengine.errors"}
    layers = {
        f"musengine.{name}" for row in contract("layers")["layers"] for name in row.split(" | ")
    }
    assert layers == inner | {"musengine.errors"}


def texts() -> Iterator[Path]:
    """What stands for a stranger: our plugins with their tests, one out of the tree, the pages."""
    for pattern in ("plugins/*/musengine_*/**/*.py", "plugins/*/tests/**/*.py"):
        yield from ROOT.glob(pattern)
    yield from (ROOT / "tests" / "outoftree").rglob("*.py")
    yield from (path for path in (ROOT / "docs").rglob("*.md") if "_build" not in path.parts)


def names_of(text: str) -> Iterator[str]:
    """The modules of the core that a text imports or names as a class's place, strings included."""
    for module in re.findall(r"\b(?:from|import) +(musengine(?:\.\w+)*)(?![\w-])", text):
        yield module
    for module in re.findall(r"\b(musengine(?:\.\w+)+):\w", text):
        yield module


def test_names_are_found() -> None:
    text = 'from musengine.a.b import c\nx = "import musengine_x, musengine"; "musengine.d:E"'
    assert list(names_of(text)) == ["musengine.a.b", "musengine.d"]
    assert list(names_of('program = "import musengine; 1"')) == ["musengine"]


def test_plugins_tests_use_nothing_of_the_cores_tests() -> None:
    own = {path.stem for path in (ROOT / "tests").glob("*.py")}
    assert "helpers" in own
    pattern = re.compile(rf"^\s*(?:from|import) (?:{'|'.join(own)})\b", re.MULTILINE)
    assert [path for path in texts() if pattern.search(path.read_text("utf-8"))] == []


def test_strangers_import_the_public_places_alone() -> None:
    private = {
        f"{path.relative_to(ROOT).as_posix()}: {name}"
        for path in texts()
        for name in names_of(path.read_text("utf-8"))
        if ".".join(name.split(".")[:2]) not in PUBLIC
    }
    assert not private
