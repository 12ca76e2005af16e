"""The page that maps other programs' settings names keys, options and pipelines that exist.

What each of them does is tested in `tests/integration/systems`, from which the page is made.
"""

from __future__ import annotations

import dataclasses
import importlib.util
import re
import subprocess
import sys
from pathlib import Path

import pytest

from musengine.interfaces.training import TrainingConfig
from musengine.pipeline import sections
from musengine.plugins import manager

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "reference" / "coming-from.md").read_text(encoding="utf-8")
CORE = {
    "run": sections.RunConfig,
    "corpus": sections.CorpusConfig,
    "training": TrainingConfig,
    "generate": sections.GenerateConfig,
}
KEYS = sorted(set(re.findall(r"`(run|corpus|training|generate|encoder|model)\.(\w+)", PAGE)))
HERE = [line.split("|")[2] for line in PAGE.splitlines() if line.startswith("|")]


def names(config: type) -> set[str]:
    return {field.name for field in dataclasses.fields(config)}


def test_the_page_names_many_keys() -> None:
    assert len(KEYS) > 50
    assert {table for table, _ in KEYS} == {*CORE, "encoder", "model"}


@pytest.mark.parametrize(("table", "key"), KEYS)
def test_every_key_exists(table: str, key: str) -> None:
    if table in CORE:
        assert key in names(CORE[table]) or (table, key) in sections.INSIDE
        return
    registry = manager.load().registry
    entries = registry.of_kind(table)
    if {"lstm3", "biaxial", "charrnn", "melody"} - set(registry.names("model")):
        pytest.skip("not all models are installed")
    known = set().union(*(names(entry.declaration.config) for entry in entries), {"preset"})
    assert key in known


def test_every_pipeline_and_type_exists() -> None:
    for name in re.findall(r"`(pipelines/[\w-]+\.toml)`", PAGE):
        assert (ROOT / name).is_file()
    registry = manager.load().registry
    if "tempered" not in registry.names("sampler"):
        pytest.skip("musengine-samplers is not installed")
    kinds = (*sections.LISTS.values(), *sections.SINGLE.values(), *sections.INSIDE.values())
    types = {name for kind in kinds for name in registry.names(kind)}
    for line in HERE:
        if "`type = " in line:
            named = re.findall(r'`(?:type = )?"([\w-]+)"`', line)
            assert named
            assert set(named) <= types


@pytest.mark.slow
@pytest.mark.skipif(
    not importlib.util.find_spec("musengine_tools")
    or not importlib.util.find_spec("musengine_evaluation"),
    reason="not all commands are installed",
)
def test_every_option_exists() -> None:
    commands = {
        command: subprocess.run(
            [sys.executable, "-m", "musengine", command, "--help"],
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for command in ("run", "generate", "inspect", "convert", "similarity")
    }
    options = {option for line in HERE for option in re.findall(r"(?<=[` ])--[a-z][a-z-]+", line)}
    assert len(options) > 10
    for option in options:
        assert any(option in text for text in commands.values()), option
    for command in re.findall(r"`musengine (\w+)", PAGE):
        assert command in commands
