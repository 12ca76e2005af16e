"""Fixtures for pytest: `pytest_plugins = ["musengine.testing.fixtures"]` in a `conftest.py`."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

from musengine.testing.site_packages import SitePackages


@pytest.fixture(scope="session", autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Keep the user's cache and choice of plugins out of the tests, and the tests out of them."""
    folder = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MUSENGINE_CACHE", str(folder))
        for name in ("MUSENGINE_PLUGINS", "MUSENGINE_STRICT"):
            patch.delenv(name, raising=False)
        yield folder


@pytest.fixture
def workplace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make a working directory, empty, with a cache of its own beside what a test writes."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MUSENGINE_CACHE", str(tmp_path / "cache"))
    return tmp_path


@pytest.fixture
def site_packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SitePackages]:
    """Make a folder on the module path for distributions that exist in one test only."""
    folder = tmp_path / "site"
    folder.mkdir()
    monkeypatch.syspath_prepend(str(folder))
    yield SitePackages(folder)
    for name, module in list(sys.modules.items()):
        # Else the next test's module of the same name would be this one's.
        if str(getattr(module, "__file__", None) or "").startswith(str(folder)):
            del sys.modules[name]


@pytest.fixture
def in_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let `process_files` and `read_sources` start no workers: these take most of a small test.

    A test of what a worker is for, a file that crashes or takes too long, does without it.
    """
    from musengine.data import reading
    from musengine.utils.parallel import process_map

    def serially(
        function: Callable[[Any], Any], tasks: Iterable[Any], **_: object
    ) -> Iterator[Any]:
        return process_map(function, tasks, serial_below=sys.maxsize)

    monkeypatch.setattr(reading, "process_map", serially)


@pytest.fixture(scope="session")
def data_folder() -> Path:
    """Return the folder of real music that `MUSENGINE_DATA` names; skips the test without one."""
    chosen = os.environ.get("MUSENGINE_DATA")
    if not chosen or not Path(chosen).is_dir():
        pytest.skip(f"no real music in {chosen}; set MUSENGINE_DATA")
    return Path(chosen)
