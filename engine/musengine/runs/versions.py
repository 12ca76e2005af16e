"""What a run was made with."""

from __future__ import annotations

import contextlib
import importlib.metadata
import platform
from typing import Any

from musengine.pipeline.resolve import Pipeline


def versions(pipeline: Pipeline) -> dict[str, Any]:
    """Return what the run was made with: Python, libraries, plugins and their components."""
    libraries = ("musengine", "torch", "numpy", "miditoolkit", "safetensors")
    installed = {}
    for name in libraries:
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
    }
