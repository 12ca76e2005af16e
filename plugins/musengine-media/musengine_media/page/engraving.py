"""The first page of a piece as notated music, where there is what it takes to write and set it."""

from __future__ import annotations

import base64
import importlib.util
import re
import tempfile
from pathlib import Path

import numpy as np

from musengine.api import Registry, Score, counted, excerpt
from musengine.errors import UserError
from musengine_media.page.markup import Markup, element

NOTATION = ".musicxml"
"""What the writer is asked for, of whichever plugin is installed."""
MOST_BARS = 24
"""More never stand on one page."""
_PARTS = 12
"""Parts of a beat on which notes begin in music that can be notated: sixteenths and triplets."""
_IDS = re.compile(r'(?<=<g) id="[a-z0-9]+"')
"""Names of groups to which nothing refers; those of glyphs have a hyphen."""
_OPTIONS = {
    "pageWidth": 2100,
    "pageHeight": 1500,
    "adjustPageHeight": True,
    "scale": 40,
    "header": "none",
    "footer": "none",
    "removeIds": True,
    "svgViewBox": True,
    "svgFormatRaw": True,
    "xmlIdSeed": 1,
}


class Engraver:
    """Sets pieces that are on a grid.

    Args:
        registry: where a writer of notated music is looked for.
    """

    def __init__(self, registry: Registry) -> None:
        self._found = registry.writers_by_suffix("score").get(NOTATION)
        self._able = self._found is not None and importlib.util.find_spec("verovio") is not None

    def picture(self, score: Score, title: str) -> Markup | None:
        """Return the first page of a piece; None where it cannot be had."""
        if not self._able or not on_a_grid(score):
            return None
        svg = self._svg(excerpt(score, 0, min(score.n_bars, MOST_BARS), "bars"))
        if svg is None:
            return None
        return element(
            "details",
            element("summary", "Notated, the first page"),
            # A picture is a document of its own, in which nothing runs.
            element(
                "img",
                class_="engraved",
                alt=f"The first page of {title} as notated music, {counted(score.n_bars, 'bar')}",
                src=f"data:image/svg+xml;base64,{svg}",
                loading="lazy",
            ),
        )

    def _svg(self, score: Score) -> str | None:
        """Return the first page as SVG in base64."""
        import verovio

        assert self._found is not None
        entry, settings = self._found
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, f"piece{NOTATION}")
            try:
                entry.configured(settings).create().write(score, path)
            except UserError:
                return None
            music = path.read_text(encoding="utf-8")
        verovio.enableLog(verovio.LOG_OFF)
        toolkit = verovio.toolkit()
        toolkit.setOptions(_OPTIONS)
        if not toolkit.loadData(music):
            return None
        svg = _IDS.sub("", toolkit.renderToSVG(1))
        return base64.b64encode(svg.encode()).decode()


def on_a_grid(score: Score) -> bool:
    """Return whether nearly all notes begin on parts of a beat, and not as they were played."""
    if not len(score):
        return False
    # 0.5 on a part of the beat, 0 half-way between two.
    away = np.abs(score.onset * _PARTS / score.ticks_per_beat % 1 - 0.5)
    return bool((away > 0.45).mean() > 0.95)
