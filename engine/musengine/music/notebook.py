"""The picture that a notebook shows of a Score: its piano-roll as SVG, of bounded size."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from musengine.music.pitch_names import pitch_name
from musengine.utils.arrays import FloatArray, IntArray

if TYPE_CHECKING:
    from musengine.music.score import Score

MAX_RECTANGLES = 3000
"""Above so many notes those of a pitch that almost touch are drawn as one."""

_PIXELS_PER_BEAT = 24
_MIN_WIDTH, _MAX_WIDTH = 240, 1600
_ROW_HEIGHT = 5
_MIN_ROWS = 24
_BAR_SPACING = 40
"""Least pixels from one bar line to the next; where bars are narrower some have none."""
_LEFT, _TOP, _RIGHT, _BOTTOM = 32, 4, 8, 18

_TRACK_COLOURS = ("#1f5fa8", "#c2512f", "#2f855a", "#7d4fa0", "#b7791f", "#2c7a86")
_DRUM_COLOUR = "#6b7280"
_PAPER, _BLACK_KEY, _LINE, _INK = "#ffffff", "#f0f1f4", "#c9ccd4", "#4a4f5c"
_BLACK_KEYS = (1, 3, 6, 8, 10)


def piano_roll_svg(score: Score) -> str:
    """Return a score's piano-roll as an SVG picture.

    Time runs to the right, with numbered bars; pitch upwards, with the rows of black keys shaded.
    Each track has a colour, drums are grey. A long score is compressed to 1,600 pixels.
    """
    low, high = shown_pitches(score)
    beats = score.length / score.ticks_per_beat
    width = round(min(max(beats * _PIXELS_PER_BEAT, _MIN_WIDTH), _MAX_WIDTH))
    scale = width / max(score.length, 1)
    right, bottom = _LEFT + width, _TOP + (high - low + 1) * _ROW_HEIGHT
    size = right + _RIGHT, bottom + _BOTTOM
    return "".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{size[0]}" height="{size[1]}" '
            f'viewBox="0 0 {size[0]} {size[1]}" style="max-width:100%;height:auto" '
            'font-family="sans-serif" font-size="10">',
            f"<title>{len(score):,} notes, {score.n_bars:,} bars</title>",
            _rectangle(0, 0, *size, f' fill="{_PAPER}"'),
            *_keyboard(low, high, width),
            *_bars(score, scale, bottom),
            *_notes(score, scale, high),
            "</svg>",
        ]
    )


def _rectangle(x: float, y: float, width: float, height: float, more: str = "") -> str:
    return f'<rect x="{x:g}" y="{y:g}" width="{width:g}" height="{height:g}"{more}/>'


def shown_pitches(score: Score) -> tuple[int, int]:
    """Return the lowest and highest pitch shown: two octaves, or those of the notes and a few."""
    if not len(score):
        return 48, 72
    low, high = int(score.pitch.min()) - 2, int(score.pitch.max()) + 2
    missing = max(_MIN_ROWS - (high - low), 0)
    return max(low - missing // 2, 0), min(high + missing - missing // 2, 127)


def _keyboard(low: int, high: int, width: int) -> Iterator[str]:
    def y_of(pitch: int) -> int:
        return _TOP + (high - pitch) * _ROW_HEIGHT

    yield f'<g class="black-keys" fill="{_BLACK_KEY}">'
    for pitch in range(low, high + 1):
        if pitch % 12 in _BLACK_KEYS:
            yield _rectangle(_LEFT, y_of(pitch), width, _ROW_HEIGHT)
    yield f'</g><g class="pitches" fill="{_INK}" text-anchor="end">'
    for pitch in range(-(-low // 12) * 12, high + 1, 12):
        yield f'<text x="{_LEFT - 4}" y="{y_of(pitch) + _ROW_HEIGHT}">{pitch_name(pitch)}</text>'
    yield "</g>"


def _bars(score: Score, scale: float, bottom: int) -> Iterator[str]:
    width = score.length * scale
    every = max(1, math.ceil(score.n_bars * _BAR_SPACING / max(width, 1)))
    bars = np.arange(0, score.n_bars, every)
    starts = (_LEFT + score.ticks_of_bars(bars) * scale).round(1).tolist()
    lines = "".join(f"M{x:g} {_TOP}V{bottom}" for x in starts)
    yield f'<path class="bars" stroke="{_LINE}" d="{lines}"/>'
    yield f'<g class="bar-numbers" fill="{_INK}" text-anchor="middle">'
    for bar, x in zip(bars.tolist(), starts, strict=True):
        yield f'<text x="{x:g}" y="{bottom + 12}">{bar + 1}</text>'
    yield "</g>"


def _notes(score: Score, scale: float, high: int) -> Iterator[str]:
    drums = len(_TRACK_COLOURS)
    colours = np.array(
        [
            drums if track.is_drum else index % len(_TRACK_COLOURS)
            for index, track in enumerate(score.tracks)
        ],
        dtype=np.int64,
    )
    # One number for colour and pitch: notes may only be joined where both agree.
    row = colours[score.track] * 128 + score.pitch if len(score) else score.pitch
    start = np.multiply(score.onset, scale, dtype=np.float64)
    end = np.multiply(score.end, scale, dtype=np.float64)
    gap = 1.0
    # Every rectangle is text in the notebook's file; the picture is as wide whatever the music is,
    # so that notes closer than a pixel cannot be told apart anyway.
    while len(row) > MAX_RECTANGLES:
        row, start, end = _merged(row, start, end, gap)
        gap *= 2
    # Half a pixel keeps a note apart from the next one of its pitch.
    widths = np.maximum(end - start - 0.5, 1.0).round(1)
    for colour, fill in enumerate((*_TRACK_COLOURS, _DRUM_COLOUR)):
        own = np.nonzero(row // 128 == colour)[0]
        if not len(own):
            continue
        yield f'<g class="notes" fill="{fill}">'
        xs = (_LEFT + start[own]).round(1).tolist()
        ys = (_TOP + (high - row[own] % 128) * _ROW_HEIGHT).tolist()
        for x, y, width in zip(xs, ys, widths[own].tolist(), strict=True):
            yield _rectangle(x, y, width, _ROW_HEIGHT - 1)
        yield "</g>"


def _merged(
    row: IntArray, start: FloatArray, end: FloatArray, gap: float
) -> tuple[IntArray, FloatArray, FloatArray]:
    """Return intervals with those of a row joined that overlap or have a smaller gap."""
    order = np.lexsort((start, row))
    row, start, end = row[order], start[order], end[order]
    # Each row is moved beyond the one before, so that one running maximum serves all.
    offset = row * (float(end.max()) + gap + 1.0)
    reach = np.maximum.accumulate(end + offset)
    first = np.nonzero(np.append(True, (start + offset)[1:] > reach[:-1] + gap))[0]
    return row[first], start[first], np.maximum.reduceat(end, first)
