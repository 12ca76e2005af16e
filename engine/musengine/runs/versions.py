"""What a run was made with."""

from __future__ import annotations

import contextlib
import importlib.metadata
import platform
import re
from typing import Any

from musengine.pipeline.resolve import Pipeline
from musengine.runs.needed_plugins import needed_plugins


def versions(pipeline: Pipeline) -> dict[str, Any]:
    """Return what the run was made with: Python, libraries, plugins and their components."""
    libraries = ["musengine", "torch", "numpy", "miditoolkit", "safetensors"]
    for part in pipeline.components():
        libraries += _needed(part.entry.origin.distribution)
    installed = {}
    for name in dict.fromkeys(libraries):
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            installed[name] = importlib.metadata.version(name)
    components = {
        f"{part.entry.declaration.kind} {part.name}": str(part.entry.origin)
        for part in pipeline.components()
    }
    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "distributions": installed,
        "components": components,
        "plugins": needed_plugins(pipeline.components()),
    }


def _needed(distribution: str) -> list[str]:
    """Return the libraries that a distribution needs itself, without those of its extras."""
    try:
        requirements = importlib.metadata.requires(distribution) or []
    except importlib.metadata.PackageNotFoundError:
        return []
    plain = (line for line in requirements if "extra ==" not in line)
    return [match[0].lower() for line in plain if (match := re.match(r"[\w.-]+", line))]
