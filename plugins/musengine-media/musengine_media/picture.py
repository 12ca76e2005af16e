"""Piano-roll pictures: one drawing, as SVG or as PNG."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from xml.sax.saxutils import escape

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from musengine.api import Score, Writable, Writer, shown_pitches
from musengine_media.config import PictureConfig

BLACK_KEYS = (1, 3, 6, 8, 10)
NOTE_COLOURS = ("#1f5fa8", "#c2512f", "#2f855a", "#7d4fa0", "#b7791f", "#2c7a86")
PAPER, BLACK_ROW, BAR_LINE, OCTAVE_LINE, INK = "#ffffff", "#f0f1f4", "#c9ccd4", "#dcdee4", "#4a4f5c"
LEFT, BOTTOM, TOP, RIGHT = 44, 30, 10, 12


@dataclass(frozen=True)
class Rectangle:
    """A filled rectangle in pixels."""

    x: float
    y: float
    width: float
    height: float
    colour: str


@dataclass(frozen=True)
class Label:
    """A word at a point in pixels; `anchor` is `middle` or `end`."""

    x: float
    y: float
    text: str
    anchor: str


def draw(score: Score, width: int, height: int) -> Iterator[Rectangle | Label]:
    """Yield the shapes of a score's piano-roll, back to front.

    Time runs to the right with a line at each bar, pitch upwards with the black keys' rows
    shaded, and a colour for each track.
    """
    low, high = shown_pitches(score)
    rows = high - low + 1
    row_height = (height - TOP - BOTTOM) / rows
    per_tick = (width - LEFT - RIGHT) / max(score.length, 1)

    def y_of(pitch: int) -> float:
        return TOP + (high - pitch) * row_height

    yield Rectangle(0, 0, width, height, PAPER)
    for pitch in range(low, high + 1):
        if pitch % 12 in BLACK_KEYS:
            yield Rectangle(LEFT, y_of(pitch), width - LEFT - RIGHT, row_height, BLACK_ROW)
        if pitch % 12 == 0:
            bottom = y_of(pitch) + row_height
            yield Rectangle(LEFT, bottom, width - LEFT - RIGHT, 1, OCTAVE_LINE)
            yield Label(LEFT - 6, bottom - row_height / 2 + 4, f"C{pitch // 12 - 1}", "end")
    yield from _bars(score, per_tick, height)
    notes = zip(
        score.onset.tolist(),
        score.duration.tolist(),
        score.pitch.tolist(),
        score.track.tolist(),
        strict=True,
    )
    for onset, duration, pitch, track in notes:
        # A hair's breadth between notes keeps repeated ones apart.
        length = max(duration * per_tick - 0.8, 0.8)
        colour = NOTE_COLOURS[track % len(NOTE_COLOURS)]
        yield Rectangle(
            LEFT + onset * per_tick, y_of(pitch), length, max(row_height - 0.5, 0.8), colour
        )


def _bars(score: Score, per_tick: float, height: int) -> Iterator[Rectangle | Label]:
    bars = _bar_ticks(score)
    every = max(1, int(np.ceil(len(bars) * 34 / max(score.length * per_tick, 1))))
    for number, tick in enumerate(bars):
        x = LEFT + tick * per_tick
        yield Rectangle(x, TOP, 1, height - TOP - BOTTOM, BAR_LINE)
        if number % every == 0:
            yield Label(x, height - BOTTOM + 16, str(number + 1), "middle")
    yield Label(LEFT - 6, height - BOTTOM + 16, "bar", "end")


def _bar_ticks(score: Score, most: int = 4000) -> list[int]:
    """Return the ticks at which bars begin; a new meter begins a bar."""
    bars: list[int] = []
    stops = [*score.meter_tick[1:].tolist(), score.length]
    for start, stop, (numerator, denominator) in zip(
        score.meter_tick.tolist(), stops, score.meter.tolist(), strict=True
    ):
        bar = max(4 * numerator * score.ticks_per_beat / max(denominator, 1), 1.0)
        # A file may change its meter after the last note.
        inside = max(min(stop, score.length) - start, 0)
        count = min(int(np.ceil(inside / bar)), most - len(bars))
        bars.extend(int(start + number * bar) for number in range(count))
    return bars


class PictureWriter(Writer[PictureConfig]):
    """Draws a score's piano-roll."""

    @property
    def suffix(self) -> str:
        """`.svg` or `.png`."""
        return f".{self.config.format}"

    def write(self, content: Writable, path: Path) -> None:
        """Write the picture."""
        if not isinstance(content, Score):
            raise TypeError("pictures are drawn of scores")
        shapes = draw(content, self.config.width, self.config.height)
        if self.config.format == "svg":
            path.write_text(_svg(shapes, self.config), encoding="utf-8")
        else:
            _write_png(shapes, self.config, path)


def _svg(shapes: Iterator[Rectangle | Label], config: PictureConfig) -> str:
    size = f'width="{config.width}" height="{config.height}"'
    box = f'viewBox="0 0 {config.width} {config.height}"'
    lines = [f'<svg xmlns="http://www.w3.org/2000/svg" {size} {box} font-family="sans-serif">']
    for shape in shapes:
        if isinstance(shape, Rectangle):
            lines.append(
                f'<rect x="{shape.x:.1f}" y="{shape.y:.1f}" width="{shape.width:.1f}" '
                f'height="{shape.height:.1f}" fill="{shape.colour}"/>'
            )
        else:
            lines.append(
                f'<text x="{shape.x:.1f}" y="{shape.y:.1f}" font-size="11" fill="{INK}" '
                f'text-anchor="{shape.anchor}">{escape(shape.text)}</text>'
            )
    return "\n".join([*lines, "</svg>", ""])


def _write_png(shapes: Iterator[Rectangle | Label], config: PictureConfig, path: Path) -> None:
    image = Image.new("RGB", (config.width, config.height), PAPER)
    canvas = ImageDraw.Draw(image)
    font = ImageFont.load_default(11)
    anchors = {"end": "rs", "middle": "ms"}
    for shape in shapes:
        if isinstance(shape, Rectangle):
            right, bottom = shape.x + shape.width - 1, shape.y + shape.height - 1
            corner = (max(right, shape.x), max(bottom, shape.y))
            canvas.rectangle(((shape.x, shape.y), corner), fill=shape.colour)
        else:
            canvas.text(
                (shape.x, shape.y), shape.text, fill=INK, font=font, anchor=anchors[shape.anchor]
            )
    image.save(path, format="PNG")
