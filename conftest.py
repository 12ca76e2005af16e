"""What the tests of every distribution here share; settings of pytest are in pyproject.toml."""

from __future__ import annotations

import os
from pathlib import Path

from hypothesis import settings

pytest_plugins = ["musengine.testing.fixtures"]

# Two threads on matrices this small spend their time waiting for each other.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("MUSENGINE_DATA", str(Path(__file__).resolve().parents[1] / "shared/data"))

# How long an example takes says something about the machine, not about the code.
settings.register_profile("musengine", settings(), deadline=None)
settings.load_profile("musengine")
