"""Pipelines for scripts and notebooks: from a file, or from tables made in Python."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from musengine.config import toml
from musengine.data.discovery import check_sources
from musengine.pipeline import resolve
from musengine.pipeline.resolve import Pipeline
from musengine.plugins.manager import load_registry


def load_pipeline(path: str | Path, settings: Sequence[str] = ()) -> Pipeline:
    """Return the pipeline of a file, every default filled in and its wiring checked.

    Args:
        path: a TOML file.
        settings: `TABLE.KEY=VALUE` each, as `--set` takes them.

    Raises:
        ConfigError: everything that is wrong with it, all at once.
        UserError: the file cannot be read.
    """
    return resolve.load_pipeline(Path(path), load_registry(), settings, check_sources=check_sources)


def build_pipeline(
    tables: Mapping[str, Any], settings: Sequence[str] = (), *, name: str = "pipeline"
) -> Pipeline:
    """Return a pipeline made of tables as a file would hold them, completed and checked.

    Args:
        tables: TOML values by table and key; paths start from the working directory.
        settings: `TABLE.KEY=VALUE` each, laid over the tables.
        name: what its run is called, and its place in messages.

    Raises:
        ConfigError: everything that is wrong with it, all at once.
    """
    source = toml.SettingsSource(
        Path(f"{name}.toml"), name, copy.deepcopy(dict(tables)), Path.cwd()
    )
    for assignment in settings:
        toml.apply(source, assignment)
    return resolve.resolve_pipeline(source, load_registry(), check_sources=check_sources)
