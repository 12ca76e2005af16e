"""The writer of what went on inside a model, as numbers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from musengine.encoding.layouts import Grid
from musengine.interfaces.writer import Activations, Writable, Writer
from musengine.plugins.configs import NoSettings


class ActivationsWriter(Writer[NoSettings]):
    """Writes the arrays into an `.npz` file; `NAME.axes` holds the names of NAME's axes."""

    @property
    def suffix(self) -> str:
        """`.npz`."""
        return ".npz"

    def write(self, content: Writable, path: Path) -> None:
        """Write `steps`, `prompt_steps`, for a grid its `lowest` pitch, and every array."""
        if not isinstance(content, Activations):
            raise TypeError("this writer writes activations")
        named: dict[str, Any] = {"steps": content.steps, "prompt_steps": content.prompt_steps}
        if isinstance(content.layout, Grid):
            named["lowest"] = content.layout.lowest
        for name, (values, axes) in content.arrays.items():
            named[name] = values
            named[f"{name}.axes"] = np.array(axes)
        with path.open("wb") as file:
            np.savez_compressed(file, **named)
