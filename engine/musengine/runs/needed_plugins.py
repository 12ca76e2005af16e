"""Which plugins a run needs, and how those come back that are not there."""

from __future__ import annotations

import importlib.metadata
from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from musengine.errors import ConfigError, Problem
from musengine.plugins.api_version import API_VERSION
from musengine.plugins.registry import CORE, Component, Distribution, Registry
from musengine.utils.files import read_table, well_formed

FILE = "versions.json"


def needed_plugins(components: Iterable[Component]) -> list[dict[str, Any]]:
    """Return what a run records of the distributions its components are from, the core's left out.

    Of each its version, that of the plugin API, and the components, as `model grand`.
    """
    found: dict[Distribution, list[str]] = defaultdict(list)
    for part in components:
        if part.entry.origin.distribution != CORE:
            found[part.entry.origin].append(f"{part.entry.declaration.kind} {part.name}")
    return [
        {**vars(origin), "api": API_VERSION, "components": sorted(set(names))}
        for origin, names in sorted(found.items(), key=lambda pair: str(pair[0]))
    ]


def with_needed(error: ConfigError, run: Path, registry: Registry) -> ConfigError:
    """Return an error about a run's pipeline with which plugins the run was made with.

    Those that are not installed come with the command that installs them. The error stays as it is
    where it is not about a missing component, or there is no run.
    """
    path = run / FILE
    if not path.is_file() or all(each.code != "unknown-component" for each in error.problems):
        return error
    known = read_table(path)
    with well_formed(path):
        components: Mapping[str, str] = known.get("components", {})
        made_with = ", ".join(f"{name} from {place}" for name, place in sorted(components.items()))
        message = f"this run was made with {made_with}"
        # A plugin that is installed but failed to load would not be mended by installing it again.
        absent = [
            f"{each['distribution']}=={each['version']}"
            for each in known.get("plugins", ())
            if not _all_there(each["components"], registry) and not _is_installed(each)
        ]
    if absent:
        message += f"; pip install {' '.join(absent)}"
    return ConfigError(
        [*error.problems, Problem(str(run), "", "", message, code="unknown-component")]
    )


def _all_there(components: Iterable[str], registry: Registry) -> bool:
    keys = (tuple(name.split(" ", 1)) for name in components)
    return all(key in registry.entries for key in keys)


def _is_installed(plugin: Mapping[str, str]) -> bool:
    """Return whether that very version is there; why it is not loaded is told elsewhere."""
    try:
        return importlib.metadata.version(plugin["distribution"]) == plugin["version"]
    except importlib.metadata.PackageNotFoundError:
        return False
