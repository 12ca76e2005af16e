"""The probabilities a model gave at each step of a piece, as a heat-map."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

from musengine.api import Array, Grid, Layout, Probabilities, Tokens, Writable, Writer
from musengine_media.config import HeatmapConfig
from musengine_media.picture import INK

# From paper through yellow and red to nearly black: lighter is less probable, also in print.
_HEAT = np.array(
    [(255, 255, 255), (254, 224, 144), (244, 109, 67), (165, 0, 38), (49, 0, 20)], dtype=np.float64
)
_LEFT, _TITLE, _RIGHT, _GAP = 44, 18, 12, 10


class HeatmapWriter(Writer[HeatmapConfig]):
    """Draws the prompt's roll, the probabilities and the result's roll, one above the other."""

    @property
    def suffix(self) -> str:
        """`.heatmap.png`."""
        return ".heatmap.png"

    def write(self, content: Writable, path: Path) -> None:
        """Write the picture."""
        if not isinstance(content, Probabilities):
            raise TypeError("a heat-map is drawn of probabilities")
        layout = content.layout
        panels = {
            "prompt": _flat(content.prompt, layout),
            "probabilities": _first_channel(content.probabilities),
            "result": _flat(content.steps, layout),
        }
        # Rows that are never likely would only make the others thinner.
        used = np.concatenate([*panels.values()]).max(axis=0, initial=0.0) > 0.02
        low, high = _span(used)
        image = Image.new("RGB", (self.config.width, self.config.height), "white")
        height = self.config.height // len(panels)
        for index, (title, panel_TV) in enumerate(panels.items()):
            box = (0, index * height, self.config.width, height)
            draw_panel(image, title, panel_TV[:, low:high], box, lowest_pitch(layout) + low)
        image.save(path, format="PNG")


def _first_channel(values: Array) -> npt.NDArray[np.float64]:
    """Return (T, V): a grid's sound channel, or tokens as they are."""
    return (values[..., 0] if values.ndim == 3 else values).astype(np.float64)


def _flat(steps: Array, layout: Layout) -> npt.NDArray[np.float64]:
    """Return steps as (T, V) of 0 and 1."""
    if isinstance(layout, Tokens):
        return np.eye(layout.size)[steps.astype(np.int64)]
    return _first_channel(steps)


def _span(used_V: npt.NDArray[np.bool_]) -> tuple[int, int]:
    """Return the rows worth showing, with a little room around them."""
    rows = np.nonzero(used_V)[0]
    if not len(rows):
        return 0, len(used_V)
    return max(int(rows[0]) - 2, 0), min(int(rows[-1]) + 3, len(used_V))


def lowest_pitch(layout: Layout) -> int:
    """Return the MIDI number of row 0; tokens are numbered from 0 and get no names of notes."""
    return layout.lowest if isinstance(layout, Grid) else 1 - 2**30


def draw_panel(
    image: Image.Image,
    title: str,
    panel_TV: npt.NDArray[np.float64],
    box: tuple[int, ...],
    lowest: int,
) -> None:
    """Draw values (T, V) from 0 to 1 as a titled heat-map into a box (x, y, width, height)."""
    x, y, width, height = box
    size = (width - _LEFT - _RIGHT, height - _TITLE - _GAP)
    canvas, font = ImageDraw.Draw(image), ImageFont.load_default(11)
    canvas.text((x + _LEFT, y + 3), f"{title}, {len(panel_TV)} steps", fill=INK, font=font)
    frame = ((x + _LEFT - 1, y + _TITLE - 1), (x + _LEFT + size[0], y + _TITLE + size[1]))
    canvas.rectangle(frame, outline=INK)
    if panel_TV.size:
        # (V, T), the highest pitch on top, since pictures count rows downwards.
        heat = Image.fromarray(_heat(panel_TV.T[::-1]))
        image.paste(heat.resize(size, Image.Resampling.NEAREST), (x + _LEFT, y + _TITLE))
    rows = panel_TV.shape[1]
    for row in range(rows):
        if lowest + row >= 0 and (lowest + row) % 12 == 0:
            middle = y + _TITLE + size[1] * (rows - row - 0.5) / rows
            label = f"C{(lowest + row) // 12 - 1}"
            canvas.text((x + _LEFT - 6, middle), label, fill=INK, font=font, anchor="rm")


def _heat(values: npt.NDArray[np.float64]) -> npt.NDArray[np.uint8]:
    """Return colours (..., 3) for numbers from 0 to 1."""
    place = np.clip(values, 0, 1) * (len(_HEAT) - 1)
    below = np.minimum(place.astype(np.int64), len(_HEAT) - 2)
    share = (place - below)[..., None]
    colours: npt.NDArray[np.float64] = _HEAT[below] * (1 - share) + _HEAT[below + 1] * share
    return colours.astype(np.uint8)
