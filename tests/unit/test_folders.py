"""The folders of the sources stay small enough to be looked through."""

from __future__ import annotations

from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = [ROOT / "engine" / "musengine", *ROOT.glob("plugins/*/musengine_*")]
FOLDERS = sorted({module.parent for package in PACKAGES for module in package.rglob("*.py")})
MOST_MODULES, MOST_FLAT = 15, 5


def modules_of(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir() if path.suffix in (".py", ".pyx")]


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: str(folder.relative_to(ROOT)))
def test_a_folder_holds_few_modules(folder: Path) -> None:
    assert len({*modules_of(folder)} - {"__init__.py"}) <= MOST_MODULES


def test_few_modules_lie_flat_in_the_core() -> None:
    assert len(modules_of(PACKAGES[0])) <= MOST_FLAT
