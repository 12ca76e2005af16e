"""A run records which plugins it needs, and says how to get them where one is not there."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from faults.plugin import DECLARATIONS, PARTS, PIPELINE

from musengine.plugins import manager
from musengine.plugins.api_version import API_VERSION
from musengine.testing import SitePackages
from musengine.testing.commands import run_command


@pytest.fixture
def folder(
    site_packages: SitePackages, workplace: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Path]:
    """A folder with a run of a plugin's model; the plugin is not there any more."""
    (workplace / "music").mkdir()
    for number in range(12):
        pitches = [60 + (number * beat) % 12 for beat in range(16)]
        (workplace / "music" / f"{number}.own").write_text(" ".join(map(str, pitches)))
    (workplace / "own.toml").write_text(PIPELINE)
    monkeypatch.setenv("MUSENGINE_PLUGINS", "own")
    site_packages.add("own-plugin", {"own": "own"}, "1.4", own=DECLARATIONS, own_parts=PARTS)
    manager.load.cache_clear()
    done = run_command("run", "own.toml")
    assert done.status == 0, done.err
    (info,) = site_packages.folder.glob("*.dist-info")
    info.rename(workplace / "gone")
    monkeypatch.delenv("MUSENGINE_PLUGINS")
    manager.load.cache_clear()
    yield workplace
    manager.load.cache_clear()


def test_what_is_recorded(folder: Path) -> None:
    (plugin,) = json.loads((folder / "runs/own/versions.json").read_text())["plugins"]
    assert {key: plugin[key] for key in ("distribution", "version", "api")} == {
        "distribution": "own-plugin",
        "version": "1.4",
        "api": API_VERSION,
    }
    assert {"model own", "encoder own", "writer own"} <= set(plugin["components"])


@pytest.mark.parametrize(
    "words", [("generate", "runs/own"), ("evaluate", "runs/own"), ("run", "own.toml")]
)
def test_without_it_the_command_that_installs_it_is_told(folder: Path, words: list[str]) -> None:
    done = run_command(*words)
    assert done.status == 1
    assert "Traceback" not in done.err
    last = done.err.splitlines()[-1]
    assert last.startswith("error: runs/own: this run was made with ")
    assert last.endswith("; pip install own-plugin==1.4")
    assert "model own from own-plugin 1.4" in last


def test_one_that_is_installed_is_not_to_be_installed(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "gone").rename(folder / "site" / "own_plugin-1.4.dist-info")
    monkeypatch.setenv("MUSENGINE_PLUGINS", "")
    manager.load.cache_clear()
    done = run_command("generate", "runs/own")
    assert done.status == 1
    assert "this run was made with" in done.err
    assert "pip install" not in done.err


def test_a_new_run_needs_nothing_of_an_old_one(folder: Path) -> None:
    done = run_command("run", "own.toml", "--new")
    assert done.status == 1
    assert "this run was made with" not in done.err
