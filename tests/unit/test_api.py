"""`musengine.api` holds what plugins need, and imports nothing before it is asked for."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from musengine import api


@pytest.mark.parametrize("name", api.__all__)
def test_every_name_is_there(name: str) -> None:
    try:
        assert getattr(api, name) is not None
    except ModuleNotFoundError as error:
        if error.name != "torch":
            raise
        pytest.skip("PyTorch is not installed")


def test_a_name_that_is_not_there() -> None:
    with pytest.raises(AttributeError, match="Trumpet"):
        api.Trumpet  # noqa: B018


def test_type_checkers_see_what_there_is() -> None:
    tree = ast.parse(Path(api.__file__).read_text("utf-8"))
    seen = {
        alias.asname: node.module
        for block in tree.body
        if isinstance(block, ast.If)
        for node in ast.walk(block)
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assert seen == {name: f"musengine.{home}" for name, home in api._HOME.items()}
    assert set(seen) == set(api.__all__) == set(dir(api))


def test_settings_and_declarations_import_neither_torch_nor_numpy() -> None:
    program = (
        "import sys; from musengine.api import Config, GridStep, ModelDeclaration, hookimpl, Grid;"
        "print([name for name in ('torch', 'numpy') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout.strip() == "[]", done.stderr
