"""Whether the defaults and presets that a component declares make sense in a pipeline."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from musengine.config.toml import SettingsSource
from musengine.errors import ConfigError, Problem
from musengine.pipeline.resolve import resolve_pipeline
from musengine.pipeline.sections import LAYERED
from musengine.plugins.registry import Registry, RegistryEntry


def declared_problems(entry: RegistryEntry, registry: Registry) -> list[Problem]:
    """Return what is wrong with the defaults and presets of a model or an encoder.

    That is a table or a key that does not exist, and a value that its setting does not take. The
    `file` of each problem says which declaration is at fault.
    """
    if entry.declaration.kind not in LAYERED:
        return []
    whose = f"{entry.declaration.kind} {entry.name!r} of {entry.origin}"
    found: dict[Problem, None] = {}
    declared = ((None, entry.declaration.defaults), *entry.declaration.presets.items())
    for preset in (name for name, tables in declared if tables):
        origin = whose if preset is None else f"preset {preset!r} of {whose}"
        for problem in _problems(_tables(entry, preset, registry), registry):
            # Problems of the user's tables, which are made up here, and of other declarations do
            # not count.
            if problem.file == origin:
                found[problem] = None
    return list(found)


def _tables(entry: RegistryEntry, preset: str | None, registry: Registry) -> dict[str, Any]:
    chosen = {"type": entry.name} | ({} if preset is None else {"preset": preset})
    tables: dict[str, Any] = {"corpus": {"path": "."}, entry.declaration.kind: chosen}
    if entry.declaration.kind == "encoder":
        # Any will do: only what the encoder sets is looked at.
        tables["model"] = {"type": registry.names("model")[0]}
    return tables


def _problems(tables: dict[str, Any], registry: Registry) -> Iterator[Problem]:
    source = SettingsSource(Path("declared.toml"), "declared.toml", tables, Path())
    try:
        resolve_pipeline(source, registry)
    except ConfigError as error:
        yield from error.problems
