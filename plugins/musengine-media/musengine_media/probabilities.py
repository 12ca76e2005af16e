"""The writer of the probabilities a model gave at each step of a piece, as numbers."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from musengine.api import NoSettings, Probabilities, Writable, Writer


class ProbabilitiesWriter(Writer[NoSettings]):
    """Writes `probabilities`, `steps` and `prompt` as arrays of an `.npz` file, time first."""

    @property
    def suffix(self) -> str:
        """`.npz`."""
        return ".npz"

    def write(self, content: Writable, path: Path) -> None:
        """Write the arrays."""
        if not isinstance(content, Probabilities):
            raise TypeError("this writer writes probabilities")
        with path.open("wb") as file:
            np.savez_compressed(
                file,
                probabilities=content.probabilities,
                steps=content.steps,
                prompt=content.prompt,
            )
