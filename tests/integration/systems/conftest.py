"""These tests look at the whole system: they are skipped where a plugin is not installed."""

from __future__ import annotations

import importlib.util
from pathlib import Path

PLUGINS = Path(__file__).resolve().parents[3].glob("plugins/*/musengine_*")
collect_ignore_glob = (
    [] if all(importlib.util.find_spec(path.name) for path in PLUGINS) else ["test_*.py"]
)
