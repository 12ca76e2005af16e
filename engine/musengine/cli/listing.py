"""The list of plugins, for people and for programs."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

from musengine.plugins.manager import Plugins


def as_json(loaded: Plugins) -> list[dict[str, Any]]:
    """Return one object for each plugin: whose it is, its state, what it offers."""
    return [
        {
            "name": plugin.name,
            "distribution": plugin.origin.distribution,
            "version": plugin.origin.version,
            "status": plugin.status,
            "reasons": plugin.reasons,
            "components": [
                {
                    "kind": declaration.kind,
                    "name": declaration.name,
                    "summary": declaration.summary,
                    "missing": [
                        requirement.install
                        for requirement in declaration.requires
                        if not requirement.installed()
                    ],
                }
                for declaration in plugin.declarations
            ],
        }
        for plugin in loaded.plugins
    ]


def as_lines(loaded: Plugins) -> list[str]:
    """Return a heading for each plugin, and a line for each kind of component it offers."""
    lines = []
    for plugin in loaded.plugins:
        head = f"{plugin.name}: {plugin.origin}".rstrip(": ")
        reason = f": {'; '.join(plugin.reasons)}" if plugin.reasons else ""
        lines.append(f"{head}  [{plugin.status}{reason}]")
        offered: dict[str, list[str]] = defaultdict(list)
        for declaration in plugin.declarations:
            missing = any(not requirement.installed() for requirement in declaration.requires)
            offered[declaration.kind].append(declaration.name + (" (*)" if missing else ""))
            if missing:
                offered["(*) needs"] = [need.install for need in declaration.requires]
        lines.extend(f"  {kind}: {', '.join(names)}" for kind, names in offered.items())
    return lines
