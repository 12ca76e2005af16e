"""The real data, where there is some."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def data_folder() -> Path:
    """The real music: `MUSENGINE_DATA`, else `shared/data` beside the checkout."""
    chosen = os.environ.get("MUSENGINE_DATA")
    folder = Path(chosen) if chosen else Path(__file__).resolve().parents[4] / "shared" / "data"
    if not folder.is_dir():
        pytest.skip(f"no real data in {folder}; set MUSENGINE_DATA")
    return folder
