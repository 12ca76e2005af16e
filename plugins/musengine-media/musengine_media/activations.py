"""A picture of what goes on inside a model: every layer's activity under the piano-roll."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from musengine.api import Activations, Array, NoSettings, Tokens, Writable, Writer, shown_number
from musengine_media.heatmap import draw_panel, lowest_pitch

WIDTH, ROLL, PANEL = 1200, 260, 180
"""Pixels: the picture's width, and the heights of the roll and of each array's panel."""


class ActivationsPictureWriter(Writer[NoSettings]):
    """Draws a piece and, on the same time axis, what went on inside the model."""

    @property
    def suffix(self) -> str:
        """`.png`."""
        return ".png"

    def write(self, content: Writable, path: Path) -> None:
        """Write the picture."""
        if not isinstance(content, Activations):
            raise TypeError("this writer draws activations")
        draw(content).save(path, format="PNG")


def draw(activations: Activations) -> Image.Image:
    """Return a picture: the piece, and below it, on the same time axis, a panel for each array.

    A panel of an array with notes and units shows how strongly its units are active together (the
    root of the mean square over them) at each step and note; of one without notes, each unit. The
    largest value of a panel is black, nought is white.
    """
    panels = {name: _panel(values, axes) for name, (values, axes) in activations.arrays.items()}
    image = Image.new("RGB", (WIDTH, ROLL + PANEL * len(panels)), "white")
    lowest, roll_TV = lowest_pitch(activations.layout), _roll(activations)
    used = np.nonzero(roll_TV.any(axis=0))[0]
    low, high = (int(used[0]), int(used[-1]) + 1) if len(used) else (0, roll_TV.shape[1])
    draw_panel(image, "piece", roll_TV[:, low:high], (0, 0, WIDTH, ROLL), lowest + low)
    for index, (name, panel_TV) in enumerate(panels.items()):
        # On the rows of the piece: a token's, as a note's.
        by_note = not {"note", "token"}.isdisjoint(activations.arrays[name][1])
        shown, bottom = (panel_TV[:, low:high], lowest + low) if by_note else (panel_TV, _UNNAMED)
        largest = float(shown.max(initial=0.0))
        title = f"{name}, largest {shown_number(largest, 3)}"
        box = (0, ROLL + index * PANEL, WIDTH, PANEL)
        draw_panel(image, title, shown / (largest or 1.0), box, bottom)
    return image


_UNNAMED = -(2**30)
"""A lowest pitch of rows that are no notes: none is given a name."""


def _roll(activations: Activations) -> npt.NDArray[np.float64]:
    """Return the piece (T, V) as 0 and 1; a note's first step is darker than the rest."""
    if isinstance(activations.layout, Tokens):
        return np.eye(activations.layout.size)[activations.steps.astype(np.int64)]
    steps = activations.steps.astype(np.float64)
    return np.asarray(steps[..., 0] * 0.7 + 0.3 * steps[..., -1] * steps[..., 0])


def _panel(values: Array, axes: tuple[str, ...]) -> npt.NDArray[np.float64]:
    """Return (T, V): absolute values, those of several units together by their mean square."""
    if len(axes) <= 2:
        return np.abs(values.astype(np.float64).reshape(len(values), -1))
    squares = np.square(values.astype(np.float64)).reshape(*values.shape[:2], -1)
    return np.asarray(np.sqrt(squares.mean(axis=-1)))
