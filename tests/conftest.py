"""What all tests share: a cache of their own, and the real data where there is some."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from distributions import Site

# Two threads on matrices this small spend their time waiting for each other.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# How long an example takes says something about the machine, not about the code.
settings.register_profile("musengine", settings(), deadline=None)
settings.load_profile("musengine")

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session", autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep the user's cache out of the tests, and the tests out of it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MUSENGINE_CACHE", str(tmp_path_factory.mktemp("cache")))
        for name in ("MUSENGINE_PLUGINS", "MUSENGINE_STRICT"):
            patch.delenv(name, raising=False)
        yield


@pytest.fixture(scope="session")
def data_folder() -> Path:
    """The real music: `MUSENGINE_DATA`, else `shared/data` beside the checkout."""
    chosen = os.environ.get("MUSENGINE_DATA")
    folder = Path(chosen) if chosen else ROOT.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip(f"no real data in {folder}; set MUSENGINE_DATA")
    return folder


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


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    """A folder on the module path for distributions that exist in one test only."""
    folder = tmp_path / "site"
    folder.mkdir()
    monkeypatch.syspath_prepend(str(folder))
    yield Site(folder)
    for name, module in list(sys.modules.items()):
        if str(getattr(module, "__file__", None) or "").startswith(str(folder)):
            del sys.modules[name]
