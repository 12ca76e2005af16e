"""What the tests share: a workplace, the command line, the real data where there is some."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest


@pytest.fixture
def workplace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory, empty, with a cache of its own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MUSENGINE_CACHE", str(tmp_path / "cache"))
    return tmp_path


@pytest.fixture
def musengine(capfd: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """Call the command line; returns exit status, stdout and stderr."""
    from musengine.cli.main import main

    def call(*arguments: str) -> tuple[int, str, str]:
        capfd.readouterr()
        status = main(arguments)
        out, err = capfd.readouterr()
        return status, out, err

    return call


@pytest.fixture(scope="session")
def data_folder() -> Path:
    """The real music: `MUSENGINE_DATA`, else `shared/data` beside the checkout."""
    chosen = os.environ.get("MUSENGINE_DATA")
    folder = Path(chosen) if chosen else Path(__file__).resolve().parents[4] / "shared" / "data"
    if not folder.is_dir():
        pytest.skip(f"no real data in {folder}; set MUSENGINE_DATA")
    return folder
