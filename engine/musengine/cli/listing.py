"""The list of plugins, for people and for programs."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

from musengine.plugins.declarations import Declaration, TrainedDeclaration
from musengine.plugins.manager import Plugins


def as_json(loaded: Plugins) -> list[dict[str, Any]]:
    """Return one object for each plugin: whose it is, its state, what it offers."""
    return [
        {
            "name": plugin.name,
            "distribution": plugin.origin.distribution,
            "version": plugin.origin.version,
            "api": plugin.api,
            "status": plugin.status,
            "reasons": plugin.reasons,
            "components": [
                {
                    "kind": declaration.kind,
                    "name": declaration.name,
                    "summary": declaration.summary,
                    "missing": _missing(declaration),
                    **_of_trained(declaration),
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
            missing = _missing(declaration)
            offered[declaration.kind].append(_shown(declaration) + (" (*)" if missing else ""))
            if missing:
                offered["(*) needs"] = missing
        lines.extend(f"  {kind}: {', '.join(names)}" for kind, names in offered.items() if names)
    return lines


def _of_trained(declaration: Declaration) -> dict[str, Any]:
    """Return what there is to know of a trained model beside what all components have."""
    if not isinstance(declaration, TrainedDeclaration):
        return {}
    names = ("licence", "size", "trained_on")
    return {name: getattr(declaration, name) for name in names}


def _shown(declaration: Declaration) -> str:
    if not isinstance(declaration, TrainedDeclaration):
        return declaration.name
    megabytes = f"{declaration.size / 1e6:.1f} MB"
    return f"{declaration.name} ({declaration.trained_on}; {declaration.licence}, {megabytes})"


def _missing(declaration: Declaration) -> list[str]:
    return [need.install for need in declaration.requires if not need.installed()]
